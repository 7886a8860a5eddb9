//! Refunds that the acquirer refuses for good: found without their payment, asked for again, and settled by
//! hand, each in the books at every moment and none of them given back twice.

use std::{collections::BTreeMap, time::Duration};

use contracts::{
    clock::v1::{AdvanceRequest, clock_service_client::ClockServiceClient},
    order::v1::PaymentMethod,
    payment::v1::{
        GetRefundRequest, GetWalletRequest, ListRefundsRequest, ListRefundsResponse,
        RetryRefundRequest, SettleRefundRequest, refund_service_client::RefundServiceClient,
    },
};

use super::*;

/// What a refund is of: all of them are of 3,000 won but the part, which is of 700.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Order,
    Part,
    /// A charge that was found when nobody wanted it any more.
    Charge,
    TopUp,
}

const ALL: [Of; 4] = [Of::Order, Of::Part, Of::Charge, Of::TopUp];

impl Shop {
    fn refunds_client(&self) -> RefundServiceClient<tonic::transport::Channel> {
        RefundServiceClient::new(self.stage.channel())
    }

    async fn list(&self, state: refund::State, token: &str) -> Result<ListRefundsResponse, Error> {
        let request = ListRefundsRequest {
            state: state.into(),
            member_id: self.member.to_string(),
            page_size: 2,
            page_token: token.into(),
        };
        let request = self.stage.call(As::Seller(base::id::new()), request);
        Ok(self.refunds_client().list_refunds(request).await.map_err(Error::from)?.into_inner())
    }

    async fn all_in(&self, state: refund::State) -> Vec<Refund> {
        let (mut all, mut token) = (Vec::new(), String::new());
        loop {
            let page = self.list(state, &token).await.expect("lists");
            all.extend(page.refunds);
            if page.next_page_token.is_empty() {
                return all;
            }
            token = page.next_page_token;
        }
    }

    /// A charge of this kind whose refund the acquirer refuses, and what is shown of that refund.
    async fn refused(&self, of: Of) -> Refund {
        let known: Vec<String> =
            self.all_in(refund::State::Failed).await.into_iter().map(|it| it.id).collect();
        let order = base::id::new();
        match of {
            Of::Order => {
                self.authorise(order, "tok_final").await.expect("charges");
                self.cancel(order).await;
            }
            Of::Part => {
                self.authorise(order, "tok_final").await.expect("charges");
                self.refund_part(order, 700).await;
            }
            Of::Charge => {
                self.authorise(order, "tok_silence_final").await.expect_err("nobody heard");
            }
            Of::TopUp => {
                self.top_up(&order.to_string(), "tok_silence_final").await.expect_err("the same");
            }
        }
        let ask = || async {
            let failed = self.all_in(refund::State::Failed).await;
            failed.into_iter().find(|it| !known.contains(&it.id))
        };
        eventually("a refund that has failed", ask).await
    }

    async fn retry(&self, id: &str) -> Result<Refund, Error> {
        let request = RetryRefundRequest { refund_id: id.into() };
        let request = self.stage.command(As::Seller(base::id::new()), request);
        Ok(self.refunds_client().retry_refund(request).await.map_err(Error::from)?.into_inner())
    }

    async fn settle(&self, id: &str, tender: PaymentMethod) -> Result<Refund, Error> {
        let request = SettleRefundRequest {
            refund_id: id.into(),
            tender: tender.into(),
            reason: "they showed their card statement".into(),
        };
        let request = self.stage.command(As::Admin(self.admin()), request);
        Ok(self.refunds_client().settle_refund(request).await.map_err(Error::from)?.into_inner())
    }

    /// Whoever settles: some member's id.
    fn admin(&self) -> Uuid {
        self.member
    }

    async fn eventually_refunded_is(&self, id: &str, state: refund::State) -> Refund {
        let ask = || async {
            let request = GetRefundRequest { refund_id: id.into() };
            let request = self.stage.call(As::Admin(base::id::new()), request);
            let found = self.refunds_client().get_refund(request).await.expect("is there");
            let found = found.into_inner();
            (found.state() == state).then_some(found)
        };
        eventually(&format!("a refund {state:?}"), ask).await
    }

    /// From now on the acquirer refunds what it refused to.
    fn relents(&self) {
        for charge in self.books.lock().expect("no panic").values_mut() {
            charge.token = "tok_visa".into();
        }
    }

    /// What the acquirer has given back of the charge of a refund.
    fn gave_back(&self, refund: &Refund) -> i64 {
        let about = if refund.top_up_id.is_empty() { &refund.order_id } else { &refund.top_up_id };
        let books = self.books.lock().expect("no panic");
        books[about].cancels.iter().map(|(_, won)| won).sum()
    }

