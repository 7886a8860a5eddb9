//! What cannot be done now: which services are unavailable My Page itself says, and here is what that means to
//! its member. Asks no service but My Page.

use contracts::mypage::v1::{GetMyPageRequest, MyPage};
use maud::{Markup, html};

use crate::{failure::Failure, form, lang::Text, view, visit::Visit};

/// In how many seconds to look again: My Page knows it anew by then.
const AGAIN: u64 = 3;
/// What says why a button cannot be pressed.
const WHY: &str = "why-not";

/// The sentence for it.
pub(super) const NOT_NOW: Text = (
    "지금은 할 수 없습니다. 서비스가 돌아오면 저절로 다시 됩니다.",
    "Not possible just now. It works again by itself once the service is back.",
);

/// By service: what is missing without it. Who sends messages is missed by nobody here.
const PARTS: [(&str, Text); 7] = [
    (
        "order",
        (
            "주문 서비스가 응답하지 않습니다: 주문하기, 주문취소, 수령확인, 반품신청을 할 수 없습니다.",
            "Order does not answer: nothing can be ordered, cancelled, confirmed or returned.",
        ),
    ),
    (
        "payment",
        (
            "결제 서비스가 응답하지 않습니다: 결제와 환불이 늦어지고 지갑을 쓸 수 없습니다.",
            "Payment does not answer: payments and refunds wait, and the wallet cannot be used.",
        ),
    ),
    (
        "delivery",
        (
            "배송 서비스가 응답하지 않습니다: 배송 소식이 늦을 수 있습니다.",
            "Delivery does not answer: news of parcels may be late.",
        ),
    ),
    (
        "product",
        (
            "상품 서비스가 응답하지 않습니다: 상품을 보거나 새로 주문할 수 없습니다.",
            "Product does not answer: goods can be neither seen nor ordered.",
        ),
    ),
    (
        "coupon",
        (
            "쿠폰 서비스가 응답하지 않습니다: 쿠폰을 쓸 수 없습니다.",
            "Coupon does not answer: coupons cannot be used.",
        ),
    ),
    (
        "mileage",
        (
            "포인트 서비스가 응답하지 않습니다: 포인트를 쓸 수 없고 적립이 늦어집니다.",
            "Points do not answer: they cannot be used, and new ones come later.",
        ),
    ),
    (
        "member",
        (
            "회원 서비스가 응답하지 않습니다: 로그인과 배송지 변경을 할 수 없습니다.",
            "Member does not answer: nobody can sign in, and addresses cannot be changed.",
        ),
    ),
];

/// The services that are unavailable.
#[derive(Default)]
pub(super) struct Away(Vec<String>);

impl Away {
    /// As a page says.
    pub(super) fn of(page: &MyPage) -> Self {
        Self(page.unavailable.clone())
    }

    /// As My Page says now. While it cannot be asked itself, or knows no such member yet, none are
    /// known to be.
    pub(super) async fn now(visit: &Visit) -> Result<Self, Failure> {
        let asked = visit.ask_briefly(GetMyPageRequest { member_id: visit.member_id()? });
        let page = visit.my_page().get_my_page(asked).await;
        Ok(page.map_or_else(|_| Self::default(), |page| Self::of(page.get_ref())))
    }

    pub(super) fn has(&self, service: &str) -> bool {
        self.0.iter().any(|away| away == service)
    }

    /// Says which of them are unavailable, and what cannot be done meanwhile.
    pub(super) fn show(&self, visit: &Visit) -> Markup {
        let parts = PARTS.iter().filter(|(service, _)| self.has(service));
        let parts: Vec<_> = parts.map(|(_, text)| visit.text(*text)).collect();
        if parts.is_empty() {
            return html! {};
        }
        view::all_away(visit, &html! { ul { @for part in parts { li { (part) } } } }, AGAIN)
    }

    /// A button that needs a service: without it, it is there, and cannot be pressed.
    pub(super) fn button(
        &self,
        visit: &Visit,
        (service, path): (&str, &str),
        class: &str,
        label: &str,
    ) -> Markup {
        if self.has(service) {
            return html! { button class=(class) disabled aria-describedby=(WHY) { (label) } };
        }
        form::button(visit, path, class, label, &[])
    }

    /// Says why the buttons that need a service cannot be pressed, and when they can.
    pub(super) fn why(&self, visit: &Visit, service: &str) -> Markup {
        html! {
            @if self.has(service) {
                p.aside id=(WHY) { (visit.text(NOT_NOW)) }
            }
        }
    }
}
