//! Carries out a list of edits that its settings name, to show that the server carries them out.
//!
//! ```toml
//! settings = { at = "message", then = "proceed", edits = [
//!   { op = "add-header", name = "X-A", value = "b" },              # at = 0: on top
//!   { op = "set-header", name = "Subject", nth = 0, value = "new" },
//!   { op = "remove-header", name = "X-B" },                        # nth = 0: the first alone
//!   { op = "set-sender", address = "a@example.org" },              # "": the null sender
//!   { op = "add-recipient", address = "b@example.org" },
//!   { op = "remove-recipient", address = "c@example.org" },
//!   { op = "start-body" }, { op = "copy-body", offset = 0, len = 4 }, { op = "write-body", data = "text\r\n" },
//!   { op = "insert-body", at = 0, data = "text\r\n" },             # at absent: at the end
//!   { op = "replace-body", find = "old", data = "new" },           # the first one that is found
//!   { op = "report", name = "X-Report" },                          # sizes and parts as a header field
//! ] }
//! ```
//!
//! `at` is connect, ehlo, mail, rcpt, data or message ("message" unless told). `then` is proceed, accept, reject (after the
//! edits, which must then be gone) or trap. A failed edit is put into the header field `X-Edit-Error` when `tolerant` is
//! true, and refuses with 554 5.3.0 otherwise. `insert-body` and `replace-body` each write a whole body: one of them is
//! enough for a list.

use serde::Deserialize;
use waxwing_plugin::prelude::*;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Settings {
    #[serde(default = "at_message")]
    at: String,
    #[serde(default)]
    then: Then,
    #[serde(default)]
    tolerant: bool,
    #[serde(default)]
    edits: Vec<Edit>,
}

fn at_message() -> String {
    "message".to_owned()
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Then {
    #[default]
    Proceed,
    Accept,
    Reject,
    Trap,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "op", deny_unknown_fields)]
enum Edit {
    AddHeader {
        name: String,
        value: String,
        at: Option<u32>,
    },
    SetHeader {
        name: String,
        #[serde(default)]
        nth: u32,
        value: String,
    },
    RemoveHeader {
        name: String,
        nth: Option<u32>,
    },
    SetSender {
        address: String,
    },
    AddRecipient {
        address: String,
    },
    RemoveRecipient {
        address: String,
    },
    StartBody {},
    CopyBody {
        offset: u32,
        len: u32,
    },
    WriteBody {
        data: String,
    },
    InsertBody {
        at: Option<u32>,
        data: String,
    },
    ReplaceBody {
        find: String,
        data: String,
    },
    Report {
        name: String,
    },
}

#[derive(Debug, Default)]
struct Edits {
    settings: config::Lazy<Settings>,
    body: Option<waxwing_plugin::body::NewBody>,
}

impl Edits {
    fn at(&mut self, hook: &str, cx: &Context) -> Verdict {
        if self.settings.at != hook {
            return Verdict::Proceed;
        }
        for n in 0..self.settings.edits.len() {
            let Err(e) = self.carry_out(n, cx) else { continue };
            if !self.settings.tolerant {
                return Reply::reject(format!("edit {n}: {e}")).with_code(554).with_status(5, 3, 0).into();
            }
            let told = cx.headers().add("X-Edit-Error", format!("{n} {e}"));
            if told.is_err() {
                log::warn(&format!("edit {n}: {e}"));
            }
        }
        match self.settings.then {
            Then::Proceed => Verdict::Proceed,
            Then::Accept => Verdict::Accept,
            Then::Reject => Reply::reject("after the edits").into(),
            Then::Trap => panic!("told to trap after the edits"),
        }
    }

    fn carry_out(&mut self, n: usize, cx: &Context) -> Result<(), Error> {
        let unstarted = || Error::BadInput("no start-body before".to_owned());
        match &self.settings.edits[n] {
            Edit::AddHeader { name, value, at: Some(at) } => cx.headers().add_at(*at, name, value),
            Edit::AddHeader { name, value, at: None } => cx.headers().add(name, value),
            Edit::SetHeader { name, nth, value } => cx.headers().set_nth(name, *nth, value),
            Edit::RemoveHeader { name, nth: Some(nth) } => cx.headers().remove_nth(name, *nth).map(drop),
            Edit::RemoveHeader { name, nth: None } => cx.headers().remove(name).map(drop),
            Edit::SetSender { address } if address.is_empty() => cx.set_sender(None),
            Edit::SetSender { address } => cx.set_sender(Some(&Mailbox::new(address))),
            Edit::AddRecipient { address } => cx.add_recipient(&Mailbox::new(address)).map(drop),
            Edit::RemoveRecipient { address } => {
                let all = cx.recipients();
                let found = all.iter().find(|r| r.address.to_string().eq_ignore_ascii_case(address));
                cx.remove_recipient(found.ok_or(Error::NotFound)?.id)
            }
            Edit::StartBody {} => {
                self.body = Some(cx.body().start()?);
                Ok(())
            }
            Edit::CopyBody { offset, len } => {
                self.body.as_ref().ok_or_else(unstarted)?.copy(*offset..offset.saturating_add(*len))
            }
            Edit::WriteBody { data } => self.body.as_ref().ok_or_else(unstarted)?.write(data.as_bytes()),
            Edit::InsertBody { at, data } => {
                let edit = cx.body().edit();
                match at {
                    Some(at) => edit.insert(*at, data.as_str()).commit(),
                    None => edit.append(data.as_str()).commit(),
                }
            }
            Edit::ReplaceBody { find, data } => {
                let at = cx.body().find(find.as_bytes(), 0).ok_or(Error::NotFound)?;
                cx.body().edit().replace(at..at + find.len() as u32, data.as_str()).commit()
            }
            Edit::Report { name } => cx.headers().add(name, report(cx)),
        }
    }
}

