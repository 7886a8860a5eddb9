//! What holds wherever one looks: a command happens once for its key, a stale etag
//! changes nothing, lists can be paged through, and what cannot be taken is refused.

mod edge;
mod refusals;
mod traces;

use std::collections::BTreeSet;

use app::rest::{Answer, Rest};
use http::Method;
use serde_json::{Value, json};

use super::shop::{Transfer, refused};
use crate::{
    deployment::{Deployment, eventually},
    people::{Member, Product, same, with_status, won},
};

const PRICE: i64 = 1_000;
const STOCK: i64 = 1_000;
const BALANCE: i64 = 1_000_000;

/// A command, and another one of the same kind.
struct Command<'a> {
    who: &'a Rest,
    method: Method,
    path: String,
    body: Value,
    other_path: String,
    other_body: Value,
}

impl<'a> Command<'a> {
    /// Commands that differ in what they say.
    fn post(who: &'a Rest, path: impl Into<String>, body: Value, other_body: Value) -> Self {
        let path = path.into();
        Self { who, method: Method::POST, other_path: path.clone(), path, body, other_body }
    }

    fn patch(who: &'a Rest, path: impl Into<String>, body: Value, other_body: Value) -> Self {
        Self { method: Method::PATCH, ..Self::post(who, path, body, other_body) }
    }

    /// Commands that differ in what they are about.
    fn about(who: &'a Rest, path: String, other_path: String) -> Self {
        Self { other_path, ..Self::post(who, path, json!({}), json!({})) }
    }

    /// The key's first command is repeated, its second refused.
    async fn happens_once(&self, key: &str) -> Answer {
        let headers = [("idempotency-key", key)];
        let send = async |path: &str, body: &Value| {
            let answer = self.who.send(self.method.clone(), path, Some(body.clone()), &headers);
            answer.await.expect("an answer")
        };
        let first = send(&self.path, &self.body).await;
        assert!(first.status.is_success(), "{}: {first}", self.path);
        assert!(!first.headers.contains_key("idempotency-replayed"), "{}: {first}", self.path);
        for _ in 0..2 {
            let again = send(&self.path, &self.body).await;
            assert_eq!((again.status, &again.body), (first.status, &first.body), "{}", self.path);
            assert_eq!(again.headers.get("location"), first.headers.get("location"));
            let replayed = again.headers.get("idempotency-replayed");
            assert!(replayed.is_some_and(|it| it == "true"), "{}: {again}", self.path);
        }
        let other = send(&self.other_path, &self.other_body).await;
        refused(422, "IDEMPOTENCY_KEY_REUSED", &other);
        first
    }
}

fn order(method: &str, product: &Product, quantity: i64) -> Value {
    let lines = json!([{ "productId": product.id, "quantity": quantity }]);
    let mut order = json!({ "paymentMethod": method, "lines": lines });
    if method == "CARD" {
        order["cardToken"] = json!("tok_visa");
    }
    order
}

/// Commands of the seller: three about a product, one about a payment.
fn selling<'a>(seller: &'a Rest, product: &Product, payment: &str) -> Vec<Command<'a>> {
    let new = |stock: i64| json!({ "displayName": "김치", "price": won(1), "stock": stock });
    let name = |name: &str| json!({ "displayName": name });
    let units = |quantity: i64| json!({ "quantity": quantity });
    let deposit = |name: &str| json!({ "amount": won(PRICE), "depositorName": name });
    let path = format!("/v1/products/{}", product.id);
    let confirm = format!("/v1/payments/{payment}:confirmDeposit");
    vec![
        Command::post(seller, "/v1/products", new(7), new(8)),
        Command::patch(seller, &path, name("비빔밥"), name("국밥")),
        Command::post(seller, format!("{path}:restock"), units(5), units(6)),
        Command::post(seller, confirm, deposit("Kim"), deposit("Lee")),
    ]
}

/// Commands of a member who buys.
fn buying<'a>(member: &'a Member, product: &Product, bought: &[String; 2]) -> Vec<Command<'a>> {
    let who = &member.rest;
    let top_up = format!("/v1/members/{}/wallet:topUp", member.id);
    let amount = |amount: i64| json!({ "amount": won(amount), "cardToken": "tok_visa" });
    let of = |order: &str, verb: &str| format!("/v1/orders/{order}:{verb}");
    let by = |method: &str, quantity: i64| order(method, product, quantity);
    let [one, another] = bought;
    vec![
        Command::post(who, top_up, amount(10), amount(11)),
        Command::post(who, "/v1/orders", by("WALLET", 2), by("WALLET", 3)),
        Command::post(who, "/v1/orders", by("CARD", 2), by("CARD", 3)),
        Command::about(who, of(one, "cancel"), of(another, "cancel")),
        Command::about(who, of(another, "confirmReceipt"), of(one, "confirmReceipt")),
    ]
}

