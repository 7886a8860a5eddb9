//! Which method a request is for. The rows come from the contracts, by way of
//! `transcoder-build`; nothing is routed by hand.

use std::collections::HashMap;

use base::{Error, error::Kind};
use http::Method as Verb;

use crate::{request::Input, write::Body};

/// One way to call a method over REST.
pub struct Route {
    /// `POST`.
    pub verb: Verb,
    /// `/v1/orders/{order_id}:cancel`, as in the contract.
    pub path: &'static str,
    /// The path's segments: literals, `*` and `**`.
    pub segments: &'static [&'static str],
    /// The custom verb after the colon: `cancel`; or empty.
    pub custom: &'static str,
    /// The segments that each variable spans, from the first to before the last.
    pub variables: &'static [(usize, usize)],
    /// The service that has the method, the second part of its package: `order`.
    pub service: &'static str,
    /// Its path over gRPC, `/hansang.order.v1.OrderService/CancelOrder`.
    pub method: &'static str,
    /// Calling it twice does no more than calling it once.
    pub idempotent: bool,
    /// Needs no token.
    pub open: bool,
    /// Of a method that answers with a stream: the id of a message, from its bytes.
    pub event_id: Option<EventId>,
    /// What the body is that it takes.
    pub takes: Media,
    /// What the body is that it answers with.
    pub gives: Media,
    /// From what was sent to the request's bytes.
    pub request: fn(&Input<'_>) -> Result<Vec<u8>, Error>,
    /// From the response's bytes to the body.
    pub response: fn(&[u8]) -> Result<Body, Error>,
}

/// Reads the id of a message, if it is one.
pub type EventId = fn(&[u8]) -> Option<String>;

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// JSON.
    Json,
    /// Of any type, as it is.
    Any,
}

/// Finds routes: a tree of segments for each verb.
pub struct Router(HashMap<Verb, Node>);

/// What can follow the segments so far.
#[derive(Default)]
struct Node {
    literals: HashMap<&'static str, Node>,
    any: Option<Box<Node>>,
    /// Routes that end here, and those that take all that follows.
    ends: Vec<&'static Route>,
    rest: Vec<&'static Route>,
}

/// Why there is no route.
#[derive(Debug, PartialEq, Eq)]
pub enum Miss {
    /// The path is not known.
    NotFound,
    /// The path is known, with these verbs.
    NotAllowed(String),
}

impl Router {
    /// A router of all routes. Two that cannot be told apart are an error.
    pub fn new(routes: &'static [Route]) -> Result<Self, Error> {
        let mut verbs: HashMap<Verb, Node> = HashMap::new();
        for route in routes {
            let leaves = verbs.entry(route.verb.clone()).or_default().leaves(route.segments);
            if leaves.iter().any(|other| other.custom == route.custom) {
                let detail = format!("{} {} is there twice", route.verb, route.path);
                return Err(Error::new(Kind::Internal, "ROUTES", detail));
            }
            leaves.push(route);
        }
        Ok(Self(verbs))
    }

    /// The route of a request, and the values of its path's variables, as sent.
    pub fn find<'p>(
        &self,
        verb: &Verb,
        path: &'p str,
    ) -> Result<(&'static Route, Vec<&'p str>), Miss> {
        let segments: Vec<_> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
        // A HEAD is a GET whose body hyper does not send.
        let verb = if *verb == Verb::HEAD { &Verb::GET } else { verb };
        // Whoever asks for `o1:cancel` in another way than POST does not mean an order of that name.
        let custom = self.0.values().any(|node| node.with_custom(&segments).is_some());
        let at = |node: &Node| {
            if custom { node.with_custom(&segments) } else { node.find(&segments, "") }
        };
        if let Some(route) = self.0.get(verb).and_then(at) {
            let path = path.strip_suffix(route.custom).unwrap_or(path);
            let path = if route.custom.is_empty() { path } else { &path[..path.len() - 1] };
            let value = |variable: &(usize, usize)| value(path, &segments, *variable);
            return Ok((route, route.variables.iter().map(value).collect()));
        }
        let known = self.0.iter().filter(|(_, node)| at(node).is_some());
        let mut allow: Vec<_> = known.map(|(verb, _)| verb.as_str()).collect();
        if allow.is_empty() {
            return Err(Miss::NotFound);
        }
        if allow.contains(&"GET") {
            allow.push("HEAD");
        }
        allow.push("OPTIONS");
        allow.sort_unstable();
        Err(Miss::NotAllowed(allow.join(", ")))
    }
}

impl Node {
    /// Where the routes with these segments are kept.
    fn leaves(&mut self, segments: &[&'static str]) -> &mut Vec<&'static Route> {
        match segments {
            [] => &mut self.ends,
            ["**", ..] => &mut self.rest,
            ["*", more @ ..] => self.any.get_or_insert_default().leaves(more),
            [literal, more @ ..] => self.literals.entry(literal).or_default().leaves(more),
        }
    }

    /// The route that has what follows the path's last colon as its custom verb.
    fn with_custom(&self, segments: &[&str]) -> Option<&'static Route> {
        let (last, before) = segments.split_last()?;
        let (last, custom) = last.rsplit_once(':').filter(|(_, verb)| !verb.is_empty())?;
        self.find(&[before, &[last]].concat(), custom)
    }

    /// Literals come before `*`, and that before `**`.
    fn find(&self, segments: &[&str], custom: &str) -> Option<&'static Route> {
        let named =
            |routes: &[&'static Route]| routes.iter().find(|route| route.custom == custom).copied();
        let Some((first, more)) = segments.split_first() else {
            return named(&self.ends).or_else(|| named(&self.rest));
        };
        let any = self.any.as_ref().filter(|_| !first.is_empty());
        let literal = self.literals.get(first).and_then(|node| node.find(more, custom));
        literal
            .or_else(|| any.and_then(|node| node.find(more, custom)))
            .or_else(|| named(&self.rest))
    }
}

/// The part of a path that a variable spans.
fn value<'p>(path: &'p str, segments: &[&str], (from, to): (usize, usize)) -> &'p str {
    let length = |segments: &[&str]| segments.iter().map(|segment| segment.len() + 1).sum();
    let start: usize = length(&segments[..from]);
    let end = if to < segments.len() { length(&segments[..to]) } else { path.len() };
    // After the first slash, and before the one that follows.
    path.get(start + 1..end).unwrap_or_default()
}
