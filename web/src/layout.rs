//! What all pages have: head, header, notices, footer. `Page::new(&visit, title).show(main)`.

use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use identity::auth::Role;
use maud::{DOCTYPE, Markup, html};

use crate::{
    assets,
    cart::Cart,
    failure::Failure,
    form,
    lang::{Lang, Text},
    paths, view,
    visit::Visit,
};

/// What a page says first, after a form was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    Welcome,
    SignedIn,
    SignedOut,
    SignInFirst,
    InCart,
    CartFull,
    CartChanged,
    Ordered,
    Cancelled,
    Cancelling,
    LinesCancelled,
    ReturnAsked,
    Confirmed,
    ToppedUp,
    PaidOut,
    AddressKept,
    AddressGone,
    Left,
    Done,
    UnderWay,
}

impl Notice {
    const ALL: &[(Self, &'static str, Text)] = &[
        (
            Self::Welcome,
            "welcome",
            (
                "가입을 환영합니다. 첫 주문에 쓸 쿠폰을 마이페이지에 넣어 드렸습니다.",
                "Welcome. There is a coupon for your first order on your page.",
            ),
        ),
        (Self::SignedIn, "signed-in", ("로그인했습니다.", "You are signed in.")),
        (Self::SignedOut, "signed-out", ("로그아웃했습니다.", "You are signed out.")),
        (Self::SignInFirst, "sign-in-first", ("먼저 로그인해 주세요.", "Please sign in first.")),
        (Self::InCart, "in-cart", ("장바구니에 담았습니다.", "It is in your cart.")),
        (
            Self::CartFull,
            "cart-full",
            (
                "장바구니가 가득 찼습니다. 먼저 주문하거나 상품을 빼 주세요.",
                "Your cart is full. Order first, or take something out.",
            ),
        ),
        (Self::CartChanged, "cart-changed", ("장바구니를 바꾸었습니다.", "Your cart has changed.")),
        (
            Self::Ordered,
            "ordered",
            ("주문했습니다. 감사합니다.", "Your order is placed. Thank you."),
        ),
        (Self::Cancelled, "cancelled", ("주문을 취소했습니다.", "The order is cancelled.")),
        (
            Self::Cancelling,
            "cancelling",
            (
                "취소하고 있습니다. 끝나면 여기에 표시됩니다.",
                "It is being cancelled. You will see here when it is done.",
            ),
        ),
        (
            Self::LinesCancelled,
            "lines-cancelled",
            ("고른 상품을 취소했습니다.", "These are cancelled."),
        ),
        (
            Self::ReturnAsked,
            "return-asked",
            (
                "반품을 신청했습니다. 판매자가 확인하면 알려 드립니다.",
                "The return is asked for. You will see here what the shop says.",
            ),
        ),
        (Self::Confirmed, "confirmed", ("수령을 확인했습니다.", "The receipt is confirmed.")),
        (Self::ToppedUp, "topped-up", ("지갑을 충전했습니다.", "Your wallet is topped up.")),
        (Self::PaidOut, "paid-out", ("출금을 신청했습니다.", "The payout is on its way.")),
        (Self::AddressKept, "address-kept", ("배송지를 저장했습니다.", "The address is kept.")),
        (Self::AddressGone, "address-gone", ("배송지를 삭제했습니다.", "The address is deleted.")),
        (Self::Done, "done", ("처리했습니다.", "Done.")),
        (
            Self::UnderWay,
            "under-way",
            (
                "처리하고 있습니다. 끝나면 여기에 표시됩니다.",
                "It is under way. You will see here when it is done.",
            ),
        ),
        (
            Self::Left,
            "left",
            ("탈퇴했습니다. 그동안 고마웠습니다.", "You have left. Thank you for coming."),
        ),
    ];

    /// As its cookie has it.
    pub(crate) fn code(self) -> &'static str {
        Self::ALL.iter().find(|(notice, ..)| *notice == self).map_or("", |(_, code, _)| code)
    }

    /// The one with this code.
    pub(crate) fn of(code: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known, _)| *known == code).map(|(notice, ..)| *notice)
    }

    fn text(self) -> Text {
        Self::ALL.iter().find(|(notice, ..)| *notice == self).map_or(("", ""), |(.., text)| *text)
    }
}

/// A page, before it is shown.
pub(crate) struct Page<'a> {
    visit: &'a Visit,
    title: &'a str,
    status: StatusCode,
    /// In how many seconds to try again.
    again: Option<u64>,
    query: &'a str,
    live: bool,
}

impl<'a> Page<'a> {
    /// A page with this title.
    pub(crate) fn new(visit: &'a Visit, title: &'a str) -> Self {
        Self { visit, title, status: StatusCode::OK, again: None, query: "", live: false }
    }

    /// With the status of what went wrong, and when to try again.
    pub(crate) fn failed(self, failure: Option<&Failure>) -> Self {
        let status = failure.map_or(self.status, Failure::status);
        Self { status, again: failure.and_then(Failure::retry_after), ..self }
    }

    /// With what was searched for.
    pub(crate) fn searched(self, query: &'a str) -> Self {
        Self { query, ..self }
    }

    /// It follows the member's page: what is in an element with an id and `data-live` is put in its
    /// place anew when something has changed.
    pub(crate) fn live(self) -> Self {
        Self { live: true, ..self }
    }

