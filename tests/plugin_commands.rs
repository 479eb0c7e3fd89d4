//! What the postmaster can do with plugins while the server runs: look, reload, go back; and what is said of those that are missing.

use crate::harness::{Setup, component, message, wait_until};

const REJECTS: &str = "settings = { at = \"rcpt\", say = \"reject\" }";

/// The same component in another file: with a custom section at its end.
fn version(name: &str, number: u8) -> Vec<u8> {
    let mut octets = std::fs::read(component(name)).expect("a component");
    octets.extend([0, 3, 1, b'v', number]);
    octets
}

fn plugin(setup: &Setup, name: &str) -> serde_json::Value {
    let listed = setup.json(&["plugin", "list"]);
    let plugins = listed["plugins"].as_array().expect("plugins");
    plugins.iter().find(|plugin| plugin["name"] == name).cloned().unwrap_or_default()
}

#[test]
fn a_plugin_goes_back_by_a_command_stays_there_over_a_restart_and_leaves_with_the_next_file() {
    let setup = Setup::new().plugin("verdict", &[REJECTS]);
    let server = setup.start();
    let first = plugin(&setup, "verdict")["hash"].clone();
    setup.drop_in_octets("verdict", &version("verdict", 1));
    wait_until("the next generation", || plugin(&setup, "verdict")["hash"] != first);
    let second = plugin(&setup, "verdict")["hash"].clone();
    let back = setup.command(&["plugin", "rollback", "verdict"]);
    assert_eq!((back.code, back.out.trim()), (0, "verdict: generation 3"), "{}", back.err);
    assert_eq!(plugin(&setup, "verdict")["hash"], first);
    server.stops();
    let server = setup.start();
    assert_eq!(plugin(&setup, "verdict")["hash"], first);
    assert_eq!(plugin(&setup, "verdict")["rolled-back"]["file"], second);
    let shown = setup.command(&["plugin", "list"]).out;
    assert!(shown.contains("rolled back") && shown.contains("until it changes"), "{shown}");
    assert!(shown.contains("imports") && shown.contains("kept"), "{shown}");
    setup.drop_in_octets("verdict", &version("verdict", 2));
    wait_until("the next file", || plugin(&setup, "verdict")["rolled-back"].is_null());
    let mut client = server.client();
    client.asks("MAIL FROM:<ann@example.com>", "250");
    client.asks("RCPT TO:<alice@example.org>", "550 5.7.1");
    let refused = setup.command(&["plugin", "rollback", "verdict", "deadbeef"]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("what is:"), "{}", refused.err);
}

#[test]
fn a_reload_of_plugins_closes_the_breaker_and_says_how_each_file_fared() {
    let setup = Setup::new().plugin("trap", &["settings = { at = \"rcpt\" }"]).plugin("nosy", &[]);
    let server = setup.start();
    for _ in 0..5 {
        let mut client = server.client();
        client.asks("MAIL FROM:<ann@example.com>", "250");
        client.asks("RCPT TO:<alice@example.org>", "451");
    }
    let failed = plugin(&setup, "trap");
    assert_eq!((&failed["breaker"], &failed["failures-by-kind"]["trap"]), (&"open".into(), &5.into()));
    let reloaded = setup.json(&["plugin", "reload", "trap"]);
    assert_eq!(reloaded, serde_json::json!([{ "name": "trap", "generation": 2, "refused": null }]));
    assert_eq!(plugin(&setup, "trap")["breaker"], "closed");
    std::fs::write(setup.plugin_file("nosy"), b"rubbish").expect("the file");
    let all = setup.command(&["plugin", "reload"]);
    assert_eq!(all.code, 1);
    assert!(
        all.out.contains("trap: generation 3") && all.out.contains("refused: nosy: is no WebAssembly"),
        "{}",
        all.out
    );
    assert_eq!(setup.command(&["plugin", "reload", "nobody"]).code, 1);
}

#[test]
fn mail_is_put_off_while_a_plugin_of_the_configuration_is_missing() {
    let setup = Setup::new().set("plugins.verdict", "settings = { at = \"data\", say = \"proceed\" }");
    let server = setup.start();
    server.logs(&["verdict", "required"]);
    server.client().asks("MAIL FROM:<ann@example.com>", "451 4.3.0");
    let listed = setup.json(&["plugin", "list"]);
    assert_eq!(listed["missing"][0]["name"], "verdict", "{listed}");
    let checked = setup.checked();
    assert_eq!(checked.code, 1);
    assert!(checked.err.contains("verdict: there is no verdict.wasm in "), "{}", checked.err);
    setup.drop_in("verdict", "verdict");
    wait_until("it is there", || !plugin(&setup, "verdict").is_null());
    server.client().sends("ann@example.com", &["alice@example.org"], message("filtered"));
    assert_eq!(setup.checked().code, 0);
    std::fs::remove_file(setup.plugin_file("verdict")).expect("it goes");
    wait_until("it is gone", || plugin(&setup, "verdict").is_null());
    server.client().asks("MAIL FROM:<ann@example.com>", "451 4.3.0");
}

#[test]
fn a_plugins_directory_that_is_not_there_is_a_fault_for_whoever_checks() {
    let setup = Setup::new().set("plugins", "dir = \"elsewhere\"");
    let checked = setup.checked();
    assert_eq!(checked.code, 1);
    assert!(
        checked.err.contains("plugins.dir: ") && checked.err.contains("elsewhere is no directory"),
        "{}",
        checked.err
    );
}

#[test]
fn a_plugin_that_is_disabled_stays_so_over_a_restart_and_is_shown_loudly_where_it_is_required() {
    let setup = Setup::new().plugin("verdict", &[REJECTS]);
    let server = setup.start();
    let refuses = |server: &crate::harness::Server, code: &str| {
        let mut client = server.client();
        client.asks("MAIL FROM:<ann@example.com>", "250");
        client.asks("RCPT TO:<alice@example.org>", code);
    };
    refuses(&server, "550");
    let disabled = setup.command(&["plugin", "disable", "verdict"]);
    assert_eq!(disabled.code, 0, "{}", disabled.err);
    assert!(disabled.out.starts_with("DISABLED: verdict: by an operator since 20"), "{}", disabled.out);
    server.logs(&["verdict", "required", "mail passes without it"]);
    refuses(&server, "250");
    server.stops();
    let server = setup.start();
    server.logs(&["verdict", "required", "mail passes without it"]);
    refuses(&server, "250");
    let shown = setup.command(&["plugin", "list"]).out;
    assert!(shown.contains("DISABLED: verdict: ") && shown.contains("it is required"), "{shown}");
    let listed = setup.json(&["plugin", "list"]);
    assert_eq!(
        (&listed["disabled"][0]["by"], &listed["disabled"][0]["required"], &listed["missing"]),
        (&"operator".into(), &true.into(), &serde_json::json!([])),
        "{listed}"
    );
    let reloaded = setup.command(&["plugin", "reload", "verdict"]);
    assert!(reloaded.code == 1 && reloaded.out.contains("plugin enable"), "{}", reloaded.out);
    let enabled = setup.json(&["plugin", "enable", "verdict"]);
    assert_eq!(enabled, serde_json::json!({ "name": "verdict", "generation": 2, "refused": null }));
    refuses(&server, "550");
    assert_eq!(setup.command(&["plugin", "disable", "nobody"]).code, 1);
}
