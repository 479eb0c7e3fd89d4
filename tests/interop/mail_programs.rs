//! mutt and mailx, which people and scripts send with: both through `sendmail`.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use mail_parser::{MessageParser, MimeHeaders};

use crate::harness::{Output, Setup, run_with_input};

/// A home for these programs, where `sendmail` is ours.
fn with_sendmail(setup: &Setup) {
    let program = setup.binary().get_program().to_string_lossy().into_owned();
    let link = setup.path("sendmail");
    let script = format!("#!/bin/sh\nexec {program} sendmail -C {} \"$@\"\n", setup.config_file().display());
    std::fs::write(&link, script).expect("a script");
    std::fs::set_permissions(&link, Permissions::from_mode(0o755)).expect("a script that runs");
    let link = link.display();
    let muttrc = format!(
        "set sendmail = \"{link} -oem -oi\"\nset from = \"ann@example.org\"\nset realname = \"Ann Exämple\"\n\
         set use_from\nset use_envelope_from\nset use_8bitmime\nset copy = no\nset charset = utf-8\nset send_charset = utf-8\n"
    );
    std::fs::write(setup.path("muttrc"), muttrc).expect("mutt's configuration");
    std::fs::write(setup.path(".mailrc"), format!("set sendmail={link}\n")).expect("mailx's configuration");
}

fn sends(setup: &Setup, program: &str, arguments: &[&str], text: &str) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(setup.path("")).env("HOME", setup.path("")).env("LC_ALL", "C.UTF-8");
    let sent = run_with_input(&mut command, text.as_bytes());
    assert_eq!((sent.code, sent.err.as_str()), (0, ""), "{program} {arguments:?}: {}", sent.out);
    sent
}

/// Whom nobody is to see; her own copy says whose it is.
fn is_silent_of_carol(message: &str) -> bool {
    !message.contains("Bcc") && !message.replace("Delivered-To: carol@example.org\n", "").contains("carol@")
}

#[test]
#[ignore = "needs mutt: make interop"]
fn mutt_sends_letters_and_files_to_all_whom_it_names() {
    let setup = Setup::new();
    let _server = setup.start();
    with_sendmail(&setup);
    let octets: Vec<u8> = (0..=255).cycle().take(5000).collect();
    std::fs::write(setup.path("picture.png"), &octets).expect("a file");
    let text = "Schöne Grüße\n.\nFrom here on\n";
    let arguments = [
        "-F",
        "muttrc",
        "-s",
        "Grüße aus mutt",
        "-c",
        "bob@example.org",
        "-b",
        "carol@example.org",
        "-a",
        "picture.png",
        "--",
        "alice@example.org",
    ];
    sends(&setup, "mutt", &arguments, text);
    for local in ["alice", "bob", "carol"] {
        let arrived = setup.mailbox(local).one();
        assert!(arrived.contains("Return-Path: <ann@example.org>\n"), "{arrived}");
        assert!(is_silent_of_carol(&arrived), "{arrived}");
        let message = MessageParser::default().parse(arrived.as_bytes()).expect("a message");
        assert_eq!(message.subject(), Some("Grüße aus mutt"));
        let author = message.from().and_then(|from| from.first()).expect("an author");
        assert_eq!((author.name(), author.address()), (Some("Ann Exämple"), Some("ann@example.org")));
        let body = message.body_text(0).expect("a text").replace("\r\n", "\n");
        assert_eq!(body.trim_end(), text.trim_end());
        let file = message.attachment(0).expect("a file");
        assert_eq!((file.attachment_name(), file.contents()), (Some("picture.png"), octets.as_slice()));
    }
}

#[test]
#[ignore = "needs mailx: make interop"]
fn mailx_sends_whether_the_server_runs_or_comes_later() {
    let setup = Setup::new();
    with_sendmail(&setup);
    setup.start().stops();
    let by_mailx = |subject: &str| {
        let arguments = [
            "-s",
            subject,
            "-a",
            "X-Job: nightly",
            "-c",
            "bob@example.org",
            "-b",
            "carol@example.org",
            "-r",
            "ann@example.org",
            "alice@example.org",
        ];
        sends(&setup, "bsd-mailx", &arguments, "first\n.\nlast\n");
    };
    by_mailx("while it is down");
    let _server = setup.start();
    by_mailx("while it runs");
    for subject in ["while it is down", "while it runs"] {
        for local in ["alice", "bob", "carol"] {
            let message = setup.mailbox(local).with(&format!("Subject: {subject}\n"));
            for line in ["Return-Path: <ann@example.org>", "X-Job: nightly", "first", ".", "last"] {
                assert!(message.lines().any(|other| other == line), "{line}: {message}");
            }
            assert!(is_silent_of_carol(&message), "{message}");
        }
    }
}
