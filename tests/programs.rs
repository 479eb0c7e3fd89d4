//! Programs of this host that send by the command sendmail.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;

use crate::harness::{Output, Setup, python, run_with_input};

/// `waxwing sendmail` with the setup's configuration and this on standard input.
fn sendmail(setup: &Setup, arguments: &[&str], input: &str) -> Output {
    let mut command = setup.binary();
    command.arg("sendmail").arg("-C").arg(setup.config_file()).args(arguments);
    run_with_input(&mut command, input.as_bytes())
}

/// Links as an installation has them; the path of the one that is called sendmail.
fn linked(setup: &Setup) -> String {
    for name in ["sendmail", "mailq", "newaliases"] {
        symlink(setup.binary().get_program(), setup.path(name)).expect("a link");
    }
    setup.path("sendmail").display().to_string()
}

#[test]
fn what_cron_pipes_arrives_with_what_it_lacked_and_through_the_same_plugins() {
    let rule = r#"settings = { rules = [{ add = { X-Waxwing = "by {listener}" } }] }"#;
    let setup = Setup::new().plugin("tag-headers", &[rule]);
    let _server = setup.start();
    let sent = sendmail(
        &setup,
        &["-FCronDaemon", "-i", "-odi", "-oem", "alice"],
        "Subject: nightly\n\nfirst\n.\nlast\n",
    );
    assert_eq!(sent.code, 0, "{}{}", sent.out, sent.err);
    assert!(sent.out.is_empty() && sent.err.is_empty(), "{}{}", sent.out, sent.err);
    let message = setup.mailbox("alice").one().replace("\r\n", "\n");
    for line in ["Subject: nightly", "X-Waxwing: by sendmail", "first", "last", "."] {
        assert!(message.lines().any(|other| other == line), "{line}: {message}");
    }
    for field in
        ["\nFrom: \"CronDaemon\" <", "@example.org>\n", "\nDate: ", "\nMessage-ID: <", "\nReceived: "]
    {
        assert!(message.contains(field), "{field}: {message}");
    }
}

#[test]
fn a_message_names_its_own_recipients_and_the_blind_ones_are_not_shown() {
    let setup = Setup::new();
    let _server = setup.start();
    let text = "From: App <app@example.org>\nTo: alice@example.org\nCc: Bob <bob@example.org>\nBcc: carol@example.org\nSubject: to all\n\nhi\n";
    let sent = sendmail(&setup, &["-t", "-oi", "-f", "bounces@example.org", "dave@example.org"], text);
    assert_eq!(sent.code, 0, "{}", sent.err);
    for local in ["alice", "bob", "carol", "dave"] {
        let message = setup.mailbox(local).one();
        assert!(message.contains("Return-Path: <bounces@example.org>"), "{message}");
        assert!(message.contains("From: App <app@example.org>") && !message.contains("Bcc"), "{message}");
    }
}

#[test]
fn a_dot_ends_a_message_unless_it_is_told_not_to() {
    let setup = Setup::new();
    let _server = setup.start();
    assert_eq!(sendmail(&setup, &["alice@example.org"], "Subject: cut\n\nkept\n.\nlost\n").code, 0);
    let message = setup.mailbox("alice").one();
    assert!(message.contains("kept") && !message.contains("lost"), "{message}");
}

#[test]
fn the_codes_are_those_of_sysexits() {
    let setup = Setup::new().set("sendmail", "drop-dir = \"\"");
    let server = setup.start();
    let text = "Subject: x\n\nx\n";
    for (arguments, code, word) in [
        (&["nobody@example.org"][..], 67, "5.1.1"),
        (&["alice@example.org", "nobody@example.org"], 67, "nobody@example.org"),
        (&["-t"], 64, "nobody is named"),
        (&["not an address@"], 64, "no address"),
        (&["-bd"], 64, "waxwing serve"),
        (&["-f", "a@b@c", "alice@example.org"], 64, "no address"),
    ] {
        let sent = sendmail(&setup, arguments, text);
        assert_eq!(sent.code, code, "{arguments:?}: {}{}", sent.out, sent.err);
        assert!(sent.err.contains(word), "{arguments:?}: {}", sent.err);
    }
    // The recipient that there is has it, once.
    setup.mailbox("alice").wait(1);
    assert_eq!(sendmail(&setup, &["-q30m", "-bi"], "").code, 0);
    server.stops();
    let sent = sendmail(&setup, &["alice@example.org"], text);
    assert_eq!((sent.code, sent.err.lines().count()), (75, 1), "{}", sent.err);
}

