//! 마이페이지: what My Page says of a member, which it does while the other services are away, and which of
//! them are. What they alone can say stands beside it, and says so when it cannot be had now.

mod account;
mod addresses;
mod away;
mod live;
mod order;
mod orders;
mod parts;
mod points;
pub(crate) mod states;
mod wallet;

use axum::{Router, response::Response, routing::get};
use contracts::{
    coupon::v1::coupon,
    mypage::v1::{GetMyPageRequest, ListMyOrdersRequest, MyPage, OrderView},
    payment::v1::{GetWalletRequest, Wallet},
};
use futures_util::join;
use maud::{Markup, html};

use self::away::Away;
use crate::{failure::Failure, lang::Text, layout::Page, paths, view, visit::Visit};

/// Orders on the first page.
const NEWEST: i32 = 5;

pub(crate) fn router() -> Router {
    Router::new()
        .route(paths::MY, get(show))
        .merge(account::router())
        .merge(addresses::router())
        .merge(live::router())
        .merge(order::router())
        .merge(orders::router())
        .merge(parts::router())
        .merge(points::router())
        .merge(wallet::router())
}

/// The parts of My Page, above each of them.
fn tabs(visit: &Visit) -> Markup {
    let tabs: [(&str, Text); 7] = [
        (paths::MY, ("한눈에", "Overview")),
        (paths::MY_ORDERS, ("주문", "Orders")),
        (paths::MY_COUPONS, ("쿠폰", "Coupons")),
        (paths::MY_POINTS, ("포인트", "Points")),
        (paths::MY_WALLET, ("지갑", "Wallet")),
        (paths::MY_ADDRESSES, ("배송지", "Addresses")),
        (paths::MY_ACCOUNT, ("회원 정보", "Account")),
    ];
    let here = visit.path.split('?').next().unwrap_or_default();
    html! {
        nav.tabs aria-label=(visit.t("마이페이지 메뉴", "My page")) {
            @for (path, label) in tabs {
                a href=(path) aria-current=[(path == here).then_some("page")] { (visit.text(label)) }
            }
        }
    }
}

/// A part that changes: the page's script puts it in its place anew.
fn live(id: &str, content: &Markup) -> Markup {
    html! { div.stack id=(id) data-live { (content) } }
}

async fn show(visit: Visit) -> Result<Response, Failure> {
    let member_id = visit.member_id()?;
    let (mut pages, mut lists) = (visit.my_page(), visit.my_page());
    let page = GetMyPageRequest { member_id: member_id.clone() };
    let newest = ListMyOrdersRequest { member_id, page_size: NEWEST, ..<_>::default() };
    let (page, newest) =
        join!(pages.get_my_page(visit.ask(page)), lists.list_my_orders(visit.ask(newest)));
    let title = visit.t("마이페이지", "My page");
    let content = match (page, newest) {
        (Ok(page), Ok(newest)) => {
            let (page, orders) = (page.into_inner(), newest.into_inner().orders);
            let away = Away::of(&page);
            let wallet = wallet(&visit, &away).await?;
            overview(&visit, &page, &orders, &away, wallet.as_ref())
        }
        (Err(status), _) | (_, Err(status)) => nothing_yet(&visit, status.into())?,
    };
    let main = html! { h1 { (title) } (tabs(&visit)) (live("overview", &content)) };
    Ok(Page::new(&visit, title).live().show(&main))
}

/// What only payment knows; none while it does not say.
async fn wallet(visit: &Visit, away: &Away) -> Result<Option<Wallet>, Failure> {
    if away.has("payment") {
        return Ok(None);
    }
    let asked = visit.ask_briefly(GetWalletRequest { member_id: visit.member_id()? });
    Ok(visit.payments().get_wallet(asked).await.ok().map(tonic::Response::into_inner))
}

/// Whoever has just signed up has no page yet: it is there in a moment.
fn nothing_yet(visit: &Visit, failure: Failure) -> Result<Markup, Failure> {
    if failure.is_not_found() {
        let text = visit.t("마이페이지를 준비하고 있습니다.", "Your page is being made ready.");
        return Ok(html! { p.alert role="status" data-again="1" { (text) } });
    }
    if failure.is_away() {
        return Ok(view::away(visit, ("마이페이지", "My page"), failure.wait()));
    }
    Err(failure)
}

fn overview(
    visit: &Visit,
    page: &MyPage,
    orders: &[OrderView],
    away: &Away,
    wallet: Option<&Wallet>,
) -> Markup {
    let coupons = page.coupons.iter().filter(|it| it.state() == coupon::State::Issued).count();
    let unknown = visit.t("확인할 수 없음", "not known now").to_owned();
    let balance = wallet.map(|it| view::price(visit, view::won(it.balance.as_ref())));
    let tile = |path: &str, name: &str, value: &str| {
        html! {
            a.card.tile href=(path) { span.tile-name { (name) } span.tile-value { (value) } }
        }
    };
    html! {
        (away.show(visit))
        div.tiles {
            (tile(paths::MY_ORDERS, visit.t("주문", "Orders"), &view::grouped(page.order_count)))
            (tile(paths::MY_COUPONS, visit.t("사용 가능한 쿠폰", "Coupons"), &coupons.to_string()))
            (tile(paths::MY_POINTS, visit.t("포인트", "Points"), &view::points(page.mileage_balance)))
            (tile(paths::MY_WALLET, visit.t("지갑", "Wallet"), balance.as_ref().unwrap_or(&unknown)))
        }
        h2 { (visit.t("최근 주문", "Latest orders")) }
        (orders::list(visit, orders))
    }
}
