//! The cart: a cookie of what is in it, and how many. Prices and stock are asked for when it is shown.

use axum::{Router, response::Response, routing::get, routing::post};
use base::id::Uuid;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use contracts::product::v1::{GetProductRequest, Product, product};
use futures_util::future::join_all;
use maud::{Markup, html};

use crate::{
    cookie,
    failure::Failure,
    form::{self, Filled, Posted},
    layout::{Notice, Page},
    paths, products, view,
    visit::Visit,
};

/// Different products; more would not fit a cookie.
const LINES: usize = 40;
/// Of one product.
pub(crate) const PIECES: u32 = 999;
/// How long it is kept, in seconds.
const KEPT: u64 = 30 * 24 * 60 * 60;

pub(crate) fn router() -> Router {
    Router::new().route(paths::CART, get(show).post(add)).route(paths::CART_CHANGE, post(change))
}

/// What is in it, each product once, in the order that it was put there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cart(Vec<(Uuid, u32)>);

impl Cart {
    /// Of a visit.
    pub(crate) fn of(visit: &Visit) -> Self {
        cookie::read(&visit.headers, cookie::CART).map(Self::parse).unwrap_or_default()
    }

    /// What is not understood is left out: cookies are the browser's.
    fn parse(text: &str) -> Self {
        let mut cart = Self::default();
        for line in text.split('~').take(LINES) {
            let Some((id, pieces)) = line.split_once('.') else { continue };
            let id = URL_SAFE_NO_PAD.decode(id).ok().and_then(|id| Uuid::from_slice(&id).ok());
            if let (Some(id), Ok(pieces)) = (id, pieces.parse()) {
                cart.set(id, pieces);
            }
        }
        cart
    }

    /// As its cookie has it.
    fn write(&self) -> String {
        let line = |(id, pieces): &(Uuid, u32)| format!("{}.{pieces}", URL_SAFE_NO_PAD.encode(id));
        self.0.iter().map(line).collect::<Vec<_>>().join("~")
    }

    /// How many pieces there are of a product.
    fn pieces(&self, id: Uuid) -> u32 {
        self.0.iter().find(|(known, _)| *known == id).map_or(0, |(_, pieces)| *pieces)
    }

    /// So many of a product; none takes it out. False when there is no room.
    fn set(&mut self, id: Uuid, pieces: u32) -> bool {
        let pieces = pieces.min(PIECES);
        let at = self.0.iter().position(|(known, _)| *known == id);
        match (at, pieces) {
            (Some(at), 0) => drop(self.0.remove(at)),
            (Some(at), _) => self.0[at].1 = pieces,
            (None, 0) => {}
            (None, _) if self.0.len() >= LINES => return false,
            (None, _) => self.0.push((id, pieces)),
        }
        true
    }

    /// How many different products there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Keeps it, with a response.
    fn keep(&self, visit: &Visit, response: &mut Response) {
        let seconds = if self.0.is_empty() { 0 } else { KEPT };
        visit.set(response, cookie::CART, &self.write(), seconds);
    }
}

/// Nothing is in it any more.
pub(crate) fn clear(visit: &Visit, response: &mut Response) {
    Cart::default().keep(visit, response);
}

/// A product of the cart, as it is now.
pub(crate) struct Line {
    pub(crate) product: Product,
    pub(crate) pieces: u32,
}

impl Line {
    /// What its pieces cost.
    pub(crate) fn total(&self) -> i64 {
        view::won(self.product.price.as_ref()).saturating_mul(i64::from(self.pieces))
    }

    /// Why it cannot be ordered as it is.
    fn trouble(&self, visit: &Visit) -> Option<String> {
        let left = self.product.stock;
        if self.product.state() == product::State::OffSale {
            return Some(visit.t("판매가 중지되었습니다.", "It is off sale.").to_owned());
        }
        (i64::from(left) < i64::from(self.pieces)).then(|| {
            visit.lang.pick(format!("재고가 {left}개 있습니다."), format!("There are {left} left."))
        })
    }
}

/// What is in the cart, at today's prices; what is not there any more is left out.
pub(crate) async fn lines(visit: &Visit, cart: &Cart) -> Result<Vec<Line>, Failure> {
    let asked = cart.0.iter().map(async |(id, pieces)| {
        let asked = visit.ask(GetProductRequest { product_id: id.to_string() });
        let product = visit.products().get_product(asked).await?.into_inner();
        Ok(Line { product, pieces: *pieces })
    });
    let all = join_all(asked).await.into_iter();
    all.filter(|line: &Result<_, Failure>| !line.as_ref().is_err_and(Failure::is_not_found))
        .collect()
}

/// What it all costs.
pub(crate) fn total(lines: &[Line]) -> i64 {
    lines.iter().fold(0, |sum, line| sum.saturating_add(line.total()))
}

/// The fields with which a page has a product put into the cart.
pub(crate) fn add_form(visit: &Visit, product: &Product) -> Markup {
    html! {
        form.form method="post" action=(paths::CART) {
            (form::own_fields(visit, &Filled::default()))
            input type="hidden" name="product" value=(product.id);
            div.row {
                div.field {
                    label for="f-quantity" { (visit.t("수량", "Quantity")) }
                    input.quantity #f-quantity type="number" name="quantity" value="1" min="1"
                        max=(PIECES) required;
                }
                button.button.button-main.grow.bottomed { (visit.t("장바구니 담기", "Add to cart")) }
            }
        }
    }
}