    /// The response.
    pub(crate) fn show(self, main: &Markup) -> Response {
        let Self { visit, title, .. } = self;
        let page = html! {
            (DOCTYPE)
            html lang=(visit.lang.code()) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (title) " · " (visit.t("한상", "Hansang")) }
                    link rel="stylesheet" href=(assets::address(assets::STYLE));
                    link rel="icon" href=(assets::address(assets::ICON)) type="image/svg+xml";
                    script type="module" src=(assets::address(assets::LIVE)) {}
                }
                body data-here=(visit.here()) data-live=[self.live.then_some(paths::LIVE)] {
                    a.skip href="#main" { (visit.t("본문으로 건너뛰기", "Skip to the content")) }
                    (top(visit, self.query))
                    main #main tabindex="-1" {
                        @if let Some(notice) = visit.notice {
                            p.alert.alert-good role="status" { (visit.text(notice.text())) }
                        }
                        (main)
                    }
                    (bottom(visit))
                    p.unseen #said role="status" aria-live="polite"
                        data-lost=(visit.t("연결이 끊겨 다시 연결하고 있습니다.", "Connecting again."))
                        data-back=(visit.t("다시 연결되었습니다.", "Connected again.")) {}
                }
            }
        };
        let mut response = (self.status, page.into_string()).into_response();
        let kind = HeaderValue::from_static("text/html; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        if let Some(again) = self.again {
            response.headers_mut().insert(header::RETRY_AFTER, again.into());
        }
        response
    }
}

fn top(visit: &Visit, query: &str) -> Markup {
    let at = |path: &str| visit.path.split('?').next() == Some(path);
    let link = |path: &str, label: &str| {
        html! { a href=(path) aria-current=[at(path).then_some("page")] { (label) } }
    };
    html! {
        header.top {
            div.top-inner {
                a.logo href=(paths::HOME) {
                    (mark())
                    span lang="ko" { "한상" }
                    span.logo-sub { "Hansang" }
                }
                form.search role="search" action=(paths::HOME) {
                    label.unseen for="search" { (visit.t("상품 검색", "Search products")) }
                    input #search type="search" name="query" value=(query) maxlength="100"
                        placeholder=(visit.t("상품 검색", "Search products"));
                    button.button.button-quiet { (visit.t("검색", "Search")) }
                }
                nav.main-nav aria-label=(visit.t("주요 메뉴", "Main")) {
                    (cart(visit))
                    @if visit.member.is_some() {
                        (link(paths::MY, visit.t("마이페이지", "My page")))
                        @if visit.has(Role::Seller) {
                            (link(paths::SELLER, visit.t("판매자", "Seller")))
                        }
                        @if visit.has(Role::Admin) {
                            (link(paths::ADMIN, visit.t("관리자", "Admin")))
                        }
                        (form::button(visit, paths::SIGN_OUT, "link",
                            visit.t("로그아웃", "Sign out"), &[]))
                    } @else {
                        (link(paths::SIGN_IN, visit.t("로그인", "Sign in")))
                        (link(paths::SIGN_UP, visit.t("회원가입", "Sign up")))
                    }
                }
            }
        }
    }
}

/// The sign of the shop: a table, and what is on it.
fn mark() -> Markup {
    html! {
        svg viewBox="0 0 32 32" aria-hidden="true" {
            rect width="32" height="32" rx="8" fill="#1d6b58" {}
            ellipse cx="16" cy="13" rx="11" ry="4.5" fill="#f6efe2" {}
            path d="M7 16v9M25 16v9M12 18v6M20 18v6" stroke="#f6efe2" stroke-width="2.4"
                stroke-linecap="round" {}
        }
    }
}

/// The way to the cart, and how many different products are in it.
fn cart(visit: &Visit) -> Markup {
    let here = visit.path.split('?').next() == Some(paths::CART);
    let many = Cart::of(visit).len();
    html! {
        a href=(paths::CART) aria-current=[here.then_some("page")] {
            (visit.t("장바구니", "Cart"))
            @if many > 0 { " " span.count { (many) } }
        }
    }
}

fn bottom(visit: &Visit) -> Markup {
    let other = visit.lang.pick(Lang::En, Lang::Ko);
    html! {
        footer.bottom {
            div.bottom-inner {
                p { (visit.t("한상 — 한 상 가득 차린 가게", "Hansang: a table laid in full")) }
                form.inline method="post" action=(paths::LANGUAGE) {
                    (form::own_fields(visit, &form::Filled::default()))
                    input type="hidden" name="to" value=(other.code());
                    input type="hidden" name="next" value=(visit.here());
                    button.link lang=(other.code()) { (other.pick("한국어", "English")) }
                }
            }
        }
    }
}

/// Instead of a page: what went wrong, and the ways on.
pub(crate) fn failed(visit: &Visit, failure: &Failure) -> Response {
    let title = if failure.is_not_found() {
        visit.t("찾을 수 없습니다", "Nothing here")
    } else if failure.is_too_much() {
        visit.t("요청이 너무 많습니다", "Too many requests")
    } else if failure.is_outage() {
        visit.t("잠시만 기다려 주세요", "One moment, please")
    } else {
        visit.t("처리하지 못했습니다", "This did not work")
    };
    let main = html! {
        h1 { (title) }
        div.empty {
            p { (failure.say(visit.lang)) }
            @if !visit.is_read {
                p { a href=(visit.here()) { (visit.t("이전 화면으로", "Back to the page before")) } }
            }
            a.button href=(paths::HOME) { (visit.t("처음 화면으로", "To the front page")) }
        }
        @if failure.is_too_much() && visit.is_read {
            div #away data-live { (view::all_away(visit, &html! {}, failure.wait())) }
        } @else if failure.is_outage() && visit.is_read {
            div #away data-live { (view::away(visit, ("이 화면의", "This page"), failure.wait())) }
        }
    };
    Page::new(visit, title).failed(Some(failure)).show(&main)
}
