//! Milters as Debian has them: opendkim signs and verifies, clamav-milter has clamd look for a signature of our own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::harness::{Server, Setup, run, wait_until};

/// A filter that runs as long as this value, in a folder of its own.
pub(super) struct Daemon {
    child: Child,
}

impl Daemon {
    /// Starts it; returns when its socket is there.
    pub(super) fn start(program: &str, arguments: &[&str], folder: &Path, socket: &Path) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null());
        let mut daemon = Self { child: command.spawn().unwrap_or_else(|error| panic!("{program}: {error}")) };
        wait_until(&format!("{program} to listen"), || {
            if let Some(status) = daemon.child.try_wait().expect("its state") {
                panic!("{program} ended at once, {status}");
            }
            socket.exists()
        });
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn folder(name: &str) -> TempDir {
    tempfile::Builder::new().prefix(name).tempdir().expect("a folder")
}

fn milter(name: &str, socket: &Path) -> String {
    format!("[[milter]]\nname = \"{name}\"\naddress = \"unix:{}\"\n", socket.display())
}

/// opendkim with a key for example.org that both the signer and the verifier know.
struct OpenDkim {
    folder: TempDir,
    _daemons: Vec<Daemon>,
}

impl OpenDkim {
    fn start() -> Self {
        let folder = folder("opendkim-");
        let at = folder.path();
        let made = run(Command::new("openssl").current_dir(at).args(["genrsa", "-out", "key.pem", "2048"]));
        assert_eq!(made.code, 0, "{}", made.err);
        let public = run(Command::new("openssl").current_dir(at).args(["rsa", "-in", "key.pem", "-pubout"]));
        let key: String = public.out.lines().filter(|line| !line.starts_with("---")).collect();
        fs::write(at.join("keys"), format!("s1._domainkey.example.org v=DKIM1; k=rsa; p={key}\n"))
            .expect("the public key");
        let common = "Syslog no\nRequireSafeKeys no\nUMask 000\nTestPublicKeys keys\n";
        let sign = "Mode s\nSocket local:sign.sock\nDomain example.org\nSelector s1\nKeyFile key.pem\n\
                    Canonicalization simple/simple\nInternalHosts 127.0.0.1\nOversignHeaders From\n";
        let verify = "Mode v\nSocket local:verify.sock\nInternalHosts 192.0.2.1\nAlwaysAddARHeader yes\n";
        let daemons = [("sign", sign), ("verify", verify)].map(|(name, own)| {
            fs::write(at.join(format!("{name}.conf")), format!("{common}{own}")).expect("its configuration");
            let arguments = ["-f", "-x", &format!("{name}.conf")];
            Daemon::start("/usr/sbin/opendkim", &arguments, at, &at.join(format!("{name}.sock")))
        });
        Self { _daemons: daemons.into(), folder }
    }

