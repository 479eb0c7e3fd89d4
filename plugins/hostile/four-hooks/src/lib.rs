//! Hears the greeting, the sender, the recipients and the message, keeps what it heard, and lets everything pass: what a plugin costs before
//! it does anything. `make bench` measures it beside a milter and a Haraka plugin that do the same.

use waxwing_plugin::prelude::*;

#[derive(Debug, Default)]
struct Hears {
    name: String,
    sender: Option<Mailbox>,
    recipients: Vec<Mailbox>,
    subject: Option<String>,
}

impl Plugin for Hears {
    fn ehlo(&mut self, _cx: &Context, name: &str) -> Verdict {
        name.clone_into(&mut self.name);
        Verdict::Proceed
    }
    fn mail(&mut self, _cx: &Context, sender: Option<&Mailbox>, _params: &[Param]) -> Verdict {
        self.sender = sender.cloned();
        self.recipients.clear();
        Verdict::Proceed
    }
    fn rcpt(&mut self, _cx: &Context, to: &Mailbox, _params: &[Param]) -> Verdict {
        self.recipients.push(to.clone());
        Verdict::Proceed
    }
    fn message(&mut self, cx: &Context) -> Verdict {
        self.subject = cx.headers().get("Subject");
        Verdict::Proceed
    }
}

waxwing_plugin::export!(Hears: ehlo, mail, rcpt, message);
