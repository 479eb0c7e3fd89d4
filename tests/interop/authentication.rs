//! opendkim, opendmarc and authheaders find what we find, of the same messages and in the same zone, which a BIND serves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::milters::Daemon;
use super::named::Named;
use super::python_checks::{messages, whole};
use crate::harness::{NextHop, Server, Setup, Smtp, run, target_dir};
use crate::sender_auth::from;

/// The client that domains name, and one that they do not.
const KNOWN: &str = "203.0.114.9";
const UNKNOWN: &str = "203.0.114.10";

/// Keys, the zone that publishes them, and daemons that ask it.
struct Field {
    folder: TempDir,
    named: Named,
    /// The same zone for programs that look for the system's name server.
    apart: Named,
    daemons: Vec<Daemon>,
}

impl Field {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("field-").tempdir().expect("a folder");
        let at = folder.path();
        let records = format!(
            "example.org. TXT \"v=spf1 ip4:{KNOWN} -all\"\n_dmarc.example.org. TXT \"v=DMARC1; p=reject\"\n\
             strict.example. TXT \"v=spf1 ip4:{KNOWN} -all\"\nsub.strict.example. A 192.0.2.1\n\
             _dmarc.strict.example. TXT \"v=DMARC1; p=quarantine; adkim=s; aspf=s\"\n\
             none.example. A 192.0.2.1\nclient.example.com. TXT \"v=spf1 -all\"\n\
             9.114.0.203.in-addr.arpa. PTR client.example.com.\nclient.example.com. A {KNOWN}\n\
             {}{}{}",
            key(at, "r", "rsa"),
            key(at, "e", "ed25519"),
            key(at, "od", "rsa"),
        );
        let (named, apart) = (Named::serving(&records), Named::serving_programs(&records));
        Self { folder, named, apart, daemons: Vec::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A milter in the view of this zone; its socket.
    fn daemon(&mut self, program: &str, name: &str, config: &str) -> PathBuf {
        let (file, socket) = (self.path(&format!("{name}.conf")), self.path(&format!("{name}.sock")));
        let config = format!("Socket local:{}\nSyslog no\nUMask 000\n{config}", socket.display());
        fs::write(&file, config).expect("its configuration");
        let words = self.apart.inside(&[program, "-f", if program.ends_with("dmarc") { "-c" } else { "-x" }]);
        let file = file.display().to_string();
        let words: Vec<&str> = words.iter().map(String::as_str).chain([file.as_str()]).collect();
        self.daemons.push(Daemon::start(words[0], &words[1..], self.folder.path(), &socket));
        socket
    }

    fn opendkim(&mut self, name: &str, config: &str) -> PathBuf {
        let common = format!("RequireSafeKeys no\nNameservers 127.0.0.1\n{config}");
        self.daemon("/usr/sbin/opendkim", name, &common)
    }

    fn setup(&self) -> Setup {
        Setup::new()
            .set("[listener]", "proxy-protocol = [\"127.0.0.0/8\"]")
            .set("relay", "networks = [\"192.0.2.0/24\"]")
            .set("dns", &format!("servers = [\"{}\"]", self.named.address))
            .set("dns", "dnssec = false")
    }

    /// A server that checks, and behind it opendkim and opendmarc, who check as well.
    fn checking(&mut self) -> Setup {
        let opendkim = self.opendkim(
            "verify",
            "Mode v\nAuthservID opendkim.example\nInternalHosts 192.0.2.1\nAlwaysAddARHeader yes\n",
        );
        // It goes by a list of public names, and Debian's has none of those that are for examples.
        let public = self.path("public");
        fs::write(&public, "com\nexample\nnet\norg\n").expect("the public names");
        let config = format!(
            "AuthservID opendmarc.example\nTrustedAuthservIDs opendkim.example\nSPFIgnoreResults true\n\
             SPFSelfValidate true\nPublicSuffixList {}\n",
            public.display()
        );
        let opendmarc = self.daemon("/usr/sbin/opendmarc", "dmarc", &config);
        self.setup().block(&format!("{}\n{}", milter("opendkim", &opendkim), milter("opendmarc", &opendmarc)))
    }

    /// What a server hands on of this message of a user's.
    fn relayed(server: &Server, hop: &NextHop, message: &str) -> String {
        let before = hop.received().len();
        sends(&mut from(server, "192.0.2.7"), "ann@example.org", "far@example.net", message);
        hop.wait(before + 1)[before].content.clone()
    }
}

/// A key of a kind, and the line of a zone for it.
fn key(folder: &Path, selector: &str, algorithm: &str) -> String {
    let (program, file) = (target_dir().join("debug/waxwing"), folder.join(format!("{selector}.pem")));
    let mut command = Command::new(program);
    command.args(["dkim", "generate", "--domain", "example.org", "--selector", selector]);
    let output = run(command.args(["--algorithm", algorithm, "--out"]).arg(file));
    assert_eq!(output.code, 0, "{}", output.err);
    output.out
}

fn milter(name: &str, socket: &Path) -> String {
    format!("[[milter]]\nname = \"{name}\"\naddress = \"unix:{}\"\n", socket.display())
}

fn sends(client: &mut Smtp, sender: &str, to: &str, message: &str) {
    client.asks(&format!("MAIL FROM:<{sender}> BODY=8BITMIME"), "250");
    client.asks(&format!("RCPT TO:<{to}>"), "250");
    client.asks("DATA", "354");
    assert_eq!(client.ends_message(whole(message)).code, 250);
}

/// What one checker found by a method, in all its fields.
fn found(message: &str, authserv_id: &str, method: &str) -> Vec<String> {
    let unfolded = message.replace("\n\t", " ").replace("\n ", " ");
    let start = format!("Authentication-Results: {authserv_id};");
    let fields =
        unfolded.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.strip_prefix(&start));
    let results =
        fields.flat_map(|field| field.split(';').map(|part| part.trim().to_owned()).collect::<Vec<_>>());
    let words = results.filter_map(|result| {
        let word = result.strip_prefix(method)?.strip_prefix('=')?.split([' ', '(']).next()?.to_owned();
        Some(word)
    });
    words.collect()
}

