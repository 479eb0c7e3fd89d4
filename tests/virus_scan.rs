//! The plugin clamd in the real server. clamd is scripted here; the real one is in `interop`.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crate::harness::{Reply, Server, Setup};

/// What the scripted clamd finds.
const EVIL: &str = "an-evil-pattern";

/// A clamd at a socket in the setup's folder. Its threads end with the test's process.
struct Clamd {
    path: PathBuf,
    /// The last octets of each message that it was given, and how many there were.
    seen: Arc<Mutex<Vec<(u64, String)>>>,
}

impl Clamd {
    fn start(setup: &Setup) -> Self {
        let path = setup.path("clamd");
        let listener = UnixListener::bind(&path).expect("a socket");
        let seen: Arc<Mutex<Vec<(u64, String)>>> = Arc::default();
        let notes = seen.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let notes = notes.clone();
                std::thread::spawn(move || converse(socket, &notes));
            }
        });
        Self { path, seen }
    }

    fn grants(&self) -> String {
        format!("grants = {{ clamd = \"unix:{}\" }}", self.path.display())
    }

    fn last(&self) -> (u64, String) {
        self.seen.lock().expect("what it saw").last().cloned().expect("a scan")
    }
}

fn converse(mut socket: UnixStream, seen: &Mutex<Vec<(u64, String)>>) -> std::io::Result<()> {
    let mut command = [0; 10];
    socket.read_exact(&mut command)?;
    assert_eq!(&command, b"zINSTREAM\0");
    let (mut octets, mut tail, mut is_evil) = (0, Vec::new(), false);
    loop {
        let mut len = [0; 4];
        socket.read_exact(&mut len)?;
        let len = u32::from_be_bytes(len) as usize;
        if len == 0 {
            break;
        }
        let mut piece = vec![0; len];
        socket.read_exact(&mut piece)?;
        octets += len as u64;
        tail.extend(piece);
        is_evil |= tail.windows(EVIL.len()).any(|window| window == EVIL.as_bytes());
        tail.drain(..tail.len().saturating_sub(100));
    }
    seen.lock().expect("what it saw").push((octets, String::from_utf8_lossy(&tail).into_owned()));
    socket.write_all(if is_evil { b"stream: Test.Evil-1 FOUND\0" } else { b"stream: OK\0" })
}

fn sends(server: &Server, content: &str) -> Reply {
    let mut client = server.client();
    client.begins_message("ann@example.com", &["alice@example.org"]);
    client.ends_message(content)
}

#[test]
fn what_clamd_finds_is_refused_and_the_rest_arrives() {
    let setup = Setup::new();
    let clamd = Clamd::start(&setup);
    let setup = setup.plugin("clamd", &[&clamd.grants()]);
    let server = setup.start();
    let refused = sends(&server, &format!("Subject: bad\r\n\r\n{EVIL}\r\n"));
    assert!(refused.begins("550 5.7.1 Test.Evil-1 was found"), "{refused:?}");
    assert_eq!(sends(&server, "Subject: good\r\n\r\nhello\r\n").code, 250);
    setup.mailbox("alice").with("Subject: good");
}

#[test]
fn clamd_sees_the_message_as_the_plugins_before_left_it() {
    let setup = Setup::new();
    let clamd = Clamd::start(&setup);
    let setup = setup
        .plugin("footer", &["settings = { text = \"Sent through Waxwing\" }"])
        .plugin("clamd", &[&clamd.grants()])
        .set("plugins", "order = [\"footer\", \"clamd\"]");
    let server = setup.start();
    assert_eq!(sends(&server, "Subject: x\r\n\r\nhello\r\n").code, 250);
    let (_, end) = clamd.last();
    assert!(end.ends_with("hello\r\n\r\nSent through Waxwing\r\n"), "{end}");
}

#[test]
fn fifty_megabytes_are_scanned_by_a_plugin_that_has_two() {
    let setup = Setup::new();
    let clamd = Clamd::start(&setup);
    let setup = setup
        .set("limits", "message-size = \"60 MiB\"")
        .plugin("clamd", &[&clamd.grants(), "settings = { max-size = 60000000 }"])
        .set("plugins.clamd", "limits = { memory = \"2 MiB\", wall-per-hook = \"5m\" }");
    let server = setup.start();
    let body = "a line of mail that is as long as many others are\r\n".repeat(1_000_000);
    assert_eq!(sends(&server, &format!("Subject: large\r\n\r\n{body}")).code, 250);
    let (octets, _) = clamd.last();
    assert!(octets >= body.len() as u64, "{octets}");
    let refused = sends(&server, &format!("Subject: large\r\n\r\n{body}{EVIL}\r\n"));
    assert!(refused.begins("550 5.7.1 Test.Evil-1"), "{refused:?}");
}

#[test]
fn without_clamd_or_without_its_grant_mail_is_put_off_or_goes_on_as_the_settings_say() {
    for (settings, code) in [("on-error = \"tempfail\"", 451), ("on-error = \"proceed\"", 250)] {
        let settings = format!("settings = {{ {settings} }}");
        let nowhere = "grants = { clamd = \"unix:/nowhere/clamd.sock\" }";
        for lines in [vec![nowhere, settings.as_str()], vec![settings.as_str()]] {
            let server = Setup::new().plugin("clamd", &lines).start();
            assert_eq!(sends(&server, "Subject: x\r\n\r\nhello\r\n").code, code, "{lines:?}");
            server.logs(&["clamd", "could not be scanned"]);
        }
    }
}

#[test]
fn an_address_that_is_none_is_a_fault_of_the_configuration() {
    for (address, why) in [("clamd.sock", "is no address of a filter"), ("unix:clamd.sock", "not absolute")] {
        let grants = format!("grants = {{ clamd = \"{address}\" }}");
        let checked = Setup::new().plugin("clamd", &[&grants]).checked();
        assert_eq!(checked.code, 1);
        assert!(
            checked.err.contains("plugins.clamd.grants.clamd") && checked.err.contains(why),
            "{checked:?}"
        );
    }
}