    /// What the ledger has in each account, and in the member's wallet.
    async fn accounts(&self) -> BTreeMap<String, i64> {
        let sql = "select account, sum(amount_minor)::bigint from ledger_entry group by account";
        let rows = reader(self).await.query(sql, &[]).await.expect("sums");
        let accounts: BTreeMap<String, i64> =
            rows.iter().map(|row| (row.get(0), row.get(1))).filter(|(_, sum)| *sum != 0).collect();
        let request = GetWalletRequest { member_id: self.member.to_string() };
        let request = self.stage.call(As::Member(self.member), request);
        let wallet = self.payments().get_wallet(request).await.expect("answers").into_inner();
        let balance = wallet.balance.expect("has one").units;
        assert_eq!(accounts.get("WALLET").copied().unwrap_or_default(), balance);
        assert_eq!(accounts.values().sum::<i64>(), 0);
        accounts
    }

    async fn advance(&self, hours: u64) {
        let duration = Duration::from_hours(hours).try_into().expect("a duration");
        let duration = Some(duration);
        let request = self.stage.call(As::Admin(base::id::new()), AdvanceRequest { duration });
        ClockServiceClient::new(self.stage.channel()).advance(request).await.expect("advances");
    }

    async fn tasks(&self) -> i64 {
        let sql = "select count(*) from task";
        reader(self).await.query_one(sql, &[]).await.expect("counts").get(0)
    }
}

#[tokio::test]
async fn a_refund_that_is_refused_is_found_and_asked_for_again_until_it_is_done() {
    let shop = Shop::open().await;
    let mut all = Vec::new();
    for of in ALL {
        let refund = shop.refused(of).await;
        let won = if of == Of::Part { 700 } else { 3_000 };
        assert_eq!(refund.amount.as_ref().expect("has one").units, won, "{of:?}");
        assert_eq!(refund.member_id, shop.member.to_string(), "{of:?}");
        assert_eq!(refund.failure, "NOT_CANCELABLE_PAYMENT", "{of:?}");
        let about = (!refund.order_id.is_empty(), !refund.top_up_id.is_empty());
        assert_eq!(about, (of != Of::TopUp, of == Of::TopUp), "{of:?}");
        assert_eq!(!refund.payment_id.is_empty(), of != Of::TopUp, "{of:?}");
        assert_eq!(!refund.part_id.is_empty(), of == Of::Part, "{of:?}");
        all.push(refund);
    }
    let ids = |refunds: &[Refund]| refunds.iter().map(|it| it.id.clone()).collect::<Vec<_>>();
    let newest_first: Vec<Refund> = all.iter().rev().cloned().collect();
    assert_eq!(ids(&shop.all_in(refund::State::Failed).await), ids(&newest_first));
    assert_eq!(ids(&shop.all_in(refund::State::Unspecified).await), ids(&newest_first));
    assert!(shop.all_in(refund::State::Refunded).await.is_empty());
    // A page token is good for the list that it came from.
    let page = shop.list(refund::State::Failed, "").await.expect("lists");
    let other = shop.list(refund::State::Refunded, &page.next_page_token).await;
    assert_eq!(other.expect_err("another list").kind(), Kind::Invalid);

    // Whoever asks for one again learns no more than they knew, until the acquirer relents.
    shop.retry(&all[0].id).await.expect("asks again");
    shop.eventually_refunded_is(&all[0].id, refund::State::Failed).await;
    shop.relents();
    for refund in &all {
        assert_eq!(shop.gave_back(refund), 0);
        shop.retry(&refund.id).await.expect("asks again");
        let done = shop.eventually_refunded_is(&refund.id, refund::State::Refunded).await;
        assert_eq!((done.failure.as_str(), done.settled_by.as_str()), ("", ""));
        assert_eq!(shop.gave_back(refund), refund.amount.as_ref().expect("has one").units);
        let late = shop.retry(&refund.id).await.expect_err("it is done");
        assert_eq!((late.kind(), late.reason()), (Kind::Conflict, "REFUND_NOT_FAILED"));
    }
    shop.assert_nothing_held().await;
    // The part's order still has the rest of what it paid.
    let left = [("CARD".to_owned(), -2_300), ("SALES".to_owned(), 2_300)];
    assert_eq!(shop.accounts().await, BTreeMap::from(left));
    shop.stage.close().await;
}

