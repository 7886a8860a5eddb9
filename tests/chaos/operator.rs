//! What an operator does, over gRPC: moves clocks, and has applied what was set
//! aside. Over REST there is neither.

use std::time::{Duration, SystemTime};

use eventlog::v1::{
    ListParkedEventsRequest, ParkedEvent, ReplayParkedEventsRequest,
    parked_events_client::ParkedEventsClient,
};
use identity::auth::Identity;
use server::clock::v1::{AdvanceRequest, clock_service_client::ClockServiceClient};
use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};

use crate::{command::sign_in, shop::Shop, system::Slot};

/// Longer than any of these calls takes.
const PATIENCE: Duration = Duration::from_secs(5);

async fn channel(slot: &Slot) -> Option<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", slot.grpc)).expect("an address");
    endpoint.connect_timeout(PATIENCE).timeout(PATIENCE).connect().await.ok()
}

fn operator(shop: &Shop) -> MetadataValue<Ascii> {
    let auth = shop.system.ground.keys.settings().expect("keys");
    let operator = Identity::operator("chaos", &auth).expect("an identity");
    operator.bearer(SystemTime::now()).expect("a token")
}

/// So much time passes for every service that answers; once for each.
pub(crate) async fn time_passes(shop: &Shop, time: Duration) {
    let Some(token) = sign_in(shop, &shop.admin).await else { return };
    let mut moved: Vec<&str> = Vec::new();
    for slot in shop.system.slots().iter().filter(|slot| !slot.is_gateway()) {
        if moved.contains(&slot.name) {
            continue;
        }
        let Some(channel) = channel(slot).await else { continue };
        let duration = Some(time.try_into().expect("a duration"));
        let mut request = Request::new(AdvanceRequest { duration });
        let bearer = format!("Bearer {token}").parse().expect("ascii");
        request.metadata_mut().insert("authorization", bearer);
        if ClockServiceClient::new(channel).advance(request).await.is_ok() {
            moved.push(slot.name);
        }
    }
    shop.history.fault(format!("{time:?} pass for {}", moved.join(", ")));
}

/// What services have set aside; none when one does not answer.
pub(crate) async fn parked(shop: &Shop) -> Option<Vec<ParkedEvent>> {
    let mut parked = Vec::new();
    let mut asked: Vec<&str> = Vec::new();
    for slot in shop.system.slots().iter().filter(|slot| !slot.is_gateway()) {
        if asked.contains(&slot.name) {
            continue;
        }
        asked.push(slot.name);
        let mut request = Request::new(ListParkedEventsRequest::default());
        request.metadata_mut().insert("authorization", operator(shop));
        let list = ParkedEventsClient::new(channel(slot).await?).list(request).await.ok()?;
        parked.extend(list.into_inner().events);
    }
    Some(parked)
}

/// Has everything applied again that was set aside, service by service.
pub(crate) async fn replay(shop: &Shop, parked: &[ParkedEvent]) {
    let mut asked: Vec<&str> = Vec::new();
    for event in parked {
        if asked.contains(&event.consumer.as_str()) {
            continue;
        }
        asked.push(&event.consumer);
        let slot = shop.system.slots().iter().find(|slot| slot.name == event.consumer);
        let Some(channel) = channel(slot.expect("a service")).await else { continue };
        let consumer = event.consumer.clone();
        let mut request =
            Request::new(ReplayParkedEventsRequest { consumer, ..Default::default() });
        request.metadata_mut().insert("authorization", operator(shop));
        let _ = ParkedEventsClient::new(channel).replay(request).await;
    }
}
