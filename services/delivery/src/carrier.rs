//! What carriers say of parcels: believed when it is signed with the secret that a carrier and we share,
//! and not older or newer than a few minutes. The signature is over the bytes as they came.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::hmac;
use base::{Error, error::Kind, input};
use contracts::{
    delivery::v1::{
        ReportParcelRequest, ReportParcelResponse, carrier_service_server::CarrierService,
    },
    google::api::HttpBody,
};
use pg::Database;
use serde::Deserialize;
use server::Incoming;
use settings::Secret;
use tonic::{Request, Response, Status};

use crate::{
    domain::{CARRIER, NOTICE, Parcel, Refusal},
    store,
};

/// When a notice was sent, in seconds since 1970.
const TIMESTAMP: &str = "x-hansang-timestamp";
/// The HMAC-SHA256, in hexadecimal, of the timestamp, a dot and the body.
const SIGNATURE: &str = "x-hansang-signature";
/// How far a carrier's clock and ours may be apart.
const SKEW: Duration = Duration::from_mins(5);

/// `[service.delivery.carriers.<name>]`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// What the carrier signs with. Required.
    secret: Secret,
}

/// Answers carriers.
pub(crate) struct Carriers {
    database: Database,
    keys: BTreeMap<String, hmac::Key>,
}

/// The body of a notice. Carriers say more than this.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Notice {
    tracking_number: String,
    status: String,
    time: Option<String>,
}

impl Carriers {
    pub(crate) fn new(
        database: Database,
        carriers: BTreeMap<String, Settings>,
    ) -> Result<Self, Error> {
        let key = |(name, Settings { secret }): (String, Settings)| {
            if secret.expose().is_empty() {
                let detail = format!("service.delivery.carriers.{name}.secret: is required");
                return Err(Error::new(Kind::Invalid, "CONFIGURATION", detail));
            }
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
            Ok((name, key))
        };
        let keys = carriers.into_iter().map(key).collect::<Result<_, _>>()?;
        Ok(Self { database, keys })
    }

    /// Refuses what the carrier has not signed just now.
    fn check(
        &self,
        carrier: &str,
        (timestamp, signature): (Option<&str>, Option<&str>),
        body: &[u8],
        now: SystemTime,
    ) -> Result<(), Refusal> {
        let wrong = Refusal::BadSignature;
        let key = self.keys.get(carrier).ok_or(wrong)?;
        let (timestamp, signature) = (timestamp.ok_or(wrong)?, signature.ok_or(wrong)?);
        let signed = [timestamp.as_bytes(), b".", body].concat();
        let tag = bytes(signature).ok_or(wrong)?;
        // Takes the same time wherever they differ.
        hmac::verify(key, &signed, &tag).map_err(|_| wrong)?;
        let sent =
            timestamp.parse().ok().and_then(|s| UNIX_EPOCH.checked_add(Duration::from_secs(s)));
        let sent = sent.ok_or(wrong)?;
        let apart = now.duration_since(sent).unwrap_or_else(|early| early.duration());
        if apart > SKEW { Err(wrong) } else { Ok(()) }
    }
}

/// The bytes of a text in hexadecimal.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|it| u8::try_from(it).ok());
    let (pairs, []) = hex.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

/// What the body says: which parcel has arrived, and when, if it says that.
fn arrived(carrier: &str, body: &[u8]) -> Result<(Parcel, Option<SystemTime>), Error> {
    let notice: Notice = serde_json::from_slice(body).map_err(|error| {
        Error::new(Kind::Invalid, "MALFORMED_NOTICE", format!("not a notice: {error}"))
    })?;
    if notice.status != "DELIVERED" {
        return Err(Error::violation("status", "must be DELIVERED"));
    }
    let time = |text: String| {
        let wrong = || Error::violation("time", "must be a time of RFC 3339");
        let time: prost_types::Timestamp = text.parse().map_err(|_| wrong())?;
        SystemTime::try_from(time).map_err(|_| wrong())
    };
    let parcel = Parcel::parse(carrier, &notice.tracking_number)?;
    Ok((parcel, notice.time.map(time).transpose()?))
}

#[tonic::async_trait]
impl CarrierService for Carriers {
    async fn report_parcel(
        &self,
        request: Request<ReportParcelRequest>,
    ) -> Result<Response<ReportParcelResponse>, Status> {
        let incoming = Incoming::granted(request)?;
        let carrier = CARRIER.parse("carrier", &incoming.message.carrier)?;
        let empty = HttpBody::default();
        let body = &incoming.message.notice.as_ref().unwrap_or(&empty).data;
        input::number("notice.data", body.len(), &NOTICE)?;
        let signed = (incoming.header(TIMESTAMP), incoming.header(SIGNATURE));
        self.check(carrier, signed, body, SystemTime::now()).map_err(Error::from)?;
        let (parcel, time) = arrived(carrier, body)?;
        let mut tx = self.database.begin().await?;
        store::arrived(&mut tx, &parcel, time).await?;
        tx.commit().await?;
        Ok(Response::new(ReportParcelResponse {}))
    }
}
