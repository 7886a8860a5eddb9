//! What is sold, off sale or not, and registering more.

use axum::{Router, extract::Query, response::Response, routing::get};
use contracts::product::v1::{ListProductsRequest, Product, RegisterProductRequest, product};
use maud::{Markup, html};

use super::{seller, tabs};
use crate::{
    console::{self, Asked, PAGE},
    failure::Failure,
    form::{self, Field, Filled, Posted},
    layout::Page,
    paths, products,
    view::{self, Tone},
    visit::Visit,
};

pub(super) fn router() -> Router {
    Router::new()
        .route(paths::SELLER_PRODUCTS, get(list))
        .route(paths::SELLER_NEW_PRODUCT, get(show_new).post(register))
}

async fn list(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    seller(&visit)?;
    let message = ListProductsRequest {
        page_size: PAGE,
        page_token: asked.page.clone(),
        query: asked.query.clone(),
    };
    let found = visit.products().list_products(visit.ask(message)).await?.into_inner();
    let title = visit.t("상품", "Products");
    let columns = [
        visit.t("상품", "Product"),
        visit.t("가격", "Price"),
        visit.t("재고", "Stock"),
        visit.t("상태", "State"),
    ];
    let rows: Vec<_> = found.products.iter().map(|product| row(&visit, product)).collect();
    let main = html! {
        h1 { (title) }
        (tabs(&visit))
        div.row.row-apart {
            (console::search(&visit, paths::SELLER_PRODUCTS, ("상품 찾기", "Find products"), &asked.query))
            a.button.button-main href=(paths::SELLER_NEW_PRODUCT) { (visit.t("상품 등록", "Register")) }
        }
        @if rows.is_empty() && !found.next_page_token.is_empty() {
            (products::further(&visit))
        } @else if rows.is_empty() {
            (view::empty(visit.t("상품이 없습니다", "No products"),
                visit.t("등록하면 여기에 나옵니다.", "What you register is listed here."), None))
        } @else { (view::table(title, &columns, &rows)) }
        (view::pages(&visit, paths::SELLER_PRODUCTS, &[("query", &asked.query)], &asked.page,
            &found.next_page_token))
    };
    Ok(Page::new(&visit, title).show(&main))
}

fn row(visit: &Visit, product: &Product) -> Vec<Markup> {
    vec![
        html! { div.row {
            (products::small_picture(product))
            a href=(paths::to(paths::SELLER_PRODUCT, &product.id)) { (product.display_name) }
        } },
        html! { span.number { (view::price(visit, view::won(product.price.as_ref()))) } },
        html! { span.number { (view::grouped(product.stock.into())) } },
        state(visit, product),
    ]
}

pub(super) fn state(visit: &Visit, product: &Product) -> Markup {
    if product.state() == product::State::OffSale {
        view::badge(Tone::Plain, visit.t("판매 중지", "Off sale"))
    } else if product.stock == 0 {
        view::badge(Tone::Bad, visit.t("품절", "Sold out"))
    } else {
        view::badge(Tone::Good, visit.t("판매중", "On sale"))
    }
}

async fn show_new(visit: Visit) -> Result<Response, Failure> {
    seller(&visit)?;
    Ok(new_page(&visit, &Filled::default()))
}

fn new_page(visit: &Visit, filled: &Filled) -> Response {
    let title = visit.t("상품 등록", "Register a product");
    let fields = html! {
        (said(visit, filled, None))
        (Field::new("stock", ("재고", "Stock")).number(0, 1_000_000_000).value(0).required()
            .show(visit, filled))
        button.button.button-main { (visit.t("등록", "Register")) }
        p.aside { (visit.t("사진은 등록한 뒤에 올립니다.", "The picture is added afterwards.")) }
    };
    let main = html! {
        h1 { (title) }
        (tabs(visit))
        section.card { (form::post(visit, paths::SELLER_NEW_PRODUCT, filled, &fields)) }
    };
    Page::new(visit, title).failed(filled.failure()).show(&main)
}

/// The fields of what is said of a product.
pub(super) fn said(visit: &Visit, filled: &Filled, product: Option<&Product>) -> Markup {
    let name = product.map_or("", |product| product.display_name.as_str());
    let description = product.map_or("", |product| product.description.as_str());
    let price = product.map_or(0, |product| view::won(product.price.as_ref()));
    html! {
        (Field::new("displayName", ("상품명", "Name")).required().longest(200).value(name)
            .show(visit, filled))
        (Field::new("price", ("가격", "Price")).number(0, 1_000_000_000).required().value(price)
            .hint(visit.t("원 단위", "in won")).show(visit, filled))
        (Field::new("description", ("설명", "Description")).lines(8).longest(2_000)
            .value(description).show(visit, filled))
    }
}

async fn register(visit: Visit, form: Posted) -> Result<Response, Failure> {
    seller(&visit)?;
    let done = async {
        let message = RegisterProductRequest {
            display_name: form.text("displayName").to_owned(),
            price: view::money(form.number("price")?),
            stock: units(&form, "stock")?,
            description: form.text("description").to_owned(),
            picture: String::new(),
        };
        let asked = visit.command(form.key(), message);
        Ok::<_, Failure>(visit.products().register_product(asked).await?.into_inner())
    };
    match done.await {
        Ok(product) => {
            console::settled(&visit, &paths::to(paths::SELLER_PRODUCT, product.id), Ok(()))
        }
        Err(failure) if failure.wants_sign_in() => Err(failure),
        Err(failure) => Ok(new_page(&visit, &form.refused(failure))),
    }
}

/// A number of units; what no number of them can be, the services need not be asked.
pub(super) fn units(form: &Posted, name: &str) -> Result<i32, Failure> {
    let range = "must be -1,000,000,000 to 1,000,000,000";
    i32::try_from(form.number(name)?).map_err(|_| Failure::field(name, range))
}
