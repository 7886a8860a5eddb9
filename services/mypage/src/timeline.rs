//! An order's whole story, put together from all logs when an admin asks for it: nothing is kept for it here,
//! and what a service that is away would have said is named as missing.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use base::{Error, error::not_found};
use contracts::{
    event::v1::{Envelope, ListTrailRequest, event_trail_service::LIST_TRAIL},
    mypage::v1::{
        GetOrderTimelineRequest, OrderTimeline, TimelineEntry, timeline_entry::Kind,
        timeline_service_server::TimelineService,
    },
};
use futures_util::future::join_all;
use pg::Database;
use rpc::Peer;
use server::{Incoming, ServiceBuilder};
use tonic::{Request, Response, Status};

use crate::{domain::OrderId, sources::Peers, store};

/// It knows nothing of orders.
const MEMBER: &str = "member";

/// Answers calls about how orders came along.
pub(crate) struct Timelines {
    database: Database,
    peers: Peers,
    deadline: Duration,
}

impl Timelines {
    pub(crate) fn new(builder: &ServiceBuilder<'_>, peers: Peers) -> Self {
        Self { database: builder.database(), peers, deadline: builder.settings().deadline.peer() }
    }

    /// Those whose logs may say something of an order.
    fn asked(&self) -> impl Iterator<Item = &(&'static str, Peer)> {
        self.peers.iter().filter(|(service, _)| *service != MEMBER)
    }

    /// What a service's log says of these; none when it does not answer.
    async fn ask(
        &self,
        (service, peer): &(&'static str, Peer),
        correlation_ids: &[String],
    ) -> Option<Vec<Said>> {
        let service: &'static str = service;
        let request = ListTrailRequest {
            service: service.to_owned(),
            correlation_ids: correlation_ids.to_vec(),
        };
        match peer.unary(LIST_TRAIL, &request, self.deadline).await {
            Ok(trail) => {
                Some(trail.events.into_iter().map(|event| Said { service, event }).collect())
            }
            Err(failure) => {
                let error = Error::from(failure);
                tracing::warn!(service, %error, "log not read, a timeline lacks its events");
                None
            }
        }
    }
}

#[tonic::async_trait]
impl TimelineService for Timelines {
    async fn get_order_timeline(
        &self,
        request: Request<GetOrderTimelineRequest>,
    ) -> Result<Response<OrderTimeline>, Status> {
        let message = Incoming::granted(request)?.message;
        let order = OrderId::parse("orderId", &message.order_id)?;
        let member = store::member_of(&mut self.database.read().await?, order).await?;
        // What is about the member may have followed from the order.
        let ids: Vec<String> = [Some(order.to_string()), member.map(|id| id.to_string())]
            .into_iter()
            .flatten()
            .collect();
        let answers = join_all(self.asked().map(|peer| self.ask(peer, &ids))).await;
        let (mut said, mut unavailable) = (Vec::new(), Vec::new());
        for ((service, _), answer) in self.asked().zip(answers) {
            match answer {
                Some(events) => said.extend(events),
                None => unavailable.push((*service).to_owned()),
            }
        }
        let said = ordered(related(said, &order.to_string()));
        if said.is_empty() && unavailable.is_empty() {
            return Err(not_found().into());
        }
        let entries = said.into_iter().map(render).collect();
        Ok(Response::new(OrderTimeline { order_id: order.to_string(), entries, unavailable }))
    }
}

/// An event, and in whose log it stands.
#[derive(Clone, Debug)]
struct Said {
    service: &'static str,
    event: Envelope,
}

impl Said {
    fn trace(&self) -> &str {
        let parent = self.event.headers.get("traceparent").map_or("", String::as_str);
        parent.split('-').nth(1).unwrap_or_default()
    }

