//! On what terms coupons are issued, and issuing them.

use axum::{
    Router,
    extract::Query,
    response::Response,
    routing::{get, post},
};
use contracts::coupon::v1::{
    CouponPolicy, CreateCouponPolicyRequest, Discount, IssueCouponsRequest,
    ListCouponPoliciesRequest,
};
use maud::{Markup, html};

use super::{admin, tabs};
use crate::{
    console::{self, Asked, PAGE, Tried},
    failure::Failure,
    form::{self, Field, Posted},
    layout::Page,
    paths, view,
    visit::Visit,
};

const POLICY: &str = "policy";
const ISSUE: &str = "issue";

pub(super) fn router() -> Router {
    Router::new()
        .route(paths::ADMIN_COUPONS, get(show).post(create))
        .route(paths::ADMIN_ISSUE, post(issue))
}

async fn show(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    admin(&visit)?;
    page(&visit, &asked, &Tried::default()).await
}

async fn create(visit: Visit, form: Posted) -> Result<Response, Failure> {
    admin(&visit)?;
    let done = async {
        let message = CreateCouponPolicyRequest {
            display_name: form.text("displayName").to_owned(),
            discount: Some(discount(&form)?),
            minimum_total: view::money(form.number("minimumTotal")?),
            valid_days: small(&form, "validDays")?,
        };
        visit.coupons().create_coupon_policy(visit.command(form.key(), message)).await?;
        Ok(())
    };
    let done = done.await;
    after(&visit, done, (POLICY, form)).await
}

/// An amount, or a share with or without a maximum, as `kind` says.
fn discount(form: &Posted) -> Result<Discount, Failure> {
    if form.text("kind") == "amount" {
        let amount = view::money(form.number("discount.amount")?);
        return Ok(Discount { amount, ..Discount::default() });
    }
    let maximum = form.number("discount.maximum")?;
    Ok(Discount {
        amount: None,
        percent: Some(small(form, "discount.percent")?),
        maximum: if maximum == 0 { None } else { view::money(maximum) },
    })
}

fn small(form: &Posted, name: &str) -> Result<i32, Failure> {
    let number = form.number(name)?;
    i32::try_from(number).map_err(|_| Failure::field(name, "must be a smaller number"))
}

async fn issue(visit: Visit, form: Posted) -> Result<Response, Failure> {
    admin(&visit)?;
    let ids = form.text("memberIds").split(|it: char| it.is_whitespace() || it == ',');
    let message = IssueCouponsRequest {
        policy: form.text("policy").to_owned(),
        member_ids: ids.filter(|id| !id.is_empty()).map(str::to_owned).collect(),
    };
    let asked = visit.command(form.key(), message);
    let done = visit.coupons().issue_coupons(asked).await.map_err(Failure::from);
    after(&visit, done.map(drop), (ISSUE, form)).await
}

async fn after(
    visit: &Visit,
    done: Result<(), Failure>,
    (name, form): (&str, Posted),
) -> Result<Response, Failure> {
    match console::settled(visit, paths::ADMIN_COUPONS, done) {
        Err(failure) if !failure.wants_sign_in() => {
            page(visit, &Asked::default(), &Tried::new(name, form.refused(failure))).await
        }
        done => done,
    }
}

async fn page(visit: &Visit, asked: &Asked, tried: &Tried) -> Result<Response, Failure> {
    let message = ListCouponPoliciesRequest { page_size: PAGE, page_token: asked.page.clone() };
    let found = visit.coupons().list_coupon_policies(visit.ask(message)).await?.into_inner();
    let title = visit.t("쿠폰", "Coupons");
    let columns = [
        visit.t("이름", "Name"),
        visit.t("할인", "Discount"),
        visit.t("최소 주문", "Minimum"),
        visit.t("유효기간", "Good for"),
        visit.t("정책 번호", "Policy"),
    ];
    let rows: Vec<_> = found.policies.iter().map(|policy| row(visit, policy)).collect();
    let main = html! {
        h1 { (title) }
        (tabs(visit))
        (view::table(visit.t("쿠폰 정책", "Policies"), &columns, &rows))
        (view::pages(visit, paths::ADMIN_COUPONS, &[], &asked.page, &found.next_page_token))
        div.columns.columns-two {
            section.card {
                h2 { (visit.t("정책 만들기", "Make a policy")) }
                (policy_form(visit, tried))
            }
            section.card {
                h2 { (visit.t("발급하기", "Issue coupons")) }
                (issue_form(visit, &found.policies, tried))
            }
        }
    };
    Ok(Page::new(visit, title).failed(tried.failure()).show(&main))
}

