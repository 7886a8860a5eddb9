//! Emits the gateway from the contracts: buffa's types, one row a REST
//! route, what reads each request from JSON and what writes each response.
//!
//! The contracts' options are read here, so that nothing is looked up by name
//! or by reflection when a request comes. What a contract asks for and the
//! gateway cannot do ends the build with the method's or the field's name.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    error::Error,
    fmt::Write as _,
    fs,
    path::Path,
};

use prost_reflect::{
    DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, FileDescriptor, Kind,
    MessageDescriptor, MethodDescriptor, Value, prost_types::method_options::IdempotencyLevel,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    let path = env::var("DEP_HANSANG_CONTRACTS_DESCRIPTORS")?;
    println!("cargo:rerun-if-changed={path}");
    let pool = DescriptorPool::decode(fs::read(&path)?.as_slice())?;
    let contracts = Contracts::new(&pool)?;

    let mut used = Used::default();
    let mut routes = String::from("pub(crate) static ROUTES: &[Route] = &[\n");
    for service in pool.services() {
        for method in service.methods() {
            for binding in contracts.bindings(&method)? {
                emit_route(&mut routes, &contracts, &method, &binding)?;
                used.request(&method.input());
                used.response(&method.output());
            }
        }
    }
    routes.push_str("];\n");
    for message in used.requests.values() {
        emit_reader(&mut routes, message)?;
    }
    for message in used.responses.values() {
        emit_writer(&mut routes, message)?;
    }
    let out = env::var("OUT_DIR")?;
    fs::write(Path::new(&out).join("routes.rs"), routes)?;

    buffa_build::Config::new()
        .descriptor_set(path)
        .files(&used.files.iter().collect::<Vec<_>>())
        .generate_views(true)
        .preserve_unknown_fields(false)
        .idiomatic_enum_aliases(false)
        .include_file("messages.rs")
        .compile()
}

/// The options that are read.
struct Contracts {
    http: ExtensionDescriptor,
    access: ExtensionDescriptor,
}

/// One way to call a method over REST.
struct Binding {
    verb: &'static str,
    path: String,
    /// Fields that the path holds.
    parameters: Vec<FieldDescriptor>,
    /// The body is the request, but for what the path holds.
    body: bool,
}

impl Contracts {
    fn new(pool: &DescriptorPool) -> Result<Self> {
        let option = |name: &str| {
            pool.get_extension_by_name(name).ok_or_else(|| format!("no option {name}"))
        };
        Ok(Self { http: option("google.api.http")?, access: option("hansang.api.v1.access")? })
    }

    fn bindings(&self, method: &MethodDescriptor) -> Result<Vec<Binding>> {
        let options = method.options();
        if !options.has_extension(&self.http) {
            return Ok(Vec::new());
        }
        let failed = |error: Box<dyn Error>| format!("{}: {error}", method.full_name());
        if method.is_client_streaming() {
            return Err(failed("a stream of requests has no REST form".into()).into());
        }
        let has = |message: MessageDescriptor, field| message.get_field_by_name(field).is_some();
        if method.is_server_streaming()
            && !(has(method.input(), "last_event_id") && has(method.output(), "event_id"))
        {
            let why = "a stream goes on after `last_event_id`, the `event_id` of a message";
            return Err(failed(why.into()).into());
        }
        let rule = options.get_extension(&self.http);
        let rule = rule.as_message().ok_or("google.api.http is not a message")?;
        let mut bindings = vec![binding(method, rule).map_err(failed)?];
        for more in list(rule, "additional_bindings") {
            let rule = more.as_message().ok_or("additional_bindings holds no message")?;
            bindings.push(binding(method, rule).map_err(failed)?);
        }
        Ok(bindings)
    }

    /// True when a call needs no token.
    fn open(&self, method: &MethodDescriptor) -> bool {
        const ANYONE: i32 = 1;
        let options = method.options();
        let access = options.get_extension(&self.access);
        access.as_message().is_some_and(|access| {
            list(access, "roles").iter().any(|role| role.as_enum_number() == Some(ANYONE))
        })
    }
}

fn list(message: &DynamicMessage, field: &str) -> Vec<Value> {
    message
        .get_field_by_name(field)
        .and_then(|value| value.as_list().map(<[Value]>::to_vec))
        .unwrap_or_default()
}

