//! What cannot be taken is refused as a problem that says which field, and why;
//! whatever is sent, nothing fails inside.

use super::*;

/// Nothing has this id.
const NOTHING: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// A call that works, and may be spoilt.
struct Call<'a> {
    who: &'a Rest,
    method: Method,
    path: String,
    body: Option<Value>,
}

/// Somebody of each role, and what they have to do with each other.
struct Cast {
    deployment: Deployment,
    seller: Rest,
    admin: Rest,
    member: Member,
    product: Product,
    order: String,
    waiting: Transfer,
}

impl Cast {
    async fn gather(story: &str) -> Self {
        let deployment = Deployment::open(story).await;
        let (seller, admin) = (deployment.seller().await, deployment.admin().await);
        let (product, member) =
            (deployment.product(PRICE, STOCK).await, deployment.member(BALANCE).await);
        let order = member.order(&product, 1).await;
        member.eventually_sees(&order, "DELIVERING").await;
        let waiting = member.transfer(&product, 1).await;
        Self { deployment, seller, admin, member, product, order, waiting }
    }

    /// Every call that changes something, each with all its fields.
    fn commands<'a>(&'a self, anyone: &'a Rest) -> Vec<Call<'a>> {
        let post =
            |who, path: String, body| Call { who, method: Method::POST, path, body: Some(body) };
        let patch = |who, path, body| Call { method: Method::PATCH, ..post(who, path, body) };
        let (member, product) = (&self.member.id, &self.product.id);
        let somebody = json!({
            "email": "choi@example.com", "password": "correct horse", "displayName": "Choi",
        });
        let order = json!({
            "paymentMethod": "CARD", "cardToken": "tok_visa", "expectedTotal": won(PRICE),
            "lines": [{ "productId": product, "quantity": 1 }],
        });
        let deposit = json!({ "amount": won(PRICE), "depositorName": "Kim" });
        let session = json!({ "email": "choi@example.com", "password": "wrong horse" });
        let new = json!({ "displayName": "떡국", "price": won(PRICE), "stock": 10 });
        let changed = json!({ "displayName": "떡국", "price": won(PRICE) });
        vec![
            post(anyone, "/v1/members".into(), somebody),
            post(anyone, "/v1/sessions".into(), session),
            post(&self.admin, format!("/v1/members/{member}:withdraw"), json!({})),
            post(
                &self.admin,
                format!("/v1/members/{member}:grantRole"),
                json!({ "role": "SELLER" }),
            ),
            post(
                &self.member.rest,
                format!("/v1/members/{member}/wallet:topUp"),
                json!({ "amount": won(10), "cardToken": "tok_visa" }),
            ),
            post(&self.seller, "/v1/products".into(), new),
            patch(&self.seller, format!("/v1/products/{product}"), changed),
            post(&self.seller, format!("/v1/products/{product}:restock"), json!({ "quantity": 5 })),
            post(&self.member.rest, "/v1/orders".into(), order),
            post(&self.member.rest, format!("/v1/orders/{}:cancel", self.order), json!({})),
            post(&self.member.rest, format!("/v1/orders/{}:confirmReceipt", self.order), json!({})),
            post(
                &self.seller,
                format!("/v1/payments/{}:confirmDeposit", self.waiting.payment),
                deposit,
            ),
            patch(
                &self.admin,
                "/v1/notificationTemplates/payment-approved".into(),
                json!({ "body": "Paid: {amount}" }),
            ),
        ]
    }

    /// Every call that reads something.
    fn queries(&self) -> Vec<Call<'_>> {
        let member = format!("/v1/members/{}", self.member.id);
        let page = format!("/v1/mypage/{}", self.member.id);
        let paths = [
            member.clone(),
            format!("{member}/coupons"),
            format!("{member}/wallet"),
            format!("{member}/wallet/entries"),
            format!("{member}/mileage"),
            format!("{member}/mileage/entries"),
            "/v1/products".into(),
            format!("/v1/products/{}", self.product.id),
            "/v1/orders".into(),
            format!("/v1/orders/{}", self.order),
            "/v1/payments".into(),
            format!("/v1/payments/{}", self.waiting.payment),
            "/v1/deliveries".into(),
            "/v1/notifications".into(),
            "/v1/notificationTemplates/payment-approved".into(),
            "/v1/couponPolicies".into(),
            "/v1/couponPolicies/welcome".into(),
            page.clone(),
            format!("{page}/orders"),
            format!("{page}/orders/{}", self.order),
            format!("{page}/mileage"),
        ];
        let get = |path| Call { who: &self.admin, method: Method::GET, path, body: None };
        paths.into_iter().map(get).collect()
    }
}

