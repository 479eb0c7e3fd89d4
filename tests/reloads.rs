//! What a reload changes while sessions run: addresses, how much is logged; and reloads that meet, or that find a fault.

use std::net::{SocketAddr, TcpListener};

use serde_json::json;

use crate::harness::{Dns, NextHop, Server, Setup, Smtp, USER, message, run, wait_until};

/// A second listener.
fn listener(name: &str, bind: &str) -> String {
    format!("[[listener]]\nname = \"{name}\"\nbind = {bind}\n")
}

/// An address of this machine that nobody listens at.
fn free() -> SocketAddr {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    free.expect("a free port")
}

/// The server's listeners by `status`, as names and addresses.
fn listening(setup: &Setup) -> Vec<(String, String)> {
    let status = setup.json(&["status"]);
    let text = |one: &serde_json::Value, key: &str| one[key].as_str().expect("a text").to_owned();
    let listeners = status["listeners"].as_array().expect("listeners").iter();
    listeners.map(|one| (text(one, "name"), text(one, "address"))).collect()
}

#[track_caller]
fn reloads(setup: &Setup) -> serde_json::Value {
    setup.write();
    setup.json(&["reload"])
}

#[track_caller]
fn sends(server: &Server, address: SocketAddr, subject: &str) {
    let mut client = Smtp::greeted(address);
    client.sends("ann@example.com", &[USER], message(subject));
    server.logs(&["delivered", USER]);
}

/// Whether nobody accepts there any more.
fn is_closed(address: SocketAddr) -> bool {
    Smtp::tries_to_connect(address).is_none()
}

#[test]
fn a_reload_opens_an_address_and_closes_one_behind_which_sessions_finish() {
    let (first, second) = (free(), free());
    let setup = Setup::new().block(&listener("lan", &format!("\"{first}\"")));
    let server = setup.start();
    let mut busy = Smtp::greeted(first);
    busy.begins_message("ann@example.com", &[USER]);
    busy.raw("Subject: begun before\r\n");
    let text = setup.text();
    let moved = text.replace(&first.to_string(), &second.to_string());
    std::fs::write(setup.config_file(), moved).expect("the configuration");
    assert_eq!(
        setup.json(&["reload"]),
        json!({"refused": [], "needs-restart": [], "opened": [format!("lan {second}")], "closed": [format!("lan {first}")]})
    );
    sends(&server, second, "where it listens now");
    wait_until("the old address to be closed", || is_closed(first));
    busy.raw("\r\nhello\r\n.\r\n");
    busy.hears("250 2.0.0");
    setup.mailbox("alice").with("Subject: begun before");
    let names: Vec<_> = listening(&setup).into_iter().filter(|(name, _)| name == "lan").collect();
    assert_eq!(names, [("lan".to_owned(), second.to_string())]);
    // The other listener was left alone, and what is left of the first run outlives a new beginning.
    sends(&server, server.address(), "the other listener");
    assert_eq!(setup.command(&["restart"]).code, 0);
    sends(&server, second, "after a new beginning");
    server.stops();
}

#[test]
fn listeners_come_go_and_change_their_names_without_a_restart() {
    let address = free();
    let mut setup = Setup::new();
    let server = setup.start();
    let plain = setup.text();
    setup = setup.block(&listener("lan", &format!("\"{address}\"")));
    assert_eq!(reloads(&setup)["opened"], json!([format!("lan {address}")]));
    sends(&server, address, "a new listener");
    // Another name is no other socket: who waits there is not refused. A colon is nothing special.
    let renamed = setup.text().replace("name = \"lan\"", "name = \"lan:2\"");
    std::fs::write(setup.config_file(), &renamed).expect("the configuration");
    let answer = setup.json(&["reload"]);
    assert_eq!((&answer["opened"], &answer["closed"]), (&json!([]), &json!([])));
    assert!(listening(&setup).contains(&("lan:2".to_owned(), address.to_string())));
    sends(&server, address, "by another name");
    assert_eq!(setup.command(&["restart"]).code, 0);
    assert!(listening(&setup).contains(&("lan:2".to_owned(), address.to_string())));
    sends(&server, address, "by another name after a new beginning");
    std::fs::write(setup.config_file(), &plain).expect("the configuration");
    assert_eq!(setup.json(&["reload"])["closed"], json!([format!("lan:2 {address}")]));
    wait_until("the address to be closed", || is_closed(address));
    sends(&server, server.address(), "the one that is left");
}

