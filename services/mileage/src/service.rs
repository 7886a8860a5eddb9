//! The mileage service's calls: parse, call, render.

use std::mem;

use base::Error;
use contracts::mileage::v1::{
    self as pb, EarnRequest, GetMileageRequest, ListMileageEntriesRequest,
    ListMileageEntriesResponse, mileage_service_server::MileageService,
};
use eventlog::facts::{self, Learned};
use pg::Database;
use server::Incoming;
use tonic::{Request, Response, Status};

use crate::{
    domain::{Fact, MemberId, OrderId, Paid, PaymentId, Rate},
    store::{self, Filter, Known, Stored},
    wire,
};

/// Answers calls about members' points.
pub(crate) struct Mileage {
    database: Database,
    rate: Rate,
}

impl Mileage {
    pub(crate) fn new(database: Database, rate: Rate) -> Self {
        Self { database, rate }
    }
}

#[tonic::async_trait]
impl MileageService for Mileage {
    async fn get_mileage(
        &self,
        request: Request<GetMileageRequest>,
    ) -> Result<Response<pb::Mileage>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let mut reader = self.database.read().await?;
        let balance = store::balance(&mut reader, MemberId(member)).await?.get();
        Ok(Response::new(pb::Mileage { member_id: incoming.message.member_id, balance }))
    }

    async fn list_mileage_entries(
        &self,
        request: Request<ListMileageEntriesRequest>,
    ) -> Result<Response<ListMileageEntriesResponse>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let message = &incoming.message;
        let page =
            incoming.page(|m| (mem::take(&mut m.page_size), mem::take(&mut m.page_token)))?;
        let payment = (!message.payment_id.is_empty())
            .then(|| PaymentId::parse("paymentId", &message.payment_id))
            .transpose()?;
        let order = (!message.order_id.is_empty())
            .then(|| OrderId::parse("orderId", &message.order_id))
            .transpose()?;
        let filter = Filter { member: MemberId(member), payment, order };
        let mut reader = self.database.read().await?;
        let entries = store::list(&mut reader, &filter, page).await?;
        let entries = entries.iter().map(|stored| (stored.entry.id.0, render(stored)));
        let (entries, next_page_token) = page.cut(entries);
        Ok(Response::new(ListMileageEntriesResponse { entries, next_page_token }))
    }

    async fn earn(
        &self,
        request: Request<EarnRequest>,
    ) -> Result<Response<pb::MileageEntry>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let message = incoming.message;
        let payment = PaymentId::parse("paymentId", &message.payment_id)?;
        let paid = Paid::parse("amount", message.amount.as_ref().map(contracts::Money::parts))?;
        let approved = Learned {
            key: payment,
            fact: Known {
                order: OrderId::parse("orderId", &message.order_id)?,
                member: MemberId(member),
                fact: Fact::Approved(self.rate.points(paid)),
            },
            cause: None,
        };
        let mut tx = self.database.begin().await?;
        let mut entries = facts::learn::<Stored>(&mut tx, &[approved]).await?;
        tx.commit().await?;
        let stored = entries.remove(&payment).ok_or_else(|| Error::internal("no entry"))?;
        stored.entry.earned().map_err(Error::from)?;
        Ok(Response::new(render(&stored)))
    }
}

fn render(stored: &Stored) -> pb::MileageEntry {
    let entry = &stored.entry;
    pb::MileageEntry {
        id: entry.id.to_string(),
        payment_id: entry.payment.to_string(),
        order_id: entry.order.to_string(),
        member_id: entry.member.to_string(),
        points: entry.points.get(),
        state: wire::state(entry.state).into(),
        create_time: Some(stored.create_time.into()),
    }
}