fn text(message: &DynamicMessage, field: &str) -> String {
    message
        .get_field_by_name(field)
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn binding(method: &MethodDescriptor, rule: &DynamicMessage) -> Result<Binding> {
    let verbs = [
        ("get", "GET"),
        ("put", "PUT"),
        ("post", "POST"),
        ("delete", "DELETE"),
        ("patch", "PATCH"),
    ];
    let (verb, template) = verbs
        .iter()
        .map(|(field, verb)| (*verb, text(rule, field)))
        .find(|(_, template)| !template.is_empty())
        .ok_or("the http option names no verb that can be mapped")?;
    if !text(rule, "response_body").is_empty() {
        return Err("response_body cannot be mapped".into());
    }
    let body = match text(rule, "body").as_str() {
        "" => false,
        "*" => true,
        other => return Err(format!("body {other:?} cannot be mapped, only \"*\"").into()),
    };
    let parameters = parameters(&template)?
        .into_iter()
        .map(|name| {
            let field = method.input().get_field_by_name(name);
            let field = field.ok_or_else(|| format!("{template}: no field {name}"))?;
            if field.is_list() || field.is_map() || !is_text(&field) {
                return Err(format!("{template}: {name} cannot be in a path"));
            }
            Ok(field)
        })
        .collect::<std::result::Result<_, _>>()?;
    Ok(Binding { verb, path: template, parameters, body })
}

/// The names in a path template of literals, `{field}` and `{field}:verb`, which are matchit's
/// syntax too.
fn parameters(template: &str) -> Result<Vec<&str>> {
    let unmapped = || format!("the path {template} cannot be mapped");
    let segments = template.strip_prefix('/').ok_or_else(unmapped)?;
    let mut names = Vec::new();
    for segment in segments.split('/') {
        if segment.is_empty() {
            return Err(unmapped().into());
        }
        let literal = match segment.strip_prefix('{') {
            None => segment,
            Some(rest) => {
                let (name, verb) = rest.split_once('}').ok_or_else(unmapped)?;
                if name.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
                    return Err(unmapped().into());
                }
                names.push(name);
                verb
            }
        };
        if literal.contains(['{', '}', '*', '%']) {
            return Err(unmapped().into());
        }
    }
    Ok(names)
}

fn emit_route(
    out: &mut String,
    contracts: &Contracts,
    method: &MethodDescriptor,
    binding: &Binding,
) -> Result<()> {
    let Binding { verb, path, parameters, body } = binding;
    let request = method.input();
    let service = method.parent_service();
    let upstream = service.package_name().split('.').nth(1).ok_or("a package without a service")?;
    let called = format!("/{}/{}", service.full_name(), method.name());
    let level = method.method_descriptor_proto().options.clone().unwrap_or_default();
    let idempotent = level.idempotency_level() != IdempotencyLevel::IdempotencyUnknown;
    let open = contracts.open(method);
    let (input, output) = (owned(&request), owned(&method.output()));
    let start = if *body { "body" } else { "no_body" };
    let event_id = if method.is_server_streaming() {
        format!("Some(|bytes| write::event_id::<{output}>(bytes, |it| it.event_id))")
    } else {
        "None".into()
    };
    writeln!(
        out,
        "    Route {{
        verb: http::Method::{verb}, path: {path:?}, service: {upstream:?}, method: {called:?},
        idempotent: {idempotent}, open: {open}, event_id: {event_id},
        response: |bytes| write::response::<{output}>(bytes),
        request: |input| {{
            let mut message: {input} = input.{start}()?;"
    )?;
    for (index, field) in parameters.iter().enumerate() {
        let (name, ident) = (field.json_name(), ident(field.name()));
        writeln!(out, "            input.path({index}, {name:?}, &mut message.{ident})?;")?;
    }
    // With a body, the body has all that is not in the path.
    let queried = request.fields().filter(|field| !body && !parameters.contains(field));
    let mut arms = String::new();
    for field in queried.filter(is_text) {
        let (names, ident) = (names(&field), ident(field.name()));
        writeln!(arms, "                {names} => Some(&mut message.{ident}),")?;
    }
    let slot = match arms.as_str() {
        "" => "|_, _| None".into(),
        arms => {
            format!("|message, key| match key {{\n{arms}                _ => None,\n            }}")
        }
    };
    writeln!(
        out,
        "            input.query(&mut message, {slot})?;
            Ok(buffa::Message::encode_to_vec(&message))
        }},
    }},"
    )?;
    Ok(())
}

/// Whether a field can be given as text, in a path or a query.
fn is_text(field: &FieldDescriptor) -> bool {
    let kind = matches!(
        field.kind(),
        Kind::String
            | Kind::Bool
            | Kind::Int32
            | Kind::Int64
            | Kind::Uint32
            | Kind::Uint64
            | Kind::Enum(_)
    );
    kind && !field.is_map() && !real_oneof(field)
}

/// What the routes need of the contracts.
#[derive(Default)]
struct Used {
    /// Proto files whose types are generated.
    files: BTreeSet<String>,
    requests: BTreeMap<String, MessageDescriptor>,
    responses: BTreeMap<String, MessageDescriptor>,
}

impl Used {
    fn request(&mut self, message: &MessageDescriptor) {
        if well_known(message) || self.requests.contains_key(message.full_name()) {
            return;
        }
        self.requests.insert(message.full_name().into(), message.clone());
        self.file(&message.parent_file());
        for message in parts(message) {
            self.request(&message);
        }
    }

    fn response(&mut self, message: &MessageDescriptor) {
        if well_known(message) || self.responses.contains_key(message.full_name()) {
            return;
        }
        self.responses.insert(message.full_name().into(), message.clone());
        self.file(&message.parent_file());
        for message in parts(message) {
            self.response(&message);
        }
    }