/// Commands about those who come and go, and about what they are told.
fn running<'a>(anyone: &'a Rest, admin: &'a Rest, [one, another]: [&str; 2]) -> Vec<Command<'a>> {
    let somebody = |name: &str| {
        let email = "lee@example.com";
        json!({ "email": email, "password": "correct horse", "displayName": name })
    };
    let of = |member: &str, verb: &str| format!("/v1/members/{member}:{verb}");
    let role = |role: &str| json!({ "role": role });
    let text = |text: &str| json!({ "body": text });
    let template = "/v1/notificationTemplates/payment-approved";
    vec![
        Command::post(anyone, "/v1/members", somebody("Lee"), somebody("Yi")),
        Command::patch(admin, template, text("Paid: {amount}"), text("Thanks for {amount}")),
        Command::post(admin, of(one, "grantRole"), role("SELLER"), role("ADMIN")),
        Command::about(admin, of(one, "withdraw"), of(another, "withdraw")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_answers_the_same_and_does_nothing_again() {
    let deployment = Deployment::open("idempotency").await;
    let (anyone, seller, admin) =
        (deployment.rest(), deployment.seller().await, deployment.admin().await);
    let (member, other) = (deployment.member(BALANCE).await, deployment.member(0).await);
    let product = deployment.product(PRICE, STOCK).await;
    let Transfer { payment, .. } = member.transfer(&product, 1).await;
    let bought = [member.order(&product, 1).await, member.order(&product, 1).await];
    for order in &bought {
        member.eventually_sees(order, "DELIVERING").await;
    }
    let commands = selling(&seller, &product, &payment)
        .into_iter()
        .chain(buying(&member, &product, &bought))
        .chain(running(&anyone, &admin, [&other.id, &member.id]));
    for (index, command) in commands.enumerate() {
        command.happens_once(&format!("key {index}")).await;
    }
    // Bought 1, 1, 2, 2 and 1 by transfer; one given back; five more.
    product.eventually_has(STOCK - 6 + 5).await;
    member.eventually_has(BALANCE + 10 - 3 * PRICE).await;

    // A key is its caller's own.
    let third = deployment.member(0).await;
    let path = format!("/v1/members/{}/wallet:topUp", third.id);
    for index in 0..13 {
        let key = format!("key {index}");
        let body = json!({ "amount": won(10), "cardToken": "tok_visa" });
        let headers = [("idempotency-key", key.as_str())];
        let sent = third.rest.send(Method::POST, &path, Some(body), &headers).await;
        let answer = with_status(200, sent.expect("an answer"));
        assert!(!answer.headers.contains_key("idempotency-replayed"), "{answer}");
    }
    assert_eq!(third.balance().await, Some(130));
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_answered_the_same_when_its_price_has_changed_since() {
    let deployment = Deployment::open("idempotency_and_prices").await;
    let (seller, member) = (deployment.seller().await, deployment.member(BALANCE).await);
    let product = deployment.product(PRICE, STOCK).await;
    let headers = [("idempotency-key", "once")];
    let mut wanted = order("WALLET", &product, 1);
    wanted["expectedTotal"] = won(PRICE);
    let place = async || {
        let sent = member.rest.send(Method::POST, "/v1/orders", Some(wanted.clone()), &headers);
        sent.await.expect("an answer")
    };
    let placed = with_status(201, place().await);

    let dearer = json!({ "price": won(2 * PRICE) });
    let path = format!("/v1/products/{}", product.id);
    let sent = seller.send(Method::PATCH, &path, Some(dearer), &[]).await;
    with_status(200, sent.expect("an answer"));
    eventually("the new price", async || {
        let answer = member.rest.post("/v1/orders", wanted.clone()).await.expect("an answer");
        same(answer.text("reason"), "PRICE_CHANGED".to_owned())
    })
    .await;
    assert_eq!(with_status(201, place().await).body, placed.body);
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_etag_changes_nothing() {
    let deployment = Deployment::open("etags").await;
    let (seller, admin) = (deployment.seller().await, deployment.admin().await);
    let member = deployment.member(BALANCE).await;
    let product = deployment.product(PRICE, STOCK).await;
    let Transfer { payment, .. } = member.transfer(&product, 1).await;
    let mut bought = Vec::new();
    for _ in 0..3 {
        bought.push(member.order(&product, 1).await);
    }
    for order in &bought {
        member.eventually_sees(order, "DELIVERING").await;
    }
    product.eventually_has(STOCK - 3).await;

    let deposit = json!({ "amount": won(PRICE), "depositorName": "Kim" });
    let at_product = format!("/v1/products/{}", product.id);
    let at_order: Vec<_> = bought.iter().map(|order| format!("/v1/orders/{order}")).collect();
    let list = format!("/v1/deliveries?orderId={}", bought[2]);
    let deliveries = with_status(200, seller.get(&list).await.expect("an answer"));
    let at_delivery = format!("/v1/deliveries/{}", deliveries.text("deliveries/0/id"));
    let parcel = json!({ "carrier": "cj", "trackingNumber": "1234" });
    let template = "/v1/notificationTemplates/member-registered";
    let rename = json!({ "displayName": "국밥" });
    let commands = [
        (&seller, Method::PATCH, at_product.as_str(), "", rename),
        (&seller, Method::POST, &at_product, ":restock", json!({ "quantity": 5 })),
        (&admin, Method::PATCH, template, "", json!({ "body": "New: {memberId}" })),
        (&member.rest, Method::POST, &at_order[0], ":cancel", json!({})),
        (&member.rest, Method::POST, &at_order[1], ":confirmReceipt", json!({})),
        (&seller, Method::POST, &format!("/v1/payments/{payment}"), ":confirmDeposit", deposit),
        (&seller, Method::POST, &at_delivery, ":dispatch", parcel),
        (&seller, Method::POST, &at_delivery, ":markDelivered", json!({})),
    ];
    for (who, method, path, verb, body) in commands {
        let before = with_status(200, who.get(path).await.expect("an answer"));
        let command = format!("{path}{verb}");
        let send = async |etag: &str| {
            let headers = [("if-match", etag)];
            let sent = who.send(method.clone(), &command, Some(body.clone()), &headers);
            sent.await.expect("an answer")
        };
        let etag = before.text("etag");
        for stale in ["stale", "\"0\"", &format!("{etag}0")] {
            refused(412, "STALE_ETAG", &send(stale).await);
        }
        assert_eq!(who.get(path).await.expect("an answer").body, before.body, "{command}");
        let changed = with_status(200, send(&format!("\"{etag}\"")).await);
        assert_ne!(changed.text("etag"), etag, "{command}");
        // By now it is stale.
        refused(412, "STALE_ETAG", &send(&etag).await);
    }
    deployment.all_holds().await;
}

/// What a list is of, page by page.
async fn paged(who: &Rest, path: &str, size: usize, between: impl AsyncFn()) -> Vec<String> {
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = who.get(&format!("{path}?pageSize={size}&pageToken={token}")).await;
        let page = with_status(200, page.expect("an answer"));
        let lists = page.body.as_object().expect("an object").values();
        let items = lists.filter_map(Value::as_array).flatten();
        let ids: Vec<_> = items.map(|it| id(it).to_owned()).collect();
        assert!(ids.len() <= size, "{path}: {page}");
        token = page.text("nextPageToken");
        assert!(ids.len() == size || token.is_empty(), "{path}: {page}");
        seen.extend(ids);
        if token.is_empty() {
            return seen;
        }
        between().await;
    }
}

fn id(item: &Value) -> &str {
    let ids = ["id", "orderId", "policy"].map(|field| item[field].as_str());
    ids.into_iter().flatten().next().expect("an id")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_is_paged_through_once_in_a_stable_order() {
    let deployment = Deployment::open("paging").await;
    let (member, admin) = (deployment.member(BALANCE).await, deployment.admin().await);
    let product = deployment.product(PRICE, STOCK).await;
    let buy = async |member: &Member| {
        let order = member.order(&product, 1).await;
        member.eventually_sees(&order, "DELIVERING").await;
        order
    };
    let mut orders = Vec::new();
    for _ in 0..5 {
        orders.insert(0, buy(&member).await);
    }
    deployment.all_holds().await;

    let (who, of, page) =
        (&member.rest, format!("/v1/members/{}", member.id), format!("/v1/mypage/{}", member.id));
    // Whose, where, how many, and whether what is bought meanwhile is on top.
    let lists = [
        (who, "/v1/orders".to_owned(), 5),
        (who, "/v1/payments".to_owned(), 5),
        (who, "/v1/deliveries".to_owned(), 5),
        (who, format!("{of}/wallet/entries"), 6),
        (who, format!("{of}/mileage/entries"), 5),
        (who, format!("{page}/orders"), 5),
        (who, format!("{page}/mileage"), 5),
        (who, format!("{of}/coupons"), 1),
        (&admin, "/v1/notifications".to_owned(), 6),
        (&admin, "/v1/products".to_owned(), 1),
        (&admin, "/v1/couponPolicies".to_owned(), 1),
    ];
    for (who, path, least) in &lists {
        let whole = paged(who, path, 200, async || {}).await;
        assert!(whole.len() >= *least, "{path}: {whole:?}");
        assert_eq!(whole.iter().collect::<BTreeSet<_>>().len(), whole.len(), "{path}: {whole:?}");
        for size in 1..=3 {
            assert_eq!(paged(who, path, size, async || {}).await, whole, "{path}");
        }
        for (query, field) in [
            ("pageToken=nonsense", "pageToken"),
            ("pageToken=%00", "pageToken"),
            ("pageToken=..%2F..%2Fetc", "pageToken"),
            ("pageSize=-1", "pageSize"),
            ("pageSize=many", "pageSize"),
            ("pageSize=99999999999", "pageSize"),
        ] {
            let refusal = who.get(&format!("{path}?{query}")).await.expect("an answer");
            let refusal = with_status(400, refusal);
            assert_eq!(refusal.text("violations/0/field"), field, "{path}?{query}: {refusal}");
        }
    }
    assert_eq!(paged(who, "/v1/orders", 2, async || {}).await, orders);
    // What is added while somebody pages is on the pages before.
    let meanwhile = paged(who, "/v1/orders", 2, async || drop(buy(&member).await)).await;
    assert_eq!(meanwhile, orders);
    deployment.all_holds().await;
}
