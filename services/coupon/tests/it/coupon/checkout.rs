//! Coupons around checkout: policies, issuing, redeeming, releasing, expiry.

use std::time::Duration;

use base::{Error, id::Uuid};
use contracts::{
    Money,
    coupon::v1::{
        Coupon, CouponPolicy, CreateCouponPolicyRequest, Discount, GetCouponPolicyRequest,
        IssueCouponsRequest, IssueCouponsResponse, ListCouponPoliciesRequest, RedeemCouponRequest,
        ReleaseCouponRequest, UpdateCouponPolicyRequest, coupon::State,
    },
    order::v1::{OrderCancelled, OrderEvent, order_event},
};
use eventlog::Draft;
use pg::clock;
use prost::Message as _;
use testkit::{eventually, stage::As};
use tonic::{Code, Request};

use super::Shop;

pub(super) const DAY: Duration = Duration::from_hours(24);

fn krw(won: i64) -> Money {
    Money::from(("KRW", won))
}

impl Shop {
    /// A shop with a member who has a welcome coupon; its id.
    async fn with_coupon() -> (Self, Uuid, String) {
        let (shop, member) = (Self::open().await, base::id::new());
        shop.sign_up(&[member]).await;
        shop.settle().await;
        let coupon = shop.coupon(member).await.id;
        (shop, member, coupon)
    }

    /// The newest coupon of a member.
    pub(super) async fn coupon(&self, member: Uuid) -> Coupon {
        self.coupons(As::Member(member), member).await.expect("lists").swap_remove(0)
    }

    pub(super) async fn redeem(
        &self,
        member: Uuid,
        order: Uuid,
        coupon: &str,
        goods: i64,
    ) -> Result<i64, Error> {
        let request = RedeemCouponRequest {
            coupon_id: coupon.to_owned(),
            order_id: order.to_string(),
            member_id: member.to_string(),
            goods_total: Some(krw(goods)),
        };
        let request = self.stage.call(As::ServiceFor("order", member), request);
        let answer = self.coupons.clone().redeem_coupon(request).await.map_err(Error::from)?;
        Ok(answer.into_inner().discount.expect("is there").units)
    }

    pub(super) async fn release(&self, member: Uuid, order: Uuid) -> Option<State> {
        let (order_id, member_id) = (order.to_string(), member.to_string());
        let request = ReleaseCouponRequest { order_id, member_id };
        let request = self.stage.call(As::ServiceFor("order", member), request);
        let answer = self.coupons.clone().release_coupon(request).await.expect("releases");
        answer.into_inner().coupon.map(|coupon| coupon.state())
    }

    /// Publishes that orders were cancelled, of each twice, as versions before said it.
    async fn cancelled(&self, member: Uuid, orders: &[Uuid]) {
        self.cancelled_with(member, orders, None).await;
    }

    /// Publishes that orders were cancelled which had this coupon, of each twice.
    async fn cancelled_with(&self, member: Uuid, orders: &[Uuid], coupon: Option<&str>) {
        let mut tx = self.stage.database("order").begin().await.expect("begins");
        let mut drafts = Vec::new();
        for (version, order) in (1..).zip(orders.iter().chain(orders)) {
            let cancelled = OrderCancelled {
                order_id: order.to_string(),
                member_id: member.to_string(),
                coupon_id: coupon.unwrap_or_default().to_owned(),
                says_checkout: coupon.is_some(),
                ..OrderCancelled::default()
            };
            let event = Some(order_event::Event::OrderCancelled(cancelled));
            let payload = OrderEvent { frame: None, event }.encode_to_vec();
            drafts.push(Draft::new("OrderCancelled", base::id::new(), version, *order, payload));
        }
        eventlog::append(&mut tx, &drafts).await.expect("appends");
        tx.commit().await.expect("commits");
    }

    async fn eventually_is(&self, member: Uuid, state: State) {
        let ask = || async { (self.coupon(member).await.state() == state).then_some(()) };
        eventually(&format!("a coupon that is {state:?}"), ask).await;
    }

    pub(super) async fn later(&self, by: Duration) {
        clock::advance(&self.database, by).await.expect("moves");
    }

    fn admin<T>(&self, message: T) -> Request<T> {
        self.stage.command(As::Admin(base::id::new()), message)
    }

