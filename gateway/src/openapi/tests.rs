//! The document of our own contracts. That it is valid OpenAPI, a validator says:
//! `tests/it/openapi.rs`.

use std::collections::BTreeSet;

use contracts::DESCRIPTORS;
use serde_json::{Value, json};

use super::*;
use crate::ROUTES;

fn read() -> Value {
    serde_json::from_slice(&document(DESCRIPTORS).expect("a document")).expect("JSON")
}

/// A path, whatever its parameters are called.
fn nameless(path: &str) -> String {
    let pieces = path.split('{').enumerate();
    pieces
        .map(|(index, piece)| match piece.split_once('}') {
            Some((_, rest)) if index > 0 => format!("{{}}{rest}"),
            _ => piece.to_owned(),
        })
        .collect()
}

/// Everything that the document refers to.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn every_route_is_there_once() {
    let document = read();
    let mut described = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for verb in item.as_object().expect("operations").keys() {
            described.push((verb.to_uppercase(), nameless(path)));
        }
    }
    let routes = ROUTES.iter().map(|route| (route.verb.to_string(), nameless(route.path)));
    let mut routes: Vec<_> = routes.collect();
    described.sort();
    routes.sort();
    assert_eq!(described, routes);
}

#[test]
fn what_is_referred_to_is_there_and_nothing_else() {
    let document = read();
    let mut wanted = BTreeSet::new();
    references(&document, &mut wanted);
    for kind in ["schemas", "responses"] {
        let there = document["components"][kind].as_object().expect("components");
        let there: BTreeSet<_> =
            there.keys().map(|name| format!("#/components/{kind}/{name}")).collect();
        let wanted: BTreeSet<_> =
            wanted.iter().filter(|name| name.contains(kind)).cloned().collect();
        assert_eq!(there, wanted);
    }
}

#[test]
fn it_is_the_same_each_time() {
    assert_eq!(document(DESCRIPTORS).expect("a document"), document(DESCRIPTORS).expect("again"));
}

#[test]
fn a_command_says_what_it_takes_and_makes() {
    let document = read();
    let order = &document["paths"]["/v1/orders"]["post"];
    assert_eq!(order["operationId"], "placeOrder");
    let about = order["description"].as_str().expect("a comment");
    assert!(about.starts_with("Places an order") && about.ends_with("*May call:* member."));
    assert_eq!(order["parameters"][0]["name"], "Idempotency-Key");
    let made = &order["responses"]["201"];
    assert!(made["headers"]["Location"].is_object() && order["responses"]["200"].is_null());
    let schema = &made["content"]["application/json"]["schema"];
    assert_eq!(schema["$ref"], "#/components/schemas/order.v1.Order");
    let body = &order["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(body["additionalProperties"], false);
    assert_eq!(
        body["properties"]["lines"]["description"],
        "1 to 100 lines, which cost 1,000,000,000,000 won at most."
    );
    let problems = order["responses"].as_object().expect("responses").keys();
    let problems: Vec<_> = problems.filter(|status| status.as_str() > "299").collect();
    let expected = ["400", "401", "403", "406", "408", "409", "413", "415", "422", "429"];
    assert_eq!(problems, [&expected[..], &["503", "504"]].concat());
}

#[test]
fn a_body_that_is_taken_as_it_is_may_be_anything() {
    let document = read();
    let notice = &document["paths"]["/v1/carriers/{carrier}/webhook"]["post"];
    assert!(notice["requestBody"]["content"]["*/*"].is_object(), "{notice}");
    assert!(notice["responses"]["200"].is_object() && notice["responses"]["415"].is_null());
    assert_eq!(notice["security"], json!([]));
}

#[test]
fn a_path_is_told_in_the_names_of_json() {
    let document = read();
    let update = &document["paths"]["/v1/products/{productId}"]["patch"];
    let id = &update["parameters"][0];
    assert_eq!((&id["name"], &id["in"]), (&json!("productId"), &json!("path")));
    assert_eq!((&id["required"], &id["schema"]["format"]), (&json!(true), &json!("uuid")));
    let body = &update["requestBody"]["content"]["application/json"]["schema"]["properties"];
    assert!(body["productId"].is_null() && body["displayName"].is_object());
    let names: Vec<_> = update["parameters"].as_array().expect("some").iter().collect();
    assert!(names.iter().any(|parameter| parameter["name"] == "If-Match"));
    assert!(update["responses"]["412"].is_object());
}

#[test]
fn what_is_open_needs_no_token() {
    let document = read();
    assert_eq!(document["security"], json!([{ "bearer": [] }]));
    assert_eq!(document["paths"]["/v1/products"]["get"]["security"], json!([]));
    assert!(document["paths"]["/v1/products"]["post"]["security"].is_null());
}

#[test]
fn a_schema_is_that_of_canonical_json() {
    let document = read();
    let schemas = &document["components"]["schemas"];
    let money = &schemas["google.type.Money"]["properties"];
    assert_eq!(money["units"]["type"], "string");
    assert_eq!(money["nanos"]["type"], "integer");
    let order = &schemas["order.v1.Order"];
    assert_eq!(order["properties"]["createTime"]["format"], "date-time");
    let required = order["required"].as_array().expect("some");
    assert!(required.contains(&json!("etag")) && !required.contains(&json!("total")));
    let states = schemas["order.v1.Order.State"]["enum"].as_array().expect("names");
    assert!(states.contains(&json!("AWAITING_DEPOSIT")));
    let about = schemas["order.v1.Order.State"]["description"].as_str().expect("comments");
    assert!(about.contains("`PLACED`: 주문접수"), "{about}");
}
