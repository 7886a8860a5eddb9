//! The API as an OpenAPI 3.1 document: each route of the contracts once, with
//! what it takes, what it answers and how it fails. Made once, at start, from the
//! contracts' descriptors; says nothing that they do not say, and knows no route
//! by name. A page to read it with comes along.
//!
//! `contract` reads what the contracts say of a method, `operation` makes an
//! operation of it, `schema` a schema of a message, `page` serves the viewer.

mod contract;
mod operation;
mod page;
mod schema;

use base::Error;
use bytes::Bytes;
use prost_reflect::DescriptorPool;
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Paths, Server,
    path::{HttpMethod, Operation},
    security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    tag::TagBuilder,
};

pub(crate) use self::page::page;
use self::{
    contract::{Contracts, comment},
    operation::{Problems, operation},
    schema::Schemas,
};

/// The name of the one way to say who calls.
const BEARER: &str = "bearer";

const ABOUT: &str = "\
Orders from sign-up to delivery. Bodies are canonical proto3 JSON: 64-bit integers are strings, enums \
are names, fields at their default are written. What is refused is told as a problem (RFC 9457), whose \
`reason` is for programs. Every response has an `X-Request-Id`; a client's own is kept. The same \
methods answer gRPC.";

/// The document of these contracts, as JSON.
pub(crate) fn document(descriptors: &[u8]) -> Result<Bytes, Error> {
    let json = open_api(descriptors)?.to_json();
    json.map(Bytes::from).map_err(|error| Error::internal(format!("openapi: {error}")))
}

fn open_api(descriptors: &[u8]) -> Result<OpenApi, Error> {
    let pool = DescriptorPool::decode(descriptors)
        .map_err(|error| Error::internal(format!("contracts: {error}")))?;
    let contracts = Contracts::new(&pool);
    let routes = contracts.routes()?;
    let mut schemas = Schemas::new(&routes);
    let mut problems = Problems::default();
    let (mut paths, mut tags) = (Paths::new(), Vec::new());
    for route in &routes {
        let service = route.method.parent_service();
        let tag = contract::title(service);
        if tags.last().is_none_or(|(name, _)| *name != tag) {
            tags.push((tag, comment(&service.parent_file(), service.path())));
        }
        let operation = operation(route, &mut schemas, &mut problems);
        add(&mut paths, &route.path, &route.verb, operation)?;
    }
    let components = ComponentsBuilder::new()
        .security_scheme(BEARER, SecurityScheme::Http(bearer()))
        .schemas_from_iter(schemas.into_components())
        .responses_from_iter(problems.into_components())
        .build();
    let license = LicenseBuilder::new().name(env!("CARGO_PKG_LICENSE"));
    let info = InfoBuilder::new()
        .title("Hansang")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(license.identifier(Some(env!("CARGO_PKG_LICENSE"))).build()));
    let tag = |(name, description)| TagBuilder::new().name(name).description(description).build();
    Ok(OpenApiBuilder::new()
        .info(info)
        .servers(Some([Server::new("/")]))
        .paths(paths)
        .components(Some(components))
        .security(Some([SecurityRequirement::new(BEARER, [""; 0])]))
        .tags(Some(tags.into_iter().map(tag)))
        .build())
}

fn bearer() -> utoipa::openapi::security::Http {
    HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("The `accessToken` of a session."))
        .build()
}

fn add(paths: &mut Paths, path: &str, verb: &str, operation: Operation) -> Result<(), Error> {
    let method = match verb {
        "get" => HttpMethod::Get,
        "put" => HttpMethod::Put,
        "post" => HttpMethod::Post,
        "delete" => HttpMethod::Delete,
        "patch" => HttpMethod::Patch,
        other => return Err(Error::internal(format!("{path}: the verb {other}"))),
    };
    paths.add_path_operation(path, vec![method], operation);
    Ok(())
}

#[cfg(test)]
mod tests;
