//! An order's whole story, from the logs of those who play the other services.

use std::collections::BTreeMap;

use base::id::Uuid;
use contracts::mypage::v1::{
    GetOrderTimelineRequest, OrderTimeline, timeline_entry::Kind,
    timeline_service_client::TimelineServiceClient,
};
use eventlog::Draft;
use pg::Cause;
use testkit::stage::As;
use tonic::{Code, Response, Status};

use super::Shop;

impl Shop {
    async fn says(
        &self,
        service: &str,
        kind: &'static str,
        about: Uuid,
        cause: Option<Uuid>,
    ) -> Uuid {
        let mut tx = self.stage.database(service).begin().await.expect("begins");
        let draft = Draft::new(kind, base::id::new(), 1, about, Vec::new());
        let draft = draft.caused_by(Some(&Cause { causation_id: cause, headers: BTreeMap::new() }));
        eventlog::append(&mut tx, &[draft]).await.expect("appends");
        let sql = "select event_id from event order by id desc limit 1";
        let id = tx.query_one(sql, &[]).await.expect("is there").get(0);
        tx.commit().await.expect("commits");
        id
    }

    async fn timeline(&self, caller: As, order: Uuid) -> Result<OrderTimeline, Status> {
        let request = GetOrderTimelineRequest { order_id: order.to_string() };
        let request = self.stage.call(caller, request);
        let mut timelines = TimelineServiceClient::new(self.stage.channel());
        timelines.get_order_timeline(request).await.map(Response::into_inner)
    }
}

#[tokio::test]
async fn an_admin_reads_what_all_logs_say_of_an_order_and_who_did_not_answer() {
    let shop = Shop::open().await;
    let (order, admin) = (base::id::new(), As::Admin(base::id::new()));
    let placed = shop.says("order", "OrderPlaced", order, None).await;
    shop.says("order", "OrderPlaced", base::id::new(), None).await;
    let paid = shop.says("payment", "PaymentApproved", order, Some(placed)).await;
    shop.says("notification", "NotificationSent", order, Some(paid)).await;
    let story = shop.timeline(admin, order).await.expect("a story");
    let told: Vec<_> =
        story.entries.iter().map(|it| (&*it.service, &*it.r#type, it.kind())).collect();
    assert_eq!(
        told,
        [
            ("order", "OrderPlaced", Kind::Call),
            ("payment", "PaymentApproved", Kind::Event),
            ("notification", "NotificationSent", Kind::Message),
        ]
    );
    assert_eq!(story.entries[1].causation_id, placed.to_string());
    // Nobody plays it.
    assert_eq!(story.unavailable, ["product"]);
    for caller in [As::Member(base::id::new()), As::Seller(base::id::new())] {
        let refused = shop.timeline(caller, order).await.expect_err("not theirs");
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
    shop.stage.close().await;
}
