//! The bank: each payout is sent once at most, and what is said of it is so.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use base::id::Uuid;
use contracts::{
    Money,
    clock::v1::{AdvanceRequest, clock_service_client::ClockServiceClient},
    order::v1::BankAccount,
    payment::v1::{
        PayOutWalletRequest, TopUpWalletRequest, payment_service_client::PaymentServiceClient,
    },
};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use testkit::stage::{As, Stage};

use super::speaks::{
    Answer, Asked,
    Manner::{self, Closed, Gibberish, Half, Late, Never, Status, Twice, Well},
    PATIENCE, serve,
};
use crate::others;

/// What the bank makes of a payout that it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Sent,
    /// It takes its time.
    Pending,
    /// It keeps it, and says that it cannot be sent.
    Failed,
    /// Nothing is kept of it: it is as if it had not been asked.
    Nothing,
}
use Fate::{Failed, Nothing, Pending, Sent};

/// What becomes of the first request for a payout, and how that is said; one for which nothing is kept is
/// carried out the next time, unless it was refused.
const FIRST: &[(Fate, Manner)] = &[
    (Sent, Well),
    (Sent, Late),
    (Sent, Never),
    (Sent, Twice),
    (Sent, Half),
    (Sent, Closed),
    (Sent, Gibberish),
    (Sent, Status(401)),
    (Sent, Status(408)),
    (Sent, Status(409)),
    (Sent, Status(429)),
    (Sent, Status(500)),
    (Pending, Well),
    (Pending, Half),
    (Pending, Status(503)),
    (Failed, Well),
    (Failed, Never),
    (Nothing, Never),
    (Nothing, Closed),
    (Nothing, Status(400)),
    (Nothing, Status(401)),
    (Nothing, Status(403)),
    (Nothing, Status(404)),
    (Nothing, Status(408)),
    (Nothing, Status(409)),
    (Nothing, Status(429)),
    (Nothing, Status(500)),
];

/// How the first two look-ups are answered, and what a bank says to an id that it knows already when it has
/// just said that it does not.
const LOOK_UPS: &[(Manner, Manner)] = &[
    (Well, Well),
    (Late, Well),
    (Never, Well),
    (Twice, Well),
    (Half, Well),
    (Closed, Well),
    (Gibberish, Well),
    (Status(401), Well),
    (Status(408), Well),
    (Status(409), Well),
    (Status(429), Well),
    (Status(500), Well),
    (Status(404), Well),
    (Status(404), Status(409)),
    (Status(404), Status(400)),
    (Status(404), Never),
];

/// A payout as the bank knows it.
#[derive(Debug)]
struct Known {
    body: Value,
    fate: Fate,
    /// How often it was asked for, and looked up.
    asked: usize,
    looked_up: usize,
}

type Books = Arc<Mutex<HashMap<String, Known>>>;

/// Which of all combinations a payout is, by its account: it stands at its end.
fn script(number: &str) -> ((Fate, Manner), (Manner, Manner)) {
    let at: usize = number[number.len() - 5..].parse().expect("digits");
    (FIRST[at / 100], LOOK_UPS[at % 100])
}

fn status(fate: Fate) -> Value {
    match fate {
        Sent => json!({ "status": "SENT" }),
        Pending => json!({ "status": "PENDING" }),
        Failed => json!({ "status": "FAILED", "code": "ACCOUNT_CLOSED" }),
        Nothing => json!({ "code": "NOT_FOUND" }),
    }
}

/// What the bank answers.
fn answer(books: &Books, asked: &Asked) -> Answer {
    let mut books = books.lock().expect("no panic");
    if asked.method == "GET" {
        let id = asked.path.strip_prefix("/v1/payouts/").expect("a payout");
        let Some(known) = books.get_mut(id) else { return (Well, 404, status(Nothing)) };
        known.looked_up += 1;
        let (_, (manner, _)) = script(known.body["accountNumber"].as_str().expect("a number"));
        let manner = if known.looked_up <= 2 { manner } else { Well };
        if known.fate == Nothing {
            let manner = if manner == Gibberish { Well } else { manner };
            return (manner, 404, status(Nothing));
        }
        let answer = (manner, 200, status(known.fate));
        if known.fate == Pending && known.looked_up > 1 {
            known.fate = Sent;
        }
        return answer;
    }
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/v1/payouts"));
    let id = asked.body["id"].as_str().expect("an id").to_owned();
    assert_eq!(asked.key, id, "the id is the key");
    let number = asked.body["accountNumber"].as_str().expect("a number");
    let ((fate, manner), (_, again)) = script(number);
    let body = asked.body.clone();
    let known = books.entry(id).or_insert(Known { body, fate: Nothing, asked: 0, looked_up: 0 });
    assert_eq!(known.body, asked.body, "the same payout is the same request");
    known.asked += 1;
    match (known.asked, known.fate) {
        (1, _) => {
            known.fate = fate;
            (manner, 200, status(fate))
        }
        (_, Nothing) => {
            known.fate = Sent;
            (Well, 200, status(Sent))
        }
        (2, fate) => (again, 200, status(fate)),
        (_, fate) => (Well, 200, status(fate)),
    }
}

