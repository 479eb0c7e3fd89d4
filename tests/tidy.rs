//! Holds the picture in ARCHITECTURE.md against the code, so that it cannot rot.

mod conformance;
mod dependencies;
mod lessons;
mod threats;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use toml::Table;

/// The layers, lowest first. A crate may import from the layers below its own, and from `model`.
const LAYERS: [&[&str]; 7] = [
    &["model", "clock"],
    &["smtp", "message", "hooks", "queue", "dns", "accounts", "reporting"],
    &[
        "sender-auth",
        "store",
        "transcript",
        "tls",
        "tls-policy",
        "fetch",
        "plugin-host",
        "milter",
        "plugin-project",
    ],
    &["inbound", "outbound", "acme"],
    &["config", "admin"],
    &["web"],
    &["waxwing"],
];

/// Crates without I/O and without a clock.
const PURE: [&str; 6] = ["model", "smtp", "message", "hooks", "queue", "accounts"];

/// What only one crate may name, in its manifest or its code.
const SOLE_OWNERS: [(&str, &str); 10] = [
    ("sled", "store"),
    ("wasmtime", "plugin-host"),
    ("wasmtime-wasi", "plugin-host"),
    ("wasmtime-wasi-http", "plugin-host"),
    ("hickory-resolver", "dns"),
    ("hickory-proto", "dns"),
    ("mail-auth", "sender-auth"),
    ("notify", "plugin-host"),
    ("argon2", "accounts"),
    ("jsonwebtoken", "accounts"),
];

/// Lines of a source file, its tests included.
const LONGEST_FILE: usize = 600;

const EMPTY_NAMES: [&str; 7] = ["utils", "util", "helpers", "helper", "common", "manager", "types"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").to_owned()
}

/// The server's crates, by name.
fn crates() -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::from([("waxwing".to_owned(), root().join("server"))]);
    for entry in std::fs::read_dir(root().join("server/crates")).expect("the crates") {
        let path = entry.expect("an entry").path();
        found.insert(path.file_name().expect("a name").to_string_lossy().into_owned(), path);
    }
    found
}

fn manifest(folder: &Path) -> Table {
    let text = std::fs::read_to_string(folder.join("Cargo.toml")).expect("a manifest");
    text.parse().expect("TOML")
}

/// The names in a table of dependencies.
fn dependencies(folder: &Path, table: &str) -> BTreeSet<String> {
    let manifest = manifest(folder);
    manifest
        .get(table)
        .and_then(|table| table.as_table())
        .map(|table| table.keys().cloned().collect())
        .unwrap_or_default()
}

/// Every Rust file below a folder, but for what is built or fetched.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return found };
    for entry in entries {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && !matches!(name.as_str(), "target" | "node_modules") {
            found.extend(sources(&path));
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The code of a file, without comments; with `tests` also without what follows the first `#[cfg(test)]`.
fn code(file: &Path, with_tests: bool) -> String {
    let text = std::fs::read_to_string(file).expect("a source file");
    let text = if with_tests { text.as_str() } else { text.split("#[cfg(test)]").next().unwrap_or_default() };
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Whether a file is compiled for tests alone: by its place, or because the module that has it says so.
fn is_test_file(file: &Path) -> bool {
    let by_place = file.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "benches");
    let stem = file.file_stem().expect("a name").to_string_lossy().into_owned();
    let declared = format!("#[cfg(test)]\nmod {stem};");
    let parents = sources(file.parent().expect("a folder"))
        .into_iter()
        .chain([file.parent().expect("a folder").with_extension("rs")]);
    by_place
        || parents
            .filter_map(|parent| std::fs::read_to_string(parent).ok())
            .any(|text| text.contains(&declared))
}

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&name))
}

#[test]
fn every_crate_has_its_layer() {
    let unplaced: Vec<_> = crates().into_keys().filter(|name| layer(name).is_none()).collect();
    assert!(unplaced.is_empty(), "in no layer of this test: {unplaced:?}");
}

#[test]
fn imports_run_downward_and_sideways_only_to_model() {
    let ours = crates();
    for (name, folder) in &ours {
        for imported in
            dependencies(folder, "dependencies").iter().filter(|imported| ours.contains_key(*imported))
        {
            let (above, below) = (layer(name).expect("a layer"), layer(imported).expect("a layer"));
            let downward = below < above || imported == "model";
            assert!(downward, "{name} imports {imported}, which is not below it");
            assert!(imported != "clock" || above >= 2, "{name} imports the clock; the time is handed in");
        }
    }
}