    fn socket(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn sends(server: &Server, to: &str, content: &str) -> crate::harness::Reply {
    let mut client = server.client();
    client.begins_message("alice@example.org", &[to]);
    client.ends_message(content)
}

#[test]
#[ignore = "needs opendkim: make interop"]
fn opendkim_signs_what_the_plugins_left_and_verifies_it_behind_the_next_server() {
    let opendkim = OpenDkim::start();
    let receiving = Setup::new().block(&milter("verify", &opendkim.socket("verify.sock")));
    let receiver = receiving.start();
    let sending = Setup::without_domains()
        .relays()
        .smarthost(receiver.address())
        .plugin("footer", &["settings = { text = \"Sent through Waxwing\" }"])
        .block(&milter("sign", &opendkim.socket("sign.sock")));
    let sender = sending.start();
    let long = "a line that is as long as others\r\n".repeat(8_000);
    let content = format!(
        "From:  Alice <alice@example.org>\r\nTo: bob@example.org\r\nSubject: folded\r\n\twith a tab  \r\nDate: Thu, 26 Nov 2026 00:00:00 +0000\r\n\
         Message-ID: <1@example.org>\r\n\r\n..dots\r\n\r\n{long}\r\n\r\n"
    );
    assert_eq!(sends(&sender, "bob@example.org", &content).code, 250);
    let arrived = receiving.mailbox("bob").with("Subject: folded");
    let head = arrived.split("\n\n").next().expect("a header");
    assert!(head.contains("c=simple/simple; d=example.org;"), "no signature: {head}");
    assert!(arrived.contains("Sent through Waxwing"), "the plugins came first");
    let results = arrived.find("Authentication-Results:").expect("what the verifier found");
    let found: String = arrived[results..].lines().take(3).collect();
    assert!(found.contains("dkim=pass") && found.contains("header.d=example.org"), "{found}");

    // What was changed on its way does not verify.
    let signature = &arrived[arrived.find("DKIM-Signature:").expect("a signature")..];
    let forged = signature.replacen("a line that is", "a line that was", 1).replace('\n', "\r\n");
    assert_eq!(sends(&receiver, "carol@example.org", &forged).code, 250);
    let arrived = receiving.mailbox("carol").with("Authentication-Results:");
    assert!(arrived.contains("dkim=fail"), "{}", &arrived[..1_000]);
}

/// What the signature of our own looks for.
pub(super) const INFECTED: &str = "waxwing-harmless-test-pattern-5c1d";

/// clamd with one signature, and no other database. Its socket is `clamd.sock`.
pub(super) struct Clamd {
    folder: TempDir,
    _daemon: Daemon,
}

impl Clamd {
    pub(super) fn start() -> Self {
        let folder = folder("clamd-");
        let at = folder.path();
        fs::create_dir(at.join("db")).expect("a folder");
        let pattern: String = INFECTED.bytes().map(|octet| format!("{octet:02x}")).collect();
        fs::write(at.join("db/own.ndb"), format!("Waxwing.Test:0:*:{pattern}\n")).expect("a signature");
        let config = format!(
            "LocalSocket {0}/clamd.sock\nDatabaseDirectory {0}/db\nForeground yes\nTemporaryDirectory {0}\n",
            at.display()
        );
        fs::write(at.join("clamd.conf"), config).expect("its configuration");
        let daemon =
            Daemon::start("/usr/sbin/clamd", &["--config-file=clamd.conf"], at, &at.join("clamd.sock"));
        Self { _daemon: daemon, folder }
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder.path().join("clamd.sock")
    }

    /// clamav-milter before this clamd.
    fn milter(&self, on_infected: &str) -> (Daemon, PathBuf) {
        let at = self.folder.path();
        let socket = at.join(format!("{on_infected}.sock"));
        let config = format!(
            "MilterSocket unix:{}\nClamdSocket unix:{}\nForeground yes\nOnInfected {on_infected}\nAddHeader Replace\nTemporaryDirectory {}\n",
            socket.display(),
            self.socket().display(),
            at.display()
        );
        let file = format!("{on_infected}.conf");
        fs::write(at.join(&file), config).expect("its configuration");
        let argument = format!("--config-file={file}");
        (Daemon::start("/usr/sbin/clamav-milter", &[&argument], at, &socket), socket)
    }
}

#[test]
#[ignore = "needs clamav: make interop"]
fn clamav_milter_refuses_and_quarantines_what_clamd_finds() {
    let clamd = Clamd::start();
    let (_milter, socket) = clamd.milter("Reject");
    let setup = Setup::new().block(&milter("clamav", &socket));
    let server = setup.start();
    let clean = format!("Subject: clean\r\n\r\n{}", "hello\r\n".repeat(30_000));
    assert_eq!(sends(&server, "bob@example.org", &clean).code, 250);
    let arrived = setup.mailbox("bob").with("Subject: clean");
    assert!(arrived.contains("X-Virus-Status: Clean"), "{}", &arrived[..800]);
    let infected = format!("Subject: infected\r\n\r\n{}{INFECTED}\r\n", "hello\r\n".repeat(30_000));
    let refused = sends(&server, "bob@example.org", &infected);
    assert!(refused.begins("550 5.7.1"), "{refused:?}");

    let (_milter, socket) = clamd.milter("Quarantine");
    let setup = Setup::new().block(&milter("clamav", &socket));
    let server = setup.start();
    assert_eq!(sends(&server, "bob@example.org", &infected).code, 250);
    let queue = setup.json(&["queue", "list"]).to_string();
    assert!(queue.contains("held") && queue.contains("clamav"), "{queue}");
    drop(clamd);
}

#[test]
#[ignore = "needs clamav: make interop"]
fn the_plugin_clamd_refuses_what_clamd_finds_and_puts_mail_off_without_it() {
    let clamd = Clamd::start();
    let grants = format!("grants = {{ clamd = \"unix:{}\" }}", clamd.socket().display());
    let setup = Setup::new().plugin("clamd", &[&grants]);
    let server = setup.start();
    let clean = format!("Subject: clean\r\n\r\n{}", "hello\r\n".repeat(300_000));
    assert_eq!(sends(&server, "bob@example.org", &clean).code, 250);
    let infected = format!("Subject: infected\r\n\r\n{}{INFECTED}\r\n", "hello\r\n".repeat(30_000));
    let refused = sends(&server, "bob@example.org", &infected);
    assert!(refused.begins("550 5.7.1 Waxwing.Test"), "{refused:?}");
    drop(clamd);
    assert_eq!(sends(&server, "bob@example.org", &clean).code, 451);
    server.logs(&["clamd", "could not be scanned"]);
}
