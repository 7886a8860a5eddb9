//! The contexts that member asks before somebody leaves, played: order and payment have
//! nothing against it.

use contracts::{
    order::v1::{
        self as order,
        order_service_server::{OrderService, OrderServiceServer},
    },
    payment::v1::{
        self as payment,
        payment_service_server::{PaymentService, PaymentServiceServer},
    },
};
use server::{Service, ServiceBuilder};
use tonic::{Request, Response, Status};

struct Orders;

#[tonic::async_trait]
impl OrderService for Orders {
    async fn ask_withdrawal(
        &self,
        _: Request<order::AskWithdrawalRequest>,
    ) -> Result<Response<order::AskWithdrawalResponse>, Status> {
        Ok(Response::new(order::AskWithdrawalResponse {}))
    }
}

pub(crate) static ORDER: Service = Service {
    name: "order",
    migrations: pg::migrations![],
    build: |builder: &mut ServiceBuilder<'_>| {
        builder.serve(OrderServiceServer::new(Orders));
        Ok(())
    },
};

struct Payments;

#[tonic::async_trait]
impl PaymentService for Payments {
    async fn ask_withdrawal(
        &self,
        _: Request<payment::AskWithdrawalRequest>,
    ) -> Result<Response<payment::AskWithdrawalResponse>, Status> {
        Ok(Response::new(payment::AskWithdrawalResponse {}))
    }
}

pub(crate) static PAYMENT: Service = Service {
    name: "payment",
    migrations: pg::migrations![],
    build: |builder: &mut ServiceBuilder<'_>| {
        builder.serve(PaymentServiceServer::new(Payments));
        Ok(())
    },
};
