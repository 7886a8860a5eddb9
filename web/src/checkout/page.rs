//! The page of an order that is about to be placed.

use axum::response::Response;
use contracts::{coupon::v1::Coupon, member::v1::Address};
use maud::{Markup, html};

use super::{Choice, NEW, Sums};
use crate::{
    cart::Line,
    failure::Failure,
    form::{self, Field, Filled},
    layout::Page,
    paths, products, view,
    visit::Visit,
};

/// The sandbox's cards: token, Korean, English.
const CARDS: [(&str, &str, &str); 3] = [
    ("tok_visa", "샌드박스 비자", "Sandbox Visa"),
    ("tok_mastercard", "샌드박스 마스터카드", "Sandbox Mastercard"),
    ("tok_declined", "거절되는 카드 (시험용)", "A card that is declined (for trying out)"),
];

/// Shows it, as it was filled in.
pub(super) fn show(visit: &Visit, choice: &Choice, filled: &Filled) -> Response {
    let title = visit.t("주문하기", "Order");
    let sums = choice.sums(filled);
    let fields = html! {
        input type="hidden" name="expectedTotal" value=(sums.goods);
        // Nobody pays by pressing Enter in a field.
        (form::on_enter(Some("preview")))
        div.columns.columns-side {
            div.stack {
                (addresses(visit, choice, filled))
                (savings(visit, choice, filled))
                (methods(visit, choice, filled))
            }
            (summary(visit, &choice.lines, &sums))
        }
    };
    let main = html! { h1 { (title) } (form::post(visit, paths::CHECKOUT, filled, &fields)) };
    Page::new(visit, title).failed(filled.failure()).show(&main)
}

fn addresses(visit: &Visit, choice: &Choice, filled: &Filled) -> Markup {
    let known = choice.addresses.as_deref().unwrap_or_default();
    let mut options: Vec<_> =
        known.iter().map(|it| (it.id.clone(), it.recipient.clone(), one_line(it))).collect();
    let new = visit.t("새 배송지", "A new address").to_owned();
    options.push((NEW.to_owned(), new, String::new()));
    html! {
        section.card.addresses {
            h2 { (visit.t("배송지", "Where it goes")) }
            (away(visit, &choice.addresses, ("저장된 배송지를", "Your addresses")))
            (form::radios(visit, filled, "addressId", ("배송지 선택", "Address"), &options))
            div.new-address { (address_fields(visit, filled, false)) }
        }
    }
}

/// The address in one line.
pub(crate) fn one_line(address: &Address) -> String {
    let Address { postcode, line1, line2, phone, .. } = address;
    let line2 = if line2.is_empty() { String::new() } else { format!(", {line2}") };
    format!("({postcode}) {line1}{line2} · {phone}")
}

/// The fields of a new address.
pub(crate) fn address_fields(visit: &Visit, filled: &Filled, required: bool) -> Markup {
    // Where another address can be chosen instead, only the API can say that a field is needed.
    let needed = |field: Field<'static>| if required { field.required() } else { field.needed() };
    let field = |name, label| Field::new(name, label);
    let all = [
        needed(field("recipient", ("받는 사람", "Recipient")).complete("name").longest(100)),
        needed(
            field("phone", ("전화번호", "Phone"))
                .kind("tel")
                .complete("tel")
                .longest(21)
                .hint("010-1234-5678"),
        ),
        needed(
            field("postcode", ("우편번호", "Postcode"))
                .complete("postal-code")
                .longest(5)
                .hint(visit.t("숫자 5자리", "5 digits")),
        ),
        needed(field("line1", ("주소", "Address")).complete("address-line1").longest(200)),
        field("line2", ("상세 주소", "Floor, room")).complete("address-line2").longest(200),
        field("memo", ("배송 메모", "Note for the carrier")).longest(200),
    ];
    html! {
        div.fields.fields-two { @for field in all { (field.show(visit, filled)) } }
    }
}

fn savings(visit: &Visit, choice: &Choice, filled: &Filled) -> Markup {
    let none = (String::new(), visit.t("사용 안 함", "None").to_owned());
    let coupons = choice.coupons.as_deref().unwrap_or_default().iter();
    let coupons: Vec<_> =
        [none].into_iter().chain(coupons.map(|it| (it.id.clone(), coupon(visit, it)))).collect();
    let points = *choice.points.as_ref().unwrap_or(&0);
    let wallet = *choice.wallet.as_ref().unwrap_or(&0);
    let held = |held: String| visit.lang.pick(format!("보유 {held}"), format!("You have {held}"));
    html! {
        section.card {
            h2 { (visit.t("할인과 잔액", "Coupons and balances")) }
            (away(visit, &choice.coupons, ("쿠폰을", "Coupons")))
            (form::select(visit, filled, "couponId", ("쿠폰", "Coupon"), &coupons))
            (away(visit, &choice.points, ("포인트를", "Points")))
            (away(visit, &choice.wallet, ("지갑을", "The wallet")))
            div.fields.fields-two {
                (Field::new("points", ("포인트 사용", "Points")).number(0, points)
                    .hint(held(view::points(points))).show(visit, filled))
                (Field::new("walletAmount", ("지갑에서 일부 결제", "From the wallet, in part"))
                    .number(0, wallet).hint(held(view::price(visit, wallet))).show(visit, filled))
            }
        }
    }
}

