//! REST to gRPC for any contract, bytes to bytes: the JSON, path and query of a request become the
//! bytes of a protobuf message, and the bytes of the response become JSON. `transcoder-build` emits,
//! from the contract's `google.api.http` options, one [`Route`] for each way to call a method.
//!
//! A build script that has an encoded descriptor set calls `transcoder_build::emit`, and the crate
//! includes what it wrote (`transcoder-testkit` is such a crate, for a contract that uses all that
//! can be mapped):
//!
//! ```ignore
//! mod messages { include!(concat!(env!("OUT_DIR"), "/messages.rs")); }
//! mod rows { include!(concat!(env!("OUT_DIR"), "/routes.rs")); }
//! pub use rows::ROUTES;
//! ```
//!
//! Then a request is three steps: find its route, make its message, and, of what the upstream
//! answers, its body.
//!
//! ```
//! use buffa_types::google::protobuf::StringValue;
//! use transcoder::{Input, Media, Miss, Route, Router, write};
//!
//! // As emitted, but for a message of one field.
//! static ROUTES: &[Route] = &[Route {
//!     verb: http::Method::GET, path: "/v1/names/{value}", segments: &["v1", "names", "*"],
//!     custom: "", variables: &[(2, 3)], service: "names", method: "/test.names.v1.Names/Get",
//!     idempotent: true, open: true, event_id: None, takes: Media::Json, gives: Media::Json,
//!     request: |input| {
//!         let mut message = StringValue::default();
//!         input.no_body()?;
//!         input.path(0, "value", &mut message.value)?;
//!         Ok(buffa::Message::encode_to_vec(&message))
//!     },
//!     response: |bytes| write::body::<StringValue>(bytes, |view, body| body.field(view)),
//! }];
//!
//! let router = Router::new(ROUTES)?;
//! let Ok((route, path)) = router.find(&http::Method::GET, "/v1/names/green%20tea") else {
//!     panic!("no route");
//! };
//! let sent = Input { path: &path, query: "", body: b"", content_type: "" };
//! let message = (route.request)(&sent)?;
//! assert_eq!(message, b"\x0a\x09green tea");
//! assert_eq!((route.response)(&message)?.bytes, b"\"green tea\"");
//! assert_eq!(router.find(&http::Method::GET, "/v1").err(), Some(Miss::NotFound));
//! # Ok::<(), base::Error>(())
//! ```
//!
//! It refuses what it does not know: a field, a query key or a value that cannot be taken is an
//! error with its path, never dropped. It makes no call, and knows no header but the content type.

pub mod read;
pub mod request;
pub mod route;
pub mod slot;
pub mod write;

pub use request::Input;
pub use route::{Media, Miss, Route, Router};
