//! Holds `docs/plugins/lessons.md` against the tests that it names.

use super::conformance::has_function;
use super::root;

/// The threads that the lessons are from, a row each: none is left out.
const THREADS: [&str; 14] = [
    "zeroclaw#9643",
    "ComponentizeJS#335, ComponentizeJS#355",
    "ComponentizeJS#350, proxy-wasm-go-sdk#450",
    "envoy#16726, envoy#39395",
    "wasmCloud#5451",
    "wasmtime#9188",
    "wasmtime#8846",
    "OpenSMTPD#619, OpenSMTPD#1044",
    "Haraka#2944, Haraka#2304",
    "stalwart#2317, stalwart#2103",
    "kumomta#79",
    "stalwart#1117, stalwart#2122, OpenSMTPD#1021",
    "rspamd#2069, rspamd#2959",
    "zellij#4449",
];

#[test]
fn every_lesson_names_a_test_that_there_is_and_no_lesson_is_left_out() {
    let text = std::fs::read_to_string(root().join("docs/plugins/lessons.md")).expect("the page");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| seen in"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let threads: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(threads, THREADS);
    let mut faults = Vec::new();
    for row in rows {
        assert_eq!(row.len(), 4, "{row:?}");
        let tests: Vec<&str> = row[3].split('`').skip(1).step_by(2).collect();
        if tests.is_empty() {
            faults.push(format!("{} names no test", row[0]));
        }
        for test in tests {
            if !test.split_once('#').is_some_and(|(file, function)| has_function(file, function)) {
                faults.push(format!("{}: no {test}", row[0]));
            }
        }
    }
    assert!(faults.is_empty(), "docs/plugins/lessons.md:\n{}", faults.join("\n"));
}