#[test]
fn an_address_that_cannot_be_bound_is_named_and_the_old_configuration_stays_whole() {
    let (taken, other) = (TcpListener::bind("127.0.0.1:0").expect("a port"), free());
    let taken = taken.local_addr().map(|address| (taken, address)).expect("its address");
    let mut setup = Setup::new();
    let server = setup.start();
    let plain = setup.text();
    setup.change("limits", "recipients = 1");
    let setup = setup.block(&listener("lan", &format!("[\"{other}\", \"{}\"]", taken.1)));
    setup.write();
    let refused = setup.command(&["reload"]);
    assert_eq!(refused.code, 1, "{}", refused.out);
    assert!(refused.err.contains(&format!("cannot listen on {} (lan)", taken.1)), "{}", refused.err);
    assert!(setup.command(&["status"]).out.contains("cannot listen on"));
    let restart = setup.command(&["restart"]);
    assert!(restart.code == 1 && restart.err.contains("cannot listen on"), "{}", restart.err);
    wait_until("the address that could be bound to be closed again", || is_closed(other));
    let mut client = server.client();
    client.begins_message("ann@example.com", &[USER, "bob@example.org"]);
    assert_eq!(client.ends_message(message("two recipients")).code, 250);
    drop(taken);
    assert_eq!(reloads(&setup)["opened"].as_array().map(Vec::len), Some(2));
    std::fs::write(setup.config_file(), plain).expect("the configuration");
    assert_eq!(setup.json(&["reload"])["closed"].as_array().map(Vec::len), Some(2));
}

#[test]
fn an_address_in_the_way_of_its_follower_is_named_and_a_new_beginning_takes_it() {
    let port = free().port();
    let (narrow, wide) = (format!("127.0.0.1:{port}"), format!("0.0.0.0:{port}"));
    let setup = Setup::new().block(&listener("lan", &format!("\"{narrow}\"")));
    let server = setup.start();
    std::fs::write(setup.config_file(), setup.text().replace(&narrow, &wide)).expect("the configuration");
    let refused = setup.command(&["reload"]);
    assert_eq!(refused.code, 1, "{}", refused.out);
    assert!(refused.err.contains(&format!("{narrow} is open until")), "{}", refused.err);
    let address = narrow.parse().expect("an address");
    sends(&server, address, "as before");
    let restart = setup.command(&["restart"]);
    assert_eq!(restart.code, 0, "{}{}", restart.err, server.log());
    assert!(listening(&setup).contains(&("lan".to_owned(), wide)));
    sends(&server, address, "wider");
}

#[test]
fn a_port_of_roots_is_told_in_clear_words_once_its_rights_are_given_up() {
    use std::os::unix::fs::{PermissionsExt, chown};
    if !rustix::process::geteuid().is_root() {
        println!("only root can become somebody else: not run");
        return;
    }
    let first_ports = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    if first_ports.is_ok_and(|first| first.trim() == "0") {
        println!("every port may be bound here: not run");
        return;
    }
    let setup = Setup::new().set("process", "user = \"nobody\"");
    std::fs::set_permissions(setup.path(""), PermissionsExt::from_mode(0o755)).expect("its mode");
    chown(setup.path("mail"), Some(65_534), None).expect("its owner");
    let server = setup.start();
    let setup = setup.block(&listener("low", "\"127.0.0.1:879\""));
    setup.write();
    for command in ["reload", "restart"] {
        let refused = setup.command(&[command]);
        assert_eq!(refused.code, 1, "{command}: {}", refused.out);
        for words in ["cannot listen on 127.0.0.1:879 (low)", "root", "start it again from outside"] {
            assert!(refused.err.contains(words), "{command}: {words}: {}", refused.err);
        }
    }
    sends(&server, server.address(), "goes on");
    assert!(listening(&setup).iter().all(|(name, _)| name == "mx"));
}

#[test]
fn how_much_is_logged_changes_with_a_reload() {
    let mut setup = Setup::new();
    let server = setup.start();
    let debugs = || server.logged(&["DEBUG"]).len();
    sends(&server, server.address(), "at info");
    assert_eq!(debugs(), 0, "{}", server.log());
    setup.change("log", "level = \"debug\"");
    assert_eq!(reloads(&setup)["needs-restart"], json!([]));
    server.client().sends("ann@example.com", &[USER], message("at debug"));
    server.logs(&["DEBUG"]);
    // A fault leaves it as it is.
    setup.change("log", "level = \"loud\"");
    setup.write();
    assert_eq!(setup.command(&["reload"]).code, 1);
    let before = debugs();
    server.client().sends("ann@example.com", &[USER], message("still at debug"));
    wait_until("more of it", || debugs() > before);
    setup.change("log", "level = \"error\"");
    assert_eq!(reloads(&setup)["needs-restart"], json!([]));
    let before = server.logged(&["accepted"]).len();
    server.client().sends("ann@example.com", &[USER], message("at error"));
    setup.mailbox("alice").with("Subject: at error");
    assert_eq!(server.logged(&["accepted"]).len(), before);
    setup.change("log", "format = \"json\"");
    assert_eq!(reloads(&setup)["needs-restart"], json!(["log.format"]));
}

