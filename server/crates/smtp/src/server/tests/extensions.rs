//! Dialogues about service extensions, and about limits over a whole session.

use super::*;

/// A session that has greeted over TLS, with these mechanisms.
fn secured(change: impl FnOnce(&mut Options), mechanisms: &[&'static str]) -> Dialogue {
    let mut peer = Dialogue::with(change);
    peer.session.channel.starttls = true;
    peer.says("EHLO client.example\r\nSTARTTLS\r\nMAIL FROM:<injected@example.org>\r\n");
    for code in [220, 250, 220] {
        peer.hears(code);
    }
    peer.hears_nothing_more();
    assert!(peer.session.wants_handshake());
    peer.says("RSET\r\n");
    let channel = Channel { mechanisms: mechanisms.to_vec(), ..Channel::default() };
    peer.session.secured(channel, peer.now);
    peer.says("EHLO client.example\r\n");
    peer
}

#[test]
fn nothing_that_came_before_the_handshake_survives_it() {
    let mut peer = secured(|_| {}, &[]);
    let offered = peer.hears(250);
    assert!(offered.contains("250-REQUIRETLS\r\n") && !offered.contains("STARTTLS"));
    peer.hears_nothing_more();
    peer.says("STARTTLS\r\nMAIL FROM:<a@b> REQUIRETLS\r\n");
    peer.hears(503);
    peer.hears(250);
}

#[test]
fn authentication_goes_by_challenges_and_may_be_cancelled() {
    let mut peer = secured(|options| options.require_auth = true, &["PLAIN"]);
    assert!(peer.hears(250).contains("250-AUTH PLAIN\r\n"));
    peer.answers = |event| match event {
        Event::Auth { initial: None, .. } => Answer::Challenge(b"who?".to_vec()),
        Event::AuthResponse(response) if response == b"wrong" => Reply::new(535, (5, 7, 8), "no").into(),
        _ => Answer::Proceed,
    };
    peer.says("MAIL FROM:<a@b>\r\nAUTH LOGIN\r\nAUTH PLAIN\r\n*\r\nAUTH PLAIN\r\n!\r\n");
    for code in [530, 504, 334, 501, 334, 501] {
        peer.hears(code);
    }
    peer.says(
        "AUTH PLAIN\r\nd3Jvbmc=\r\nAUTH PLAIN\r\ncmlnaHQ=\r\nAUTH PLAIN\r\nMAIL FROM:<a@b>\r\nAUTH PLAIN\r\n",
    );
    assert_eq!(peer.hears(334), "334 d2hvPw==\r\n");
    for code in [535, 334, 235, 503, 250, 503] {
        peer.hears(code);
    }
    let cancelled = peer.events.iter().filter(|event| **event == Event::AuthCancelled);
    assert_eq!(cancelled.count(), 2);
}

#[test]
fn passwords_are_not_guessed_for_ever_and_not_without_tls() {
    let mut peer = Dialogue::new();
    peer.session.channel.starttls = true;
    peer.says("EHLO client.example\r\nAUTH PLAIN AGEAYg==\r\n");
    for code in [220, 250, 538] {
        peer.hears(code);
    }
    let mut peer = secured(|_| {}, &["PLAIN"]);
    peer.answers = |event| match event {
        Event::Auth { .. } => Reply::new(535, (5, 7, 8), "no").into(),
        _ => Answer::Proceed,
    };
    peer.says("AUTH PLAIN AGEAYg==\r\n".repeat(4));
    for code in [250, 535, 535, 421] {
        peer.hears(code);
    }
    peer.hears_nothing_more();
}

#[test]
fn chunks_make_a_message_and_nothing_in_them_is_a_command() {
    let mut peer = Dialogue::greeted();
    peer.says("MAIL FROM:<a@b>\r\nRCPT TO:<bob@example.org>\r\nBDAT 9\r\na\r\n.\r\n..\r");
    peer.says("BDAT 1\r\n\nDATA\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n");
    for code in [250, 250, 250, 250, 503, 250, 250] {
        peer.hears(code);
    }
    peer.hears_nothing_more();
    assert_eq!(peer.committed, [b"a\r\n.\r\n..\r\nQUIT\r\n"]);
}

#[test]
fn the_octets_of_a_chunk_that_is_refused_are_no_commands() {
    let mut peer = Dialogue::greeted();
    peer.says("BDAT 6\r\nQUIT\r\nMAIL FROM:<a@b>\r\nBDAT 6 LAST\r\nQUIT\r\nRCPT TO:<bob@example.org>\r\n");
    for code in [503, 250, 554, 250] {
        peer.hears(code);
    }
    peer.answers = |event| match event {
        Event::Data => Reply::new(451, (4, 3, 0), "later").into(),
        _ => Answer::Proceed,
    };
    peer.says("BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\nBDAT x\r\nNOOP\r\n");
    for code in [451, 503, 250, 501] {
        peer.hears(code);
    }
    peer.hears_nothing_more();
    assert!(peer.session.is_closed() && peer.committed.is_empty());
}

#[test]
fn a_bare_newline_in_a_chunk_is_refused_unless_the_content_is_binary() {
    let begin = |peer: &mut Dialogue, body: &str| {
        peer.says(format!("MAIL FROM:<a@b> BODY={body}\r\nRCPT TO:<bob@example.org>\r\n"));
        peer.hears(250);
        peer.hears(250);
    };
    let mut peer = Dialogue::greeted();
    begin(&mut peer, "8BITMIME");
    peer.says("BDAT 4 LAST\r\na\n.\n");
    assert!(peer.hears(554).starts_with("554 5.6.0 "));
    begin(&mut peer, "BINARYMIME");
    peer.says("DATA\r\nBDAT 4 LAST\r\na\n.\n");
    peer.hears(503);
    peer.hears(250);
    assert_eq!(peer.committed, [b"a\n.\n"]);
}

#[test]
fn the_first_chunk_has_the_time_of_content_and_not_of_a_command() {
    let mut peer = Dialogue::with(|options| options.limits.data_timeout = Duration::from_secs(7));
    peer.says("EHLO client.example\r\nMAIL FROM:<a@b>\r\nRCPT TO:<bob@example.org>\r\n");
    for chunk in ["BDAT 6\r\nhalf", "\r\nBDAT 6\r\nhalf"] {
        peer.says(chunk);
        assert_eq!(peer.session.poll_timeout(), Some(peer.now + Duration::from_secs(7)));
    }
}

#[test]
fn lmtp_says_a_reply_for_each_recipient_and_takes_lhlo_alone() {
    let mut peer = Dialogue::with(|options| options.protocol = Protocol::Lmtp);
    peer.says("EHLO client.example\r\nLHLO client.example\r\nMAIL FROM:<a@b>\r\nDATA\r\n");
    for code in [220, 500, 250, 250, 503] {
        peer.hears(code);
    }
    peer.answers = |event| match event {
        Event::Message => {
            Answer::Each(vec![Reply::new(250, (2, 0, 0), "one"), Reply::new(550, (5, 7, 1), "not two")])
        }
        _ => Answer::Proceed,
    };
    peer.says("RCPT TO:<x@example.org>\r\nRCPT TO:<y@example.org>\r\nDATA\r\nx\r\n.\r\nNOOP\r\n");
    for code in [250, 250, 354, 250, 550, 250] {
        peer.hears(code);
    }
    peer.hears_nothing_more();
    peer.says(
        "MAIL FROM:<a@b>\r\nRCPT TO:<x@example.org>\r\nRCPT TO:<y@example.org>\r\nDATA\r\nx\ny\r\n.\r\n",
    );
    for code in [250, 250, 250, 354, 554, 554] {
        peer.hears(code);
    }
}

#[test]
fn prdr_brings_a_reply_for_each_recipient_and_one_for_all() {
    let mut peer = Dialogue::greeted();
    peer.answers = |event| match event {
        Event::Message => {
            Answer::Each(vec![Reply::new(550, (5, 7, 1), "not one"), Reply::new(250, (2, 0, 0), "two")])
        }
        _ => Answer::Proceed,
    };
    let two = "RCPT TO:<x@example.org>\r\nRCPT TO:<y@example.org>\r\nDATA\r\nx\r\n.\r\n";
    peer.says(format!("MAIL FROM:<a@b> PRDR\r\n{two}"));
    for code in [250, 250, 250, 354, 353, 550, 250, 250] {
        peer.hears(code);
    }
    peer.says(format!("MAIL FROM:<a@b>\r\n{two}"));
    for code in [250, 250, 250, 354, 550] {
        peer.hears(code);
    }
    peer.hears_nothing_more();
}

#[test]
fn a_proxy_speaks_for_another_and_the_session_begins_anew() {
    let mut peer = Dialogue::greeted();
    peer.says("XCLIENT ADDR=192.0.2.1\r\n");
    peer.hears(550);
    peer.session.channel.xclient = true;
    peer.says("XCLIENT ADDR=192.0.2.1\r\nMAIL FROM:<a@b>\r\n");
    peer.hears(220);
    peer.hears(503);
}

#[test]
fn parameters_are_understood_where_they_are_announced() {
    let mut peer = Dialogue::greeted();
    let mail = |peer: &mut Dialogue, params: &str| {
        peer.says(format!("MAIL FROM:<a@b> {params}\r\nRSET\r\n"));
        let reply = peer.heard[..3].parse::<u16>().unwrap();
        peer.hears(reply);
        peer.hears(250);
        reply
    };
    for (params, code) in [
        ("RET=HDRS ENVID=QQ+20314 MT-PRIORITY=-3 BY=120;RT PRDR", 250),
        ("RET=ALL", 501),
        ("ENVID=a+zz", 501),
        ("RET", 501),
        ("MT-PRIORITY=10", 501),
        ("BY=0;R", 501),
        ("REQUIRETLS", 555),
        ("HOLDFOR=60", 555),
        ("AUTH=<>", 555),
        ("XFOO=bar", 555),
    ] {
        assert_eq!(mail(&mut peer, params), code, "{params}");
    }
    let mut peer = Dialogue::with(|options| options.extensions = Extensions::ALL);
    peer.says("EHLO client.example\r\n");
    peer.hears(220);
    assert!(peer.hears(250).contains("250-FUTURERELEASE 604800 1970-01-08T00:00:00Z\r\n"));
    for (params, code) in [
        ("HOLDFOR=604800", 250),
        ("HOLDFOR=604801", 501),
        ("HOLDUNTIL=1970-01-02T00:00:00Z", 250),
        ("HOLDUNTIL=1980-01-02T00:00:00Z", 501),
        ("HOLDFOR=1 HOLDUNTIL=1970-01-02T00:00:00Z", 501),
    ] {
        assert_eq!(mail(&mut peer, params), code, "{params}");
    }
    peer.says(
        "MAIL FROM:<a@b>\r\nRCPT TO:<x@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+40example.org\r\n",
    );
    peer.says("RCPT TO:<x@example.org> NOTIFY=NEVER,DELAY\r\nRCPT TO:<x@example.org> ORCPT=x\r\nRCPT TO:<x@example.org> FOO\r\n");
    for code in [250, 250, 501, 501, 555] {
        peer.hears(code);
    }
}

#[test]
fn what_is_not_announced_is_not_understood() {
    let mut peer = Dialogue::with(|options| {
        options.extensions = Extensions::NONE;
    });
    peer.says("EHLO client.example\r\n");
    peer.hears(220);
    assert_eq!(peer.hears(250), "250-mx.example.org\r\n250 HELP\r\n");
    for param in ["SIZE=1", "BODY=7BIT", "SMTPUTF8", "RET=FULL", "MT-PRIORITY=1", "BY=1;R", "PRDR"] {
        peer.says(format!("MAIL FROM:<a@b> {param}\r\n"));
        assert!(peer.hears(555).starts_with("555 parameter"), "{param}");
    }
}

#[test]
fn many_errors_make_replies_late() {
    let mut peer = Dialogue::with(|options| options.limits.tarpit_after = 2);
    let begun = peer.now;
    peer.says("FOO\r\n");
    assert_eq!(peer.now, begun);
    peer.says("FOO\r\nFOO\r\nNOOP\r\n");
    assert_eq!(peer.now, begun + 2 * Limits::default().tarpit_delay);
}

#[test]
fn no_session_goes_on_for_ever() {
    let mut peer = Dialogue::with(|options| options.limits.session_time = Duration::from_secs(600));
    for _ in 0..6 {
        peer.now += Duration::from_secs(100);
        peer.says("NOOP\r\n");
    }
    peer.session.handle_timeout(peer.now);
    peer.pump();
    assert_eq!(peer.events.last(), Some(&Event::Closed(CloseReason::TimedOut)));
}