#[test]
#[ignore = "needs opendkim, opendmarc and BIND: make interop"]
fn opendkim_verifies_what_we_sign_and_we_what_it_signs_after_relaying() {
    let mut field = Field::new();
    let hop = NextHop::start();
    let ours = field.setup().smarthost(hop.address).block(
        &["r", "e"]
            .map(|selector| {
                let key = field.path(&format!("{selector}.pem"));
                format!(
                    "[[dkim]]\ndomain = \"example.org\"\nselector = \"{selector}\"\nkey = \"{}\"\n",
                    key.display()
                )
            })
            .concat(),
    );
    let signing = ours.start();
    let theirs: Vec<_> = ["relaxed/relaxed", "simple/simple"]
        .iter()
        .enumerate()
        .map(|(nth, form)| {
            let config = format!(
                "Mode s\nDomain example.org\nSelector od\nKeyFile {}\nCanonicalization {form}\nInternalHosts 192.0.2.0/24\nOversignHeaders From\n",
                field.path("od.pem").display()
            );
            let socket = field.opendkim(&format!("sign{nth}"), &config);
            let setup = field.setup().smarthost(hop.address).block(&milter("sign", &socket));
            let server = setup.start();
            (setup, server)
        })
        .collect();
    let checking = field.checking();
    let receiver = checking.start();
    for (nth, message) in messages().iter().enumerate() {
        let servers = std::iter::once((&signing, 2)).chain(theirs.iter().map(|(_, server)| (server, 1)));
        for (which, (server, signatures)) in servers.enumerate() {
            let signed = Field::relayed(server, &hop, message);
            let mark = format!("X-Nth: {nth}-{which}");
            sends(
                &mut from(&receiver, UNKNOWN),
                "x@none.example",
                "bob@example.org",
                &format!("{mark}\r\n{signed}"),
            );
            let got = checking.mailbox("bob").with(&format!("{mark}\n"));
            let pass = vec!["pass".to_owned(); signatures];
            assert_eq!(found(&got, "mx.example.org", "dkim"), pass, "{got}");
            assert_eq!(found(&got, "opendkim.example", "dkim"), pass, "{got}");
            assert_eq!(found(&got, "opendmarc.example", "dmarc"), ["pass"], "{got}");
            assert_eq!(found(&got, "mx.example.org", "dmarc"), ["pass"], "{got}");
        }
    }
}

