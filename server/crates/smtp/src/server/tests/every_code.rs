//! Random sessions against a model that knows nothing but which code must come.

use super::*;

/// What a client may do, in any order.
#[derive(Debug, Clone, Copy)]
enum Act {
    Ehlo,
    Helo,
    Mail { binary: bool },
    Rcpt { exists: bool },
    Data,
    Chunk { last: bool, bare: bool },
    Rset,
    Noop,
    Vrfy,
    Unknown,
    Unreadable,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        1 => Just(Act::Ehlo),
        1 => Just(Act::Helo),
        4 => any::<bool>().prop_map(|binary| Act::Mail { binary }),
        6 => prop::bool::weighted(0.8).prop_map(|exists| Act::Rcpt { exists }),
        3 => Just(Act::Data),
        5 => (any::<bool>(), prop::bool::weighted(0.2)).prop_map(|(last, bare)| Act::Chunk { last, bare }),
        1 => Just(Act::Rset),
        1 => Just(Act::Noop),
        1 => Just(Act::Vrfy),
        1 => Just(Act::Unknown),
        1 => Just(Act::Unreadable),
    ]
}

impl Act {
    fn wire(self) -> &'static str {
        match self {
            Self::Ehlo => "EHLO client.example\r\n",
            Self::Helo => "HELO client.example\r\n",
            Self::Mail { binary: true } => "MAIL FROM:<ann@example.org> BODY=BINARYMIME\r\n",
            Self::Mail { binary: false } => "MAIL FROM:<ann@example.org>\r\n",
            Self::Rcpt { exists: true } => "RCPT TO:<bob@example.org>\r\n",
            Self::Rcpt { exists: false } => "RCPT TO:<nobody@example.org>\r\n",
            Self::Data => "DATA\r\n",
            Self::Chunk { last: false, bare: false } => "BDAT 6\r\nQUIT\r\n",
            Self::Chunk { last: true, bare: false } => "BDAT 6 LAST\r\nQUIT\r\n",
            Self::Chunk { last: false, bare: true } => "BDAT 5\r\nQUIT\n",
            Self::Chunk { last: true, bare: true } => "BDAT 5 LAST\r\nQUIT\n",
            Self::Rset => "RSET\r\n",
            Self::Noop => "NOOP\r\n",
            Self::Vrfy => "VRFY bob\r\n",
            Self::Unknown => "XYZZY\r\n",
            Self::Unreadable => "MAIL FROM:<ann@example.org\r\n",
        }
    }
}

/// What the model remembers.
#[derive(Debug, Default)]
struct Model {
    /// EHLO rather than HELO, once there was one.
    greeted: Option<bool>,
    transaction: Option<Open>,
    messages: usize,
}

#[derive(Debug, Default)]
struct Open {
    recipients: usize,
    binary: bool,
    in_chunks: bool,
}

impl Model {
    /// The codes that an act must bring.
    fn codes(&mut self, act: Act) -> Vec<u16> {
        match act {
            Act::Ehlo | Act::Helo => {
                self.greeted = Some(matches!(act, Act::Ehlo));
                self.transaction = None;
                vec![250]
            }
            Act::Rset => {
                self.transaction = None;
                vec![250]
            }
            Act::Noop => vec![250],
            Act::Vrfy => vec![252],
            Act::Unknown => vec![500],
            Act::Unreadable => vec![501],
            Act::Mail { binary } => vec![self.mail(binary)],
            Act::Rcpt { exists } => vec![self.rcpt(exists)],
            Act::Data => self.data(),
            Act::Chunk { last, bare } => vec![self.chunk(last, bare)],
        }
    }

    fn mail(&mut self, binary: bool) -> u16 {
        match (self.greeted, &self.transaction) {
            (None, _) | (_, Some(_)) => 503,
            (Some(false), None) if binary => 555,
            (Some(_), None) => {
                self.transaction = Some(Open { binary, ..Open::default() });
                250
            }
        }
    }

    fn rcpt(&mut self, exists: bool) -> u16 {
        match &mut self.transaction {
            Some(open) if !open.in_chunks => {
                open.recipients += usize::from(exists);
                if exists { 250 } else { 550 }
            }
            _ => 503,
        }
    }

    /// DATA, and content when it was taken.
    fn data(&mut self) -> Vec<u16> {
        match &self.transaction {
            None => vec![503],
            Some(open) if open.in_chunks || open.binary => vec![503],
            Some(open) if open.recipients == 0 => vec![554],
            Some(_) => {
                self.transaction = None;
                self.messages += 1;
                vec![354, 250]
            }
        }
    }

    fn chunk(&mut self, last: bool, bare: bool) -> u16 {
        let Some(open) = &mut self.transaction else { return 503 };
        if open.recipients == 0 {
            return 554;
        }
        open.in_chunks = true;
        if bare && !open.binary {
            self.transaction = None;
            return 554;
        }
        if last {
            self.transaction = None;
            self.messages += 1;
        }
        250
    }
}

proptest! {
    #[test]
    fn every_code_is_the_one_that_must_come(acts in prop::collection::vec(act(), 0..60)) {
        let mut peer = Dialogue::with(|options| {
            options.limits.errors = u32::MAX;
            options.limits.tarpit_delay = Duration::ZERO;
        });
        peer.answers = |event| match event {
            Event::Rcpt { path: model::ForwardPath::Mailbox(mailbox), .. } if mailbox.local() == "nobody" => {
                Reply::new(550, (5, 1, 1), "no such mailbox").into()
            }
            _ => Answer::Proceed,
        };
        peer.hears(220);
        let mut model = Model::default();
        for act in acts {
            peer.says(act.wire());
            let codes = model.codes(act);
            if codes[0] == 354 {
                peer.says("Subject: x\r\n\r\nQUIT\r\n.\r\n");
            }
            for code in codes {
                peer.hears(code);
            }
            peer.hears_nothing_more();
        }
        prop_assert_eq!(peer.committed.len(), model.messages);
    }
}
