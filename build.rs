//! Compiles every `.proto` below `proto/` with protox: no protoc is needed. Beside the messages, each
//! method, each event, each list and who may call what become what the crate `schema` says of them.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
};

use annotations::Annotations;
use prost::Message as _;
use prost_reflect::DescriptorPool;
use prost_types::{
    DescriptorProto, FileDescriptorProto, MethodDescriptorProto, ServiceDescriptorProto,
    method_options::IdempotencyLevel,
};

const FRAME: &str = ".hansang.event.v1.Frame";

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

    let mut set = tonic_prost_build::FileDescriptorSet::decode(
        compiler.encode_file_descriptor_set().as_slice(),
    )?;
    // Google's comments hold examples that are not Rust, and links that are not rustdoc's.
    for file in set.file.iter_mut().filter(|file| file.package().starts_with("google.")) {
        file.source_code_info = None;
    }
    tonic_prost_build::configure()
        .emit_rerun_if_changed(false)
        .build_transport(false)
        // Those who play a service in tests play what the test needs. That the real ones leave nothing out
        // is kept by the tests that call every method.
        .generate_default_stubs(true)
        .include_file("contracts.rs")
        .compile_fds(set.clone())?;
    for file in set.file.iter().filter(|file| file.package().starts_with("hansang.")) {
        describe(file, &out)?;
    }
    fs::write(out.join("access.rs"), access(&compiler.descriptor_pool())?)?;
    Ok(())
}

/// `&[schema::Access { … }, …]`, of all methods of Hansang, by path.
fn access(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let annotations = Annotations::of(pool);
    let mut rows = Vec::new();
    let ours = pool.services().filter(|service| service.package_name().starts_with("hansang."));
    for method in ours.flat_map(|service| service.methods().collect::<Vec<_>>()) {
        let access = annotations.access(&method)?;
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        rows.push(format!(
            "    ::schema::Access {{ method: {path:?}, roles: &{:?}, owner: {}, callers: &{:?}, on_behalf_of: {} }},\n",
            access.roles,
            access.owner.is_some(),
            access.callers,
            access.on_behalf_of.is_some(),
        ));
    }
    rows.sort();
    Ok(format!("&[\n{}]\n", rows.concat()))
}

/// Adds the methods and the events of a file to what was generated of its package.
fn describe(file: &FileDescriptorProto, out: &Path) -> Result<(), Box<dyn Error>> {
    let mut code = String::new();
    for service in &file.service {
        methods(&mut code, file.package(), service)?;
    }
    for message in &file.message_type {
        events(&mut code, file, message)?;
        paged(&mut code, message)?;
    }
    let generated = out.join(format!("{}.rs", file.package()));
    OpenOptions::new().append(true).open(generated)?.write_all(code.as_bytes())?;
    Ok(())
}

/// `pub mod payment_service { pub const CANCEL_PAYMENT: … }`, of its unary methods.
fn methods(code: &mut String, package: &str, service: &ServiceDescriptorProto) -> std::fmt::Result {
    let unary =
        |method: &&MethodDescriptorProto| !method.client_streaming() && !method.server_streaming();
    writeln!(code, "pub mod {} {{", snake(service.name()))?;
    for method in service.method.iter().filter(unary) {
        let level =
            method.options.as_ref().map_or(0, |options| options.idempotency_level.unwrap_or(0));
        let idempotent = level != IdempotencyLevel::IdempotencyUnknown as i32;
        writeln!(
            code,
            "pub const {}: ::schema::Unary<{}, {}> =\n    ::schema::Unary::new(\"/{package}.{}/{}\", {idempotent});",
            snake(method.name()).to_uppercase(),
            rust_path(method.input_type()),
            rust_path(method.output_type()),
            service.name(),
            method.name(),
        )?;
    }
    writeln!(code, "}}")
}

/// `impl Paged for ListOrdersRequest`, of a request that has a page's size and token.
fn paged(code: &mut String, message: &DescriptorProto) -> std::fmt::Result {
    let has = |name: &str| message.field.iter().any(|field| field.name() == name);
    if !has("page_size") || !has("page_token") {
        return Ok(());
    }
    writeln!(code, "impl ::schema::Paged for {} {{", message.name())?;
    writeln!(code, "    fn take_page(&mut self) -> (i32, String) {{")?;
    writeln!(code, "        use ::std::mem::take;")?;
    writeln!(code, "        (take(&mut self.page_size), take(&mut self.page_token))\n    }}\n}}")
}

/// What a message says that holds a frame and one of several events.
fn events(
    code: &mut String,
    file: &FileDescriptorProto,
    message: &DescriptorProto,
) -> std::fmt::Result {
    if !message.field.iter().any(|field| field.type_name() == FRAME) {
        return Ok(());
    }
    let (package, name) = (file.package(), message.name());
    let service = package.split('.').nth(1).unwrap_or_default();
    let streamed = format!(".{package}.{name}");
    let streams = |it: &&ServiceDescriptorProto| {
        it.method.iter().any(|method| method.output_type() == streamed)
    };
    let Some(stream) = file.service.iter().find(streams) else { return Ok(()) };
    let events = || message.field.iter().filter(|field| field.oneof_index.is_some());
    writeln!(code, "impl ::schema::Events for {name} {{")?;
    writeln!(code, "    const SERVICE: &'static str = {service:?};")?;
    writeln!(code, "    const STREAM: &'static str = \"{package}.{}\";\n}}", stream.name())?;
    writeln!(code, "impl {name} {{")?;
    for event in events() {
        let (constant, kind) = (event.name().to_uppercase(), camel(event.name()));
        writeln!(code, "    pub const {constant}: &'static str = {kind:?};")?;
    }
    writeln!(code, "}}\nimpl ::schema::Event for {}::Event {{", snake(name))?;
    writeln!(code, "    type Message = {name};")?;
    writeln!(code, "    fn kind(&self) -> &'static str {{\n        match self {{")?;
    for event in events() {
        let (constant, kind) = (event.name().to_uppercase(), camel(event.name()));
        writeln!(code, "            Self::{kind}(_) => {name}::{constant},")?;
    }
    writeln!(code, "        }}\n    }}")?;
    writeln!(code, "    fn into_message(self) -> {name} {{")?;
    writeln!(code, "        {name} {{ frame: None, event: Some(self) }}\n    }}\n}}")
}

/// `.hansang.order.v1.Order` as the generated code has it.
fn rust_path(type_name: &str) -> String {
    let mut parts: Vec<&str> = type_name.trim_start_matches('.').split('.').collect();
    let name = parts.pop().unwrap_or_default();
    format!("crate::{}::{name}", parts.join("::"))
}

fn snake(name: &str) -> String {
    let mut snake = String::new();
    for (at, letter) in name.char_indices() {
        if at > 0 && letter.is_uppercase() {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

fn camel(name: &str) -> String {
    let capital = |part: &str| part[..1].to_uppercase() + &part[1..];
    name.split('_').map(capital).collect()
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
