//! Watching a page: nothing is missed, whenever a watch breaks off.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use contracts::{
    delivery::v1::{DeliveryEvent, DeliveryStarted, delivery, delivery_event},
    mypage::v1::{WatchMyPageRequest, WatchMyPageResponse},
    payment::v1::PaymentApproved,
};
use tokio::time::timeout;
use tonic::Streaming;

use super::*;

impl Shop {
    async fn watch(&self, who: As, after: &str) -> Result<Streaming<WatchMyPageResponse>, Error> {
        let (member_id, last_event_id) = (self.member.to_string(), after.to_owned());
        let request = self.stage.call(who, WatchMyPageRequest { member_id, last_event_id });
        let opened = self.pages.clone().watch_my_page(request).await.map_err(Error::from)?;
        Ok(opened.into_inner())
    }

    pub(crate) async fn own_watch(&self, after: &str) -> Streaming<WatchMyPageResponse> {
        self.watch(As::Member(self.member), after).await.expect("opens")
    }

    async fn placed(&self, order: Uuid) {
        let placed = order_event::Event::OrderPlaced(OrderPlaced {
            order_id: order.to_string(),
            member_id: self.member.to_string(),
            ..OrderPlaced::default()
        });
        self.order("OrderPlaced", order, placed).await;
    }

    async fn paid(&self, order: Uuid) {
        let approved = payment_event::Event::PaymentApproved(PaymentApproved {
            order_id: order.to_string(),
            member_id: self.member.to_string(),
            ..PaymentApproved::default()
        });
        self.payment("PaymentApproved", order, approved).await;
    }

    async fn delivering(&self, order: Uuid) {
        let event = Some(delivery_event::Event::DeliveryStarted(DeliveryStarted {
            order_id: order.to_string(),
            member_id: self.member.to_string(),
            ..DeliveryStarted::default()
        }));
        let event = DeliveryEvent { frame: None, event };
        self.publish("delivery", "DeliveryStarted", order, event).await;
    }
}

pub(crate) async fn next(
    watch: &mut Streaming<WatchMyPageResponse>,
) -> Result<WatchMyPageResponse, Error> {
    let message = timeout(Duration::from_secs(10), watch.message()).await.expect("in time");
    Ok(message.map_err(Error::from)?.expect("a watch does not just end"))
}

/// The next message that shows this.
async fn until(
    watch: &mut Streaming<WatchMyPageResponse>,
    is: impl Fn(&WatchMyPageResponse) -> bool,
) -> WatchMyPageResponse {
    loop {
        let message = next(watch).await.expect("a message");
        if is(&message) {
            return message;
        }
    }
}

#[tokio::test]
async fn a_watch_begins_with_what_there_is_and_goes_on_with_what_changes() {
    let shop = Shop::with_member().await;
    let (old, new) = (base::id::new(), base::id::new());
    shop.placed(old).await;
    eventually("the order", || shop.my_order(old)).await;

    let mut watch = shop.own_watch("").await;
    let (first, second) = (next(&mut watch).await, next(&mut watch).await);
    let page = first.expect("the page").page.expect("the page");
    assert_eq!(page, shop.page(As::Member(shop.member)).await.expect("theirs"));
    let order = second.expect("the order").order.expect("the order");
    assert_eq!(Some(order), shop.my_order(old).await);

    shop.earned(base::id::new(), 100).await;
    let richer = |page: &MyPage| page.mileage_balance == 100;
    until(&mut watch, |message| message.page.as_ref().is_some_and(richer)).await;
    shop.placed(new).await;
    let placed = |order: &OrderView| order.order_id == new.to_string();
    until(&mut watch, |message| message.order.as_ref().is_some_and(placed)).await;
    shop.stage.close().await;
}