/// A coupon, in a list.
pub(crate) fn coupon(visit: &Visit, coupon: &Coupon) -> String {
    let minimum = view::won(coupon.minimum_total.as_ref());
    let off = discount(visit, coupon);
    let from = match minimum {
        0 => String::new(),
        _ => visit.lang.pick(
            format!(" · {} 이상", view::price(visit, minimum)),
            format!(" · from {}", view::price(visit, minimum)),
        ),
    };
    format!("{} · {off}{from}", coupon.display_name)
}

/// What a coupon takes off.
pub(crate) fn discount(visit: &Visit, coupon: &Coupon) -> String {
    let Some(discount) = &coupon.discount else { return String::new() };
    let most = discount.maximum.as_ref().map(|it| view::price(visit, view::won(Some(it))));
    match (discount.percent, most) {
        (Some(percent), Some(most)) => visit
            .lang
            .pick(format!("{percent}% (최대 {most})"), format!("{percent}% (up to {most})")),
        (Some(percent), None) => format!("{percent}%"),
        (None, _) => view::price(visit, view::won(discount.amount.as_ref())),
    }
}

fn methods(visit: &Visit, choice: &Choice, filled: &Filled) -> Markup {
    let wallet = choice.wallet.as_ref().map_or_else(
        |_| String::new(),
        |it| {
            let balance = view::price(visit, *it);
            visit.lang.pick(format!("잔액 {balance}"), format!("Balance {balance}"))
        },
    );
    let method = |value: &str, ko: &'static str, en: &'static str, more: String| {
        (value.to_owned(), visit.t(ko, en).to_owned(), more)
    };
    let due = visit.t(
        "주문 뒤에 계좌와 입금 기한을 알려 드립니다.",
        "After ordering you see the account, and by when.",
    );
    let methods = [
        method("CARD", "카드", "Card", String::new()),
        method("WALLET", "지갑", "Wallet", wallet),
        method("BANK_TRANSFER", "계좌이체", "Bank transfer", due.to_owned()),
    ];
    html! {
        section.card.methods {
            h2 { (visit.t("결제 수단", "Payment")) }
            (form::radios(visit, filled, "paymentMethod", ("결제 수단 선택", "Method"), &methods))
            div.of-card { (card_field(visit, filled)) }
            div.of-transfer {
                (Field::new("depositorName", ("입금자 이름", "Name of whoever transfers"))
                    .longest(100).complete("name").show(visit, filled))
            }
        }
    }
}

/// Which card: the sandbox's by name, others by the token that the acquirer's page gives.
pub(crate) fn card_field(visit: &Visit, filled: &Filled) -> Markup {
    if !visit.web.sandbox {
        return Field::new("cardToken", ("카드 토큰", "Card token"))
            .needed()
            .longest(200)
            .show(visit, filled);
    }
    let cards = CARDS.map(|(token, ko, en)| (token.to_owned(), visit.t(ko, en).to_owned()));
    form::select(visit, filled, "cardToken", ("카드", "Card"), &cards)
}

fn summary(visit: &Visit, lines: &[Line], sums: &Sums) -> Markup {
    let price = |won| view::price(visit, won);
    let less = |won: i64| if won == 0 { price(0) } else { format!("-{}", price(won)) };
    html! {
        aside.card.summary aria-label=(visit.t("주문 내용", "Your order")) {
            h2 { (visit.t("주문 내용", "Your order")) }
            ul.lines.lines-small {
                @for line in lines {
                    li {
                        (products::small_picture(&line.product))
                        div.grow {
                            p.cut { (line.product.display_name) }
                            p.aside { (price(line.total())) " · " (line.pieces) (visit.t("개", " pcs")) }
                        }
                    }
                }
            }
            dl.facts {
                div { dt { (visit.t("상품", "Goods")) } dd { (price(sums.goods)) } }
                div { dt { (visit.t("쿠폰", "Coupon")) } dd { (less(sums.coupon)) } }
                div { dt { (visit.t("포인트", "Points")) } dd { (less(sums.points)) } }
                div { dt { (visit.t("지갑", "Wallet")) } dd { (less(sums.wallet)) } }
                div.total {
                    dt { (visit.t("결제할 금액", "To pay")) }
                    dd { (price(sums.payable())) }
                }
            }
            button.button.button-main.wide { (visit.t("결제하기", "Pay")) }
            button.button.button-quiet.wide name="preview" value="1" formnovalidate {
                (visit.t("금액 다시 계산", "Work out the amounts"))
            }
        }
    }
}

/// Says what cannot be chosen from now.
fn away<T>(visit: &Visit, asked: &Result<T, Failure>, what: (&str, &str)) -> Markup {
    let Err(failure) = asked else { return html! {} };
    let seconds = failure.wait();
    let text = visit.lang.pick(
        format!(
            "{} 지금 불러올 수 없습니다. 없이 주문하거나 {seconds}초 뒤에 다시 시도해 주세요.",
            what.0
        ),
        format!("{} cannot be read now. Order without, or try again in {seconds} s.", what.1),
    );
    html! { p.alert.alert-wait role="status" { (text) } }
}
