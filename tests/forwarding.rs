//! Mail for an address here that goes on to another host: its sender is rewritten, and what comes back finds the real one.

use crate::harness::{Act, NextHop, Setup, message};

/// An alias and a catch-all that lead elsewhere.
fn forwarding(hop: &NextHop) -> Setup {
    Setup::without_domains()
        .smarthost(hop.address)
        .hurries()
        .set("forwarding", "srs-domain = \"srs.example.org\"")
        .block(
            "[[domain]]\nname = \"example.org\"\nmailboxes = []\ncatch-all = \"rest@far.example\"\n\
         aliases = { ann = [\"ann@far.example\"] }\ndeliver = { maildir = \"mail/{local}\" }",
        )
}

#[test]
fn forwarded_mail_leaves_under_our_own_name_and_its_return_finds_the_sender() {
    let hop = NextHop::start();
    let server = forwarding(&hop).start();
    server.client().sends("bob@from.example", &["ann@example.org"], message("onward"));
    server.client().sends("bob@from.example", &["anybody@example.org"], message("caught"));
    let taken = hop.wait(2);
    let to: Vec<_> = taken.iter().flat_map(|one| one.to.clone()).collect();
    assert!(
        to.contains(&"ann@far.example".to_owned()) && to.contains(&"rest@far.example".to_owned()),
        "{to:?}"
    );
    let rewritten = taken[0].from.clone();
    assert!(
        rewritten.starts_with("SRS0=") && rewritten.ends_with("=from.example=bob@srs.example.org"),
        "{rewritten}"
    );

    // Nobody here may relay; what was returned goes back all the same.
    server.client().sends("", &[&rewritten], message("returned"));
    let returned = hop.wait(3).pop().expect("the return");
    assert_eq!((returned.from.as_str(), returned.to), ("", vec!["bob@from.example".to_owned()]));

    let forged = rewritten.replace("bob@", "eve@");
    let mut client = server.client();
    client.asks("MAIL FROM:<>", "250");
    client.asks(&format!("RCPT TO:<{forged}>"), "550 5.7.1");
    client.asks("RCPT TO:<eve@from.example>", "550 5.7.1");
}

#[test]
fn a_sender_of_our_own_stays_and_hears_of_failure_directly() {
    let hop = NextHop::start();
    hop.does(|line| match line {
        line if line.starts_with("RCPT") && line.contains("far.example") => Act::Say("550 5.1.1 nobody"),
        _ => Act::Usual,
    });
    let server = forwarding(&hop).start();
    server.client().sends("bob@from.example", &["ann@example.org"], message("refused there"));
    let report = hop.wait(1).remove(0);
    assert_eq!((report.from.as_str(), report.to), ("", vec!["bob@from.example".to_owned()]));
    hop.does(|_| Act::Usual);
    server.client().sends("ann@example.org", &["ann@example.org"], message("ours"));
    assert_eq!(hop.wait(2)[1].from, "ann@example.org");
}
