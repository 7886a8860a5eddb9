//! No input stops anybody else: each field of each call at both ends of its range and
//! one beyond each end, against real processes. What is beyond is refused, with the
//! field's path; what is taken is played to the end of its saga. Then everybody is
//! still up, events go on, nothing is set aside, and all that must hold holds.

mod bodies;
mod limits;
mod sagas;
mod shop;
mod table;

use std::collections::BTreeSet;

use futures_util::{
    future::join_all,
    stream::{self, StreamExt as _},
};
use prost_reflect::{Kind, MessageDescriptor};
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use self::{limits::Limit, shop::Shop, table::FIELDS};
use crate::{
    deployment,
    matrix::methods::{Rpc, methods},
    people,
};

/// What the table calls a method.
fn name(rpc: &Rpc) -> &str {
    let (service, method) = rpc.path.rsplit_once('/').expect("a path");
    // Other services' lists are of something.
    let parked = service.ends_with("ParkedEvents");
    if parked { &rpc.path["/hansang.event.v1.".len()..] } else { method }
}

/// Calls between services that only follow one another.
fn follows(rpc: &Rpc) -> bool {
    rpc.path.ends_with("Events/Subscribe") || rpc.path.ends_with("Revocations/Watch")
}

/// The fields of a message, as REST's clients know them.
fn fields(message: &MessageDescriptor, prefix: &str) -> Vec<String> {
    let mut found = Vec::new();
    for field in message.fields() {
        let path = format!("{prefix}{}", field.json_name());
        found.push(path.clone());
        let entry = if field.is_list() { format!("{path}[0]") } else { path };
        match field.kind() {
            Kind::Message(of) if of.package_name() != "google.protobuf" => {
                found.extend(fields(&of, &format!("{entry}.")));
            }
            _ if field.is_list() => found.push(entry),
            _ => {}
        }
    }
    found
}

#[test]
fn the_table_knows_every_field_of_every_call() {
    let calls: Vec<Rpc> = methods().into_iter().filter(|rpc| !follows(rpc)).collect();
    let said: BTreeSet<(String, String)> = calls
        .iter()
        .flat_map(|rpc| {
            let call = name(rpc).replace('/', ".");
            fields(&rpc.input, "").into_iter().map(move |field| (call.clone(), field))
        })
        .collect();
    let known: BTreeSet<(String, String)> =
        FIELDS.iter().map(|(call, field, _)| ((*call).to_owned(), (*field).to_owned())).collect();
    let unknown: Vec<_> = said.difference(&known).collect();
    assert!(unknown.is_empty(), "tests/inputs/table.rs has no limit for {unknown:?}");
    let gone: Vec<_> = known.difference(&said).collect();
    assert!(gone.is_empty(), "no contract has {gone:?} any more");
}

/// What is wrong with the answer to a value that is beyond a field's range.
fn let_through(limit: Limit, field: &str, answer: &Result<Value, Status>) -> Option<String> {
    let status = match answer {
        Ok(message) => return Some(format!("is taken: {message}")),
        Err(status) => status,
    };
    if matches!(limit, Limit::Name) {
        let refused = matches!(status.code(), Code::NotFound | Code::InvalidArgument);
        return (!refused).then(|| format!("{status:?}"));
    }
    let details = status.get_error_details();
    let violations = details.bad_request().map_or(&[][..], |bad| &bad.field_violations);
    let here = violations.iter().any(|violation| violation.field == field);
    (status.code() != Code::InvalidArgument || !here)
        .then(|| format!("is refused with {:?} {} {violations:?}", status.code(), status.message()))
}

