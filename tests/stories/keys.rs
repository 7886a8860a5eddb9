//! The key that a service signs its calls with is replaced under load, as operators do it: the
//! files change, then processes are replaced one after the other. No call is refused.

use std::fs;

use app::{keys::generate, run::SERVICES};
use identity::auth::public_jwk;
use serde_json::{Value, json};
use settings::Secret;

use super::load::Load;
use crate::deployment::Deployment;

const ROTATED: &str = "order";

/// A public key as a JWK of that id.
fn jwk(private: &str, kid: &str) -> Value {
    let mut jwk = public_jwk("key", &Secret::new(private)).expect("a key");
    jwk.common.key_id = Some(kid.to_owned());
    json!(jwk)
}

async fn replace_all(load: &Load, deployment: &mut Deployment) {
    for part in SERVICES.iter().map(|service| service.name).chain(["gateway"]) {
        load.replace(deployment, part).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_services_key_is_rotated_under_load_without_one_refused_call() {
    let told = [
        ("HANSANG__TELEMETRY__LOG", "info,server=debug".to_owned()),
        // This is not about who is slow.
        ("HANSANG__DEADLINE__PEER_MS", "8000".to_owned()),
        ("HANSANG__DEADLINE__REQUEST_MS", "20000".to_owned()),
    ];
    let mut deployment = Deployment::split_with("keys", &told).await;
    deployment.make_room().await;
    let keys = deployment.ground.keys.clone();
    let own = &keys.service_keys[ROTATED];
    let read = || fs::read_to_string(&keys.services_jwks).expect("a set of keys");
    let with = |set: Vec<Value>| {
        let set = json!({ "keys": set }).to_string();
        fs::write(&keys.services_jwks, set).expect("a set of keys");
    };
    let set: Value = serde_json::from_str(&read()).expect("JSON");
    let set = set["keys"].as_array().expect("keys").clone();
    let (old, new) = (format!("service:{ROTATED}"), format!("service:{ROTATED}#2"));
    let next = generate().expect("a key");
    let load = Load::begin(&deployment).await;

    with(set.iter().cloned().chain([jwk(&next, &new)]).collect());
    replace_all(&load, &mut deployment).await;
    fs::write(own, &next).expect("a key");
    load.replace(&mut deployment, ROTATED).await;
    let others = set.iter().filter(|key| key["kid"] != old.as_str()).cloned();
    with(others.chain([jwk(&next, &new)]).collect());
    replace_all(&load, &mut deployment).await;

    let answered = load.end().await;
    assert_eq!(answered.lost, [""; 0]);
    assert!(answered.count > 100, "there was load");
    deployment.all_holds().await;
    for service in SERVICES {
        let log = deployment.log(service.name);
        assert!(log.contains("answered"), "{} logs no calls", service.name);
        let refused: Vec<_> = log.lines().filter(|line| line.contains("Unauthenticated")).collect();
        assert_eq!(refused, [""; 0], "{}", service.name);
    }
}
