//! The driver of a client session: moves its octets and keeps its deadlines.
//!
//! Cancel safety: a dropped call leaves the session in the middle of a transaction; drop the connection too.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use model::{Content, LateMode, QueueId, Reply};
use queue::Entry;
use sender_auth::Signers;
use smtp::client::{Binding, Event, Failure, Fate, Protocol, Session, Step, Transaction, Unsendable};
use tls::client::Agreed;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep_until};
use transcript::{Opening, Tap, Transcript};

use crate::conversion;
use crate::link::Link;
use crate::notice::{self, Handover};
use crate::octets;
use crate::opening::Hop;

/// Octets of content between two looks at what the peer has to say; a message up to this size leaves in one piece.
const BLOCK_OCTETS: usize = 64 * 1024;
/// Octets of replies that are read at once.
const READ_OCTETS: usize = 4 * 1024;

/// A connection whose session is between two transactions.
#[derive(Debug)]
pub(crate) struct Connection {
    link: Box<dyn Link>,
    session: Session,
    input: Box<[u8]>,
    /// Whether the link holds back nothing of what it was given.
    is_flushed: bool,
    /// Fires at the session's deadline or before; moved only when it fires, as most waits are short.
    timer: Pin<Box<Sleep>>,
    /// The host, as diagnostics name it.
    pub(crate) host: String,
    /// What was agreed in the TLS handshake, as the log names it; nothing when there was none.
    pub(crate) tls: Option<Arc<str>>,
    /// Whether the certificate says who the host is.
    pub(crate) is_verified: bool,
    is_lmtp: bool,
    /// For whoever listens.
    transcript: Transcript,
    address: Option<IpAddr>,
    /// Transactions that were started.
    pub(crate) transactions: usize,
}

impl Connection {
    /// Waits for the greeting over a link that was just made.
    pub(crate) fn begin(link: Box<dyn Link>, hop: Hop<'_>, binding: Option<Binding>) -> Self {
        let (now, told) = (clock::now(), hop.session_options(binding));
        let transcript = Transcript::new(Arc::clone(&hop.options.transcripts));
        let mut connection = Self {
            link,
            session: Session::new(told, now),
            input: vec![0; READ_OCTETS].into(),
            is_flushed: true,
            timer: Box::pin(sleep_until((now + hop.options.timeouts.greeting).into())),
            host: hop.endpoint.host.clone(),
            tls: None,
            is_verified: false,
            is_lmtp: hop.protocol == Protocol::Lmtp,
            transcript,
            address: hop.endpoint.address.ip(),
            transactions: 0,
        };
        connection.write(|tap| tap.about(hop.about));
        connection
    }

    /// Writes into the transcript, if anybody listens.
    fn write(&mut self, write: impl FnOnce(&mut Tap)) {
        self.transcript.write(|| opening(&self.host, self.address), write);
    }

    /// The next transaction is for this message.
    pub(crate) fn is_about(&mut self, id: QueueId) {
        let goes_on = self.transactions > 0;
        self.write(|tap| {
            if goes_on {
                tap.next_transaction();
            }
            tap.about(id);
        });
    }

    /// Notes what was agreed in a handshake.
    pub(crate) fn over(mut self, agreed: &Agreed) -> Self {
        self.tls = Some(agreed.to_string().into());
        self.is_verified = agreed.verified;
        self.write(|tap| tap.note(agreed.to_string()));
        self
    }

    /// The link, for a handshake over it. The connection goes on with another.
    pub(crate) fn into_parts(self) -> (Box<dyn Link>, Self) {
        let none = Box::new(tokio::io::empty());
        (self.link, Self { link: none, ..self })
    }

    /// The handshake is done.
    pub(crate) fn secured(mut self, link: Box<dyn Link>, binding: Option<Binding>) -> Self {
        self.link = link;
        self.session.secured(binding, clock::now());
        self.write(|tap| tap.secured("TLS begins"));
        self
    }

    pub(crate) fn is_secured(&self) -> bool {
        self.session.is_secured()
    }

    /// Whether another transaction may start.
    pub(crate) fn is_ready(&self) -> bool {
        self.session.is_ready()
    }

    /// What a message that this peer takes was given to.
    pub(crate) fn handover(&self) -> Handover {
        match (self.is_lmtp, self.session.extensions().dsn) {
            (_, true) => Handover::Entrusted,
            (true, false) => Handover::Final,
            (false, false) => Handover::Relayed,
        }
    }

