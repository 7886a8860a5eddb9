//! Parts of payments: what goes back of each tender, once, whatever else happens to the payment.

use base::{Error, error::Kind, id::Uuid};
use contracts::{
    Money,
    order::v1::{BankAccount, OrderLine, OrderPlaced, PaymentMethod, Pieces, order_event},
    payment::v1::{
        AuthorizeRequest, CancelPaymentRequest, Payment, PaymentEvent, PaymentPartRefunded, Refund,
        RefundPartRequest, deposit, payment::State, payment_event::Event, refund,
    },
};
use prost::Message as _;
use testkit::{eventually, stage::As};

use super::{
    Shop,
    deposits::{another, won},
};
use crate::others::AWAY;

/// How often each race is run.
const ROUNDS: usize = 100;

fn money(won: i64) -> Money {
    Money::from(("KRW", won))
}

fn account(number: &str) -> BankAccount {
    let (account_number, holder) = (number.to_owned(), "Kim".to_owned());
    BankAccount { bank_code: "004".into(), account_number, holder }
}

impl Shop {
    fn part(&self, order: Uuid, amount: i64, wallet: i64) -> RefundPartRequest {
        RefundPartRequest {
            order_id: order.to_string(),
            member_id: self.member.to_string(),
            part_id: base::id::new().to_string(),
            by_shop: true,
            amount: Some(money(amount)),
            wallet_amount: Some(money(wallet)),
            lines: vec![Pieces { product_id: Uuid::nil().to_string(), quantity: 1 }],
            refund_account: None,
        }
    }

    /// Whether nothing had been paid.
    async fn refund_part(&self, part: &RefundPartRequest) -> Result<bool, Error> {
        let request = self.stage.call(As::ServiceFor("order", self.member), part.clone());
        let answer = self.payments.clone().refund_part(request).await.map_err(Error::from)?;
        Ok(answer.into_inner().unpaid)
    }

    /// 3,000 won, of which the wallet pays this much.
    async fn order_by_card(&self, wallet: i64) -> Uuid {
        let order = base::id::new();
        let request = AuthorizeRequest {
            order_id: order.to_string(),
            member_id: self.member.to_string(),
            amount: Some(money(3_000)),
            wallet_amount: Some(money(wallet)),
            card_token: "tok_visa".into(),
        };
        let request = self.stage.call(As::ServiceFor("order", self.member), request);
        self.payments.clone().authorize(request).await.expect("charges");
        order
    }

    async fn order_by(&self, method: PaymentMethod, quantity: i32, wallet: i64) -> Uuid {
        let order = base::id::new();
        let line =
            OrderLine { product_id: Uuid::nil().to_string(), quantity, ..OrderLine::default() };
        let placed = order_event::Event::OrderPlaced(OrderPlaced {
            order_id: order.to_string(),
            member_id: self.member.to_string(),
            lines: vec![line],
            total: Some(money(3_000)),
            amount: Some(money(3_000)),
            wallet_amount: Some(money(wallet)),
            payment_method: method.into(),
            ..OrderPlaced::default()
        });
        self.publish(vec![(order, placed)]).await;
        let waits = method == PaymentMethod::BankTransfer;
        self.is(order, if waits { State::WaitingForDeposit } else { State::Done }).await;
        order
    }

    /// A transfer whose deposit has come.
    async fn order_by_transfer(&self, wallet: i64) -> Uuid {
        let order = self.order_by(PaymentMethod::BankTransfer, 6, wallet).await;
        let payment = self.is(order, State::WaitingForDeposit).await;
        let due = 3_000 - wallet;
        self.arrives(&another(), due, &payment.deposit_reference).await.expect("is recorded");
        self.is(order, State::Done).await;
        order
    }

    /// The payment of an order, in this state.
    async fn is(&self, order: Uuid, state: State) -> Payment {
        let ask = || async {
            let payments = self.payments_in(state).await;
            payments.into_iter().find(|it| it.order_id == order.to_string())
        };
        eventually(&format!("a payment {state:?}"), ask).await
    }

