//! The test double keeps the interface's promises: a plugin that passes its tests must not meet another world in the server.

use waxwing_plugin::body::Part;
use waxwing_plugin::prelude::*;
use waxwing_plugin::testing::{Server, Service};

/// A plugin whose hooks are closures, so that each test says what it does in a hook.
macro_rules! plugin {
    ($($hook:ident),+; $(fn $name:ident($($argument:tt)*) $(-> $answer:ty)? $body:block)+) => {
        #[derive(Debug, Default)]
        struct Tested;
        impl Plugin for Tested { $(fn $name($($argument)*) $(-> $answer)? $body)+ }
        waxwing_plugin::export!(Tested: $($hook),+);
    };
}

const NESTED: &str = "MIME-Version: 1.0\nContent-Type: Multipart/Mixed; boundary=\"o\"\n\npreamble\n--o\n\
    Content-Type: multipart/alternative; boundary=i\n\n--i\n\nplain\n\n--i\n\
    Content-Type: text/HTML; charset=\"ISO-8859-1\"\nContent-Transfer-Encoding: Quoted-Printable\n\n<p>=FC=\n</p>\n--i--\n\n--o\n\
    Content-Type: message/rfc822\n\nSubject: inner\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\nin\n--x--\n--o\n\
    Content-Type: application/pdf\nContent-Disposition: Attachment;\n filename*0*=utf-8''r%C3%A9; filename*1=port.pdf\n\
    Content-Transfer-Encoding: BASE64\n\nJVBERg==\n--o--\nepilogue\n";