    async fn policy(&self, discount: Discount, minimum: i64) -> CouponPolicy {
        let request = CreateCouponPolicyRequest {
            display_name: "가을 쿠폰".to_owned(),
            discount: Some(discount),
            minimum_total: Some(krw(minimum)),
            valid_days: 7,
        };
        let created = self.coupons.clone().create_coupon_policy(self.admin(request)).await;
        created.expect("creates").into_inner()
    }

    pub(super) async fn issue(
        &self,
        policy: &str,
        to: &[Uuid],
    ) -> Result<IssueCouponsResponse, Error> {
        let member_ids = to.iter().map(ToString::to_string).collect();
        let request = IssueCouponsRequest { policy: policy.to_owned(), member_ids };
        let issued = self.coupons.clone().issue_coupons(self.admin(request)).await;
        issued.map(tonic::Response::into_inner).map_err(Error::from)
    }

    /// No coupon is held by two orders, or by one that does not say so.
    pub(super) async fn assert_redeemed_once(&self) {
        let mut reader = self.database.read().await.expect("reads");
        let sql = "select count(*) from (select * from member_coupon where state = 'REDEEMED') c
             full join (select * from redemption where state = 'REDEEMED') r
               on r.order_id = c.order_id and r.coupon_id = c.id
             where c.id is null or r.order_id is null";
        let wrong: i64 = reader.query_one(sql, &[]).await.expect("counts").get(0);
        assert_eq!(wrong, 0);
    }
}

#[tokio::test]
async fn a_welcome_coupon_takes_its_amount_off_once() {
    let (shop, member, coupon) = Shop::with_coupon().await;
    let welcome = shop.coupon(member).await;
    assert_eq!(
        (welcome.discount.expect("has one").amount, welcome.minimum_total),
        (Some(krw(3_000)), Some(krw(10_000)))
    );
    let (order, other) = (base::id::new(), base::id::new());
    let cheap = shop.redeem(member, order, &coupon, 9_999).await.expect_err("too cheap");
    assert_eq!(cheap.reason(), "COUPON_MINIMUM");
    for _ in 0..3 {
        assert_eq!(shop.redeem(member, order, &coupon, 10_000).await.expect("is theirs"), 3_000);
    }
    let redeemed = shop.coupon(member).await;
    assert_eq!((redeemed.state(), redeemed.order_id), (State::Redeemed, order.to_string()));
    let twice = shop.redeem(member, other, &coupon, 10_000).await.expect_err("is gone");
    assert_eq!(twice.reason(), "COUPON_REDEEMED");
    let told: Vec<String> = shop.told().await.into_iter().map(|it| it.0).collect();
    assert_eq!(told, ["CouponIssued", "CouponRedeemed"]);
    shop.stage.close().await;
}

#[tokio::test]
async fn what_is_not_theirs_is_a_violation_of_the_field() {
    let (shop, member, coupon) = Shop::with_coupon().await;
    let (somebody, order) = (base::id::new(), base::id::new());
    shop.sign_up(&[somebody]).await;
    shop.settle().await;
    let stranger = base::id::new();
    for (who, which) in [(somebody, &*coupon), (stranger, &*coupon), (member, &*order.to_string())]
    {
        let refused = shop.redeem(who, order, which, 10_000).await.expect_err("refused");
        assert_eq!(refused.kind(), base::error::Kind::Invalid, "{refused}");
        let status = tonic::Status::from(refused);
        let details = tonic_types::StatusExt::get_error_details(&status);
        let bad = details.bad_request().expect("a violation");
        assert_eq!(bad.field_violations[0].field, "couponId");
    }
    assert_eq!(shop.states(member).await, [State::Issued]);
    shop.stage.close().await;
}

#[tokio::test]
async fn a_cancelled_order_gives_its_coupon_back_and_never_has_another() {
    let (shop, member, coupon) = Shop::with_coupon().await;
    let (first, second, never) = (base::id::new(), base::id::new(), base::id::new());
    shop.redeem(member, first, &coupon, 10_000).await.expect("is theirs");
    shop.cancelled(member, &[first]).await;
    shop.eventually_is(member, State::Issued).await;
    let late = shop.redeem(member, first, &coupon, 10_000).await.expect_err("is over");
    assert_eq!(late.reason(), "ORDER_CANCELLED");

    assert_eq!(shop.redeem(member, second, &coupon, 10_000).await.expect("is free"), 3_000);
    // Asked again, the first one does not take it from the second.
    assert_eq!(shop.release(member, first).await, Some(State::Redeemed));
    assert_eq!(shop.release(member, second).await, Some(State::Issued));
    assert_eq!(shop.release(member, second).await, Some(State::Issued));

    assert_eq!(shop.release(member, never).await, None);
    let late = shop.redeem(member, never, &coupon, 10_000).await.expect_err("was cancelled first");
    assert_eq!(late.reason(), "ORDER_CANCELLED");
    shop.assert_redeemed_once().await;
    shop.stage.close().await;
}