    /// A file, and the files of the types that its messages have.
    fn file(&mut self, file: &FileDescriptor) {
        if file.package_name() == "google.protobuf" || !self.files.insert(file.name().into()) {
            return;
        }
        let mut messages: Vec<_> = file.messages().collect();
        while let Some(message) = messages.pop() {
            for field in message.fields() {
                match field.kind() {
                    Kind::Message(kind) => self.file(&kind.parent_file()),
                    Kind::Enum(kind) => self.file(&kind.parent_file()),
                    _ => {}
                }
            }
            messages.extend(message.child_messages());
        }
    }
}

/// The messages that a message is made of.
fn parts(message: &MessageDescriptor) -> Vec<MessageDescriptor> {
    message.fields().filter_map(|field| field.kind().as_message().cloned()).collect()
}

fn well_known(message: &MessageDescriptor) -> bool {
    message.package_name() == "google.protobuf"
}

fn real_oneof(field: &FieldDescriptor) -> bool {
    field.containing_oneof().is_some() && !field.field_descriptor_proto().proto3_optional()
}

/// Writes what reads a message from JSON.
fn emit_reader(out: &mut String, message: &MessageDescriptor) -> Result<()> {
    let kind = owned(message);
    let mut arms = String::new();
    for field in message.fields() {
        check(&field)?;
        let (names, number, ident) = (names(&field), field.number(), ident(field.name()));
        writeln!(arms, "            {names} => object.value({number}, &mut self.{ident}),")?;
    }
    writeln!(
        out,
        "impl read::Fields for {kind} {{
    fn field<'de, A: serde::de::MapAccess<'de>>(
        &mut self, key: &str, object: &mut read::Object<A>,
    ) -> std::result::Result<(), A::Error> {{
        match key {{
{arms}            _ => object.unknown(),
        }}
    }}
}}"
    )?;
    Ok(())
}

/// A field's names in JSON, as a pattern: parsers of proto3 JSON take the proto's own name too.
fn names(field: &FieldDescriptor) -> String {
    let (json, name) = (field.json_name(), field.name());
    if json == name { format!("{json:?}") } else { format!("{json:?} | {name:?}") }
}

/// Writes what writes a message as JSON.
fn emit_writer(out: &mut String, message: &MessageDescriptor) -> Result<()> {
    let kind = view(message);
    let mut fields = String::new();
    for field in message.fields() {
        check(&field)?;
        let (key, ident) = (format!("{:?}:", field.json_name()), ident(field.name()));
        let optional = match field.kind() {
            _ if field.is_list() || !field.supports_presence() => None,
            Kind::Message(_) => Some("as_option"),
            _ => Some("as_ref"),
        };
        match optional {
            Some(get) => {
                writeln!(fields, "        object.present({key:?}, self.{ident}.{get}());")?;
            }
            None => writeln!(fields, "        object.field({key:?}, &self.{ident});")?,
        }
    }
    writeln!(
        out,
        "impl Json for {kind}<'_> {{
    fn write(&self, out: &mut Vec<u8>) {{
        let mut object = Object::new(out);
{fields}        object.end();
    }}
}}"
    )?;
    Ok(())
}

/// Refuses what `read.rs` and `write.rs` have no JSON for.
fn check(field: &FieldDescriptor) -> Result<()> {
    let known = match field.kind() {
        Kind::Message(message) if well_known(&message) => {
            message.full_name() == "google.protobuf.Timestamp"
        }
        Kind::Float | Kind::Double | Kind::Bytes => false,
        _ => true,
    };
    if known && !field.is_map() && !real_oneof(field) {
        return Ok(());
    }
    Err(format!(
        "{}: has no JSON form yet; see gateway/src/read.rs and write.rs",
        field.full_name()
    )
    .into())
}

fn ident(name: &str) -> String {
    match name {
        "type" | "ref" | "match" | "use" | "move" | "in" | "for" | "where" => format!("r#{name}"),
        _ => name.into(),
    }
}

/// The path of buffa's owned type.
fn owned(message: &MessageDescriptor) -> String {
    format!("messages::{}{}{}", package(message), modules(message), message.name())
}

/// The path of buffa's view.
fn view(message: &MessageDescriptor) -> String {
    format!(
        "messages::{}__buffa::view::{}{}View",
        package(message),
        modules(message),
        message.name()
    )
}

fn package(message: &MessageDescriptor) -> String {
    message.package_name().split('.').fold(String::new(), |path, part| path + &ident(part) + "::")
}

/// The modules that stand for the messages around this one.
fn modules(message: &MessageDescriptor) -> String {
    message.parent_message().map_or_else(String::new, |parent| {
        format!("{}{}::", modules(&parent), snake(parent.name()))
    })
}

fn snake(name: &str) -> String {
    let mut snake = String::new();
    for (index, letter) in name.chars().enumerate() {
        if letter.is_uppercase() && index > 0 {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}