#[tokio::test]
async fn a_watch_that_breaks_off_after_each_message_misses_nothing() {
    let shop = Shop::with_member().await;
    let orders: Vec<Uuid> = (0..30).map(|_| base::id::new()).collect();
    // Three consumers change the same rows, side by side.
    let change = async {
        for order in &orders {
            tokio::join!(shop.placed(*order), shop.paid(*order), shop.delivering(*order));
        }
    };
    let watch = async {
        let (mut seen, mut cursor) = (HashMap::new(), String::new());
        let done = |order: &OrderView| {
            order.payment_state() == payment::State::Done
                && order.delivery_state() == delivery::State::Started
        };
        while seen.values().filter(|order| done(order)).count() < orders.len() {
            let message = next(&mut shop.own_watch(&cursor).await).await.expect("a message");
            assert_ne!(message.event_id, cursor, "nothing comes twice");
            cursor = message.event_id;
            if let Some(order) = message.order {
                seen.insert(order.order_id.clone(), order);
            }
        }
        seen
    };
    let ((), seen) = tokio::join!(change, watch);
    for order in orders {
        assert_eq!(shop.my_order(order).await.as_ref(), seen.get(&order.to_string()));
    }
    shop.stage.close().await;
}

#[tokio::test]
async fn more_orders_than_are_read_at_once_all_come() {
    let shop = Shop::with_member().await;
    let orders: Vec<Uuid> = (0..120).map(|_| base::id::new()).collect();
    for order in &orders {
        shop.placed(*order).await;
    }
    let all = |page: &MyPage| page.order_count == 120;
    shop.eventually("all orders", all).await;
    let mut watch = shop.own_watch("").await;
    let mut missing: HashSet<_> = orders.iter().map(Uuid::to_string).collect();
    let mut page = None;
    while !missing.is_empty() || page.is_none() {
        let message = next(&mut watch).await.expect("a message");
        page = message.page.or(page);
        missing.remove(&message.order.unwrap_or_default().order_id);
    }
    assert_eq!(page.expect("a page").order_count, 120);
    shop.stage.close().await;
}

#[tokio::test]
async fn a_watch_is_its_owners_alone() {
    let shop = Shop::with_member().await;
    for (caller, kind) in [
        (As::Nobody, Kind::Unauthenticated),
        (As::Member(base::id::new()), Kind::NotFound),
        (As::Admin(base::id::new()), Kind::NotFound),
        (As::Service("order"), Kind::Forbidden),
    ] {
        let refused = shop.watch(caller, "").await.expect_err("refused");
        assert_eq!(refused.kind(), kind, "{caller:?}");
    }
    let wrong = shop.watch(As::Member(shop.member), "yesterday").await.expect_err("no cursor");
    assert_eq!(wrong.reason(), "INVALID_FIELD");
    shop.stage.close().await;
}

#[tokio::test]
async fn a_withdrawal_is_the_last_that_is_seen() {
    let shop = Shop::with_member().await;
    let mut watch = shop.own_watch("").await;
    shop.withdrawn().await;
    let gone = |message: &WatchMyPageResponse| {
        let state = message.page.as_ref().map(MyPage::state);
        state == Some(member::State::Withdrawn)
    };
    until(&mut watch, gone).await;
    assert_eq!(next(&mut watch).await.expect_err("over").reason(), "MEMBER_WITHDRAWN");
    shop.stage.close().await;
}

#[tokio::test]
async fn a_watch_ends_with_its_service_and_says_to_come_again() {
    let shop = Shop::with_member().await;
    let mut watch = shop.own_watch("").await;
    let page = next(&mut watch).await.expect("the page");
    assert!(page.page.is_some());
    let ((), over) = tokio::join!(shop.stage.close(), next(&mut watch));
    let over = over.expect_err("over");
    assert_eq!((over.kind(), over.reason()), (Kind::Unavailable, "WATCH_OVER"));
}

#[tokio::test]
async fn a_watch_lasts_no_longer_than_a_token() {
    let stage = Stage::open_with(&[&mypage::SERVICE], &contracts::API, |settings| {
        settings.auth.token_ttl_s = 1;
    });
    let stage = stage.await.expect("starts");
    let member = base::id::new();
    let request = WatchMyPageRequest { member_id: member.to_string(), ..Default::default() };
    let request = stage.call(As::Member(member), request);
    let opened = MyPageServiceClient::new(stage.channel()).watch_my_page(request).await;
    let over = next(&mut opened.expect("opens").into_inner()).await.expect_err("over");
    assert_eq!(over.reason(), "WATCH_OVER");
    stage.close().await;
}
