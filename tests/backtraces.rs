//! What the log says of a trap: the guest's functions by their names, with files and lines where the component has them.

use crate::harness::{Setup, component, run};
use crate::languages::with_tools;

/// The line about the failure of a plugin at RCPT.
fn failure(name: &str, component: &[u8]) -> String {
    let setup = Setup::new().set(&format!("plugins.{name}"), "on-failure = \"tempfail\"");
    let setup = match name {
        "trapping" => setup,
        _ => setup.set(&format!("plugins.{name}"), "settings = { at = \"rcpt\" }"),
    };
    setup.drop_in_octets(name, component);
    let server = setup.start();
    let mut client = server.client();
    client.asks("MAIL FROM:<ann@example.com>", "250");
    client.asks("RCPT TO:<alice@example.org>", "451");
    server.logs(&["plugin failed", name, "backtrace="])
}

#[test]
fn a_rust_plugin_that_panics_or_recurses_is_shown_by_the_names_of_its_functions() {
    // What was inlined shows by its lines alone, which these guests do not have.
    for (guest, function) in
        [("trap", "panic_fmt; trap::at; waxwing:mail/on-rcpt"), ("recursion", "recursion::deeper x")]
    {
        let line = failure(guest, &std::fs::read(component(guest)).expect("a component"));
        assert!(line.contains(function), "{guest}: {line}");
        assert!(line.len() < 6_000 && !line.contains("17h"), "hashes say nothing: {line}");
    }
}

/// Begins a project, puts a trap into its hook at RCPT, and builds it: its component.
fn trapping(language: &str, source: &str, changes: &[(&str, &str)], lines: bool) -> Vec<u8> {
    let setup = Setup::new();
    let waxwing = |arguments: &[&str]| {
        let output = run(with_tools(setup.binary(), &setup).args(arguments));
        assert_eq!(output.code, 0, "{arguments:?}: {}{}", output.out, output.err);
    };
    waxwing(&["plugin", "new", "trapping", "--lang", language]);
    let file = setup.path("trapping").join(source);
    let mut text = std::fs::read_to_string(&file).expect("the source");
    for (before, after) in changes {
        assert!(text.contains(before), "{source} has no {before}");
        text = text.replacen(before, after, 1);
    }
    std::fs::write(&file, text).expect("the source");
    match lines {
        true => waxwing(&["plugin", "build", "trapping", "--debug"]),
        false => waxwing(&["plugin", "build", "trapping"]),
    }
    std::fs::read(setup.path("trapping").join("trapping.wasm")).expect("the component")
}

/// Where a line of the source is in a backtrace: `src/plugin.c:`.
#[track_caller]
fn shows(line: &str, function: &str, file: Option<&str>) {
    assert!(line.contains(function), "{line}");
    match file {
        Some(file) => {
            let number = line.split(file).nth(1).unwrap_or_else(|| panic!("no {file} in {line}"));
            assert!(number.starts_with(|c: char| c.is_ascii_digit()), "{line}");
        }
        None => assert!(!line.contains("src/"), "{line}"),
    }
}

#[test]
fn a_c_plugin_that_traps_is_shown_by_its_functions_and_with_debug_by_its_lines() {
    let changes = [
        (
            "void exports_waxwing_mail_on_rcpt_rcpt(",
            "static __attribute__((noinline)) void overreach(size_t len) { if (len) __builtin_trap(); }\n\n\
             void exports_waxwing_mail_on_rcpt_rcpt(",
        ),
        ("  plugin_string_t closed;\n", "  plugin_string_t closed;\n  overreach(recipient->local.len);\n"),
    ];
    for lines in [false, true] {
        let component = trapping("c", "src/plugin.c", &changes, lines);
        let line = failure("trapping", &component);
        shows(&line, "overreach", lines.then_some("src/plugin.c:"));
        assert!(line.contains("exports_waxwing_mail_on_rcpt_rcpt"), "who called it: {line}");
    }
}

/// What needs a library compiled anew, with its lines.
pub(crate) mod interop {
    use super::{failure, shows, trapping};

    #[test]
    #[ignore = "interop: compiles the SDK once more, with lines"]
    fn a_rust_plugin_that_panics_is_shown_with_files_and_lines_when_it_was_built_with_debug() {
        let change = ("        Verdict::Proceed\n", "        panic!(\"told to\")\n");
        let component = trapping("rust", "src/lib.rs", &[change], true);
        shows(&failure("trapping", &component), "rcpt", Some("src/lib.rs:"));
    }
}
