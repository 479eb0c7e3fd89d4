//! One connection: moves bytes, asks the hooks, answers the session.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hooks::{Request, SessionFacts, SessionHooks, Stage, Verdict};
use model::{Content, ForwardPath, Param, QueueId, Reply, ReversePath};
use smtp::server::{Answer, Channel, CloseReason, Event, Session};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tracing::{debug, info};

use crate::commit;
use crate::fate::Fate;
use crate::options::{ListenerOptions, Options};
use crate::policy;
use crate::reception::Reception;
use crate::server::Shared;
use crate::stats::count;
use crate::transaction::Transaction;

/// Octets read at once. The buffer stands on the stack between two waits, so that an idle session has none.
const READ_OCTETS: usize = 32 << 10;

/// A connection with its session, its hooks and its transaction.
pub(crate) struct Connection {
    stream: TcpStream,
    session: Session,
    hooks: Box<dyn SessionHooks>,
    facts: Arc<SessionFacts>,
    /// What the hooks decided for every message of the session.
    fate: Fate,
    extended: bool,
    transaction: Option<Transaction>,
    shared: Arc<Shared>,
    options: Arc<Options>,
}

impl Connection {
    pub(crate) fn new(
        stream: TcpStream,
        peer: SocketAddr,
        listener: &ListenerOptions,
        options: Arc<Options>,
        shared: Arc<Shared>,
    ) -> Self {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let facts = SessionFacts {
            id: shared.new_session_id(),
            listener: listener.name.clone(),
            peer,
            peer_name: None,
            helo: None,
            tls: None,
            auth_user: None,
        };
        Self {
            session: Session::new(listener.session.clone(), Channel::default(), clock::now(), clock::wall()),
            hooks: shared.services.hooks.begin(),
            facts: Arc::new(facts),
            fate: Fate::default(),
            extended: false,
            transaction: None,
            stream,
            shared,
            options,
        }
    }

