//! Whoever has read one service has read them all: each has the same files, with the same things in them.

use std::{collections::BTreeSet, fs, path::Path};

use super::{code, complain, files, modules_called, root, uses};

/// What each service has, and nothing else does what they do.
const ALWAYS: [&str; 6] = ["domain", "lib", "policy", "service", "store", "wire"];
/// What a service has when its `lib.rs` says this.
const WHEN: [(&str, &str); 3] =
    [("settings", "builder.own_settings("), ("worker", ".work("), ("metrics", "metrics::measure")];
/// A service may count things, and not measure any.
const MAY: &str = "metrics";

/// The files of a service at the top of its `src`, by name, with their texts.
fn modules(service: &Path) -> Vec<(String, String)> {
    let is_module = |path: &Path| path.extension().is_some_and(|extension| extension == "rs");
    let mut found: Vec<_> = fs::read_dir(service.join("src"))
        .expect("sources")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| is_module(path))
        .map(|path| {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).expect("a readable file"))
        })
        .filter(|(name, _)| !name.ends_with("_tests"))
        .collect();
    found.sort();
    found
}

/// What is wrong with the files of a service.
fn uneven(modules: &[(String, String)]) -> Vec<String> {
    let names: BTreeSet<&str> = modules.iter().map(|(name, _)| name.as_str()).collect();
    let lib = modules.iter().find(|(name, _)| name == "lib").map_or("", |(_, text)| text);
    let wiring = code(lib);
    let mut wrong: Vec<String> = ALWAYS
        .iter()
        .filter(|name| !names.contains(**name))
        .map(|name| format!("{name}.rs is missing"))
        .collect();
    for (name, sign) in WHEN {
        match (wiring.contains(sign), names.contains(name)) {
            (true, false) => wrong.push(format!("{name}.rs is missing: lib.rs has {sign}")),
            (false, true) if name != MAY => wrong.push(format!("{name}.rs without {sign}")),
            _ => {}
        }
    }
    let doc: String = lib.lines().filter(|line| line.starts_with("//!")).collect();
    let usual = |name: &str| ALWAYS.contains(&name) || WHEN.iter().any(|(known, _)| *known == name);
    let unsaid = names.iter().filter(|name| !usual(name) && !doc.contains(&format!("`{name}`")));
    wrong.extend(unsaid.map(|name| format!("{name}.rs is not named by lib.rs's doc")));
    wrong
}

fn services() -> Vec<(String, Vec<(String, String)>)> {
    let folders = fs::read_dir(root().join("services")).expect("services");
    let mut services: Vec<_> = folders
        .map(|entry| entry.expect("a readable folder"))
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), modules(&entry.path())))
        .collect();
    services.sort();
    services
}

#[test]
fn all_services_have_the_same_files() {
    let services = services();
    assert_eq!(services.len(), app::run::SERVICES.len());
    let wrong = services.iter().flat_map(|(service, modules)| {
        uneven(modules).into_iter().map(move |complaint| format!("{service}: {complaint}"))
    });
    complain("a service is unlike the others", &wrong.collect::<Vec<_>>());
}

#[test]
fn a_service_that_is_unlike_the_others_is_found_out() {
    let module = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let mut modules: Vec<_> = ALWAYS.iter().map(|name| module(name, "")).collect();
    assert_eq!(uneven(&modules), [""; 0]);
    modules.retain(|(name, _)| name != "wire" && name != "lib");
    modules.push(module("lib", "//! See `cancel`.\nbuilder.work(tasks);\n"));
    modules.extend(["cancel", "helpers", "settings"].map(|name| module(name, "")));
    let expected = [
        "wire.rs is missing",
        "settings.rs without builder.own_settings(",
        "worker.rs is missing: lib.rs has .work(",
        "helpers.rs is not named by lib.rs's doc",
    ];
    assert_eq!(uneven(&modules), expected);
}

/// Where in a text an event or a message of a contract is made: `Event::OrderPlaced(OrderPlaced {`.
fn made(text: &str) -> Vec<String> {
    let code = code(text);
    let made = code.match_indices("Event::").filter_map(|(at, sign)| {
        let (kind, rest) = code[at + sign.len()..].split_once('(')?;
        rest.trim_start().starts_with(&format!("{kind} {{")).then(|| kind.to_owned())
    });
    made.collect()
}

#[test]
fn events_are_made_in_wire_alone() {
    let sources = files(&root().join("services"), "rs").into_iter();
    let sources: Vec<_> = sources.filter(|(file, _)| file.contains("/src/")).collect();
    let is_wire = |file: &str| file.ends_with("/wire.rs") || file.contains("/wire/");
    let wrong: Vec<String> = sources
        .iter()
        .filter(|(file, _)| !is_wire(file))
        .flat_map(|(file, text)| made(text).into_iter().map(move |kind| format!("{file}: {kind}")))
        .collect();
    complain("an event is made elsewhere", &wrong);
    let all: usize = sources.iter().map(|(_, text)| made(text).len()).sum();
    assert!(all > 30, "only {all} events are found to be made");
}

#[test]
fn an_event_that_is_made_elsewhere_is_found_out() {
    let text = "Event::StockShort(StockShort { order_id });\nSome(Event::StockShort(it)) => {}";
    assert_eq!(made(text), ["StockShort"]);
}

#[test]
fn how_things_look_elsewhere_knows_neither_calls_nor_policies() {
    const NOT_IN_A_WIRE: &[&str] = &[
        "crate::service",
        "crate::policy",
        "crate::worker",
        "super::service",
        "service::{",
        "policy::{",
        ".await",
        "pg::Tx",
    ];
    let wires = modules_called("wire");
    assert!(wires.len() >= app::run::SERVICES.len(), "they are elsewhere");
    let wrong = wires.iter().flat_map(|(file, text)| {
        uses(text, NOT_IN_A_WIRE).into_iter().map(move |word| format!("{file}: {word}"))
    });
    complain("wire knows its domain and its rows alone", &wrong.collect::<Vec<_>>());
    assert_eq!(uses("use crate::{\n    service::{Wanted},\n};", NOT_IN_A_WIRE), ["service::{"]);
}
