//! What is beside the API: it gets the other paths, and calls the services through the gateway.

use axum::{Router, extract::ConnectInfo, response::IntoResponse as _, routing::get};
use contracts::product::v1::product_service_client::ProductServiceClient;

use super::*;

/// Whether the product is there, and who asks; as a page would show it.
pub(super) fn pages(api: gateway::Api) -> Router {
    let shown = async move |ConnectInfo(from): ConnectInfo<SocketAddr>| {
        let request = pb::GetProductRequest { product_id: "p 1".to_owned() };
        match ProductServiceClient::new(api).get_product(request).await {
            Ok(product) => format!("{} for {}", product.get_ref().id, from.ip()).into_response(),
            Err(status) => {
                let mut response = ().into_response();
                response.extensions_mut().insert(status);
                response
            }
        }
    };
    let refused = async || {
        let mut response = ().into_response();
        let error = Error::new(Kind::Forbidden, "ROLE_REQUIRED", "this is for admins");
        response.extensions_mut().insert(Status::from(error));
        response
    };
    Router::new().route("/shown/{page}", get(shown)).route("/refused", get(refused))
}

#[tokio::test]
async fn a_page_calls_services_as_a_client_does() {
    let table = Table::lay().await;
    let (status, head, page) = table.get("/shown/1").await;
    assert_eq!((status, page), (200, json!("p 1 for 127.0.0.1")), "{head}");
    assert!(head.contains("x-request-id: "), "{head}");
}

#[tokio::test]
async fn what_a_page_refuses_and_what_no_page_has_are_problems() {
    let table = Table::lay().await;
    let (status, head, problem) = table.get("/refused").await;
    assert_eq!((status, &problem["reason"]), (403, &json!("ROLE_REQUIRED")));
    assert!(head.contains("content-type: application/problem+json"), "{head}");
    let (status, _, problem) = table.get("/else").await;
    assert_eq!((status, &problem["reason"]), (404, &json!("NO_SUCH_PATH")));
    let (status, head, problem) = table.send("POST /refused", "", "").await;
    assert_eq!((status, &problem["reason"]), (405, &json!("METHOD_NOT_ALLOWED")));
    assert!(head.contains("allow: get, head, options\r\n"), "{head}");
    // The API's own paths never reach a page.
    let (status, _, problem) = table.send("DELETE /v1/products", "", "").await;
    assert_eq!((status, &problem["reason"]), (405, &json!("METHOD_NOT_ALLOWED")));
}
