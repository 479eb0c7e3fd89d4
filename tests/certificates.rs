//! Certificates over real sockets: chosen by name, exchanged under running sessions, shown by clients, and bound to passwords.

use std::fs;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

use crate::harness::{PASSWORD, Setup, USER, Users, python, run_with_input};

/// A certificate of its own for this name, with its key: their files.
fn certify(setup: &Setup, name: &str) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    let (certificate, key) = (setup.path(&format!("{name}.pem")), setup.path(&format!("{name}.key")));
    fs::write(&certificate, made.cert.pem()).expect("the certificate");
    fs::write(&key, made.signing_key.serialize_pem()).expect("the key");
    (certificate, key)
}

#[test]
fn a_certificate_is_chosen_by_the_name_that_the_client_asks_for() {
    let mut setup = Setup::new().set("[listener]", "tls = \"starttls\"");
    let first = setup.certificate();
    let (second, key) = certify(&setup, "mail.other.example");
    let setup = setup.set("[tls.certificates]", &format!("certificate = {second:?}\nkey = {key:?}"));
    let server = setup.start();
    let heard = python(
        r#"
import smtplib, ssl, sys
port, files = int(sys.argv[1]), dict(zip(["mx.example.org", "mail.other.example"], sys.argv[2:]))
for name, file in files.items():
    context = ssl.create_default_context(cafile=file)
    s = smtplib.SMTP("127.0.0.1", port)
    s._host = name
    s.starttls(context=context)
    s.ehlo("client.example.com")
    print(s.noop()[0], name)
    s.quit()
"#,
        &[
            &server.address().port().to_string(),
            first.to_str().expect("a path"),
            second.to_str().expect("a path"),
        ],
    );
    assert!(heard.contains("250 mx.example.org") && heard.contains("250 mail.other.example"), "{heard}");
}

#[test]
fn a_new_certificate_counts_for_new_sessions_and_a_bad_one_for_none() {
    let mut setup = Setup::new().set("[listener]", "tls = \"starttls\"");
    let file = setup.certificate();
    let server = setup.start();
    let script = r#"
import hashlib, smtplib, ssl, sys
context = ssl._create_unverified_context()
def session():
    s = smtplib.SMTP("127.0.0.1", int(sys.argv[1]))
    s.starttls(context=context)
    s.ehlo("client.example.com")
    return s, hashlib.sha256(s.sock.getpeercert(True)).hexdigest()
old, before = session()
def step(word):
    print(word, before, flush=True)
    sys.stdin.readline()
for word in ["exchanged", "broken"]:
    step(word)
    new, after = session()
    print(word, before != after, old.noop()[0], new.noop()[0], flush=True)
    new.quit()
old.quit()
"#;
    let mut client = std::process::Command::new("python3")
        .args(["-c", script, &server.address().port().to_string()])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("python3");
    let mut lines =
        std::io::BufRead::lines(std::io::BufReader::new(client.stdout.take().expect("its output")));
    let mut line = || lines.next().expect("a line").expect("a line");
    let mut stdin = client.stdin.take().expect("its input");
    let mut go_on = || std::io::Write::write_all(&mut stdin, b"\n").expect("a line");
    line();
    let made = rcgen::generate_simple_self_signed(["mx.example.org".to_owned()]).expect("a certificate");
    fs::write(&file, made.cert.pem()).expect("the certificate");
    fs::write(setup.path("key.pem"), made.signing_key.serialize_pem()).expect("the key");
    assert_eq!(setup.command(&["reload"]).code, 0);
    go_on();
    assert_eq!(line(), "exchanged True 250 250");
    line();
    // Half of a pair: the server keeps what it has and says why.
    let other = rcgen::generate_simple_self_signed(["mx.example.org".to_owned()]).expect("a certificate");
    fs::write(setup.path("key.pem"), other.signing_key.serialize_pem()).expect("the key");
    let refused = setup.command(&["reload"]);
    assert_eq!(refused.code, 1, "{}{}", refused.out, refused.err);
    assert!(refused.err.contains("key"), "{}", refused.err);
    go_on();
    assert_eq!(line(), "broken True 250 250");
    assert!(client.wait().expect("its end").success());
}