const AUTHHEADERS: &str = r#"
import authheaders, sys
message = open(sys.argv[1], 'rb').read()
print(authheaders.authenticate_message(message, 'authheaders.example', spf=True, dkim=True, dmarc=True,
    ip=sys.argv[2], mail_from=sys.argv[3], helo='client.example.com', dmarcbis=True))
"#;

#[test]
#[ignore = "needs opendmarc, authheaders and BIND: make interop"]
fn opendmarc_and_authheaders_come_to_our_verdicts() {
    let mut field = Field::new();
    let hop = NextHop::start();
    let ours = field.setup().smarthost(hop.address).block(&format!(
        "[[dkim]]\ndomain = \"example.org\"\nselector = \"r\"\nkey = \"{}\"\n",
        field.path("r.pem").display()
    ));
    let signing = ours.start();
    let checking = field.checking();
    let receiver = checking.start();
    let by = |author: &str| {
        format!(
            "From: Ann\r\n <{author}>\r\nSubject: a\r\n\tfold\r\nDate: Thu, 26 Nov 2026 01:00:00 +0000\r\n\r\nGr\u{fc}\u{df}e\r\n"
        )
    };
    let signed = Field::relayed(&signing, &hop, &by("ann@example.org"));
    let changed = signed.replace("Gr\u{fc}\u{df}e", "Gr\u{fc}sse");
    for (nth, (message, sender, client, spf, dmarc)) in [
        (by("ann@example.org"), "ann@example.org", KNOWN, "pass", "pass"),
        (by("ann@example.org"), "ann@example.org", UNKNOWN, "fail", "fail"),
        (by("ann@example.org"), "x@strict.example", KNOWN, "pass", "fail"),
        (signed, "x@none.example", UNKNOWN, "none", "pass"),
        (changed, "x@none.example", UNKNOWN, "none", "fail"),
        (by("ann@sub.strict.example"), "ann@strict.example", KNOWN, "pass", "fail"),
        (by("ann@strict.example"), "ann@strict.example", KNOWN, "pass", "pass"),
        (by("ann@none.example"), "ann@none.example", KNOWN, "none", "none"),
    ]
    .into_iter()
    .enumerate()
    {
        let mark = format!("X-Nth: {nth}.");
        sends(&mut from(&receiver, client), sender, "bob@example.org", &format!("{mark}\r\n{message}"));
        let got = checking.mailbox("bob").with(&format!("{mark}\n"));
        assert_eq!(found(&got, "mx.example.org", "spf")[1], spf, "{got}");
        assert_eq!(found(&got, "mx.example.org", "dmarc"), [dmarc], "{got}");
        assert_eq!(found(&got, "opendmarc.example", "dmarc"), [dmarc], "{got}");
        let iprev = if client == KNOWN { "pass" } else { "fail" };
        assert_eq!(found(&got, "mx.example.org", "iprev"), [iprev], "{got}");
        let file = field.path("message");
        fs::write(&file, &got).expect("a file");
        let words = field.apart.inside(&["python3", "-c", AUTHHEADERS]);
        let mut python = Command::new(&words[0]);
        python.env("PYTHONPATH", target_dir().join("interop/python")).args(&words[1..]);
        let theirs = run(python.arg(file).args([client, sender]));
        assert_eq!(theirs.code, 0, "{}", theirs.err);
        let theirs = theirs.out.trim().replace('\r', "");
        assert_eq!(found(&theirs, "authheaders.example", "spf"), [spf], "{theirs}");
        assert_eq!(found(&theirs, "authheaders.example", "dmarc"), [dmarc], "{theirs}");
        // It calls a message without signatures a failure.
        let ours = found(&got, "mx.example.org", "dkim");
        if ours != ["none"] {
            assert_eq!(found(&theirs, "authheaders.example", "dkim"), ours, "{theirs}\n{got}");
        }
    }
}
