//! Coupons, and points with their history and expiry, as My Page has them.

use axum::{Router, extract::Query, response::Response, routing::get};
use contracts::{
    coupon::v1::Coupon,
    mileage::v1::MileageEntry,
    mypage::v1::{GetMyPageRequest, ListMyMileageRequest, MyPage},
};
use futures_util::join;
use maud::{Markup, html};

use super::{live, nothing_yet, orders::Asked, states, tabs};
use crate::{checkout, failure::Failure, layout::Page, paths, view, visit::Visit};

const PAGE: i32 = 30;

pub(super) fn router() -> Router {
    Router::new()
        .route(paths::MY_COUPONS, get(show_coupons))
        .route(paths::MY_POINTS, get(show_points))
}

async fn my_page(visit: &Visit) -> Result<MyPage, Failure> {
    let asked = visit.ask(GetMyPageRequest { member_id: visit.member_id()? });
    Ok(visit.my_page().get_my_page(asked).await?.into_inner())
}

async fn show_coupons(visit: Visit) -> Result<Response, Failure> {
    visit.member()?;
    let title = visit.t("쿠폰", "Coupons");
    let content = match my_page(&visit).await {
        Ok(page) => coupons(&visit, &page.coupons),
        Err(failure) => nothing_yet(&visit, failure)?,
    };
    let main = html! { h1 { (title) } (tabs(&visit)) (live("coupons", &content)) };
    Ok(Page::new(&visit, title).live().show(&main))
}

fn coupons(visit: &Visit, coupons: &[Coupon]) -> Markup {
    html! {
        @if coupons.is_empty() {
            (view::empty(visit.t("쿠폰이 없습니다", "No coupons"),
                visit.t("받은 쿠폰이 여기에 모입니다.", "Coupons that you get are kept here."), None))
        }
        ul.tiles.tiles-wide {
            @for coupon in coupons {
                @let (tone, text) = states::coupon(coupon.state());
                li.card.tile {
                    div.row.row-apart {
                        span.tile-value { (checkout::discount(visit, coupon)) }
                        (view::badge(tone, visit.text(text)))
                    }
                    strong { (coupon.display_name) }
                    span.aside {
                        (visit.t("최소 주문 ", "From ")) (view::price(visit, view::won(coupon.minimum_total.as_ref())))
                        " · " (view::day(visit, coupon.expire_time.as_ref())) (visit.t("까지", " at the latest"))
                    }
                }
            }
        }
    }
}

async fn show_points(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    let title = visit.t("포인트", "Points");
    let message = ListMyMileageRequest {
        member_id: visit.member_id()?,
        page_size: PAGE,
        page_token: asked.page.clone(),
    };
    let mut service = visit.my_page();
    let (page, entries) = join!(my_page(&visit), service.list_my_mileage(visit.ask(message)));
    let content = match (page, entries.map_err(Failure::from)) {
        (Ok(page), Ok(entries)) => {
            let entries = entries.into_inner();
            let next = &entries.next_page_token;
            html! {
                (balance(&visit, &page))
                (history(&visit, &entries.entries))
                (view::pages(&visit, paths::MY_POINTS, &[], &asked.page, next))
            }
        }
        (Err(failure), _) | (_, Err(failure)) => nothing_yet(&visit, failure)?,
    };
    let main = html! { h1 { (title) } (tabs(&visit)) (live("points", &content)) };
    Ok(Page::new(&visit, title).live().show(&main))
}

fn balance(visit: &Visit, page: &MyPage) -> Markup {
    let soon = page.mileage_expiring_soon.as_ref().filter(|it| it.points > 0);
    html! {
        section.card {
            h2 { (visit.t("보유 포인트", "Your points")) }
            p.price.price-large { (view::points(page.mileage_balance)) }
            @if let Some(soon) = soon {
                p.alert.alert-wait {
                    (view::day(visit, soon.before.as_ref()))
                    (visit.lang.pick(
                        format!(" 전에 {}가 소멸됩니다.", view::points(soon.points)),
                        format!(": {} expire before.", view::points(soon.points)),
                    ))
                }
            }
            p.aside { (visit.t("결제 금액의 1%가 쌓이고, 쌓인 날부터 365일 동안 쓸 수 있습니다.",
                "You earn 1% of what you pay, to be spent within 365 days.")) }
        }
    }
}

fn history(visit: &Visit, entries: &[MileageEntry]) -> Markup {
    let title = visit.t("포인트 내역", "History");
    let columns = [
        visit.t("날짜", "When"),
        visit.t("내용", "What"),
        visit.t("포인트", "Points"),
        visit.t("유효기간", "Good until"),
    ];
    let row = |entry: &MileageEntry| {
        let order = &entry.order_id;
        let what = visit.text(states::entry(entry.kind()));
        vec![
            view::time(visit, entry.create_time.as_ref()),
            html! {
                @if order.is_empty() { (what) }
                @else { a href=(paths::to(paths::MY_ORDER, order)) { (what) } }
            },
            signed(entry.points, &view::points(entry.points)),
            view::day(visit, entry.expire_time.as_ref()),
        ]
    };
    let rows: Vec<_> = entries.iter().map(row).collect();
    html! {
        h2 { (title) }
        @if rows.is_empty() {
            (view::empty(visit.t("내역이 없습니다", "Nothing yet"),
                visit.t("첫 주문을 하면 포인트가 쌓입니다.", "Your first order earns some."), None))
        } @else { (view::table(title, &columns, &rows)) }
    }
}

/// A number that goes up or down.
pub(super) fn signed(number: i64, text: &str) -> Markup {
    html! {
        span class=(if number > 0 { "number plus" } else { "number" }) {
            @if number > 0 { "+" } (text)
        }
    }
}
