//! Compiles the contracts that this crate itself speaks.

use std::error::Error;

use prost::Message as _;

const CONTRACTS: [&str; 4] = [
    "../../proto/hansang/event/v1/event.proto",
    "../../proto/hansang/event/v1/loss_service.proto",
    "../../proto/hansang/event/v1/parked_service.proto",
    "../../proto/hansang/event/v1/trail_service.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    for contract in CONTRACTS {
        println!("cargo:rerun-if-changed={contract}");
    }
    let mut compiler = protox::Compiler::new(["../../proto"])?;
    compiler.include_imports(true).open_files(CONTRACTS)?;
    let set = tonic_prost_build::FileDescriptorSet::decode(
        compiler.encode_file_descriptor_set().as_slice(),
    )?;
    tonic_prost_build::configure().emit_rerun_if_changed(false).compile_fds(set)?;
    Ok(())
}
