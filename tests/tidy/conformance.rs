//! Holds `docs/conformance.md` against the tests that it names.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::root;

/// What a line names in backticks.
pub(super) enum Named {
    /// Dialogues, by the beginning of their names when it ends in `*`.
    Dialogue(String),
    /// A file of tests, and a function in it.
    Function(String, String),
}

/// The lines about requirements, each with its number and what it names.
pub(super) fn requirements(text: &str) -> Vec<(usize, &str, Vec<Named>)> {
    let named = |word: &str| match word.split_once('#') {
        Some((file, function)) => Named::Function(file.to_owned(), function.to_owned()),
        None => Named::Dialogue(word.to_owned()),
    };
    text.lines()
        .enumerate()
        .filter(|(_, line)| line.starts_with("- "))
        .map(|(nth, line)| (nth + 1, line, line.split('`').skip(1).step_by(2).map(named).collect()))
        .collect()
}

/// Every dialogue, as `topic/name`.
pub(super) fn dialogues() -> BTreeSet<String> {
    let folder = root().join("server/crates/smtp/dialogues");
    let entries = |folder: &PathBuf| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        entries.map(|entry| entry.expect("an entry").path()).collect()
    };
    let files = entries(&folder).into_iter().flat_map(|topic| entries(&topic));
    files
        .map(|file| file.strip_prefix(&folder).expect("below").with_extension("").display().to_string())
        .collect()
}

/// A file of tests: one of the crates', or one from end to end.
pub(super) fn has_function(file: &str, function: &str) -> bool {
    let is_at_the_root = file.starts_with("tests/") || file.starts_with("plugins/");
    let folder = if is_at_the_root { root() } else { root().join("server/crates") };
    let text = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == function)
}

#[test]
fn every_requirement_names_a_test_that_there_is_and_no_dialogue_is_left_out() {
    let text = std::fs::read_to_string(root().join("docs/conformance.md")).expect("the page");
    let all = dialogues();
    let mut left = all.clone();
    let mut faults = Vec::new();
    for (number, line, named) in requirements(&text) {
        if named.is_empty() && !line.contains("Not done") {
            faults.push(format!("{number}: names no test, and does not say that it is not done"));
        }
        for name in named {
            let found = match &name {
                Named::Function(file, function) => has_function(file, function),
                Named::Dialogue(name) => {
                    let stem = name.strip_suffix('*');
                    let is_named =
                        |other: &String| stem.map_or(other == name, |stem| other.starts_with(stem));
                    left.retain(|other| !is_named(other));
                    all.iter().any(is_named)
                }
            };
            match (found, name) {
                (true, _) => {}
                (_, Named::Dialogue(name)) => faults.push(format!("{number}: no dialogue {name}")),
                (_, Named::Function(file, name)) => faults.push(format!("{number}: no {name} in {file}")),
            }
        }
    }
    assert!(faults.is_empty(), "docs/conformance.md:\n{}", faults.join("\n"));
    assert!(left.is_empty(), "docs/conformance.md does not name {left:?}");
}
