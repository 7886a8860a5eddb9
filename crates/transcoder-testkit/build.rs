//! Compiles the contract, and emits its routes.

use std::{
    env,
    error::Error,
    fs::{self, File},
    path::Path,
    time::SystemTime,
};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out = env::var("OUT_DIR")?;
    let descriptors = Path::new(&out).join("descriptors.bin");
    let mut compiler = protox::Compiler::new(["proto", "../../proto"])?;
    compiler.include_imports(true).open_file("library.proto")?;
    fs::write(&descriptors, compiler.encode_file_descriptor_set())?;
    // The generator has cargo watch this file. Written by this script, it would be newer than the script's run,
    // and each build would run it again, and compile all that stands on it.
    File::options().append(true).open(&descriptors)?.set_modified(SystemTime::UNIX_EPOCH)?;
    transcoder_build::emit(&descriptors, Path::new(&out))
}
