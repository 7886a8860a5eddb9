//! The mileage service's calls: parse, call, render.

use std::time::Duration;

use base::{Error, input};
use contracts::mileage::v1::{
    self as pb, EarnRequest, ExpiringPoints, GetMileageRequest, ListMileageEntriesRequest,
    ListMileageEntriesResponse, ReleasePointsRequest, ReleasePointsResponse, SpendPointsRequest,
    SpendPointsResponse, mileage_service_server::MileageService,
};
use pg::Database;
use server::Incoming;
use tonic::{Request, Response, Status};

use crate::{
    domain::{Fact, MemberId, OrderId, Paid, PaymentId, Rate, account::SPEND},
    store::{
        self, Learned,
        read::{self, Filter, Line},
        spend::{self, Returned, What},
    },
    wire,
};

/// Answers calls about members' points.
pub(crate) struct Mileage {
    pub(crate) database: Database,
    pub(crate) rate: Rate,
    /// How long after they were earned points expire.
    pub(crate) expire_after: Duration,
}

#[tonic::async_trait]
impl MileageService for Mileage {
    async fn get_mileage(
        &self,
        request: Request<GetMileageRequest>,
    ) -> Result<Response<pb::Mileage>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let mut reader = self.database.read().await?;
        let balance = read::balance(&mut reader, MemberId(member)).await?;
        let (points, before) = (balance.expiring, Some(balance.before.into()));
        Ok(Response::new(pb::Mileage {
            member_id: incoming.message.member_id,
            balance: balance.points,
            expiring_soon: Some(ExpiringPoints { points, before }),
        }))
    }

    async fn list_mileage_entries(
        &self,
        request: Request<ListMileageEntriesRequest>,
    ) -> Result<Response<ListMileageEntriesResponse>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let message = &incoming.message;
        let page = incoming.page()?;
        let payment = PaymentId::optional("paymentId", &message.payment_id)?;
        let order = OrderId::optional("orderId", &message.order_id)?;
        let filter = Filter { member: MemberId(member), payment, order };
        let mut reader = self.database.read().await?;
        let entries = read::list(&mut reader, &filter, page).await?;
        let entries = entries.iter().map(|line| (line.id().0, render(line)));
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
            payment,
            order: OrderId::parse("orderId", &message.order_id)?,
            member: MemberId(member),
            fact: Fact::Approved(paid),
            cause: None,
        };
        let mut tx = self.database.begin().await?;
        let mut entries = store::learn(&mut tx, &[approved], self.rate, self.expire_after).await?;
        tx.commit().await?;
        let stored = entries.remove(&payment).ok_or_else(|| Error::internal("no entry"))?;
        stored.entry.earned().map_err(Error::from)?;
        Ok(Response::new(wire::entry(&stored)))
    }

    async fn spend_points(
        &self,
        request: Request<SpendPointsRequest>,
    ) -> Result<Response<SpendPointsResponse>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let order = OrderId::parse("orderId", &incoming.message.order_id)?;
        let points = input::number("points", incoming.message.points, &SPEND)?;
        let mut tx = self.database.begin().await?;
        let entry = spend::spend(&mut tx, (order, MemberId(member)), points).await?;
        tx.commit().await?;
        Ok(Response::new(SpendPointsResponse { entry: Some(wire::movement(&entry)) }))
    }

    async fn release_points(
        &self,
        request: Request<ReleasePointsRequest>,
    ) -> Result<Response<ReleasePointsResponse>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let order = OrderId::parse("orderId", &incoming.message.order_id)?;
        let returned = Returned { order, member: MemberId(member), what: What::All, cause: None };
        let mut tx = self.database.begin().await?;
        let points = spend::give_back(&mut tx, &[returned]).await?;
        tx.commit().await?;
        let points = points.get(&order).copied().unwrap_or_default();
        Ok(Response::new(ReleasePointsResponse { points }))
    }
}

fn render(line: &Line) -> pb::MileageEntry {
    match line {
        Line::Earned(stored) => wire::entry(stored),
        Line::Moved(stored) => wire::movement(stored),
    }
}