    /// Runs the session to its end. `stop` turns true when the server stops.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        debug!(session = %self.facts.id, peer = %self.facts.peer, listener = %self.facts.listener, "connected");
        let ended = self.pump(&mut stop).await;
        if let Err(error) = &ended {
            debug!(session = %self.facts.id, %error, "the connection broke");
        }
        // The transaction goes before the hooks hear of the end: a plugin sees no message that is not there any more.
        self.transaction = None;
        self.ask(Request::Disconnect).await;
        debug!(session = %self.facts.id, "disconnected");
    }

    async fn pump(&mut self, stop: &mut watch::Receiver<bool>) -> io::Result<()> {
        loop {
            while let Some(event) = self.session.poll_event() {
                self.handle(event).await;
            }
            if let Some(until) = self.session.paused_until() {
                tokio::time::sleep_until(until.into()).await;
                self.session.resume(clock::now());
            }
            self.flush().await?;
            if self.session.is_closed() {
                return self.stream.shutdown().await;
            }
            self.wait(stop).await?;
        }
    }

    /// Waits for bytes, the deadline or the end of the server, and tells the session.
    async fn wait(&mut self, stop: &mut watch::Receiver<bool>) -> io::Result<()> {
        if *stop.borrow_and_update() && self.session.shut_down(clock::now()) {
            return Ok(());
        }
        let deadline = self.session.poll_timeout().unwrap_or_else(clock::now);
        tokio::select! {
            biased;
            ready = self.stream.readable() => {
                ready?;
                self.read()
            }
            () = tokio::time::sleep_until(deadline.into()) => {
                self.session.handle_timeout(clock::now());
                Ok(())
            }
            // A sender that is gone says the same as one that said true.
            _ = stop.changed() => Ok(()),
        }
    }

    fn read(&mut self) -> io::Result<()> {
        let mut buffer = [0; READ_OCTETS];
        match self.stream.try_read(&mut buffer) {
            Ok(0) => self.session.receive_end(clock::now()),
            Ok(count) => self.session.receive(&buffer[..count], clock::now()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                self.session.receive_end(clock::now());
                debug!(session = %self.facts.id, %error, "reading failed");
            }
        }
        Ok(())
    }

    /// Sends what the session has to say. A client that does not read is given as long as it has to send a command.
    async fn flush(&mut self) -> io::Result<()> {
        if !self.session.has_output() {
            return Ok(());
        }
        let output = self.session.take_output();
        let sent = self.stream.try_write(&output);
        let rest = match sent {
            Ok(count) => &output[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => &output[..],
            Err(error) => return Err(error),
        };
        if rest.is_empty() {
            return Ok(());
        }
        let patience = self.shared.write_timeout;
        match tokio::time::timeout(patience, self.stream.write_all(rest)).await {
            Ok(sent) => sent,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    async fn handle(&mut self, event: Event) {
        let answer = match event {
            Event::Connect => self.connect().await,
            Event::Hello { name, extended } => self.hello(name, extended).await,
            Event::Mail { sender, params } => self.mail(sender, params).await,
            Event::Rcpt { path, params } => self.rcpt(path, params).await,
            Event::Data => self.data().await,
            Event::Content(piece) => return self.content(piece).await,
            Event::Message => self.message().await,
            Event::Reset(_) => {
                self.transaction = None;
                return;
            }
            // Nothing that the channel offers leads here.
            Event::StartTls | Event::Auth { .. } | Event::AuthResponse(_) | Event::XClient(_) => out_of_step(),
            Event::AuthCancelled => return,
            Event::Closed(reason) => return self.closed(reason),
        };
        self.session.answer(answer, clock::now());
    }

    async fn connect(&mut self) -> Answer {
        if self.options.reverse_dns && is_global(self.facts.peer.ip()) {
            let lookup = dns::confirmed_name(&*self.shared.services.resolver, self.facts.peer.ip());
            let name = tokio::time::timeout(self.options.limits.reverse_dns_timeout, lookup).await;
            Arc::make_mut(&mut self.facts).peer_name = name.ok().and_then(Result::ok).flatten();
        }
        let verdict = self.ask(Request::Connect).await;
        self.session_verdict(Stage::Connect, verdict)
    }

    async fn hello(&mut self, name: String, extended: bool) -> Answer {
        let verdict = self.ask(Request::Ehlo { name: &name }).await;
        let answer = self.session_verdict(Stage::Ehlo, verdict);
        // A greeting that was refused did not happen.
        if answer == Answer::Proceed {
            self.extended = extended;
            Arc::make_mut(&mut self.facts).helo = Some(name);
        }
        answer
    }

    async fn mail(&mut self, sender: ReversePath, params: Vec<Param>) -> Answer {
        if let Err(error) = self.shared.services.store.admit() {
            info!(session = %self.facts.id, peer = %self.facts.peer.ip(), %error, "no room for a message");
            return Reply::new(452, (4, 3, 1), "insufficient storage, try again later").into();
        }
        let id = self.shared.services.store.new_id();
        let mut transaction = Transaction::new(id, sender.clone(), params.clone());
        transaction.fate = self.fate.clone();
        self.transaction = Some(transaction);
        let verdict = self.ask(Request::Mail { sender: &sender, params: &params }).await;
        let answer = self.transaction_verdict(Stage::Mail, verdict);
        if answer != Answer::Proceed {
            self.transaction = None;
        }
        answer
    }

    async fn rcpt(&mut self, path: ForwardPath, params: Vec<Param>) -> Answer {
        let mailbox = match policy::recipient(&path, self.facts.peer.ip(), &self.options) {
            Ok(mailbox) => mailbox,
            Err(reply) => {
                self.log_refusal(Stage::Rcpt, None, &reply);
                count(&self.shared.stats.recipients_refused);
                return reply.into();
            }
        };
        let Some(transaction) = &mut self.transaction else { return out_of_step() };
        let id = transaction.add_recipient(mailbox.clone(), params.clone());
        let verdict = self.ask(Request::Rcpt { recipient: &mailbox, params: &params }).await;
        let (answer, fate) = self.judge(Stage::Rcpt, verdict);
        let Some(transaction) = &mut self.transaction else { return out_of_step() };
        if answer == Answer::Proceed {
            transaction.set_recipient_fate(id, fate);
        } else {
            transaction.remove_recipient(id);
            count(&self.shared.stats.recipients_refused);
        }
        answer
    }

    async fn data(&mut self) -> Answer {
        let verdict = self.ask(Request::Data).await;
        let answer = self.transaction_verdict(Stage::Data, verdict);
        if answer == Answer::Proceed
            && let Some(transaction) = &mut self.transaction
        {
            let budget = self.options.limits.content_memory;
            let memory = self.shared.content_memory.clone();
            transaction.reception = Some(Reception::new(transaction.id(), memory, budget));
        }
        answer
    }

    async fn content(&mut self, piece: Vec<u8>) {
        let Some(transaction) = &mut self.transaction else { return };
        let Some(reception) = &mut transaction.reception else { return };
        if let Err(error) = reception.push(piece, &self.shared.services.store).await {
            // The client hears of it at the end of its data; until then what it sends is thrown away.
            commit::refuse(transaction.id(), &self.facts, &error);
            transaction.reception = None;
            transaction.failed = true;
        }
    }

    async fn message(&mut self) -> Answer {
        let answer = self.whole_message().await;
        if let Answer::Say(reply) | Answer::Close(reply) = &answer
            && !reply.is_positive()
        {
            count(&self.shared.stats.refused);
        }
        self.transaction = None;
        answer
    }

    async fn whole_message(&mut self) -> Answer {
        let Some(transaction) = &mut self.transaction else { return out_of_step() };
        let id = transaction.id();
        let Some(reception) = transaction.reception.take().filter(|_| !transaction.failed) else {
            return Reply::new(451, (4, 3, 0), "the message could not be stored, try again later").into();
        };
        let source = match reception.finish().await {
            Ok(source) => source,
            Err(error) => return commit::refuse(id, &self.facts, &error).into(),
        };
        let content = Content::whole(source);
        if let Some(reply) = header_too_large(&content, self.options.limits.header_size) {
            return reply.into();
        }
        transaction.set_content(content);
        let verdict = self.ask(Request::Message).await;
        let answer = self.transaction_verdict(Stage::Message, verdict);
        if answer != Answer::Proceed {
            return answer;
        }
        let Some(transaction) = self.transaction.take() else { return out_of_step() };
        let Some(content) = transaction.facts.content.clone() else { return out_of_step() };
        commit::commit(transaction, content, &self.facts, self.extended, &self.shared, &self.options)
            .await
            .into()
    }

    fn closed(&mut self, reason: CloseReason) {
        debug!(session = %self.facts.id, reason = reason.name(), "closed");
    }

    /// Asks the hooks, when any of them wants to be asked, and takes over what they rewrote.
    async fn ask(&mut self, request: Request<'_>) -> (Verdict, Option<Arc<str>>) {
        if !self.hooks.stages().contains(request.stage()) {
            return (Verdict::Proceed, None);
        }
        let transaction = self.transaction.as_ref().map(|transaction| &transaction.facts);
        let answer = self.hooks.ask(request, &self.facts, transaction).await;
        if let Some(transaction) = &mut self.transaction {
            if let Some(envelope) = answer.envelope {
                transaction.set_envelope(envelope);
            }
            if let Some(content) = answer.content {
                transaction.set_content(content);
            }
        }
        (answer.verdict, answer.by)
    }

    /// A verdict that covers every message of the session.
    fn session_verdict(&mut self, stage: Stage, verdict: (Verdict, Option<Arc<str>>)) -> Answer {
        let (answer, fate) = self.judge(stage, verdict);
        self.fate = std::mem::take(&mut self.fate).and(fate);
        answer
    }

    /// A verdict that covers the transaction.
    fn transaction_verdict(&mut self, stage: Stage, verdict: (Verdict, Option<Arc<str>>)) -> Answer {
        let (answer, fate) = self.judge(stage, verdict);
        if let Some(transaction) = &mut self.transaction {
            transaction.fate = std::mem::take(&mut transaction.fate).and(fate);
        }
        answer
    }

    /// What is answered, and what becomes of what was decided on.
    fn judge(&self, stage: Stage, (verdict, by): (Verdict, Option<Arc<str>>)) -> (Answer, Fate) {
        if !matches!(verdict, Verdict::Proceed | Verdict::Accept) {
            self.log_verdict(stage, &verdict, by.as_deref());
        }
        match verdict {
            Verdict::Proceed | Verdict::Accept => (Answer::Proceed, Fate::Deliver),
            Verdict::Reject(reply) | Verdict::TempFail(reply) => (Answer::Say(reply), Fate::Deliver),
            Verdict::Disconnect(reply) => (Answer::Close(reply), Fate::Deliver),
            Verdict::Discard(reason) => (Answer::Proceed, Fate::Discard(reason.into())),
            Verdict::Quarantine(reason) => (Answer::Proceed, Fate::Hold(reason.into())),
        }
    }

    fn log_verdict(&self, stage: Stage, verdict: &Verdict, plugin: Option<&str>) {
        match verdict {
            Verdict::Reject(reply) | Verdict::TempFail(reply) | Verdict::Disconnect(reply) => {
                self.log_refusal(stage, plugin, reply);
            }
            Verdict::Discard(reason) | Verdict::Quarantine(reason) => info!(
                queue_id = self.queue_id().map(tracing::field::display), session = %self.facts.id,
                peer = %self.facts.peer.ip(), hook = stage.name(), plugin, verdict = verdict.name(), reason,
                "decided by a plugin"
            ),
            Verdict::Proceed | Verdict::Accept => {}
        }
    }

    fn log_refusal(&self, stage: Stage, plugin: Option<&str>, reply: &Reply) {
        info!(
            queue_id = self.queue_id().map(tracing::field::display), session = %self.facts.id,
            peer = %self.facts.peer.ip(), helo = self.facts.helo.as_deref(), hook = stage.name(), plugin, %reply,
            "refused"
        );
    }

    fn queue_id(&self) -> Option<QueueId> {
        self.transaction.as_ref().map(Transaction::id)
    }
}

/// A session asked for what its state does not allow; the session's own order keeps this from happening.
fn out_of_step() -> Answer {
    Reply::new(451, (4, 3, 0), "internal error, try again later").into()
}

fn header_too_large(content: &Content, limit: u64) -> Option<Reply> {
    if content.len() <= limit {
        return None;
    }
    let fits = message::HeaderBlock::read(content).is_ok_and(|header| header.body_start() <= limit);
    (!fits).then(|| Reply::new(552, (5, 3, 4), format!("the header block is larger than {limit} octets")))
}

/// Whether a name for this address is worth a question to the world's DNS.
fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !(v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified()),
        IpAddr::V6(v6) => {
            !(v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_unspecified())
        }
    }
}