#[test]
fn parts_are_named_and_placed_as_the_interface_says() {
    plugin! { message; fn message(&mut self, cx: &Context) -> Verdict {
        let shown = |part: &Part| {
            let content = String::from_utf8(cx.body().read(part.range()).unwrap()).unwrap();
            format!("{} {} {} {:?} {:?} {:?} {content:?}", part.path, part.media_type, part.encoding,
                part.charset.as_deref().unwrap_or("-"), part.disposition.as_deref().unwrap_or("-"),
                part.filename.as_deref().unwrap_or("-"))
        };
        let parts = cx.body().parts();
        assert_eq!(parts[0].range(), 0..cx.body().size());
        let lines: Vec<String> = parts.iter().map(shown).collect();
        let starts = ["", "1", "1.1", "1.2", "2", "3"];
        assert_eq!(parts.iter().map(|p| p.path.as_str()).collect::<Vec<_>>(), starts);
        assert!(lines[0].starts_with(" multipart/mixed 7bit \"-\" \"-\" \"-\" \"preamble\\r\\n--o\\r\\n"));
        assert_eq!(lines[1], r#"1 multipart/alternative 7bit "-" "-" "-" "--i\r\n\r\nplain\r\n\r\n--i\r\nContent-Type: text/HTML; charset=\"ISO-8859-1\"\r\nContent-Transfer-Encoding: Quoted-Printable\r\n\r\n<p>=FC=\r\n</p>\r\n--i--\r\n""#);
        assert_eq!(lines[2], r#"1.1 text/plain 7bit "us-ascii" "-" "-" "plain\r\n""#);
        assert_eq!(lines[3], r#"1.2 text/html quoted-printable "iso-8859-1" "-" "-" "<p>=FC=\r\n</p>""#);
        assert!(lines[4].starts_with("2 message/rfc822 7bit \"-\" \"-\" \"-\" \"Subject: inner\\r\\n"), "{}", lines[4]);
        assert!(lines[4].ends_with("--x--\""), "{}", lines[4]);
        assert_eq!(lines[5], r#"3 application/pdf base64 "-" "attachment" "réport.pdf" "JVBERg==""#);
        assert_eq!(cx.body().read_part("1.2", 0..100).unwrap(), b"<p>\xfc</p>");
        assert_eq!(cx.body().read_part("3", 1..3).unwrap(), b"PD");
        assert_eq!(cx.body().read_part("4", 0..1), Err(Error::NotFound));
        Verdict::Accept
    } }
    let handled = Server::new().session::<Tested>().message(NESTED);
    assert_eq!(handled.text(), NESTED.replace('\n', "\r\n"));
    assert_eq!(handled.verdict, Verdict::Accept);
}

#[test]
fn an_attached_message_with_parts_is_one_part_also_at_the_end() {
    plugin! { message; fn message(&mut self, cx: &Context) -> Verdict {
        let parts = cx.body().parts();
        assert_eq!(parts.iter().map(|p| p.path.as_str()).collect::<Vec<_>>(), ["", "1"]);
        assert_eq!(parts[1].media_type, "message/rfc822");
        let content = cx.body().read_part("1", 0..1000).unwrap();
        assert!(content.starts_with(b"Content-Type: Multipart/Mixed") && content.ends_with(b"--o--"));
        Verdict::Accept
    } }
    let attached = "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: Message/RFC822; x=y\n\n\
        Content-Type: Multipart/Mixed; boundary=o\n\n--o\n\nin\n--o--\n--a--\n";
    assert_eq!(Server::new().session::<Tested>().message(attached).verdict, Verdict::Accept);
}

#[test]
fn reads_mean_the_body_as_it_was_when_the_hook_began() {
    plugin! { message; fn message(&mut self, cx: &Context) -> Verdict {
        let body = cx.body();
        let new = body.start().unwrap();
        new.write(b"new\r\n").unwrap();
        assert_eq!(body.read(0..100).unwrap(), b"old\r\n");
        assert_eq!((body.size(), body.find(b"new", 0), body.find(b"ld", 1), body.find(b"o", 1)), (5, None, Some(1), None));
        new.copy(0..3).unwrap();
        assert!(matches!(new.copy(3..6), Err(Error::BadInput(_))));
        assert_eq!(body.read(5..9).unwrap(), b"");
        assert!(matches!(body.edit().replace(0..2, "a").insert(1, "b").commit(), Err(Error::BadInput(_))));
        Verdict::Proceed
    } }
    assert_eq!(Server::new().session::<Tested>().message("A: b\n\nold\n").text(), "A: b\r\n\r\nnew\r\nold");
}

#[test]
fn header_values_are_raw_and_counted_by_name() {
    plugin! { message; fn message(&mut self, cx: &Context) -> Verdict {
        let headers = cx.headers();
        assert_eq!(headers.raw("received"), [b"one\r\n two".to_vec(), b"three".to_vec()]);
        assert_eq!(headers.get("RECEIVED").as_deref(), Some("one two"));
        assert_eq!(headers.all().iter().map(|h| h.name.as_str()).collect::<Vec<_>>(), ["Received", "received", "X"]);
        assert_eq!(headers.remove_nth("Received", 5), Ok(0));
        assert_eq!(headers.set_nth("Received", 2, "x"), Err(Error::NotFound));
        assert!(matches!(headers.add("Bad\r\nName", "x"), Err(Error::BadInput(_))));
        assert!(matches!(headers.add("X", "x\r\n\r\nbody"), Err(Error::BadInput(_))));
        headers.add_at(1, "Y", "z").unwrap();
        assert_eq!(headers.remove("RECEIVED"), Ok(2));
        Verdict::Proceed
    } }
    let handled =
        Server::new().session::<Tested>().message("Received:one\n two\nreceived:\t three\nX:  kept \n\n");
    assert_eq!(handled.text(), "Y: z\r\nX:  kept \r\n\r\n");
}

#[test]
fn a_refusal_takes_the_edits_with_it() {
    plugin! { mail, message;
        fn mail(&mut self, cx: &Context, _sender: Option<&Mailbox>, _params: &[Param]) -> Verdict {
            assert!(matches!(cx.headers().add("X", "early"), Err(Error::Unavailable(_))));
            assert_eq!((cx.message_size(), cx.body().size(), cx.headers().all().len()), (0, 0, 0));
            Verdict::Proceed
        }
        fn message(&mut self, cx: &Context) -> Verdict {
            cx.set_sender(None).unwrap();
            cx.headers().add("X", "y").unwrap();
            cx.body().edit().append("more").commit().unwrap();
            Verdict::Quarantine("odd".to_owned())
        }
    }
    let handled = Server::new().session::<Tested>().send("a@example.org", "b@example.org", "A: b\n\nbody\n");
    assert_eq!(handled.text(), "A: b\r\n\r\nbody\r\n");
    assert_eq!(handled.sender, Some(Mailbox::new("a@example.org")));
}

#[test]
fn hooks_that_are_not_exported_are_not_asked_and_sessions_share_nothing() {
    #[derive(Debug, Default)]
    struct Counting(u32);
    impl Plugin for Counting {
        fn connect(&mut self, _cx: &Context) -> Verdict {
            unreachable!("not exported")
        }
        fn ehlo(&mut self, cx: &Context, name: &str) -> Verdict {
            self.0 += 1;
            assert_eq!(cx.helo().as_deref(), Some(name));
            Reply::reject(self.0.to_string()).into()
        }
    }
    waxwing_plugin::export!(Counting: ehlo);
    let server = Server::new();
    let (mut one, mut other) = (server.session::<Counting>(), server.session::<Counting>());
    assert_eq!(one.connect(), Verdict::Proceed);
    let said = |verdict| match verdict {
        Verdict::Reject(reply) => reply.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(said(one.ehlo("a")), "550 5.7.1 1");
    assert_eq!(said(one.ehlo("b")), "550 5.7.1 2");
    assert_eq!(said(other.ehlo("c")), "550 5.7.1 1");
}

#[test]
fn the_store_keeps_what_it_is_told_as_long_as_it_is_told() {
    plugin! { connect; fn connect(&mut self, cx: &Context) -> Verdict {
        let step = cx.peer_name();
        match step.as_deref() {
            Some("first") => {
                assert_eq!(kv::increment("n", 2, minutes(1)), Ok(2));
                let version = kv::set("a/1", b"x", None).unwrap();
                assert_eq!(kv::compare_and_set("a/1", Some(version + 7), b"y", None), Ok(false));
                assert_eq!(kv::compare_and_set("a/1", Some(version), b"y", None), Ok(true));
                assert_eq!(kv::compare_and_set("a/2", None, b"z", seconds(1)), Ok(true));
                assert_eq!(kv::scan("a/", None, 1), Ok((vec!["a/1".to_owned()], Some("a/1".to_owned()))));
                assert_eq!(kv::scan("a/", Some("a/1"), 9), Ok((vec!["a/2".to_owned()], None)));
            }
            Some("after 50 s") => {
                assert_eq!(kv::get("a/2"), Ok(None));
                assert_eq!(kv::get("n").unwrap().unwrap().ttl_s, Some(10));
                assert_eq!(kv::increment("n", 1, minutes(1)), Ok(3), "the window does not slide");
                assert!(matches!(kv::increment("a/1", 1, None), Err(Error::BadInput(_))));
            }
            _ => assert_eq!((kv::increment("n", 1, None), kv::delete("a/1"), kv::delete("a/1")), (Ok(1), Ok(true), Ok(false))),
        }
        Verdict::Proceed
    } }
    let server = Server::new();
    server.session::<Tested>().named("first").connect();
    server.advance(seconds(50));
    server.session::<Tested>().named("after 50 s").connect();
    server.advance(seconds(10));
    server.session::<Tested>().named("after 60 s").connect();
    assert_eq!(server.keys(), ["n"]);
}

#[test]
fn names_answer_as_they_are_scripted_and_grants_are_asked() {
    plugin! { connect; fn connect(&mut self, _cx: &Context) -> Verdict {
        let zones = ["bl.example".to_owned(), "none.example".to_owned()];
        let ip = "2001:db8::1".parse().unwrap();
        if config::get("denied").is_some() {
            assert_eq!((dns::txt("example.org"), kv::get("x")), (Err(dns::Failure::Denied), Err(Error::Denied)));
            assert_eq!(dns::dnsbl(ip, &zones), []);
            return Verdict::Accept;
        }
        assert_eq!(dns::txt("Example.org."), Ok(vec!["v=spf1 -all".to_owned()]));
        assert_eq!(dns::mx("example.org"), Err(dns::Failure::NoData));
        assert_eq!(dns::mx("example.com"), Err(dns::Failure::NxDomain));
        assert_eq!(dns::txt("slow.example"), Err(dns::Failure::TimedOut));
        assert_eq!(dns::ptr("192.0.2.1".parse().unwrap()), Ok(vec!["mail.example.org".to_owned()]));
        assert_eq!(dns::dnsbl(ip, &zones), [("bl.example".to_owned(), vec!["127.0.0.2".parse().unwrap()])]);
        Verdict::Proceed
    } }
    let server = Server::new()
        .with_txt("example.org", &["v=spf1 -all"])
        .with_addresses("mail.example.org", &["192.0.2.1"])
        .with_listing("bl.example", "2001:db8::1", &["127.0.0.2"])
        .with_failure("slow.example", dns::Failure::TimedOut);
    assert_eq!(server.session::<Tested>().connect(), Verdict::Proceed);
    let server = server.without(Service::Dns).without(Service::Kv).with_settings(r#"{"denied": 1}"#);
    assert_eq!(server.session::<Tested>().connect(), Verdict::Accept);
}

#[test]
fn routes_and_reports_reach_the_plugin() {
    plugin! { route, outcome, disconnect;
        fn route(&mut self, _cx: &Context, recipient: &Mailbox, attempt: u32) -> Option<NextHop> {
            (attempt > 1).then(|| NextHop { next_hop: Some(format!("backup.{}", recipient.domain)), ..NextHop::default() })
        }
        fn outcome(&mut self, _cx: &Context, outcome: &Outcome) {
            log::info(&format!("{} {:?}", outcome.recipient, outcome.kind));
        }
        fn disconnect(&mut self, _cx: &Context) {
            metrics::count("gone", 2, &[("why", "quit")]);
        }
    }
    let server = Server::new();
    let mut session = server.session::<Tested>();
    assert_eq!(session.route("a@example.org", 1), None);
    assert_eq!(session.route("a@example.org", 2).unwrap().next_hop.as_deref(), Some("backup.example.org"));
    session.outcome(&Outcome {
        queue_id: "1".to_owned(),
        recipient: Mailbox::new("a@example.org"),
        kind: OutcomeKind::Bounced,
        host: None,
        reply: "550 no".to_owned(),
        attempt: 1,
    });
    session.disconnect();
    assert_eq!((server.log()[0].message.as_str(), server.counter("gone")), ("a@example.org Bounced", 2));
}

#[test]
fn a_recipient_is_refused_or_held_alone_and_only_once_the_message_is_there() {
    plugin! { rcpt, message;
        fn rcpt(&mut self, cx: &Context, _to: &Mailbox, _params: &[Param]) -> Verdict {
            assert!(matches!(cx.hold_recipient(0, "early"), Err(Error::Unavailable(_))));
            Verdict::Proceed
        }
        fn message(&mut self, cx: &Context) -> Verdict {
            let full = Reply::reject("mailbox full").with_status(5, 2, 2);
            assert!(matches!(cx.refuse_recipient(0, &full.clone().with_code(250)), Err(Error::BadInput(_))));
            cx.refuse_recipient(0, &full).unwrap();
            assert_eq!(cx.refuse_recipient(0, &full), Err(Error::NotFound));
            assert_eq!(cx.hold_recipient(0, "x"), Err(Error::NotFound));
            cx.hold_recipient(1, "odd").unwrap();
            cx.hold_recipient(1, "odder").unwrap();
            cx.set_recipient(2, &Mailbox::new("other@example.org")).unwrap();
            assert_eq!(cx.recipients().iter().map(|r| r.id).collect::<Vec<_>>(), [1, 2]);
            assert_eq!(cx.recipients()[1].original, Mailbox::new("c@example.org"));
            Verdict::Proceed
        }
    }
    let mut session = Server::new().session::<Tested>();
    session.mail("ann@example.org");
    for to in ["a@example.org", "b@example.org", "c@example.org"] {
        session.rcpt(to);
    }
    let handled = session.message("A: b\n\n");
    let full = Reply::reject("mailbox full").with_status(5, 2, 2);
    assert_eq!(handled.refused, [(Mailbox::new("a@example.org"), full)]);
    assert_eq!(handled.held, [(Mailbox::new("b@example.org"), "odd".to_owned())]);
    assert_eq!(handled.recipients, [Mailbox::new("b@example.org"), Mailbox::new("other@example.org")]);
}

#[test]
fn the_recipient_in_question_is_the_last_one_and_can_be_replaced() {
    plugin! { rcpt, message;
        fn rcpt(&mut self, cx: &Context, to: &Mailbox, _params: &[Param]) -> Verdict {
            let last = cx.recipients().pop().unwrap();
            assert_eq!(&last.address, to);
            cx.set_recipient(last.id, &Mailbox::new("other@example.org")).unwrap();
            if to.local == "nobody" { Reply::reject("no").into() } else { Verdict::Proceed }
        }
        fn message(&mut self, _cx: &Context) -> Verdict {
            Verdict::Proceed
        }
    }
    let mut session = Server::new().session::<Tested>();
    session.mail("ann@example.org");
    session.rcpt("bob@example.org");
    session.rcpt("nobody@example.org");
    assert_eq!(session.message("A: b\n\n").recipients, [Mailbox::new("other@example.org")]);
}

#[test]
fn hosts_answer_as_the_test_says_and_what_was_asked_is_seen() {
    plugin! { rcpt; fn rcpt(&mut self, _cx: &Context, to: &Mailbox, _params: &[Param]) -> Verdict {
        let asked = http::get("http://users.example.org/is").query("to", &to.to_string()).timeout(seconds(1)).send();
        match asked.and_then(http::Response::success) {
            Ok(answer) if answer.text() == "yes" => Verdict::Proceed,
            Ok(_) => Reply::reject("nobody").with_status(5, 1, 1).into(),
            Err(error) => error.into(),
        }
    } }
    let url = "http://users.example.org/is";
    let answers = |answer| Server::new().with_answer(url, answer);
    let server = answers(Ok(http::Response::new(200, "yes")));
    assert_eq!(server.session::<Tested>().rcpt("a@example.org"), Verdict::Proceed);
    assert_eq!(server.requests()[0].url, "http://users.example.org/is?to=a%40example.org");
    for (server, code) in [
        (answers(Ok(http::Response::new(200, "no"))), 550),
        (answers(Ok(http::Response::new(500, "yes"))), 451),
        (answers(Err(Error::TimedOut)), 451),
        (Server::new(), 451),
        (answers(Ok(http::Response::new(200, "yes"))).without(Service::Http), 451),
    ] {
        let verdict = server.session::<Tested>().rcpt("a@example.org");
        assert!(matches!(verdict, Verdict::Reject(reply) | Verdict::Tempfail(reply) if reply.code == code));
    }
}
