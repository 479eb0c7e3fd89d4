//! Commands and their arguments (RFC 5321 section 4.1), read from one line.

mod extended;
mod paths;

use std::borrow::Cow;

use model::{ForwardPath, MailboxError, Param, ReversePath};

pub use extended::{ClientAttributes, Known};

use extended::{auth, bdat, xclient};
pub(crate) use extended::{decode_response, encode_challenge};
use paths::{mail, rcpt};

/// A command that a client may send to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Helo {
        name: String,
    },
    Ehlo {
        name: String,
    },
    Lhlo {
        name: String,
    },
    Mail {
        sender: ReversePath,
        params: Vec<Param>,
    },
    Rcpt {
        path: ForwardPath,
        params: Vec<Param>,
    },
    Data,
    /// A chunk of content follows, of this many octets (RFC 3030).
    Bdat {
        octets: u64,
        last: bool,
    },
    /// RFC 3207.
    StartTls,
    /// RFC 4954; the mechanism's name is in upper case, the initial response decoded.
    Auth {
        mechanism: String,
        initial: Option<Vec<u8>>,
    },
    /// A proxy tells whom it speaks for.
    XClient(ClientAttributes),
    Rset,
    Noop,
    Vrfy,
    Help,
    Quit,
    /// A command of the standards that this server does not carry out.
    NotImplemented,
    /// The first line of an HTTP request: a browser, or somebody using one against us.
    Http,
}

/// Why a line is no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    #[error("command not recognized")]
    Unknown,
    #[error("the line has characters beyond ASCII that are not valid UTF-8, or control characters")]
    Characters,
    #[error("{0}")]
    Syntax(&'static str),
    /// How many octets follow is not known, so that nothing behind this line can be understood.
    #[error("usage: BDAT octets [LAST]")]
    ChunkSize,
    #[error("the response is not valid base64")]
    Base64,
    /// The reverse-path is not valid.
    #[error("sender address: {0}")]
    Sender(MailboxError),
    /// The forward-path is not valid.
    #[error("recipient address: {0}")]
    Recipient(MailboxError),
}

/// How strictly MAIL and RCPT are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Paths {
    /// As a person types them: white space behind the colon, and no angle brackets, are understood.
    #[default]
    Lenient,
    /// As RFC 5321 section 4.1.2 writes them and not otherwise.
    Strict,
}

impl Command {
    /// Reads a line without its CRLF.
    pub fn parse(line: &[u8], paths: Paths) -> Result<Self, CommandError> {
        let line = std::str::from_utf8(line).map_err(|_| CommandError::Characters)?;
        if line.chars().any(|c| c.is_control() && c != '\t') {
            return Err(CommandError::Characters);
        }
        let line = line.trim_end_matches([' ', '\t']);
        let end = line.find([' ', '\t']).unwrap_or(line.len());
        let (verb, argument) = (in_upper_case(&line[..end]), line[end..].trim_start());
        match &*verb {
            "HELO" => Ok(Self::Helo { name: host_name(argument)? }),
            "EHLO" => Ok(Self::Ehlo { name: host_name(argument)? }),
            "LHLO" => Ok(Self::Lhlo { name: host_name(argument)? }),
            "MAIL" => mail(argument, paths),
            "RCPT" => rcpt(argument, paths),
            "DATA" => no_argument(argument, Self::Data),
            "RSET" => no_argument(argument, Self::Rset),
            "QUIT" => no_argument(argument, Self::Quit),
            "NOOP" => Ok(Self::Noop),
            "HELP" => Ok(Self::Help),
            "VRFY" if argument.is_empty() => Err(CommandError::Syntax("VRFY needs an address or a name")),
            "VRFY" => Ok(Self::Vrfy),
            "BDAT" => bdat(argument),
            "STARTTLS" => no_argument(argument, Self::StartTls),
            "AUTH" => auth(argument),
            "XCLIENT" => xclient(argument),
            "EXPN" | "TURN" | "ETRN" | "ATRN" | "SEND" | "SOML" | "SAML" | "XFORWARD" | "BURL" => {
                Ok(Self::NotImplemented)
            }
            "GET" | "POST" | "PUT" | "HEAD" | "OPTIONS" | "CONNECT" if argument.contains("HTTP/") => {
                Ok(Self::Http)
            }
            _ => Err(CommandError::Unknown),
        }
    }
}