/// What is wrong with the answer to a value that is within a field's range. Whether the rest of the
/// request fits is another matter: a price that has changed, a password that is wrong.
fn turned_away(answer: &Result<Value, Status>) -> Option<String> {
    let status = answer.as_ref().err()?;
    let fits = match status.code() {
        Code::FailedPrecondition => [
            "prices have changed",
            // An admin asks, and who owns the wallet has not left.
            "member who has withdrawn",
            // They may not leave.
            "orders under way",
            "there is a balance",
            "the wallet holds less",
            // An order has fewer pieces.
            "left to be taken back",
            // A part of an order that was never placed.
            "payment has not heard of the order yet",
            // They have few points.
            "the balance is smaller",
            // No acquirer has refused it.
            "the refund has not failed",
        ]
        .iter()
        .any(|said| status.message().contains(said)),
        Code::Unauthenticated => {
            ["password", "not signed"].iter().any(|said| status.message().contains(said))
        }
        _ => false,
    };
    (!fits).then(|| format!("is turned away: {:?} {}", status.code(), status.message()))
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(80).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_field_holds_what_its_contract_says_and_nothing_stops_anybody_else() {
    let mut shop = Shop::open("inputs").await;
    let calls: Vec<Rpc> = methods().into_iter().filter(|rpc| !follows(rpc)).collect();
    let (mut wrong, began) = (Vec::new(), std::time::Instant::now());
    for (call, field, limit) in FIELDS {
        // Shown when it fails, or hangs: how far it had come.
        println!("{:?} {call} {field}", began.elapsed());
        let rpc = calls.iter().find(|rpc| name(rpc).replace('/', ".") == *call).expect(call);
        let request = shop.request(call, field).await;
        let beyond = limit.beyond();
        // Of one order some is taken back at a time.
        let at_once = if ["CancelLines", "AcceptReturn"].contains(call) { 1 } else { 100 };
        let answers = beyond.iter().map(|value| shop.send(rpc, &request, Some((field, value))));
        let answers: Vec<_> = stream::iter(answers).buffered(at_once).collect().await;
        for (value, answer) in beyond.iter().zip(answers) {
            let complaint = let_through(*limit, field, &answer);
            wrong.extend(complaint.map(|it| format!("{call} {field} {}: {it}", short(value))));
        }
        let within = limit.within();
        let values = if within.is_empty() { vec![None] } else { within.iter().map(Some).collect() };
        for value in values {
            let request = shop.request(call, field).await;
            let answer = shop.send(rpc, &request, value.map(|value| (*field, value))).await;
            let value = value.map(short).unwrap_or_default();
            match turned_away(&answer) {
                Some(complaint) => wrong.push(format!("{call} {field} {value}: {complaint}")),
                None => shop.remember(call, &request, answer.ok()).await,
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    shop.all_ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_mostly_space_and_the_longest_ones_stop_nobody() {
    let shop = Shop::open("names").await;
    for _ in 0..5 {
        let product = shop.on_sale(&format!("{}a", " ".repeat(1_000_000)), 1_000).await;
        assert_eq!(product.text("displayName"), "a");
    }
    let name = "🍚".repeat(200);
    let mut longest = Vec::new();
    for _ in 0..20 {
        let named = join_all((0..5).map(|_| shop.on_sale(&name, 1_000))).await;
        longest.extend(named.iter().map(|product| product.text("id")));
    }
    let listed = shop.deployment.rest().get("/v1/products?pageSize=200").await.expect("an answer");
    assert_eq!(
        people::with_status(200, listed).body["products"].as_array().map(Vec::len),
        Some(106)
    );
    // Each of them is as large as an order can be: no page of them is larger than a client takes.
    let mut orders = Vec::new();
    for _ in 0..10 {
        orders.extend(join_all((0..5).map(|_| shop.member.buys(&longest, 1))).await);
    }
    for list in ["/v1/orders".to_owned(), format!("/v1/mypage/{}/orders", shop.member.id)] {
        let (mut seen, mut token) = (BTreeSet::new(), String::new());
        loop {
            let page = format!("{list}?pageSize=200&pageToken={token}");
            let page = people::with_status(200, shop.member.get(&page).await);
            for order in page.body["orders"].as_array().expect("orders") {
                let id = order["id"].as_str().or(order["orderId"].as_str()).expect("an id");
                assert!(seen.insert(id.to_owned()), "{id} twice");
            }
            token = page.text("nextPageToken");
            if token.is_empty() {
                break;
            }
        }
        assert!(orders.iter().all(|order| seen.contains(order)), "{list}: {} orders", seen.len());
    }
    for order in &orders[..5] {
        shop.member.has_and_cancels(order).await;
    }
    shop.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_that_was_restocked_meanwhile_takes_back_what_was_ordered() {
    const MOST: i64 = 1_000_000_000;
    let shop = Shop::open("stock").await;
    let product = shop.deployment.product(1_000, MOST).await;
    let mut orders = Vec::new();
    for _ in 0..3 {
        let order = shop.member.buys(std::slice::from_ref(&product.id), MOST).await;
        product.eventually_has(0).await;
        people::with_status(200, shop.restock(&product, MOST).await);
        orders.push(order);
    }
    for order in &orders {
        shop.member.has_and_cancels(order).await;
    }
    // Four times as many as may be put on sale; the contract's number ends before.
    product.eventually_has(i32::MAX.into()).await;
    let refused = people::with_status(400, shop.restock(&product, 1).await);
    assert_eq!(refused.text("violations/0/field"), "quantity");
    assert_eq!(refused.text("reason"), "TOO_MANY");
    // They are all there: somebody buys them.
    for _ in 0..4 {
        orders.push(shop.member.buys(std::slice::from_ref(&product.id), MOST).await);
    }
    product.eventually_has(0).await;
    shop.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dearest_order_and_one_that_costs_nothing_go_through() {
    const MOST: i64 = 1_000_000_000;
    let shop = Shop::open("dearest").await;
    let (dear, free) =
        (shop.deployment.product(MOST, MOST).await, shop.deployment.product(0, 1).await);
    let dear = std::slice::from_ref(&dear.id);
    let order = |product: &str, quantity: i64, total: i64| {
        json!({
            "paymentMethod": "CARD", "cardToken": "tok_visa", "expectedTotal": people::won(total),
            "lines": [{ "productId": product, "quantity": quantity }],
        })
    };
    let costly = shop.member.places(&order(&dear[0], 1_000, 1_000 * MOST)).await;
    let gift = shop.member.places(&order(&free.id, 1, 0)).await;
    shop.member.eventually_sees(&gift, "DELIVERING").await;
    // A hundred more of them: what they earn is counted, and no sum ends anywhere.
    for _ in 0..20 {
        join_all((0..5).map(|_| shop.member.buys(dear, 1_000))).await;
    }
    shop.member.has_and_cancels(&costly).await;
    deployment::eventually("the points of what was not cancelled", async || {
        let page = shop.member.get(&format!("/v1/mypage/{}", shop.member.id)).await;
        let mileage = shop.member.get(&format!("/v1/members/{}/mileage", shop.member.id)).await;
        // And a hundredth of the order that each shop has.
        let points = 100 * 10 * MOST + 10;
        people::same(
            (page.number("mileageBalance"), mileage.number("balance")),
            (Some(points), Some(points)),
        )
    })
    .await;
    let beyond = json!({
        "paymentMethod": "CARD", "cardToken": "tok_visa",
        "lines": [{ "productId": dear[0], "quantity": 1_001 }],
    });
    let beyond = shop.member.rest.post("/v1/orders", beyond).await.expect("an answer");
    assert_eq!(people::with_status(400, beyond).text("violations/0/field"), "lines");
    shop.is_well().await;
}