    async fn cancel_order(&self, order: Uuid) -> Result<(), Error> {
        let request = CancelPaymentRequest {
            order_id: order.to_string(),
            member_id: self.member.to_string(),
            by_shop: true,
            refund_account: None,
        };
        let request = self.stage.call(As::ServiceFor("order", self.member), request);
        self.payments.clone().cancel_payment(request).await.map(drop).map_err(Error::from)
    }

    /// What the log says of a payment.
    async fn told(&self, payment: &Payment) -> Vec<Event> {
        let id: Uuid = payment.id.parse().expect("an id");
        let sql = "select payload from event where aggregate_id = $1 order by aggregate_version";
        let mut reader = self.stage.database("payment").read().await.expect("reads");
        let rows = reader.query(sql, &[&id]).await.expect("reads");
        let event = |payload: &[u8]| PaymentEvent::decode(payload).expect("an event").event;
        rows.iter().filter_map(|row| event(row.get(0))).collect()
    }

    /// Refunds of a payment once they have all gone on: where to, how much, and of which part.
    async fn refunds(&self, order: Uuid, state: State) -> Vec<(PaymentMethod, i64, String)> {
        let ask = || async {
            let refunds = self.is(order, state).await.refunds;
            let done = |it: &Refund| it.state() == refund::State::Refunded;
            refunds.iter().all(done).then_some(refunds)
        };
        let refunds = eventually("refunds that are done", ask).await;
        let line = |it: Refund| (it.tender(), won(it.amount.as_ref()), it.part_id);
        refunds.into_iter().map(line).collect()
    }
}

fn parts_of(events: Vec<Event>) -> Vec<PaymentPartRefunded> {
    let part = |event| match event {
        Event::PaymentPartRefunded(part) => Some(part),
        _ => None,
    };
    events.into_iter().filter_map(part).collect()
}

#[tokio::test]
async fn parts_that_give_nothing_back_keep_nothing_from_going_on() {
    let shop = Shop::open(1_000).await;
    let order = shop.order_by_card(0).await;
    // As of goods that the coupon has paid for.
    for _ in 0..3 {
        let part = shop.part(order, 0, 0);
        assert!(!shop.refund_part(&part).await.expect("is carried out"));
        assert!(!shop.refund_part(&part).await.expect("is repeated"));
    }
    shop.cancel_order(order).await.expect("is cancelled");
    let payment = shop.is(order, State::Cancelled).await;
    let told = shop.told(&payment).await;
    let parts = told.iter().filter(|it| matches!(it, Event::PaymentPartRefunded(_)));
    assert_eq!(parts.count(), 3, "{told:?}");
}

#[tokio::test]
async fn a_payment_that_an_earlier_version_left_behind_its_log_goes_on() {
    let shop = Shop::open(1_000).await;
    let order = shop.order_by_card(0).await;
    shop.refund_part(&shop.part(order, 0, 0)).await.expect("is carried out");
    shop.database_does(&["update payment set version = version - 1"]).await;
    shop.cancel_order(order).await.expect_err("its next version is taken");
    shop.database_does(&[include_str!("../../../migrations/V11__versions.sql")]).await;
    shop.cancel_order(order).await.expect("is cancelled");
}

#[tokio::test]
async fn parts_of_a_card_and_of_the_wallet_go_back_to_each_and_then_the_rest() {
    let shop = Shop::open(1_000).await;
    let order = shop.order_by_card(500).await;
    let (first, second) = (shop.part(order, 1_000, 200), shop.part(order, 0, 100));
    for part in [&first, &first, &second, &first] {
        assert!(!shop.refund_part(part).await.expect("gives back"));
    }
    assert_eq!(shop.balance().await, 800);
    let payment = shop.is(order, State::Done).await;
    assert_eq!(won(payment.amount.as_ref()), 3_000, "what was paid");
    let one = |tender, won, part: &RefundPartRequest| (tender, won, part.part_id.clone());
    let (card, wallet) = (PaymentMethod::Card, PaymentMethod::Wallet);
    let mut refunds =
        vec![one(card, 1_000, &first), one(wallet, 200, &first), one(wallet, 100, &second)];
    assert_eq!(shop.refunds(order, State::Done).await, refunds);

    let told = shop.told(&payment).await;
    let of_part = |event: &Event| matches!(event, Event::PaymentRefunded(it) if it.of_part);
    assert_eq!(told.iter().filter(|event| of_part(event)).count(), 1, "{told:?}");
    let parts = parts_of(told);
    let left: Vec<i64> = parts.iter().map(|it| won(it.amount_left.as_ref())).collect();
    assert_eq!(left, [1_800, 1_700]);
    let by_card: Vec<bool> = parts.iter().map(|it| it.refund.is_some()).collect();
    assert_eq!(by_card, [true, false]);

    shop.cancel_order(order).await.expect("cancels");
    let rest = |tender, won| (tender, won, String::new());
    refunds.extend([rest(card, 1_500), rest(wallet, 200)]);
    assert_eq!(shop.refunds(order, State::Cancelled).await, refunds);
    assert_eq!(shop.balance().await, 1_000);
    // It was carried out before, and is not again; another one has nothing to give back.
    assert!(!shop.refund_part(&first).await.expect("the same answer"));
    let late = shop.refund_part(&shop.part(order, 1, 0)).await.expect_err("nothing is left");
    assert_eq!((late.kind(), late.reason()), (Kind::Conflict, "PAYMENT_CANCELLED"));
    shop.assert_books_balance().await;
    shop.stage.close().await;
}

