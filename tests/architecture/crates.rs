//! Which crate may import which, how large those are that all stand on, and which words they do not know.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use serde_json::Value;

use super::{Path, code, complain, files, root, uses};

/// What is below `crates/`, and how many lines each may have. Each imports only those before it.
const LIBRARIES: &[(&str, usize)] = &[
    ("schema", 130),
    ("annotations", 260),
    ("base", 1_300),
    ("settings", 1_000),
    ("telemetry", 1_500),
    ("tls", 400),
    ("rpc", 3_000),
    ("pg", 2_600),
    ("embedded-postgres", 900),
    ("identity", 1_300),
    ("eventlog", 2_800),
    ("server", 2_000),
    ("transcoder", 1_400),
    ("transcoder-build", 900),
    ("testkit", 1_150),
    ("transcoder-testkit", 300),
];

/// For tests alone.
const TESTKITS: [&str; 2] = ["testkit", "transcoder-testkit"];

/// Words of the shop. Roles are words of the access rules, and an order is also a sequence.
const SHOP: &[&str] = &[
    "breakfast",
    "cart",
    "coupon",
    "coupons",
    "deliveries",
    "delivery",
    "mealkit",
    "mileage",
    "mypage",
    "payment",
    "payments",
    "product",
    "products",
    "stock",
    "wallet",
    "wallets",
];

/// What a crate is; it decides what the crate may import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    App,
    Gateway,
    Pages,
    Service,
    Contracts,
    /// Its place in [`LIBRARIES`].
    Library(usize),
}

impl Layer {
    fn of(folder: &str) -> Option<Self> {
        match folder {
            "app" => Some(Self::App),
            "gateway" => Some(Self::Gateway),
            "ops" | "web" => Some(Self::Pages),
            "" => Some(Self::Contracts),
            service if service.starts_with("services/") => Some(Self::Service),
            library => {
                let name = library.strip_prefix("crates/")?;
                LIBRARIES.iter().position(|(known, _)| *known == name).map(Self::Library)
            }
        }
    }

    fn may_import(self, other: Self) -> bool {
        match (self, other) {
            (_, Self::Library(other)) if TESTKITS.contains(&LIBRARIES[other].0) => false,
            (Self::App, other) => other != Self::App,
            (Self::Gateway | Self::Pages | Self::Service, other) => {
                matches!(other, Self::Contracts | Self::Library(_))
            }
            (Self::Contracts, other) => matches!(other, Self::Library(_)),
            (Self::Library(place), Self::Library(other)) => other < place,
            (Self::Library(_), _) => false,
        }
    }
}

/// A crate of the workspace: its folder, and the crates of the workspace that it imports. Tests may
/// import what is for tests.
pub(super) struct Crate {
    name: String,
    pub(super) folder: String,
    imports: Vec<String>,
}

/// As `cargo metadata` tells of them.
pub(super) fn crates() -> Vec<Crate> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--no-deps", "--format-version=1"]).current_dir(root());
    let told = cargo.output().expect("cargo runs").stdout;
    let told: Value = serde_json::from_slice(&told).expect("cargo knows the workspace");
    let list = |of: &Value| of.as_array().expect("a list").clone();
    let text = |of: &Value| of.as_str().expect("a text").to_owned();
    let packages = list(&told["packages"]);
    let names: BTreeSet<String> = packages.iter().map(|package| text(&package["name"])).collect();
    let folder = |manifest: &Value| {
        let folder = Path::new(manifest.as_str().expect("a path")).parent();
        let folder = folder.expect("a manifest is in a folder").strip_prefix(root());
        folder.expect("in the workspace").to_string_lossy().into_owned()
    };
    let package = |package: &Value| {
        let name = text(&package["name"]);
        let imports = list(&package["dependencies"]).into_iter().filter_map(|it| {
            let (import, only_tests) = (text(&it["name"]), it["kind"] == "dev");
            let counts = !only_tests || !TESTKITS.contains(&&*import);
            (counts && names.contains(&import) && import != name).then_some(import)
        });
        Crate { imports: imports.collect(), folder: folder(&package["manifest_path"]), name }
    };
    packages.iter().map(package).collect()
}

/// Who imports whom must not.
fn wrong_imports(crates: &[Crate]) -> Vec<String> {
    let layers: BTreeMap<&str, Option<Layer>> =
        crates.iter().map(|c| (c.name.as_str(), Layer::of(&c.folder))).collect();
    let mut wrong = Vec::new();
    for Crate { name, folder, imports } in crates {
        let Some(layer) = Layer::of(folder) else {
            wrong.push(format!("{name}: no crate belongs in {folder}"));
            continue;
        };
        for import in imports {
            let imported = layers.get(import.as_str()).copied().flatten();
            if !imported.is_some_and(|imported| layer.may_import(imported)) {
                wrong.push(format!("{name} imports {import}"));
            }
        }
    }
    wrong
}

