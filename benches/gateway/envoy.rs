//! Envoy before the same deployment: its transcoder from the same contracts, its JWT
//! filter with the same keys and its cache of verified tokens on, one worker.

use std::{fs, net::SocketAddr, process::Command};

use serde_json::{Value, json};

use crate::place::{Place, Subject, free_address};

const ENVOY: &str = "type.googleapis.com/envoy.extensions";

/// Starts Envoy (the program that `ENVOY` names); maybe with a second product service that is dead.
pub(crate) async fn start(place: &Place, half_dead: bool) -> Subject {
    let http = free_address();
    let dir = place.dir.path();
    let descriptors = dir.join("contracts.binpb");
    fs::write(&descriptors, gateway::DESCRIPTORS).expect("a file");
    let mut products = vec![place.grpc("product")];
    if half_dead {
        products.push(free_address());
    }
    let config = json!({
        "static_resources": {
            "listeners": [{
                "name": "http",
                "address": address(http),
                "filter_chains": [{ "filters": [{
                    "name": "http",
                    "typed_config": connection_manager(place, &descriptors.display().to_string()),
                }] }],
            }],
            "clusters": [cluster("product", &products), cluster("order", &[place.grpc("order")])],
        },
    });
    let path = dir.join(format!("envoy-{}.json", http.port()));
    fs::write(&path, config.to_string()).expect("a file");
    let program = std::env::var("ENVOY").expect("ENVOY names the program; see the Makefile");
    let mut command = Command::new(program);
    command.arg("-c").arg(path).args(["--concurrency", "1", "--disable-hot-restart"]);
    command.args(["--log-level", "error"]);
    Subject::start(command, http).await
}

fn connection_manager(place: &Place, descriptors: &str) -> Value {
    let route = |prefix: &str, cluster: &str| {
        // What our gateway does too: what cannot have run is tried again.
        let retry = json!({ "retry_on": "connect-failure,refused-stream", "num_retries": 2 });
        let route = json!({ "cluster": cluster, "timeout": "5s", "retry_policy": retry });
        json!({ "match": { "prefix": prefix }, "route": route })
    };
    json!({
        "@type": format!("{ENVOY}.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "http",
        "route_config": { "virtual_hosts": [{
            "name": "all",
            "domains": ["*"],
            "routes": [route("/hansang.product", "product"), route("/hansang.order", "order")],
        }] },
        "http_filters": [
            { "name": "jwt", "typed_config": {
                "@type": format!("{ENVOY}.filters.http.jwt_authn.v3.JwtAuthentication"),
                "providers": { "hansang": {
                    "issuer": "hansang",
                    "audiences": ["hansang"],
                    "forward": true,
                    "local_jwks": { "filename": place.jwks().display().to_string() },
                    "jwt_cache_config": { "jwt_cache_size": 100 },
                } },
                "rules": [{ "match": { "prefix": "/" }, "requires": { "requires_any": {
                    "requirements": [{ "provider_name": "hansang" }, { "allow_missing": {} }],
                } } }],
            } },
            { "name": "transcoder", "typed_config": {
                "@type":
                    format!("{ENVOY}.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder"),
                "proto_descriptor": descriptors,
                "services": [
                    "hansang.product.v1.ProductService",
                    "hansang.order.v1.OrderService",
                ],
                "print_options": { "always_print_primitive_fields": true },
                "request_validation_options": { "reject_unknown_method": true },
                "convert_grpc_status": true,
            } },
            { "name": "router", "typed_config": {
                "@type": format!("{ENVOY}.filters.http.router.v3.Router"),
            } },
        ],
    })
}

fn cluster(name: &str, endpoints: &[SocketAddr]) -> Value {
    let endpoint = |at: &SocketAddr| json!({ "endpoint": { "address": address(*at) } });
    let endpoints: Vec<_> = endpoints.iter().map(endpoint).collect();
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        "outlier_detection": {},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{ "lb_endpoints": endpoints }],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": format!("{ENVOY}.upstreams.http.v3.HttpProtocolOptions"),
                "explicit_http_config": { "http2_protocol_options": {} },
            },
        },
    })
}

fn address(at: SocketAddr) -> Value {
    let socket = json!({ "address": at.ip().to_string(), "port_value": at.port() });
    json!({ "socket_address": socket })
}