impl Call<'_> {
    async fn send(&self, path: &str, body: Option<Value>) -> Answer {
        self.who.send(self.method.clone(), path, body, &[]).await.expect("an answer")
    }

    /// Refused for this field.
    async fn refuses(&self, path: &str, body: Option<Value>, field: &str) {
        let answer = self.send(path, body.clone()).await;
        let what = format!("{} {path} {body:?}: {answer}", self.method);
        problem(&answer, &what);
        assert_eq!(answer.status, 400, "{what}");
        assert_eq!(answer.text("violations/0/field"), field, "{what}");
        assert_ne!(answer.text("violations/0/description"), "", "{what}");
    }

    /// Taken or refused, but nothing fails.
    async fn survives(&self, path: &str, body: Option<Value>) {
        let answer = self.send(path, body.clone()).await;
        let what = format!("{} {path} {body:?}: {answer}", self.method);
        if !answer.status.is_success() {
            problem(&answer, &what);
            assert!(answer.status.as_u16() < 500, "{what}");
        }
        if answer.text("reason") == "INVALID_FIELD" {
            assert_ne!(answer.text("violations/0/description"), "", "{what}");
        }
    }
}

/// What every refusal looks like.
fn problem(answer: &Answer, what: &str) {
    let kind = answer.headers.get("content-type").and_then(|it| it.to_str().ok());
    assert_eq!(kind, Some("application/problem+json"), "{what}");
    assert_eq!(answer.number("status"), Some(answer.status.as_u16().into()), "{what}");
    for field in ["type", "title", "detail", "instance", "code", "reason", "domain", "traceId"] {
        assert_ne!(answer.text(field), "", "{field} of {what}");
    }
}

/// Where the values of a body are, as JSON pointers and as clients know them.
fn places(body: &Value) -> Vec<(String, String)> {
    let (mut places, mut open) = (Vec::new(), vec![(String::new(), String::new(), body)]);
    while let Some((pointer, field, value)) = open.pop() {
        match value {
            Value::Object(fields) => {
                let dot = if field.is_empty() { "" } else { "." };
                open.extend(fields.iter().map(|(name, value)| {
                    (format!("{pointer}/{name}"), format!("{field}{dot}{name}"), value)
                }));
            }
            Value::Array(items) => {
                open.extend(items.iter().enumerate().map(|(index, value)| {
                    (format!("{pointer}/{index}"), format!("{field}[{index}]"), value)
                }));
            }
            _ => {}
        }
        if !pointer.is_empty() {
            places.push((pointer, field));
        }
    }
    places
}

