//! The reference and the reader say the same.

use std::collections::BTreeSet;
use std::path::Path;

use super::{LEAST, parse};
use crate::fault::Notes;
use crate::{Config, Default, SECTIONS};

#[test]
fn the_page_is_what_the_table_of_keys_says() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/reference.md")).unwrap();
    assert!(
        page == crate::reference(),
        "reference.md is old; `cargo run -p config --example reference > server/crates/config/reference.md`"
    );
}

#[test]
fn the_reader_asks_for_exactly_the_keys_of_the_reference() {
    let text = include_str!("example.toml");
    let notes = Notes::new(Path::new("waxwing.toml"), text, super::named_file);
    Config::note(&notes, Path::new("waxwing.toml"), text);
    let keys = |section: &crate::Section| {
        let name = section.name;
        section.keys.iter().map(move |key| format!("{name}.{}", key.name)).collect::<Vec<_>>()
    };
    let known: BTreeSet<String> = SECTIONS.iter().flat_map(keys).collect();
    assert_eq!(notes.all_asked(), known);
}

#[test]
fn every_default_that_the_reference_tells_is_the_one_that_counts() {
    let mut written = LEAST.to_owned();
    let of_listener = |written: &mut String| {
        for (name, default) in defaults("listener") {
            written.push_str(&format!("{name} = {default}\n"));
        }
    };
    of_listener(&mut written);
    let named = "[[domain]]\nname = 'example.org'\ndeliver = { maildir = '/m' }\n";
    written.push_str(named);
    for (name, default) in defaults("domain") {
        written.push_str(&format!("{name} = {default}\n"));
    }
    let milter = "[[milter]]\nname = 'm'\naddress = 'unix:/m'\n";
    written.push_str(milter);
    for (name, default) in defaults("milter") {
        written.push_str(&format!("{name} = {default}\n"));
    }
    for (name, default) in defaults("milter.timeouts") {
        written.push_str(&format!("timeouts.{name} = {default}\n"));
    }
    for section in SECTIONS {
        let name = section.name.replace("NAME", "some");
        // A table that is there has keys that must be.
        if section.name == "acme" {
            written.push_str(&format!("[acme]\n{MUST_OF_ACME}"));
            for (name, default) in defaults("acme") {
                written.push_str(&format!("{name} = {default}\n"));
            }
        }
        // Those of a list, those that have to have something when they are there, and one that counts by being there.
        let apart = [
            "",
            "listener",
            "tls.certificates",
            "acme",
            "metrics",
            "web",
            "api-token",
            "domain",
            "domain.deliver",
            "user",
            "users-file",
            "route",
            "dkim",
            "milter",
            "milter.timeouts",
        ];
        if !apart.contains(&section.name) && !section.name.starts_with("auth.oauth") {
            written.push_str(&format!("[{name}]\n"));
            for (name, default) in defaults(section.name) {
                written.push_str(&format!("{name} = {default}\n"));
            }
        }
    }
    let silent = format!("{LEAST}{named}{milter}[plugins.some]\n[acme]\n{MUST_OF_ACME}");
    let (written, silent) = (parse(&written).unwrap(), parse(&silent).unwrap());
    assert_eq!(format!("{written:#?}"), format!("{silent:#?}"));
}

const MUST_OF_ACME: &str = "directory-url = 'https://acme.example/'\naccept-terms = true\n";

fn defaults(section: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let keys = SECTIONS.iter().filter(move |known| known.name == section).flat_map(|known| known.keys);
    keys.filter_map(|key| match key.default {
        Default::Toml(value) => Some((key.name, value)),
        _ => None,
    })
}
