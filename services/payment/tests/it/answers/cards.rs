//! The acquirer: no charge without an order or a refund, none refunded twice, and nothing said to be done
//! that is not done.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use base::{Error, id::Uuid};
use contracts::{
    Money,
    payment::v1::{
        AuthorizeRequest, CancelPaymentRequest, TopUpWalletRequest, payment::State,
        payment_service_client::PaymentServiceClient,
    },
};
use futures_util::{StreamExt as _, stream};
use serde_json::json;
use testkit::stage::{As, Stage};

use super::{
    bank::{advance, all_has_ended, open},
    speaks::{
        Answer, Asked,
        Manner::{self, Closed, Gibberish, Half, Late, Never, Status, Twice, Well},
        serve,
    },
};

const WON: i64 = 3_000;

/// What becomes of the first request for a charge; another one with its key is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Charges {
    Yes,
    /// Once somebody has looked it up.
    Later,
    No,
}
use Charges::{Later, No, Yes};

/// And how that is said.
const CHARGES: &[(Charges, Manner)] = &[
    (Yes, Well),
    (Yes, Late),
    (Yes, Never),
    (Yes, Twice),
    (Yes, Half),
    (Yes, Closed),
    (Yes, Gibberish),
    (Yes, Status(400)),
    (Yes, Status(401)),
    (Yes, Status(408)),
    (Yes, Status(409)),
    (Yes, Status(429)),
    (Yes, Status(500)),
    (Later, Never),
    (Later, Status(400)),
    (Later, Status(500)),
    (No, Never),
    (No, Closed),
    (No, Status(400)),
    (No, Status(401)),
    (No, Status(404)),
    (No, Status(408)),
    (No, Status(409)),
    (No, Status(429)),
    (No, Status(500)),
];

/// How the first look-up is answered.
const LOOK_UPS: &[Manner] = &[
    Well,
    Late,
    Never,
    Twice,
    Half,
    Closed,
    Gibberish,
    Status(401),
    Status(404),
    Status(408),
    Status(409),
    Status(429),
    Status(500),
];

/// Whether the first request for a refund is carried out, and how that is said; the next one is.
const REFUNDS: &[(bool, Manner)] = &[
    (true, Well),
    (true, Late),
    (true, Never),
    (true, Twice),
    (true, Half),
    (true, Closed),
    (true, Gibberish),
    (true, Status(400)),
    (true, Status(401)),
    (true, Status(404)),
    (true, Status(408)),
    (true, Status(409)),
    (true, Status(429)),
    (true, Status(500)),
    (false, Never),
    (false, Status(401)),
    (false, Status(403)),
    (false, Status(404)),
    (false, Status(408)),
    (false, Status(409)),
    (false, Status(429)),
    (false, Status(500)),
];

/// What is asked for, and what comes between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Order,
    /// The same order twice at once.
    OrderTwice,
    /// It is cancelled while its card is being charged.
    OrderCancelled,
    /// It is cancelled once its card has been charged.
    OrderThenCancelled,
    TopUp,
    /// Twice at once, with one key.
    TopUpTwice,
}
use Way::{Order, OrderCancelled, OrderThenCancelled, OrderTwice, TopUp, TopUpTwice};

/// A charge as the acquirer knows it, by what it is for.
#[derive(Debug)]
struct Known {
    token: String,
    key: String,
    charge: Charges,
    asked: usize,
    looked_up: usize,
    refund_asked: usize,
    /// How often it was given back.
    refunded: usize,
}

impl Known {
    /// What the card has paid.
    fn paid(&self) -> i64 {
        if self.charge == Yes && self.refunded == 0 { WON } else { 0 }
    }
}

type Books = Arc<Mutex<HashMap<String, Known>>>;

/// One of all combinations.
#[derive(Clone, Copy, Debug)]
struct Script {
    way: Way,
    charge: usize,
    look_up: usize,
    refund: usize,
}

impl Script {
    fn token(self) -> String {
        let Self { charge, look_up, refund, .. } = self;
        format!("{charge:02}{look_up:02}{refund:02}_{}", base::id::new())
    }
}

fn read(token: &str, at: usize) -> usize {
    token[at..at + 2].parse().expect("digits")
}

