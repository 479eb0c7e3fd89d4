//! PLAIN (RFC 4616): an authorization identity, a name and a password in one message.

use super::{Desk, Next, text};
use crate::failure::Failure;

pub(super) fn step(desk: &Desk<'_>, response: &[u8]) -> Next {
    match read(response) {
        Ok(message) => desk.check_password(message.name, message.password, message.authorization),
        Err(failure) => Next::Failed(None, failure),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Message<'a> {
    authorization: &'a str,
    name: &'a str,
    password: &'a str,
}

//= RFC 4616 section 2: message = [authzid] UTF8NUL authcid UTF8NUL passwd; the last two are never empty.
fn read(response: &[u8]) -> Result<Message<'_>, Failure> {
    let parts: Vec<&[u8]> = response.split(|octet| *octet == 0).collect();
    let [authorization, name, password] = parts[..] else { return Err(Failure::Malformed) };
    if name.is_empty() || password.is_empty() {
        return Err(Failure::Malformed);
    }
    let password = std::str::from_utf8(password).map_err(|_| Failure::Malformed)?;
    Ok(Message { authorization: text(authorization)?, name: text(name)?, password })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_4616_are_read() {
        let message = Message { authorization: "", name: "tim", password: "tanstaaftanstaaf" };
        assert_eq!(read(b"\0tim\0tanstaaftanstaaf"), Ok(message));
        let message = Message { authorization: "Ursel", name: "Kurt", password: "xipj3plmq" };
        assert_eq!(read(b"Ursel\0Kurt\0xipj3plmq"), Ok(message));
    }

    #[test]
    fn what_has_not_three_parts_is_malformed() {
        for bad in [&b""[..], b"\0", b"\0tim", b"\0tim\0", b"\0\0secret", b"\0tim\0a\0b", b"\0t\xff\0secret"]
        {
            assert_eq!(read(bad), Err(Failure::Malformed), "{bad:?}");
        }
    }
}
