//! For whom a raw message is, and from whom: what the query says, else what two fields of the request say, else what the message's own
//! header says, as `sendmail -t` reads it.
//!
//! Standards: RFC 5322 (3.6.2 originators, 3.6.3 destinations).

use std::collections::HashSet;

use axum::http::HeaderMap;
use mail_parser::{Address, MessageParser};
use model::{Mailbox, ReversePath};

use crate::problem::Problem;

/// The envelope of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) sender: ReversePath,
    /// At least one, each once.
    pub(crate) recipients: Vec<Mailbox>,
}

impl Envelope {
    /// The envelope of a raw message; `query` is that of the request.
    pub(crate) fn of(
        query: &[(String, String)],
        headers: &HeaderMap,
        message: &[u8],
    ) -> Result<Self, Problem> {
        let (mut sender, mut recipients) = (None, Vec::new());
        for (name, value) in query {
            match name.as_str() {
                "from" if sender.is_none() => sender = Some(value.clone()),
                "to" => recipients.push(value.clone()),
                "from" => return Err(Problem::bad_request("the query names more than one sender")),
                _ => {
                    return Err(Problem::bad_request(format!(
                        "the query has an unknown parameter \"{}\"",
                        clipped(name)
                    )));
                }
            }
        }
        let header = MessageParser::default().parse_headers(message);
        if sender.is_none() {
            sender = listed(headers, "x-envelope-from")?.into_iter().next();
        }
        if recipients.is_empty() {
            recipients = listed(headers, "x-envelope-to")?;
        }
        if let Some(header) = &header {
            sender = sender.or_else(|| {
                header.sender().or_else(|| header.from()).and_then(|from| addresses(from).next())
            });
            if recipients.is_empty() {
                let named = [header.to(), header.cc(), header.bcc()];
                recipients = named.into_iter().flatten().flat_map(addresses).collect();
            }
        }
        let Some(sender) = sender else {
            return Err(Problem::bad_request("no sender: neither the request nor the message names one"));
        };
        Self::new(&sender, recipients.iter().map(String::as_str))
    }

    /// An envelope of addresses as somebody wrote them.
    pub(crate) fn new<'a>(sender: &str, recipients: impl Iterator<Item = &'a str>) -> Result<Self, Problem> {
        let sender = match sender {
            "" | "<>" => ReversePath::Null,
            address => ReversePath::Mailbox(mailbox(address)?),
        };
        let mut seen = HashSet::new();
        let mut all = Vec::new();
        for recipient in recipients {
            let recipient = mailbox(recipient)?;
            if seen.insert(recipient.clone()) {
                all.push(recipient);
            }
        }
        match all.is_empty() {
            true => Err(Problem::bad_request("no recipient: neither the request nor the message names one")),
            false => Ok(Self { sender, recipients: all }),
        }
    }
}

fn mailbox(text: &str) -> Result<Mailbox, Problem> {
    let bare = text.trim();
    let bare = bare.strip_prefix('<').and_then(|bare| bare.strip_suffix('>')).unwrap_or(bare);
    Mailbox::parse(bare)
        .map_err(|error| Problem::bad_request(format!("\"{}\" is no address: {error}", clipped(text))))
}

/// What a client sent comes back to it in errors, but not at any length.
pub(crate) fn clipped(text: &str) -> String {
    text.chars().take(200).collect()
}

/// The addresses of a field of the request, which is a list.
fn listed(headers: &HeaderMap, name: &str) -> Result<Vec<String>, Problem> {
    let mut all = Vec::new();
    for value in headers.get_all(name) {
        let text = std::str::from_utf8(value.as_bytes())
            .map_err(|_| Problem::bad_request(format!("the field {name} is not UTF-8")))?;
        all.extend(
            text.split(',').map(|address| address.trim().to_owned()).filter(|address| !address.is_empty()),
        );
    }
    Ok(all)
}

fn addresses<'a>(field: &'a Address<'_>) -> impl Iterator<Item = String> + 'a {
    field.iter().filter_map(|addr| addr.address().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] = b"From: Ann <ann@example.org>\r\nTo: x@one.example, y@two.example\r\nBcc: z@three.example\r\nCc: x@one.example\r\n\r\nhi\r\n";

    fn of(
        query: &[(&str, &str)],
        fields: &[(&'static str, &str)],
        message: &[u8],
    ) -> Result<Envelope, Problem> {
        let query: Vec<_> =
            query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        Envelope::of(&query, &headers, message)
    }

    fn shown(envelope: Result<Envelope, Problem>) -> String {
        match envelope {
            Ok(Envelope { sender, recipients }) => {
                let recipients: Vec<String> = recipients.iter().map(ToString::to_string).collect();
                format!("{sender} {}", recipients.join(" "))
            }
            Err(problem) => problem.detail,
        }
    }

    #[test]
    fn the_query_comes_before_the_fields_and_those_before_the_message() {
        assert_eq!(
            shown(of(&[], &[], MESSAGE)),
            "<ann@example.org> x@one.example y@two.example z@three.example"
        );
        let fields = [("x-envelope-from", "<>"), ("x-envelope-to", "a@b.example, <c@d.example>")];
        assert_eq!(shown(of(&[], &fields, MESSAGE)), "<> a@b.example c@d.example");
        let query = [("to", "q@r.example"), ("from", "s@t.example"), ("to", "q@r.example")];
        assert_eq!(shown(of(&query, &fields, MESSAGE)), "<s@t.example> q@r.example");
    }

    #[test]
    fn what_names_nobody_or_no_address_is_refused_with_the_reason() {
        assert!(shown(of(&[], &[], b"Subject: x\r\n\r\n")).starts_with("no sender"));
        assert!(shown(of(&[], &[], b"From: a@b.example\r\n\r\n")).starts_with("no recipient"));
        assert!(shown(of(&[("to", "no address")], &[], MESSAGE)).starts_with("\"no address\" is no address"));
        assert!(shown(of(&[("too", "x")], &[], MESSAGE)).contains("unknown parameter \"too\""));
        assert!(
            shown(of(&[("from", "a@b.example"), ("from", "a@b.example")], &[], MESSAGE))
                .contains("more than one")
        );
        assert!(shown(of(&[("to", &"x".repeat(10_000))], &[], MESSAGE)).len() < 500);
    }
}
