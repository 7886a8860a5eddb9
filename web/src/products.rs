//! What is on sale: the front page, and a page per product. What is in the cart is `cart`'s matter.

use axum::{
    Router,
    extract::{Path, Query},
    response::Response,
    routing::get,
};
use contracts::product::v1::{GetProductRequest, ListProductsRequest, Product, product};
use maud::{Markup, html};
use serde::Deserialize;

use crate::{
    cart,
    failure::Failure,
    layout::Page,
    paths,
    view::{self, Tone},
    visit::Visit,
};

/// Products on a page: they fill rows of two, three and four.
const PAGE: i32 = 24;

pub(crate) fn router() -> Router {
    Router::new().route(paths::HOME, get(list)).route(paths::PRODUCT, get(show))
}

/// What is asked for.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    query: String,
    page: String,
}

async fn list(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    let message = ListProductsRequest {
        page_size: PAGE,
        page_token: asked.page.clone(),
        query: asked.query.trim().to_owned(),
    };
    let found = visit.products().list_products(visit.ask(message)).await?.into_inner();
    let query = asked.query.trim();
    let title = match query {
        "" => visit.t("오늘의 상차림", "On the table today").to_owned(),
        _ => visit.lang.pick(format!("‘{query}’ 검색 결과"), format!("Found for ‘{query}’")),
    };
    let main = html! {
        h1 { (title) }
        @if query.is_empty() && asked.page.is_empty() {
            p.lead { (visit.t("산지와 솜씨를 아는 집에서 골라, 한 상에 올립니다.",
                "Chosen from those who know their land and their craft, and laid on one table.")) }
        }
        @if found.products.is_empty() && !found.next_page_token.is_empty() {
            (further(&visit))
        } @else if found.products.is_empty() {
            (view::empty(
                visit.t("상품이 없습니다", "Nothing here"),
                visit.t("다른 검색어로 찾아보세요.", "Try another word."),
                Some((paths::HOME, visit.t("모두 보기", "Show all"))),
            ))
        } @else {
            ul.products {
                @for product in &found.products { li { (card(&visit, product)) } }
            }
        }
        (view::pages(&visit, paths::HOME, &[("query", &asked.query)], &asked.page,
            &found.next_page_token))
    };
    Ok(Page::new(&visit, &title).searched(&asked.query).show(&main))
}

/// Of a search that has looked at many products and goes on with the older ones.
pub(crate) fn further(visit: &Visit) -> Markup {
    view::empty(
        visit.t("아직 찾지 못했습니다", "Not found yet"),
        visit.t(
            "최근 상품 2,000개에는 없습니다. ‘다음’을 누르면 이전 상품에서 계속 찾습니다.",
            "It is not among 2,000 newer products. ‘Next’ goes on with the older ones.",
        ),
        None,
    )
}

fn card(visit: &Visit, product: &Product) -> Markup {
    html! {
        article.product {
            a.product-link href=(paths::to(paths::PRODUCT, &product.id)) {
                (picture(product))
                h2.product-name { (product.display_name) }
            }
            p.price { (view::price(visit, view::won(product.price.as_ref()))) }
            @if let Some(state) = availability(visit, product) { (state) }
        }
    }
}

/// Its picture, or one of its first letter.
pub(crate) fn picture(product: &Product) -> Markup {
    let initial = product.display_name.chars().find(|letter| letter.is_alphanumeric());
    let hue = product.display_name.bytes().fold(0, u8::wrapping_add) % 6;
    html! {
        @if product.picture.is_empty() {
            span class={ "picture hue-" (hue) } aria-hidden="true" {
                span { (initial.unwrap_or('한')) }
            }
        } @else {
            span.picture {
                img src=(paths::to(paths::PICTURE, &product.picture)) alt="" loading="lazy"
                    width="400" height="400";
            }
        }
    }
}

/// The same beside a line.
pub(crate) fn small_picture(product: &Product) -> Markup {
    html! { div.picture-small { (picture(product)) } }
}

/// What is to be known before ordering it.
fn availability(visit: &Visit, product: &Product) -> Option<Markup> {
    if product.state() == product::State::OffSale {
        return Some(view::badge(Tone::Plain, visit.t("판매 중지", "Off sale")));
    }
    match product.stock {
        0 => Some(view::badge(Tone::Bad, visit.t("품절", "Sold out"))),
        left @ 1..=5 => {
            let text = visit.lang.pick(format!("{left}개 남음"), format!("{left} left"));
            Some(view::badge(Tone::Waiting, &text))
        }
        _ => None,
    }
}

async fn show(visit: Visit, Path(product): Path<String>) -> Result<Response, Failure> {
    let message = GetProductRequest { product_id: product };
    let product = visit.products().get_product(visit.ask(message)).await?.into_inner();
    let main = html! {
        article.product-page {
            (picture(&product))
            div {
                h1 { (product.display_name) }
                p.price.price-large { (view::price(&visit, view::won(product.price.as_ref()))) }
                @if let Some(state) = availability(&visit, &product) { p { (state) } }
                @if product.state() == product::State::OnSale && product.stock > 0 {
                    (cart::add_form(&visit, &product))
                }
                @if !product.description.is_empty() {
                    div.prose { @for line in product.description.lines() { p { (line) } } }
                }
            }
        }
    };
    Ok(Page::new(&visit, &product.display_name).show(&main))
}
