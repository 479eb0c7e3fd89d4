//! Subaddress routing: what becomes of mail for `user+detail@domain`, by the detail. RFC 5233 has the words.
//!
//! ```toml
//! rules = [
//!   { user = "shop", detail = "order-*", to = "orders@example.org" },
//!   { detail = "spam", quarantine = "a sink address" },
//!   { user = "old", detail = "*", reject = "this address was given away" },
//!   { detail = "*", to = "{detail}@lists.example.org" },
//! ]
//! ```
//!
//! The first rule counts whose `user` and `detail` patterns fit (in any case; without one all do) and whose `domains`, if it has any, are the
//! recipient's. It says one of: `to`, another address, in which {user}, {detail} and {domain} stand for the recipient's; `reject`, a text
//! that the client reads; `discard` or `quarantine`, a reason; `keep = true`, which leaves the recipient alone. Without a rule nothing
//! changes: the server takes the detail off when it delivers.
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `rules` | [] | as above |
//! | `separators` | "+" | each character in it may stand between user and detail; the first that is found counts |
//! | `domains` | [] | the recipients' domains, and those under them; empty: all |
//!
//! With another separator than the domain's own `subaddress-separator` the server has to know the whole local part, or to take any. The
//! address that the client named stays in reports of delivery.
//!
//! Grants: none. Known gaps: the new address is not looked at by `rcpt` hooks of plugins before this one.

use serde::Deserialize;
use waxwing_plugin::pattern;
use waxwing_plugin::prelude::*;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Settings {
    rules: Vec<Rule>,
    separators: String,
    domains: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { rules: Vec::new(), separators: "+".to_owned(), domains: Vec::new() }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Rule {
    user: Option<String>,
    detail: Option<String>,
    domains: Vec<String>,
    to: Option<String>,
    reject: Option<String>,
    discard: Option<String>,
    quarantine: Option<String>,
    keep: bool,
}

#[derive(Debug, Default)]
struct Subaddress {
    settings: config::Lazy<Settings>,
}

impl Plugin for Subaddress {
    fn init() -> Result<(), String> {
        let settings: Settings = config::settings().map_err(|e| e.to_string())?;
        if settings.separators.is_empty() {
            return Err("settings: separators has none".to_owned());
        }
        for (nth, rule) in settings.rules.iter().enumerate() {
            rule.check().map_err(|why| format!("settings: rules: the {}. {why}", nth + 1))?;
        }
        Ok(())
    }

    fn rcpt(&mut self, cx: &Context, to: &Mailbox, _params: &[Param]) -> Verdict {
        let settings = &*self.settings;
        let Some((user, detail)) = settings.split(to) else { return Verdict::Proceed };
        let Some(rule) = settings.rules.iter().find(|rule| rule.fits(user, detail, to)) else {
            return Verdict::Proceed;
        };
        metrics::count("subaddress_ruled", 1, &[]);
        if let Some(text) = &rule.reject {
            return Reply::reject(text.clone()).with_status(5, 1, 1).into();
        }
        if let Some(reason) = &rule.discard {
            return Verdict::Discard(reason.clone());
        }
        if let Some(reason) = &rule.quarantine {
            return Verdict::Quarantine(reason.clone());
        }
        match &rule.to {
            Some(to_template) => readdress(cx, to_template, user, detail, to),
            None => Verdict::Proceed,
        }
    }
}

/// Puts another address in the recipient's place. One that cannot be is the sender's fault: the detail is what it wrote.
fn readdress(cx: &Context, template: &str, user: &str, detail: &str, to: &Mailbox) -> Verdict {
    let address =
        template.replace("{user}", user).replace("{domain}", &to.domain).replace("{detail}", detail);
    let Some((local, domain)) = address.rsplit_once('@') else { return Verdict::Proceed };
    let mailbox = Mailbox { local: local.to_owned(), domain: domain.to_owned() };
    // The recipient in question is the last one.
    let Some(recipient) = cx.recipients().pop() else { return Verdict::Proceed };
    match cx.set_recipient(recipient.id, &mailbox) {
        Ok(()) => Verdict::Proceed,
        Err(e) => {
            log::info(&format!("{to} leads to no address, {address}: {e}"));
            Reply::reject("there is no such mailbox").with_status(5, 1, 1).into()
        }
    }
}

impl Settings {
    /// User and detail of a recipient that is ours to look at and has both.
    fn split<'a>(&self, to: &'a Mailbox) -> Option<(&'a str, &'a str)> {
        if !self.domains.is_empty() && !self.domains.iter().any(|domain| to.is_within(domain)) {
            return None;
        }
        let at = to.local.find(|c| self.separators.contains(c))?;
        let (user, rest) = to.local.split_at(at);
        let detail = &rest[rest.chars().next().map_or(0, char::len_utf8)..];
        (!user.is_empty() && !detail.is_empty()).then_some((user, detail))
    }
}