#[test]
fn other_name_servers_are_asked_from_a_reload_on() {
    let (before, after) = (Dns::start(), Dns::start());
    let first = NextHop::on("127.0.0.2:0".parse().expect("an address"));
    let port = first.address.port();
    let second = NextHop::on(format!("127.0.0.3:{port}").parse().expect("an address"));
    // Each knows one domain, and has never heard of the other's.
    for (dns, name, ip) in [(&before, "old.example", "127.0.0.2"), (&after, "new.example", "127.0.0.3")] {
        dns.mx(name, 10, &format!("mx.{name}"));
        dns.address_of(&format!("mx.{name}"), ip);
    }
    let mut setup = Setup::new()
        .relays()
        .hurries()
        .set("dns", &format!("servers = [\"{}\"]", before.address))
        .set("outbound", &format!("mx-port = {port}"));
    let server = setup.start();
    let send = |to: &str| {
        server.client().sends("alice@example.org", &[to], message("by a name server"));
    };
    send("carl@old.example");
    first.wait(1);
    let text = setup.text().replace(&before.address.to_string(), &after.address.to_string());
    std::fs::write(setup.config_file(), &text).expect("the configuration");
    assert_eq!(setup.json(&["reload"])["needs-restart"], json!([]));
    send("dora@new.example");
    second.wait(1);
    assert_eq!(first.received().len(), 1);
    // What cannot be read is no name server.
    setup.change("dns", "trust-anchor-file = \"gone.key\"");
    setup.write();
    let refused = setup.command(&["reload"]);
    assert!(refused.code == 1 && refused.err.contains("gone.key"), "{}", refused.err);
}

#[test]
fn reloads_that_meet_come_one_after_the_other_and_the_last_file_counts() {
    let addresses = [free(), free()];
    let setup = Setup::new();
    let server = setup.start();
    let texts = addresses.map(|address| setup.text() + &listener("lan", &format!("\"{address}\"")));
    let file = setup.config_file();
    for round in 0..6 {
        let next = setup.path("next.toml");
        std::fs::write(&next, &texts[round % 2]).expect("the configuration");
        std::fs::rename(&next, &file).expect("the configuration");
        let reload = || {
            let mut command = setup.binary();
            command.args(["reload", "--config"]).arg(&file);
            std::thread::spawn(move || run(&mut command))
        };
        let asked: Vec<_> = (0..4).map(|_| reload()).collect();
        server.hang_up();
        for asked in asked {
            let output = asked.join().expect("a reload");
            assert_eq!(output.code, 0, "{round}: {}{}", output.out, output.err);
        }
        let (open, closed) = (addresses[round % 2], addresses[1 - round % 2]);
        sends(&server, open, "meanwhile");
        wait_until("the other address to be closed", || is_closed(closed));
    }
    let last: Vec<_> = listening(&setup).into_iter().filter(|(name, _)| name == "lan").collect();
    assert_eq!(last, [("lan".to_owned(), addresses[1].to_string())]);
    let opened = server.logged(&["listens from now on"]).len();
    assert_eq!(opened, 6, "each address was opened once a round: {}", server.log());
}

#[test]
fn a_configuration_that_was_valid_and_no_longer_is_stays_in_force_and_says_so() {
    let mut setup = Setup::new();
    let certificate = setup.certificate();
    let setup = setup.set("[listener]", "tls = \"starttls\"");
    let mut server = setup.start();
    assert_eq!(reloads(&setup)["refused"], json!([]));
    let kept = std::fs::read(&certificate).expect("the certificate");
    let text = setup.text();
    let faults: [(&str, &dyn Fn()); 3] = [
        ("the file is gone", &|| std::fs::remove_file(setup.config_file()).expect("the configuration")),
        ("what it names is gone", &|| std::fs::remove_file(&certificate).expect("the certificate")),
        ("what it names is empty", &|| std::fs::write(&certificate, "").expect("the certificate")),
    ];
    for (what, breaks) in faults {
        breaks();
        let pid = server.pid();
        // The command finds the server by the file, which may be gone: the signal needs none.
        let before = server.logged(&["counts for nothing"]).len();
        server.hang_up();
        wait_until(what, || server.logged(&["counts for nothing"]).len() > before);
        assert!(server.is_running(), "{what}: process {pid}");
        let mut client = server.client();
        client.asks("STARTTLS", "220");
        drop(client);
        sends(&server, server.address(), "by what counts");
        std::fs::write(setup.config_file(), &text).expect("the configuration");
        let status = setup.json(&["status"]);
        assert!(status["last-reload"]["error"].is_string(), "{what}: {status}");
        std::fs::write(&certificate, &kept).expect("the certificate");
        assert_eq!(setup.json(&["reload"])["refused"], json!([]), "{what}");
        assert!(setup.json(&["status"])["last-reload"]["error"].is_null(), "{what}");
    }
}
