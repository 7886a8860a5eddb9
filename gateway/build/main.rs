//! Emits the gateway from the contracts: buffa's types, one row a REST
//! route, what reads each request from JSON and what writes each response.
//!
//! The contracts' options are read here, so that nothing is looked up by name
//! or by reflection when a request comes. What a contract asks for and the
//! gateway cannot do ends the build with the method's or the field's name.

use std::{env, error::Error, fs, path::Path};

use annotations::Annotations;
use prost_reflect::DescriptorPool;

use crate::{binding::bindings, json::Used, routes::emit_route};

mod binding;
mod json;
mod names;
mod routes;
mod template;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    println!("cargo:rerun-if-changed=build");
    println!("cargo:rerun-if-changed=tests/proto");
    let out = env::var("OUT_DIR")?;
    let out = Path::new(&out);
    let descriptors = env::var("DEP_HANSANG_CONTRACTS_DESCRIPTORS")?;
    println!("cargo:rerun-if-changed={descriptors}");
    emit(Path::new(&descriptors), out)?;

    // Hansang's contracts use little of what can be mapped; the tests' contract uses all of it.
    let library = out.join("library");
    fs::create_dir_all(&library)?;
    let mut compiler = protox::Compiler::new(["tests/proto", "../proto"])?;
    compiler.include_imports(true).open_file("library.proto")?;
    let descriptors = library.join("descriptors.bin");
    fs::write(&descriptors, compiler.encode_file_descriptor_set())?;
    emit(&descriptors, &library)
}

/// Writes `routes.rs` and `messages.rs` for the contracts in a descriptor set.
fn emit(descriptors: &Path, out: &Path) -> Result<()> {
    let pool = DescriptorPool::decode(fs::read(descriptors)?.as_slice())?;
    let annotations = Annotations::of(&pool)?;
    let mut used = Used::default();
    let mut routes = String::from("pub(crate) static ROUTES: &[Route] = &[\n");
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