fn answer(books: &Books, asked: &Asked) -> Answer {
    let mut books = books.lock().expect("no panic");
    if let Some(id) = asked.path.strip_prefix("/v1/payments/orders/") {
        let nothing = (Well, 404, json!({ "code": "NOT_FOUND_PAYMENT" }));
        let Some(known) = books.get_mut(id) else { return nothing };
        known.looked_up += 1;
        let first = known.looked_up == 1;
        let manner = if first { LOOK_UPS[read(&known.token, 2)] } else { Well };
        if known.charge != Yes {
            let charge = if known.charge == Later { Yes } else { No };
            known.charge = charge;
            return (if manner == Gibberish { Well } else { manner }, nothing.1, nothing.2);
        }
        let status = if known.refunded == 0 { "DONE" } else { "CANCELED" };
        return (manner, 200, json!({ "paymentKey": id, "status": status }));
    }
    if asked.path == "/v1/payments/confirm" {
        let text = |field: &str| asked.body[field].as_str().expect("is there").to_owned();
        let (id, token) = (text("orderId"), text("paymentKey"));
        let new = Known {
            token: token.clone(),
            key: asked.key.clone(),
            charge: No,
            asked: 0,
            looked_up: 0,
            refund_asked: 0,
            refunded: 0,
        };
        let known = books.entry(id.clone()).or_insert(new);
        assert_eq!((&known.key, &known.token), (&asked.key, &token), "one key for one charge");
        known.asked += 1;
        let (charge, manner) =
            if known.asked == 1 { CHARGES[read(&token, 0)] } else { (Yes, Well) };
        if known.charge != Yes {
            known.charge = charge;
        }
        return (manner, 200, json!({ "paymentKey": id, "status": "DONE" }));
    }
    let id = asked.path.strip_prefix("/v1/payments/").and_then(|it| it.strip_suffix("/cancel"));
    let known = books.get_mut(id.expect("a cancellation")).expect("a charge");
    known.refund_asked += 1;
    let first = known.refund_asked == 1;
    let (done, manner) = if first { REFUNDS[read(&known.token, 4)] } else { (true, Well) };
    if known.refunded > 0 {
        return (Well, 403, json!({ "code": "ALREADY_CANCELED_PAYMENT" }));
    }
    known.refunded += usize::from(done);
    (manner, 200, json!({ "status": "CANCELED" }))
}

/// What was said of a command, and of the thing that it was for.
struct Said {
    script: Script,
    order: Uuid,
    member: Uuid,
    token: String,
    answers: Vec<Result<(), Error>>,
}

struct Shop {
    stage: Stage,
}

impl Shop {
    async fn authorise(&self, order: Uuid, member: Uuid, token: &str) -> Result<(), Error> {
        let request = AuthorizeRequest {
            order_id: order.to_string(),
            member_id: member.to_string(),
            amount: Some(Money::from(("KRW", WON))),
            card_token: token.into(),
            ..AuthorizeRequest::default()
        };
        let request = self.stage.call(As::ServiceFor("order", member), request);
        let answer = PaymentServiceClient::new(self.stage.channel()).authorize(request).await;
        let payment = answer.map_err(Error::from)?.into_inner();
        assert_eq!(payment.state(), State::Done);
        Ok(())
    }

    async fn cancel(&self, order: Uuid, member: Uuid) {
        let request = CancelPaymentRequest {
            order_id: order.to_string(),
            member_id: member.to_string(),
            ..CancelPaymentRequest::default()
        };
        let request = self.stage.call(As::ServiceFor("order", member), request);
        let done = PaymentServiceClient::new(self.stage.channel()).cancel_payment(request).await;
        done.expect("cancels");
    }

    async fn top_up(&self, key: Uuid, member: Uuid, token: &str) -> Result<(), Error> {
        let request = TopUpWalletRequest {
            member_id: member.to_string(),
            amount: Some(Money::from(("KRW", WON))),
            card_token: token.into(),
        };
        let mut request = self.stage.call(As::Member(member), request);
        let key = key.to_string().parse().expect("ASCII");
        request.metadata_mut().insert("idempotency-key", key);
        let answer = PaymentServiceClient::new(self.stage.channel()).top_up_wallet(request).await;
        answer.map(|_| ()).map_err(Error::from)
    }

