//! The WASI that languages' runtimes are given: it has no files, no network, no environment and no arguments.

use crate::harness::{Setup, Smtp};

#[test]
fn a_plugin_finds_nothing_of_the_machine() {
    let setup = Setup::new().plugin(
        "wasi",
        &["grants = { kv = true, dns = true, http = [\"127.0.0.1:25\"], http-private = true }"],
    );
    let server = setup.start();
    let mut client = Smtp::connect(server.address());
    client.hears("220");
    let found = client.asks("EHLO look.example", "550").text;
    let lines: Vec<_> = found.lines().map(|line| line.strip_prefix("5.7.1 ").unwrap_or(line)).collect();
    for nothing in [
        "environment []",
        "arguments []",
        "folder None",
        "files 0",
        "input Err(\"StreamError::Closed\")",
        "name ErrorCode { code: 20, name: \"permanent-resolver-failure\"",
        "tcp ErrorCode { code: 1, name: \"access-denied\"",
        "udp ErrorCode { code: 1, name: \"access-denied\"",
    ] {
        assert!(lines.iter().any(|line| line.starts_with(nothing)), "{nothing}: {lines:#?}");
    }
}
