//! Domain names and address literals as they stand behind the `@` of a mailbox (RFC 5321 section 4.1.2 and 4.1.3).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A domain name, or an address literal in brackets; always lower case, without a trailing dot.
///
/// At most 255 octets (RFC 5321 section 4.5.3.1.2), labels of 1 to 63 octets once they are written in ASCII. A name stays in the form that
/// it came in, as not every peer can take U-labels; two forms of one name are equal. A clone is the same text in memory.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Domain {
    text: Arc<str>,
    /// In A-labels, where the text is not ASCII.
    ascii: Option<Arc<str>>,
}

/// Why a text is no [`Domain`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    #[error("the domain is empty")]
    Empty,
    #[error("the domain is longer than 255 octets")]
    TooLong,
    #[error("a label of the domain is not valid")]
    Label,
    #[error("the address literal is not valid")]
    Literal,
}

impl Domain {
    /// Octets in a domain, RFC 5321 section 4.5.3.1.2.
    pub const MAX_OCTETS: usize = 255;

    /// Reads a domain name (letters, digits and hyphens, or U-labels) or an address literal such as `[192.0.2.1]`.
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        if text.is_empty() {
            return Err(DomainError::Empty);
        }
        if text.len() > Self::MAX_OCTETS {
            return Err(DomainError::TooLong);
        }
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(DomainError::Literal)?;
            return parse_literal(inner).map(Self::from).ok_or(DomainError::Literal);
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.is_ascii() {
            if !name.split('.').all(is_ldh_label) {
                return Err(DomainError::Label);
            }
            let is_lower = !name.bytes().any(|octet| octet.is_ascii_uppercase());
            return Ok(if is_lower {
                Self::of_ascii(name)
            } else {
                Self::of_ascii(name.to_ascii_lowercase())
            });
        }
        // U-labels must survive the way to A-labels and back, or DNS could never be asked for them.
        let ascii = idna::domain_to_ascii(name).map_err(|_| DomainError::Label)?;
        if ascii.len() > Self::MAX_OCTETS || !ascii.split('.').all(is_ldh_label) {
            return Err(DomainError::Label);
        }
        let (unicode, outcome) = idna::domain_to_unicode(&ascii);
        outcome.map_err(|_| DomainError::Label)?;
        // A-labels that stand for many characters are shorter than what they stand for.
        if unicode.len() > Self::MAX_OCTETS {
            return Err(DomainError::TooLong);
        }
        //= RFC 5891 section 4.2.3.1: a hyphen stands inside a label only, also where its A-label would hide it.
        if unicode.split('.').any(|label| label.starts_with('-') || label.ends_with('-')) {
            return Err(DomainError::Label);
        }
        Ok(Self { text: unicode.into(), ascii: Some(ascii.into()) })
    }

    fn of_ascii(text: impl Into<Arc<str>>) -> Self {
        Self { text: text.into(), ascii: None }
    }

    /// As it is shown and sent: U-labels stay U-labels.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The form that DNS and ASCII-only peers understand (A-labels, RFC 5890).
    pub fn to_ascii(&self) -> String {
        self.ascii().to_owned()
    }

    fn ascii(&self) -> &str {
        self.ascii.as_deref().unwrap_or(&self.text)
    }

    /// The address, when this is an address literal.
    pub fn literal(&self) -> Option<IpAddr> {
        let inner = self.text.strip_prefix('[')?.strip_suffix(']')?;
        parse_literal(inner)
    }
}

//= RFC 5890 section 2.4: U-labels and A-labels of one name are compared as A-labels.
impl PartialEq for Domain {
    fn eq(&self, other: &Self) -> bool {
        self.ascii() == other.ascii()
    }
}

impl Eq for Domain {}

impl Hash for Domain {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.ascii().hash(state);
    }
}

impl Ord for Domain {
    fn cmp(&self, other: &Self) -> Ordering {
        self.ascii().cmp(other.ascii())
    }
}

impl PartialOrd for Domain {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<IpAddr> for Domain {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::of_ascii(format!("[{v4}]")),
            IpAddr::V6(v6) => Self::of_ascii(format!("[ipv6:{v6}]")),
        }
    }
}

/// `let-dig [*(let-dig / "-") let-dig]`, with the underscore that real host names carry.
fn is_ldh_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-' || *b == b'_')
        && bytes[0] != b'-'
        && bytes[bytes.len() - 1] != b'-'
}

fn parse_literal(inner: &str) -> Option<IpAddr> {
    match inner.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("ipv6:") => {
            inner.get(5..)?.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
        }
        _ => inner.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

impl FromStr for Domain {
    type Err = DomainError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Domain {
    type Error = DomainError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Domain> for String {
    fn from(domain: Domain) -> Self {
        domain.as_str().to_owned()
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.literal() {
            Some(IpAddr::V6(v6)) => write!(f, "[IPv6:{v6}]"),
            _ => f.write_str(&self.text),
        }
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_and_lose_their_last_dot() {
        assert_eq!(Domain::parse("Example.ORG.").unwrap().as_str(), "example.org");
    }

    #[test]
    fn u_labels_have_an_ascii_form() {
        let domain = Domain::parse("Bücher.example").unwrap();
        assert_eq!(domain.as_str(), "bücher.example");
        assert_eq!(domain.to_ascii(), "xn--bcher-kva.example");
    }

    #[test]
    fn both_forms_of_a_name_are_one_domain_and_each_stays_as_it_came() {
        let (u, a) = (Domain::parse("BÜCHER.example"), Domain::parse("xn--bcher-kva.Example"));
        assert_eq!(u, a);
        assert_eq!((u.unwrap().to_string(), a.unwrap().to_string()), {
            ("bücher.example".to_owned(), "xn--bcher-kva.example".to_owned())
        });
    }

    #[test]
    fn a_name_that_grows_beyond_the_limit_in_u_labels_is_too_long() {
        let label = idna::domain_to_ascii(&"\u{224b}".repeat(30)).unwrap();
        assert!(label.len() < 60);
        let name = format!("ü.{label}.{label}.{label}");
        assert!(name.len() < Domain::MAX_OCTETS);
        assert_eq!(Domain::parse(&name), Err(DomainError::TooLong));
    }

    #[test]
    fn literals_are_addresses() {
        assert_eq!(Domain::parse("[192.0.2.1]").unwrap().literal(), Some("192.0.2.1".parse().unwrap()));
        let v6 = Domain::parse("[IPv6:2001:DB8::1]").unwrap();
        assert_eq!(v6.literal(), Some("2001:db8::1".parse().unwrap()));
        assert_eq!(v6.to_string(), "[IPv6:2001:db8::1]");
        assert_eq!(Domain::parse(&v6.to_string()).unwrap(), v6);
    }

    #[test]
    fn what_is_no_domain_is_refused() {
        for bad in [
            "",
            ".",
            "a..b",
            "-a.b",
            "a-.b",
            "-ü.b",
            "ü-.b",
            "[192.0.2]",
            "[192.0.2.1",
            "a b",
            "ex\u{0}ample.org",
        ] {
            assert!(Domain::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Domain::parse(&"a.".repeat(200)), Err(DomainError::TooLong));
    }
}