fn report(cx: &Context) -> String {
    let body = cx.body();
    let mut text =
        format!("size={} body={} fields={}", cx.message_size(), body.size(), cx.headers().all().len());
    for part in body.parts() {
        let file = part.filename.map_or_else(String::new, |f| format!(" {f}"));
        text += &format!(
            "; [{}] {} {} {}+{}{file}",
            part.path, part.media_type, part.encoding, part.offset, part.len
        );
    }
    text
}

impl Plugin for Edits {
    fn init() -> Result<(), String> {
        config::check::<Settings>()
    }
    fn connect(&mut self, cx: &Context) -> Verdict {
        self.at("connect", cx)
    }
    fn ehlo(&mut self, cx: &Context, _name: &str) -> Verdict {
        self.at("ehlo", cx)
    }
    fn mail(&mut self, cx: &Context, _sender: Option<&Mailbox>, _params: &[Param]) -> Verdict {
        self.at("mail", cx)
    }
    fn rcpt(&mut self, cx: &Context, _to: &Mailbox, _params: &[Param]) -> Verdict {
        self.at("rcpt", cx)
    }
    fn data(&mut self, cx: &Context) -> Verdict {
        self.at("data", cx)
    }
    fn message(&mut self, cx: &Context) -> Verdict {
        self.at("message", cx)
    }
}

waxwing_plugin::export!(Edits: init, connect, ehlo, mail, rcpt, data, message);

#[cfg(test)]
mod tests {
    use super::*;
    use waxwing_plugin::testing::{Handled, Server};

    const MESSAGE: &str = "Subject: old\nX-B: 1\nX-b: 2\nX-Fold: a\n  b\n\nold body\n";

    fn run(settings: &str) -> Handled {
        let server = Server::new().with_settings(settings);
        assert_eq!(server.load::<Edits>(), Ok(()));
        server.session::<Edits>().send("a@example.org", "b@example.org", MESSAGE)
    }

    #[test]
    fn header_edits_leave_untouched_fields_byte_for_byte() {
        let handled = run(r#"{"edits": [
            {"op": "add-header", "name": "X-Last", "value": "z"},
            {"op": "add-header", "name": "X-First", "value": "a", "at": 0},
            {"op": "set-header", "name": "subject", "value": "new"},
            {"op": "remove-header", "name": "x-b", "nth": 1}]}"#);
        assert_eq!(
            handled.text(),
            "X-First: a\r\nsubject: new\r\nX-B: 1\r\nX-Fold: a\r\n  b\r\nX-Last: z\r\n\r\nold body\r\n"
        );
    }

    #[test]
    fn a_new_body_is_written_from_ranges_of_the_old_one() {
        let handled = run(r#"{"edits": [
            {"op": "start-body"}, {"op": "write-body", "data": "very "}, {"op": "copy-body", "offset": 0, "len": 4},
            {"op": "write-body", "data": "text\r\n"}]}"#);
        assert!(handled.text().ends_with("\r\n\r\nvery old text\r\n"));
        let handled = run(r#"{"edits": [{"op": "replace-body", "find": "old", "data": "new"}]}"#);
        assert!(handled.text().ends_with("\r\n\r\nnew body\r\n"));
    }

    #[test]
    fn edits_are_gone_when_the_verdict_refuses() {
        let handled = run(r#"{"then": "reject", "edits": [
            {"op": "add-recipient", "address": "c@example.org"}, {"op": "add-header", "name": "X-A", "value": "b"}]}"#);
        assert!(matches!(handled.verdict, Verdict::Reject(_)));
        assert!(!handled.text().contains("X-A"));
        assert_eq!(handled.recipients, [Mailbox::new("b@example.org")]);
    }

    #[test]
    fn edits_that_make_no_sense_are_refused() {
        for edit in [
            r#"{"op": "add-header", "name": "X A", "value": "b"}"#,
            r#"{"op": "add-header", "name": "X-A", "value": "b\r\nX-Injected: c"}"#,
            r#"{"op": "set-header", "name": "X-None", "value": "b"}"#,
            r#"{"op": "copy-body", "offset": 0, "len": 4}"#,
            r#"{"op": "insert-body", "at": 99, "data": "b"}"#,
            r#"{"op": "remove-recipient", "address": "nobody@example.org"}"#,
        ] {
            let handled = run(&format!(r#"{{"edits": [{edit}]}}"#));
            assert!(matches!(handled.verdict, Verdict::Reject(r) if r.code == 554), "{edit}");
        }
    }
}
