//! What a milter changes at the end of a message, put into effect: the envelope, the overlay of the header, a new body.
//!
//! A change that cannot be, such as a field name with a colon, fails the milter; nothing of what it wrote is kept then. Line ends
//! in a value fold the field whatever follows them, and a new body has CRLF alone: neither can begin a line of its own.

use hooks::TransactionFacts;
use message::{BodyError, Draft, HeaderError};
use model::{Content, Envelope, ForwardPath, Param};
use smtp::{Command, Paths};

use crate::connection::MilterError;
use crate::response::Change;

/// Changes of one message, pieces of a body not counted.
const MAX_CHANGES: usize = 1_000;
/// Recipients of an envelope, the added ones included.
const MAX_RECIPIENTS: usize = 1_000;

/// The message with the changes so far.
pub(crate) struct Edits {
    draft: Draft,
    envelope: Option<Envelope>,
    pub(crate) quarantine: Option<String>,
    changes: usize,
    body: Option<NewBody>,
    body_octets: u64,
}

/// A body as it comes in pieces.
#[derive(Default)]
struct NewBody {
    octets: u64,
    /// The last piece ended in CR: an LF belongs to it.
    after_cr: bool,
}

/// What is to go on in place of what came.
#[derive(Debug, Default)]
pub(crate) struct Edited {
    pub(crate) envelope: Option<Envelope>,
    pub(crate) content: Option<Content>,
}

impl Edits {
    pub(crate) fn new(draft: Draft, body_octets: u64) -> Self {
        Self { draft, envelope: None, quarantine: None, changes: 0, body: None, body_octets }
    }

    /// Makes one change. `leading` says whether values bring their own white space after the colon.
    pub(crate) fn make(
        &mut self,
        change: Change,
        leading: bool,
        facts: &TransactionFacts,
    ) -> Result<(), MilterError> {
        if !matches!(change, Change::Body(_)) {
            self.changes += 1;
        }
        if self.changes > MAX_CHANGES {
            return Err(MilterError::TooMuch(format!("{MAX_CHANGES} changes of one message")));
        }
        match change {
            Change::AddHeader { name, value } => {
                self.draft.add_header(&name, &folded(&value, leading), None).map_err(bad_header)
            }
            // Our own trace field is put above the message afterwards, and sendmail's stands at 0.
            Change::InsertHeader { at, name, value } => {
                let at = Some(at.saturating_sub(1) as usize);
                self.draft.add_header(&name, &folded(&value, leading), at).map_err(bad_header)
            }
            Change::SetHeader { nth, name, value } => self.change_header(nth, &name, &value, leading),
            Change::Body(piece) => self.write_body(&piece),
            Change::Sender { address, params } => self.set_sender(&address, &params, facts),
            Change::AddRecipient { address, params } => self.add_recipient(&address, &params, facts),
            Change::DeleteRecipient(address) => self.delete_recipient(&address, facts),
            Change::Quarantine(reason) => {
                self.quarantine.get_or_insert(reason);
                Ok(())
            }
        }
    }

    /// The message as it goes on.
    pub(crate) fn finish(mut self) -> Result<Edited, MilterError> {
        if self.body.take().is_some_and(|body| body.after_cr) {
            self.append(b"\r\n")?;
        }
        let content = match self.draft.is_edited() {
            true => Some(self.draft.into_content()?),
            false => None,
        };
        Ok(Edited { envelope: self.envelope, content })
    }

    /// An empty value removes the field; one that there is not is added, as sendmail does.
    fn change_header(
        &mut self,
        nth: u32,
        name: &str,
        value: &[u8],
        leading: bool,
    ) -> Result<(), MilterError> {
        let nth = nth.saturating_sub(1) as usize;
        if value.is_empty() {
            self.draft.remove_header(name, Some(nth));
            return Ok(());
        }
        let value = folded(value, leading);
        match self.draft.set_header(name, nth, &value) {
            Err(HeaderError::NoSuchField) => self.draft.add_header(name, &value, None).map_err(bad_header),
            set => set.map_err(bad_header),
        }
    }

    /// Appends to the new body, whose lines end in CRLF whatever the milter ends them with.
    fn write_body(&mut self, piece: &[u8]) -> Result<(), MilterError> {
        if self.body.is_none() {
            self.draft.start_body();
        }
        let body = self.body.get_or_insert_default();
        body.octets += piece.len() as u64;
        if body.octets > self.body_octets {
            return Err(MilterError::TooMuch(format!("{} octets of a new body", self.body_octets)));
        }
        let mut after_cr = body.after_cr;
        let mut lines = Vec::with_capacity(piece.len() + piece.len() / 32);
        let mut rest = piece;
        if after_cr && !rest.is_empty() {
            lines.extend_from_slice(b"\r\n");
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            after_cr = false;
        }
        while let Some(end) = memchr::memchr2(b'\r', b'\n', rest) {
            lines.extend_from_slice(&rest[..end]);
            let is_cr = rest[end] == b'\r';
            rest = &rest[end + 1..];
            if is_cr && rest.is_empty() {
                after_cr = true;
                break;
            }
            if is_cr {
                rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            }
            lines.extend_from_slice(b"\r\n");
        }
        lines.extend_from_slice(rest);
        if let Some(body) = &mut self.body {
            body.after_cr = after_cr;
        }
        self.append(&lines)
    }

