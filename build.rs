//! Compiles every `.proto` below `proto/` with protox: no protoc is needed.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    // Imported by none, but what every error carries: reflection shows it to grpcurl.
    let mut files = vec![PathBuf::from("proto/google/rpc/error_details.proto")];
    collect(PathBuf::from("proto/hansang"), &mut files)?;
    files.sort();

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(&files)?;
    // Encoded by protox itself: prost's types would drop the custom options.
    let descriptors = out.join("descriptors.bin");
    fs::write(&descriptors, compiler.encode_file_descriptor_set())?;
    println!("cargo:DESCRIPTORS={}", descriptors.display());

    let set = tonic_prost_build::FileDescriptorSet::decode(
        compiler.encode_file_descriptor_set().as_slice(),
    )?;
    tonic_prost_build::configure()
        .emit_rerun_if_changed(false)
        .build_transport(false)
        // Google's comments hold examples that are not Rust.
        .disable_comments(["google"])
        .include_file("contracts.rs")
        .compile_fds(set)?;
    Ok(())
}

fn collect(dir: PathBuf, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(path, files)?;
        } else if path.extension().is_some_and(|e| e == "proto") {
            files.push(path);
        }
    }
    Ok(())
}
