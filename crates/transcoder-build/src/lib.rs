//! Emits what `transcoder` works with from a contract: buffa's types, one row for each REST route, what
//! reads each request from JSON and what writes each response.
//!
//! The contract's options are read here, so that nothing is looked up by name or by reflection when a
//! request comes. What a contract asks for and the transcoder cannot do ends the build with the
//! method's or the field's name.
//!
//! ```no_run
//! // In a build script, of a descriptor set that protoc or protox wrote.
//! use std::{env, path::Path};
//!
//! fn main() -> transcoder_build::Result<()> {
//!     let out = env::var("OUT_DIR")?;
//!     transcoder_build::emit(Path::new("contract.bin"), Path::new(&out))
//! }
//! ```
//!
//! It refuses `google.protobuf.Any`, proto2 and streams of requests: they have no form in REST.

use std::{error::Error, fs, path::Path};

use annotations::Annotations;
use prost_reflect::DescriptorPool;

use crate::{binding::bindings, json::Used, routes::emit_route};

mod binding;
mod json;
mod names;
mod routes;
mod template;

const HEAD: &str = "\
use ::transcoder::{Media, Route, read, slot, write::{self, Body, Json, Object}};
use super::messages;

/// One row for each way to call a method.
pub static ROUTES: &[Route] = &[
";

/// What came of it, or what the contract asks for and cannot have.
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Writes `routes.rs` and `messages.rs` for the contracts in an encoded descriptor set. The first takes
/// the second from a module `messages` beside its own.
pub fn emit(descriptors: &Path, out: &Path) -> Result<()> {
    let pool = DescriptorPool::decode(fs::read(descriptors)?.as_slice())?;
    let annotations = Annotations::of(&pool);
    let mut used = Used::default();
    let mut routes = String::from(HEAD);
    for service in pool.services() {
        for method in service.methods() {
            for binding in bindings(&annotations, &method)? {
                emit_route(&mut routes, &annotations, &method, &binding)?;
                used.binding(&method, &binding);
            }
        }
    }
    routes.push_str("];\n");
    used.emit(&mut routes)?;
    fs::write(out.join("routes.rs"), routes)?;

    buffa_build::Config::new()
        .descriptor_set(descriptors)
        .files(&used.files.iter().collect::<Vec<_>>())
        .generate_views(true)
        .preserve_unknown_fields(false)
        .idiomatic_enum_aliases(false)
        .out_dir(out)
        .include_file("messages.rs")
        .compile()
}