    fn append(&mut self, octets: &[u8]) -> Result<(), MilterError> {
        self.draft.write_body(octets).map_err(|error| match error {
            BodyError::TooLarge => MilterError::TooMuch("a body's pieces and octets".to_owned()),
            other => bad("a body", &other),
        })
    }

    fn envelope(&mut self, facts: &TransactionFacts) -> &mut Envelope {
        self.envelope.get_or_insert_with(|| facts.envelope.clone())
    }

    fn set_sender(
        &mut self,
        address: &str,
        params: &str,
        facts: &TransactionFacts,
    ) -> Result<(), MilterError> {
        let line = format!("MAIL FROM:{} {params}", in_brackets(address));
        match Command::parse(line.as_bytes(), Paths::Strict) {
            Ok(Command::Mail { sender, params }) => {
                let envelope = self.envelope(facts);
                envelope.sender = sender;
                params.into_iter().for_each(|param| put_param(&mut envelope.sender_params, param));
                Ok(())
            }
            Ok(_) => Err(bad("a sender", &address)),
            Err(error) => Err(bad("a sender", &error)),
        }
    }

    fn add_recipient(
        &mut self,
        address: &str,
        params: &str,
        facts: &TransactionFacts,
    ) -> Result<(), MilterError> {
        let line = format!("RCPT TO:{} {params}", in_brackets(address));
        let (mailbox, params) = match Command::parse(line.as_bytes(), Paths::Strict) {
            Ok(Command::Rcpt { path: ForwardPath::Mailbox(mailbox), params }) => (mailbox, params),
            Ok(_) => return Err(bad("a recipient", &address)),
            Err(error) => return Err(bad("a recipient", &error)),
        };
        let envelope = self.envelope(facts);
        if envelope.recipients.iter().any(|recipient| recipient.address == mailbox) {
            return Ok(());
        }
        if envelope.recipients.len() >= MAX_RECIPIENTS {
            return Err(MilterError::TooMuch(format!("{MAX_RECIPIENTS} recipients")));
        }
        envelope.add_recipient(mailbox.clone(), mailbox, params);
        Ok(())
    }

    /// By the address that the milter was told, or the one that the client named. One that is not there is no fault.
    fn delete_recipient(&mut self, address: &str, facts: &TransactionFacts) -> Result<(), MilterError> {
        let line = format!("RCPT TO:{}", in_brackets(address));
        let Ok(Command::Rcpt { path: ForwardPath::Mailbox(mailbox), .. }) =
            Command::parse(line.as_bytes(), Paths::Strict)
        else {
            return Err(bad("a recipient", &address));
        };
        let recipients = &mut self.envelope(facts).recipients;
        recipients.retain(|recipient| recipient.address != mailbox && recipient.original != mailbox);
        Ok(())
    }
}

fn in_brackets(address: &str) -> String {
    let address = address.trim();
    if address.starts_with('<') { address.to_owned() } else { format!("<{address}>") }
}

fn put_param(params: &mut Vec<Param>, param: Param) {
    params.retain(|before| !before.keyword.eq_ignore_ascii_case(&param.keyword));
    params.push(param);
}

