//! Which entries a request is for: as it is asked, and as the queue has it.

use std::time::Duration;

use model::{Domain, Mailbox, Timestamp};
use queue::{Addresses, Selection, StateFilter};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// All conditions must hold; none means everything that is not done.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Filter {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub state: Option<StateFilter>,
    /// An address, a domain with or without `@` before it, or `<>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// An address, or a domain with or without `@` before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// The domain of the recipient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// A part of the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Arrived so many seconds ago or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub older_s: Option<u64>,
}

impl Filter {
    /// The selection at this time.
    ///
    /// # Errors
    /// A sentence on what is no address or domain.
    pub(crate) fn selection(&self, now: Timestamp) -> Result<Selection, String> {
        let age = self.older_s.map(Duration::from_secs);
        let ago = |age: Duration| {
            Timestamp(now.0.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX)))
        };
        Ok(Selection {
            state: self.state,
            sender: self.sender.as_deref().map(addresses).transpose()?,
            recipient: self.recipient.as_deref().map(addresses).transpose()?,
            domain: self.domain.as_deref().map(ascii_domain).transpose()?,
            reason: self.reason.as_ref().map(|reason| reason.to_lowercase()),
            arrived_by: age.map(ago),
        })
    }
}

fn addresses(text: &str) -> Result<Addresses, String> {
    if matches!(text, "" | "<>") {
        return Ok(Addresses::Null);
    }
    let bare = text.strip_prefix('<').and_then(|text| text.strip_suffix('>')).unwrap_or(text);
    match bare.rfind('@') {
        Some(at) if at > 0 => {
            let mailbox = Mailbox::parse(bare).map_err(|error| format!("\"{text}\": {error}"))?;
            Ok(Addresses::One(mailbox.to_string().to_lowercase()))
        }
        at => {
            let domain = &bare[at.map_or(0, |at| at + 1)..];
            let parsed = Domain::parse(domain).map_err(|error| format!("\"{text}\": {error}"))?;
            Ok(Addresses::Domain(parsed.to_ascii().to_ascii_lowercase()))
        }
    }
}

fn ascii_domain(text: &str) -> Result<String, String> {
    let domain = Domain::parse(text).map_err(|error| format!("\"{text}\": {error}"))?;
    Ok(domain.to_ascii().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_given_whole_as_a_domain_or_as_nobody() {
        assert_eq!(addresses("<>"), Ok(Addresses::Null));
        assert_eq!(addresses("<Ann@Example.org>"), Ok(Addresses::One("ann@example.org".to_owned())));
        for text in ["@Example.org", "example.org"] {
            assert_eq!(addresses(text), Ok(Addresses::Domain("example.org".to_owned())), "{text}");
        }
        for bad in ["a b@example.org", "@", "ann@"] {
            assert!(addresses(bad).unwrap_err().starts_with(&format!("\"{bad}\": ")), "{bad}");
        }
    }

    #[test]
    fn an_age_counts_back_from_now_and_not_beyond_the_beginning() {
        let filter = |older_s| Filter { older_s: Some(older_s), ..Filter::default() };
        let by = |older_s| filter(older_s).selection(Timestamp(10_000)).unwrap().arrived_by;
        assert_eq!((by(3), by(60)), (Some(Timestamp(7_000)), Some(Timestamp(0))));
    }
}
