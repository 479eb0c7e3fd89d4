//! A message goes through a session of `inbound` in memory: this is the client's side of it.
//!
//! Limits: those of the session, and [`smtp::client::Timeouts`] for its answers.

use bytes::Bytes;
use inbound::Insider;
use message::HeaderBlock;
use model::{Envelope, Mailbox, Recipient, Reply, ReversePath};
use smtp::client::{Event, Failure, Fate, Options, Session, Transaction};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::problem::{Problem, RecipientRefused};

/// Octets that the pipe between the two sides holds.
const PIPE_OCTETS: usize = 64 << 10;
/// Octets of a message that are handed over at once.
const PIECE_OCTETS: usize = 64 << 10;
/// How the reply begins that takes a message on.
const QUEUED: &str = "queued as ";

/// A message with its envelope.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) sender: ReversePath,
    pub(crate) recipients: Vec<Mailbox>,
    /// With CRLF at the end of each line.
    pub(crate) content: Bytes,
}

/// A message that was taken in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) id: String,
    pub(crate) accepted: Vec<String>,
    pub(crate) refused: Vec<RecipientRefused>,
}

/// Hands a letter in. At least one recipient has to be accepted.
///
/// # Errors
/// What the session said no with.
pub(crate) async fn submit(
    server: &inbound::Server,
    insider: Insider,
    letter: &Letter,
) -> Result<Taken, Problem> {
    let (ours, theirs) = tokio::io::duplex(PIPE_OCTETS);
    server.begin(theirs, insider).map_err(|reply| Problem::refused(&reply))?;
    let mut envelope = Envelope::new(letter.sender.clone(), Vec::new());
    for recipient in &letter.recipients {
        envelope.add_recipient(recipient.clone(), recipient.clone(), Vec::new());
    }
    let recipients: Vec<&Recipient> = envelope.recipients.iter().collect();
    let transaction = Transaction {
        sender: &letter.sender,
        sender_params: &[],
        recipients: &recipients,
        size: letter.content.len() as u64,
        eight_bit: !letter.content.is_ascii(),
        deliver_by: None,
        utf8_header: has_utf8_header(&letter.content),
    };
    match converse(ours, &transaction, &letter.content).await {
        Ok(fates) => outcome(&letter.recipients, fates),
        Err(Failure::Refused { reply, .. }) => Err(Problem::refused(&reply)),
        Err(failure) => Err(Problem::unavailable(format!("the session ended early: {failure}"))),
    }
}

/// Whether the header itself needs SMTPUTF8: RFC 6532.
fn has_utf8_header(content: &Bytes) -> bool {
    let header = HeaderBlock::parse(content);
    let header = header.as_bytes();
    !header.is_ascii() && std::str::from_utf8(header).is_ok()
}

/// Speaks until the fates are known, and leaves politely.
async fn converse(
    stream: DuplexStream,
    transaction: &Transaction<'_>,
    content: &[u8],
) -> Result<Vec<Fate>, Failure> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut session = Session::new(Options::plain("localhost"), clock::now());
    let (mut started, mut fates) = (false, None);
    let mut left: Option<&[u8]> = None;
    let mut buffer = vec![0; 8 << 10];
    loop {
        while let Some(event) = session.poll_event() {
            match event {
                Event::Ready if !started => {
                    started = true;
                    session.start(transaction, clock::now());
                }
                Event::ContentWanted => left = Some(content),
                Event::Done(known) => {
                    (fates, left) = (Some(known), None);
                    session.quit(clock::now());
                }
                Event::Ended(failure) => return fates.ok_or_else(|| failure.unwrap_or(NOTHING_SAID)),
                Event::Ready | Event::StartTls => {}
            }
        }
        if session.poll_output().is_none()
            && let Some(rest) = left.take()
        {
            match rest {
                [] => session.end_content(clock::now()),
                _ => {
                    let (piece, rest) = rest.split_at(rest.len().min(PIECE_OCTETS));
                    session.content(piece, clock::now());
                    left = Some(rest);
                }
            }
            continue;
        }
        let deadline = session.poll_timeout();
        let output = session.poll_output();
        tokio::select! {
            sent = async { writer.write(output.unwrap_or_default()).await }, if output.is_some() => match sent {
                Ok(count) => session.sent(count, clock::now()),
                Err(_) => session.connection_lost(),
            },
            read = reader.read(&mut buffer) => match read {
                Ok(0) | Err(_) => session.connection_lost(),
                Ok(count) => session.receive(&buffer[..count], clock::now()),
            },
            () = until(deadline) => session.handle_timeout(clock::now()),
        }
    }
}

