//! One product: what is said of it, its picture, its stock, and whether it is on sale.

use axum::{
    Router,
    extract::Path,
    response::Response,
    routing::{get, post},
};
use contracts::product::v1::{
    AdjustStockRequest, Product, RestockProductRequest, UpdateProductRequest, product,
};
use maud::{Markup, html};

use super::{
    edit,
    products::{said, state, units},
    seller, tabs,
};
use crate::{
    console::{self, Tried},
    failure::Failure,
    form::{self, Field, Filled, Posted},
    layout::Page,
    paths,
    pictures::{self, Upload},
    products, view,
    visit::Visit,
};

/// The forms of the page.
const SAID: &str = "said";
const STOCK: &str = "stock";
const PICTURE: &str = "picture";

pub(super) fn router() -> Router {
    Router::new()
        .route(paths::SELLER_PRODUCT, get(show).post(change))
        .route(paths::SELLER_PICTURE, pictures::taking(post(picture)))
        .route(paths::SELLER_STOCK, post(stock))
}

async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Failure> {
    seller(&visit)?;
    page(&visit, &id, &Tried::default()).await
}

/// Back to the page; with the form that was refused, if it was.
async fn after(
    visit: &Visit,
    id: &str,
    done: Result<(), Failure>,
    (name, form): (&str, Posted),
) -> Result<Response, Failure> {
    match console::settled(visit, &paths::to(paths::SELLER_PRODUCT, id), done) {
        Err(failure) if !failure.wants_sign_in() => {
            page(visit, id, &Tried::new(name, form.refused(failure))).await
        }
        done => done,
    }
}

async fn change(
    visit: Visit,
    Path(id): Path<String>,
    mut form: Posted,
) -> Result<Response, Failure> {
    seller(&visit)?;
    let done = async {
        let sale = match form.text("state") {
            "OFF_SALE" => product::State::OffSale,
            _ => product::State::OnSale,
        };
        let price = form.number("price")?;
        form.set("price", &price.to_string());
        let text = |name| form.is_changed(name).then(|| form.text(name).to_owned());
        let message = UpdateProductRequest {
            product_id: id.clone(),
            display_name: text("displayName"),
            price: view::money(price).filter(|_| form.is_changed("price")),
            state: form.is_changed("state").then_some(sale.into()),
            description: text("description"),
            picture: None,
        };
        edit::send(&visit, &mut form, message).await
    };
    let done = done.await;
    after(&visit, &id, done, (SAID, form)).await
}

async fn picture(
    visit: Visit,
    Path(id): Path<String>,
    Upload { mut form, picture }: Upload,
) -> Result<Response, Failure> {
    seller(&visit)?;
    let done = async {
        let picture = if form.has("remove") {
            String::new()
        } else {
            visit.web.pictures.keep(picture).await?
        };
        form.set("picture", &picture);
        let message = UpdateProductRequest {
            product_id: id.clone(),
            picture: Some(picture),
            ..UpdateProductRequest::default()
        };
        edit::send(&visit, &mut form, message).await?;
        // The one before may be nobody's now.
        pictures::unused::sweep(&visit);
        Ok(())
    };
    let done = done.await;
    after(&visit, &id, done, (PICTURE, form)).await
}

async fn stock(visit: Visit, Path(id): Path<String>, form: Posted) -> Result<Response, Failure> {
    seller(&visit)?;
    let is_count = form.text("how") == "count";
    let done = async {
        let product_id = id.clone();
        if is_count {
            let (delta, reason) = (units(&form, "delta")?, form.text("reason").to_owned());
            let message = AdjustStockRequest { product_id, delta, reason };
            visit.products().adjust_stock(visit.command(form.key(), message)).await?;
        } else {
            let message = RestockProductRequest { product_id, quantity: units(&form, "quantity")? };
            visit.products().restock_product(visit.command(form.key(), message)).await?;
        }
        Ok(())
    };
    let done = done.await;
    after(&visit, &id, done, (if is_count { "count" } else { STOCK }, form)).await
}

