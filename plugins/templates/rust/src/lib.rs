//! {{name}}: closes addresses, stamps messages, writes a footer below them, and slows down who sends too much.
//!
//! Settings: `closed` (an address that takes no mail any more), `footer` (a line of text), `per-hour` (messages of one sender in an
//! hour; 0 for as many as there are). Grants: `kv`, for `per-hour`.

use serde::Deserialize;
use waxwing_plugin::prelude::*;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Settings {
    closed: String,
    footer: String,
    per_hour: i64,
}

/// One value a session: its fields remember from hook to hook.
#[derive(Debug, Default)]
struct {{Name}} {
    settings: config::Lazy<Settings>,
}

impl Plugin for {{Name}} {
    fn init() -> Result<(), String> {
        // The type is said, but not the key, of a value that does not fit.
        config::check::<Settings>().map_err(|error| format!("{error}; there are closed, footer and per-hour"))
    }

    fn rcpt(&mut self, _cx: &Context, to: &Mailbox, _params: &[Param]) -> Verdict {
        if !self.settings.closed.is_empty() && to.to_string().eq_ignore_ascii_case(&self.settings.closed) {
            return Reply::reject("nobody reads this address any more").with_status(5, 1, 1).into();
        }
        Verdict::Proceed
    }

    fn message(&mut self, cx: &Context) -> Verdict {
        if let Some(sender) = cx.sender()
            && self.sends_too_much(&sender)
        {
            return Reply::tempfail("too many messages in one hour, please try again later").with_status(4, 7, 1).into();
        }
        match self.mark(cx) {
            Ok(()) => Verdict::Proceed,
            Err(error) => error.into(),
        }
    }
}

impl {{Name}} {
    fn sends_too_much(&self, sender: &Mailbox) -> bool {
        let most = self.settings.per_hour;
        if most == 0 {
            return false;
        }
        let key = format!("sent/{sender}").to_ascii_lowercase();
        match kv::increment(&key, 1, hours(1)) {
            Ok(sent) if sent > most => {
                log::info(&format!("too many messages from {sender}"));
                true
            }
            Ok(_) => false,
            Err(error) => {
                log::warn(&format!("messages are not counted: {error}"));
                false
            }
        }
    }

    fn mark(&self, cx: &Context) -> Result<(), Error> {
        cx.headers().add_first("X-Checked-By", "{{name}}")?;
        let parts = cx.body().parts();
        let plain = parts.first().is_some_and(|part| part.media_type == "text/plain" && part.encoding.ends_with("bit"));
        if plain && !self.settings.footer.is_empty() {
            // Only the footer is written; the body stays where it is.
            cx.body().edit().append(format!("-- \r\n{}\r\n", self.settings.footer)).commit()?;
        }
        Ok(())
    }
}

waxwing_plugin::export!({{Name}}: init, rcpt, message);

#[cfg(test)]
mod tests {
    use super::*;
    use waxwing_plugin::testing::Server;

    #[test]
    fn a_closed_address_is_refused() {
        let server = Server::new().with_settings(r#"{"closed": "nobody@example.org"}"#);
        let mut session = server.session::<{{Name}}>();
        session.mail("ann@example.com");
        assert!(matches!(session.rcpt("Nobody@example.org"), Verdict::Reject(reply) if reply.code == 550));
        assert_eq!(session.rcpt("alice@example.org"), Verdict::Proceed);
    }

    #[test]
    fn who_sends_too_much_waits_until_the_hour_is_over() {
        let server = Server::new().with_settings(r#"{"per-hour": 1}"#);
        let send = || server.session::<{{Name}}>().send("ann@example.com", "alice@example.org", "Subject: x\n\nhi\n").verdict;
        assert_eq!(send(), Verdict::Proceed);
        assert!(matches!(send(), Verdict::Tempfail(_)));
        server.advance(hours(1));
        assert_eq!(send(), Verdict::Proceed);
    }

    #[test]
    fn unknown_settings_are_refused() {
        let error = Server::new().with_settings(r#"{"fotter": "x"}"#).load::<{{Name}}>().unwrap_err();
        assert!(error.contains("fotter"), "{error}");
    }
}