/// For a session that ended without a word.
const NOTHING_SAID: Failure = Failure::ConnectionLost(smtp::client::Step::Idle);

async fn until(deadline: Option<std::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// What came of the letter, when all fates are known.
fn outcome(recipients: &[Mailbox], fates: Vec<Fate>) -> Result<Taken, Problem> {
    let mut taken = Taken { id: String::new(), accepted: Vec::new(), refused: Vec::new() };
    let mut first: Option<Reply> = None;
    for (recipient, fate) in recipients.iter().zip(fates) {
        let reply = match fate {
            Fate::Accepted(reply) => {
                taken.accepted.push(recipient.to_string());
                taken.id = reply.text.strip_prefix(QUEUED).unwrap_or_default().to_owned();
                continue;
            }
            Fate::Refused { reply, .. } | Fate::LeftOver(Some(reply)) => reply,
            Fate::LeftOver(None) => Reply::new(452, (4, 5, 3), "too many recipients in one message"),
            Fate::Unsendable(why) => why.reply(),
            Fate::Failed(failure) => {
                return Err(Problem::unavailable(format!("the session ended early: {failure}")));
            }
        };
        taken.refused.push(RecipientRefused { address: recipient.to_string(), smtp: (&reply).into() });
        // One that may be accepted later says that it is worth to come again.
        if first.as_ref().is_none_or(|first| first.is_permanent() && reply.is_transient()) {
            first = Some(reply);
        }
    }
    match first {
        Some(reply) if taken.accepted.is_empty() => {
            let mut problem = Problem::refused(&reply);
            problem.recipients = taken.refused;
            Err(problem)
        }
        _ => Ok(taken),
    }
}

#[cfg(test)]
mod tests {
    use smtp::client::Step;

    use super::*;

    fn mailboxes(count: usize) -> Vec<Mailbox> {
        (0..count).map(|nth| Mailbox::parse(&format!("u{nth}@example.org")).unwrap()).collect()
    }

    fn refused(code: u16) -> Fate {
        let class = u8::try_from(code / 100).unwrap();
        Fate::Refused { step: Step::Rcpt, reply: Reply::new(code, (class, 1, 1), "no") }
    }

    #[test]
    fn one_accepted_recipient_is_enough_and_the_others_are_named() {
        let queued = Fate::Accepted(Reply::new(250, (2, 0, 0), "queued as 0000000000007"));
        let taken = outcome(&mailboxes(2), vec![refused(550), queued]).unwrap();
        assert_eq!((taken.id.as_str(), taken.accepted), ("0000000000007", vec!["u1@example.org".to_owned()]));
        assert_eq!(taken.refused[0].address, "u0@example.org");
        let problem = outcome(&mailboxes(2), vec![refused(550), refused(451)]).unwrap_err();
        assert_eq!((problem.status.as_u16(), problem.recipients.len()), (503, 2));
        let problem = outcome(&mailboxes(1), vec![refused(550)]).unwrap_err();
        assert_eq!((problem.status.as_u16(), problem.smtp.unwrap().code), (422, 550));
    }

    #[test]
    fn a_header_needs_smtputf8_when_it_is_utf8_and_a_body_never() {
        assert!(has_utf8_header(&Bytes::from_static("Subject: ä\r\n\r\n".as_bytes())));
        assert!(!has_utf8_header(&Bytes::from_static("Subject: a\r\n\r\nä".as_bytes())));
        assert!(!has_utf8_header(&Bytes::from_static(b"Subject: \xe4\r\n\r\n")));
    }
}