#[tokio::test]
async fn what_a_wallet_paid_is_one_sum() {
    let shop = Shop::open(5_000).await;
    let order = shop.order_by(PaymentMethod::Wallet, 6, 3_000).await;
    shop.refund_part(&shop.part(order, 400, 600)).await.expect("gives back");
    assert_eq!(shop.balance().await, 3_000);
    shop.cancel_order(order).await.expect("cancels");
    assert_eq!(shop.balance().await, 5_000);
    shop.assert_books_balance().await;
    shop.stage.close().await;
}

#[tokio::test]
async fn a_part_that_nobody_can_have_is_refused_and_leaves_nothing() {
    let shop = Shop::open(1_000).await;
    let unknown = base::id::new();
    let pending = shop.refund_part(&shop.part(unknown, 1, 0)).await.expect_err("unknown");
    assert_eq!((pending.kind(), pending.reason()), (Kind::Conflict, "PAYMENT_PENDING"));
    let sql = "select count(*) from payment where order_id = $1";
    let mut reader = shop.stage.database("payment").read().await.expect("reads");
    let rows: i64 = reader.query_one(sql, &[&unknown]).await.expect("counts").get(0);
    assert_eq!(rows, 0);

    let order = shop.order_by_card(500).await;
    for (amount, wallet) in [(2_501, 0), (0, 501)] {
        let more = shop.part(order, amount, wallet);
        assert_eq!(shop.refund_part(&more).await.expect_err("too much").kind(), Kind::Internal);
    }
    let elsewhere = shop.part(order, 1, 0);
    shop.refund_part(&elsewhere).await.expect("gives back");
    let other = shop.order_by_card(0).await;
    let elsewhere = RefundPartRequest { order_id: other.to_string(), ..elsewhere };
    assert_eq!(shop.refund_part(&elsewhere).await.expect_err("another's").kind(), Kind::Invalid);
    assert_eq!(shop.refunds(order, State::Done).await.len(), 1);
    assert_eq!(shop.refunds(other, State::Done).await, []);
    shop.assert_books_balance().await;
    shop.stage.close().await;
}

#[tokio::test]
async fn a_part_of_a_transfer_goes_to_a_bank_account_or_to_the_wallet() {
    let shop = Shop::open(1_000).await;
    let order = shop.order_by_transfer(500).await;
    let by_member = RefundPartRequest { by_shop: false, ..shop.part(order, 1, 0) };
    let refused = shop.refund_part(&by_member).await.expect_err("a member's");
    assert_eq!((refused.kind(), refused.reason()), (Kind::Conflict, "DEPOSIT_CONFIRMED"));

    let to = |number| RefundPartRequest {
        refund_account: Some(account(number)),
        ..shop.part(order, 400, 10)
    };
    // The sandbox fails the second.
    let (sent, failed) = (to("110-234-567890"), to("110-234-560000"));
    let to_wallet = shop.part(order, 700, 0);
    for part in [&sent, &failed, &to_wallet, &sent] {
        assert!(!shop.refund_part(part).await.expect("gives back"));
    }
    let one = |tender, won, part: &RefundPartRequest| (tender, won, part.part_id.clone());
    let (bank, wallet) = (PaymentMethod::BankTransfer, PaymentMethod::Wallet);
    let expected = [
        one(bank, 400, &sent),
        one(wallet, 10, &sent),
        one(wallet, 400, &failed),
        one(wallet, 10, &failed),
        one(wallet, 700, &to_wallet),
    ];
    assert_eq!(shop.refunds(order, State::Done).await, expected);
    assert_eq!(shop.balance().await, 500 + 10 + 400 + 10 + 700);
    shop.cancel_order(order).await.expect("cancels");
    assert_eq!(shop.balance().await, 500 + 10 + 400 + 10 + 700 + 1_000 + 480);
    shop.assert_deposits_add_up().await;
    shop.stage.close().await;
}

