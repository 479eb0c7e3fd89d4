//! Next hops that are down, refuse, break off or never answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::harness::{Act, NextHop, Setup, message, wait_until};

fn relaying_to(hop: &NextHop) -> Setup {
    Setup::new().smarthost(hop.address).relays().hurries()
}

#[test]
fn a_next_hop_that_is_down_gets_its_mail_when_it_is_up() {
    let hop = NextHop::start();
    let address = hop.address;
    drop(hop);
    let setup = Setup::new().smarthost(address).relays().hurries();
    let server = setup.start();
    for _ in 0..3 {
        server.client().sends("alice@example.org", &["carl@elsewhere.example"], message("patience"));
    }
    server.logs(&["deferred", "carl@elsewhere.example"]);
    let listed = setup.json(&["queue", "list"]).to_string();
    assert!(listed.contains("elsewhere.example"), "{listed}");
    let hop = NextHop::on(address);
    hop.wait(3);
    wait_until("the queue to be empty", || {
        !setup.json(&["queue", "list"]).to_string().contains("elsewhere.example")
    });
    assert_eq!(hop.received().len(), 3);
}

#[test]
fn a_temporary_refusal_of_one_recipient_is_tried_again_for_that_one_alone() {
    let hop = NextHop::start();
    let refused = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&refused);
    hop.does(move |line| match line {
        "RCPT TO:<slow@elsewhere.example>" if count.fetch_add(1, Ordering::SeqCst) < 2 => {
            Act::Say("450 4.2.1 not now")
        }
        _ => Act::Usual,
    });
    let setup = relaying_to(&hop);
    let server = setup.start();
    server.client().sends(
        "alice@example.org",
        &["quick@elsewhere.example", "slow@elsewhere.example"],
        message("two"),
    );
    let received = hop.wait(2);
    assert_eq!(received[0].to, ["quick@elsewhere.example"]);
    assert_eq!(received[1].to, ["slow@elsewhere.example"]);
    assert_eq!(received[0].content, received[1].content);
    server.logs(&["deferred", "slow@elsewhere.example", "450 4.2.1 not now"]);
    assert_eq!(refused.load(Ordering::SeqCst), 3);
}

#[test]
fn a_temporary_refusal_at_any_point_is_tried_again() {
    for point in ["connect", "MAIL", "RCPT", "DATA", "."] {
        let hop = NextHop::start();
        let mut refusals = 0;
        hop.does(move |line| {
            if line.starts_with(point) && refusals < 1 {
                refusals += 1;
                return Act::Say(if point == "connect" { "421 4.3.2 busy" } else { "451 4.3.0 later" });
            }
            Act::Usual
        });
        let setup = relaying_to(&hop);
        let server = setup.start();
        server.client().sends("alice@example.org", &["carl@elsewhere.example"], message("again"));
        hop.wait(1);
        server.stops();
        assert_eq!(hop.received().len(), 1, "refused at {point}");
    }
}

#[test]
fn a_next_hop_that_breaks_off_at_any_point_gets_the_message_later() {
    for point in ["connect", "EHLO", "MAIL", "RCPT", "DATA", "."] {
        let hop = NextHop::start();
        let mut breaks = 0;
        hop.does(move |line| {
            if line.starts_with(point) && breaks < 1 {
                breaks += 1;
                return Act::Hang;
            }
            Act::Usual
        });
        let setup = relaying_to(&hop);
        let server = setup.start();
        server.client().sends("alice@example.org", &["carl@elsewhere.example"], message("whole"));
        let received = hop.wait(1).remove(0);
        assert!(
            received.content.ends_with("This is whole.\r\n"),
            "broke off at {point}: {:?}",
            received.content
        );
        setup.mailbox("alice").wait(0);
    }
}

#[test]
fn a_next_hop_that_refuses_everything_for_good_gives_each_recipient_one_report_in_one_message() {
    let hop = NextHop::start();
    hop.does(|line| if line.starts_with("MAIL") { Act::Say("550 5.7.1 go away") } else { Act::Usual });
    let setup = relaying_to(&hop);
    let server = setup.start();
    server.client().sends(
        "alice@example.org",
        &["a@elsewhere.example", "b@elsewhere.example"],
        message("refused"),
    );
    let report = setup.mailbox("alice").one();
    assert!(report.contains("a@elsewhere.example") && report.contains("b@elsewhere.example"), "{report}");
    assert_eq!(report.matches("\nAction: failed").count(), 2, "{report}");
    server.logs(&["bounced", "a@elsewhere.example"]);
    server.logs(&["bounced", "b@elsewhere.example"]);
}

#[test]
fn a_destination_that_never_answers_delays_no_other() {
    let (dead, good) = (NextHop::start(), NextHop::start());
    dead.does(|_| Act::Silence);
    let domain = |name: &str, hop: &NextHop| {
        format!("[[domain]]\nname = \"{name}\"\ndeliver = {{ relay = \"{}\" }}", hop.address)
    };
    let setup = Setup::new().block(&domain("dead.example", &dead)).block(&domain("good.example", &good));
    let server = setup.start();
    let mut client = server.client();
    for nth in 0..60 {
        client.sends("ann@example.com", &[&format!("user{nth}@dead.example")], message("stuck"));
    }
    wait_until("attempts at the dead one", || dead.open() > 0);
    for nth in 0..20 {
        client.sends("ann@example.com", &[&format!("user{nth}@good.example")], message("quick"));
    }
    client.sends("ann@example.com", &["alice@example.org"], message("local"));
    good.wait(20);
    setup.mailbox("alice").with("Subject: local");
    // One message with a recipient at each: the good one's copy comes at once.
    client.sends("ann@example.com", &["x@dead.example", "x@good.example"], message("both"));
    good.wait(21);
    assert_eq!(dead.received().len(), 0);
    assert!(dead.open() > 0, "the dead one's connections were given up");
    let open = dead.open();
    assert!(open <= 30, "{open} connections to one destination");
}

#[test]
fn a_mailbox_that_cannot_be_written_is_tried_again() {
    let setup = Setup::new().hurries();
    std::fs::create_dir_all(setup.path("mail/example.org")).expect("a folder");
    std::fs::write(setup.path("mail/example.org/alice"), "in the way").expect("a file");
    let server = setup.start();
    server.client().sends(
        "ann@example.com",
        &["alice@example.org", "bob@example.org"],
        message("in the way"),
    );
    setup.mailbox("bob").one();
    server.logs(&["deferred", "alice@example.org"]);
    std::fs::remove_file(setup.path("mail/example.org/alice")).expect("the file goes");
    setup.mailbox("alice").with("Subject: in the way");
    setup.mailbox("bob").wait(1);
}

#[test]
fn the_size_and_body_of_a_message_are_told_to_a_next_hop_that_announces_them() {
    let hop = NextHop::start();
    let setup = relaying_to(&hop);
    let server = setup.start();
    let mut client = server.client();
    client.asks("MAIL FROM:<alice@example.org> BODY=8BITMIME", "250");
    client.asks("RCPT TO:<carl@elsewhere.example>", "250");
    client.asks("DATA", "354");
    assert_eq!(client.ends_message("Subject: x\r\n\r\nGrüße\r\n").code, 250);
    let received = hop.wait(1).remove(0);
    assert!(received.mail.contains("BODY=8BITMIME") && received.mail.contains("SIZE="), "{}", received.mail);
    assert!(received.content.contains("Grüße"));
}
