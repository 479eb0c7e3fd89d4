//! The commands of service extensions: BDAT (RFC 3030), AUTH (RFC 4954), and Postfix's XCLIENT.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Command, CommandError};

/// What a proxy tells of an attribute of its client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Known<T> {
    /// Nothing: what was known stays.
    #[default]
    Unsaid,
    /// `[UNAVAILABLE]` or `[TEMPUNAVAIL]`: there is no such thing.
    Unavailable,
    Value(T),
}

/// What XCLIENT tells of the client that a proxy speaks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientAttributes {
    /// Its name by reverse DNS.
    pub name: Known<String>,
    pub address: Known<IpAddr>,
    pub port: Known<u16>,
    /// The name that it gave with HELO or EHLO.
    pub helo: Known<String>,
    /// The user that the proxy has authenticated.
    pub login: Known<String>,
}

/// `BDAT octets [LAST]`.
pub(super) fn bdat(argument: &str) -> Result<Command, CommandError> {
    let mut words = argument.split_ascii_whitespace();
    let size = words.next().unwrap_or_default();
    let last = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case("LAST") => true,
        Some(_) => return Err(CommandError::ChunkSize),
    };
    let is_number = (1..=20).contains(&size.len()) && size.bytes().all(|byte| byte.is_ascii_digit());
    match size.parse() {
        Ok(octets) if is_number && words.next().is_none() => Ok(Command::Bdat { octets, last }),
        _ => Err(CommandError::ChunkSize),
    }
}

/// `AUTH mechanism [initial-response]`.
pub(super) fn auth(argument: &str) -> Result<Command, CommandError> {
    let mut words = argument.split_ascii_whitespace();
    let mechanism = words.next().ok_or(CommandError::Syntax("usage: AUTH mechanism [initial-response]"))?;
    let is_name = mechanism.len() <= 20
        && mechanism.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if !is_name {
        return Err(CommandError::Syntax("this is no name of a mechanism"));
    }
    let initial = match words.next() {
        None => None,
        //= RFC 4954 section 4: "=" is an initial response without any octet.
        Some("=") => Some(Vec::new()),
        Some(text) => Some(decode_response(text.as_bytes())?),
    };
    match words.next() {
        None => Ok(Command::Auth { mechanism: mechanism.to_ascii_uppercase(), initial }),
        Some(_) => Err(CommandError::Syntax("usage: AUTH mechanism [initial-response]")),
    }
}

/// A response of a SASL exchange, as it stands in a line.
pub(crate) fn decode_response(line: &[u8]) -> Result<Vec<u8>, CommandError> {
    STANDARD.decode(line).map_err(|_| CommandError::Base64)
}

/// A challenge of a SASL exchange, as it stands behind 334.
pub(crate) fn encode_challenge(challenge: &[u8]) -> String {
    STANDARD.encode(challenge)
}

/// `XCLIENT name=value ...`; values are xtext.
pub(super) fn xclient(argument: &str) -> Result<Command, CommandError> {
    const BAD: CommandError = CommandError::Syntax("an attribute of XCLIENT is not valid");
    let mut client = ClientAttributes::default();
    let mut is_empty = true;
    for word in argument.split_ascii_whitespace() {
        let (name, value) = word.split_once('=').ok_or(BAD)?;
        let value = model::decode_xtext(value).ok_or(BAD)?;
        match name.to_ascii_uppercase().as_str() {
            "NAME" => client.name = known(&value, one_word).ok_or(BAD)?,
            "ADDR" => client.address = known(&value, address).ok_or(BAD)?,
            "PORT" => client.port = known(&value, |text| text.parse().ok()).ok_or(BAD)?,
            "HELO" => client.helo = known(&value, one_word).ok_or(BAD)?,
            "LOGIN" => client.login = known(&value, one_word).ok_or(BAD)?,
            "PROTO" | "DESTADDR" | "DESTPORT" => {}
            _ => return Err(BAD),
        }
        is_empty = false;
    }
    if is_empty {
        Err(CommandError::Syntax("XCLIENT needs an attribute"))
    } else {
        Ok(Command::XClient(client))
    }
}

fn known<T>(value: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<Known<T>> {
    if ["[UNAVAILABLE]", "[TEMPUNAVAIL]"].iter().any(|word| value.eq_ignore_ascii_case(word)) {
        return Some(Known::Unavailable);
    }
    read(value).map(Known::Value)
}

fn one_word(text: &str) -> Option<String> {
    let fits = (1..=255).contains(&text.len()) && !text.contains(|c: char| c.is_control() || c == ' ');
    fits.then(|| text.to_owned())
}

fn address(text: &str) -> Option<IpAddr> {
    let bare = match text.get(..5) {
        Some(prefix) if prefix.eq_ignore_ascii_case("IPv6:") => &text[5..],
        _ => text,
    };
    bare.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Paths;

    fn read(line: &str) -> Result<Command, CommandError> {
        Command::parse(line.as_bytes(), Paths::Strict)
    }

    #[test]
    fn chunks_say_their_octets_or_nothing_can_be_understood() {
        assert_eq!(read("BDAT 86"), Ok(Command::Bdat { octets: 86, last: false }));
        assert_eq!(read("bdat 0 last"), Ok(Command::Bdat { octets: 0, last: true }));
        for bad in
            ["BDAT", "BDAT x", "BDAT -1", "BDAT +1", "BDAT 1 2", "BDAT 1 LAST x", "BDAT 99999999999999999999"]
        {
            assert_eq!(read(bad), Err(CommandError::ChunkSize), "{bad}");
        }
    }

    #[test]
    fn an_initial_response_may_be_absent_empty_or_given() {
        let auth = |initial: Option<&[u8]>| {
            Ok(Command::Auth { mechanism: "PLAIN".to_owned(), initial: initial.map(<[u8]>::to_vec) })
        };
        assert_eq!(read("AUTH plain"), auth(None));
        assert_eq!(read("AUTH PLAIN ="), auth(Some(b"")));
        assert_eq!(read("AUTH PLAIN AGEAYg=="), auth(Some(b"\0a\0b")));
        assert_eq!(read("AUTH PLAIN AGEAYg"), Err(CommandError::Base64));
        for bad in ["AUTH", "AUTH PL/AIN", "AUTH PLAIN AGEAYg== x"] {
            assert!(matches!(read(bad), Err(CommandError::Syntax(_))), "{bad}");
        }
    }

    #[test]
    fn a_proxy_tells_of_its_client() {
        let Ok(Command::XClient(client)) =
            read("XCLIENT NAME=[UNAVAILABLE] ADDR=IPv6:2001:db8::1 helo=a+2Bb PORT=25 PROTO=ESMTP")
        else {
            panic!("not understood")
        };
        assert_eq!(client.name, Known::Unavailable);
        assert_eq!(client.address, Known::Value("2001:db8::1".parse().unwrap()));
        assert_eq!(client.helo, Known::Value("a+b".to_owned()));
        assert_eq!((client.port, client.login), (Known::Value(25), Known::Unsaid));
        for bad in
            ["XCLIENT", "XCLIENT ADDR", "XCLIENT ADDR=x", "XCLIENT COLOUR=red", "XCLIENT NAME=a+0D+0Ab"]
        {
            assert!(matches!(read(bad), Err(CommandError::Syntax(_))), "{bad}");
        }
    }
}
