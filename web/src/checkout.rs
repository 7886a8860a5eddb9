//! Ordering what is in the cart: where it goes, what pays. The order is placed under the form's key, so
//! that sent twice it is placed once, and for the total that the member has seen.

mod page;

pub(crate) use self::page::{address_fields, card_field, discount, one_line};

use axum::{Router, response::Response, routing::get};
use contracts::{
    coupon::v1::{Coupon, Discount, ListCouponsRequest, coupon},
    member::v1::{Address, CreateAddressRequest, ListAddressesRequest},
    mileage::v1::GetMileageRequest,
    order::v1::{Order, PaymentMethod, PlaceOrderRequest, place_order_request},
    payment::v1::GetWalletRequest,
};
use futures_util::join;

use crate::{
    cart::{self, Cart, Line},
    failure::Failure,
    form::{Filled, Posted},
    layout::Notice,
    paths, view,
    visit::Visit,
};

pub(crate) fn router() -> Router {
    Router::new().route(paths::CHECKOUT, get(show).post(send))
}

/// The value of a new address, among those that the member has.
const NEW: &str = "new";

/// What the member can choose from; what is away is an error, and the order can do without.
struct Choice {
    lines: Vec<Line>,
    addresses: Result<Vec<Address>, Failure>,
    coupons: Result<Vec<Coupon>, Failure>,
    points: Result<i64, Failure>,
    wallet: Result<i64, Failure>,
}

impl Choice {
    async fn of(visit: &Visit) -> Result<Self, Failure> {
        let member_id = visit.member_id()?;
        let all = ListAddressesRequest { member_id: member_id.clone(), ..<_>::default() };
        let issued =
            ListCouponsRequest { member_id: member_id.clone(), page_size: 200, ..<_>::default() };
        let (mut members, mut coupons) = (visit.addresses(), visit.coupons());
        let (mut mileage, mut payments) = (visit.mileage(), visit.payments());
        let cart = Cart::of(visit);
        let (lines, addresses, coupons, points, wallet) = join!(
            cart::lines(visit, &cart),
            members.list_addresses(visit.ask_briefly(all)),
            coupons.list_coupons(visit.ask_briefly(issued)),
            mileage
                .get_mileage(visit.ask_briefly(GetMileageRequest { member_id: member_id.clone() })),
            payments.get_wallet(visit.ask_briefly(GetWalletRequest { member_id })),
        );
        let usable = |coupon: &Coupon| {
            coupon.state() == coupon::State::Issued && !view::is_over(coupon.expire_time.as_ref())
        };
        Ok(Self {
            lines: lines?,
            addresses: addresses.map(|it| it.into_inner().addresses).map_err(Failure::from),
            coupons: coupons
                .map(|it| it.into_inner().coupons.into_iter().filter(usable).collect())
                .map_err(Failure::from),
            points: points.map(|it| it.into_inner().balance.max(0)).map_err(Failure::from),
            wallet: wallet
                .map(|it| view::won(it.into_inner().balance.as_ref()))
                .map_err(Failure::from),
        })
    }

    /// What is to be paid, as far as it can be told before the order says so.
    fn sums(&self, filled: &Filled) -> Sums {
        let number =
            |name| filled.value(name).and_then(|it| it.replace(',', "").parse::<i64>().ok());
        let goods = cart::total(&self.lines);
        let chosen = filled.value("couponId").unwrap_or_default();
        let coupons = self.coupons.as_deref().unwrap_or_default();
        let coupon = coupons.iter().find(|coupon| coupon.id == chosen);
        let coupon = coupon.and_then(|it| it.discount.as_ref()).map_or(0, |it| off(it, goods));
        let points = number("points").unwrap_or(0);
        let wallet = number("walletAmount").unwrap_or(0);
        Sums { goods, coupon, points, wallet }
    }
}

/// What an order costs, and what pays.
struct Sums {
    goods: i64,
    coupon: i64,
    points: i64,
    wallet: i64,
}

impl Sums {
    /// What is left for the method.
    fn payable(&self) -> i64 {
        let parts = [self.coupon, self.points, self.wallet];
        parts.iter().fold(self.goods, |left, part| left.saturating_sub(*part)).max(0)
    }
}

