//! Edits of a product that somebody else may have changed since it was shown. Its etag changes with each unit that
//! is sold, too: an edit is refused only where it would replace what another has put there.

use contracts::product::v1::{GetProductRequest, Product, UpdateProductRequest};
use maud::{Markup, html};
use tonic::Status;

use crate::{
    failure::Failure,
    form::{self, Filled, Posted},
    view,
    visit::Visit,
};

/// How often an edit is sent, when units are sold meanwhile each time.
const TIMES: usize = 5;
/// What a form may change.
const UPDATED: [&str; 5] = ["displayName", "price", "description", "state", "picture"];

pub(super) async fn read(visit: &Visit, id: &str) -> Result<Product, Failure> {
    let message = GetProductRequest { product_id: id.to_owned() };
    Ok(visit.products().get_product(visit.ask(message)).await?.into_inner())
}

/// Makes the edit to the version that was shown; to a later one only if what the form changes is as it was.
pub(super) async fn send(
    visit: &Visit,
    form: &mut Posted,
    message: UpdateProductRequest,
) -> Result<(), Failure> {
    let changed: Vec<_> = UPDATED.into_iter().filter(|name| form.is_changed(name)).collect();
    let mut etag = form.text("etag").to_owned();
    for _ in 0..TIMES {
        let edit = visit.edit(form.key(), &etag, message.clone());
        let stale = match visit.products().update_product(edit).await.map_err(Failure::from) {
            Err(failure) if failure.is_stale() => failure,
            done => return done.map(drop),
        };
        let product = read(visit, &message.product_id).await?;
        let mut replaced = changed.clone();
        replaced.retain(|name| replaces(form, name, &product));
        if !replaced.is_empty() {
            show_again(form, &changed, &product);
            let say = |failure, name| said(visit, failure, name, &product);
            return Err(replaced.into_iter().fold(stale, say));
        }
        etag = product.etag;
    }
    Err(Status::from(base::Error::unavailable("PRODUCT_BUSY", "it is sold too fast")).into())
}

/// Whether the form would put something else where another has put something.
fn replaces(form: &Posted, name: &str, product: &Product) -> bool {
    let now = value(product, name);
    !form::same(form.text(&format!("was.{name}")), &now) && !form::same(form.text(name), &now)
}

/// What was typed stays; all else, and the version that the form is for, is as it is now.
fn show_again(form: &mut Posted, changed: &[&str], product: &Product) {
    form.set("etag", &product.etag);
    for name in UPDATED {
        let was = format!("was.{name}");
        if form.has(&was) {
            form.set(&was, &value(product, name));
            if !changed.contains(&name) {
                form.set(name, &value(product, name));
            }
        }
    }
}

fn said(visit: &Visit, failure: Failure, name: &str, product: &Product) -> Failure {
    match name {
        "price" => failure.now(name, view::price(visit, view::won(product.price.as_ref()))),
        "picture" if !product.picture.is_empty() => {
            failure.now(name, visit.t("위에 보이는 사진", "the picture above"))
        }
        _ => failure.now(name, value(product, name)),
    }
}

/// What is in a field.
fn value(product: &Product, name: &str) -> String {
    match name {
        "displayName" => product.display_name.clone(),
        "price" => view::won(product.price.as_ref()).to_string(),
        "description" => product.description.clone(),
        "state" => product.state().as_str_name().to_owned(),
        _ => product.picture.clone(),
    }
}

/// The hidden fields of a form: the version that it is for, and what it was shown with.
pub(super) fn shown(product: &Product, filled: &Filled, names: &[&str]) -> Markup {
    html! {
        (form::hidden(filled, "etag", &product.etag))
        @for name in names {
            (form::hidden(filled, &format!("was.{name}"), &value(product, name)))
        }
    }
}
