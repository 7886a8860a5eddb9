//! The My Page service's calls: parse, call, render.

use base::{Error, error::Kind};
use contracts::{
    member::v1::member,
    mileage::v1::ExpiringPoints,
    mypage::v1::{
        self as pb, GetMyOrderRequest, GetMyPageRequest, ListMyMileageRequest,
        ListMyMileageResponse, ListMyOrdersRequest, ListMyOrdersResponse, ShowAddressRequest,
        ShowAddressResponse, WatchMyPageRequest, my_page_service_server::MyPageService,
    },
};
use pg::{Database, Reader};
use prost::Message as _;
use server::Incoming;
use tonic::{Request, Response, Status};

use crate::{
    domain::{MemberId, OrderId},
    sources::Sources,
    store::{self, Coupon, OrderView},
    watch::{self, Watches},
    wire,
};

/// Answers calls about members' pages.
pub(crate) struct Pages {
    database: Database,
    sources: Sources,
    watches: Watches,
}

impl Pages {
    pub(crate) fn new(database: Database, sources: Sources, watches: Watches) -> Self {
        Self { database, sources, watches }
    }
}

#[tonic::async_trait]
impl MyPageService for Pages {
    async fn get_my_page(
        &self,
        request: Request<GetMyPageRequest>,
    ) -> Result<Response<pb::MyPage>, Status> {
        let (_, id) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        // First: nobody holds a connection while they wait.
        let unavailable = self.sources.unavailable().await;
        let mut reader = self.database.read().await?;
        Ok(Response::new(page(&mut reader, MemberId(id), unavailable).await?))
    }

    async fn watch_my_page(
        &self,
        request: Request<WatchMyPageRequest>,
    ) -> Result<Response<watch::Messages>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let cursor = watch::cursor(&incoming.message.last_event_id)?;
        Ok(Response::new(self.watches.open(MemberId(member), cursor).await?))
    }

    async fn list_my_orders(
        &self,
        request: Request<ListMyOrdersRequest>,
    ) -> Result<Response<ListMyOrdersResponse>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let page = incoming.page()?;
        let mut reader = self.database.read().await?;
        let orders = store::orders(&mut reader, MemberId(member), page).await?;
        let render = |view: OrderView| Ok::<_, Error>((view.order.0, wire::order(view)?));
        let orders = orders.into_iter().map(render).collect::<Result<Vec<_>, _>>()?;
        let (orders, next_page_token) = page.cut(orders);
        Ok(Response::new(ListMyOrdersResponse { orders, next_page_token }))
    }

    async fn get_my_order(
        &self,
        request: Request<GetMyOrderRequest>,
    ) -> Result<Response<pb::OrderView>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let order = OrderId::parse("orderId", &incoming.message.order_id)?;
        let mut reader = self.database.read().await?;
        Ok(Response::new(wire::order(store::order(&mut reader, MemberId(member), order).await?)?))
    }

    async fn list_my_mileage(
        &self,
        request: Request<ListMyMileageRequest>,
    ) -> Result<Response<ListMyMileageResponse>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let page = incoming.page()?;
        let mut reader = self.database.read().await?;
        let balance = store::points::balance(&mut reader, MemberId(member)).await?;
        let lines = store::points::list(&mut reader, MemberId(member), page).await?;
        let entries = lines.iter().map(|line| (line.id().0, wire::line(line)));
        let (entries, next_page_token) = page.cut(entries);
        Ok(Response::new(ListMyMileageResponse { balance, entries, next_page_token }))
    }

    async fn show_address(
        &self,
        request: Request<ShowAddressRequest>,
    ) -> Result<Response<ShowAddressResponse>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let order = OrderId::parse("orderId", &incoming.message.order_id)?;
        let address = incoming.message.address.as_ref();
        let address = address.ok_or_else(|| Error::violation("address", "is required"))?;
        let mut tx = self.database.begin().await?;
        store::addresses::keep(&mut tx, order, MemberId(member), &address.encode_to_vec()).await?;
        tx.commit().await?;
        Ok(Response::new(ShowAddressResponse {}))
    }
}

/// The page of a member who has signed up, while these services are unavailable.
pub(crate) async fn page(
    reader: &mut Reader,
    id: MemberId,
    unavailable: Vec<String>,
) -> Result<pb::MyPage, Error> {
    let member = store::member(reader, id).await?;
    let coupons = store::coupons::list(reader, id).await?;
    let mileage_balance = store::points::balance(reader, id).await?;
    let (points, before) = store::points::expiring(reader, id).await?;
    let state = if member.withdrawn { member::State::Withdrawn } else { member::State::Active };
    Ok(pb::MyPage {
        member_id: id.to_string(),
        order_count: member.orders,
        state: state.into(),
        coupon_issued: !coupons.is_empty(),
        admin_notified: member.admin_notified,
        coupon_cancelled: coupons.iter().any(Coupon::cancelled),
        coupons: coupons.iter().map(wire::coupon).collect::<Result<_, _>>()?,
        mileage_balance,
        mileage_expiring_soon: Some(ExpiringPoints { points, before: Some(before.into()) }),
        unavailable,
    })
}

/// The token is void, though it has not expired.
pub(crate) fn withdrawn() -> Error {
    Error::new(Kind::Unauthenticated, "MEMBER_WITHDRAWN", "the member has withdrawn")
}
