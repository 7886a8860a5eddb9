//! Compiles the contract, and emits its routes.

use std::{env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out = env::var("OUT_DIR")?;
    let descriptors = Path::new(&out).join("descriptors.bin");
    let mut compiler = protox::Compiler::new(["proto", "../../proto"])?;
    compiler.include_imports(true).open_file("library.proto")?;
    fs::write(&descriptors, compiler.encode_file_descriptor_set())?;
    transcoder_build::emit(&descriptors, Path::new(&out))
}