async fn page(visit: &Visit, id: &str, tried: &Tried) -> Result<Response, Failure> {
    let product = edit::read(visit, id).await?;
    let main = html! {
        (tabs(visit))
        div.row.row-apart {
            h1 { (product.display_name) }
            div.row {
                (state(visit, &product))
                a href=(paths::to(paths::PRODUCT, &product.id)) { (visit.t("가게에서 보기", "See in the shop")) }
            }
        }
        div.columns.columns-two {
            section.card {
                h2 { (visit.t("상품 정보", "What is said of it")) }
                (said_form(visit, &product, &tried.of(SAID)))
            }
            div.stack {
                section.card {
                    h2 { (visit.t("사진", "Picture")) }
                    (products::picture(&product))
                    (picture_form(visit, &product, &tried.of(PICTURE)))
                }
                section.card {
                    h2 { (visit.t("재고", "Stock")) " " span.price { (view::grouped(product.stock.into())) } }
                    (stock_forms(visit, &product, tried))
                }
            }
        }
    };
    Ok(Page::new(visit, &product.display_name).failed(tried.failure()).show(&main))
}

fn said_form(visit: &Visit, product: &Product, filled: &Filled) -> Markup {
    let states =
        [("ON_SALE", visit.t("판매중", "On sale")), ("OFF_SALE", visit.t("판매 중지", "Off sale"))];
    let states = states.map(|(value, text)| (value.to_owned(), text.to_owned()));
    let chosen = [("state", product.state().as_str_name())];
    let asked = if filled.failure().is_some() { filled.clone() } else { Filled::with(&chosen) };
    let fields = html! {
        (edit::shown(product, filled, &["displayName", "price", "description", "state"]))
        (said(visit, filled, Some(product)))
        (form::select(visit, &asked, "state", ("판매 상태", "State"), &states))
        button.button.button-main { (visit.t("저장", "Save")) }
    };
    form::post(visit, &paths::to(paths::SELLER_PRODUCT, &product.id), filled, &fields)
}

fn picture_form(visit: &Visit, product: &Product, filled: &Filled) -> Markup {
    let wrong = filled.failure().and_then(|it| it.of_field("picture", visit.lang));
    if !visit.web.pictures.are_kept() {
        let text = ("사진을 보관할 곳이 설정되지 않았습니다.", "No place to keep pictures is set.");
        return html! { p.aside { (visit.text(text)) } };
    }
    html! {
        form.form method="post" enctype="multipart/form-data"
            action=(paths::to(paths::SELLER_PICTURE, &product.id)) {
            (form::own_fields(visit, filled))
            (edit::shown(product, filled, &["picture"]))
            @if let Some(failure) = filled.failure() {
                p.alert.alert-bad role="alert" { (failure.say(visit.lang)) }
            }
            div.field {
                label for="f-picture" { (visit.t("사진 파일", "Picture file")) }
                input #f-picture type="file" name="picture"
                    accept="image/png,image/jpeg,image/webp,image/gif"
                    aria-invalid=[wrong.as_ref().map(|_| "true")] aria-describedby="f-picture-hint";
                @if let Some(wrong) = &wrong { p.wrong { (wrong) } }
                p.hint #f-picture-hint { (visit.t("PNG, JPEG, WebP, GIF · 2 MiB 이하",
                    "PNG, JPEG, WebP or GIF, 2 MiB at most")) }
            }
            div.row {
                button.button { (visit.t("올리기", "Upload")) }
                @if !product.picture.is_empty() {
                    button.button.button-danger name="remove" value="1" { (visit.t("사진 삭제", "Remove")) }
                }
            }
        }
    }
}

fn stock_forms(visit: &Visit, product: &Product, tried: &Tried) -> Markup {
    let action = paths::to(paths::SELLER_STOCK, &product.id);
    let (restock, count) = (tried.of(STOCK), tried.of("count"));
    let more = html! {
        (Field::new("quantity", ("들어온 수량", "Units that came in")).number(1, 1_000_000_000)
            .required().show(visit, &restock))
        button.button { (visit.t("입고", "Restock")) }
    };
    let counted = html! {
        input type="hidden" name="how" value="count";
        (Field::new("delta", ("조정 수량", "Difference")).number(-1_000_000_000, 1_000_000_000).required()
            .hint(visit.t("줄었으면 음수", "negative when there are fewer")).show(visit, &count))
        (Field::new("reason", ("이유", "Why")).required().longest(200).show(visit, &count))
        button.button { (visit.t("조정", "Correct")) }
    };
    html! {
        (form::post(visit, &action, &restock, &more))
        (console::folded(visit, ("재고 실사 조정", "Correct after a count"), &action, &count, &counted))
    }
}