#[tokio::test]
async fn a_cancelled_order_without_a_coupon_leaves_no_row() {
    let (shop, member, coupon) = Shop::with_coupon().await;
    let [none, redeemed, old] = [(); 3].map(|()| base::id::new());
    shop.redeem(member, redeemed, &coupon, 10_000).await.expect("is theirs");
    shop.cancelled_with(member, &[none], Some("")).await;
    shop.cancelled_with(member, &[redeemed], Some(&coupon)).await;
    shop.eventually_is(member, State::Issued).await;
    // A version before does not say which coupon the order had.
    shop.cancelled(member, &[old]).await;
    let rows = || async {
        let mut reader = shop.database.read().await.expect("reads");
        let sql = "select order_id from redemption order by order_id";
        let rows = reader.query(sql, &[]).await.expect("lists");
        let rows: Vec<Uuid> = rows.iter().map(|row| row.get(0)).collect();
        (rows.last() == Some(&old)).then_some(rows)
    };
    assert_eq!(eventually("a row of the last", rows).await, [redeemed, old]);
    shop.stage.close().await;
}

#[tokio::test]
async fn coupons_expire_and_one_that_comes_back_too_late_has_expired() {
    let (shop, member, coupon) = Shop::with_coupon().await;
    let (other, order) = (base::id::new(), base::id::new());
    shop.sign_up(&[other]).await;
    shop.settle().await;
    shop.redeem(member, order, &coupon, 10_000).await.expect("is theirs");
    shop.later(91 * DAY).await;
    let unused = shop.coupon(other).await.id;
    let late = shop.redeem(other, base::id::new(), &unused, 10_000).await.expect_err("too late");
    assert_eq!(late.reason(), "COUPON_EXPIRED");
    shop.eventually_is(other, State::Expired).await;
    assert_eq!(shop.states(member).await, [State::Redeemed]);
    assert_eq!(shop.release(member, order).await, Some(State::Expired));
    let told = shop.told().await;
    let expired = told.iter().filter(|it| it.0 == "CouponExpired").count();
    assert_eq!(expired, 2, "{told:?}");
    shop.stage.close().await;
}

#[tokio::test]
async fn one_that_comes_back_to_a_withdrawn_member_is_cancelled() {
    let (shop, member, coupon) = Shop::with_coupon().await;
    let order = base::id::new();
    shop.redeem(member, order, &coupon, 10_000).await.expect("is theirs");
    assert_eq!(shop.withdraw(member).await, 0);
    assert_eq!(shop.states(member).await, [State::Redeemed]);
    shop.cancelled(member, &[order]).await;
    shop.eventually_is(member, State::Cancelled).await;
    assert_eq!(shop.withdraw(member).await, 1);
    shop.stage.close().await;
}

