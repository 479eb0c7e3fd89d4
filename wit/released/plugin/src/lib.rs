//! Exports every hook of a released state of the interface and calls every function that it could import, with nothing of the SDK
//! between. What it says in each hook is held by plugin-host/tests/plugin_host/released.rs.

#[cfg(not(feature = "second"))]
mod world {
    wit_bindgen::generate!({ path: "../0.1-1.wit", inline: "package released:plugin;
        world plugin {
          include waxwing:mail/imports@0.1.0;
          export waxwing:mail/on-connect@0.1.0; export waxwing:mail/on-ehlo@0.1.0; export waxwing:mail/on-auth@0.1.0;
          export waxwing:mail/on-mail@0.1.0; export waxwing:mail/on-rcpt@0.1.0; export waxwing:mail/on-data@0.1.0;
          export waxwing:mail/on-message@0.1.0; export waxwing:mail/on-disconnect@0.1.0; export waxwing:mail/on-route@0.1.0;
          export waxwing:mail/on-outcome@0.1.0; export waxwing:mail/lifecycle@0.1.0;
        }", world: "released:plugin/plugin", generate_all, pub_export_macro: true, default_bindings_module: "crate::world" });
}

#[cfg(all(feature = "second", not(feature = "third")))]
mod world {
    wit_bindgen::generate!({ path: "../0.1-2.wit", inline: "package released:plugin;
        world plugin {
          include waxwing:mail/imports@0.1.0;
          export waxwing:mail/on-connect@0.1.0; export waxwing:mail/on-ehlo@0.1.0; export waxwing:mail/on-auth@0.1.0;
          export waxwing:mail/on-mail@0.1.0; export waxwing:mail/on-rcpt@0.1.0; export waxwing:mail/on-data@0.1.0;
          export waxwing:mail/on-message@0.1.0; export waxwing:mail/on-disconnect@0.1.0; export waxwing:mail/on-route@0.1.0;
          export waxwing:mail/on-outcome@0.1.0; export waxwing:mail/lifecycle@0.1.0;
        }", world: "released:plugin/plugin", generate_all, pub_export_macro: true, default_bindings_module: "crate::world" });
}

#[cfg(feature = "third")]
mod world {
    wit_bindgen::generate!({ path: "../0.1-3.wit", inline: "package released:plugin;
        world plugin {
          include waxwing:mail/imports@0.1.0;
          export waxwing:mail/on-connect@0.1.0; export waxwing:mail/on-ehlo@0.1.0; export waxwing:mail/on-auth@0.1.0;
          export waxwing:mail/on-mail@0.1.0; export waxwing:mail/on-rcpt@0.1.0; export waxwing:mail/on-data@0.1.0;
          export waxwing:mail/on-message@0.1.0; export waxwing:mail/on-disconnect@0.1.0; export waxwing:mail/on-route@0.1.0;
          export waxwing:mail/on-outcome@0.1.0; export waxwing:mail/lifecycle@0.1.0;
        }", world: "released:plugin/plugin", generate_all, pub_export_macro: true, default_bindings_module: "crate::world" });
}

use world::exports::waxwing::mail as on;
use world::waxwing::mail::types::{EnhancedStatus, Error, Mailbox, Param, Reply, Verdict};
use world::waxwing::mail::{authentication, clock, config, dns, kv, log, metrics, random, session, transaction};

struct Released;

fn reply(code: u16, text: &str) -> Reply {
    let status = Some(EnhancedStatus { class: (code / 100) as u8, subject: 7, detail: 1 });
    Reply { code, status, text: text.to_owned() }
}

/// What each hook found is added to the note `found`, so that it can be seen at the end.
fn note(text: &str) {
    let before = session::note("found").unwrap_or_default();
    session::set_note("found", &format!("{before}{text};"));
}

fn facts() -> String {
    let secured = session::tls_version().is_some() || session::tls_cipher().is_some();
    format!(
        "{} {} {}:{} {:?} {:?} {secured} {:?}",
        session::id().is_empty(), session::listener(), session::peer_ip(), session::peer_port(), session::peer_name(),
        session::helo(), session::auth_user()
    )
}

/// The services, each asked once: nothing is granted, but what needs no grant works.
fn services() -> String {
    log::log(log::Level::Debug, "asked", &[("a".to_owned(), "b".to_owned())]);
    metrics::count("asked", 1, &[]);
    metrics::observe("took", 0.5, &[]);
    let time = clock::now_unix_ms() > 0 && clock::monotonic_ns() > 0;
    let denied = [
        kv::get("k").is_err(),
        kv::set("k", b"v", None).is_err(),
        kv::delete("k").is_err(),
        kv::increment("k", 1, Some(1)).is_err(),
        kv::compare_and_set("k", None, b"v", None).is_err(),
        kv::scan("k", None, 1).is_err(),
        dns::txt("a.example").is_err(),
        dns::addresses("a.example").is_err(),
        dns::mx_records("a.example").is_err(),
        dns::ptr("192.0.2.1").is_err(),
        dns::dnsbl("192.0.2.1", &["bl.example".to_owned()]).is_empty(),
    ];
    let settings = (config::get("key"), config::all_json());
    format!("{time} {} {:?} {settings:?}", random::bytes(3).len(), denied.iter().all(|denied| *denied))
}

fn edit() -> Result<String, Error> {
    use transaction as t;
    let added = t::add_recipient(&Mailbox { local: "dave".into(), domain: "example.net".into() }, &[])?;
    t::remove_recipient(added)?;
    t::set_sender(Some(&Mailbox { local: "released".into(), domain: "example.org".into() }))?;
    t::add_header("X-Added", b"yes", Some(0))?;
    t::set_header("Subject", 0, b"changed")?;
    let removed = t::remove_header("X-Gone", None)?;
    let old = t::read_body(0, 100)?;
    let digest = t::digest_body("sha256")?;
    let part = t::read_part("", 0, 4)?;
    t::start_body()?;
    t::copy_body(0, old.len() as u32)?;
    t::write_body(b"more\r\n")?;
    Ok(format!(
        "{} {} {:?} {} {} {removed} {} {:?} {} {} {}",
        t::id().is_empty(), t::sender_params().len(), t::sender().map(|m| m.local), t::size() > 0,
        t::headers(0, 10).len(), t::header_all("x-added").len(), t::find_body(b"dy", 0), t::body_size(), digest.len(),
        t::parts().len() + part.len() + t::recipients(0, 10).len()
    ))
}

#[cfg(feature = "second")]
fn second() -> Result<String, Error> {
    use transaction as t;
    use world::waxwing::mail::http;
    let id = t::recipients(0, 1)[0].id;
    t::set_recipient(id, &Mailbox { local: "bobby".into(), domain: "example.net".into() })?;
    t::hold_recipient(id, "held")?;
    let other = t::add_recipient(&Mailbox { local: "eve".into(), domain: "example.net".into() }, &[])?;
    t::refuse_recipient(other, &reply(550, "no"))?;
    let url = "http://a.example/".to_owned();
    let request = http::Request { method: "GET".into(), url, headers: vec![], body: vec![], timeout_ms: None };
    let asked = http::send(&request).is_err();
    Ok(format!(
        "{asked} {:?} {} {} {} {}:{} {:?} {:?}",
        session::auth_mechanism(), session::may_relay(), session::protocol(), session::server_name(), session::local_ip(),
        session::local_port(), session::tls_server_name(), session::tls_client_names()
    ))
}

#[cfg(feature = "third")]
fn third() -> String {
    use world::waxwing::mail::{scanner, submission};
    let recipients = vec![Mailbox { local: "bob".into(), domain: "example.net".into() }];
    let content = b"From: a@b.example\r\n\r\n".to_vec();
    let auto_submitted = Some(submission::AutoSubmitted::Generated);
    let submitted = submission::submit(&submission::Message { sender: None, recipients, content, auto_submitted });
    format!("{:?} {:?}", scanner::scan(), submitted)
}

impl on::on_connect::Guest for Released {
    fn connect() -> Verdict {
        note(&format!("connect {} {}", facts(), services()));
        Verdict::Proceed
    }
}
impl on::on_ehlo::Guest for Released {
    fn ehlo(name: String) -> Verdict {
        note(&format!("ehlo {name}"));
        if name == "bad" { Verdict::Reject(reply(550, "bad name")) } else { Verdict::Accept }
    }
}
impl on::on_auth::Guest for Released {
    fn auth(mechanism: String, user: String) -> Verdict {
        Verdict::Tempfail(reply(450, &format!("{mechanism} {user}")))
    }
}
impl on::on_mail::Guest for Released {
    fn mail(sender: Option<Mailbox>, params: Vec<Param>) -> Verdict {
        match sender {
            None => Verdict::Disconnect(reply(421, "nobody")),
            Some(sender) => Verdict::Quarantine(format!("{} {}", sender.local, params.len())),
        }
    }
}
impl on::on_rcpt::Guest for Released {
    fn rcpt(recipient: Mailbox, params: Vec<Param>) -> Verdict {
        Verdict::Discard(format!("{}@{} {}", recipient.local, recipient.domain, params.len()))
    }
}
impl on::on_data::Guest for Released {
    fn data() -> Verdict {
        Verdict::Proceed
    }
}
impl on::on_message::Guest for Released {
    fn message() -> Verdict {
        let edited = edit().unwrap_or_else(|error| format!("{error:?}"));
        note(&format!("message {edited} {}", authentication::findings().len()));
        #[cfg(feature = "second")]
        note(&second().unwrap_or_else(|error| format!("{error:?}")));
        #[cfg(feature = "third")]
        note(&third());
        let found = session::note("found").unwrap_or_default();
        // What cannot be added is missed by the test.
        let _ = transaction::add_header("X-Found", found.as_bytes(), None);
        Verdict::Proceed
    }
}
impl on::on_disconnect::Guest for Released {
    fn disconnect() {
        metrics::count("disconnected", 1, &[]);
    }
}
impl on::on_route::Guest for Released {
    fn route(recipient: Mailbox, attempt: u32) -> Option<on::on_route::NextHopChoice> {
        let hold = Some(format!("{} {attempt}", recipient.local));
        Some(on::on_route::NextHopChoice { next_hop: None, hold, delay_s: None, source: None })
    }
}
impl on::on_outcome::Guest for Released {
    fn outcome(_: String, recipient: Mailbox, kind: on::on_outcome::Kind, _: Option<String>, _: String, _: u32) {
        metrics::count("outcomes", u64::from(recipient.local == "bob" && kind == on::on_outcome::Kind::Delivered), &[]);
    }
}
impl on::lifecycle::Guest for Released {
    fn init() -> Result<(), String> {
        Ok(())
    }
}

world::export!(Released);