#[test]
fn the_plugin_sdk_knows_nothing_of_the_server() {
    let known: Vec<_> = dependencies(&root().join("plugin-sdk"), "dependencies")
        .into_iter()
        .filter(|name| layer(name).is_some())
        .collect();
    assert!(known.is_empty(), "{known:?}");
}

#[test]
fn some_libraries_have_one_owner() {
    for (name, folder) in crates() {
        let mut named = dependencies(&folder, "dependencies");
        named.extend(dependencies(&folder, "dev-dependencies"));
        for (library, owner) in SOLE_OWNERS {
            assert!(
                name == owner || !named.contains(library),
                "{name} depends on {library}, which is {owner}'s"
            );
        }
    }
}

#[test]
fn crates_without_input_and_output_name_none() {
    let ours = crates();
    for name in PURE {
        let named = dependencies(&ours[name], "dependencies");
        for library in ["tokio", "rustix", "libc", "async-std", "clock", "socket2"] {
            assert!(!named.contains(library), "{name} depends on {library}");
        }
        for file in sources(&ours[name].join("src")).iter().filter(|file| !is_test_file(file)) {
            let code = code(file, false);
            for word in [
                "std::fs",
                "TcpStream",
                "TcpListener",
                "UdpSocket",
                "Instant::now",
                "SystemTime::now",
                "std::thread",
                "std::env",
                "std::process",
            ] {
                assert!(!code.contains(word), "{}: {word}", file.display());
            }
        }
    }
}

#[test]
fn only_the_clock_reads_clocks_and_only_config_reads_the_environment() {
    for (name, folder) in crates() {
        for file in sources(&folder.join("src")).iter().filter(|file| !is_test_file(file)) {
            let code = code(file, false);
            for word in ["Instant::now", "SystemTime::now", "Timestamp::now", "Zoned::now"] {
                assert!(name == "clock" || !code.contains(word), "{}: {word}", file.display());
            }
            for word in ["env::var", "env::vars"] {
                assert!(name == "config" || !code.contains(word), "{}: {word}", file.display());
            }
        }
    }
}

#[test]
fn anyhow_is_for_the_binary_alone() {
    for (name, folder) in crates() {
        assert!(
            name == "waxwing" || !dependencies(&folder, "dependencies").contains("anyhow"),
            "{name} depends on anyhow"
        );
    }
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<_> = ["server", "plugin-sdk", "plugins", "tests"]
        .iter()
        .flat_map(|folder| sources(&root().join(folder)))
        .filter_map(|file| {
            let lines = std::fs::read_to_string(&file).expect("a source file").lines().count();
            (lines > LONGEST_FILE).then(|| format!("{}: {lines} lines", file.display()))
        })
        .collect();
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn no_module_has_a_name_that_says_nothing() {
    for folder in ["server", "plugin-sdk", "plugins", "tests"] {
        for file in sources(&root().join(folder)) {
            for part in file.strip_prefix(root()).expect("a file of ours").components() {
                let part = part.as_os_str().to_string_lossy();
                let name = part.strip_suffix(".rs").unwrap_or(&part);
                assert!(!EMPTY_NAMES.contains(&name), "{}", file.display());
            }
        }
    }
}

#[test]
fn every_module_says_what_it_is_for() {
    let silent: Vec<_> = ["server", "plugin-sdk", "tests"]
        .iter()
        .flat_map(|folder| sources(&root().join(folder)))
        .filter(|file| !is_test_file(file) || file.starts_with(root().join("tests")))
        .filter(|file| !std::fs::read_to_string(file).expect("a source file").starts_with("//!"))
        .collect();
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn every_scenario_is_run() {
    let declared = code(&root().join("tests/main.rs"), true);
    for entry in std::fs::read_dir(root().join("tests")).expect("the scenarios") {
        let path = entry.expect("an entry").path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".rs")) else {
            continue;
        };
        if !matches!(name, "main" | "lib") {
            assert!(
                declared.contains(&format!("mod {name};")),
                "tests/{name}.rs is not declared in tests/main.rs"
            );
        }
    }
}

#[test]
fn a_word_in_the_repository_never_names_a_registry_or_a_path_of_one_machine() {
    for folder in ["server", "plugin-sdk", "plugins", "tests", "wit"] {
        for file in sources(&root().join(folder)).iter().filter(|file| !file.ends_with("tidy.rs")) {
            let text = std::fs::read_to_string(file).expect("a source file");
            for word in ["/root/", "/home/", "/work/"] {
                assert!(!text.contains(word), "{}: {word}", file.display());
            }
        }
    }
}
