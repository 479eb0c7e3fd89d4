//! The macros that a milter may ask for: what is known of a session and a message, under sendmail's names.
//!
//! Which ones are sent is the usual choice of sendmail and Postfix, unless the milter said which it wants.

use hooks::{SessionFacts, TransactionFacts};
use model::{Recipient, Reply};

use crate::wire::MacroStage;

/// The macros of each stage, by [`MacroStage`], as sendmail's configuration names them.
const USUAL: [&str; MacroStage::COUNT] = [
    "j v _ {daemon_name} {daemon_addr} {daemon_port} {if_addr} {if_name} {client_addr} {client_name} {client_port} \
     {client_ptr} {client_resolve}",
    "{tls_version} {cipher} {verify}",
    "i {auth_type} {auth_authen} {auth_author} {mail_addr} {mail_host} {client_addr} {client_name} {client_port} \
     {daemon_name}",
    "{rcpt_mailer} {rcpt_addr} {rcpt_host}",
    "i",
    "i",
    "i",
];

/// The names that one milter is sent, by stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MacroNames([Vec<String>; MacroStage::COUNT]);

impl MacroNames {
    /// The usual ones, but for the stages for which the milter named others. A stage that there is not is left out.
    pub(crate) fn new(wanted: &[(u32, String)]) -> Self {
        let split = |names: &str| {
            names.split([' ', ',', '\t']).filter(|name| !name.is_empty()).map(str::to_owned).collect()
        };
        let mut names = USUAL.map(split);
        for (stage, wanted) in wanted {
            if let Some(names) = names.get_mut(*stage as usize) {
                *names = split(wanted);
            }
        }
        Self(names)
    }

    /// Names and values for a stage; what is not known is left out. Configured values go before those of the server.
    pub(crate) fn values(
        &self,
        stage: MacroStage,
        configured: &[(String, String)],
        known: &Known<'_>,
    ) -> Vec<(String, String)> {
        let names = &self.0[stage as usize];
        // A macro of the postmaster's own is told at the beginning, whether the milter has named it or not.
        let told = configured.iter().map(|(name, _)| written(name)).filter(|_| stage == MacroStage::Connect);
        let mut values: Vec<(String, String)> = Vec::new();
        for name in names.iter().map(|name| written(bare(name))).chain(told) {
            if values.iter().any(|(before, _)| *before == name) {
                continue;
            }
            let of_config = configured.iter().find(|(one, _)| one == bare(&name));
            let value = of_config.map(|(_, value)| value.clone()).or_else(|| known.value(bare(&name)));
            if let Some(value) = value {
                values.push((name, value));
            }
        }
        values
    }
}

/// A name without its braces.
fn bare(name: &str) -> &str {
    name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name)
}

/// One letter stands alone, a longer name in braces.
fn written(name: &str) -> String {
    if name.chars().count() == 1 { name.to_owned() } else { format!("{{{name}}}") }
}

/// What the values are taken from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) session: &'a SessionFacts,
    pub(crate) transaction: Option<&'a TransactionFacts>,
    /// At RCPT.
    pub(crate) recipient: Option<&'a Recipient>,
    /// What refused a recipient that the milter is told of all the same.
    pub(crate) refusal: Option<&'a Reply>,
}

impl Known<'_> {
    fn value(&self, name: &str) -> Option<String> {
        let session = self.session;
        let address = session.peer.ip().to_canonical().to_string();
        let sender = self.transaction.map(|transaction| transaction.envelope.sender.mailbox());
        Some(match name {
            "i" => self.transaction?.id.to_string(),
            "j" | "if_name" => session.server_name.to_string(),
            "v" => concat!("Waxwing ", env!("CARGO_PKG_VERSION")).to_owned(),
            "_" => format!("{} [{address}]", session.peer_name.as_deref().unwrap_or("unknown")),
            "daemon_name" => session.listener.to_string(),
            "daemon_addr" | "if_addr" => session.local.ip().to_canonical().to_string(),
            "daemon_port" => session.local.port().to_string(),
            "client_addr" => address,
            "client_port" => session.peer.port().to_string(),
            "client_name" => client_name(session),
            "client_ptr" => session.peer_name.clone()?,
            "client_resolve" => if session.peer_name.is_some() { "OK" } else { "FAIL" }.to_owned(),
            "tls_version" => session.tls.as_ref()?.version.clone(),
            "cipher" => session.tls.as_ref()?.cipher.clone(),
            "verify" => match session.tls.as_ref()?.client_names.is_empty() {
                true => "NO".to_owned(),
                false => "OK".to_owned(),
            },
            "auth_type" => session.auth_mechanism.clone()?,
            "auth_authen" => session.auth_user.clone()?,
            "mail_addr" => sender?.map(ToString::to_string).unwrap_or_default(),
            "mail_host" => sender?.map(|mailbox| mailbox.domain().to_string())?,
            // As sendmail says that somebody was refused: the mailer `error`, its host the status, its address the text.
            "rcpt_mailer" => self.refusal.map(|_| "error".to_owned())?,
            "rcpt_host" if self.refusal.is_some() => self.refusal?.status?.to_string(),
            "rcpt_addr" if self.refusal.is_some() => self.refusal?.text.replace('\n', " "),
            "rcpt_addr" => self.recipient?.address.to_string(),
            "rcpt_host" => self.recipient?.address.domain().to_string(),
            _ => return None,
        })
    }
}

/// The name of the peer, or its address in brackets as sendmail writes it.
pub(crate) fn client_name(session: &SessionFacts) -> String {
    match &session.peer_name {
        Some(name) => name.clone(),
        None => match session.peer.ip().to_canonical() {
            std::net::IpAddr::V4(address) => format!("[{address}]"),
            std::net::IpAddr::V6(address) => format!("[IPv6:{address}]"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{session_facts, transaction_facts};

    fn value<'a>(values: &'a [(String, String)], name: &str) -> Option<&'a str> {
        values.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn known_values_are_sent_and_unknown_ones_left_out() {
        let (session, transaction) = (session_facts(), transaction_facts("A: b\r\n\r\n"));
        let known =
            Known { session: &session, transaction: Some(&transaction), recipient: None, refusal: None };
        let names = MacroNames::new(&[]);
        let mail = names.values(MacroStage::Mail, &[], &known);
        assert_eq!(value(&mail, "i"), Some(transaction.id.to_string().as_str()));
        assert_eq!(value(&mail, "{mail_addr}"), Some("alice@example.org"));
        assert_eq!(value(&mail, "{auth_type}"), None);
        let connect = names.values(MacroStage::Connect, &[], &known);
        assert_eq!(value(&connect, "_"), Some("unknown [192.0.2.1]"));
        assert_eq!(value(&connect, "{client_name}"), Some("[192.0.2.1]"));
    }

    #[test]
    fn what_is_configured_and_what_the_milter_wants_count_first() {
        let session = session_facts();
        let known = Known { session: &session, transaction: None, recipient: None, refusal: None };
        let configured =
            [("daemon_name".to_owned(), "ORIGINATING".to_owned()), ("x".to_owned(), "1".to_owned())];
        let names = MacroNames::new(&[(0, "{client_addr},j".to_owned()), (77, "z".to_owned())]);
        let connect = names.values(MacroStage::Connect, &configured, &known);
        let pairs: Vec<(&str, &str)> = connect.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(
            pairs,
            [
                ("{client_addr}", "192.0.2.1"),
                ("j", "mx.example.org"),
                ("{daemon_name}", "ORIGINATING"),
                ("x", "1")
            ]
        );
    }
}
