//! Keeps the layers apart: who imports whom, what a domain may know, where SQL
//! is, and that ARCHITECTURE.md's code map is complete. Reads the sources as text and
//! the crates through cargo; runs nothing of them.
//!
//! Every rule is a function from text to complaints, and is shown something
//! that breaks it: a rule that cannot fail protects nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

#[path = "architecture/crates.rs"]
mod crates;
#[path = "architecture/logs.rs"]
mod logs;
#[path = "architecture/policies.rs"]
mod policies;
#[path = "architecture/services.rs"]
mod services;

use crates::crates;

const LONGEST_FILE: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("app is in the workspace").to_path_buf()
}

/// Files with this extension below `folder`, with their texts; build output left out.
fn files(folder: &Path, extension: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("a readable folder").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with('.') && !["target", "google", "node_modules"].contains(&&*name)
                {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|found| found == extension) {
                let text = fs::read_to_string(&path).expect("a readable file");
                let name = path.strip_prefix(root()).expect("below the root");
                found.push((name.to_string_lossy().into_owned(), text));
            }
        }
    }
    found.sort();
    found
}

/// The files of all services called `name`, or in a folder of that name.
fn modules_called(name: &str) -> Vec<(String, String)> {
    let is_called = |file: &str| {
        file.ends_with(&format!("/src/{name}.rs")) || file.contains(&format!("/src/{name}/"))
    };
    files(&root().join("services"), "rs").into_iter().filter(|(file, _)| is_called(file)).collect()
}

/// The text without line comments: what is only talked about is not used.
fn code(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Which of `words` the code uses, as whole words.
fn uses<'a>(text: &str, words: &[&'a str]) -> Vec<&'a str> {
    let code = code(text);
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let whole = |word: &str| {
        code.match_indices(word).any(|(at, _)| {
            let before = code[..at].chars().next_back();
            let after = code[at + word.len()..].chars().next();
            let open_start = !word.starts_with(is_word) || !before.is_some_and(is_word);
            let open_end = !word.ends_with(is_word) || !after.is_some_and(is_word);
            open_start && open_end
        })
    };
    words.iter().copied().filter(|word| whole(word)).collect()
}

const NOT_IN_A_DOMAIN: &[&str] = &[
    "tokio",
    "tonic",
    "tokio_postgres",
    "SystemTime::now",
    "Instant::now",
    "Uuid::now_v7",
    ".await",
    "async",
    "std::fs",
    "std::net",
    "std::env",
    "crate::store",
    "crate::service",
    "crate::policy",
    "super::store",
    "super::service",
    "super::policy",
];
const NOT_IN_A_STORE: &[&str] =
    &["crate::service", "crate::policy", "super::service", "super::policy", "format!(\"select"];

/// String literals that are SQL.
fn sql(text: &str) -> Vec<String> {
    const VERBS: &[&str] =
        &["select ", "insert into ", "update ", "delete from ", "with ", "lock table ", "create "];
    let code = code(text);
    code.split('"')
        .skip(1)
        .step_by(2)
        .map(|literal| literal.trim_start().to_lowercase())
        .filter(|literal| {
            VERBS.iter().any(|verb| literal.starts_with(verb))
                && [" from ", " into ", " set ", " table ", " values"]
                    .iter()
                    .any(|word| literal.contains(word) || literal.starts_with(word.trim_start()))
        })
        .collect()
}

/// Which crates' folders the code map leaves out.
fn not_on_the_map<'a>(map: &str, folders: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let section = map.split("\n## ").find(|section| section.starts_with("Code map"));
    let section = section.unwrap_or_default();
    folders.into_iter().filter(|folder| !section.contains(&format!("`{folder}/`"))).collect()
}

/// Files of migrations that the code beside them does not name.
fn not_applied<'a>(code: &str, files: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let stem = |file: &'a str| file.rsplit('/').next().and_then(|name| name.strip_suffix(".sql"));
    let named = |stem: &str| code.contains(&format!("\"{stem}\""));
    files.into_iter().filter_map(stem).filter(|stem| !named(stem)).collect()
}

/// `make` targets that a text tells people to type, in its code.
fn told_to_make(markdown: &str) -> BTreeSet<&str> {
    markdown.split('`').skip(1).step_by(2).flat_map(targets).collect()
}

fn targets(script: &str) -> Vec<&str> {
    let words: Vec<&str> = script.split_whitespace().collect();
    words.windows(2).filter(|pair| pair[0] == "make").map(|pair| pair[1]).collect()
}

fn complain(rule: &str, complaints: &[String]) {
    assert!(complaints.is_empty(), "{rule}:\n  {}", complaints.join("\n  "));
}

#[test]
fn a_domain_knows_no_clock_no_network_and_no_database() {
    let domains = modules_called("domain");
    assert!(!domains.is_empty(), "no domain found");
    let complaints: Vec<_> = domains
        .iter()
        .flat_map(|(file, text)| {
            uses(text, NOT_IN_A_DOMAIN).into_iter().map(move |w| format!("{file}: {w}"))
        })
        .collect();
    complain("a domain is pure", &complaints);
}

