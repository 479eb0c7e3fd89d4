//! Mail that ends on this machine: Maildirs and LMTP.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use outbound::{DeliverTo, LmtpAddress};

use crate::peer::{Act, Peer, say};
use crate::{CONTENT, Post, letter, local, options};

fn maildir(root: &Path) -> DeliverTo {
    let pattern = format!("{}/{{domain}}/{{local}}", root.display());
    DeliverTo::Maildir(pattern.parse().unwrap())
}

fn new_mail(root: &Path, mailbox: &str) -> Vec<PathBuf> {
    match fs::read_dir(root.join(mailbox).join("new")) {
        Ok(files) => files.map(|file| file.unwrap().path()).collect(),
        Err(_) => Vec::new(),
    }
}

#[tokio::test]
async fn each_recipient_finds_the_message_in_its_maildir_byte_for_byte() {
    let root = tempfile::tempdir().unwrap();
    let post = Post::office(local(options(), "here.example", maildir(root.path())));
    let id = post.takes(letter(&["Ann@here.example", "bob@here.example"]));
    post.until_states(id, &["delivered", "delivered"]).await;
    for (mailbox, name) in [("here.example/ann", "Ann"), ("here.example/bob", "bob")] {
        let [file] = new_mail(root.path(), mailbox).try_into().unwrap();
        let expected = format!(
            "Return-Path: <sender@from.example>\nDelivered-To: {name}@here.example\n{}",
            CONTENT.replace("\r\n", "\n")
        );
        assert_eq!(fs::read_to_string(&file).unwrap(), expected);
        assert!(file.display().to_string().ends_with(&format!(",S={}", expected.len())));
    }
    post.closes().await;
}

#[tokio::test]
async fn many_messages_are_all_there() {
    let root = tempfile::tempdir().unwrap();
    let post = Post::office(local(options(), "here.example", maildir(root.path())));
    let ids: Vec<_> = (0..100).map(|_| post.takes(letter(&["ann@here.example"]))).collect();
    for id in ids {
        post.until_states(id, &["delivered"]).await;
    }
    assert_eq!(new_mail(root.path(), "here.example/ann").len(), 100);
    assert_eq!(fs::read_dir(root.path().join("here.example/ann/tmp")).unwrap().count(), 0);
    post.closes().await;
}

#[tokio::test]
async fn a_local_part_that_looks_like_a_path_stays_in_its_directory() {
    let root = tempfile::tempdir().unwrap();
    let inner = root.path().join("mail");
    let post = Post::office(local(options(), "here.example", maildir(&inner)));
    let id =
        post.takes(letter(&["\"../../evil\"@here.example", "\"..\"@here.example", "\"a/b\"@here.example"]));
    post.until_states(id, &["delivered"; 3]).await;
    let names = |path: &Path| {
        let mut names: Vec<_> = fs::read_dir(path)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(root.path()), ["mail"]);
    assert_eq!(names(&inner), ["here.example"]);
    assert_eq!(names(&inner.join("here.example")), ["%2E.", "%2E.%2F..%2Fevil", "a%2Fb"]);
    post.closes().await;
}

#[tokio::test]
async fn a_maildir_that_cannot_be_written_defers_and_says_why() {
    let root = tempfile::tempdir().unwrap();
    // A file where the directory should be; modes would not stop a test that runs as root.
    fs::write(root.path().join("here.example"), "in the way").unwrap();
    fs::set_permissions(root.path().join("here.example"), fs::Permissions::from_mode(0o600)).unwrap();
    let post = Post::office(local(options(), "here.example", maildir(root.path())));
    let id = post.takes(letter(&["ann@here.example"]));
    post.until_tried(id).await;
    assert_eq!(post.states(id), ["waiting"]);
    assert!(
        post.reply(id).starts_with("451 4.3.0") && post.reply(id).contains("here.example"),
        "{}",
        post.reply(id)
    );
    post.closes().await;
}

#[tokio::test]
async fn a_message_that_was_here_before_is_not_delivered_again() {
    let root = tempfile::tempdir().unwrap();
    let post = Post::office(local(options(), "here.example", maildir(root.path())));
    let mut again = letter(&["ann@here.example", "bob@here.example"]);
    again.content = format!("Delivered-To: Ann@Here.example\r\n{CONTENT}").into();
    let id = post.takes(again);
    post.until_states(id, &["bounced", "delivered"]).await;
    assert!(post.reply(id).starts_with("554 5.4.6"));

    let mut circling = letter(&["bob@here.example"]);
    circling.content = format!("{}{CONTENT}", "Received: from a\r\n".repeat(101)).into();
    let id = post.takes(circling);
    post.until_states(id, &["bounced"]).await;
    assert!(post.reply(id).starts_with("554 5.4.6"));
    post.closes().await;
}

#[tokio::test]
async fn lmtp_over_a_unix_socket_has_a_reply_for_each_recipient() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("lmtp.sock");
    let peer = Peer::lmtp(&path, |step, line, _| match (step, line) {
        ("RCPT", "RCPT TO:<b@here.example>") => say("550 5.1.1 no b"),
        (".", "RCPT TO:<c@here.example>") => say("452 4.2.2 c is full"),
        (".", "RCPT TO:<d@here.example>") => say("550 5.7.1 d does not want it"),
        _ => Act::Usual,
    });
    let post = Post::office(local(options(), "here.example", DeliverTo::Lmtp(LmtpAddress::Unix(path))));
    let id = post.takes(letter(&["a@here.example", "b@here.example", "c@here.example", "d@here.example"]));
    post.until_tried(id).await;
    assert_eq!(post.states(id), ["delivered", "bounced", "waiting", "bounced"]);
    assert_eq!(peer.taken().len(), 1);
    post.closes().await;
}