fn row(visit: &Visit, policy: &CouponPolicy) -> Vec<Markup> {
    let days = policy.valid_days;
    vec![
        html! { (policy.display_name) },
        html! { (off(visit, policy.discount.as_ref())) },
        html! { span.number { (view::price(visit, view::won(policy.minimum_total.as_ref()))) } },
        html! { (visit.lang.pick(format!("{days}일"), format!("{days} days"))) },
        console::id(&policy.policy),
    ]
}

/// What is taken off.
fn off(visit: &Visit, discount: Option<&Discount>) -> String {
    let Some(discount) = discount else { return String::new() };
    let won = |money| view::price(visit, view::won(money));
    match (discount.percent, &discount.maximum) {
        (None, _) => won(discount.amount.as_ref()),
        (Some(percent), None) => format!("{percent}%"),
        (Some(percent), most) => {
            let most = won(most.as_ref());
            visit
                .lang
                .pick(format!("{percent}% (최대 {most})"), format!("{percent}% ({most} at most)"))
        }
    }
}

fn policy_form(visit: &Visit, tried: &Tried) -> Markup {
    let filled = tried.of(POLICY);
    let kinds = [
        ("amount", visit.t("금액", "an amount")),
        ("percent", visit.t("비율", "a share of the goods")),
    ];
    let kinds = kinds.map(|(value, text)| (value.to_owned(), text.to_owned(), String::new()));
    let fields = html! {
        (Field::new("displayName", ("이름", "Name")).required().longest(100).show(visit, &filled))
        (form::radios(visit, &filled, "kind", ("할인", "Discount"), &kinds))
        div.fields.fields-two {
            (Field::new("discount.amount", ("금액", "Amount")).number(1, 1_000_000_000).needed()
                .show(visit, &filled))
            (Field::new("discount.percent", ("비율 (%)", "Share (%)")).number(1, 100).needed()
                .show(visit, &filled))
            (Field::new("discount.maximum", ("최대 할인", "At most")).number(1, 1_000_000_000)
                .show(visit, &filled))
            (Field::new("minimumTotal", ("최소 주문 금액", "Minimum")).number(0, 1_000_000_000_000)
                .show(visit, &filled))
        }
        (Field::new("validDays", ("유효기간 (일)", "Good for (days)")).number(1, 3_650).value(90)
            .required().show(visit, &filled))
        button.button.button-main { (visit.t("만들기", "Make")) }
    };
    form::post(visit, paths::ADMIN_COUPONS, &filled, &fields)
}

fn issue_form(visit: &Visit, policies: &[CouponPolicy], tried: &Tried) -> Markup {
    let filled = tried.of(ISSUE);
    let option = |policy: &CouponPolicy| {
        let off = off(visit, policy.discount.as_ref());
        (policy.policy.clone(), format!("{} · {off}", policy.display_name))
    };
    let options: Vec<_> = policies.iter().map(option).collect();
    let fields = html! {
        (form::select(visit, &filled, "policy", ("정책", "Policy"), &options))
        (Field::new("memberIds", ("회원 번호", "Members' ids")).lines(4).required()
            .hint(visit.t("한 줄에 하나, 1,000명까지", "one a line, 1,000 at most")).show(visit, &filled))
        button.button.button-main { (visit.t("발급", "Issue")) }
    };
    form::post(visit, paths::ADMIN_ISSUE, &filled, &fields)
}