#[tokio::test]
async fn less_is_waited_for_and_the_wallet_has_its_share_again() {
    let shop = Shop::open(1_000).await;
    let order = shop.order_by(PaymentMethod::BankTransfer, 6, 500).await;
    let part = RefundPartRequest { by_shop: false, ..shop.part(order, 1_000, 200) };
    for _ in 0..3 {
        assert!(shop.refund_part(&part).await.expect("waits for less"), "nothing had been paid");
    }
    let payment = shop.is(order, State::WaitingForDeposit).await;
    assert_eq!((won(payment.amount.as_ref()), shop.balance().await), (1_800, 700));
    let told = shop.told(&payment).await;
    let Some(Event::DepositReduced(reduced)) = told.last() else { panic!("{told:?}") };
    assert_eq!((won(reduced.amount.as_ref()), &reduced.part_id), (1_500, &part.part_id));

    let wrong = shop.confirm(&payment, 2_500).await.expect_err("not what is due");
    assert_eq!(wrong.reason(), "WRONG_AMOUNT");
    shop.confirm(&payment, 1_500).await.expect("what is due");
    assert!(shop.refund_part(&part).await.expect("the first answer"));
    let order = shop.order_by(PaymentMethod::BankTransfer, 6, 500).await;
    shop.refund_part(&shop.part(order, 1_000, 200)).await.expect("waits for less");
    shop.cancel_order(order).await.expect("cancels");
    assert_eq!(shop.balance().await, 700);
    shop.assert_deposits_add_up().await;
    shop.stage.close().await;
}

#[tokio::test]
async fn what_has_arrived_pays_when_it_is_all_that_is_due() {
    let shop = Shop::open(1_000).await;
    let order = shop.order_by(PaymentMethod::BankTransfer, 6, 500).await;
    let reference = shop.is(order, State::WaitingForDeposit).await.deposit_reference;
    let mut halves = Vec::new();
    for won in [900, 600] {
        halves.push(shop.arrives(&another(), won, &reference).await.expect("is recorded"));
    }
    shop.refund_part(&shop.part(order, 1_000, 0)).await.expect("waits for less");
    shop.is(order, State::Done).await;
    for half in halves {
        assert_eq!(shop.settled(&half.id).await.state(), deposit::State::Matched);
    }
    let sql = "select quantities from payment where order_id = $1";
    let mut reader = shop.stage.database("payment").read().await.expect("reads");
    let row = reader.query_one(sql, &[&order]).await.expect("is there");
    assert_eq!(row.get::<_, Vec<i32>>(0), [5], "what product was asked for");

    // More than is due is for somebody to see to.
    let order = shop.order_by(PaymentMethod::BankTransfer, 6, 0).await;
    let payment = shop.is(order, State::WaitingForDeposit).await;
    let much = shop.arrives(&another(), 2_500, &payment.deposit_reference).await;
    let much = much.expect("is recorded");
    shop.refund_part(&shop.part(order, 1_000, 0)).await.expect("waits for less");
    assert_eq!(shop.settled(&much.id).await.held_reason(), deposit::HeldReason::Excess);
    shop.match_with(&much.id, &payment).await.expect("pays");
    shop.is(order, State::Done).await;
    let much = shop.settled(&much.id).await;
    assert_eq!((won(much.matched_amount.as_ref()), won(much.held_amount.as_ref())), (2_000, 500));

    // Nothing is waited for that is nothing.
    let order = shop.order_by(PaymentMethod::BankTransfer, 6, 300).await;
    let payment = shop.is(order, State::WaitingForDeposit).await;
    let early = shop.arrives(&another(), 100, &payment.deposit_reference).await;
    shop.refund_part(&shop.part(order, 2_700, 100)).await.expect("waits for nothing");
    shop.is(order, State::Done).await;
    let early = shop.settled(&early.expect("is recorded").id).await;
    assert_eq!(early.held_reason(), deposit::HeldReason::Excess);
    shop.assert_deposits_add_up().await;
    shop.stage.close().await;
}