#[tokio::test]
async fn what_the_acquirer_refuses_is_settled_by_hand_and_never_asked_for_again() {
    use PaymentMethod::{BankTransfer, Card, Wallet};
    let shop = Shop::open().await;
    let account = |tender| match tender {
        Card => "CARD",
        BankTransfer => "BANK",
        _ => "WALLET",
    };
    let mut settled = Vec::new();
    for of in ALL {
        for tender in [Card, BankTransfer, Wallet] {
            let refund = shop.refused(of).await;
            let won = refund.amount.as_ref().expect("has one").units;
            let before = shop.accounts().await;
            let done = shop.settle(&refund.id, tender).await.expect("settles");
            assert_eq!((done.state(), done.tender()), (refund::State::Refunded, tender), "{of:?}");
            assert_eq!(done.settled_by, shop.admin().to_string());
            assert_eq!(done.settle_reason, "they showed their card statement");
            let mut after = before.clone();
            // What was charged for nothing is held until now; of a payment the card had it before.
            let from = if matches!(of, Of::Order | Of::Part) { "CARD" } else { "HELD" };
            *after.entry(from.into()).or_default() -= won;
            *after.entry(account(tender).into()).or_default() += won;
            after.retain(|_, sum| *sum != 0);
            assert_eq!(shop.accounts().await, after, "{of:?} {tender:?}");
            let again = shop.settle(&refund.id, Wallet).await.expect_err("it is settled");
            assert_eq!((again.kind(), again.reason()), (Kind::Conflict, "REFUND_NOT_FAILED"));
            settled.push(refund);
        }
    }
    // The acquirer would refund them by now; nobody asks it to.
    shop.relents();
    shop.advance(7).await;
    assert_eq!(shop.tasks().await, 0);
    assert!(settled.iter().all(|refund| shop.gave_back(refund) == 0));
    assert!(shop.all_in(refund::State::Failed).await.is_empty());
    let sql = "select count(*) from event where type = 'RefundSettled'";
    let told: i64 = reader(&shop).await.query_one(sql, &[]).await.expect("counts").get(0);
    assert_eq!(told, 12);
    shop.stage.close().await;
}

#[tokio::test]
async fn a_part_that_was_settled_elsewhere_is_not_given_back_with_the_rest() {
    let shop = Shop::open().await;
    let refund = shop.refused(Of::Part).await;
    shop.settle(&refund.id, PaymentMethod::BankTransfer).await.expect("settles");
    shop.relents();
    let order = refund.order_id.parse().expect("an id");
    shop.cancel(order).await;
    shop.eventually_is(order, "CANCELLED").await;
    assert_eq!(shop.gave_back(&refund), 2_300);
    // The shop has charged 3,000, which the acquirer still owes it but for what it gave back.
    let left = [("CARD".to_owned(), -700), ("BANK".to_owned(), 700)];
    assert_eq!(shop.accounts().await, BTreeMap::from(left));
    shop.stage.close().await;
}

#[tokio::test]
async fn with_all_of_a_charge_its_parts_are_given_back_too() {
    let shop = Shop::open().await;
    let part = shop.refused(Of::Part).await;
    let order = part.order_id.parse().expect("an id");
    // Both are refused; while the whole is being asked for, the part cannot be settled, nor after it.
    shop.relents();
    shop.cancel(order).await;
    let done = shop.eventually_refunded_is(&part.id, refund::State::Refunded).await;
    assert_eq!(done.tender(), PaymentMethod::Card);
    assert_eq!(shop.gave_back(&part), 3_000);
    shop.settle(&part.id, PaymentMethod::Wallet).await.expect_err("the card has it");
    assert!(shop.accounts().await.is_empty());
    shop.stage.close().await;
}

#[tokio::test]
async fn whoever_settles_and_whoever_asks_again_give_it_back_once() {
    let shop = Shop::open().await;
    for round in 0..24 {
        let of = ALL[round % ALL.len()];
        let refund = shop.refused(of).await;
        let before = shop.accounts().await;
        shop.relents();
        let (settled, credited, retried) = tokio::join!(
            shop.settle(&refund.id, PaymentMethod::BankTransfer),
            shop.settle(&refund.id, PaymentMethod::Wallet),
            shop.retry(&refund.id),
        );
        let done = shop.eventually_refunded_is(&refund.id, refund::State::Refunded).await;
        let won = refund.amount.as_ref().expect("has one").units;
        let by_hand = usize::from(settled.is_ok()) + usize::from(credited.is_ok());
        let by_card = usize::from(shop.gave_back(&refund) == won);
        assert_eq!((by_hand + by_card, done.settled_by.is_empty()), (1, by_card == 1), "{of:?}");
        assert!(retried.is_err() || by_card == 1, "{of:?}");
        let after = shop.accounts().await;
        let of = |account: &str| {
            let sum = |all: &BTreeMap<String, i64>| all.get(account).copied().unwrap_or_default();
            sum(&after) - sum(&before)
        };
        let moved = (of("BANK"), of("WALLET"));
        let expected =
            (if settled.is_ok() { won } else { 0 }, if credited.is_ok() { won } else { 0 });
        assert_eq!(moved, expected);
    }
    shop.stage.close().await;
}
