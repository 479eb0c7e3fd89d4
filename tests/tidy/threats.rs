//! Holds `SECURITY.md` against the tests that it names: each claim has one.

use super::conformance::{Named, dialogues, has_function, requirements};
use super::root;

#[test]
fn every_claim_of_the_threat_model_names_a_test_that_there_is() {
    let text = std::fs::read_to_string(root().join("SECURITY.md")).expect("the page");
    let dialogues = dialogues();
    let mut faults = Vec::new();
    let mut claims = 0;
    for (number, line, named) in requirements(&text) {
        claims += 1;
        let mut tests = 0;
        for name in named {
            match name {
                Named::Function(file, function) => {
                    tests += 1;
                    if !has_function(&file, &function) {
                        faults.push(format!("{number}: no {function} in {file}"));
                    }
                }
                // Keys of the configuration stand in backticks as well, without a slash.
                Named::Dialogue(name) if name.contains('/') => {
                    tests += 1;
                    let stem = name.strip_suffix('*').unwrap_or(&name);
                    if !dialogues.iter().any(|other| other.starts_with(stem)) {
                        faults.push(format!("{number}: no dialogue {name}"));
                    }
                }
                Named::Dialogue(_) => {}
            }
        }
        if tests == 0 {
            faults.push(format!("{number}: no test: {line}"));
        }
    }
    assert!(claims > 50, "{claims} claims");
    assert!(faults.is_empty(), "SECURITY.md:\n{}", faults.join("\n"));
}
