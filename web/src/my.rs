//! 마이페이지: what My Page says of a member, which it does while the other services are away; what they
//! alone can say stands beside it, and says so when it cannot be had now.

mod account;
mod addresses;
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
    delivery::v1::ListDeliveriesRequest,
    mypage::v1::{GetMyPageRequest, ListMyOrdersRequest, MyPage, OrderView},
    order::v1::ListOrdersRequest,
    payment::v1::{GetWalletRequest, Wallet},
};
use futures_util::join;
use maud::{Markup, html};

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

/// What the services beside My Page say just now.
struct Beside {
    order: Option<Failure>,
    delivery: Option<Failure>,
    wallet: Result<Wallet, Failure>,
}

impl Beside {
    async fn of(visit: &Visit) -> Result<Self, Failure> {
        let member_id = visit.member_id()?;
        let (mut orders, mut deliveries) = (visit.orders(), visit.deliveries());
        let mut payments = visit.payments();
        let one_order = ListOrdersRequest { page_size: 1, ..<_>::default() };
        let one_delivery = ListDeliveriesRequest { page_size: 1, ..<_>::default() };
        let (order, delivery, wallet) = join!(
            orders.list_orders(visit.ask_briefly(one_order)),
            deliveries.list_deliveries(visit.ask_briefly(one_delivery)),
            payments.get_wallet(visit.ask_briefly(GetWalletRequest { member_id })),
        );
        let away = |status| Some(Failure::from(status)).filter(Failure::is_outage);
        Ok(Self {
            order: order.err().and_then(away),
            delivery: delivery.err().and_then(away),
            wallet: wallet.map(tonic::Response::into_inner).map_err(Failure::from),
        })
    }

    /// Says which of them are away, and what cannot be done meanwhile.
    fn show(&self, visit: &Visit) -> Markup {
        let wallet = self.wallet.as_ref().err().filter(|failure| failure.is_outage());
        let parts: [(Option<&Failure>, Text); 3] = [
            (
                self.order.as_ref(),
                (
                    "주문 서비스가 응답하지 않습니다: 주문하기, 주문취소, 수령확인을 할 수 없습니다.",
                    "Order does not answer: nothing can be ordered, cancelled or confirmed.",
                ),
            ),
            (
                wallet,
                (
                    "결제 서비스가 응답하지 않습니다: 결제와 지갑을 쓸 수 없습니다.",
                    "Payment does not answer: nothing can be paid, and the wallet not be seen.",
                ),
            ),
            (
                self.delivery.as_ref(),
                (
                    "배송 서비스가 응답하지 않습니다: 배송 소식이 늦을 수 있습니다.",
                    "Delivery does not answer: news of parcels may be late.",
                ),
            ),
        ];
        let away: Vec<_> = parts.iter().filter_map(|(it, text)| Some(((*it)?, *text))).collect();
        let Some(wait) = away.iter().map(|(failure, _)| failure.wait()).max() else {
            return html! {};
        };
        let what = html! { ul { @for (_, text) in &away { li { (visit.text(*text)) } } } };
        view::all_away(visit, &what, wait)
    }
}

async fn show(visit: Visit) -> Result<Response, Failure> {
    let member_id = visit.member_id()?;
    let mut pages = visit.my_page();
    let mut lists = visit.my_page();
    let page = GetMyPageRequest { member_id: member_id.clone() };
    let newest = ListMyOrdersRequest { member_id, page_size: NEWEST, ..<_>::default() };
    let (page, newest, beside) = join!(
        pages.get_my_page(visit.ask(page)),
        lists.list_my_orders(visit.ask(newest)),
        Beside::of(&visit),
    );
    let title = visit.t("마이페이지", "My page");
    let beside = beside?;
    let content = match (page, newest) {
        (Ok(page), Ok(newest)) => {
            let orders = newest.into_inner().orders;
            overview(&visit, &page.into_inner(), &orders, &beside)
        }
        (Err(status), _) | (_, Err(status)) => nothing_yet(&visit, status.into())?,
    };
    let main = html! { h1 { (title) } (tabs(&visit)) (live("overview", &content)) };
    Ok(Page::new(&visit, title).live().show(&main))
}

/// Whoever has just signed up has no page yet: it is there in a moment.
fn nothing_yet(visit: &Visit, failure: Failure) -> Result<Markup, Failure> {
    if failure.is_not_found() {
        let text = visit.t("마이페이지를 준비하고 있습니다.", "Your page is being made ready.");
        return Ok(html! { p.alert role="status" data-again="1" { (text) } });
    }
    if failure.is_outage() {
        return Ok(view::away(visit, ("마이페이지", "My page"), failure.wait()));
    }
    Err(failure)
}

fn overview(visit: &Visit, page: &MyPage, orders: &[OrderView], beside: &Beside) -> Markup {
    let coupons = page.coupons.iter().filter(|it| it.state() == coupon::State::Issued).count();
    let unknown = visit.t("확인할 수 없음", "not known now").to_owned();
    let balance =
        beside.wallet.as_ref().map(|it| view::price(visit, view::won(it.balance.as_ref())));
    let tile = |path: &str, name: &str, value: &str| {
        html! {
            a.card.tile href=(path) { span.tile-name { (name) } span.tile-value { (value) } }
        }
    };
    html! {
        (beside.show(visit))
        div.tiles {
            (tile(paths::MY_ORDERS, visit.t("주문", "Orders"), &view::grouped(page.order_count)))
            (tile(paths::MY_COUPONS, visit.t("쓸 수 있는 쿠폰", "Coupons"), &coupons.to_string()))
            (tile(paths::MY_POINTS, visit.t("포인트", "Points"), &view::points(page.mileage_balance)))
            (tile(paths::MY_WALLET, visit.t("지갑", "Wallet"), balance.as_ref().unwrap_or(&unknown)))
        }
        h2 { (visit.t("최근 주문", "Latest orders")) }
        (orders::list(visit, orders))
    }
}