/// The body with another value at that place.
fn with(body: &Value, pointer: &str, value: Value) -> Value {
    let mut body = body.clone();
    *body.pointer_mut(pointer).expect("a place of the body") = value;
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_sent_is_taken_or_refused_with_the_field() {
    let cast = Cast::gather("spoilt_bodies").await;
    let anyone = cast.deployment.rest();
    for call in cast.commands(&anyone) {
        let body = call.body.clone().expect("a command has a body");
        for wrong in [json!([]), json!([body]), json!("text"), json!(7), json!(null)] {
            call.refuses(&call.path, Some(wrong), "").await;
        }
        let mut more = body.clone();
        more["nonsense"] = json!(1);
        call.refuses(&call.path, Some(more), "nonsense").await;
        call.refuses(&format!("{}?nonsense=1", call.path), Some(body.clone()), "nonsense").await;

        for (pointer, field) in places(&body) {
            let value = body.pointer(&pointer).expect("a place of the body");
            let wrong = if value.is_object() || value.is_string() { json!([1]) } else { json!({}) };
            for wrong in [wrong, json!(true)] {
                call.refuses(&call.path, Some(with(&body, &pointer, wrong)), &field).await;
            }
            if value.is_object() {
                let mut more = value.clone();
                more["nonsense"] = json!(1);
                let body = with(&body, &pointer, more);
                call.refuses(&call.path, Some(body), &format!("{field}.nonsense")).await;
            }
            let odd = [
                json!("\u{0}"),
                json!("a\u{0}b"),
                json!("x".repeat(100_000)),
                json!("\u{202e}한상🍚"),
                json!(""),
                json!(null),
                json!(-1),
                json!(1e300),
                json!(1.5),
                json!(i64::MAX),
                json!(i64::MIN),
                json!(i64::MAX.to_string()),
                json!(u64::MAX),
                json!(i32::MIN),
                json!("00000000-0000-0000-0000-000000000000"),
                json!("1e400"),
            ];
            for odd in odd {
                call.survives(&call.path, Some(with(&body, &pointer, odd))).await;
            }
        }
    }
    cast.deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_found_and_what_is_no_id_is_refused() {
    let cast = Cast::gather("spoilt_paths").await;
    let anyone = cast.deployment.rest();
    let ids = [&cast.member.id, &cast.product.id, &cast.order, &cast.waiting.payment];
    for call in cast.commands(&anyone).into_iter().chain(cast.queries()) {
        // Of a command nothing happens to what is there.
        let mut spoilt = call.path.clone();
        for id in ids {
            spoilt = spoilt.replace(id, "{id}");
        }
        if spoilt.contains("{id}") {
            let unknown = call.send(&spoilt.replace("{id}", NOTHING), call.body.clone()).await;
            let what = format!("{} {spoilt}: {unknown}", call.method);
            // A wallet, points or a page that nobody has yet is empty.
            if call.method != Method::GET || !unknown.status.is_success() {
                assert_eq!(unknown.status, 404, "{what}");
                problem(&unknown, &what);
            }
            let twice = "x".repeat(36);
            for odd in ["nonsense", "7", "%00", &twice, "..%2F..", &NOTHING.replace('-', "")] {
                let answer = call.send(&spoilt.replace("{id}", odd), call.body.clone()).await;
                let what = format!("{} {spoilt} with {odd}: {answer}", call.method);
                problem(&answer, &what);
                assert_eq!(answer.status, 400, "{what}");
                assert!(answer.text("violations/0/field").ends_with("Id"), "{what}");
            }
        }
        if call.method == Method::GET {
            call.refuses(&format!("{}?nonsense=1", call.path), None, "nonsense").await;
            let unexpected = call.send(&call.path, Some(json!({}))).await;
            assert_eq!(with_status(400, unexpected).text("reason"), "UNEXPECTED_BODY");
        }
    }
    let template = "/v1/notificationTemplates/nonsense";
    with_status(404, cast.admin.get(template).await.expect("an answer"));
    with_status(404, cast.admin.get("/v1/nonsense").await.expect("an answer"));
    with_status(405, cast.admin.post("/v1/mypage/x", json!({})).await.expect("an answer"));
    assert_eq!(cast.member.order_state(&cast.order).await, "DELIVERING");
    cast.deployment.all_holds().await;
}

/// A command by the end of its path, a value that it cannot take there, and the field at fault.
type Nonsense<'a> = (&'a str, &'a str, Value, &'a str);

/// About those who sign up, and what they are told.
fn about_people() -> Vec<Nonsense<'static>> {
    vec![
        ("/v1/members", "/email", json!("kim"), "email"),
        ("/v1/members", "/email", Value::Null, "email"),
        ("/v1/members", "/email", json!(format!("{}@example.com", "k".repeat(250))), "email"),
        ("/v1/members", "/password", json!("short"), "password"),
        ("/v1/members", "/password", json!("x".repeat(129)), "password"),
        ("/v1/members", "/displayName", json!(" "), "displayName"),
        ("/v1/members", "/displayName", json!("x".repeat(101)), "displayName"),
        (":grantRole", "/role", json!("KING"), "role"),
        (":grantRole", "/role", json!("MEMBER"), "role"),
        (":grantRole", "/role", json!(77), "role"),
        ("payment-approved", "/body", json!(""), "body"),
        ("payment-approved", "/body", json!("x".repeat(2001)), "body"),
        ("payment-approved", "/body", json!("Hello {password}"), "body"),
    ]
}

/// About amounts.
fn about_money(product: &str) -> Vec<Nonsense<'_>> {
    let dollars = json!({ "currencyCode": "USD", "units": "1000" });
    let cents = json!({ "currencyCode": "KRW", "units": "1000", "nanos": 500_000_000 });
    vec![
        (":topUp", "/cardToken", Value::Null, "cardToken"),
        (":topUp", "/amount", Value::Null, "amount"),
        (":topUp", "/amount", won(0), "amount.units"),
        (":topUp", "/amount", won(-1), "amount.units"),
        (":topUp", "/amount", won(1_000_000_001), "amount.units"),
        (":topUp", "/amount", dollars.clone(), "amount.currencyCode"),
        (":topUp", "/amount", cents.clone(), "amount.nanos"),
        ("/v1/products", "/price", won(-1), "price.units"),
        ("/v1/products", "/price", dollars.clone(), "price.currencyCode"),
        ("/v1/products", "/price", cents.clone(), "price.nanos"),
        ("/v1/products", "/price", Value::Null, "price"),
        (product, "/price", won(-1), "price.units"),
        ("/v1/orders", "/expectedTotal", dollars.clone(), "expectedTotal.currencyCode"),
        ("/v1/orders", "/expectedTotal", cents.clone(), "expectedTotal.nanos"),
        (":confirmDeposit", "/amount", won(PRICE - 1), "amount.units"),
        (":confirmDeposit", "/amount", dollars, "amount.currencyCode"),
        (":confirmDeposit", "/amount", cents, "amount.nanos"),
    ]
}

