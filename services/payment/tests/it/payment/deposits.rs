//! Everything that can race for a deposit: one of them has it, and the books say so.

use std::sync::atomic::{AtomicI64, Ordering};

use base::Error;
use contracts::{
    Money,
    order::v1::BankAccount,
    payment::v1::{
        CancelPaymentRequest, CreditDepositRequest, Deposit, GetDepositRequest,
        MatchDepositRequest, Payment, RecordDepositRequest, RefundDepositRequest,
        deposit::{HeldReason, State},
        deposit_service_client::DepositServiceClient,
        payment,
    },
};
use testkit::{eventually, stage::As};

use super::Shop;

static TRANSACTIONS: AtomicI64 = AtomicI64::new(0);
/// How often each race is run.
const ROUNDS: i32 = 100;

pub(crate) fn another() -> String {
    format!("tx {}", TRANSACTIONS.fetch_add(1, Ordering::Relaxed))
}

impl Shop {
    fn deposits(&self) -> DepositServiceClient<tonic::transport::Channel> {
        DepositServiceClient::new(self.stage.channel())
    }

    pub(crate) async fn arrives(
        &self,
        id: &str,
        won: i64,
        reference: &str,
    ) -> Result<Deposit, Error> {
        let request = RecordDepositRequest {
            bank_transaction_id: id.into(),
            amount: Some(Money::from(("KRW", won))),
            depositor_name: "Kim".into(),
            reference: reference.into(),
            receive_time: None,
        };
        let request = self.stage.command(As::Seller(base::id::new()), request);
        let deposit = self.deposits().record_deposit(request).await.map_err(Error::from)?;
        Ok(deposit.into_inner())
    }

    async fn credit(&self, deposit: &str) -> Result<Deposit, Error> {
        let request =
            CreditDepositRequest { deposit_id: deposit.into(), member_id: self.member.to_string() };
        let request = self.stage.command(As::Seller(base::id::new()), request);
        Ok(self.deposits().credit_deposit(request).await.map_err(Error::from)?.into_inner())
    }

    async fn refund(&self, deposit: &str) -> Result<Deposit, Error> {
        let account = BankAccount {
            bank_code: "004".into(),
            account_number: "110-234-567890".into(),
            holder: "Kim".into(),
        };
        let request = RefundDepositRequest { deposit_id: deposit.into(), account: Some(account) };
        let request = self.stage.command(As::Seller(base::id::new()), request);
        Ok(self.deposits().refund_deposit(request).await.map_err(Error::from)?.into_inner())
    }

    pub(crate) async fn match_with(
        &self,
        deposit: &str,
        payment: &Payment,
    ) -> Result<Deposit, Error> {
        let request =
            MatchDepositRequest { deposit_id: deposit.into(), payment_id: payment.id.clone() };
        let request = self.stage.command(As::Seller(base::id::new()), request);
        Ok(self.deposits().match_deposit(request).await.map_err(Error::from)?.into_inner())
    }

    async fn cancel(&self, payment: &Payment) -> Result<(), Error> {
        let request = CancelPaymentRequest {
            order_id: payment.order_id.clone(),
            member_id: self.member.to_string(),
            ..CancelPaymentRequest::default()
        };
        let request = self.stage.call(As::ServiceFor("order", self.member), request);
        self.payments.clone().cancel_payment(request).await.map(drop).map_err(Error::from)
    }

    /// A deposit as it is when nothing is under way any more.
    pub(crate) async fn settled(&self, deposit: &str) -> Deposit {
        eventually("a deposit at rest", || async {
            let request = GetDepositRequest { deposit_id: deposit.into() };
            let request = self.stage.call(As::Seller(base::id::new()), request);
            let now = self.deposits().get_deposit(request).await.ok()?.into_inner();
            let held = now.held_reason() != HeldReason::Unspecified;
            let rests = now.state() == State::Matched || (now.state() == State::Held && held);
            (rests || matches!(now.state(), State::Refunded | State::Credited)).then_some(now)
        })
        .await
    }

    /// What is held, and on its way out, is what the deposits and payouts say; nothing is in between.
    pub(crate) async fn assert_deposits_add_up(&self) {
        let sql = "
            select (select coalesce(sum(amount_minor), 0)::bigint from ledger_entry
                where account = 'HELD')
              - (select coalesce(sum(held_minor), 0)::bigint from deposit),
              (select coalesce(sum(amount_minor), 0)::bigint from ledger_entry
                where account = 'PAYOUT')
              - (select coalesce(sum(amount_minor), 0)::bigint from payout
                where state = 'REQUESTED'),
              (select count(*) from payment p where state = 'DONE' and method = 'BANK_TRANSFER'
                and amount_minor + refunded_minor <> (select coalesce(sum(matched_minor), 0) from deposit d
                  where d.order_id = p.order_id)),
              (select count(*) from deposit where state = 'MATCHING')";
        let mut reader = self.stage.database("payment").read().await.expect("reads");
        let row = reader.query_one(sql, &[]).await.expect("sums");
        let seen: [i64; 4] = [row.get(0), row.get(1), row.get(2), row.get(3)];
        assert_eq!(seen, [0; 4]);
        self.assert_books_balance().await;
    }
}