    /// Why a message whose sender wants it back in time cannot go to this peer.
    pub(crate) fn refuses_time(&self, entry: &Entry) -> Option<Reply> {
        //= RFC 2852 section 4: with mode R the message does not go to a host that does not look at the time.
        let must_know = !self.is_lmtp && notice::deliver_by(entry)?.mode == LateMode::Return;
        (must_know && !self.session.extensions().deliver_by).then(|| {
            let text =
                "the sender wants the message back if it is late, and the next hop does not offer DELIVERBY";
            Reply::new(554, (5, 3, 3), text)
        })
    }

    /// Whether the peer said that it takes a further transaction (RFC 9422, MAILMAX).
    pub(crate) fn takes_more(&self) -> bool {
        self.session.extensions().mail_max.is_none_or(|most| self.transactions < most)
    }

    /// Gives a message to its recipients, in as many transactions as the peer wants to have of it. Afterwards [`Self::is_ready`] says
    /// whether the connection is still good. Content that the peer takes only when it is encoded is encoded, and signed again.
    ///
    /// # Errors
    /// As [`Self::transact`].
    pub(crate) async fn deliver(
        &mut self,
        transaction: &Transaction<'_>,
        content: &Content,
        signers: &Signers,
    ) -> io::Result<Vec<Fate>> {
        if self.session.wants_seven_bit(transaction) {
            return match conversion::to_seven_bit(content.clone(), signers.clone()).await? {
                Ok(encoded) => {
                    let params = conversion::without_body(transaction.sender_params);
                    let size = encoded.len();
                    let encoded_one =
                        Transaction { sender_params: &params, size, eight_bit: false, ..*transaction };
                    self.deliver_as_it_is(&encoded_one, &encoded).await
                }
                Err(why) => {
                    let fate = Fate::Unsendable(Unsendable::Unconvertible(why));
                    Ok(vec![fate; transaction.recipients.len()])
                }
            };
        }
        self.deliver_as_it_is(transaction, content).await
    }

    async fn deliver_as_it_is(
        &mut self,
        transaction: &Transaction<'_>,
        content: &Content,
    ) -> io::Result<Vec<Fate>> {
        let mut fates = self.transact(transaction, content).await?;
        loop {
            let left: Vec<usize> = (0..fates.len()).filter(|nth| is_left_over(&fates[*nth])).collect();
            if left.is_empty() {
                return Ok(fates);
            }
            // Each transaction has taken somebody, so that this comes to an end.
            if !self.is_ready() || !self.takes_more() {
                left.iter().for_each(|nth| fates[*nth] = put_off(&fates[*nth]));
                return Ok(fates);
            }
            let recipients: Vec<_> = left.iter().map(|nth| transaction.recipients[*nth]).collect();
            let next = Transaction { recipients: &recipients, ..*transaction };
            for (nth, fate) in left.into_iter().zip(self.transact(&next, content).await?) {
                fates[nth] = fate;
            }
        }
    }

    /// Makes one transaction.
    ///
    /// # Errors
    /// The content could not be read; the transaction was not ended and the connection must be dropped.
    async fn transact(&mut self, transaction: &Transaction<'_>, content: &Content) -> io::Result<Vec<Fate>> {
        self.transactions += 1;
        self.session.start(transaction, clock::now());
        loop {
            match self.next_event().await {
                Event::ContentWanted => self.send_content(content).await?,
                Event::Done(fates) => return Ok(fates),
                Event::Ready | Event::StartTls => {}
                Event::Ended(failure) => {
                    let failure = failure.unwrap_or(Failure::Protocol("the session ended".to_owned()));
                    return Ok(vec![Fate::Failed(failure); transaction.recipients.len()]);
                }
            }
        }
    }

    /// Says QUIT and waits a moment for the peer's farewell.
    pub(crate) async fn quit(mut self) {
        self.session.quit(clock::now());
        if self.session.poll_timeout().is_some() {
            while !matches!(self.next_event().await, Event::Ended(_)) {}
        }
        self.close().await;
    }

    /// Waits until the peer says something though nothing was asked, which is 421 or the end.
    pub(crate) async fn until_disturbed(&mut self) {
        poll_fn(|cx| self.poll_read(cx)).await;
    }

