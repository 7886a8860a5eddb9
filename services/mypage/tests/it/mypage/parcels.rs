//! What a page shows of an order's parcel: who carries it, where it goes, that it has arrived, and why the
//! order was closed.

use base::id::Uuid;
use contracts::{
    delivery::v1::{
        DeliveryDelivered, DeliveryDispatched, DeliveryEvent, delivery, delivery_event,
    },
    member::v1::{Address, MemberErased, MemberEvent, member_event},
    mypage::v1::{OrderView, ShowAddressRequest},
    order::v1::{
        OrderClosed, OrderDelivered, OrderPlaced,
        order::{CloseReason, State},
        order_event,
    },
};
use testkit::{eventually, stage::As};

use super::Shop;

impl Shop {
    async fn delivery(&self, kind: &'static str, order: Uuid, event: delivery_event::Event) {
        let event = DeliveryEvent { frame: None, event: Some(event) };
        self.publish("delivery", kind, order, event).await;
    }

    async fn goes_to(&self, order: Uuid, recipient: &str) {
        let address = Address { recipient: recipient.into(), ..Address::default() };
        let message = ShowAddressRequest {
            order_id: order.to_string(),
            member_id: self.member.to_string(),
            address: Some(address),
        };
        let request = self.stage.call(As::ServiceFor("order", self.member), message);
        self.pages.clone().show_address(request).await.expect("is told");
    }

    async fn eventually_my_order(&self, order: Uuid, is: impl Fn(&OrderView) -> bool) -> OrderView {
        let ask = || async { self.my_order(order).await.filter(&is) };
        eventually("the order", ask).await
    }
}

fn recipient(view: &OrderView) -> Option<&str> {
    view.address.as_ref().map(|address| &*address.recipient)
}

#[tokio::test]
async fn a_parcel_shows_with_where_it_goes_until_its_member_is_erased() {
    let shop = Shop::with_member().await;
    let order = base::id::new();
    let (order_id, member_id) = (order.to_string(), shop.member.to_string());
    // Before the order itself.
    shop.goes_to(order, "Kim").await;
    shop.goes_to(order, "Lee").await;
    let placed = OrderPlaced {
        order_id: order_id.clone(),
        member_id: member_id.clone(),
        ..OrderPlaced::default()
    };
    shop.order("OrderPlaced", order, order_event::Event::OrderPlaced(placed)).await;
    let sent = DeliveryDispatched {
        delivery_id: base::id::new().to_string(),
        order_id: order_id.clone(),
        member_id: member_id.clone(),
        carrier: "CJ".into(),
        tracking_number: "1234".into(),
    };
    let sent = delivery_event::Event::DeliveryDispatched(sent);
    shop.delivery("DeliveryDispatched", order, sent).await;
    let arrived = DeliveryDelivered {
        delivery_id: base::id::new().to_string(),
        order_id: order_id.clone(),
        member_id: member_id.clone(),
        deliver_time: None,
    };
    let arrived = delivery_event::Event::DeliveryDelivered(arrived);
    shop.delivery("DeliveryDelivered", order, arrived).await;
    let delivered = OrderDelivered {
        order_id: order_id.clone(),
        member_id: member_id.clone(),
        returnable_until: None,
    };
    shop.order("OrderDelivered", order, order_event::Event::OrderDelivered(delivered)).await;
    let reason = CloseReason::DaysAfterDelivery.into();
    let closed =
        OrderClosed { order_id, member_id: member_id.clone(), reason, returnable_until: None };
    shop.order("OrderClosed", order, order_event::Event::OrderClosed(closed)).await;

    let view = shop
        .eventually_my_order(order, |it| {
            it.state() == State::Closed && it.delivery_state() == delivery::State::Delivered
        })
        .await;
    assert_eq!((&*view.carrier, &*view.tracking_number), ("CJ", "1234"));
    assert_eq!(recipient(&view), Some("Kim"), "the first that was said");
    let history: Vec<_> = view.history.iter().map(|it| (&*it.label, it.close_reason())).collect();
    let none = CloseReason::Unspecified;
    assert_eq!(
        history,
        [("주문접수", none), ("배송완료", none), ("수령확인", CloseReason::DaysAfterDelivery)]
    );

    let erased = Some(member_event::Event::MemberErased(MemberErased { member_id }));
    let erased = MemberEvent { frame: None, event: erased };
    shop.publish("member", "MemberErased", shop.member, erased).await;
    shop.eventually_my_order(order, |it| it.address.is_none()).await;
    shop.goes_to(order, "Kim").await;
    assert_eq!(recipient(&shop.my_order(order).await.expect("is there")), None, "it came late");
    shop.stage.close().await;
}
