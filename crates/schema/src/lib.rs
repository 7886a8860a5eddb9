//! What is known of a contract beside its messages: the methods that can be called, who may call them,
//! and the events that can be followed. A build script generates all of it beside the messages, so
//! that a name that is not in the contract does not compile.
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

/// All contracts of a deployment: what its servers have to know of them.
#[derive(Debug)]
pub struct Api {
    /// An encoded `google.protobuf.FileDescriptorSet`, with options and comments.
    pub descriptors: &'static [u8],
    /// Who may call each method, in the order of their paths.
    pub access: &'static [Access],
}

/// Who may call one method: whoever is named by one of the first three.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// Its path, `/hansang.order.v1.OrderService/PlaceOrder`.
    pub method: &'static str,
    /// Members with one of these roles, as the contract has them; `ANYONE` is everybody.
    pub roles: &'static [&'static str],
    /// The owner of the resource.
    pub owner: bool,
    /// Services, by name; `*` is every service.
    pub callers: &'static [&'static str],
    /// A service has to say for whom it calls, and sees only what is theirs.
    pub on_behalf_of: bool,
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

/// A request for one page of a list.
pub trait Paged {
    /// Takes `page_size` and `page_token` out of the request: the rest of it are the filters.
    fn take_page(&mut self) -> (i32, String);
}