impl Rule {
    fn check(&self) -> Result<(), String> {
        let said = [
            self.to.is_some(),
            self.reject.is_some(),
            self.discard.is_some(),
            self.quarantine.is_some(),
            self.keep,
        ];
        if said.iter().filter(|one| **one).count() != 1 {
            return Err("says not exactly one of to, reject, discard, quarantine and keep".to_owned());
        }
        match &self.to {
            Some(to) if !to.contains('@') => Err(format!("has \"{to}\", which is no address")),
            _ => Ok(()),
        }
    }

    fn fits(&self, user: &str, detail: &str, to: &Mailbox) -> bool {
        let fits =
            |wanted: &Option<String>, text: &str| wanted.as_ref().is_none_or(|p| pattern::fits(p, text));
        fits(&self.user, user)
            && fits(&self.detail, detail)
            && (self.domains.is_empty() || self.domains.iter().any(|domain| to.is_within(domain)))
    }
}

waxwing_plugin::export!(Subaddress: init, rcpt);

#[cfg(test)]
mod tests {
    use super::*;
    use waxwing_plugin::testing::Server;

    const RULES: &str = r#"{"separators": "+-", "domains": ["example.org"], "rules": [
        {"user": "shop", "detail": "order-*", "to": "orders@example.org"},
        {"user": "old", "reject": "gone"},
        {"detail": "spam", "quarantine": "a sink"},
        {"detail": "drop", "discard": "a sink"},
        {"detail": "keep*", "keep": true},
        {"detail": "*", "to": "{detail}.{user}@lists.{domain}"}]}"#;

    fn rcpt(to: &str) -> (Verdict, String) {
        let server = Server::new().with_settings(RULES);
        assert_eq!(server.load::<Subaddress>(), Ok(()));
        let mut session = server.session::<Subaddress>();
        session.mail("ann@example.com");
        let verdict = session.rcpt(to);
        let handled = session.message("Subject: x\r\n\r\n");
        (verdict, handled.recipients.last().map(ToString::to_string).unwrap_or_default())
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        assert_eq!(rcpt("Shop+Order-17@example.org"), (Verdict::Proceed, "orders@example.org".to_owned()));
        assert_eq!(rcpt("bob+rust@example.org"), (Verdict::Proceed, "rust.bob@lists.example.org".to_owned()));
        assert_eq!(rcpt("bob-a+b@example.org").1, "a+b.bob@lists.example.org");
        assert!(matches!(rcpt("old+x@example.org").0, Verdict::Reject(reply) if reply.text == "gone"));
        assert_eq!(rcpt("bob+spam@example.org").0, Verdict::Quarantine("a sink".to_owned()));
        assert_eq!(rcpt("bob+drop@example.org").0, Verdict::Discard("a sink".to_owned()));
        assert_eq!(rcpt("bob+keep-it@example.org").1, "bob+keep-it@example.org");
    }

    #[test]
    fn addresses_without_a_detail_and_those_of_others_stay() {
        for to in ["bob@example.org", "+x@example.org", "bob+@example.org", "bob+rust@example.net"] {
            assert_eq!(rcpt(to), (Verdict::Proceed, to.to_owned()));
        }
    }

    #[test]
    fn wrong_settings_are_refused_when_the_plugin_is_loaded() {
        let fault = |json| Server::new().with_settings(json).load::<Subaddress>().unwrap_err();
        assert!(fault(r#"{"rules": [{"detail": "*"}]}"#).contains("exactly one"));
        assert!(fault(r#"{"rules": [{"to": "a@b", "keep": true}]}"#).contains("exactly one"));
        assert!(fault(r#"{"rules": [{"to": "nowhere"}]}"#).contains("nowhere"));
        assert!(fault(r#"{"separators": ""}"#).contains("separators"));
        assert!(fault(r#"{"rule": []}"#).contains("rule"));
    }
}