/// What goods of so many won cost less.
fn off(discount: &Discount, goods: i64) -> i64 {
    let share = |percent: i32| goods.saturating_mul(i64::from(percent)) / 100;
    let most = discount.maximum.as_ref().map_or(i64::MAX, |it| view::won(Some(it)));
    let won = match discount.percent {
        Some(percent) => share(percent).min(most),
        None => view::won(discount.amount.as_ref()),
    };
    won.min(goods)
}

async fn show(visit: Visit) -> Result<Response, Failure> {
    let choice = Choice::of(&visit).await?;
    if choice.lines.is_empty() {
        return Ok(visit.go(paths::CART, None));
    }
    Ok(page::show(&visit, &choice, &Filled::default()))
}

async fn send(visit: Visit, mut form: Posted) -> Result<Response, Failure> {
    let mut choice = Choice::of(&visit).await?;
    if choice.lines.is_empty() {
        return Ok(visit.go(paths::CART, None));
    }
    if form.has("preview") {
        return Ok(page::show(&visit, &choice, &form.again()));
    }
    match order(&visit, &mut choice, &mut form).await {
        Ok(order) => {
            let path = paths::to(paths::MY_ORDER, &order.id);
            let mut response = visit.go(&path, Some(Notice::Ordered));
            cart::clear(&visit, &mut response);
            Ok(response)
        }
        Err(failure) if failure.wants_sign_in() => Err(failure),
        Err(failure) => Ok(page::show(&visit, &choice, &form.refused(failure))),
    }
}

/// Places the order. A new address is kept first: it can be chosen when the order is refused.
async fn order(visit: &Visit, choice: &mut Choice, form: &mut Posted) -> Result<Order, Failure> {
    if form.text("addressId") == NEW {
        let address = create_address(visit, form).await?;
        form.set("addressId", &address.id);
        if let Ok(addresses) = &mut choice.addresses {
            addresses.insert(0, address);
        }
    }
    let method = PaymentMethod::from_str_name(form.text("paymentMethod"));
    let line = |line: &Line| place_order_request::Line {
        product_id: line.product.id.clone(),
        quantity: i32::try_from(line.pieces).unwrap_or(i32::MAX),
    };
    let wallet = form.number("walletAmount")?;
    let mut message = PlaceOrderRequest {
        payment_method: method.unwrap_or_default().into(),
        lines: choice.lines.iter().map(line).collect(),
        expected_total: view::money(form.number("expectedTotal")?),
        coupon_id: form.text("couponId").to_owned(),
        points: form.number("points")?,
        wallet_amount: view::money(wallet).filter(|_| wallet != 0),
        address_id: form.text("addressId").to_owned(),
        ..PlaceOrderRequest::default()
    };
    match method {
        Some(PaymentMethod::Card) => form.text("cardToken").clone_into(&mut message.card_token),
        Some(PaymentMethod::BankTransfer) => {
            form.text("depositorName").clone_into(&mut message.depositor_name);
        }
        _ => {}
    }
    Ok(visit.orders().place_order(visit.command(form.key(), message)).await?.into_inner())
}

/// Keeps the address that a form has the fields of.
pub(crate) async fn create_address(visit: &Visit, form: &Posted) -> Result<Address, Failure> {
    let text = |name| form.text(name).to_owned();
    let message = CreateAddressRequest {
        member_id: visit.member_id()?,
        recipient: text("recipient"),
        phone: text("phone"),
        postcode: text("postcode"),
        line1: text("line1"),
        line2: text("line2"),
        memo: text("memo"),
    };
    let asked = visit.command(form.key(), message);
    Ok(visit.addresses().create_address(asked).await?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_discount_is_an_amount_or_a_share_and_never_more_than_the_goods() {
        let amount = Discount { amount: view::money(3_000), ..Discount::default() };
        assert_eq!([10_000, 2_000].map(|goods| off(&amount, goods)), [3_000, 2_000]);
        let share = Discount { percent: Some(15), maximum: view::money(5_000), amount: None };
        assert_eq!([10_001, 100_000].map(|goods| off(&share, goods)), [1_500, 5_000]);
    }

    #[test]
    fn what_is_left_is_what_the_method_pays() {
        let sums = Sums { goods: 10_000, coupon: 3_000, points: 1_000, wallet: 500 };
        assert_eq!(sums.payable(), 5_500);
        assert_eq!(Sums { wallet: 90_000, ..sums }.payable(), 0);
    }
}
