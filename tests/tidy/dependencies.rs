//! Holds the dependencies against `deny.toml`: licences that are allowed, crates that are not, and where crates come from.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;
use toml::Table;

use super::root;
use crate::harness::run;

/// The packages that are built for this machine, tests included.
fn packages() -> Vec<Value> {
    let host = run(Command::new("rustc").args(["--print", "host-tuple"]));
    assert_eq!(host.code, 0, "{}", host.err);
    let mut cargo = Command::new("cargo");
    cargo.args(["metadata", "--format-version", "1", "--locked", "--filter-platform", host.out.trim()]);
    let output = run(cargo.arg("--manifest-path").arg(root().join("Cargo.toml")));
    assert_eq!(output.code, 0, "{}", output.err);
    let metadata: Value = serde_json::from_str(&output.out).expect("JSON");
    let nodes = metadata["resolve"]["nodes"].as_array().expect("what is built");
    let built: BTreeSet<&str> = nodes.iter().filter_map(|node| node["id"].as_str()).collect();
    let all = metadata["packages"].as_array().expect("packages").iter();
    all.filter(|package| package["id"].as_str().is_some_and(|id| built.contains(id))).cloned().collect()
}

fn rules() -> Table {
    std::fs::read_to_string(root().join("deny.toml")).expect("the rules").parse().expect("TOML")
}

fn texts(list: &toml::Value) -> BTreeSet<String> {
    let items = list.as_array().expect("a list").iter();
    items.map(|item| item.as_str().expect("a text").to_owned()).collect()
}

/// Whether a licence expression (SPDX, or with the slashes of old manifests) can be met with what is allowed.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let met = any(&mut rest, allowed);
    assert!(rest.is_empty(), "{expression:?} is not understood");
    met
}

fn any(words: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut met = all(words, allowed);
    while let Some((&"OR", rest)) = words.split_first() {
        *words = rest;
        met |= all(words, allowed);
    }
    met
}

fn all(words: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut met = one(words, allowed);
    while let Some((&"AND", rest)) = words.split_first() {
        *words = rest;
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let (first, rest) = words.split_first().expect("a licence");
    *words = rest;
    if *first == "(" {
        let met = any(words, allowed);
        let (last, rest) = words.split_first().expect("a closing parenthesis");
        assert_eq!(*last, ")");
        *words = rest;
        return met;
    }
    if let [with, exception, rest @ ..] = *words
        && *with == "WITH"
    {
        *words = rest;
        return allowed.contains(&format!("{first} WITH {exception}"));
    }
    allowed.contains(*first)
}

#[test]
fn licence_expressions_are_read_as_they_are_meant() {
    let allowed = BTreeSet::from(["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned));
    for (expression, met) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0/MIT", true),
        ("GPL-3.0 OR Zlib", false),
        ("(GPL-3.0 OR MIT) AND ISC", true),
        ("MIT AND GPL-3.0", false),
        ("Apache-2.0 WITH LLVM-exception OR GPL-3.0", true),
        ("Apache-2.0", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), met, "{expression}");
    }
}

#[test]
fn every_dependency_has_a_licence_that_is_allowed() {
    let allowed = texts(&rules()["licenses"]["allow"]);
    let faults: Vec<_> = packages()
        .iter()
        .map(|package| {
            (package["name"].to_string(), package["license"].as_str().unwrap_or_default().to_owned())
        })
        .filter(|(_, licence)| licence.is_empty() || !is_allowed(licence, &allowed))
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn there_is_one_provider_of_cryptography_and_no_crate_comes_from_elsewhere() {
    let rules = rules();
    let denied = rules["bans"]["deny"].as_array().expect("a list").iter();
    let denied: BTreeSet<&str> = denied.map(|item| item["crate"].as_str().expect("a name")).collect();
    assert!(!denied.is_empty());
    let sources = texts(&rules["sources"]["allow-registry"]);
    let packages = packages();
    assert!(packages.iter().any(|package| package["name"] == "ring"));
    for package in packages {
        let name = package["name"].as_str().expect("a name");
        assert!(!denied.contains(name), "{name}");
        // Those of this repository have none.
        let Some(source) = package["source"].as_str() else { continue };
        assert!(sources.iter().any(|known| source == format!("registry+{known}")), "{name} is from {source}");
    }
}
