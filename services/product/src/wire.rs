//! How a product, its stock and what an order took look elsewhere: on the wire, and in events.

use base::Error;
use contracts::product::v1::{
    self as pb, ProductRegistered, ProductRestocked, ProductUpdated, StockAdjusted,
    product_event::Event,
};

use crate::{
    domain::{Change, Line, Sale},
    store::Product,
};

pub(crate) mod allocation;

/// A product on the wire.
pub(crate) fn product(product: &Product) -> pb::Product {
    pb::Product {
        id: product.id.to_string(),
        display_name: product.display_name.clone(),
        price: Some(product.price.to_wire().into()),
        stock: units(product),
        etag: etag(product),
        create_time: Some(product.create_time.into()),
        state: sale(product.sale).into(),
        description: product.description.clone(),
        picture: product.picture.clone(),
    }
}

/// Changes with every change that a reader sees: of the version, and of the stock.
pub(crate) fn etag(product: &Product) -> String {
    format!("{}.{}", product.version, product.stock.get())
}

/// The contract's number ends here; a stock that large came back from cancelled orders.
fn units(product: &Product) -> i32 {
    i32::try_from(product.stock.get()).unwrap_or(i32::MAX)
}

/// Whether a product may be ordered, on the wire.
fn sale(sale: Sale) -> pb::product::State {
    match sale {
        Sale::OnSale => pb::product::State::OnSale,
        Sale::OffSale => pb::product::State::OffSale,
    }
}

/// Whether a product may be ordered, from a request.
pub(crate) fn sale_from(state: i32) -> Result<Sale, Error> {
    match pb::product::State::try_from(state) {
        Ok(pb::product::State::OnSale) => Ok(Sale::OnSale),
        Ok(pb::product::State::OffSale) => Ok(Sale::OffSale),
        _ => Err(Error::violation("state", "must be ON_SALE or OFF_SALE")),
    }
}

/// Lines on the wire.
fn lines(lines: &[Line]) -> Vec<pb::Line> {
    let line = |line: &Line| pb::Line {
        product_id: line.product.to_string(),
        quantity: line.quantity.get(),
    };
    lines.iter().map(line).collect()
}

/// The event of a change of a product, which it has taken in.
pub(crate) fn event(product: &Product, change: &Change) -> Event {
    let product_id = product.id.to_string();
    let (display_name, price) = (product.display_name.clone(), product.price.to_wire().into());
    match change {
        Change::Registered => Event::ProductRegistered(ProductRegistered {
            product_id,
            display_name,
            price: Some(price),
            stock: units(product),
        }),
        Change::Updated => Event::ProductUpdated(ProductUpdated {
            product_id,
            display_name,
            price: Some(price),
            version: product.version,
            state: sale(product.sale).into(),
        }),
        Change::Restocked(quantity) => {
            Event::ProductRestocked(ProductRestocked { product_id, quantity: quantity.get() })
        }
        Change::Adjusted { delta, reason, actor } => Event::StockAdjusted(StockAdjusted {
            product_id,
            delta: *delta,
            reason: reason.clone(),
            actor_id: actor.to_string(),
        }),
    }
}