#[tokio::test]
async fn a_policy_changes_what_is_issued_and_not_what_was() {
    let (shop, member, _) = Shop::with_coupon().await;
    let share = Discount { amount: None, percent: Some(15), maximum: Some(krw(2_000)) };
    let policy = shop.policy(share.clone(), 0).await;
    let issued = shop.issue(&policy.policy, &[member]).await.expect("issues");
    assert_eq!(issued.coupons.len(), 1);
    let first = shop.coupon(member).await;
    assert_eq!(
        (first.id.clone(), first.discount.clone()),
        (issued.coupons[0].id.clone(), Some(share))
    );

    let update = UpdateCouponPolicyRequest {
        policy: policy.policy.clone(),
        discount: Some(Discount { amount: Some(krw(500)), percent: None, maximum: None }),
        ..UpdateCouponPolicyRequest::default()
    };
    let mut stale = shop.admin(update.clone());
    stale.metadata_mut().insert("if-match", "7".parse().expect("ascii"));
    let stale = shop.coupons.clone().update_coupon_policy(stale).await.expect_err("is stale");
    assert_eq!(Error::from(stale).reason(), "STALE_ETAG");
    for _ in 0..2 {
        let changed = shop.coupons.clone().update_coupon_policy(shop.admin(update.clone())).await;
        let changed = changed.expect("changes").into_inner();
        assert_eq!((changed.etag.as_str(), changed.valid_days), ("2", 7));
    }
    shop.issue(&policy.policy, &[member]).await.expect("issues");
    let discounts: Vec<Option<i32>> = shop
        .coupons(As::Member(member), member)
        .await
        .expect("lists")
        .into_iter()
        .map(|coupon| coupon.discount.and_then(|it| it.percent))
        .collect();
    assert_eq!(discounts, [None, Some(15), None]);
    // A share, rounded down, and no more than its maximum.
    let order = base::id::new();
    assert_eq!(shop.redeem(member, order, &first.id, 13_333).await.expect("is theirs"), 1_999);

    let get = GetCouponPolicyRequest { policy: "welcome".to_owned() };
    let welcome = shop.coupons.clone().get_coupon_policy(shop.admin(get)).await.expect("is there");
    assert_eq!(welcome.into_inner().valid_days, 90);
    let all = ListCouponPoliciesRequest::default();
    let all = shop.coupons.clone().list_coupon_policies(shop.admin(all)).await.expect("lists");
    let names: Vec<String> = all.into_inner().policies.into_iter().map(|it| it.policy).collect();
    assert_eq!(names, [policy.policy, "welcome".to_owned()]);
    shop.stage.close().await;
}

#[tokio::test]
async fn coupons_are_issued_to_members_and_to_nobody_else() {
    let (shop, member, _) = Shop::with_coupon().await;
    let (gone, unknown) = (base::id::new(), base::id::new());
    shop.sign_up(&[gone]).await;
    shop.settle().await;
    shop.withdraw(gone).await;
    let refused = shop.issue("welcome", &[member, unknown]).await.expect_err("unknown");
    assert!(refused.to_string().contains("memberIds[1]"), "{refused}");
    let nothing = shop.issue("nonsense", &[member]).await.expect_err("no such policy");
    assert_eq!(nothing.kind(), base::error::Kind::Invalid);
    assert_eq!(shop.states(member).await, [State::Issued]);

    let request = shop.admin(IssueCouponsRequest {
        policy: "welcome".to_owned(),
        // Who is named twice gets one.
        member_ids: vec![gone.to_string(), member.to_string(), member.to_string()],
    });
    let (metadata, _, message) = request.into_parts();
    for _ in 0..2 {
        let mut again = Request::new(message.clone());
        *again.metadata_mut() = metadata.clone();
        let issued = shop.coupons.clone().issue_coupons(again).await.expect("issues").into_inner();
        assert_eq!(issued.withdrawn_member_ids, [gone.to_string()]);
        assert_eq!(issued.coupons.len(), 1);
    }
    assert_eq!(shop.states(member).await, [State::Issued; 2]);
    assert_eq!(shop.states(gone).await, [State::Cancelled]);
    // All of them end with the membership.
    assert_eq!(shop.withdraw(member).await, 2);
    shop.stage.close().await;
}

#[tokio::test]
async fn only_admins_issue_and_only_order_redeems() {
    let (shop, member, coupon) = Shop::with_coupon().await;
    for caller in [As::Member(member), As::Seller(base::id::new()), As::Service("order")] {
        let request = IssueCouponsRequest {
            policy: "welcome".to_owned(),
            member_ids: vec![member.to_string()],
        };
        let request = shop.stage.command(caller, request);
        let refused = shop.coupons.clone().issue_coupons(request).await.expect_err("refused");
        assert_eq!(refused.code(), Code::PermissionDenied, "{caller:?}");
    }
    for (caller, code) in [
        (As::Member(member), Code::PermissionDenied),
        (As::Service("order"), Code::PermissionDenied),
        (As::ServiceFor("order", base::id::new()), Code::NotFound),
        (As::ServiceFor("payment", member), Code::PermissionDenied),
    ] {
        let request = RedeemCouponRequest {
            coupon_id: coupon.clone(),
            order_id: base::id::new().to_string(),
            member_id: member.to_string(),
            goods_total: Some(krw(10_000)),
        };
        let request = shop.stage.call(caller, request);
        let refused = shop.coupons.clone().redeem_coupon(request).await.expect_err("refused");
        assert_eq!(refused.code(), code, "{caller:?}");
    }
    shop.stage.close().await;
}
