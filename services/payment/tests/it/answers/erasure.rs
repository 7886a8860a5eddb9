//! Members who leave: what is personal of them is gone, but for what is needed to pay money back, and that
//! goes once it is settled.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use base::id::Uuid;
use contracts::{
    Money,
    member::v1::{MemberErased, MemberEvent, MemberWithdrawn, member_event::Event},
    order::v1::BankAccount,
    payment::v1::{
        CreditDepositRequest, RecordDepositRequest, RefundDepositRequest, TopUpWalletRequest,
        deposit_service_client::DepositServiceClient, payment_service_client::PaymentServiceClient,
    },
};
use eventlog::Draft;
use prost::Message as _;
use serde_json::json;
use testkit::{
    eventually,
    stage::{As, Stage},
};
use tonic::transport::Channel;

use super::{
    bank::{advance, all_has_ended, open, pay_out},
    speaks::{Manner::Well, serve},
};

fn deposits(stage: &Stage) -> DepositServiceClient<Channel> {
    DepositServiceClient::new(stage.channel())
}

/// A deposit that nobody's payment waits for.
async fn deposit(stage: &Stage, transaction: &str) -> String {
    let request = RecordDepositRequest {
        bank_transaction_id: transaction.into(),
        amount: Some(Money::from(("KRW", 500))),
        depositor_name: "Kim".into(),
        ..RecordDepositRequest::default()
    };
    let request = stage.call(As::Seller(base::id::new()), request);
    deposits(stage).record_deposit(request).await.expect("records").into_inner().id
}

/// As if it were for an order of this member, which is long over.
async fn belongs_to(stage: &Stage, deposit: &str, member: Uuid) {
    let mut reader = stage.database("payment").read().await.expect("connects");
    let sql = "update deposit set member_id = $2 where id::text = $1";
    assert_eq!(reader.execute(sql, &[&deposit, &member]).await.expect("updates"), 1);
}

async fn tell(stage: &Stage, member: Uuid, version: i64, event: Event) {
    let kind = match event {
        Event::MemberWithdrawn(_) => "MemberWithdrawn",
        _ => "MemberErased",
    };
    let payload = MemberEvent { frame: None, event: Some(event) }.encode_to_vec();
    let mut tx = stage.database("member").begin().await.expect("begins");
    let draft = Draft::new(kind, member, version, member, payload);
    eventlog::append(&mut tx, &[draft]).await.expect("appends");
    tx.commit().await.expect("commits");
}

async fn leaves(stage: &Stage, member: Uuid) {
    let member_id = member.to_string();
    let withdrawn = MemberWithdrawn { member_id: member_id.clone() };
    tell(stage, member, 1, Event::MemberWithdrawn(withdrawn)).await;
    tell(stage, member, 2, Event::MemberErased(MemberErased { member_id })).await;
    let heard = || async {
        let mut reader = stage.database("payment").read().await.expect("reads");
        let sql = "select from erased_member where member_id = $1";
        reader.query_opt(sql, &[&member]).await.expect("reads")
    };
    eventually("the erasure heard of", heard).await;
}

/// Whatever payment still has of an account or a name: in which state.
async fn personal(stage: &Stage) -> Vec<(String, String)> {
    let mut reader = stage.database("payment").read().await.expect("reads");
    let sql = "select 'payout', state from payout where account_number <> '' or holder <> ''
         union all select 'deposit', state from deposit where depositor_name <> ''
         order by 1, 2";
    let rows = reader.query(sql, &[]).await.expect("reads");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

fn account() -> BankAccount {
    BankAccount { bank_code: "004".into(), account_number: "110234".into(), holder: "Kim".into() }
}

/// What a payout under way and a deposit that is held need is kept, and goes when they are settled.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_needed_to_pay_money_back_is_erased_once_it_is_settled() {
    let sends = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&sends);
    let url = serve(move |asked| {
        let known = asked.method == "POST" || switch.load(Ordering::SeqCst);
        let status = if switch.load(Ordering::SeqCst) { "SENT" } else { "PENDING" };
        (Well, if known { 200 } else { 404 }, json!({ "status": status }))
    });
    let stage = open("bank", &url.await).await;
    let member = base::id::new();
    let request = TopUpWalletRequest {
        member_id: member.to_string(),
        amount: Some(Money::from(("KRW", 3_000))),
        card_token: "tok_visa".into(),
    };
    let request = stage.call(As::Member(member), request);
    PaymentServiceClient::new(stage.channel()).top_up_wallet(request).await.expect("tops up");
    pay_out(&stage, member, "110-234-567890", 3_000).await;
    let (refunded, credited, foreign) = (
        deposit(&stage, "refunded").await,
        deposit(&stage, "credited").await,
        deposit(&stage, "somebody else's").await,
    );
    belongs_to(&stage, &refunded, member).await;

    leaves(&stage, member).await;
    let held = ("deposit".to_owned(), "HELD".to_owned());
    let requested = ("payout".to_owned(), "REQUESTED".to_owned());
    let all = vec![held.clone(), held.clone(), held.clone(), requested.clone()];
    assert_eq!(personal(&stage).await, all);

    // One goes back to whoever paid it, the other into the member's wallet; a stranger's stays held.
    let (admin, deposit_id) = (As::Admin(base::id::new()), refunded);
    let request = RefundDepositRequest { deposit_id, account: Some(account()) };
    deposits(&stage).refund_deposit(stage.call(admin, request)).await.expect("refunds");
    let request = CreditDepositRequest { deposit_id: credited, member_id: member.to_string() };
    deposits(&stage).credit_deposit(stage.call(admin, request)).await.expect("credits");
    let refunding = ("deposit".to_owned(), "REFUNDING".to_owned());
    let under_way = vec![held.clone(), refunding, requested.clone(), requested];
    assert_eq!(personal(&stage).await, under_way);

    sends.store(true, Ordering::SeqCst);
    advance(&stage, Duration::from_mins(1)).await;
    all_has_ended(&stage).await;
    assert_eq!(personal(&stage).await, [held]);
    let mut reader = stage.database("payment").read().await.expect("reads");
    let sql = "select count(*) from deposit where id::text = $1 and depositor_name = 'Kim'";
    let kept: i64 = reader.query_one(sql, &[&foreign]).await.expect("counts").get(0);
    assert_eq!(kept, 1, "nobody has erased whoever paid it");
    stage.close().await;
}

/// Whichever of the two comes first.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_settled_while_its_member_is_erased_is_erased() {
    let url = serve(|asked| {
        let status = if asked.method == "POST" { 200 } else { 404 };
        (Well, status, json!({ "status": "SENT" }))
    });
    let stage = open("bank", &url.await).await;
    for _ in 0..60 {
        let member = base::id::new();
        let request = TopUpWalletRequest {
            member_id: member.to_string(),
            amount: Some(Money::from(("KRW", 3_000))),
            card_token: "tok_visa".into(),
        };
        let request = stage.call(As::Member(member), request);
        PaymentServiceClient::new(stage.channel()).top_up_wallet(request).await.expect("tops up");
        tokio::join!(pay_out(&stage, member, "110-234-567890", 3_000), leaves(&stage, member));
        let gone = || async { personal(&stage).await.is_empty().then_some(()) };
        eventually("nothing personal", gone).await;
    }
    stage.close().await;
}