    fn at(&self) -> (i64, i32) {
        self.event.occur_time.as_ref().map_or((0, 0), |time| (time.seconds, time.nanos))
    }
}

/// The events of the order, what they led to, and what happened in the same traces.
fn related(said: Vec<Said>, order: &str) -> Vec<Said> {
    let (mut kept, mut others): (Vec<_>, Vec<_>) =
        said.into_iter().partition(|it| it.event.correlation_id == order);
    let traces: BTreeSet<String> =
        kept.iter().map(|it| it.trace().to_owned()).filter(|trace| !trace.is_empty()).collect();
    loop {
        let known: BTreeSet<&str> = kept.iter().map(|it| &*it.event.event_id).collect();
        let (found, rest): (Vec<_>, Vec<_>) = others
            .into_iter()
            .partition(|it| known.contains(&*it.event.causation_id) || traces.contains(it.trace()));
        if found.is_empty() {
            return kept;
        }
        kept.extend(found);
        others = rest;
    }
}

/// By time; but what led to an event before it, though its service's clock may say otherwise.
fn ordered(mut said: Vec<Said>) -> Vec<Said> {
    said.sort_by_key(|it| (it.at(), it.event.aggregate_version));
    let places: BTreeMap<String, usize> =
        said.iter().enumerate().map(|(at, it)| (it.event.event_id.clone(), at)).collect();
    let mut done = BTreeSet::new();
    let mut order = Vec::new();
    for at in 0..said.len() {
        // Back to the first that has not been placed yet.
        let (mut chain, mut next) = (Vec::new(), Some(at));
        while let Some(at) = next.filter(|at| done.insert(*at)) {
            chain.push(at);
            next = said.get(at).and_then(|it| places.get(&it.event.causation_id)).copied();
        }
        order.extend(chain.into_iter().rev());
    }
    order.into_iter().filter_map(|at| said.get(at).cloned()).collect()
}

fn render(said: Said) -> TimelineEntry {
    let trace_id = said.trace().to_owned();
    let Said { service, event } = said;
    let kind = match (service, event.causation_id.is_empty()) {
        // It has no events but of messages that were sent.
        ("notification", _) => Kind::Message,
        (_, true) => Kind::Call,
        (_, false) => Kind::Event,
    };
    TimelineEntry {
        event_id: event.event_id,
        service: service.to_owned(),
        kind: kind.into(),
        r#type: event.r#type,
        time: event.occur_time,
        trace_id,
        causation_id: event.causation_id,
        aggregate_id: event.aggregate_id,
        aggregate_version: event.aggregate_version,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(id: &str, cause: &str, about: &str, second: i64) -> Said {
        let event = Envelope {
            event_id: id.to_owned(),
            causation_id: cause.to_owned(),
            correlation_id: about.to_owned(),
            occur_time: Some(prost_types::Timestamp { seconds: second, nanos: 0 }),
            ..Envelope::default()
        };
        Said { service: "order", event }
    }

    fn ids(said: &[Said]) -> Vec<&str> {
        said.iter().map(|it| &*it.event.event_id).collect()
    }

    #[test]
    fn what_led_to_an_event_comes_before_it_whatever_the_clocks_say() {
        let events = vec![said("c", "b", "o", 1), said("b", "a", "o", 3), said("a", "", "o", 2)];
        assert_eq!(ids(&ordered(events)), ["a", "b", "c"]);
        // A cause that nobody knows, and a circle.
        let events = vec![said("b", "a", "o", 1), said("a", "b", "o", 2), said("c", "x", "o", 0)];
        assert_eq!(ids(&ordered(events)), ["c", "a", "b"]);
    }

    #[test]
    fn what_followed_from_an_order_or_came_in_its_trace_is_its_own() {
        let traced = |mut said: Said, trace: &str| {
            let parent = format!("00-{trace}-b7ad6b7169203331-00");
            said.event.headers.insert("traceparent".to_owned(), parent);
            said
        };
        let events = vec![
            said("far", "near", "m", 4),
            traced(said("a", "", "o", 1), "t1"),
            said("near", "a", "m", 2),
            traced(said("coupon", "", "m", 1), "t1"),
            traced(said("other", "", "m", 1), "t2"),
            said("untraced", "", "m", 1),
        ];
        let mut kept = related(events, "o");
        kept.sort_by(|a, b| a.event.event_id.cmp(&b.event.event_id));
        assert_eq!(ids(&kept), ["a", "coupon", "far", "near"]);
    }
}
