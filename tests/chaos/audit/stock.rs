//! On hand is what there was, and what was added, less what orders have that were not
//! cancelled.

use std::collections::HashMap;

use super::{Seen, text};
use crate::{customer::units, shop::Shop, taken::pieces_kept};

pub(super) fn compare(shop: &Shop, seen: &Seen) {
    let mut taken: HashMap<String, i64> = HashMap::new();
    for order in seen.orders.values().filter(|order| text(order, "state") != "CANCELLED") {
        for line in order["lines"].as_array().into_iter().flatten() {
            *taken.entry(text(line, "productId")).or_default() += pieces_kept(line);
        }
    }
    let products = shop.model().products.clone();
    for product in products {
        let about = [product.id.clone()];
        let Some(shown) = seen.products.get(&product.id) else {
            shop.wrong(&about, format!("product {} is gone", product.id));
            continue;
        };
        let taken = taken.get(&product.id).copied().unwrap_or_default();
        let expected = product.stock + product.restocked - taken;
        if shown["stock"] != expected {
            let what = format!(
                "{} + {} restocked - {taken} ordered = {expected}, not {shown}",
                product.stock, product.restocked
            );
            shop.wrong(&about, what);
        }
        if !product.prices.contains(&units(&shown["price"])) {
            shop.wrong(&about, format!("nobody asked for that price: {shown}"));
        }
    }
}