#[test]
fn no_number_wraps_in_a_domain_nor_in_what_is_released() {
    let domains = modules_called("domain");
    assert!(domains.len() >= 8, "{} domains", domains.len());
    complain(
        "a domain checks its arithmetic: `#![warn(clippy::arithmetic_side_effects, …)]`",
        &domains
            .iter()
            .filter(|(_, text)| wraps(text))
            .map(|(path, _)| path.clone())
            .collect::<Vec<_>>(),
    );
    let workspace = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let release = workspace.split("[profile.release]").nth(1).expect("a release profile");
    let release = release.split("\n[").next().expect("its settings");
    assert!(release.contains("\noverflow-checks = true\n"), "{release}");
}

/// Whether a module takes arithmetic that overflows.
fn wraps(module: &str) -> bool {
    !module.contains("#![warn(clippy::arithmetic_side_effects, reason = \"")
}

#[test]
fn a_domain_that_may_wrap_is_found_out() {
    assert!(wraps("//! The life of a thing.\n\nuse base::Money;\n"));
    assert!(!wraps("#![warn(clippy::arithmetic_side_effects, reason = \"why\")]"));
}

#[test]
fn a_store_knows_neither_calls_nor_policies() {
    let stores = modules_called("store");
    assert!(!stores.is_empty(), "no store found");
    let complaints: Vec<_> = stores
        .iter()
        .flat_map(|(file, text)| {
            uses(text, NOT_IN_A_STORE).into_iter().map(move |w| format!("{file}: {w}"))
        })
        .collect();
    complain("a store knows its domain alone", &complaints);
}

#[test]
fn a_clock_in_a_domain_is_found_out() {
    assert_eq!(uses("let now = SystemTime::now();", NOT_IN_A_DOMAIN), ["SystemTime::now"]);
    assert_eq!(uses("charge(card).await?;", NOT_IN_A_DOMAIN), [".await"]);
    assert_eq!(uses("use crate::store::Store;", NOT_IN_A_DOMAIN), ["crate::store"]);
    assert_eq!(uses("// tokio has no place here\nlet tokio_like = 1;", NOT_IN_A_DOMAIN), [""; 0]);
}

#[test]
fn sql_is_in_stores_alone() {
    let complaints: Vec<_> = ["services", "gateway"]
        .iter()
        .flat_map(|folder| files(&root().join(folder), "rs"))
        .filter(|(file, _)| file.contains("/src/"))
        .filter(|(file, _)| !file.ends_with("/store.rs") && !file.contains("/store/"))
        .flat_map(|(file, text)| sql(&text).into_iter().map(move |sql| format!("{file}: {sql}")))
        .collect();
    complain("SQL belongs in store.rs", &complaints);
}