#[test]
fn crates_import_only_what_is_below_them() {
    complain("wrong imports", &wrong_imports(&crates()));
}

#[test]
fn a_crate_that_imports_what_is_above_it_is_found_out() {
    let member = |name: &str, folder: &str, imports: &[&str]| Crate {
        name: name.to_owned(),
        folder: folder.to_owned(),
        imports: imports.iter().map(ToString::to_string).collect(),
    };
    let wrong = wrong_imports(&[
        member("order", "services/order", &["pg", "payment", "testkit"]),
        member("payment", "services/payment", &["pg"]),
        member("rpc", "crates/rpc", &["base", "pg", "contracts"]),
        member("pg", "crates/pg", &["base", "rpc"]),
        member("base", "crates/base", &[]),
        member("testkit", "crates/testkit", &[]),
        member("contracts", "", &[]),
        member("gateway", "gateway", &["contracts", "rpc", "ops"]),
        member("ops", "ops", &["contracts", "pg", "gateway"]),
        member("attic", "attic", &[]),
    ]);
    let expected = [
        "order imports payment",
        "order imports testkit",
        "rpc imports pg",
        "rpc imports contracts",
        "gateway imports ops",
        "ops imports gateway",
        "attic: no crate belongs in attic",
    ];
    assert_eq!(wrong, expected);
}

/// All that a crate stands on, by way of others too.
fn stands_on(name: &str, crates: &[Crate]) -> BTreeSet<String> {
    let (mut all, mut open) = (BTreeSet::new(), vec![name.to_owned()]);
    while let Some(name) = open.pop() {
        let one = crates.iter().find(|one| one.name == name).expect("a crate of the workspace");
        open.extend(one.imports.iter().filter(|import| all.insert((*import).clone())).cloned());
    }
    all
}

/// A changed line of the event log rebuilds neither of these.
#[test]
fn what_calls_knows_nothing_of_databases_and_logs() {
    let crates = crates();
    for name in ["gateway", "ops", "rpc", "transcoder", "web"] {
        let all = stands_on(name, &crates);
        let below: Vec<_> =
            ["eventlog", "pg", "server"].iter().filter(|it| all.contains(**it)).collect();
        assert!(below.is_empty(), "{name} stands on {below:?}");
    }
    assert!(stands_on("order", &crates).contains("pg"), "by way of others");
}

/// The sources of a crate, without their tests.
fn sources(name: &str) -> Vec<(String, String)> {
    let sources = files(&root().join("crates").join(name).join("src"), "rs").into_iter();
    let without_tests = |text: String| match text.split_once("\n#[cfg(test)]\nmod tests") {
        Some((before, _)) => before.to_owned(),
        None => text,
    };
    sources.map(|(file, text)| (file, without_tests(text))).collect()
}

#[test]
fn what_all_stand_on_stays_small() {
    let too_large = LIBRARIES.iter().filter_map(|(name, budget)| {
        let sources = files(&root().join("crates").join(name).join("src"), "rs");
        let lines: usize = sources.iter().map(|(_, text)| text.lines().count()).sum();
        assert!(lines > 20, "{name} is elsewhere");
        (lines > *budget).then(|| format!("{name} has {lines} lines of {budget}"))
    });
    complain("a crate has outgrown its budget", &too_large.collect::<Vec<_>>());
}

#[test]
fn what_all_stand_on_knows_no_word_of_the_shop() {
    let found = LIBRARIES.iter().flat_map(|(name, _)| sources(name)).flat_map(|(file, text)| {
        let text = code(&text).to_lowercase();
        uses(&text, SHOP).into_iter().map(move |word| format!("{file}: {word}")).collect::<Vec<_>>()
    });
    complain("a word of the shop", &found.collect::<Vec<_>>());
    assert_eq!(uses("let wallet = order.wallet();", SHOP), ["wallet"]);
}

/// Twice a crate moved to a folder that the image did not get.
#[test]
fn an_image_is_built_of_all_crates() {
    let context = std::fs::read_to_string(root().join(".dockerignore")).expect("a readable file");
    let kept: BTreeSet<&str> = context.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let crates = crates();
    let folders = crates.iter().filter_map(|it| it.folder.split('/').next());
    let left: BTreeSet<&str> =
        folders.filter(|folder| !folder.is_empty() && !kept.contains(folder)).collect();
    assert!(left.is_empty(), ".dockerignore leaves out {left:?}");
}
