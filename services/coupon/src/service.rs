//! The coupon service's calls: parse, call, render.

use std::mem;

use contracts::coupon::v1::{
    self as pb, CancelMemberCouponsRequest, CancelMemberCouponsResponse, ListCouponsRequest,
    ListCouponsResponse, coupon_service_server::CouponService,
};
use eventlog::facts::{self, Learned};
use pg::Database;
use server::Incoming;
use tonic::{Request, Response, Status};

use crate::{
    domain::{Fact, MemberId, State},
    store::{self, Coupon},
};

/// Answers calls about coupons.
pub(crate) struct Coupons {
    database: Database,
}

impl Coupons {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }
}

#[tonic::async_trait]
impl CouponService for Coupons {
    async fn list_coupons(
        &self,
        request: Request<ListCouponsRequest>,
    ) -> Result<Response<ListCouponsResponse>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let page =
            incoming.page(|m| (mem::take(&mut m.page_size), mem::take(&mut m.page_token)))?;
        let mut reader = self.database.read().await?;
        let coupons = store::list(&mut reader, MemberId(member), page).await?;
        let coupons = coupons.iter().map(|coupon| (coupon.id.0, render(coupon)));
        let (coupons, next_page_token) = page.cut(coupons);
        Ok(Response::new(ListCouponsResponse { coupons, next_page_token }))
    }

    async fn cancel_member_coupons(
        &self,
        request: Request<CancelMemberCouponsRequest>,
    ) -> Result<Response<CancelMemberCouponsResponse>, Status> {
        let (_, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let member = MemberId(member);
        let mut tx = self.database.begin().await?;
        let withdrawing = Learned { key: member, fact: Fact::Withdrawing, cause: None };
        let coupons = facts::learn::<Coupon>(&mut tx, &[withdrawing]).await?;
        tx.commit().await?;
        let cancelled = coupons.values().filter(|coupon| coupon.state == State::Cancelled);
        let cancelled = i32::try_from(cancelled.count()).unwrap_or(i32::MAX);
        Ok(Response::new(CancelMemberCouponsResponse { cancelled }))
    }
}

fn render(coupon: &Coupon) -> pb::Coupon {
    let state = match coupon.state {
        // Never seen: the first is not stored, the second not shown.
        State::New | State::Refused => pb::coupon::State::Unspecified,
        State::Issued => pb::coupon::State::Issued,
        State::Cancelled => pb::coupon::State::Cancelled,
    };
    pb::Coupon {
        id: coupon.id.to_string(),
        member_id: coupon.member.to_string(),
        state: state.into(),
        create_time: Some(coupon.create_time.into()),
    }
}
