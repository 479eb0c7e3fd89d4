//! Milters beside plugins in the real server. The milters are scripted here; real ones are in `interop`.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::harness::{Api, Setup, USER, run_with_input, wait_until};

/// What it says to a command: frames, each a code and what belongs to it; nothing: it closes.
type Script = fn(&[u8]) -> Option<Vec<&'static [u8]>>;

/// A milter at a socket in the setup's folder. Its threads end with the test's process.
struct Milter {
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
    address: String,
}

impl Milter {
    fn start(setup: &Setup, name: &str, script: Script) -> Self {
        let path = setup.path(name);
        let listener = UnixListener::bind(&path).expect("a socket");
        let heard: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let notes = heard.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let notes = notes.clone();
                std::thread::spawn(move || converse(socket, script, &notes));
            }
        });
        Self { heard, address: format!("unix:{}", path.display()) }
    }

    /// A `[[milter]]` with these lines.
    fn block(&self, name: &str, lines: &str) -> String {
        format!("[[milter]]\nname = \"{name}\"\naddress = \"{}\"\n{lines}", self.address)
    }

    fn has_heard(&self, what: &str) -> bool {
        let heard = self.heard.lock().expect("what it heard");
        heard.iter().any(|frame| String::from_utf8_lossy(frame).replace('\0', " ").contains(what))
    }
}

fn converse(mut socket: UnixStream, script: Script, notes: &Mutex<Vec<Vec<u8>>>) -> Option<()> {
    loop {
        let mut len = [0; 4];
        socket.read_exact(&mut len).ok()?;
        let mut frame = vec![0; u32::from_be_bytes(len) as usize];
        socket.read_exact(&mut frame).ok()?;
        notes.lock().expect("what it heard").push(frame.clone());
        for answer in script(&frame)? {
            socket.write_all(&(answer.len() as u32).to_be_bytes()).ok()?;
            socket.write_all(answer).ok()?;
        }
    }
}

/// Agrees to everything, and lets everything go on.
fn usual(frame: &[u8]) -> Option<Vec<&'static [u8]>> {
    match frame[0] {
        b'O' => Some(vec![b"O\0\0\0\x06\0\0\x01\xff\0\0\0\0"]),
        b'D' | b'A' => Some(Vec::new()),
        b'Q' => None,
        _ => Some(vec![b"c"]),
    }
}

/// Changes whatever can be changed.
fn changes(frame: &[u8]) -> Option<Vec<&'static [u8]>> {
    match frame[0] {
        b'R' if frame.windows(5).any(|window| window == b"<dave") => {
            Some(vec![b"y550 5.7.1 not dave\r\n550 5.7.1 not today\0"])
        }
        b'E' => Some(vec![
            b"p",
            b"i\0\0\0\x01X-Milter\0was here\nX-Evil: never\0",
            b"m\0\0\0\x01Subject\0changed\0",
            b"bnew\n",
            b"bbody\n",
            b"+<carol@example.org>\0",
            b"-<bob@example.org>\0",
            b"c",
        ]),
        _ => usual(frame),
    }
}

#[test]
fn a_milter_edits_after_the_plugins_and_refuses_single_recipients() {
    let mut setup =
        Setup::new().plugin("tag-headers", &["settings = { rules = [{ add = { X-Plugin = \"first\" } }] }"]);
    let milter = Milter::start(&setup, "milter.sock", changes);
    setup = setup.block(&milter.block("editor", "macros = { daemon_name = \"ORIGINATING\" }"));
    let server = setup.start();
    let mut client = server.client();
    client.asks("MAIL FROM:<ann@example.com>", "250");
    client.asks("RCPT TO:<bob@example.org>", "250");
    client.asks("RCPT TO:<alice@example.org>", "250");
    let refused = client.asks("RCPT TO:<dave@example.org>", "550 5.7.1 not dave");
    assert!(refused.text.ends_with("not today"), "{}", refused.text);
    client.asks("DATA", "354");
    assert_eq!(client.ends_message("Subject: hello\r\n\r\nold body\r\n").code, 250);

    for local in ["alice", "carol"] {
        let arrived = setup.mailbox(local).with("X-Milter: was here");
        assert!(arrived.contains("Subject: changed\n"), "{arrived}");
        assert!(
            arrived.contains("\n\tX-Evil: never\n"),
            "a value cannot begin a field of its own: {arrived}"
        );
        assert!(arrived.ends_with("\n\nnew\nbody\n"), "{arrived}");
    }
    assert!(setup.mailbox("bob").messages().is_empty(), "he was taken out");
    assert!(milter.has_heard("LX-Plugin first"), "it saw what the plugin had done");
    assert!(milter.has_heard("{daemon_name} ORIGINATING"));
    let status = setup.json(&["plugin", "list"]);
    assert_eq!(status["milters"][0]["name"], "editor");
    assert_eq!(status["milters"][0]["failures"], 0);
    server.logs(&["milter verdict", "editor", "not dave"]);
}

