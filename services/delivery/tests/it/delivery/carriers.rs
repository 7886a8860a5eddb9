//! What carriers say is believed when they have signed it, just now.

use std::{
    fmt::Write as _,
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::hmac;
use base::Error;
use contracts::{
    delivery::v1::{
        ReportParcelRequest, carrier_service_client::CarrierServiceClient, delivery::State,
    },
    google::api::HttpBody,
};
use testkit::stage::As;

use super::{Answer, Shop};

/// What the carrier `cj` signs with.
pub(crate) const SECRET: &str = "a secret";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string takes it");
        hex
    })
}

fn sign(secret: &str, timestamp: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hex(hmac::sign(&key, format!("{timestamp}.{body}").as_bytes()).as_ref())
}

/// So many seconds from now.
fn at(ahead: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    (i64::try_from(now.as_secs()).expect("fits") + ahead).to_string()
}

impl Shop {
    async fn notice(
        &self,
        carrier: &str,
        (timestamp, signature): (&str, &str),
        body: &str,
    ) -> Result<(), Error> {
        let notice = HttpBody { data: body.into(), ..HttpBody::default() };
        let message = ReportParcelRequest { carrier: carrier.into(), notice: Some(notice) };
        let mut request = self.stage.call(As::Nobody, message);
        for (name, value) in
            [("x-hansang-timestamp", timestamp), ("x-hansang-signature", signature)]
        {
            if !value.is_empty() {
                request.metadata_mut().insert(name, value.parse().expect("ascii"));
            }
        }
        let carriers = CarrierServiceClient::new(self.stage.channel());
        carriers.clone().report_parcel(request).await.map(drop).map_err(Error::from)
    }

    /// What the carrier `cj` says, well signed.
    async fn signed(&self, body: &str) -> Result<(), Error> {
        let now = at(0);
        self.notice("cj", (&now, &sign(SECRET, &now, body)), body).await
    }
}

fn body(number: &str) -> String {
    format!(r#"{{"trackingNumber": "{number}", "status": "DELIVERED", "more": 1}}"#)
}

#[tokio::test]
async fn a_carrier_says_that_a_parcel_has_arrived() {
    let shop = Shop::open().await;
    let delivery = shop.started(&[Answer::Agreed]).await;
    let unknown = shop.signed(&body("1")).await.expect_err("not dispatched yet");
    assert_eq!(unknown.reason(), "UNKNOWN_PARCEL");
    let sent = shop.dispatch(&delivery, "1").await.expect("dispatches");
    let early = r#"{"trackingNumber":"1","status":"DELIVERED","time":"2126-01-01T00:00:00Z"}"#;
    shop.signed(early).await.expect("is believed");
    let arrived = shop.get(shop.seller, &delivery.id).await.expect("is there");
    assert_eq!(arrived.state(), State::Delivered);
    let (sent, at) = (sent.dispatch_time.expect("a time"), arrived.deliver_time.expect("a time"));
    assert!(at.seconds - sent.seconds < 100, "no parcel arrives in the future");
    shop.signed(&body("1")).await.expect("again");
    assert_eq!(shop.get(shop.seller, &delivery.id).await.expect("is there"), arrived);
    assert_eq!(shop.deliver(&delivery).await.expect("again"), arrived);
    shop.stage.close().await;
}

#[tokio::test]
async fn a_notice_that_is_not_signed_just_now_is_refused() {
    let shop = Shop::open().await;
    let delivery = shop.started(&[Answer::Agreed]).await;
    shop.dispatch(&delivery, "1").await.expect("dispatches");
    let (body, now) = (body("1"), at(0));
    let right = sign(SECRET, &now, &body);
    let (old, early) = (at(-301), at(301));
    let wrong = [
        ("dhl", now.clone(), right.clone()),
        ("cj", now.clone(), String::new()),
        ("cj", String::new(), right.clone()),
        ("cj", now.clone(), sign("another", &now, &body)),
        ("cj", now.clone(), sign(SECRET, &now, &format!("{body} "))),
        ("cj", at(-1), right.clone()),
        ("cj", now.clone(), right[..62].to_owned()),
        ("cj", now.clone(), format!("{}zz", &right[..62])),
        ("cj", old.clone(), sign(SECRET, &old, &body)),
        ("cj", early.clone(), sign(SECRET, &early, &body)),
        ("cj", "soon".to_owned(), sign(SECRET, "soon", &body)),
    ];
    for (carrier, timestamp, signature) in wrong {
        let refused = shop.notice(carrier, (&timestamp, &signature), &body).await;
        let reason = refused.expect_err("refused").reason().to_owned();
        assert_eq!(reason, "BAD_SIGNATURE", "{carrier} {timestamp} {signature}");
    }
    for (wrong, reason) in [
        ("", "MALFORMED_NOTICE"),
        ("{}", "MALFORMED_NOTICE"),
        (r#"{"trackingNumber": "1", "status": "LOST"}"#, "INVALID_FIELD"),
        (r#"{"trackingNumber": "", "status": "DELIVERED"}"#, "INVALID_FIELD"),
        (r#"{"trackingNumber": "1", "status": "DELIVERED", "time": "soon"}"#, "INVALID_FIELD"),
    ] {
        assert_eq!(shop.signed(wrong).await.expect_err("refused").reason(), reason, "{wrong}");
    }
    let there = shop.get(shop.seller, &delivery.id).await.expect("is there");
    assert_eq!(there.state(), State::Dispatched);
    // Not quite too old.
    let late = at(-290);
    shop.notice("cj", (&late, &sign(SECRET, &late, &body)), &body).await.expect("is believed");
    shop.stage.close().await;
}