#[test]
fn a_session_over_standard_input_is_one_like_any_other() {
    let setup = Setup::new();
    let _server = setup.start();
    let dialogue = "EHLO here\r\nMAIL FROM:<app@example.org>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\nSubject: spoken\r\n\r\nx\r\n.\r\nQUIT\r\n";
    let spoken = sendmail(&setup, &["-bs"], dialogue);
    assert_eq!(spoken.code, 0, "{}", spoken.err);
    assert!(
        spoken.out.starts_with("220 ") && spoken.out.contains("\r\n354 ") && spoken.out.contains("queued as"),
        "{}",
        spoken.out
    );
    setup.mailbox("alice").with("Subject: spoken");
}

#[test]
fn python_sends_by_the_link_that_programs_look_for() {
    let setup = Setup::new();
    let _server = setup.start();
    let link = linked(&setup);
    let script = r#"
import subprocess, sys
from email.message import EmailMessage
m = EmailMessage()
m["From"], m["To"], m["Subject"] = "app@example.org", "alice@example.org", "grüße"
m.set_content("schöne grüße\n")
p = subprocess.run([sys.argv[1], "-t", "-oi", "-C", sys.argv[2]], input=m.as_bytes())
print(p.returncode)
"#;
    let said = python(script, &[&link, &setup.config_file().display().to_string()]);
    assert_eq!(said.trim(), "0");
    setup.mailbox("alice").with("app@example.org");
    let queue = run_with_input(Command::new(setup.path("mailq")).arg("-C").arg(setup.config_file()), b"");
    assert_eq!((queue.code, queue.out.as_str()), (0, "the queue is empty\n"), "{}", queue.err);
    assert_eq!(run_with_input(&mut Command::new(setup.path("newaliases")), b"").code, 0);
}

#[test]
fn where_the_configuration_says_so_only_trusted_users_send_in_others_names() {
    let own = std::fs::metadata("/proc/self").expect("this process").uid();
    if own != 0 {
        println!("root alone can become somebody else: not run");
        return;
    }
    let setup =
        Setup::new().set("sendmail", "trusted-users = [\"daemon\"]").set("sendmail", "mode = \"0666\"");
    std::fs::set_permissions(setup.path(""), PermissionsExt::from_mode(0o755)).expect("its mode");
    let socket = setup.path("submission.sock");
    let setup = setup.set("sendmail", &format!("socket = \"{}\"", socket.display()));
    let _server = setup.start();
    let speak = |user: &str, from: &str| {
        let script = r#"
import os, pwd, socket, sys
u = pwd.getpwnam(sys.argv[2])
os.setgroups([]); os.setgid(u.pw_gid); os.setuid(u.pw_uid)
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); f = s.makefile("rwb")
def say(line):
    f.write(line.encode() + b"\r\n"); f.flush()
    while True:
        reply = f.readline().decode()
        if reply[3:4] != "-":
            return reply
f.readline()
say("EHLO here")
print(say("MAIL FROM:<" + sys.argv[3] + ">"))
"#;
        python(script, &[&socket.display().to_string(), user, from])
    };
    assert!(speak("nobody", "boss@example.org").starts_with("553 5.7.1"), "somebody else's name");
    assert!(speak("nobody", "nobody@example.org").starts_with("250"), "its own name");
    assert!(speak("daemon", "boss@example.org").starts_with("250"), "a trusted user");
}