    /// Writes what is left to say and closes, for TLS with a word of its own.
    pub(crate) async fn close(mut self) {
        let last_words = async {
            poll_fn(|cx| self.poll_write(cx)).await;
            let _ = poll_fn(|cx| Pin::new(&mut self.link).poll_shutdown(cx)).await;
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), last_words).await;
    }

    /// Feeds the content in blocks. Memory: one block of output, and one of input when the content is on the disk.
    async fn send_content(&mut self, content: &Content) -> io::Result<()> {
        if let Some(pieces) = octets::in_memory(content) {
            for piece in pieces {
                self.send_blocks(&piece).await;
            }
        } else {
            let mut offset = 0;
            while offset < content.len() {
                let block = read_block(content.clone(), offset).await?;
                offset += block.len() as u64;
                self.send_blocks(&block).await;
            }
        }
        self.session.end_content(clock::now());
        Ok(())
    }

    async fn send_blocks(&mut self, octets: &Bytes) {
        for block in octets.chunks(BLOCK_OCTETS) {
            self.session.content(block, clock::now());
            // The end of data is to leave together with the last block, if there is room for it.
            if self.session.poll_output().is_some_and(|output| output.len() >= BLOCK_OCTETS) {
                poll_fn(|cx| self.poll_flush(cx)).await;
            }
        }
    }

    pub(crate) async fn next_event(&mut self) -> Event {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        loop {
            if let Some(event) = self.session.poll_event() {
                return Poll::Ready(event);
            }
            // Both directions at once: a peer that does not read before its replies were read cannot stop us.
            let _ = self.poll_write(cx);
            if self.poll_read(cx).is_pending() && self.poll_deadline(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Ready when all output was written, or the session has ended.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.poll_write(cx).is_ready() {
                return Poll::Ready(());
            }
            if self.poll_read(cx).is_pending() && self.poll_deadline(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(output) = self.session.poll_output() {
            self.is_flushed = false;
            match Pin::new(&mut self.link).poll_write(cx, output) {
                Poll::Ready(Ok(count)) if count > 0 => {
                    let (said, host, address) = (&output[..count], &self.host, self.address);
                    self.transcript.write(|| opening(host, address), |tap| tap.client(said));
                    self.session.sent(count, clock::now());
                }
                // What the peer has said before it closed is still to be read; poll_read finds the end.
                Poll::Ready(_) => {
                    let count = output.len();
                    self.session.sent(count, clock::now());
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        // What TLS has taken is not on its way before it is flushed.
        if !self.is_flushed {
            let _ = ready!(Pin::new(&mut self.link).poll_flush(cx));
            self.is_flushed = true;
        }
        Poll::Ready(())
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut buffer = ReadBuf::new(&mut self.input);
        match Pin::new(&mut self.link).poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                let (said, host, address) = (buffer.filled(), &self.host, self.address);
                self.transcript.write(|| opening(host, address), |tap| tap.server(said));
                self.session.receive(buffer.filled(), clock::now());
                Poll::Ready(())
            }
            Poll::Ready(_) => {
                self.session.connection_lost();
                Poll::Ready(())
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// Ready when the session's deadline has passed and it was told so.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.session.poll_timeout() else { return Poll::Pending };
        loop {
            if self.timer.deadline().into_std() > deadline {
                self.timer.as_mut().reset(deadline.into());
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let fired: Instant = self.timer.deadline().into_std();
            if fired >= deadline {
                self.session.handle_timeout(fired.max(clock::now()));
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(deadline.into());
        }
    }
}

/// The session, as whoever listens is told of it.
pub(crate) fn opening(host: &str, address: Option<IpAddr>) -> Opening {
    let at = address.map_or_else(String::new, |address| format!(" [{address}]"));
    Opening { session: String::new(), peer: format!("to {host}{at}"), address, host: Some(host.to_owned()) }
}

fn is_left_over(fate: &Fate) -> bool {
    matches!(fate, Fate::LeftOver(_))
}

/// A recipient that the peer did not want now, and that there is no transaction for.
fn put_off(fate: &Fate) -> Fate {
    let reply = match fate {
        Fate::LeftOver(Some(reply)) => reply.clone(),
        _ => Reply::new(452, (4, 5, 3), "the next hop takes fewer recipients at once"),
    };
    Fate::Refused { step: Step::Rcpt, reply }
}

async fn read_block(content: Content, offset: u64) -> io::Result<Bytes> {
    let read = move || {
        let mut block = vec![0; BLOCK_OCTETS];
        let count = content.read_at(offset, &mut block)?;
        block.truncate(count);
        if block.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(Bytes::from(block)) }
    };
    tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
}
