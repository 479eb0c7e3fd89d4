//! OAUTHBEARER (RFC 7628) and XOAUTH2: a bearer token in one message.
//!
//! A token that does not count is answered with a challenge in JSON, which says why and what to ask the issuer for; the client
//! answers with something that means nothing, and only then has failed (RFC 7628 section 3.2.3).

use serde_json::json;

use super::{Desk, Next, State, is_same_identity, text, unescape};
use crate::failure::Failure;
use crate::token::TokenOptions;

/// What stands between the parts of a message.
const SEPARATOR: u8 = 0x01;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    OauthBearer,
    Xoauth2,
}

/// The client has been told that its token does not count.
#[derive(Debug)]
pub(crate) struct Refused {
    name: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
struct Message<'a> {
    /// Whom the client says it is, which the token has to confirm; empty: whom the token says.
    name: String,
    token: &'a str,
}

impl Dialect {
    pub(super) fn step(self, desk: &Desk<'_>, response: &[u8]) -> Next {
        let read = match self {
            Self::OauthBearer => read_oauthbearer(response),
            Self::Xoauth2 => read_xoauth2(response),
        };
        let message = match read {
            Ok(message) => message,
            Err(failure) => return Next::Failed(None, failure),
        };
        let Some(tokens) = &desk.site.options.tokens else {
            return Next::Failed(None, Failure::UnknownMechanism);
        };
        let claimed = Some(message.name.clone()).filter(|name| !name.is_empty());
        if let Err(failure) = desk.charge(&message.name) {
            return Next::Failed(claimed, failure);
        }
        let verified = tokens.verify(message.token, desk.at.wall);
        let user = verified.as_deref().ok().and_then(|name| Some((name, desk.user(name)?)));
        match user {
            Some((name, user)) if is_same_identity(&message.name, name) => {
                desk.succeeded(&message.name);
                Next::Done(user.clone())
            }
            _ => {
                let name = claimed.or(verified.ok());
                Next::Challenge(State::TokenRefused(Refused { name }), self.refusal(tokens))
            }
        }
    }

    /// The challenge that says that the token does not count.
    fn refusal(self, tokens: &TokenOptions) -> Vec<u8> {
        let mut refusal = match self {
            //= RFC 7628 section 3.2.2: status, and where there are such, scope and openid-configuration.
            Self::OauthBearer => json!({ "status": "invalid_token" }),
            Self::Xoauth2 => json!({ "status": "401", "schemes": "Bearer" }),
        };
        if let Some(scope) = &tokens.scope {
            refusal["scope"] = scope.as_str().into();
        }
        if let (Self::OauthBearer, Some(url)) = (self, &tokens.openid_configuration) {
            refusal["openid-configuration"] = url.as_str().into();
        }
        refusal.to_string().into_bytes()
    }
}

impl Refused {
    /// Whatever the client says, it has failed.
    pub(super) fn step(self) -> Next {
        Next::Failed(self.name, Failure::Credentials)
    }
}

//= RFC 7628 section 3.1: client-resp = (gs2-header kvsep *kvpair kvsep) / kvsep
fn read_oauthbearer(response: &[u8]) -> Result<Message<'_>, Failure> {
    let mut parts = parts(response)?.into_iter();
    let header = text(parts.next().unwrap_or_default())?;
    let fields: Vec<&str> = header.split(',').collect();
    // There is no channel binding in this mechanism; a client that can bind says so with `y`.
    let ["n" | "y", authorization, ""] = fields[..] else { return Err(Failure::Malformed) };
    let name = match authorization {
        "" => String::new(),
        _ => unescape(authorization.strip_prefix("a=").ok_or(Failure::Malformed)?)?,
    };
    let mut token = None;
    for pair in parts {
        // The others (host, port, mthd, ...) say what we know.
        if let Some(value) = pair.strip_prefix(b"auth=")
            && token.replace(bearer(value)?).is_some()
        {
            return Err(Failure::Malformed);
        }
    }
    Ok(Message { name, token: token.ok_or(Failure::Malformed)? })
}

/// `user=NAME ^A auth=Bearer TOKEN ^A ^A`.
fn read_xoauth2(response: &[u8]) -> Result<Message<'_>, Failure> {
    let parts = parts(response)?;
    let [user, auth] = parts[..] else { return Err(Failure::Malformed) };
    let name = text(user.strip_prefix(b"user=").ok_or(Failure::Malformed)?)?;
    if name.is_empty() {
        return Err(Failure::Malformed);
    }
    let token = bearer(auth.strip_prefix(b"auth=").ok_or(Failure::Malformed)?)?;
    Ok(Message { name: name.to_owned(), token })
}

/// What stands before each separator; the last one is an empty part's.
fn parts(response: &[u8]) -> Result<Vec<&[u8]>, Failure> {
    let body = response.strip_suffix(&[SEPARATOR, SEPARATOR]).ok_or(Failure::Malformed)?;
    Ok(body.split(|octet| *octet == SEPARATOR).collect())
}

/// The token of `Bearer TOKEN` (RFC 6750 section 2.1); the scheme's case makes no difference.
fn bearer(value: &[u8]) -> Result<&str, Failure> {
    let value = std::str::from_utf8(value).map_err(|_| Failure::Malformed)?;
    let (scheme, token) = value.split_once(' ').ok_or(Failure::Malformed)?;
    let token = token.trim_matches(' ');
    let is_b68 = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if !scheme.eq_ignore_ascii_case("Bearer") || token.is_empty() || !token.bytes().all(is_b68) {
        return Err(Failure::Malformed);
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7628_is_read() {
        let response = b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01\
                         auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01";
        let token = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==";
        assert_eq!(read_oauthbearer(response), Ok(Message { name: "user@example.com".to_owned(), token }));
    }

    #[test]
    fn what_is_no_message_is_malformed() {
        for bad in [
            &b""[..],
            b"\x01",
            b"\x01\x01",
            b"n,,\x01\x01",
            b"n,,\x01auth=Bearer x\x01",
            b"n,,\x01auth=Basic x\x01\x01",
            b"n,,\x01auth=Bearer \x01\x01",
            b"n,,\x01auth=Bearer x\x01auth=Bearer y\x01\x01",
            b"p=tls-exporter,,\x01auth=Bearer x\x01\x01",
            b"n,b=x,\x01auth=Bearer x\x01\x01",
            b"n,a=x=2,\x01auth=Bearer x\x01\x01",
        ] {
            assert_eq!(read_oauthbearer(bad), Err(Failure::Malformed), "{bad:?}");
        }
        for bad in
            [&b""[..], b"user=a\x01\x01", b"user=\x01auth=Bearer x\x01\x01", b"user=a\x01auth=x\x01\x01"]
        {
            assert_eq!(read_xoauth2(bad), Err(Failure::Malformed), "{bad:?}");
        }
    }
}
