//! Which services are unavailable: My Page says so by itself, and waits for none of them.

use std::time::Duration;

use testkit::proxy::{Proxy, Target};
use tokio::time::Instant;

use super::*;

/// Far above what a look may take, far below what a frozen service takes.
const SOON: Duration = Duration::from_secs(2);

/// A shop whose payment is behind a proxy, which is frozen at first.
async fn with_frozen_payment() -> (Shop, Proxy) {
    let mut before = None;
    let stage = Stage::open_with(&SERVICES, &contracts::API, |settings| {
        let target = settings.peers.template.trim_start_matches("http://").to_owned();
        let proxy = Proxy::to(Target::Tcp(target));
        proxy.delay(Duration::from_hours(1));
        let address = format!("http://{}", proxy.address());
        settings.peers.overrides.insert("payment".to_owned(), address);
        before = Some(proxy);
    });
    let shop = Shop::on(stage.await.expect("the services start"));
    (shop, before.expect("is put before it"))
}

#[tokio::test]
async fn a_page_says_which_services_are_unavailable_and_waits_for_none_of_them() {
    let (shop, payment) = with_frozen_payment().await;
    shop.registered().await;
    let begun = Instant::now();
    // Whether there is a page yet or not.
    let _ = shop.page(As::Member(shop.member)).await;
    assert!(begun.elapsed() < SOON, "the first look took {:?}", begun.elapsed());
    // Nobody plays product.
    shop.says_unavailable(&["payment", "product"]).await;

    thaw(&payment);
    shop.says_unavailable(&["product"]).await;

    payment.refuse(true);
    payment.cut();
    shop.says_unavailable(&["payment", "product"]).await;

    payment.refuse(false);
    shop.says_unavailable(&["product"]).await;
    shop.stage.close().await;
}

#[tokio::test]
async fn a_watch_says_when_a_service_is_unavailable_and_when_it_is_back() {
    let (shop, payment) = with_frozen_payment().await;
    shop.registered().await;
    shop.says_unavailable(&["payment", "product"]).await;
    let mut watch = shop.own_watch("").await;
    let first = watch::next(&mut watch).await.expect("the page");
    let page = first.page.expect("the page");
    assert_eq!(page.unavailable, ["payment", "product"]);

    thaw(&payment);
    let again = watch::next(&mut watch).await.expect("the page");
    let now = again.page.expect("the page");
    assert_eq!(now.unavailable, ["product"]);
    assert_eq!(
        MyPage { unavailable: page.unavailable.clone(), ..now },
        page,
        "all else is as it was"
    );
    assert_eq!(again.event_id, first.event_id, "it is no change of the member's");
    shop.stage.close().await;
}

/// What was held back on connections that were there is lost, as with a process that is replaced.
fn thaw(proxy: &Proxy) {
    proxy.delay(Duration::ZERO);
    proxy.cut();
}

impl Shop {
    async fn says_unavailable(&self, services: &[&str]) {
        let looks = async || {
            let begun = Instant::now();
            let page = self.page(As::Member(self.member)).await;
            assert!(begun.elapsed() < SOON, "a look took {:?}", begun.elapsed());
            page.ok().filter(|page| page.unavailable == services)
        };
        eventually(&format!("{services:?} unavailable"), looks).await;
    }
}
