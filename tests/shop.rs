//! A shop with something on sale and members who can buy it for a long time, for
//! benches and for tests of cost. Made over REST, as anybody would.

use std::{fs, path::Path};

use app::rest::Rest;
use serde_json::{Value, json};

/// So many products, on sale by the seller of a data directory; their ids.
pub(crate) async fn products(anyone: &Rest, dir: &Path, number: usize) -> Vec<String> {
    let logins = fs::read_to_string(dir.join("logins.json")).expect("logins");
    let logins: Value = serde_json::from_str(&logins).expect("JSON");
    let all = logins.as_array().expect("a list");
    let login = all.iter().find(|login| login["role"] == "SELLER").expect("a seller");
    let seller = sign_in(anyone, &login["email"], &login["password"]).await;
    let mut products = Vec::new();
    for number in 0..number {
        let price = json!({ "currencyCode": "KRW", "units": "1000" });
        let name = format!("Bibimbap {number}");
        let body = json!({ "displayName": name, "price": price, "stock": 100_000_000 });
        products.push(made(&seller, "/v1/products", body).await);
    }
    products
}

/// So many members, with their ids, signed in; `who` begins their addresses.
pub(crate) async fn members(anyone: &Rest, who: &str, number: usize) -> Vec<(String, Rest)> {
    let mut members = Vec::new();
    for number in 0..number {
        let (email, password) =
            (json!(format!("{who}{number}@example.com")), json!("correct horse"));
        let body = json!({ "email": email, "password": password, "displayName": "Kim" });
        let id = made(anyone, "/v1/members", body).await;
        let member = sign_in(anyone, &email, &password).await;
        let amount = json!({
            "amount": { "currencyCode": "KRW", "units": "1000000000" }, "cardToken": "tok_visa",
        });
        let path = format!("/v1/members/{id}/wallet:topUp");
        let answer = member.post(&path, amount).await.expect("an answer");
        assert!(answer.status.is_success(), "{answer}");
        members.push((id, member));
    }
    members
}

async fn sign_in(anyone: &Rest, email: &Value, password: &Value) -> Rest {
    let body = json!({ "email": email, "password": password });
    let answer = anyone.post("/v1/sessions", body).await.expect("an answer");
    anyone.with_token(answer.text("accessToken"))
}

async fn made(rest: &Rest, path: &str, body: Value) -> String {
    let answer = rest.post(path, body).await.expect("an answer");
    assert_eq!(answer.status, 201, "{answer}");
    answer.text("id")
}
