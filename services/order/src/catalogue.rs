//! Prices for an order: from the catalogue's copy, and from product itself only
//! for what the copy lacks. A product registered 5 ms ago can be ordered.

use std::{collections::BTreeMap, time::Duration};

use base::{Error, Money, id::Uuid};
use contracts::product::v1::{
    BatchGetProductsRequest, product::State, product_service::BATCH_GET_PRODUCTS,
};
use pg::Database;
use rpc::Peer;

use crate::{
    domain::ProductId,
    store::{self, Offer},
};

/// Knows what is on sale.
pub(crate) struct Catalogue {
    database: Database,
    product: Peer,
    deadline: Duration,
}

impl Catalogue {
    pub(crate) fn new(database: Database, product: Peer, deadline: Duration) -> Self {
        Self { database, product, deadline }
    }

    /// The offers for these products. One that nobody knows is left out; 503 `CATALOGUE_LAGGING`
    /// when product would have to be asked and cannot.
    pub(crate) async fn offers(
        &self,
        products: &[ProductId],
    ) -> Result<BTreeMap<ProductId, Offer>, Error> {
        let ids: Vec<Uuid> = products.iter().map(|product| product.0).collect();
        let known = store::offers(&mut self.database.read().await?, &ids).await?;
        let mut offers: BTreeMap<_, _> =
            known.into_iter().map(|offer| (offer.product, offer)).collect();
        let lacking: Vec<ProductId> =
            products.iter().filter(|product| !offers.contains_key(product)).copied().collect();
        if !lacking.is_empty() {
            let asked = self.ask(&lacking).await?;
            offers.extend(asked.into_iter().map(|offer| (offer.product, offer)));
        }
        Ok(offers)
    }

    /// What product itself says. Not kept: the copy follows product's events.
    async fn ask(&self, lacking: &[ProductId]) -> Result<Vec<Offer>, Error> {
        let product_ids = lacking.iter().map(ToString::to_string).collect();
        let request = BatchGetProductsRequest { product_ids };
        let answer = self.product.unary(BATCH_GET_PRODUCTS, &request, self.deadline).await;
        let answer = answer.map_err(|_| {
            Error::unavailable("CATALOGUE_LAGGING", "a product is not in the catalogue yet")
        })?;
        let offer = |product: &contracts::product::v1::Product| {
            Ok(Offer {
                product: ProductId::parse("id", &product.id)?,
                display_name: product.display_name.clone(),
                price: Money::parse("price", product.price.as_ref().map(contracts::Money::parts))?,
                version: 0,
                on_sale: product.state() != State::OffSale,
            })
        };
        answer.products.iter().map(offer).collect()
    }
}
