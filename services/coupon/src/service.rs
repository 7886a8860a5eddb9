//! The coupon service's calls: parse, call, render.

use std::ops::RangeInclusive;

use base::{
    Error, Money,
    error::{Kind, not_found},
    input,
};
use contracts::coupon::v1::{
    CancelMemberCouponsRequest, CancelMemberCouponsResponse, CouponPolicy,
    CreateCouponPolicyRequest, GetCouponPolicyRequest, IssueCouponsRequest, IssueCouponsResponse,
    ListCouponPoliciesRequest, ListCouponPoliciesResponse, ListCouponsRequest, ListCouponsResponse,
    RedeemCouponRequest, RedeemCouponResponse, ReleaseCouponRequest, ReleaseCouponResponse,
    UpdateCouponPolicyRequest, coupon_service_server::CouponService,
};
use eventlog::facts::{self, Learned};
use pg::{Database, Tx, idempotency};
use server::Incoming;
use tonic::{Request, Response, Status};

use crate::{
    domain::{
        CouponId, Fact, MemberId, OrderId, PolicyId,
        terms::{DAYS, NAME, Policy, TOTAL, Terms},
    },
    store::{
        self,
        holder::Holder,
        policy::WELCOME,
        redemption::{self, Locked, Released, Wish},
    },
    wire,
};

/// To how many members coupons are issued at once.
const MEMBERS: RangeInclusive<usize> = 1..=1_000;

/// Answers calls about coupons.
pub(crate) struct Coupons {
    pub(crate) database: Database,
}

