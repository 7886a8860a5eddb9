//! What is in orders, beside lists of parcels and of returns, which know their numbers alone. The lists can do
//! without.

use std::collections::{BTreeMap, BTreeSet};

use contracts::order::v1::{GetOrderRequest, Order, OrderLine};
use futures_util::future::join_all;
use maud::{Markup, html};

use crate::{console, paths, view, visit::Visit};

/// Orders by their ids, as far as order says them.
pub(super) struct Goods(BTreeMap<String, Order>);

impl Goods {
    /// Asks for each order once; a list has a page of them at most.
    pub(super) async fn of<'a>(visit: &Visit, ids: impl Iterator<Item = &'a str>) -> Self {
        let ids: BTreeSet<&str> = ids.collect();
        let asked = ids.into_iter().map(async |id| {
            let asked = visit.ask_briefly(GetOrderRequest { order_id: id.to_owned() });
            let order = visit.orders().get_order(asked).await.ok()?.into_inner();
            Some((id.to_owned(), order))
        });
        Self(join_all(asked).await.into_iter().flatten().collect())
    }

    /// An order's lines.
    pub(super) fn lines(&self, order: &str) -> &[OrderLine] {
        self.0.get(order).map_or(&[], |order| &order.lines)
    }

    /// What a product is called in an order; its id where that is not known.
    pub(super) fn name(&self, order: &str, product: &str) -> Markup {
        let line = self.lines(order).iter().find(|line| line.product_id == product);
        html! { @if let Some(line) = line { (line.display_name) } @else { (console::id(product)) } }
    }

    /// The head of an order's card: what it is called, and its number.
    pub(super) fn head(&self, visit: &Visit, order: &str) -> Markup {
        let lines = self.lines(order);
        let more = lines.len().saturating_sub(1);
        html! {
            div.grow {
                h2 { a.cut href=(paths::to(paths::SELLER_ORDER, order)) {
                    @match lines.first() {
                        None => (visit.t("주문", "Order")),
                        Some(first) => {
                            (first.display_name)
                            @if more > 0 { (visit.lang.pick(format!(" 외 {more}건"), format!(" and {more} more"))) }
                        }
                    }
                } }
                p.aside { (visit.t("주문번호", "Order number")) " " (console::id(order)) }
            }
        }
    }

    /// What goes into an order's parcel: what is left of each line.
    pub(super) fn to_pack(&self, order: &str) -> Markup {
        let left = |line: &OrderLine| line.quantity.saturating_sub(line.cancelled_quantity);
        let lines: Vec<_> = self.lines(order).iter().filter(|line| left(line) > 0).collect();
        html! {
            @if !lines.is_empty() {
                ul { @for line in lines {
                    li { (line.display_name) " × " strong { (view::grouped(left(line).into())) } }
                } }
            }
        }
    }
}