/// About what is sold and bought.
fn about_goods(product: &str) -> Vec<Nonsense<'_>> {
    let line = |id: &str, quantity: i64| json!([{ "productId": id, "quantity": quantity }]);
    vec![
        ("/v1/products", "/displayName", json!(""), "displayName"),
        ("/v1/products", "/displayName", json!("x".repeat(201)), "displayName"),
        ("/v1/products", "/stock", json!(-1), "stock"),
        ("/v1/products", "/stock", json!(2_147_483_648_u64), "stock"),
        (product, "/displayName", json!(""), "displayName"),
        (":restock", "/quantity", json!(0), "quantity"),
        (":restock", "/quantity", json!(-5), "quantity"),
        (":restock", "/quantity", json!(i32::MAX), "quantity"),
        ("/v1/orders", "/paymentMethod", json!("BARTER"), "paymentMethod"),
        ("/v1/orders", "/paymentMethod", Value::Null, "paymentMethod"),
        ("/v1/orders", "/paymentMethod", json!(77), "paymentMethod"),
        ("/v1/orders", "/cardToken", json!(""), "cardToken"),
        ("/v1/orders", "/lines", json!([]), "lines"),
        ("/v1/orders", "/lines", json!(vec![line(product, 1)[0].clone(); 101]), "lines"),
        ("/v1/orders", "/lines", line(product, 0), "lines[0].quantity"),
        ("/v1/orders", "/lines", line(product, -3), "lines[0].quantity"),
        ("/v1/orders", "/lines", line("", 1), "lines[0].productId"),
        ("/v1/orders", "/lines", line("nonsense", 1), "lines[0].productId"),
        ("/v1/orders", "/lines", line(NOTHING, 1), "lines[0].productId"),
        (":confirmDeposit", "/depositorName", json!(""), "depositorName"),
        (":confirmDeposit", "/depositorName", json!("x".repeat(101)), "depositorName"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_in_the_shop_is_refused_with_the_field() {
    let cast = Cast::gather("nonsense").await;
    let anyone = cast.deployment.rest();
    let product = cast.product.id.as_str();
    let cases = [about_people(), about_money(product), about_goods(product)].concat();
    let commands = cast.commands(&anyone);
    for (path, pointer, value, field) in cases {
        let call = commands.iter().find(|call| call.path.ends_with(path)).expect("a command");
        let body = call.body.as_ref().expect("a body");
        call.refuses(&call.path, Some(with(body, pointer, value)), field).await;
    }
    let filters = [
        ("/v1/orders", "state=LOST", "state"),
        ("/v1/orders", "state=77", "state"),
        ("/v1/orders", "state=PLACED&state=PAID", "state"),
        ("/v1/payments", "state=PLACED", "state"),
        ("/v1/payments", "orderId=nonsense", "orderId"),
        ("/v1/payments", "orderId=%00", "orderId"),
        ("/v1/deliveries", "orderId=nonsense", "orderId"),
        ("/v1/notifications", "audience=EVERYBODY", "audience"),
        ("/v1/notifications", "audience=77", "audience"),
        ("/v1/notifications", "subjectId=nonsense", "subjectId"),
        ("/mileage/entries", "paymentId=nonsense", "paymentId"),
        ("/mileage/entries", "orderId=nonsense", "orderId"),
    ];
    let queries = cast.queries();
    for (path, query, field) in filters {
        let call = queries.iter().find(|call| call.path.ends_with(path)).expect("a query");
        call.refuses(&format!("{}?{query}", call.path), None, field).await;
    }
    assert_eq!(cast.product.stock().await, Some(STOCK - 1));
    assert_eq!(cast.member.balance().await, Some(BALANCE - PRICE));
    cast.deployment.all_holds().await;
}
