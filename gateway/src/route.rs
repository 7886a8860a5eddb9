//! Which method a request is for. The rows come from the contracts, by way of
//! `build.rs`; nothing is routed by hand.

use std::collections::HashMap;

use http::Method as Verb;
use kit::{Error, error::Kind};

use crate::{
    messages, read,
    transcode::Input,
    write::{self, Json, Object},
};

/// One way to call a method over REST.
pub(crate) struct Route {
    /// `POST`.
    pub(crate) verb: Verb,
    /// `/v1/orders/{order_id}:cancel`, in matchit's syntax.
    pub(crate) path: &'static str,
    /// The service that has the method: `order`.
    pub(crate) service: &'static str,
    /// `/hansang.order.v1.OrderService/CancelOrder`.
    pub(crate) method: &'static str,
    /// Calling it twice does no more than calling it once.
    pub(crate) idempotent: bool,
    /// Needs no token.
    pub(crate) open: bool,
    /// Of a method that answers with a stream: the id of a message, from its bytes.
    pub(crate) event_id: Option<EventId>,
    /// From what was sent to the request's bytes.
    pub(crate) request: fn(&Input<'_>) -> Result<Vec<u8>, Error>,
    /// From the response's bytes to JSON.
    pub(crate) response: fn(&[u8]) -> Result<Vec<u8>, Error>,
}

/// Reads the id of a message, if it is one.
type EventId = fn(&[u8]) -> Option<String>;

include!(concat!(env!("OUT_DIR"), "/routes.rs"));

/// Finds routes.
pub(crate) struct Router(HashMap<Verb, matchit::Router<&'static Route>>);

/// Why there is no route.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    /// The path is not known.
    NotFound,
    /// The path is known, with these verbs.
    NotAllowed(String),
}

impl Router {
    /// A router of all routes. Two that cannot be told apart are an error.
    pub(crate) fn new(routes: &'static [Route]) -> Result<Self, Error> {
        let mut verbs: HashMap<Verb, matchit::Router<_>> = HashMap::new();
        for route in routes {
            let router = verbs.entry(route.verb.clone()).or_default();
            router.insert(route.path, route).map_err(|error| {
                let detail = format!("{} {}: {error}", route.verb, route.path);
                Error::new(Kind::Internal, "ROUTES", detail)
            })?;
        }
        Ok(Self(verbs))
    }

    /// The route of a request, and the values of its path's parameters, as sent.
    pub(crate) fn find<'p>(
        &self,
        verb: &Verb,
        path: &'p str,
    ) -> Result<(&'static Route, Vec<&'p str>), Miss> {
        // A HEAD is a GET whose body hyper does not send.
        let verb = if *verb == Verb::HEAD { &Verb::GET } else { verb };
        if let Some(found) = self.0.get(verb).and_then(|router| router.at(path).ok()) {
            return Ok((found.value, found.params.iter().map(|(_, value)| value).collect()));
        }
        let known = self.0.iter().filter(|(_, router)| router.at(path).is_ok());
        let mut allow: Vec<_> = known.map(|(verb, _)| verb.as_str()).collect();
        allow.sort_unstable();
        if allow.is_empty() { Err(Miss::NotFound) } else { Err(Miss::NotAllowed(allow.join(", "))) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::oracle::route;

    fn find<'p>(verb: &Verb, path: &'p str) -> Result<(&'static str, Vec<&'p str>), Miss> {
        let router = Router::new(ROUTES).expect("no conflicts");
        router.find(verb, path).map(|(route, path)| (route.method, path))
    }

    #[test]
    fn each_route_finds_itself() {
        let router = Router::new(ROUTES).expect("no conflicts");
        let mut seen = HashSet::new();
        for route in ROUTES {
            assert!(seen.insert((&route.verb, route.path)), "twice: {} {}", route.verb, route.path);
            let path = route.path.replace(['{', '}'], "");
            let (found, _) = router.find(&route.verb, &path).expect("found");
            assert_eq!(found.method, route.method);
        }
    }

    #[test]
    fn verbs_after_a_colon_are_told_apart() {
        let cancel = find(&Verb::POST, "/v1/orders/o1:cancel").expect("found");
        assert_eq!(cancel, ("/hansang.order.v1.OrderService/CancelOrder", vec!["o1"]));
        let receipt = find(&Verb::POST, "/v1/orders/o1:confirmReceipt").expect("found");
        assert_eq!(receipt, ("/hansang.order.v1.OrderService/ConfirmReceipt", vec!["o1"]));
        let top_up = find(&Verb::POST, "/v1/members/m1/wallet:topUp").expect("found");
        assert_eq!(top_up.1, ["m1"]);
        let view = find(&Verb::HEAD, "/v1/mypage/m1/orders/o1").expect("found");
        assert_eq!(view, ("/hansang.mypage.v1.MyPageService/GetMyOrder", vec!["m1", "o1"]));
    }

    #[test]
    fn a_known_path_says_what_it_takes() {
        assert_eq!(find(&Verb::DELETE, "/v1/orders"), Err(Miss::NotAllowed("GET, POST".into())));
        assert_eq!(find(&Verb::POST, "/v1/orders/o1:eat"), Err(Miss::NotAllowed("GET".into())));
        assert_eq!(find(&Verb::GET, "/v1/nothing"), Err(Miss::NotFound));
        assert_eq!(find(&Verb::GET, "/"), Err(Miss::NotFound));
    }

    #[test]
    fn the_options_are_read() {
        assert!(route("/GetProduct").open && route("/CreateSession").open);
        assert!(!route("/PlaceOrder").open);
        assert!(route("/CancelOrder").idempotent && route("/GetOrder").idempotent);
        assert!(!route("/PlaceOrder").idempotent);
        assert_eq!(route("/GetWallet").service, "payment");
    }
}
