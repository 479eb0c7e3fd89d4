//! A Dovecot of the test's own: LMTP over TCP and a Unix socket, IMAP and POP3, mailboxes in a temporary folder.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::harness::{NextHop, Setup, message, python, run, wait_until};

const CONFIG: &str = include_str!("../dovecot/dovecot.conf");
/// Whose mail is, when root runs the test: nobody's, as Dovecot serves no root.
const NOBODY: u32 = 65_534;

/// One that runs; dropping it ends it.
struct Dovecot {
    folder: TempDir,
    lmtp: SocketAddr,
    imap: SocketAddr,
    pop3: SocketAddr,
    owner: u32,
    master: Child,
}

impl Dovecot {
    /// With the mailboxes ann and full of example.org; the second holds one message.
    fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("dovecot-").tempdir().expect("a folder");
        // Dovecot's own users have to reach what is theirs in here.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
        let mail = folder.path().join("mail");
        fs::create_dir(&mail).expect("a folder");
        let owner = match fs::metadata(&mail).expect("the folder").uid() {
            0 => NOBODY,
            other => other,
        };
        // All three at once, so that none is given twice.
        let free = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let [lmtp, imap, pop3] = free.map(|free| free.local_addr().expect("its address"));
        let path = folder.path().display().to_string();
        let users = |name: &str, extra: &str| {
            format!("{name}@example.org:{{PLAIN}}secret:{owner}:{owner}::{path}/mail/home::{extra}\n")
        };
        let text = users("ann", "") + &users("full", "userdb_quota_rule=*:messages=1");
        fs::write(folder.path().join("users"), text).expect("the users");
        let config = CONFIG
            .replace("FOLDER", &path)
            .replace("LMTP_PORT", &lmtp.port().to_string())
            .replace("IMAP_PORT", &imap.port().to_string())
            .replace("POP3_PORT", &pop3.port().to_string());
        let file = folder.path().join("dovecot.conf");
        fs::write(&file, config).expect("the configuration");
        let mut command = Command::new("dovecot");
        command
            .arg("-F")
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let master = command.spawn().expect("Dovecot");
        let dovecot = Self { folder, lmtp, imap, pop3, owner, master };
        dovecot.own_mail();
        wait_until("Dovecot to listen", || {
            [lmtp, imap, pop3].iter().all(|address| std::net::TcpStream::connect(address).is_ok())
        });
        dovecot
    }

    fn mail(&self) -> PathBuf {
        self.folder.path().join("mail")
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("lmtp")
    }

    /// What somebody else has written into the mailboxes becomes their owner's.
    fn own_mail(&self) {
        if self.owner == NOBODY {
            let ids = format!("{NOBODY}:{NOBODY}");
            assert_eq!(run(Command::new("chown").args(["-R", &ids]).arg(self.mail())).code, 0);
        }
    }

    /// Every message of a mailbox, one after the other, by IMAP and by POP3, which must agree.
    fn read(&self, mailbox: &str) -> String {
        let script = r#"
import imaplib, poplib, sys
user, imap, pop3 = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
m = imaplib.IMAP4("127.0.0.1", imap)
m.login(user, "secret")
count = int(m.select()[1][0])
by_imap = [m.fetch(str(n + 1), "(RFC822)")[1][0][1] for n in range(count)]
m.logout()
p = poplib.POP3("127.0.0.1", pop3)
p.user(user); p.pass_("secret")
by_pop3 = [b"".join(line + b"\r\n" for line in p.retr(n + 1)[1]) for n in range(p.stat()[0])]
p.quit()
assert by_imap == by_pop3, (by_imap, by_pop3)
sys.stdout.buffer.write(b"".join(by_imap))
"#;
        let address = format!("{mailbox}@example.org");
        python(script, &[&address, &self.imap.port().to_string(), &self.pop3.port().to_string()])
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        // SIGTERM: the master ends its own processes.
        run(Command::new("kill").arg(self.master.id().to_string()));
        self.master.wait().expect("its end");
    }
}

/// The server, with example.org delivered this way and every other domain at a next hop.
fn with_delivery(deliver: &str, hop: &NextHop) -> Setup {
    let domain = format!("[[domain]]\nname = \"example.org\"\ndeliver = {{ {deliver} }}");
    Setup::without_domains().smarthost(hop.address).hurries().block(&domain)
}

#[test]
#[ignore = "needs Dovecot: make interop"]
fn mail_for_dovecot_is_read_by_imap_and_pop3_and_each_recipient_has_an_outcome() {
    let dovecot = Dovecot::start();
    let ways = [format!("lmtp = \"{}\"", dovecot.lmtp), format!("lmtp = \"{}\"", dovecot.socket().display())];
    for (nth, way) in ways.iter().enumerate() {
        let hop = NextHop::start();
        let setup = with_delivery(way, &hop);
        let server = setup.start();
        if nth == 0 {
            server.client().sends("bob@from.example", &["full@example.org"], message("the last that fits"));
            server.logs(&["delivered", "full@example.org"]);
        }
        let word = format!("over-way-{nth}");
        server.client().sends(
            "bob@from.example",
            &["ann@example.org", "full@example.org", "unknown@example.org"],
            message(&word),
        );
        server.logs(&["delivered", "ann@example.org"]);
        server.logs(&["bounced", "full@example.org", "552 5.2.2"]);
        server.logs(&["bounced", "unknown@example.org", "550 5.1.1"]);
        let report = hop.wait(1).remove(0);
        assert_eq!(report.to, ["bob@from.example"]);
        for recipient in ["full", "unknown"] {
            assert!(report.content.contains(&format!("Final-Recipient: rfc822; {recipient}@example.org")));
        }
        let read = dovecot.read("ann");
        assert!(read.contains(&format!("\r\nSubject: {word}\r\n")), "{read}");
        assert_eq!(read.matches("Return-Path: <bob@from.example>\r\n").count(), nth + 1, "{read}");
    }
    assert!(dovecot.read("full").contains("the last that fits"));
}

#[test]
#[ignore = "needs Dovecot: make interop"]
fn a_maildir_that_we_write_is_read_by_dovecot() {
    let dovecot = Dovecot::start();
    let hop = NextHop::start();
    let way = format!("maildir = \"{}/{{domain}}/{{local}}\"", dovecot.mail().display());
    let server = with_delivery(&way, &hop).start();
    let body = ".a dot\r\nGr\u{fc}\u{df}e\r\n\r\n".to_owned() + &"a line\r\n".repeat(10_000);
    server.client().sends(
        "bob@from.example",
        &["ann@example.org"],
        format!("Subject: in a Maildir\r\n\r\n{body}"),
    );
    server.logs(&["delivered", "ann@example.org"]);
    dovecot.own_mail();
    let read = dovecot.read("ann");
    assert!(
        read.starts_with("Return-Path: <bob@from.example>\r\nDelivered-To: ann@example.org\r\n"),
        "{read}"
    );
    assert!(read.ends_with(&format!("\r\nSubject: in a Maildir\r\n\r\n{body}")), "{} octets", read.len());
}
