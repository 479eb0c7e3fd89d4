//! What becomes of a plugin's message before it is committed.

use hooks::AutoSubmitted;
use model::ReversePath;

use super::*;
use crate::options::Limits;

fn fault(content: &'static str) -> String {
    match check_plugin_content(&Bytes::from_static(content.as_bytes())) {
        Err(SubmitError::BadInput(why)) => why,
        other => panic!("{content:?}: {other:?}"),
    }
}

#[test]
fn what_could_not_go_over_the_wire_is_refused_with_its_reason() {
    assert!(fault("From: a@b.example\r\n\r\nno end").contains("does not end in CRLF"));
    assert!(fault("").contains("does not end in CRLF"));
    for bare in [
        "From: a@b.example\n\r\nx\r\n",
        "From: a@b.example\r\n\r\nx\ry\r\n",
        "From: a@b.example\r\n\r\nx\r\r\n",
    ] {
        assert!(fault(bare).contains("a line that does not end in CRLF"), "{bare:?}");
    }
    assert!(fault("From: a@b.example\r\n\r\n\0\r\n").contains("NUL"));
    assert!(fault("Subject: x\r\n\r\nFrom: in the body\r\n").contains("no From field"));
    let line = |octets: usize| Bytes::from(format!("From: a@b.example\r\n\r\n{}\r\n", "x".repeat(octets)));
    assert_eq!(check_plugin_content(&line(998)), Ok(()));
    assert!(check_plugin_content(&line(999)).is_err());
}

/// A host with the domain example.org, where `sales` is alice and carol.
fn options() -> Options {
    let domain = |text: &str| model::Domain::parse(text).unwrap();
    let mut local = accounts::DomainOptions::new(domain("example.org"));
    local.mailboxes = Some(["alice", "carol"].map(str::to_owned).to_vec());
    local.aliases = vec![("sales".to_owned(), vec!["alice".to_owned(), "carol".to_owned()])];
    let table = accounts::Options { hostname: domain("mx.example.org"), domains: vec![local] };
    Options {
        hostname: "mx.example.org".into(),
        listeners: Vec::new(),
        insiders: Arc::default(),
        programs: Arc::default(),
        relay_networks: Vec::new(),
        relay_grants: Arc::default(),
        local: Arc::new(accounts::LocalDomains::new(table).unwrap()),
        forwarding: None,
        senders: None,
        sender_ledger: None,
        authenticator: None,
        limits: Limits::default(),
        reverse_dns: false,
    }
}

fn message(content: &'static str, auto_submitted: Option<AutoSubmitted>) -> PluginMessage {
    PluginMessage {
        by: "vacation".into(),
        sender: ReversePath::Null,
        recipients: vec![Mailbox::parse("bob@example.net").unwrap()],
        content: Bytes::from_static(content.as_bytes()),
        auto_submitted,
    }
}

fn completed(message: &PluginMessage) -> Result<(String, bool), SubmitError> {
    let options = options();
    let content = Content::from(message.content.clone());
    let completed = complete(content, message, QueueId(7), &options, Timestamp(0))?;
    let text = completed.content.to_bytes().unwrap();
    Ok((String::from_utf8(text.to_vec()).unwrap(), completed.is_utf8))
}

#[test]
fn a_message_gets_what_it_lacks_and_its_mark() {
    let plain =
        message("From: a@b.example\r\nauto-submitted: no\r\n\r\nhi\r\n", Some(AutoSubmitted::Replied));
    let (text, is_utf8) = completed(&plain).unwrap();
    assert_eq!(
        text,
        "Received: by mx.example.org (plugin vacation) id 0000000000007;\r\n\tThu, 1 Jan 1970 00:00:00 +0000\r\n\
         From: a@b.example\r\nAuto-Submitted: auto-replied\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\n\
         Message-ID: <0000000000007@mx.example.org>\r\n\r\nhi\r\n"
    );
    assert!(!is_utf8);
    let unmarked =
        message("From: a@b.example\r\nAuto-Submitted: auto-notified\r\nSubject: Grüße\r\n\r\nhi\r\n", None);
    let (text, is_utf8) = completed(&unmarked).unwrap();
    assert!(text.contains("Auto-Submitted: auto-notified\r\n") && is_utf8, "{text}");
}

#[test]
fn a_message_that_has_passed_too_many_hosts_is_refused() {
    let received = "Received: by a.example; Thu, 1 Jan 1970 00:00:00 +0000\r\n".repeat(200);
    let content = Bytes::from(format!("{received}From: a@b.example\r\n\r\nhi\r\n"));
    let looping = PluginMessage { content, ..message("", None) };
    assert!(matches!(completed(&looping), Err(SubmitError::BadInput(why)) if why.contains("in a loop")));
}

#[test]
fn the_envelope_names_the_plugin_and_what_the_message_needs() {
    let options = options();
    let plain = message("", None);
    let envelope = address(&plain, false, false, &options).unwrap();
    assert_eq!(envelope.submitted_by(), Some("vacation"));
    assert_eq!((envelope.sender_param("BODY"), envelope.is_smtputf8()), (None, false));
    let recipients = ["bob@example.net", "bob@example.net", "jürgen@example.net"];
    let recipients = recipients.map(|text| Mailbox::parse(text).unwrap()).to_vec();
    let envelope = address(&PluginMessage { recipients, ..plain.clone() }, true, false, &options).unwrap();
    assert_eq!((envelope.sender_param("BODY"), envelope.is_smtputf8()), (Some("8BITMIME"), true));
    assert_eq!(envelope.recipients.len(), 2);
    let nobody = PluginMessage { recipients: Vec::new(), ..plain };
    assert!(address(&nobody, false, false, &options).is_err());
}

#[test]
fn aliases_are_followed_and_whom_there_is_not_is_named() {
    let to = |text: &str| {
        let recipients = vec![Mailbox::parse(text).unwrap()];
        address(&PluginMessage { recipients, ..message("", None) }, false, false, &options())
    };
    let envelope = to("Sales@example.org").unwrap();
    let targets: Vec<String> = envelope.recipients.iter().map(|one| one.address.to_string()).collect();
    assert_eq!(targets, ["alice@example.org", "carol@example.org"]);
    assert!(envelope.recipients.iter().all(|one| one.original.local() == "Sales"));
    let unknown = to("nobody@example.org").unwrap_err();
    assert_eq!(unknown, SubmitError::BadInput("there is no mailbox nobody@example.org".to_owned()));
}
