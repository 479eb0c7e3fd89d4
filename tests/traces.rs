//! `waxwing trace`: what is said in sessions, shown as it is said.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::{Arc, Mutex};

use crate::harness::{NextHop, PASSWORD, Setup, USER, message, run_with_input, wait_until};

/// A trace that runs; dropping it ends it.
struct Trace {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Trace {
    /// Begins to listen, and returns when the server listens for it.
    fn of(setup: &Setup, subject: &str) -> Self {
        let mut command = setup.binary();
        command.args(["trace", subject, "--json", "--config"]).arg(setup.config_file());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("a trace");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let out = child.stdout.take().expect("its output");
        let heard = Arc::clone(&lines);
        std::thread::spawn(move || gather(out, &heard));
        Self { child, lines }
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("the lines").clone()
    }

    /// Asks for something until the trace has heard of it: nobody says when the server has begun to listen.
    fn hears(&self, word: &str, mut act: impl FnMut()) {
        wait_until(&format!("{word:?} in a trace"), || {
            act();
            self.lines().iter().any(|line| line.contains(word))
        });
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // It may have ended with the server.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn gather(out: ChildStdout, lines: &Mutex<Vec<String>>) {
    for line in BufReader::new(out).lines().map_while(Result::ok) {
        let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let field = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        lines.lock().expect("the lines").push(format!(
            "{} {}: {}",
            field("peer"),
            field("who"),
            field("text")
        ));
    }
}

#[test]
fn a_recipient_is_traced_through_the_session_that_brings_the_mail_and_the_one_that_takes_it_away() {
    let hop = NextHop::start();
    let setup = Setup::new().relays().smarthost(hop.address);
    let server = setup.start();
    let trace = Trace::of(&setup, "carl@elsewhere.example");
    trace.hears("to 127.0.0.1", || {
        server.client().sends("alice@example.org", &["carl@elsewhere.example"], message("traced"));
    });
    wait_until("the end of the transaction", || {
        trace
            .lines()
            .iter()
            .any(|line| line.starts_with("to ") && line.contains("server: 250") && line.contains("2.0.0"))
            || trace.lines().iter().any(|line| line.starts_with("to ") && line.contains("octets of content"))
    });
    let lines = trace.lines();
    for said in [
        "from 127.0.0.1 at mx server: 220",
        "from 127.0.0.1 at mx client: EHLO client.example.com",
        "from 127.0.0.1 at mx client: RCPT TO:<carl@elsewhere.example>",
        "from 127.0.0.1 at mx client: Subject: traced",
        "client: MAIL FROM:<alice@example.org>",
    ] {
        assert!(lines.iter().any(|line| line.starts_with(said) || line.contains(said)), "{said}: {lines:#?}");
    }
    // What does not concern it is not heard.
    server.client().sends("ann@example.com", &["alice@example.org"], message("another"));
    setup.mailbox("alice").with("Subject: another");
    assert!(!trace.lines().iter().any(|line| line.contains("another")), "{:#?}", trace.lines());
}

#[test]
fn a_message_that_cannot_leave_is_traced_by_its_id() {
    let hop = NextHop::start();
    let address = hop.address;
    drop(hop);
    let setup = Setup::new().relays().smarthost(address).set("queue", "retry = [\"1h\"]");
    let server = setup.start();
    let reply = server.client().sends("alice@example.org", &["carl@elsewhere.example"], message("waits"));
    let id = reply.text.rsplit(' ').next().expect("an id").to_owned();
    server.logs(&["deferred"]);
    let trace = Trace::of(&setup, &id);
    trace.hears("no session", || assert_eq!(setup.command(&["queue", "retry", &id]).code, 0));
}

#[test]
fn a_password_is_never_in_a_trace() {
    let setup =
        Setup::new().set("[listener]", "kind = \"submission\"").set("auth", "plaintext-without-tls = true");
    let made = run_with_input(setup.binary().arg("passwd"), format!("{PASSWORD}\n").as_bytes());
    let setup = setup.block(&format!("[[user]]\nname = \"{USER}\"\npassword-hash = '{}'", made.out.trim()));
    let server = setup.start();
    let trace = Trace::of(&setup, "127.0.0.1");
    trace.hears("connected", || drop(server.client()));
    let secret = "AGFsaWNlAG9wZW4gc2VzYW1l";
    let mut client = server.client();
    client.asks(&format!("AUTH PLAIN {secret}"), "535");
    client.asks("AUTH LOGIN", "334");
    client.asks("c2VjcmV0", "334");
    client.asks("c2VjcmV0", "535");
    client.asks("c2VjcmV0", "5");
    client.asks("NOOP that-was-all", "250");
    trace.hears("that-was-all", || {});
    let lines = trace.lines();
    assert!(!lines.iter().any(|line| line.contains(secret) || line.contains("c2VjcmV0")), "{lines:#?}");
    for said in ["client: AUTH PLAIN (credentials)", "client: AUTH LOGIN", "octets that are no command"] {
        assert!(lines.iter().any(|line| line.contains(said)), "{said}: {lines:#?}");
    }
}

#[test]
fn what_names_nothing_is_refused_and_a_trace_ends_with_the_server() {
    let setup = Setup::new();
    let server = setup.start();
    let refused = setup.command(&["trace", "nonsense"]);
    assert_eq!(refused.code, 1, "{}", refused.out);
    assert!(refused.err.contains("\"nonsense\""), "{}", refused.err);
    let mut trace = Trace::of(&setup, "192.0.2.7");
    server.stops();
    wait_until("the trace to end", || trace.child.try_wait().expect("its state").is_some());
}
