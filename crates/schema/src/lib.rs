//! What is known of a contract beside its messages: the methods that can be called, and the events
//! that can be followed. A build script generates both beside the messages, so that a name that is
//! not in the contract does not compile.
//!
//! ```
//! use schema::Unary;
//!
//! #[derive(Clone, PartialEq, prost::Message)]
//! struct Ping {}
//!
//! // As generated.
//! const PING: Unary<Ping, Ping> = Unary::new("/test.v1.PingService/Ping", true);
//! assert_eq!(PING.path, "/test.v1.PingService/Ping");
//! ```
//!
//! No call is made here, and no event is read: this only says what there is.

use std::marker::PhantomData;

use prost::Message;

/// A method with one request `Q` and one response `R`.
#[derive(Debug)]
pub struct Unary<Q, R> {
    /// `/hansang.payment.v1.PaymentService/CancelPayment`.
    pub path: &'static str,
    /// Whether it may be repeated: what the contract says with `idempotency_level`.
    pub idempotent: bool,
    types: PhantomData<fn(Q) -> R>,
}

impl<Q, R> Unary<Q, R> {
    /// The method at this path.
    pub const fn new(path: &'static str, idempotent: bool) -> Self {
        Self { path, idempotent, types: PhantomData }
    }
}

/// The message in which a service's events travel: `OrderEvent`.
pub trait Events: Message + Default + 'static {
    /// The service that has them in its log: `order`.
    const SERVICE: &'static str;
    /// The gRPC service that streams them: `hansang.order.v1.OrderEvents`.
    const STREAM: &'static str;
}

/// One of the events that such a message can hold.
pub trait Event {
    /// The message.
    type Message: Events;

    /// Its name: `OrderPlaced`.
    fn kind(&self) -> &'static str;

    /// The message that holds it, and no frame.
    fn into_message(self) -> Self::Message;
}
