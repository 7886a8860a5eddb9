//! A member's addresses: kept, shown, deleted. They do not change: another one is made instead.

use axum::{Router, extract::Path, response::Response, routing::get, routing::post};
use contracts::member::v1::{DeleteAddressRequest, ListAddressesRequest};
use maud::{Markup, html};

use super::{live, tabs};
use crate::{
    checkout,
    failure::Failure,
    form::{self, Filled, Posted},
    layout::{Notice, Page},
    paths, view,
    visit::Visit,
};

pub(super) fn router() -> Router {
    Router::new()
        .route(paths::MY_ADDRESSES, get(show).post(keep))
        .route(paths::MY_ADDRESS_DELETE, post(delete))
}

async fn show(visit: Visit) -> Result<Response, Failure> {
    page(&visit, &Filled::default()).await
}

async fn keep(visit: Visit, form: Posted) -> Result<Response, Failure> {
    match checkout::create_address(&visit, &form).await {
        Ok(_) => Ok(visit.go(paths::MY_ADDRESSES, Some(Notice::AddressKept))),
        Err(failure) if failure.wants_sign_in() => Err(failure),
        Err(failure) => page(&visit, &form.refused(failure)).await,
    }
}

async fn delete(visit: Visit, Path(id): Path<String>, form: Posted) -> Result<Response, Failure> {
    let message = DeleteAddressRequest { member_id: visit.member_id()?, address_id: id };
    let done = visit.addresses().delete_address(visit.command(form.key(), message)).await;
    match done.map_err(Failure::from) {
        // Somebody was quicker: it is gone.
        Err(failure) if !failure.is_not_found() => Err(failure),
        _ => Ok(visit.go(paths::MY_ADDRESSES, Some(Notice::AddressGone))),
    }
}

async fn page(visit: &Visit, filled: &Filled) -> Result<Response, Failure> {
    let title = visit.t("배송지", "Addresses");
    let all = ListAddressesRequest { member_id: visit.member_id()?, ..<_>::default() };
    let list = match visit.addresses().list_addresses(visit.ask(all)).await {
        Ok(all) => list(visit, &all.into_inner().addresses),
        Err(status) => match Failure::from(status) {
            failure if failure.is_away() => view::away(visit, ("회원", "Member"), failure.wait()),
            failure => return Err(failure),
        },
    };
    let fields = html! {
        (checkout::address_fields(visit, filled, true))
        button.button.button-main { (visit.t("저장", "Keep")) }
    };
    let main = html! {
        h1 { (title) }
        (tabs(visit))
        (live("addresses", &list))
        section.card {
            h2 { (visit.t("새 배송지", "A new address")) }
            (form::post(visit, paths::MY_ADDRESSES, filled, &fields))
        }
    };
    Ok(Page::new(visit, title).failed(filled.failure()).show(&main))
}

fn list(visit: &Visit, addresses: &[contracts::member::v1::Address]) -> Markup {
    html! {
        @if addresses.is_empty() {
            (view::empty(visit.t("저장된 배송지가 없습니다", "No addresses yet"),
                visit.t("자주 받는 곳을 저장해 두세요.", "Keep where your goods usually go."), None))
        } @else {
            ul.card.lines {
                @for address in addresses {
                    li {
                        div.grow {
                            strong { (address.recipient) }
                            p { (checkout::one_line(address)) }
                            @if !address.memo.is_empty() { p.aside { (address.memo) } }
                        }
                        (form::button(visit, &paths::to(paths::MY_ADDRESS_DELETE, &address.id),
                            "button button-quiet", visit.t("삭제", "Delete"), &[]))
                    }
                }
            }
        }
    }
}