#[tokio::test]
async fn a_deposit_that_is_complete_waits_for_product_to_say_so() {
    let shop = Shop::open(1).await;
    let order = shop.order_by(PaymentMethod::BankTransfer, AWAY + 1, 0).await;
    let payment = shop.is(order, State::WaitingForDeposit).await;
    let half = shop.arrives(&another(), 2_000, &payment.deposit_reference).await;
    half.expect("is recorded");
    let part = shop.part(order, 1_000, 0);
    assert!(shop.refund_part(&part).await.expect("waits for less"));
    shop.is(order, State::Confirming).await;
    assert!(shop.refund_part(&part).await.expect("the first answer"));
    let another = shop.refund_part(&shop.part(order, 1, 0)).await.expect_err("not now");
    assert_eq!((another.kind(), another.reason()), (Kind::Unavailable, "CONFIRMING"));
    shop.stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_and_a_cancellation_meet_and_exactly_what_was_paid_goes_back() {
    let shop = Shop::open(4_000).await;
    let (mut before, mut after) = (0, 0);
    for round in 0..ROUNDS {
        let order = if round % 2 == 0 {
            shop.order_by_card(500).await
        } else {
            shop.order_by(PaymentMethod::Wallet, 6, 3_000).await
        };
        let wallet = if round % 2 == 0 { 120 } else { 0 };
        let (one, other) = (shop.part(order, 1_000, wallet), shop.part(order, 700, wallet));
        let (first, again, second, cancelled) = tokio::join!(
            shop.refund_part(&one),
            shop.refund_part(&one),
            shop.refund_part(&other),
            shop.cancel_order(order),
        );
        cancelled.expect("cancels");
        for part in [first, again, second] {
            match part {
                Ok(unpaid) => assert!(!unpaid),
                Err(refused) => assert_eq!(refused.reason(), "PAYMENT_CANCELLED"),
            }
        }
        let refunds = shop.refunds(order, State::Cancelled).await;
        assert_eq!(refunds.iter().map(|(_, won, _)| won).sum::<i64>(), 3_000, "{refunds:?}");
        let parts = refunds.iter().filter(|(.., part)| !part.is_empty()).count();
        if parts == 0 {
            after += 1;
        } else {
            before += 1;
        }
        assert_eq!(shop.balance().await, 4_000);
    }
    println!("{before} with parts first, {after} cancelled first");
    shop.assert_books_balance().await;
    shop.stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_a_deposit_and_a_cancellation_meet_and_nothing_is_lost() {
    let shop = Shop::open(1_000).await;
    for _ in 0..ROUNDS {
        let order = shop.order_by(PaymentMethod::BankTransfer, 6, 500).await;
        let reference = shop.is(order, State::WaitingForDeposit).await.deposit_reference;
        let (id, part) = (another(), shop.part(order, 1_000, 200));
        let (arrived, reduced, cancelled) = tokio::join!(
            shop.arrives(&id, 1_500, &reference),
            shop.refund_part(&part),
            shop.cancel_order(order),
        );
        if let Ok(arrived) = arrived {
            shop.settled(&arrived.id).await;
        }
        if cancelled.is_ok() {
            shop.is(order, State::Cancelled).await;
        } else if reduced.is_ok() {
            shop.is(order, State::Done).await;
        }
        // Whatever it came to, in the end all of it goes back.
        let ask = || async { shop.cancel_order(order).await.ok() };
        eventually("a cancellation", ask).await;
        shop.is(order, State::Cancelled).await;
    }
    shop.assert_deposits_add_up().await;
    shop.stage.close().await;
}
