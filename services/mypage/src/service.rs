//! The My Page service's calls: parse, call, render.

use contracts::{
    delivery::v1::delivery,
    mypage::v1::{
        self as pb, GetMyOrderRequest, GetMyPageRequest, ListMyOrdersRequest, ListMyOrdersResponse,
        my_page_service_server::MyPageService, order_view,
    },
    order::v1::{OrderPlaced, order},
    payment::v1::payment,
};
use kit::{Database, Error, Incoming, page::Page};
use prost::Message as _;
use tonic::{Request, Response, Status};

use crate::store::{self, OrderView};

/// Answers calls about members' pages.
pub(crate) struct Pages {
    database: Database,
}

impl Pages {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }
}

#[tonic::async_trait]
impl MyPageService for Pages {
    async fn get_my_page(
        &self,
        request: Request<GetMyPageRequest>,
    ) -> Result<Response<pb::MyPage>, Status> {
        let (_, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let mut reader = self.database.read().await?;
        let order_count = store::count(&mut reader, member).await?;
        Ok(Response::new(pb::MyPage { member_id: member.to_string(), order_count }))
    }

    async fn list_my_orders(
        &self,
        request: Request<ListMyOrdersRequest>,
    ) -> Result<Response<ListMyOrdersResponse>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let page = Page::parse(incoming.message.page_size, &incoming.message.page_token)?;
        let mut reader = self.database.read().await?;
        let orders = store::orders(&mut reader, member, page).await?;
        let (orders, next_page_token) = page.cut(orders, |view| view.order);
        let orders = orders.into_iter().map(render).collect::<Result<_, _>>()?;
        Ok(Response::new(ListMyOrdersResponse { orders, next_page_token }))
    }

    async fn get_my_order(
        &self,
        request: Request<GetMyOrderRequest>,
    ) -> Result<Response<pb::OrderView>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let order = kit::id::parse("orderId", &incoming.message.order_id)?;
        let mut reader = self.database.read().await?;
        Ok(Response::new(render(store::order(&mut reader, member, order).await?)?))
    }
}

fn render(view: OrderView) -> Result<pb::OrderView, Error> {
    let placed = OrderPlaced::decode(view.placed.as_slice())
        .map_err(|error| Error::internal(format!("stored order: {error}")))?;
    let state = order::State::from_str_name(&view.state).unwrap_or_default();
    let milestone = |(state, at): (String, std::time::SystemTime)| {
        let state = order::State::from_str_name(&state).unwrap_or_default();
        order_view::Milestone { state: state.into(), label: label(state), at: Some(at.into()) }
    };
    Ok(pb::OrderView {
        order_id: view.order.to_string(),
        state: state.into(),
        state_label: label(state),
        payment_state: payment::State::from_str_name(&view.payment_state)
            .unwrap_or_default()
            .into(),
        delivery_state: delivery::State::from_str_name(&view.delivery_state)
            .unwrap_or_default()
            .into(),
        lines: placed.lines,
        total: placed.total,
        history: view.history.into_iter().map(milestone).collect(),
        cancel_reason: order::CancelReason::from_str_name(&view.cancel_reason)
            .unwrap_or_default()
            .into(),
    })
}

/// What the page calls a state.
fn label(state: order::State) -> String {
    match state {
        order::State::Placed => "주문접수",
        order::State::AwaitingDeposit => "입금확인대기",
        order::State::Paid => "입금확인완료",
        order::State::Prepared => "상품준비완료",
        order::State::Delivering => "배송중",
        order::State::Closed => "수령확인",
        order::State::Cancelled => "주문취소",
        // Never a milestone.
        order::State::Unspecified | order::State::Cancelling => "",
    }
    .to_owned()
}
