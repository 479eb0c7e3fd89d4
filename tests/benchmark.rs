//! `make bench` in its short form: every part still measures, and every table of the page is filled. What the figures are is no claim
//! of a test; `docs/benchmarks` has those of a whole run.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::{run, target_dir};

/// All but `costs`, which traces a process, as a machine may forbid.
const PARTS: [&str; 8] = ["accept", "sizes", "relay", "plugins", "sessions", "memory", "start", "queue"];

/// What stands between the marks of a region.
fn region<'a>(page: &'a str, name: &str) -> &'a str {
    let mark = format!("<!-- make bench: {name} -->");
    let (_, behind) = page.split_once(&mark).unwrap_or_else(|| panic!("no region {name}"));
    behind.split_once("<!-- end -->").expect("the region's end").0
}

#[test]
fn the_short_form_measures_every_part_and_fills_every_table() {
    let docs = tempfile::tempdir().expect("a folder");
    let page = docs.path().join("README.md");
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::copy(here.join("../docs/benchmarks/README.md"), &page).expect("the page");
    let mut command = Command::new(here.join("bench/run"));
    command.arg(target_dir()).args(PARTS).env("BENCH_SHORT", "1").env("BENCH_DOCS", docs.path());
    let output = run(command.env("BENCH_PROFILE", "debug").env("BENCH_SERVERS", "Waxwing"));
    assert_eq!(output.code, 0, "{}{}", output.out, output.err);
    let text = fs::read_to_string(&page).expect("the page");
    for name in PARTS {
        let table = region(&text, name);
        assert!(table.lines().filter(|line| line.starts_with("| ")).count() >= 3, "{name}: {table}");
        assert!(!table.contains("no figure"), "{name}: {table}");
        let figures = fs::read_to_string(docs.path().join(format!("figures/{name}.json")));
        let figures: serde_json::Value = serde_json::from_str(&figures.expect("figures")).expect("JSON");
        assert!(figures["rows"].as_array().is_some_and(|rows| !rows.is_empty()), "{name}: {figures}");
    }
    for plot in ["accept-many-rate", "relay-rate", "sizes", "plugins", "memory"] {
        let svg = fs::read_to_string(docs.path().join(format!("plots/{plot}.svg"))).expect("a plot");
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{plot}: {svg}");
    }
}