    async fn play(&self, script: Script) -> Said {
        let (order, member, token) = (base::id::new(), base::id::new(), script.token());
        let answers = match script.way {
            Order => vec![self.authorise(order, member, &token).await],
            OrderTwice => {
                let twice = tokio::join!(
                    self.authorise(order, member, &token),
                    self.authorise(order, member, &token)
                );
                vec![twice.0, twice.1]
            }
            OrderCancelled => {
                let (answer, ()) =
                    tokio::join!(self.authorise(order, member, &token), self.cancel(order, member));
                vec![answer]
            }
            OrderThenCancelled => {
                let answer = self.authorise(order, member, &token).await;
                self.cancel(order, member).await;
                vec![answer]
            }
            TopUp => vec![self.top_up(order, member, &token).await],
            TopUpTwice => {
                let twice = tokio::join!(
                    self.top_up(order, member, &token),
                    self.top_up(order, member, &token)
                );
                vec![twice.0, twice.1]
            }
        };
        Said { script, order, member, token, answers }
    }

    /// By payment's word: what orders and top-ups are paid, by their ids.
    async fn paid(&self) -> HashMap<String, i64> {
        let mut reader = self.stage.database("payment").read().await.expect("reads");
        let sql = "select order_id::text, case state when 'DONE' then amount_minor else 0 end from payment
             union all
             select id::text, case state when 'DONE' then amount_minor else 0 end from top_up";
        let rows = reader.query(sql, &[]).await.expect("reads");
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    async fn balance(&self, member: Uuid) -> i64 {
        let mut reader = self.stage.database("payment").read().await.expect("reads");
        let sql = "select coalesce(sum(balance_minor), 0)::bigint from wallet where member_id = $1";
        reader.query_one(sql, &[&member]).await.expect("sums").get(0)
    }

    /// What is held, what the card has paid, and how many refunds are in each state.
    async fn ledger(&self) -> (i64, i64, HashMap<String, i64>) {
        let mut reader = self.stage.database("payment").read().await.expect("reads");
        let sql = "select coalesce(sum(amount_minor) filter (where account = 'HELD'), 0)::bigint,
               coalesce(sum(amount_minor) filter (where account = 'CARD'), 0)::bigint
             from ledger_entry";
        let row = reader.query_one(sql, &[]).await.expect("sums");
        let sql = "select state, count(*) from refund group by state";
        let states = reader.query(sql, &[]).await.expect("counts");
        let states = states.iter().map(|row| (row.get(0), row.get(1))).collect();
        (row.get(0), -row.get::<_, i64>(1), states)
    }
}

impl Shop {
    /// Refunds whose state is not what the acquirer has done.
    async fn said_too_much(&self, books: &Books) -> Vec<String> {
        let mut reader = self.stage.database("payment").read().await.expect("reads");
        let sql = "select coalesce(order_id, top_up_id)::text, state from refund";
        let rows = reader.query(sql, &[]).await.expect("reads");
        let books = books.lock().expect("no panic");
        let differs = |id: String, state: String| {
            let known = &books[&id];
            let right = (state == "REFUNDED") == (known.refunded == 1);
            (!right).then(|| format!("{id} is {state}: {known:?}"))
        };
        rows.iter().filter_map(|row| differs(row.get(0), row.get(1))).collect()
    }
}

/// All of them: what becomes of a charge with how it is looked up, and how it is given back with that.
fn scripts() -> Vec<Script> {
    let mut all = Vec::new();
    let ways = [Order, OrderTwice, OrderCancelled, TopUp, TopUpTwice];
    for look_up in 0..LOOK_UPS.len() {
        for way in ways {
            let script = |charge| Script { way, charge, look_up, refund: 0 };
            all.extend((0..CHARGES.len()).map(script));
        }
        // One that is charged and cancelled, one that is found, one that is made late.
        let found = |it: (Charges, Manner)| CHARGES.iter().position(|known| *known == it);
        let (yes, closed) = (found((Yes, Well)), found((Yes, Closed)));
        let (late, ways) = (
            found((Later, Status(500))),
            [(OrderThenCancelled, yes), (Order, closed), (TopUp, closed)],
        );
        for (way, charge) in ways.into_iter().chain([(TopUp, late)]) {
            let charge = charge.expect("one of them");
            let script = |refund| Script { way, charge, look_up, refund };
            all.extend((1..REFUNDS.len()).map(script));
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn no_card_is_charged_for_nothing_nor_refunded_twice_whatever_the_acquirer_answers() {
    let books = Books::default();
    let shared = Arc::clone(&books);
    let stage = open("acquirer", &serve(move |asked| answer(&shared, asked)).await).await;
    let shop = Shop { stage };
    let scripts = scripts();
    let said: Vec<Said> =
        stream::iter(scripts).map(|script| shop.play(script)).buffer_unordered(48).collect().await;
    all_has_ended(&shop.stage).await;

    // What was refused for good is in the books, and nobody has been told that it is done.
    let (held, charged, states) = shop.ledger().await;
    let failed = states.get("FAILED").copied().unwrap_or_default();
    assert!(failed > 50 && !states.contains_key("REFUNDING"), "{states:?}");
    let early = shop.said_too_much(&books).await;
    assert!(held > 0 && early.is_empty(), "{held} held, {charged} charged:\n{}", early.join("\n"));
    for _ in 0..7 {
        advance(&shop.stage, Duration::from_hours(1)).await;
    }
    all_has_ended(&shop.stage).await;

    let (held, charged, states) = shop.ledger().await;
    assert_eq!((held, states.len()), (0, 1), "{states:?}");
    let wrong = compare(&shop, &books, &said).await;
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), said.len(), wrong.join("\n"));
    let paid: i64 = books.lock().expect("no panic").values().map(Known::paid).sum();
    assert_eq!(charged, paid);
    assert_eq!(shop.stage.unanswered_keys("payment").await, 0);
    repeat(&shop, &books, &said).await;
    shop.stage.close().await;
}

/// What payment says is compared with what the acquirer knows, and with what callers were told.
async fn compare(shop: &Shop, books: &Books, said: &[Said]) -> Vec<String> {
    let paid = shop.paid().await;
    let mut wrong = Vec::new();
    for Said { script, order, member, token, answers } in said {
        let told = answers.iter().any(Result::is_ok);
        let (known, twice) = {
            let books = books.lock().expect("no panic");
            let of_this = || books.iter().filter(|(_, known)| known.token == *token);
            let known: Vec<(String, i64)> =
                of_this().map(|(id, known)| (id.clone(), known.paid())).collect();
            (known, of_this().any(|(_, known)| known.refunded > 1))
        };
        let differs = known.iter().any(|(id, won)| paid.get(id) != Some(won));
        let sum: i64 = known.iter().map(|(_, won)| won).sum();
        let is_order = !matches!(script.way, TopUp | TopUpTwice);
        let right = match script.way {
            OrderThenCancelled => sum == 0,
            // Whichever came first.
            OrderCancelled => sum == 0 || told,
            _ => (sum == WON) == told,
        };
        let balance = shop.balance(*member).await;
        let filled = if is_order { 0 } else { sum };
        if differs || twice || !right || sum > WON || balance != filled {
            let ours = paid.get(&order.to_string());
            wrong.push(format!(
                "{:?} {:?} look-up {:?} refund {:?}: told {told}, paid {sum}, by payment {ours:?}, \
                 balance {balance}, refunded twice {twice}",
                script.way,
                CHARGES[script.charge],
                LOOK_UPS[script.look_up],
                REFUNDS[script.refund],
            ));
        }
    }
    wrong
}

/// Whoever repeats a command that succeeded, with its key, gets the same answer, and no card is charged.
async fn repeat(shop: &Shop, books: &Books, said: &[Said]) {
    let asked = || books.lock().expect("no panic").values().map(|known| known.asked).sum::<usize>();
    let before = asked();
    let done = said.iter().filter(|it| it.answers.iter().any(Result::is_ok));
    let mut repeated = 0;
    for Said { script, order, member, token, .. } in done {
        let again = match script.way {
            Order | OrderTwice => shop.authorise(*order, *member, token).await,
            TopUp | TopUpTwice => shop.top_up(*order, *member, token).await,
            OrderCancelled | OrderThenCancelled => continue,
        };
        again.unwrap_or_else(|error| panic!("{script:?}: {error}"));
        repeated += 1;
    }
    assert!(repeated > 50, "{repeated} were done");
    assert_eq!(asked(), before, "no card is charged again");
}
