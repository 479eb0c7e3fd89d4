//! Asks for services that it may not have been granted, and shows what they answer.
//!
//! At ehlo it leaves the answers in the session's note `nosy`; at mail it refuses with them when the sender's local part
//! is "show"; at message it adds them as the header fields `X-Nosy-Kv` and `X-Nosy-Dns`. The setting `name` is what DNS is
//! asked for ("example.org" unless told).

use waxwing_plugin::prelude::*;

#[derive(Debug, Default)]
struct Nosy;

fn answers() -> (String, String) {
    let store = match kv::increment("nosy", 1, minutes(1)) {
        Ok(count) => format!("count {count}"),
        Err(e) => e.to_string(),
    };
    let name = config::get("name").unwrap_or_else(|| "example.org".to_owned());
    let names = match dns::txt(&name) {
        Ok(records) => format!("records {}", records.len()),
        Err(e) => e.to_string(),
    };
    (store, names)
}

impl Plugin for Nosy {
    fn ehlo(&mut self, cx: &Context, _name: &str) -> Verdict {
        let (store, names) = answers();
        cx.set_note("nosy", &format!("kv {store}; dns {names}"));
        Verdict::Proceed
    }

    fn mail(&mut self, _cx: &Context, sender: Option<&Mailbox>, _params: &[Param]) -> Verdict {
        if sender.is_none_or(|s| s.local != "show") {
            return Verdict::Proceed;
        }
        let (store, names) = answers();
        Reply::reject(format!("kv {store}; dns {names}")).into()
    }

    fn message(&mut self, cx: &Context) -> Verdict {
        let (store, names) = answers();
        let added = cx.headers().add("X-Nosy-Kv", store).and_then(|()| cx.headers().add("X-Nosy-Dns", names));
        added.map_or_else(Verdict::from, |()| Verdict::Proceed)
    }
}

waxwing_plugin::export!(Nosy: ehlo, mail, message);

#[cfg(test)]
mod tests {
    use super::*;
    use waxwing_plugin::testing::{Server, Service};

    #[test]
    fn what_was_not_granted_is_seen_in_the_reply_and_in_the_header() {
        let server = Server::new().without(Service::Kv).without(Service::Dns);
        let mut session = server.session::<Nosy>();
        let Verdict::Reject(reply) = session.mail("show@example.org") else { panic!("not shown") };
        assert_eq!(reply.text, "kv not granted; dns not granted");
        let handled = session.send("a@example.org", "b@example.org", "Subject: x\n\nbody\n");
        assert!(handled.text().contains("X-Nosy-Kv: not granted\r\nX-Nosy-Dns: not granted\r\n"));
    }
}
