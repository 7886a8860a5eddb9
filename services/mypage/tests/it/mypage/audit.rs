//! What people of the shop did with refunds that the acquirer refuses.

use contracts::{
    Money,
    mypage::v1::{
        AuditEntry, ListAuditEntriesRequest, audit_entry::Action,
        audit_service_client::AuditServiceClient,
    },
    order::v1::PaymentMethod,
    payment::v1::{PaymentEvent, RefundRetried, RefundSettled, payment_event::Event},
};
use testkit::{eventually, stage::As};

use super::Shop;

#[tokio::test]
async fn who_asks_again_for_a_refund_and_who_settles_it_is_kept_with_the_reason() {
    let shop = Shop::open().await;
    let (refund, retrier, settler) = (base::id::new(), base::id::new(), base::id::new());
    let amount = Some(Money::from(("KRW", 3_000)));
    let retried = RefundRetried {
        refund_id: refund.to_string(),
        amount: amount.clone(),
        actor_id: retrier.to_string(),
    };
    let settled = RefundSettled {
        refund_id: refund.to_string(),
        member_id: shop.member.to_string(),
        tender: PaymentMethod::BankTransfer.into(),
        amount,
        reason: "the card is closed".into(),
        actor_id: settler.to_string(),
    };
    for (kind, event) in [
        ("RefundRetried", Event::RefundRetried(retried)),
        ("RefundSettled", Event::RefundSettled(settled)),
    ] {
        let event = PaymentEvent { frame: None, event: Some(event) };
        shop.publish("payment", kind, refund, event).await;
    }
    let listed = || async {
        let subject_id = refund.to_string();
        let request = ListAuditEntriesRequest { subject_id, ..ListAuditEntriesRequest::default() };
        let request = shop.stage.call(As::Admin(base::id::new()), request);
        let list = AuditServiceClient::new(shop.stage.channel()).list_audit_entries(request).await;
        let entries = list.expect("lists").into_inner().entries;
        // Each was said twice, by an event of its own.
        (entries.len() == 4).then_some(entries)
    };
    let entries = eventually("all of them", listed).await;
    let (retrier, settler) = (retrier.to_string(), settler.to_string());
    let of = |entry: &AuditEntry| {
        (entry.action(), entry.actor_id.clone(), entry.reason.clone(), entry.change.clone())
    };
    let change = || "3000 KRW".to_owned();
    let settled = (Action::RefundSettled, settler, "the card is closed".to_owned(), change());
    let retried = (Action::RefundRetried, retrier, String::new(), change());
    let newest_first = [settled.clone(), settled, retried.clone(), retried];
    assert_eq!(entries.iter().map(of).collect::<Vec<_>>(), newest_first);
    shop.stage.close().await;
}
