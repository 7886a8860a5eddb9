//! What fills, corrects and empties a wallet, by the sandboxes.

use base::{Error, error::Kind};
use contracts::{
    Money,
    order::v1::BankAccount,
    payment::v1::{
        self as pb, AdjustWalletRequest, GetPayoutRequest, ListPayoutsRequest,
        ListWalletEntriesRequest, PayOutWalletRequest, Payout, TopUpWalletRequest, WalletEntry,
        payout, wallet_entry,
    },
};
use testkit::{eventually, stage::As};

use super::Shop;

impl Shop {
    async fn fill(&self, won: i64, card_token: &str) -> Result<i64, Error> {
        let request = TopUpWalletRequest {
            member_id: self.member.to_string(),
            amount: Some(Money::from(("KRW", won))),
            card_token: card_token.into(),
        };
        let request = self.stage.command(As::Member(self.member), request);
        let wallet = self.payments.clone().top_up_wallet(request).await.map_err(Error::from)?;
        Ok(wallet.into_inner().balance.expect("has one").units)
    }

    async fn adjust(&self, who: As, won: i64, reason: &str) -> Result<i64, Error> {
        let request = AdjustWalletRequest {
            member_id: self.member.to_string(),
            amount: Some(Money::from(("KRW", won))),
            reason: reason.into(),
        };
        let request = self.stage.command(who, request);
        let wallet = self.payments.clone().adjust_wallet(request).await.map_err(Error::from)?;
        Ok(wallet.into_inner().balance.expect("has one").units)
    }

    async fn pay_out(&self, who: As, won: i64, number: &str) -> Result<Payout, Error> {
        let account = BankAccount {
            bank_code: "004".into(),
            account_number: number.into(),
            holder: "Kim".into(),
        };
        let request = PayOutWalletRequest {
            member_id: self.member.to_string(),
            amount: Some(Money::from(("KRW", won))),
            account: Some(account),
        };
        let request = self.stage.command(who, request);
        let payout = self.payments.clone().pay_out_wallet(request).await.map_err(Error::from)?;
        Ok(payout.into_inner())
    }

    async fn eventually_is(&self, payout: &Payout, state: payout::State) -> Payout {
        let ask = || async {
            let request = GetPayoutRequest { payout_id: payout.id.clone() };
            let request = self.stage.call(As::Member(self.member), request);
            let now = self.payments.clone().get_payout(request).await.ok()?.into_inner();
            (now.state() == state).then_some(now)
        };
        eventually(&format!("a payout {state:?}"), ask).await
    }

    async fn entries(&self) -> Vec<WalletEntry> {
        let request = ListWalletEntriesRequest {
            member_id: self.member.to_string(),
            ..ListWalletEntriesRequest::default()
        };
        let request = self.stage.call(As::Member(self.member), request);
        let entries = self.payments.clone().list_wallet_entries(request).await.expect("lists");
        entries.into_inner().entries
    }
}

#[tokio::test]
async fn a_wallet_is_filled_by_card_or_not_at_all() {
    let shop = Shop::open(1_000).await;
    let declined = shop.fill(500, "tok_declined").await.expect_err("declined");
    assert_eq!((declined.kind(), declined.reason()), (Kind::Conflict, "CARD_DECLINED"));
    let no_card = shop.fill(500, "").await.expect_err("refused");
    assert_eq!(no_card.kind(), Kind::Invalid);
    assert!(no_card.to_string().contains("cardToken"), "{no_card}");
    assert_eq!(shop.balance().await, 1_000);
    assert_eq!(shop.fill(500, "tok_visa").await.expect("charges"), 1_500);
    assert_eq!(shop.stage.unanswered_keys("payment").await, 0);
    shop.assert_books_balance().await;
    shop.stage.close().await;
}

#[tokio::test]
async fn an_admin_corrects_a_balance_with_a_reason() {
    let shop = Shop::open(1_000).await;
    let admin = base::id::new();
    assert_eq!(shop.adjust(As::Admin(admin), 500, "a gift").await.expect("adds"), 1_500);
    assert_eq!(shop.adjust(As::Admin(admin), -1_500, "a mistake").await.expect("takes"), 0);
    let short = shop.adjust(As::Admin(admin), -1, "more").await.expect_err("nothing left");
    assert_eq!((short.kind(), short.reason()), (Kind::Conflict, "INSUFFICIENT_BALANCE"));
    for (won, reason) in [(0, "none"), (1, " "), (1_000_000_001, "much")] {
        let refused = shop.adjust(As::Admin(admin), won, reason).await.expect_err("refused");
        assert_eq!(refused.kind(), Kind::Invalid);
    }
    let refused = shop.adjust(As::Member(shop.member), 1, "for me").await.expect_err("refused");
    assert_eq!(refused.kind(), Kind::Forbidden);

    let entry = &shop.entries().await[0];
    assert_eq!(entry.kind(), wallet_entry::Kind::Adjustment);
    assert_eq!((&*entry.reason, &*entry.actor_id), ("a mistake", &*admin.to_string()));
    shop.assert_books_balance().await;
    shop.stage.close().await;
}

