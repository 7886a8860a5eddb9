//! gRPC without a gateway: the same product, by tonic's client.

use std::time::{Duration, Instant};

use http::uri::PathAndQuery;
use tokio::task::JoinSet;
use tonic::{Request, client::Grpc, metadata::AsciiMetadataValue, transport::Endpoint};
use tonic_prost::ProstCodec;

use crate::place::Place;

const GET_PRODUCT: &str = "/hansang.product.v1.ProductService/GetProduct";

/// As the contract has it.
#[derive(Clone, PartialEq, prost::Message)]
struct GetProductRequest {
    #[prost(string, tag = "1")]
    product_id: String,
}

/// As much of the contract's as matters: it was found.
#[derive(Clone, PartialEq, prost::Message)]
struct Product {
    #[prost(string, tag = "1")]
    id: String,
}

/// Answers calls a second.
pub(crate) async fn load(place: &Place, connections: usize, lasting: Duration) -> f64 {
    let endpoint = Endpoint::from_shared(format!("http://{}", place.grpc("product")));
    let endpoint = endpoint.expect("an address").tcp_nodelay(true);
    let bearer: AsciiMetadataValue = format!("Bearer {}", place.token).parse().expect("ascii");
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..connections {
        let channel = endpoint.connect().await.expect("a connection");
        let (bearer, product) = (bearer.clone(), place.product.clone());
        clients.spawn(async move {
            let (mut client, mut calls) = (Grpc::new(channel), 0_u32);
            while begun.elapsed() < lasting {
                let mut request = Request::new(GetProductRequest { product_id: product.clone() });
                request.metadata_mut().insert("authorization", bearer.clone());
                client.ready().await.expect("ready");
                let codec = ProstCodec::<GetProductRequest, Product>::default();
                let path = PathAndQuery::from_static(GET_PRODUCT);
                let answer = client.unary(request, path, codec).await.expect("an answer");
                assert_eq!(answer.get_ref().id, product);
                calls += 1;
            }
            calls
        });
    }
    let calls: u32 = clients.join_all().await.into_iter().sum();
    f64::from(calls) / begun.elapsed().as_secs_f64()
}
