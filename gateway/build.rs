//! Emits the gateway from the contracts: one row for each REST route, and what reads and writes their
//! messages.

use std::{env, path::Path};

fn main() -> transcoder_build::Result<()> {
    let (out, descriptors) = (env::var("OUT_DIR")?, env::var("DEP_HANSANG_CONTRACTS_DESCRIPTORS")?);
    println!("cargo:rerun-if-changed={descriptors}");
    transcoder_build::emit(Path::new(&descriptors), Path::new(&out))
}