fn no_argument(argument: &str, command: Command) -> Result<Command, CommandError> {
    match argument {
        "" => Ok(command),
        _ => Err(CommandError::Syntax("this command takes no argument")),
    }
}

/// The name that a client gives itself. Any one word is taken: refusing mail for it is a policy, not a syntax
/// (RFC 5321 section 4.1.4).
fn host_name(argument: &str) -> Result<String, CommandError> {
    match argument {
        "" => Err(CommandError::Syntax("a host name or address literal is needed")),
        _ if argument.contains([' ', '\t']) => Err(CommandError::Syntax("a host name is one word")),
        _ if argument.len() > 255 => Err(CommandError::Syntax("the host name is longer than 255 octets")),
        _ => Ok(argument.to_owned()),
    }
}

fn in_upper_case(verb: &str) -> Cow<'_, str> {
    let is_upper = !verb.bytes().any(|octet| octet.is_ascii_lowercase());
    if is_upper { Cow::Borrowed(verb) } else { Cow::Owned(verb.to_ascii_uppercase()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(line: &str) -> Result<Command, CommandError> {
        Command::parse(line.as_bytes(), Paths::Lenient)
    }

    fn sender(line: &str) -> String {
        match read(line) {
            Ok(Command::Mail { sender, .. }) => sender.to_string(),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn what_a_person_types_is_understood_unless_paths_are_strict() {
        for line in [
            "MAIL FROM:<ann@example.org>",
            "mail from: <ann@example.org>",
            "MAIL FROM: ann@example.org",
            "Mail  From:ann@example.org  ",
        ] {
            assert_eq!(sender(line), "<ann@example.org>");
        }
        for line in ["MAIL FROM: <ann@example.org>", "MAIL FROM:ann@example.org"] {
            assert!(Command::parse(line.as_bytes(), Paths::Strict).is_err(), "{line}");
        }
    }

    #[test]
    fn paths_may_be_null_routed_quoted_or_postmaster() {
        assert_eq!(sender("MAIL FROM:<>"), "<>");
        assert_eq!(sender("MAIL FROM:<@a.example,@b.example:ann@example.org>"), "<ann@example.org>");
        assert_eq!(sender("MAIL FROM:<\"a > b\"@example.org> SIZE=1"), "<\"a > b\"@example.org>");
        let postmaster = Command::Rcpt { path: ForwardPath::Postmaster, params: Vec::new() };
        assert_eq!(read("RCPT TO:<PostMaster>"), Ok(postmaster));
    }

    #[test]
    fn parameters_are_split_and_upper_cased() {
        let Ok(Command::Mail { params, .. }) = read("MAIL FROM:<a@b> size=10  BODY=8BITMIME smtputf8") else {
            panic!("not understood")
        };
        let shown: Vec<_> = params.iter().map(|p| (p.keyword.as_str(), p.value.as_deref())).collect();
        assert_eq!(shown, [("SIZE", Some("10")), ("BODY", Some("8BITMIME")), ("SMTPUTF8", None)]);
    }

    #[test]
    fn what_is_no_command_is_refused() {
        for bad in [
            "",
            " ",
            "MAIL",
            "MAIL FROM",
            "MAIL FROM:",
            "MAIL FROM:<a@b",
            "MAIL FROM:<a@b>x",
            "MAIL TO:<a@b>",
            "RCPT TO:<>",
            "RCPT TO:<a>",
            "MAIL FROM:<a@b> SIZE=",
            "MAIL FROM:<a@b> SIZE=1 SIZE=2",
            "EHLO",
            "EHLO a b",
            "DATA now",
            "QUIT x",
            "VRFY",
            "MAIL FROM:<a@b> =x",
            "XYZZY",
            "MAIL FROM:<a\u{0}@b>",
            "MAIL FROM:a@b>",
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Command::parse(b"HELO \xff", Paths::Lenient), Err(CommandError::Characters));
    }

    proptest! {
        #[test]
        fn no_line_panics(line in proptest::collection::vec(any::<u8>(), 0..100), verb in "(MAIL FROM:|RCPT TO:|EHLO |)") {
            let whole = [verb.as_bytes(), &line].concat();
            let _ = Command::parse(&whole, Paths::Lenient);
            let _ = Command::parse(&whole, Paths::Strict);
        }
    }
}