/// A value as this server writes it: without the white space that it puts there itself, every line end a fold.
fn folded(value: &[u8], leading: bool) -> Vec<u8> {
    let value = if leading { value.strip_prefix(b" ").unwrap_or(value) } else { value };
    let mut lines = value.split(|octet| *octet == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut out = lines.next().unwrap_or_default().to_vec();
    for line in lines.filter(|line| !line.is_empty()) {
        out.extend_from_slice(b"\r\n");
        if !matches!(line.first(), Some(b' ' | b'\t')) {
            out.push(b'\t');
        }
        out.extend_from_slice(line);
    }
    out
}

fn bad_header(error: HeaderError) -> MilterError {
    bad("a header field", &error)
}

fn bad(what: &'static str, why: &dyn std::fmt::Display) -> MilterError {
    MilterError::BadChange { what, why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::tests::transaction_facts;

    const MESSAGE: &str = "A: 1\r\nB: 2\r\nA: 3\r\n\r\nbody\r\n";

    fn edits(facts: &TransactionFacts) -> Edits {
        Edits::new(Draft::new(facts.content.clone().unwrap()).unwrap(), 1_000)
    }

    fn after(changes: Vec<Change>) -> Result<(String, Envelope), MilterError> {
        let facts = transaction_facts(MESSAGE);
        let mut edits = edits(&facts);
        for change in changes {
            edits.make(change, false, &facts)?;
        }
        let edited = edits.finish()?;
        let content = edited.content.or(facts.content).unwrap().to_bytes().unwrap();
        Ok((String::from_utf8(content.to_vec()).unwrap(), edited.envelope.unwrap_or(facts.envelope)))
    }

    fn change(nth: u32, name: &str, value: &'static str) -> Change {
        Change::SetHeader { nth, name: name.to_owned(), value: Bytes::from_static(value.as_bytes()) }
    }

    fn insert(at: u32, name: &str, value: &'static str) -> Change {
        Change::InsertHeader { at, name: name.to_owned(), value: Bytes::from_static(value.as_bytes()) }
    }

    #[test]
    fn fields_are_changed_by_name_and_number() {
        let changes =
            vec![change(2, "a", "three"), change(1, "B", ""), change(1, "C", "new"), insert(1, "X", "top")];
        let (message, _) = after(changes).unwrap();
        assert_eq!(message, "X: top\r\nA: 1\r\na: three\r\nC: new\r\n\r\nbody\r\n");
    }

    #[test]
    fn a_value_cannot_begin_a_line_of_its_own() {
        let (message, _) = after(vec![insert(0, "X", "a\r\nEvil: b\n\tc\n\nd\n")]).unwrap();
        assert!(message.starts_with("X: a\r\n\tEvil: b\r\n\tc\r\n\td\r\nA: 1\r\n"), "{message}");
    }

    #[test]
    fn what_is_no_field_name_and_no_address_fails() {
        let text = |address: &str| (address.to_owned(), String::new());
        let bad_sender = |address| {
            let (address, params) = text(address);
            Change::Sender { address, params }
        };
        for bad in
            [insert(0, "X:", "a"), insert(0, "", "a"), bad_sender("<a\r\nRCPT TO:<b@c>>"), bad_sender("no")]
        {
            assert!(matches!(after(vec![bad.clone()]), Err(MilterError::BadChange { .. })), "{bad:?}");
        }
    }

    #[test]
    fn envelope_changes_are_made() {
        let add = Change::AddRecipient { address: "<new@example.net>".into(), params: "NOTIFY=NEVER".into() };
        let changes = vec![
            add,
            Change::DeleteRecipient("<bob@example.org>".into()),
            Change::Sender { address: "<>".into(), params: "BODY=8BITMIME".into() },
        ];
        let (_, envelope) = after(changes).unwrap();
        assert_eq!(envelope.sender, model::ReversePath::Null);
        assert_eq!(envelope.sender_param("BODY"), Some("8BITMIME"));
        let addresses: Vec<String> = envelope.recipients.iter().map(|one| one.address.to_string()).collect();
        assert_eq!(addresses, ["new@example.net"]);
        assert_eq!(envelope.recipients[0].param("NOTIFY"), Some("NEVER"));
    }

    #[test]
    fn too_much_of_anything_is_refused() {
        let facts = transaction_facts(MESSAGE);
        let mut edits = edits(&facts);
        assert!(matches!(
            edits.make(Change::Body(vec![b'x'; 1_001].into()), false, &facts),
            Err(MilterError::TooMuch(_))
        ));
        let one = |nth: usize| Change::DeleteRecipient(format!("<a{nth}@example.org>"));
        let refused = (0..=MAX_CHANGES).find(|nth| edits.make(one(*nth), false, &facts).is_err());
        assert_eq!(refused, Some(MAX_CHANGES));
    }

    proptest! {
        #[test]
        fn a_new_body_has_crlf_alone_wherever_it_is_cut(
            text in "[ab\r\n]{0,60}",
            cuts in proptest::collection::vec(1usize..7, 1..30),
        ) {
            let facts = transaction_facts(MESSAGE);
            let mut edits = edits(&facts);
            let (mut at, mut cuts) = (0, cuts.iter().cycle());
            edits.make(Change::Body(Bytes::new()), false, &facts).unwrap();
            while at < text.len() {
                let end = (at + cuts.next().copied().unwrap_or(1)).min(text.len());
                let piece = Bytes::copy_from_slice(&text.as_bytes()[at..end]);
                edits.make(Change::Body(piece), false, &facts).unwrap();
                at = end;
            }
            let content = edits.finish().unwrap().content.unwrap().to_bytes().unwrap();
            let wanted = text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n");
            let (_, body) = std::str::from_utf8(&content).unwrap().split_once("\r\n\r\n").unwrap_or(("", ""));
            prop_assert_eq!(body, wanted);
        }
    }
}