#[test]
fn a_client_with_a_certificate_needs_no_password() {
    let mut setup = Setup::new()
        .set("[listener]", "tls = \"implicit\"")
        .set("[listener]", "kind = \"submission\"")
        .block(&format!("[[user]]\nname = \"{USER}\"\ncertificate = [\"laptop.example.org\"]"));
    setup.certificate();
    let root_key = KeyPair::generate().expect("a key");
    let mut root = CertificateParams::new(Vec::new()).expect("a root");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    fs::write(setup.path("root.pem"), root.self_signed(&root_key).expect("a root").pem()).expect("the root");
    let issuer = Issuer::new(root, root_key);
    let issue = |name: &str| {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a certificate");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let pair = params.signed_by(&key, &issuer).expect("a certificate").pem() + &key.serialize_pem();
        fs::write(setup.path(&format!("{name}.pem")), pair).expect("the pair");
        setup.path(&format!("{name}.pem"))
    };
    let (known, unknown) = (issue("laptop.example.org"), issue("stranger.example.org"));
    let (foreign, foreign_key) = certify(&setup, "foreign.example");
    fs::write(
        &foreign,
        fs::read_to_string(&foreign).expect("it") + &fs::read_to_string(foreign_key).expect("it"),
    )
    .expect("the pair");
    let setup = setup.set("tls", "client-ca = \"root.pem\"");
    let server = setup.start();
    let heard = python(
        r#"
import smtplib, ssl, sys
for file in sys.argv[2:]:
    context = ssl._create_unverified_context()
    if file: context.load_cert_chain(file)
    s = smtplib.SMTP_SSL("127.0.0.1", int(sys.argv[1]), context=context)
    s.ehlo("laptop.example.org")
    code = s.docmd("AUTH EXTERNAL =")[0]
    print(file.rsplit("/")[-1], "EXTERNAL" in s.esmtp_features.get("auth", ""), code, s.docmd("MAIL FROM:<alice@example.org>")[0])
    s.quit()
"#,
        &[
            &server.address().port().to_string(),
            known.to_str().expect("a path"),
            unknown.to_str().expect("a path"),
            foreign.to_str().expect("a path"),
            "",
        ],
    );
    let lines: Vec<&str> = heard.lines().collect();
    assert_eq!(lines[0], "laptop.example.org.pem True 235 250", "{heard}");
    for refused in &lines[1..] {
        assert!(refused.ends_with(" 530") && !refused.contains(" 235 "), "{heard}");
    }
    assert_eq!(lines.len(), 4, "{heard}");
}

/// SCRAM-SHA-256-PLUS as RFC 5802 has it, in Python; prints the reply, and what the server proved.
const SCRAM: &str = r#"
import hashlib, hmac, os, sys
def scram(s, user, password, binding, name="tls-server-end-point"):
    gs2 = f"p={name},,".encode()
    nonce = base64.b64encode(os.urandom(18)).decode()
    bare = f"n={user},r={nonce}"
    code, text = s.docmd("AUTH SCRAM-SHA-256-PLUS " + base64.b64encode(gs2 + bare.encode()).decode())
    if code != 334: return code, b""
    first = base64.b64decode(text).decode()
    parts = dict(part.split("=", 1) for part in first.split(","))
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(parts["s"]), int(parts["i"]))
    mac = lambda key, data: hmac.new(key, data, "sha256").digest()
    key = mac(salted, b"Client Key")
    last = f"c={base64.b64encode(gs2 + binding).decode()},r={parts['r']}"
    signed = ",".join([bare, first, last]).encode()
    proof = bytes(a ^ b for a, b in zip(key, mac(hashlib.sha256(key).digest(), signed)))
    code, text = s.docmd(base64.b64encode(f"{last},p={base64.b64encode(proof).decode()}".encode()).decode())
    if code == 334:
        server = base64.b64encode(mac(mac(salted, b"Server Key"), signed))
        assert base64.b64decode(text) == b"v=" + server, "the server does not know the password"
        code, text = s.docmd("")
    return code, text
"#;

#[test]
fn a_password_is_bound_to_the_connection_it_is_proved_on() {
    let users = Users::start();
    let heard = users.python(&format!(
        r#"{SCRAM}
for tampered in [False, True]:
    s = smtplib.SMTP("127.0.0.1", ports["submission"])
    s.starttls(context=context)
    s.ehlo("laptop.example.org")
    binding = hashlib.sha256(s.sock.getpeercert(True)).digest()
    # Somebody in the middle has shown another certificate.
    if tampered: binding = hashlib.sha256(b"another certificate").digest()
    print(tampered, scram(s, {USER:?}, {PASSWORD:?}, binding)[0])
    s.close()
"#
    ));
    assert!(heard.contains("False 235") && heard.contains("True 535"), "{heard}");
    let record = run_with_input(users.setup.binary().args(["passwd", "--scram"]), PASSWORD.as_bytes());
    assert!(record.out.starts_with("SCRAM-SHA-256$"), "{}", record.out);
}