async fn add(visit: Visit, form: Posted) -> Result<Response, Failure> {
    let id = Uuid::try_parse(&form.id("product")?).map_err(|_| Failure::not_found())?;
    let more = u32::try_from(form.number("quantity")?).ok().filter(|more| *more > 0);
    let more = more.ok_or_else(|| Failure::field("quantity", "must be 1 or more"))?;
    let mut cart = Cart::of(&visit);
    let fits = cart.set(id, cart.pieces(id).saturating_add(more));
    let notice = if fits { Notice::InCart } else { Notice::CartFull };
    let mut response = visit.go(paths::CART, Some(notice));
    cart.keep(&visit, &mut response);
    Ok(response)
}

async fn change(visit: Visit, form: Posted) -> Result<Response, Failure> {
    let mut cart = Cart::of(&visit);
    for (id, _) in cart.0.clone() {
        let name = format!("quantity-{id}");
        if form.text("remove") == id.to_string() {
            cart.set(id, 0);
        } else if form.has(&name) {
            cart.set(id, u32::try_from(form.number(&name)?).unwrap_or_default());
        }
    }
    let mut response = visit.go(paths::CART, Some(Notice::CartChanged));
    cart.keep(&visit, &mut response);
    Ok(response)
}

async fn show(visit: Visit) -> Result<Response, Failure> {
    let title = visit.t("장바구니", "Cart");
    let cart = Cart::of(&visit);
    let lines = lines(&visit, &cart).await?;
    let main = html! {
        h1 { (title) }
        @if lines.len() < cart.len() {
            p.alert.alert-wait { (visit.t("판매가 끝난 상품을 장바구니에서 뺐습니다.",
                "Something is not sold any more, and was left out.")) }
        }
        @if lines.is_empty() {
            (view::empty(
                visit.t("장바구니가 비어 있습니다", "Your cart is empty"),
                visit.t("마음에 드는 상품을 담아 보세요.", "Put something in that you like."),
                Some((paths::HOME, visit.t("상품 보기", "See what there is"))),
            ))
        } @else {
            (filled(&visit, &lines))
        }
    };
    Ok(Page::new(&visit, title).show(&main))
}

fn filled(visit: &Visit, lines: &[Line]) -> Markup {
    html! {
        div.columns.columns-side {
            form.card method="post" action=(paths::CART_CHANGE) {
                (form::own_fields(visit, &Filled::default()))
                // Without it Enter would take the first line out.
                (form::on_enter(None))
                h2 { (visit.t("담은 상품", "What is in it")) }
                ul.lines { @for line in lines { li { (row(visit, line)) } } }
                button.button { (visit.t("수량 변경", "Change quantities")) }
            }
            aside.card aria-label=(visit.t("주문 금액", "Total")) {
                h2 { (visit.t("주문 금액", "Total")) }
                p.price.price-large { (view::price(visit, total(lines))) }
                p.aside { (visit.t("배송비는 없습니다. 쿠폰과 포인트는 다음 화면에서 고릅니다.",
                    "Delivery is free. Coupons and points come next.")) }
                a.button.button-main.wide href=(paths::CHECKOUT) { (visit.t("주문하기", "Order")) }
            }
        }
    }
}

fn row(visit: &Visit, line: &Line) -> Markup {
    let Line { product, pieces } = line;
    let (id, name) = (&product.id, &product.display_name);
    let quantity = visit.lang.pick(format!("{name} 수량"), format!("Quantity of {name}"));
    let remove = visit.lang.pick(format!("{name} 삭제"), format!("Remove {name}"));
    html! {
        (products::small_picture(product))
        div.grow {
            a.cut href=(paths::to(paths::PRODUCT, id)) { (name) }
            p.aside { (view::price(visit, view::won(product.price.as_ref()))) }
            @if let Some(trouble) = line.trouble(visit) { p.wrong { (trouble) } }
        }
        input.quantity type="number" name={ "quantity-" (id) } value=(pieces) min="0" max=(PIECES)
            aria-label=(quantity);
        p.price.line-total { (view::price(visit, line.total())) }
        button.link name="remove" value=(id) aria-label=(remove) { (visit.t("삭제", "Remove")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cart_survives_its_cookie() {
        let (rice, tea) = (Uuid::from_u128(1), Uuid::from_u128(u128::MAX));
        let mut cart = Cart::default();
        assert!(cart.set(rice, 2) && cart.set(tea, 1_000) && cart.set(rice, 3));
        assert_eq!(Cart::parse(&cart.write()), cart);
        assert_eq!((cart.pieces(rice), cart.pieces(tea)), (3, PIECES));
        assert!(cart.set(rice, 0));
        assert_eq!(cart.len(), 1);
    }

    #[test]
    fn a_cookie_of_anything_else_is_an_empty_cart() {
        for text in
            ["", "~~~", "a.1", "AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAA.-1", "\u{0}"]
        {
            assert_eq!(Cart::parse(text), Cart::default(), "{text:?}");
        }
        let full = (0..100).map(Uuid::from_u128).map(|id| (id, 1)).collect();
        assert_eq!(Cart::parse(&Cart(full).write()).len(), LINES);
        assert!(!Cart((0..40).map(|id| (Uuid::from_u128(id), 1)).collect()).set(Uuid::max(), 1));
    }
}