#[test]
fn sql_elsewhere_is_found_out() {
    assert_eq!(sql(r#"tx.query("Select id from orders", &[])"#), ["select id from orders"]);
    assert_eq!(sql(r#"f("update wallet set balance = 0")"#), ["update wallet set balance = 0"]);
    assert_eq!(sql(r#"Refusal::new("select a method first")"#), [""; 0]);
}

#[test]
fn files_are_short_and_say_first_what_they_are() {
    let sources = files(&root(), "rs");
    assert!(sources.len() > 20, "too few sources found");
    let too_long = sources
        .iter()
        .filter(|(_, text)| text.lines().count() > LONGEST_FILE)
        .map(|(file, text)| format!("{file} has {} lines", text.lines().count()));
    let unsaid = sources
        .iter()
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(file, _)| format!("{file} does not begin with a module doc"));
    complain("files", &too_long.chain(unsaid).collect::<Vec<_>>());
}

#[test]
fn the_code_map_names_every_crate() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let crates = crates();
    let folders = crates.iter().map(|c| if c.folder.is_empty() { "proto" } else { &c.folder });
    let missing = not_on_the_map(&map, folders);
    assert!(missing.is_empty(), "ARCHITECTURE.md's code map leaves out {missing:?}");
}

#[test]
fn a_crate_that_is_not_on_the_map_is_found_out() {
    let map = "# A\n\n## Code map\n\n`gateway/` is there.\n\n## Else\n\n`app/`\n";
    assert_eq!(not_on_the_map(map, ["gateway", "app"]), ["app"]);
}

#[test]
fn every_migration_is_applied() {
    let mut all = 0;
    for folder in crates().iter().map(|found| root().join(&found.folder)) {
        let migrations = files(&folder.join("migrations"), "sql");
        let code: String = files(&folder.join("src"), "rs").into_iter().map(|(_, it)| it).collect();
        let missing = not_applied(&code, migrations.iter().map(|(file, _)| file.as_str()));
        assert!(missing.is_empty(), "{}: nobody applies {missing:?}", folder.display());
        all += migrations.len();
    }
    assert!(all > 10, "they are elsewhere");
}

#[test]
fn a_migration_that_nobody_applies_is_found_out() {
    let files = ["a/migrations/V1__a.sql", "a/migrations/V2__b.sql"];
    assert_eq!(not_applied(r#"migrations!["V1__a"]"#, files), ["V2__b"]);
}

/// Released migrations, as lines of sha256sum, that are not there as they were.
fn not_as_released<'a>(released: &'a str, now: &BTreeMap<String, String>) -> Vec<&'a str> {
    let released = released.lines().filter_map(|line| line.split_once("  "));
    released
        .filter(|(sum, file)| now.get(*file).is_none_or(|is| is != sum))
        .map(|it| it.1)
        .collect()
}

#[test]
fn a_released_migration_stays_as_it_is() {
    let sum = |text: &str| {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        digest.as_ref().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
    };
    let all = ["crates", "services"].map(|folder| files(&root().join(folder), "sql"));
    let now = all.into_iter().flatten().map(|(file, text)| (file, sum(&text))).collect();
    let released = fs::read_to_string(root().join(".ci/landed.migrations")).expect("the list");
    assert!(released.lines().count() > 20, "the list is elsewhere");
    assert_eq!(not_as_released(&released, &now), [""; 0], "changed or gone; write another one");
}

#[test]
fn a_released_migration_that_changes_is_found_out() {
    let now = [("a.sql".to_owned(), "1".to_owned()), ("b.sql".to_owned(), "2".to_owned())];
    let released = "1  a.sql\n3  b.sql\n4  c.sql\n";
    assert_eq!(not_as_released(released, &now.into()), ["b.sql", "c.sql"]);
}

#[test]
fn what_people_are_told_to_type_exists() {
    let read = |file: &str| fs::read_to_string(root().join(file)).expect(file);
    let makefile = read("Makefile");
    let is_target = |name: &str| makefile.lines().any(|line| line.starts_with(&format!("{name}:")));
    let texts = ["README.md", "CONTRIBUTING.md", "docs/grpcurl.md", "examples/README.md"];
    let complaints: Vec<_> = texts
        .iter()
        .flat_map(|file| {
            let text = read(file);
            let missing = told_to_make(&text).into_iter().filter(|name| !is_target(name));
            missing.map(|name| format!("{file}: make {name}")).collect::<Vec<_>>()
        })
        .collect();
    complain("no such target in the Makefile", &complaints);
    let ci = read(".ci/run");
    let all = "test chaos demo clients dashboards ops web telemetry image lint api chart workflows";
    assert_eq!(targets(&ci).join(" "), all, "what CI runs");
}

#[test]
fn a_target_that_does_not_exist_is_found_out() {
    let text = "run `make demo`; we make sure:\n```sh\nmake fly\n```\n";
    assert_eq!(told_to_make(text), ["demo", "fly"].into());
}

/// Whom each service of the chart calls or follows, of `helm/hansang/values.yaml`.
fn charted(values: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut charted = BTreeMap::<_, BTreeSet<_>>::new();
    let mut service = String::new();
    let lines = values.lines().skip_while(|line| *line != "services:").skip(1);
    for line in lines.take_while(|line| line.starts_with(' ')) {
        match line.trim().split_once(':') {
            Some((name, "")) => {
                name.clone_into(&mut service);
                charted.entry(service.clone()).or_default();
            }
            Some((_, list)) => {
                let names = list.trim().trim_matches(['[', ']']).split(", ").map(str::to_owned);
                charted.entry(service.clone()).or_default().extend(names);
            }
            None => {}
        }
    }
    charted
}

/// Whom a service calls, as its wiring says, or follows, as its policies say.
fn wired(wiring: &str, policies: &str) -> BTreeSet<String> {
    let (wiring, policies) = (code(wiring), code(policies));
    let called = wiring.split(".peer(").skip(1).filter_map(|rest| rest.split('"').nth(1));
    let followed = policies.split("impl Policy<").skip(1);
    let followed = followed.filter_map(|rest| rest.split_once("Event>").map(|(name, _)| name));
    called.map(str::to_owned).chain(followed.map(str::to_lowercase)).collect()
}

#[test]
fn the_chart_has_every_service_and_lets_it_call_whom_it_calls() {
    let values = fs::read_to_string(root().join("helm/hansang/values.yaml")).expect("values");
    let mut expected = BTreeMap::new();
    for service in app::run::SERVICES {
        let source = root().join("services").join(service.name).join("src");
        let read = |file| fs::read_to_string(source.join(file)).unwrap_or_default();
        let mut called = wired(&read("lib.rs"), &read("policy.rs"));
        // Everybody watches for whose tokens are void.
        if service.name != "member" {
            called.insert("member".to_owned());
        }
        expected.insert(service.name.to_owned(), called);
    }
    assert_eq!(charted(&values), expected);
}

#[test]
fn a_call_that_is_not_in_the_chart_is_found_out() {
    let values = "services:\n  a:\n    calls: [b]\n    follows: [c, d]\n  b:\nelse:\n  c:\n";
    let list = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    let expected = [("a".to_owned(), list(&["b", "c", "d"])), ("b".to_owned(), list(&[]))];
    assert_eq!(charted(values), expected.into());
    let wiring = "builder.peer(\"b\")?;\n// .peer(\"x\")\n";
    assert_eq!(wired(wiring, "impl Policy<CEvent> for D {"), list(&["b", "c"]));
}