#[tokio::test]
async fn a_balance_is_paid_out_and_is_back_when_the_bank_refuses() {
    let shop = Shop::open(1_000).await;
    let owner = As::Member(shop.member);
    let sent = shop.pay_out(owner, 600, "110-234-567890").await.expect("pays out");
    assert_eq!(sent.account.as_ref().expect("one").account_number, "**********7890");
    assert_eq!(shop.balance().await, 400);
    shop.eventually_is(&sent, payout::State::Sent).await;

    let refused = shop.pay_out(owner, 400, "110-234-560000").await.expect("pays out");
    let refused = shop.eventually_is(&refused, payout::State::Failed).await;
    assert_eq!((&*refused.failure, shop.balance().await), ("ACCOUNT_CLOSED", 400));

    let short = shop.pay_out(owner, 401, "110-234-567890").await.expect_err("too much");
    assert_eq!(short.reason(), "INSUFFICIENT_BALANCE");
    // While its owner is there, nobody else empties a wallet.
    let admin = As::Admin(base::id::new());
    let active = shop.pay_out(admin, 1, "110-234-567890").await.expect_err("active");
    assert_eq!((active.kind(), active.reason()), (Kind::Conflict, "MEMBER_ACTIVE"));

    let kinds: Vec<_> = shop.entries().await.iter().map(WalletEntry::kind).collect();
    let (out, top_up) = (wallet_entry::Kind::Payout, wallet_entry::Kind::TopUp);
    assert_eq!(kinds, [wallet_entry::Kind::PayoutFailed, out, out, top_up]);
    let list = ListPayoutsRequest { state: payout::State::Sent.into(), ..Default::default() };
    let list = shop.stage.call(admin, list);
    let list = shop.payments.clone().list_payouts(list).await.expect("lists").into_inner();
    assert_eq!(list.payouts.iter().map(|it| &it.id).collect::<Vec<_>>(), [&sent.id]);
    shop.assert_books_balance().await;
    shop.stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balance_goes_out_once_however_many_ask() {
    let shop = Shop::open(1_000).await;
    for round in 1..=100_i64 {
        let owner = As::Member(shop.member);
        let (one, another) = tokio::join!(
            shop.pay_out(owner, 1_000, "110-234-567890"),
            shop.pay_out(owner, 1_000, "110-234-567890"),
        );
        assert_eq!(i32::from(one.is_ok()) + i32::from(another.is_ok()), 1, "round {round}");
        shop.top_up(1_000).await;
    }
    shop.assert_books_balance().await;
    shop.stage.close().await;
}

impl Shop {
    pub(crate) async fn database_does(&self, statements: &[&'static str]) {
        let mut reader = self.stage.database("payment").read().await.expect("connects");
        for sql in statements {
            reader.execute(sql, &[]).await.expect(sql);
        }
    }
}

/// As Postgres says it (53100) when it cannot extend a file.
#[tokio::test]
async fn while_the_disk_is_full_commands_are_refused_reads_go_on_and_it_recovers_by_itself() {
    let shop = Shop::open(3_000).await;
    let full = [
        "create function full_disk() returns trigger language plpgsql as $$ begin
           raise exception 'could not extend file: No space left on device'
             using errcode = 'disk_full'; end $$",
        "create trigger full_disk before insert on ledger_transaction
         for each statement execute function full_disk()",
    ];
    shop.database_does(&full).await;
    for _ in 0..3 {
        let refused = shop.adjust(As::Admin(base::id::new()), 5, "a test").await.expect_err("full");
        assert_eq!(
            (refused.kind(), refused.reason()),
            (Kind::Unavailable, "DATABASE_UNAVAILABLE"),
            "{refused}"
        );
        assert!(!refused.to_string().contains("file"), "callers read what it means to them");
    }
    let order = base::id::new();
    shop.publish(vec![(order, shop.placed(order, 1_000))]).await;
    assert_eq!(shop.balance().await, 3_000);
    assert!(shop.payments_in(pb::payment::State::Done).await.is_empty());

    shop.database_does(&["drop trigger full_disk on ledger_transaction"]).await;
    shop.eventually(pb::payment::State::Done, 1).await;
    assert_eq!(shop.adjust(As::Admin(base::id::new()), 5, "a test").await.expect("adds"), 2_005);
    shop.assert_books_balance().await;
    shop.stage.close().await;
}