#[test]
fn the_failure_policy_answers_for_a_milter_and_a_reload_puts_another_in_its_place() {
    let setup = Setup::new();
    let held = Milter::start(&setup, "held.sock", |frame| match frame[0] {
        b'E' => None,
        _ => usual(frame),
    });
    let gone =
        format!("[[milter]]\nname = \"gone\"\naddress = \"unix:{}\"\n", setup.path("no.sock").display());
    let setup = setup.block(&held.block("held", "on-failure = \"quarantine\"\n"));
    let server = setup.start();
    let send = |subject: &str| {
        let mut client = server.client();
        client.begins_message("ann@example.com", &["alice@example.org"]);
        client.ends_message(format!("Subject: {subject}\r\n\r\nhello\r\n")).code
    };
    assert_eq!(send("kept"), 250);
    let queue = setup.json(&["queue", "list"]).to_string();
    assert!(queue.contains("the mail filter held failed"), "{queue}");
    server.logs(&["milter failed", "held", "closed the connection"]);

    // A file with a fault changes nothing; then a milter that is not there is asked first.
    let text = setup.text();
    std::fs::write(
        setup.config_file(),
        format!("{text}\n[[milter]]\nname = \"bad\"\naddress = \"nowhere\"\n"),
    )
    .expect("the configuration");
    let refused = setup.command(&["reload"]);
    assert!(refused.code == 1 && refused.err.contains("is no address of a filter"), "{}", refused.err);
    std::fs::write(setup.config_file(), format!("{text}\n{gone}")).expect("the configuration");
    assert_eq!(setup.command(&["reload"]).code, 0);
    wait_until("the milter that is gone to be asked", || {
        let mut client = crate::harness::Smtp::connect(server.address());
        client.next_reply().expect("a reply").code == 451
    });
    std::fs::write(setup.config_file(), format!("{text}\n{gone}on-failure = \"proceed\"\n"))
        .expect("the configuration");
    assert_eq!(setup.command(&["reload"]).code, 0);
    assert_eq!(send("kept too"), 250);
}

#[test]
fn mail_over_http_and_of_programs_has_a_name_that_milters_choose_and_plugins_see() {
    let rule = r#"settings = { rules = [{ add = { X-Plugin = "by {listener}" } }] }"#;
    let mut setup = Setup::new().answers_over_http().plugin("tag-headers", &[rule]);
    let chosen = [("http", "[\"http\"]"), ("sendmail", "[\"sendmail\"]"), ("mx", "[\"mx\"]")];
    let milters = chosen.map(|(name, _)| Milter::start(&setup, &format!("{name}.sock"), usual));
    let all = Milter::start(&setup, "all.sock", usual);
    for (milter, (name, listeners)) in milters.iter().zip(chosen) {
        setup = setup.block(&milter.block(name, &format!("listeners = {listeners}\n")));
    }
    setup = setup.block(&all.block("all", "")).block(&format!("[[user]]\nname = \"{USER}\"\n"));
    let (setup, token) = setup.token("shop", &["--scope", "send", "--user", USER]);
    let server = setup.start();

    let letter = json!({"from": USER, "to": [USER], "subject": "over http", "text": "hello"});
    assert_eq!(Api::of(&server, &token).post_json("/v1/messages", &letter, &[]).status, 202);
    let mut sendmail = setup.binary();
    sendmail.args(["sendmail", "-C"]).arg(setup.config_file()).arg(USER);
    assert_eq!(run_with_input(&mut sendmail, b"Subject: of a program\n\nhello\n").code, 0);
    let mut client = server.client();
    client.begins_message("ann@example.com", &[USER]);
    assert_eq!(client.ends_message("Subject: of mx\r\n\r\nhello\r\n").code, 250);

    for (milter, (name, _)) in milters.iter().zip(chosen) {
        for (other, _) in chosen {
            // What a plugin has as the listener's name, and what the milter itself is told.
            for told in [format!("LX-Plugin by {other}"), format!("{{daemon_name}} {other}")] {
                assert_eq!(milter.has_heard(&told), name == other, "{name}: {told}");
                assert!(all.has_heard(&told), "{told}");
            }
        }
    }
}
