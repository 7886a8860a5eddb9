//! The contexts that payment meets, played: order publishes what the test says, product
//! answers by the quantity that is asked for, mileage is away.

use std::sync::atomic::{AtomicI64, Ordering};

use base::{Error, error::Kind};
use contracts::{
    member::v1::MemberEvent,
    order::v1::OrderEvent,
    product::v1::{
        self as product,
        product_service_server::{ProductService, ProductServiceServer},
    },
};
use server::{Service, ServiceBuilder};
use tonic::{Request, Response, Status};

pub(crate) static ORDER: Service = Service {
    name: "order",
    migrations: pg::migrations![],
    build: |builder: &mut ServiceBuilder<'_>| {
        builder.publish::<OrderEvent>();
        Ok(())
    },
};

/// Nobody withdraws.
pub(crate) static MEMBER: Service = Service {
    name: "member",
    migrations: pg::migrations![],
    build: |builder: &mut ServiceBuilder<'_>| {
        builder.publish::<MemberEvent>();
        Ok(())
    },
};

/// What product answers: by the quantity that is asked for.
struct Products;

pub(crate) const SHORT: i32 = 1_000;
pub(crate) const SILENCE: i32 = 2_000;
pub(crate) const AWAY: i32 = 3_000;

static SILENT: AtomicI64 = AtomicI64::new(0);

#[tonic::async_trait]
impl ProductService for Products {
    async fn decrease_stock(
        &self,
        request: Request<product::DecreaseStockRequest>,
    ) -> Result<Response<product::DecreaseStockResponse>, Status> {
        match request.get_ref().lines.first().map(|line| line.quantity) {
            Some(SHORT) => Err(Error::new(Kind::Conflict, "OUT_OF_STOCK", "short").into()),
            Some(AWAY) => Err(Status::unimplemented("turned away")),
            // Once; the second time it answers.
            Some(SILENCE) if SILENT.fetch_add(1, Ordering::SeqCst) == 0 => {
                std::future::pending().await
            }
            _ => Ok(Response::new(product::DecreaseStockResponse {})),
        }
    }
}

pub(crate) static PRODUCT: Service = Service {
    name: "product",
    migrations: pg::migrations![],
    build: |builder: &mut ServiceBuilder<'_>| {
        builder.serve(ProductServiceServer::new(Products));
        Ok(())
    },
};

/// Away: a payment is DONE all the same.
pub(crate) static MILEAGE: Service =
    Service { name: "mileage", migrations: pg::migrations![], build: |_| Ok(()) };