/// Moves the clock.
pub(crate) async fn advance(stage: &Stage, by: Duration) {
    let duration = by.try_into().expect("a duration");
    let request =
        stage.call(As::Admin(base::id::new()), AdvanceRequest { duration: Some(duration) });
    ClockServiceClient::new(stage.channel()).advance(request).await.expect("advances");
}

pub(crate) async fn pay_out(stage: &Stage, member: Uuid, number: &str, won: i64) {
    let account = BankAccount {
        bank_code: "004".into(),
        account_number: number.into(),
        holder: "Kim".into(),
    };
    let request = PayOutWalletRequest {
        member_id: member.to_string(),
        amount: Some(Money::from(("KRW", won))),
        account: Some(account),
    };
    let request = stage.command(As::Member(member), request);
    let payout = PaymentServiceClient::new(stage.channel()).pay_out_wallet(request).await;
    payout.expect("is on its way");
}

/// Moves the clock until nothing is left to be done within the hour: not so fast that what is being done is
/// begun again.
pub(crate) async fn all_has_ended(stage: &Stage) {
    let mut pace = tokio::time::interval(PATIENCE * 2);
    let (mut least, mut since) = (i64::MAX, Instant::now());
    loop {
        pace.tick().await;
        let mut reader = stage.database("payment").read().await.expect("reads");
        let sql = "select count(*) from task where due_at < clock_now() + interval '1 hour'";
        let left: i64 = reader.query_one(sql, &[]).await.expect("counts").get(0);
        if left == 0 {
            return;
        }
        if left < least {
            (least, since) = (left, Instant::now());
        }
        assert!(since.elapsed() < Duration::from_mins(2), "{left} tasks do not end");
        advance(stage, Duration::from_secs(15)).await;
    }
}

/// The payment service with an acquirer or a bank behind `url`.
pub(crate) async fn open(part: &str, url: &str) -> Stage {
    let services = [&payment::SERVICE, &others::ORDER, &others::MEMBER];
    let timeout_ms = u64::try_from(PATIENCE.as_millis()).expect("a moment");
    let stage = Stage::open_with(&services, &contracts::API, |settings| {
        let other = json!({ "url": url, "secret_key": "secret", "timeout_ms": timeout_ms });
        let section = serde_json::from_value(json!({ part: other, "settle_after_s": 60 }));
        settings.service.insert("payment".into(), section.expect("a section"));
        settings.testing.clock = true;
    });
    stage.await.expect("starts")
}

/// Each payout with where its money is, and what the bank has made of it.
async fn compare(stage: &Stage, books: &Books) -> (usize, usize, Vec<String>) {
    let mut reader = stage.database("payment").read().await.expect("reads");
    let sql = "select p.id::text, p.state, p.account_number, p.amount_minor,
           coalesce(sum(e.amount_minor) filter (where e.account = 'BANK'), 0)::bigint,
           coalesce(sum(e.amount_minor) filter (where e.account = 'WALLET'), 0)::bigint
         from payout p left join ledger_transaction t on t.subject_id = p.id
           left join ledger_entry e on e.transaction_id = t.id
         group by p.id";
    let rows = reader.query(sql, &[]).await.expect("reads");
    let books = books.lock().expect("no panic");
    let (mut sent, mut failed, mut wrong) = (0, 0, Vec::new());
    for row in &rows {
        let (id, state, number): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        let (won, out, wallet): (i64, i64, i64) = (row.get(3), row.get(4), row.get(5));
        let fate = books.get(&id).map_or(Nothing, |known| known.fate);
        let right = match (state.as_str(), fate) {
            ("SENT", Sent) => (out, wallet) == (won, -won),
            ("FAILED", Failed | Nothing) => (out, wallet) == (0, 0),
            _ => false,
        };
        if !right {
            wrong.push(format!("{:?} is {state}, at the bank {fate:?}", script(&number)));
        }
        if state == "SENT" { sent += 1 } else { failed += 1 }
    }
    (sent, failed, wrong)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_payout_is_sent_once_at_most_and_said_to_be_sent_when_it_is() {
    let books = Books::default();
    let shared = Arc::clone(&books);
    let stage = open("bank", &serve(move |asked| answer(&shared, asked)).await).await;
    let member = base::id::new();
    let request = TopUpWalletRequest {
        member_id: member.to_string(),
        amount: Some(Money::from(("KRW", 100_000_000))),
        card_token: "tok_visa".into(),
    };
    let request = stage.call(As::Member(member), request);
    PaymentServiceClient::new(stage.channel()).top_up_wallet(request).await.expect("tops up");

    let all =
        (0..FIRST.len()).flat_map(|first| (0..LOOK_UPS.len()).map(move |at| first * 100 + at));
    let ask = async |at: usize| {
        let won = 1_000 + i64::try_from(at).expect("small");
        pay_out(&stage, member, &format!("110{at:05}"), won).await;
    };
    let asked = stream::iter(all).map(ask).buffer_unordered(8).count().await;
    all_has_ended(&stage).await;
    let (sent, failed, wrong) = compare(&stage, &books).await;
    assert!(wrong.is_empty(), "{} of {asked}:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(sent + failed, asked);
    assert!(sent > 300 && failed > 40, "{sent} sent, {failed} failed");
    stage.close().await;
}
