//! Limits over all sessions, and of a message as a whole; those of one dialogue are in `conformance`.

use crate::harness::{Setup, Smtp, message, wait_until};

#[test]
fn one_address_may_hold_so_many_sessions_and_no_more() {
    let setup = Setup::new().set("limits", "sessions-per-address = 3");
    let server = setup.start();
    let mut held: Vec<_> = (0..3).map(|_| server.client()).collect();
    let mut fourth = Smtp::connect(server.address());
    fourth.hears("421 4.7.0");
    fourth.hears_the_end();
    held[0].asks("QUIT", "221");
    wait_until("its place to be free", || {
        Smtp::connect(server.address()).next_reply().is_some_and(|reply| reply.code == 220)
    });
    held[1].asks("NOOP", "250");
}

#[test]
fn the_server_holds_so_many_sessions_and_no_more() {
    let setup = Setup::new().set("limits", "sessions = 2");
    let server = setup.start();
    let _held: Vec<_> = (0..2).map(|_| server.client()).collect();
    Smtp::connect(server.address()).hears("421 4.3.2");
}

#[test]
fn a_message_that_goes_in_circles_is_refused() {
    let server = Setup::new().set("limits", "hops = 10").start();
    let mut client = server.client();
    let hops = |count: usize| {
        "Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\r\n".repeat(count) + "Subject: x\r\n\r\nx\r\n"
    };
    client.sends("ann@example.com", &["alice@example.org"], hops(9));
    client.begins_message("ann@example.com", &["alice@example.org"]);
    let reply = client.ends_message(hops(10));
    assert!(reply.begins("554 5.4.6"), "{} {}", reply.code, reply.text);
}

#[test]
fn a_header_block_that_is_too_large_is_refused() {
    let server = Setup::new().set("limits", "header-size = \"8 KiB\"").start();
    let mut client = server.client();
    client.begins_message("ann@example.com", &["alice@example.org"]);
    let reply = client.ends_message("X-Padding: some padding\r\n".repeat(400) + "\r\nx\r\n");
    assert!(reply.begins("552 5.3.4"), "{} {}", reply.code, reply.text);
    client.sends(
        "ann@example.com",
        &["alice@example.org"],
        "Subject: x\r\n\r\n".to_owned() + &"body\r\n".repeat(4000),
    );
}

#[test]
fn a_message_over_the_limit_is_refused_at_its_end_and_leaves_the_session_usable() {
    let setup = Setup::new().set("limits", "message-size = \"1 MiB\"");
    let server = setup.start();
    let mut client = server.client();
    client.asks("MAIL FROM:<ann@example.com> SIZE=1048577", "552 5.3.4");
    client.begins_message("ann@example.com", &["alice@example.org"]);
    let reply = client.ends_message("0123456789abcdef\r\n".repeat(100_000));
    assert!(reply.begins("552 5.3.4"), "{} {}", reply.code, reply.text);
    client.sends("ann@example.com", &["alice@example.org"], message("small"));
    assert!(setup.mailbox("alice").one().contains("Subject: small"));
}

#[test]
fn aliases_that_grow_too_far_are_refused() {
    let base = Setup::without_domains();
    let maildir = base.path("mail/{domain}/{local}");
    let names: Vec<String> = (0..101).map(|n| format!("\"user{n}\"")).collect();
    let names = names.join(", ");
    let setup = base.set("limits", "expanded-recipients = 100").block(&format!(
        "[[domain]]\nname = \"example.org\"\ndeliver = {{ maildir = \"{}\" }}\nmailboxes = [{names}]\naliases = {{ all = [{names}] }}",
        maildir.display()
    ));
    let server = setup.start();
    let mut client = server.client();
    client.begins_message("ann@example.com", &["all@example.org"]);
    let reply = client.ends_message(message("all"));
    assert!(reply.begins("452 4.5.3"), "{} {}", reply.code, reply.text);
}

#[test]
fn three_hundred_clients_at_once_are_all_served() {
    let setup = Setup::new().set("limits", "sessions-per-address = 1000");
    let server = setup.start();
    let mut clients: Vec<_> = (0..300).map(|_| server.client()).collect();
    for (nth, client) in clients.iter_mut().enumerate() {
        client.raw(format!(
            "MAIL FROM:<ann@example.com>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n{}.\r\nQUIT\r\n",
            message(&format!("crowd-{nth}"))
        ));
    }
    for client in &mut clients {
        for code in ["250", "250", "354", "250", "221"] {
            client.hears(code);
        }
    }
    setup.mailbox("alice").wait(300);
}

#[test]
fn without_room_on_the_disk_mail_is_put_off_and_what_is_queued_is_delivered() {
    let mut setup = Setup::new();
    let server = setup.start();
    server.client().sends("ann@example.com", &["alice@example.org"], message("before"));
    server.stops();
    // More than any disk has free.
    setup.change("queue", "min-free = \"1 TiB\"");
    let server = setup.start();
    server.client().asks("MAIL FROM:<ann@example.com>", "452 4.3.1");
    setup.mailbox("alice").with("Subject: before");
}

#[test]
fn a_server_that_is_out_of_file_descriptors_loses_nothing_and_goes_on_when_it_has_some_again() {
    let setup = Setup::new().open_files(64);
    let server = setup.start();
    let mut early = server.client();
    early.begins_message("ann@example.com", &["alice@example.org"]);
    // More than it can accept: the others wait in the kernel, without a greeting.
    let crowd: Vec<_> = (0..100).map(|_| Smtp::connect(server.address())).collect();
    server.logs(&["cannot accept"]);
    let reply = early.ends_message(message("early"));
    assert!(matches!(reply.code, 250 | 451 | 452), "{} {}", reply.code, reply.text);
    drop(crowd);
    if reply.code == 250 {
        setup.mailbox("alice").with("Subject: early");
    }
    wait_until("messages to be taken again", || {
        let mut client = server.client();
        client.says("MAIL FROM:<ann@example.com>");
        if client.next_reply().expect("a reply").code != 250 {
            return false;
        }
        client.asks("RCPT TO:<alice@example.org>", "250");
        client.asks("DATA", "354");
        client.ends_message(message("afterwards")).code == 250
    });
    setup.mailbox("alice").with("Subject: afterwards");
}

#[test]
fn a_process_that_may_have_little_address_space_runs_plugins_without_a_pool_and_says_what_to_lower() {
    let setup = Setup::new()
        .launched_by(&["prlimit", "--as=4000000000"])
        .plugin("tag-headers", &["settings = { rules = [{ add = { X-Waxwing = \"seen\" } }] }"]);
    let server = setup.start();
    server.logs(&["plugins.limits.instances", "ulimit -v"]);
    server.client().sends("ann@example.com", &["alice@example.org"], message("little room"));
    let arrived = setup.mailbox("alice").one();
    assert!(arrived.contains("X-Waxwing: seen"), "{arrived}");
    assert_eq!(setup.json(&["plugin", "list"])["pooled"], false);
}
