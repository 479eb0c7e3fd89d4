//! What was typed, as a message with an envelope.

use mail_parser::{Address, HeaderName, MessageParser};
use message::{Draft, HeaderBlock};
use model::{Content, Domain, Mailbox, Param, Recipient, ReversePath};
use nix::unistd::User;

use super::exit::{Exit, Failed};
use super::order::Order;

/// A message and where it goes.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) sender: ReversePath,
    pub(crate) sender_params: Vec<Param>,
    pub(crate) recipients: Vec<Recipient>,
    pub(crate) content: Content,
}

impl Letter {
    /// `host` is the server's name: an address without a domain is of it.
    pub(crate) fn new(
        order: &Order,
        typed: &[u8],
        user: &str,
        known: Option<&User>,
        host: &Domain,
    ) -> Result<Self, Failed> {
        let octets = with_line_ends(without_envelope_line(typed));
        let sender =
            match order.sender.as_ref().map(|given| given.trim_start_matches('<').trim_end_matches('>')) {
                Some("") => ReversePath::Null,
                given => ReversePath::Mailbox(qualified(given.unwrap_or(user), host)?),
            };
        let mut named = order.recipients.clone();
        if order.from_header {
            named.extend(of_header(&octets));
        }
        if named.is_empty() {
            return Err(
                Exit::Usage.because("nobody is named to send to: give recipients, or -t with a field To")
            );
        }
        let mut recipients: Vec<Recipient> = Vec::new();
        let params = param("NOTIFY", order.notify.as_deref().map(str::to_ascii_uppercase));
        for address in
            named.iter().flat_map(|given| given.split(',')).map(str::trim).filter(|given| !given.is_empty())
        {
            let address = qualified(address.trim_start_matches('<').trim_end_matches('>'), host)?;
            if recipients.iter().any(|known| known.address == address) {
                continue;
            }
            let id = u32::try_from(recipients.len()).unwrap_or(u32::MAX);
            recipients.push(Recipient { id, original: address.clone(), address, params: params.clone() });
        }
        let mut sender_params = param("RET", order.ret.as_deref().map(str::to_ascii_uppercase));
        sender_params.extend(param("ENVID", order.envelope_id.clone()));
        let full_name =
            order.full_name.clone().or_else(|| known.map(full_name)).filter(|name| !name.is_empty());
        let content = with_from(octets, &sender, user, full_name.as_deref(), host)?;
        Ok(Self { sender, sender_params, recipients, content })
    }
}

fn param(keyword: &str, value: Option<String>) -> Vec<Param> {
    value.map(|value| Param { keyword: keyword.to_owned(), value: Some(value) }).into_iter().collect()
}

fn qualified(address: &str, host: &Domain) -> Result<Mailbox, Failed> {
    let parsed = match address.contains('@') {
        true => Mailbox::parse(address),
        false => Mailbox::new(address, host.clone()),
    };
    parsed.map_err(|error| Exit::Usage.because(format!("\"{address}\" is no address: {error}")))
}

/// The name behind a user: what stands before the first comma.
fn full_name(user: &User) -> String {
    user.gecos.to_string_lossy().split(',').next().unwrap_or_default().to_owned()
}

/// A first line as mailboxes of old have it between messages.
fn without_envelope_line(typed: &[u8]) -> &[u8] {
    match typed.starts_with(b"From ") {
        true => typed.iter().position(|octet| *octet == b'\n').map_or(&[], |end| &typed[end + 1..]),
        false => typed,
    }
}

/// Every line ends with CR LF, whatever ended it.
fn with_line_ends(typed: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(typed.len() + typed.len() / 32 + 2);
    let mut rest = typed.iter().copied().peekable();
    while let Some(octet) = rest.next() {
        match octet {
            b'\r' => {
                rest.next_if_eq(&b'\n');
                octets.extend_from_slice(b"\r\n");
            }
            b'\n' => octets.extend_from_slice(b"\r\n"),
            octet => octets.push(octet),
        }
    }
    if !octets.ends_with(b"\r\n") {
        octets.extend_from_slice(b"\r\n");
    }
    octets
}

/// Whom the header names; of a message that is sent on, the fields that begin with Resent.
fn of_header(octets: &[u8]) -> Vec<String> {
    // The header is what the server takes for it: a field that becomes body names nobody, lest a blind copy be shown.
    let block = HeaderBlock::parse(&bytes::Bytes::copy_from_slice(octets));
    let Some(message) = MessageParser::default().parse_headers(block.as_bytes()) else { return Vec::new() };
    let fields = |names: &[HeaderName<'_>]| -> Vec<String> {
        let all = message.headers().iter().filter(|header| names.contains(&header.name));
        all.filter_map(|header| header.value.as_address()).flat_map(addresses).collect()
    };
    let again = fields(&[HeaderName::ResentTo, HeaderName::ResentCc, HeaderName::ResentBcc]);
    match again.is_empty() {
        true => fields(&[HeaderName::To, HeaderName::Cc, HeaderName::Bcc]),
        false => again,
    }
}

fn addresses(field: &Address<'_>) -> Vec<String> {
    // A name of this host alone, such as root, has no domain.
    let one = |address: &mail_parser::Addr<'_>| {
        address.address.as_ref().or(address.name.as_ref()).map(ToString::to_string)
    };
    field.iter().filter_map(one).collect()
}

/// The message with an author; the server adds the date and an id.
fn with_from(
    octets: Vec<u8>,
    sender: &ReversePath,
    user: &str,
    full_name: Option<&str>,
    host: &Domain,
) -> Result<Content, Failed> {
    let unusable =
        |error: &dyn std::fmt::Display| Exit::Data.because(format!("the message cannot be used: {error}"));
    let mut draft = Draft::new(bytes::Bytes::from(octets).into()).map_err(|error| unusable(&error))?;
    if draft.header_all("From").is_empty() {
        let author = match sender.mailbox() {
            Some(mailbox) => mailbox.clone(),
            None => qualified(user, host)?,
        };
        let field = match full_name {
            Some(name) => {
                format!("\"{}\" <{author}>", name.replace(['"', '\\'], "").replace(char::is_control, " "))
            }
            None => author.to_string(),
        };
        draft.add_header("From", field.as_bytes(), None).map_err(|error| unusable(&error))?;
    }
    draft.into_content().map_err(|error| unusable(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_with_crlf_whatever_ended_them() {
        assert_eq!(with_line_ends(b"a\nb\r\nc\rd"), b"a\r\nb\r\nc\r\nd\r\n");
        assert_eq!(without_envelope_line(b"From ann Mon Jan 1\nSubject: x\n"), b"Subject: x\n");
    }

    #[test]
    fn recipients_stand_in_the_header_without_a_domain_too() {
        let header = b"To: root, Ann <ann@example.org>\r\nCc: team: bob@example.org, carl@example.org;\r\nBcc: dan@example.org\r\n\r\nTo: not@me\r\n";
        assert_eq!(
            of_header(header),
            ["root", "ann@example.org", "bob@example.org", "carl@example.org", "dan@example.org"]
        );
        let again = b"To: ann@example.org\r\nResent-To: eve@example.org\r\n\r\n";
        assert_eq!(of_header(again), ["eve@example.org"]);
        assert!(of_header(b" folded\r\nBcc: dan@example.org\r\n\r\n").is_empty(), "it is all body");
    }
}