pub(crate) fn won(money: Option<&Money>) -> i64 {
    money.map_or(0, |money| money.units)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_transaction_is_one_deposit_however_often_it_is_told() {
    let shop = Shop::open(1).await;
    for _ in 0..ROUNDS {
        let payment = shop.waiting(1).await;
        let id = another();
        let arrives = || shop.arrives(&id, 3_000, &payment.deposit_reference);
        let all = tokio::join!(arrives(), arrives(), arrives());
        let ids: Vec<String> =
            [all.0, all.1, all.2].into_iter().flatten().map(|deposit| deposit.id).collect();
        assert!(!ids.is_empty() && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!(shop.settled(&ids[0]).await.state(), State::Matched);
    }
    shop.assert_deposits_add_up().await;
    shop.stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_deposits_for_one_payment_one_pays_it() {
    let shop = Shop::open(1).await;
    for _ in 0..ROUNDS {
        let payment = shop.waiting(1).await;
        let (first, second) = (another(), another());
        let arrives = async |id: &str| loop {
            // Whoever comes while the other is being matched is told to come again.
            if let Ok(deposit) = shop.arrives(id, 3_000, &payment.deposit_reference).await {
                break deposit;
            }
        };
        let (one, other) = tokio::join!(arrives(&first), arrives(&second));
        let matched =
            [&one, &other].iter().filter(|it| won(it.matched_amount.as_ref()) > 0).count();
        assert_eq!(matched, 1, "{one:?} {other:?}");
    }
    shop.assert_deposits_add_up().await;
    shop.stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_halves_pay_together_whoever_comes_first() {
    let shop = Shop::open(1).await;
    for _ in 0..ROUNDS {
        let payment = shop.waiting(1).await;
        let (first, second) = (another(), another());
        let (one, other) = tokio::join!(
            shop.arrives(&first, 1_000, &payment.deposit_reference),
            shop.arrives(&second, 2_000, &payment.deposit_reference),
        );
        for half in [one, other] {
            let half = half.expect("is recorded");
            assert_eq!(shop.settled_as(&half.id, State::Matched).await.state(), State::Matched);
        }
    }
    assert_eq!(shop.payments_in(payment::State::WaitingForDeposit).await.len(), 0);
    shop.assert_deposits_add_up().await;
    shop.stage.close().await;
}

impl Shop {
    async fn settled_as(&self, deposit: &str, state: State) -> Deposit {
        eventually(&format!("a deposit {state:?}"), || async {
            let now = self.settled(deposit).await;
            (now.state() == state).then_some(now)
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_deposit_is_matched_refunded_or_credited_by_one_of_them() {
    let shop = Shop::open(1).await;
    for _ in 0..ROUNDS {
        let payment = shop.waiting(1).await;
        let held = shop.arrives(&another(), 3_000, "").await.expect("is recorded");
        assert_eq!(held.held_reason(), HeldReason::Unmatched);
        let (one, other, third) = tokio::join!(
            shop.match_with(&held.id, &payment),
            shop.refund(&held.id),
            shop.credit(&held.id),
        );
        let done = [&one, &other, &third].iter().filter(|it| it.is_ok()).count();
        assert_eq!(done, 1, "{one:?} {other:?} {third:?}");
        shop.settled(&held.id).await;
    }
    shop.assert_deposits_add_up().await;
    shop.stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_and_a_cancellation_meet_and_nothing_is_lost() {
    let shop = Shop::open(1).await;
    for _ in 0..ROUNDS {
        let payment = shop.waiting(1).await;
        let half = shop.arrives(&another(), 1_000, &payment.deposit_reference).await;
        let half = half.expect("is recorded");
        let id = another();
        let (arrived, cancelled, credited) = tokio::join!(
            shop.arrives(&id, 2_000, &payment.deposit_reference),
            shop.cancel(&payment),
            shop.credit(&half.id),
        );
        if let (Ok(arrived), true, true) = (&arrived, cancelled.is_err(), credited.is_err()) {
            assert_eq!(shop.settled(&arrived.id).await.state(), State::Matched);
        }
        shop.settled(&half.id).await;
    }
    shop.assert_deposits_add_up().await;
    shop.stage.close().await;
}