#[tonic::async_trait]
impl CouponService for Coupons {
    async fn list_coupons(
        &self,
        request: Request<ListCouponsRequest>,
    ) -> Result<Response<ListCouponsResponse>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let page = incoming.page()?;
        let mut reader = self.database.read().await?;
        let coupons = store::coupon::list(&mut reader, MemberId(member), page).await?;
        let coupons = coupons.iter().map(|stored| (stored.coupon.id.0, wire::coupon(stored)));
        let (coupons, next_page_token) = page.cut(coupons);
        Ok(Response::new(ListCouponsResponse { coupons, next_page_token }))
    }

    async fn issue_coupons(
        &self,
        request: Request<IssueCouponsRequest>,
    ) -> Result<Response<IssueCouponsResponse>, Status> {
        let incoming = Incoming::granted(request)?;
        // It is named in the body: what is wrong is a field.
        let named = |error: Error| match error.kind() {
            Kind::NotFound => Error::violation("policy", "there is no such policy"),
            _ => error,
        };
        let policy = policy(&incoming.message.policy).map_err(named)?;
        let members = members(&incoming.message.member_ids)?;
        let command = incoming.command();
        let issue = async |tx: &mut Tx| {
            let issued = store::issue(tx, policy, &members).await.map_err(named)?;
            Ok(IssueCouponsResponse {
                coupons: issued.coupons.iter().map(wire::coupon).collect(),
                withdrawn_member_ids: issued.withdrawn.iter().map(ToString::to_string).collect(),
            })
        };
        let id = base::id::new();
        Ok(idempotency::once(&self.database, &command, id, issue).await?.into())
    }

    async fn create_coupon_policy(
        &self,
        request: Request<CreateCouponPolicyRequest>,
    ) -> Result<Response<CouponPolicy>, Status> {
        let incoming = Incoming::granted(request)?;
        let message = &incoming.message;
        let discount = message.discount.as_ref();
        let discount = discount.ok_or_else(|| Error::violation("discount", "is required"))?;
        let minimum = message.minimum_total.as_ref().map(minimum).transpose()?;
        let policy = Policy {
            terms: Terms {
                display_name: NAME.parse("displayName", &message.display_name)?.to_owned(),
                discount: wire::discount_from("discount", discount)?,
                minimum: minimum.unwrap_or(Money::ZERO),
            },
            valid_days: input::number("validDays", message.valid_days, &DAYS)?,
        };
        let command = incoming.command();
        let id = PolicyId(base::id::new());
        let create = async |tx: &mut Tx| {
            store::policy::create(tx, id, &policy).await.map(|stored| wire::policy(&stored))
        };
        let reply = idempotency::once(&self.database, &command, id.0, create).await?;
        Ok(reply.created(|policy| format!("/v1/couponPolicies/{}", policy.policy))?)
    }

    async fn get_coupon_policy(
        &self,
        request: Request<GetCouponPolicyRequest>,
    ) -> Result<Response<CouponPolicy>, Status> {
        let incoming = Incoming::granted(request)?;
        let name = policy(&incoming.message.policy)?;
        let mut reader = self.database.read().await?;
        let stored = store::policy::get(&mut reader, name).await?;
        Ok(Response::new(wire::policy(&stored)))
    }

    async fn list_coupon_policies(
        &self,
        request: Request<ListCouponPoliciesRequest>,
    ) -> Result<Response<ListCouponPoliciesResponse>, Status> {
        let incoming = Incoming::granted(request)?;
        let page = incoming.page()?;
        let mut reader = self.database.read().await?;
        let policies = store::policy::list(&mut reader, page).await?;
        let policies = policies.iter().map(|stored| (stored.id.0, wire::policy(stored)));
        let (policies, next_page_token) = page.cut(policies);
        Ok(Response::new(ListCouponPoliciesResponse { policies, next_page_token }))
    }

    async fn update_coupon_policy(
        &self,
        request: Request<UpdateCouponPolicyRequest>,
    ) -> Result<Response<CouponPolicy>, Status> {
        let incoming = Incoming::granted(request)?;
        let message = &incoming.message;
        let policy = policy(&message.policy)?;
        let name = message.display_name.as_deref();
        let name = name.map(|text| NAME.parse("displayName", text)).transpose()?;
        let discount = message.discount.as_ref();
        let discount = discount.map(|it| wire::discount_from("discount", it)).transpose()?;
        let minimum = message.minimum_total.as_ref().map(minimum).transpose()?;
        let days = message.valid_days.map(|days| input::number("validDays", days, &DAYS));
        let days = days.transpose()?;
        let command = incoming.command();
        let update = async |tx: &mut Tx| {
            let mut stored = store::policy::lock(tx, policy).await?;
            incoming.check_etag(&stored.etag())?;
            let before = stored.clone();
            let Policy { terms, valid_days } = &mut stored.policy;
            if let Some(name) = name {
                name.clone_into(&mut terms.display_name);
            }
            terms.discount = discount.unwrap_or(terms.discount);
            terms.minimum = minimum.unwrap_or(terms.minimum);
            *valid_days = days.unwrap_or(*valid_days);
            if stored != before {
                store::policy::update(tx, &mut stored).await?;
            }
            Ok(wire::policy(&stored))
        };
        // A policy goes by its name alone, which is in the request.
        let nothing = base::id::Uuid::nil();
        Ok(idempotency::once(&self.database, &command, nothing, update).await?.into())
    }

    async fn redeem_coupon(
        &self,
        request: Request<RedeemCouponRequest>,
    ) -> Result<Response<RedeemCouponResponse>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let message = &incoming.message;
        let goods = message.goods_total.as_ref().map(contracts::Money::parts);
        let wish = Wish {
            order: OrderId::parse("orderId", &message.order_id)?,
            member: MemberId(member),
            coupon: CouponId::parse("couponId", &message.coupon_id)?,
            goods: Money::parse_within("goodsTotal", goods, &TOTAL)?,
        };
        let mut tx = self.database.begin().await?;
        let (discount, stored) = redemption::redeem(&mut tx, &wish).await?;
        tx.commit().await?;
        Ok(Response::new(RedeemCouponResponse {
            discount: Some(discount.to_wire().into()),
            coupon: Some(wire::coupon(&stored)),
        }))
    }

    async fn release_coupon(
        &self,
        request: Request<ReleaseCouponRequest>,
    ) -> Result<Response<ReleaseCouponResponse>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let order = OrderId::parse("orderId", &incoming.message.order_id)?;
        let released = Learned { key: order, fact: Released(MemberId(member)), cause: None };
        let mut tx = self.database.begin().await?;
        let orders = facts::learn::<Locked>(&mut tx, &[released]).await?;
        tx.commit().await?;
        let coupon = orders.get(&order).and_then(Locked::coupon);
        Ok(Response::new(ReleaseCouponResponse { coupon: coupon.map(wire::coupon) }))
    }

    async fn cancel_member_coupons(
        &self,
        request: Request<CancelMemberCouponsRequest>,
    ) -> Result<Response<CancelMemberCouponsResponse>, Status> {
        let (_, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let member = MemberId(member);
        let mut tx = self.database.begin().await?;
        let withdrawing = Learned { key: member, fact: Fact::Withdrawing, cause: None };
        facts::learn::<Holder>(&mut tx, &[withdrawing]).await?;
        let cancelled = store::coupon::count_cancelled(&mut tx, member).await?;
        tx.commit().await?;
        let cancelled = i32::try_from(cancelled).unwrap_or(i32::MAX);
        Ok(Response::new(CancelMemberCouponsResponse { cancelled }))
    }
}

/// Reads the members who are to get a coupon.
fn members(ids: &[String]) -> Result<Vec<MemberId>, Error> {
    input::count("memberIds", ids.len(), &MEMBERS)?;
    let parse = |(at, id): (usize, &String)| MemberId::parse(&format!("memberIds[{at}]"), id);
    ids.iter().enumerate().map(parse).collect()
}

/// A policy's name, if it may be one.
fn policy(name: &str) -> Result<&str, Error> {
    let may_be = name == WELCOME || base::id::parse("policy", name).is_ok();
    may_be.then_some(name).ok_or_else(not_found)
}

/// Reads what goods have to cost at least.
fn minimum(total: &contracts::Money) -> Result<Money, Error> {
    Money::parse_within("minimumTotal", Some(total.parts()), &TOTAL)
}
