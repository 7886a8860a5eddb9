//! All the SQL of the catalogue's copy.

use std::collections::BTreeMap;

use base::{Error, Money, id::Uuid};
use pg::{Reader, Tx};
use tokio_postgres::Row;

use crate::domain::ProductId;

/// A product as the catalogue's copy has it.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) product: ProductId,
    pub(crate) display_name: String,
    pub(crate) price: Money,
    /// Of two, the higher is the newer.
    pub(crate) version: i64,
    /// Whether it may be ordered.
    pub(crate) on_sale: bool,
}

/// Reads what the catalogue's copy has of these products.
pub(crate) async fn offers(reader: &mut Reader, ids: &[Uuid]) -> Result<Vec<Offer>, Error> {
    let rows = reader
        .query(
            "select product_id, display_name, price_minor, version, on_sale
             from catalogue where product_id = any($1)",
            &[&ids],
        )
        .await?;
    let offer = |row: &Row| Offer {
        product: ProductId(row.get(0)),
        display_name: row.get(1),
        price: Money::krw(row.get(2)),
        version: row.get(3),
        on_sale: row.get(4),
    };
    Ok(rows.iter().map(offer).collect())
}

/// Takes in what product says; older versions than the copy's are passed over.
pub(crate) async fn keep_offers(tx: &mut Tx, offers: &[Offer]) -> Result<(), Error> {
    // One row a product: a statement may not touch a row twice.
    let mut newest: BTreeMap<ProductId, &Offer> = BTreeMap::new();
    for offer in offers {
        let kept = newest.entry(offer.product).or_insert(offer);
        if kept.version < offer.version {
            *kept = offer;
        }
    }
    let newest: Vec<&Offer> = newest.into_values().collect();
    let ids: Vec<Uuid> = newest.iter().map(|offer| offer.product.0).collect();
    let names: Vec<&str> = newest.iter().map(|offer| offer.display_name.as_str()).collect();
    let prices: Vec<i64> = newest.iter().map(|offer| offer.price.minor()).collect();
    let currencies: Vec<&str> = newest.iter().map(|offer| offer.price.to_wire().0).collect();
    let versions: Vec<i64> = newest.iter().map(|offer| offer.version).collect();
    let on_sale: Vec<bool> = newest.iter().map(|offer| offer.on_sale).collect();
    tx.execute(
        "insert into catalogue (product_id, display_name, price_minor, currency, version, on_sale)
         select * from unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::bigint[],
           $6::bool[])
         on conflict (product_id) do update set display_name = excluded.display_name,
           price_minor = excluded.price_minor, currency = excluded.currency,
           version = excluded.version, on_sale = excluded.on_sale
         where catalogue.version < excluded.version",
        &[&ids, &names, &prices, &currencies, &versions, &on_sale],
    )
    .await?;
    Ok(())
}
