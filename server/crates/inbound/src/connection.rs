//! One connection: moves bytes between the socket and the session, and tells the session of time.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use accounts::User;
use hooks::{Protocol, Request, SessionFacts, SessionHooks, TlsFacts};
use sender_auth::Outcome;
use smtp::server::{Channel, CloseReason, Session};
use tokio::sync::watch;
use tracing::{debug, info};
use transcript::{Opening, Tap, Transcript};

use crate::authentication::Pending;
use crate::fate::Fate;
use crate::insider::Vouched;
use crate::live::LiveSession;
use crate::options::{ListenerOptions, Options, TlsMode};
use crate::policy;
use crate::server::Shared;
use crate::stats::count;
use crate::stream::{CROWDED_READ_OCTETS, READ_OCTETS, Stream};
use crate::transaction::Transaction;

/// Who calls, and over what.
pub(crate) struct Caller {
    pub(crate) stream: Stream,
    pub(crate) peer: SocketAddr,
    /// Where the connection arrived.
    pub(crate) local: SocketAddr,
    /// Who it is, when no listener accepted it.
    pub(crate) insider: Option<Box<Vouched>>,
}

/// A connection with its session, its hooks and its transaction.
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    pub(crate) session: Session,
    pub(crate) hooks: Box<dyn SessionHooks>,
    pub(crate) facts: Arc<SessionFacts>,
    /// What the postmaster sees of it.
    pub(crate) live: LiveSession,
    /// What the TLS handshake said.
    pub(crate) tls: Option<tls::Facts>,
    /// What looking for the client's name came to.
    pub(crate) reverse_dns: Outcome,
    /// Whether the client may speak for others.
    may_xclient: bool,
    /// Who speaks, where nobody has to be asked.
    pub(crate) insider: Option<Box<Vouched>>,
    pub(crate) user: Option<Arc<User>>,
    pub(crate) pending_auth: Option<Pending>,
    /// What the hooks decided for every message of the session.
    pub(crate) fate: Fate,
    pub(crate) extended: bool,
    pub(crate) transaction: Option<Transaction>,
    /// For whoever listens.
    transcript: Transcript,
    pub(crate) shared: Arc<Shared>,
    pub(crate) listener: Arc<ListenerOptions>,
    pub(crate) options: Arc<Options>,
}

impl Connection {
    pub(crate) fn new(
        caller: Caller,
        listener: Arc<ListenerOptions>,
        options: Arc<Options>,
        shared: Arc<Shared>,
    ) -> Self {
        let Caller { stream, peer, local, insider } = caller;
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let facts = SessionFacts {
            id: shared.new_session_id(),
            listener: listener.name.clone(),
            peer,
            peer_name: None,
            helo: None,
            protocol: Protocol::default(),
            tls: None,
            auth_user: None,
            auth_mechanism: None,
            may_relay: policy::may_relay(peer.ip(), &options),
            server_name: options.hostname.clone(),
            local,
        };
        let session = listener.session.clone();
        let mut connection = Self {
            stream,
            session: Session::new(session, Channel::default(), clock::now(), clock::wall()),
            hooks: shared.services.hooks.begin(),
            live: shared.live.begin(&facts, clock::wall()),
            facts: Arc::new(facts),
            tls: None,
            reverse_dns: Outcome::None,
            may_xclient: listener.xclient.iter().any(|network| network.contains(&peer.ip())),
            insider,
            user: None,
            pending_auth: None,
            fate: Fate::default(),
            extended: false,
            transaction: None,
            transcript: Transcript::new(Arc::clone(&shared.services.transcripts)),
            shared,
            listener,
            options,
        };
        connection.offer();
        connection
    }

    pub(crate) fn listener_name(&self) -> &Arc<str> {
        &self.listener.name
    }

    /// Runs the session to its end. `stop` turns true when the server stops.
    ///
    /// It borrows the connection, which would lie in the task three times over when it were moved here.
    pub(crate) async fn run(&mut self, stop: &mut watch::Receiver<bool>) {
        debug!(session = %self.facts.id, peer = %self.facts.peer, listener = %self.facts.listener, "connected");
        let ended = self.converse(stop).await;
        if let Err(error) = &ended {
            debug!(session = %self.facts.id, %error, "the connection broke");
        }
        // The transaction goes before the hooks hear of the end: a plugin sees no message that is not there any more.
        self.transaction = None;
        self.ask(Request::Disconnect).await;
        self.write(|tap| tap.note("disconnected"));
        debug!(session = %self.facts.id, "disconnected");
    }

    async fn converse(&mut self, stop: &mut watch::Receiver<bool>) -> io::Result<()> {
        if self.listener.tls == TlsMode::Implicit {
            self.handshake().await?;
            self.offer();
        }
        self.pump(stop).await
    }

    async fn pump(&mut self, stop: &mut watch::Receiver<bool>) -> io::Result<()> {
        loop {
            while let Some(event) = self.session.poll_event() {
                self.handle(event).await;
            }
            if let Some(until) = self.session.paused_until() {
                self.pause(until.into(), stop).await;
                continue;
            }
            self.flush().await?;
            if self.session.is_closed() {
                return self.stream.close(self.shared.write_timeout).await;
            }
            if self.session.wants_handshake() {
                self.handshake().await?;
                self.session.secured(self.session_channel(), clock::now());
            } else {
                self.wait(stop).await?;
            }
        }
    }

    /// A client that made many errors is kept waiting, but not longer than the server runs.
    async fn pause(&mut self, until: tokio::time::Instant, stop: &mut watch::Receiver<bool>) {
        tokio::select! {
            () = tokio::time::sleep_until(until) => {}
            _ = stop.wait_for(|stops| *stops) => {}
        }
        self.session.resume(clock::now());
    }

    /// Waits for bytes, the deadline or the end of the server, and tells the session.
    async fn wait(&mut self, stop: &mut watch::Receiver<bool>) -> io::Result<()> {
        if *stop.borrow_and_update() && self.session.shut_down(clock::now()) {
            return Ok(());
        }
        let deadline = self.session.poll_timeout().unwrap_or_else(clock::now);
        let is_crowded = self.shared.content_memory.is_crowded(self.options.limits.content_memory);
        let most = if is_crowded { CROWDED_READ_OCTETS } else { READ_OCTETS };
        let (session, transcript, facts) = (&mut self.session, &mut self.transcript, &self.facts);
        let took = tokio::select! {
            biased;
            took = self.stream.read(most, |octets| {
                transcript.write(|| opening(facts), |tap| tap.client(octets));
                match octets {
                    [] => session.receive_end(clock::now()),
                    octets => session.receive(octets, clock::now()),
                }
            }) => took,
            () = tokio::time::sleep_until(deadline.into()) => {
                self.session.handle_timeout(clock::now());
                Ok(())
            }
            // A sender that is gone says the same as one that said true.
            _ = stop.changed() => Ok(()),
        };
        if let Err(error) = took {
            self.session.receive_end(clock::now());
            debug!(session = %self.facts.id, %error, "reading failed");
        }
        Ok(())
    }

    /// Sends what the session has to say. A client that does not read is given as long as it has to send a command.
    async fn flush(&mut self) -> io::Result<()> {
        if !self.session.has_output() {
            return Ok(());
        }
        let output = self.session.take_output();
        self.write(|tap| tap.server(&output));
        self.stream.send(&output, self.shared.write_timeout).await
    }

    /// Puts the stream under TLS, and forgets what was before (RFC 3207 section 4.2).
    async fn handshake(&mut self) -> io::Result<()> {
        let Some(acceptor) = &self.shared.services.tls else {
            return Err(io::Error::new(io::ErrorKind::NotConnected, "there is no certificate"));
        };
        let certificates = acceptor.current();
        let patience = self.listener.handshake_timeout;
        if let Err(error) = self.stream.handshake(certificates.config(), patience).await {
            info!(session = %self.facts.id, peer = %self.facts.peer.ip(), listener = %self.facts.listener, %error, "the TLS handshake failed");
            count(&self.shared.stats.handshakes_failed);
            self.write(|tap| tap.note(format!("the TLS handshake failed: {error}")));
            return Err(error);
        }
        let facts = self.stream.tls().map(|connection| certificates.facts(connection));
        let known = Arc::make_mut(&mut self.facts);
        (known.helo, known.protocol) = (None, Protocol::default());
        (known.auth_user, known.auth_mechanism) = (None, None);
        known.tls = facts.as_ref().map(tls_facts);
        self.tls = facts;
        (self.user, self.pending_auth) = (None, None);
        self.extended = false;
        self.live.knows(&self.facts);
        let said =
            self.facts.tls.as_ref().map_or_else(String::new, |tls| format!("{} {}", tls.version, tls.cipher));
        match self.listener.tls {
            // The greeting is still to come.
            TlsMode::Implicit => self.write(|tap| tap.note(said)),
            _ => self.write(|tap| tap.secured(said)),
        }
        count(&self.shared.stats.handshakes);
        Ok(())
    }

    /// Tells a session that has not greeted yet what its channel offers.
    fn offer(&mut self) {
        let channel = self.session_channel();
        self.session = Session::new(self.listener.session.clone(), channel, clock::now(), clock::wall());
    }

    fn session_channel(&self) -> Channel {
        let has_certificate = self.shared.services.tls.is_some();
        let channel = self.channel();
        Channel {
            secured: channel.tls,
            starttls: self.listener.tls == TlsMode::StartTls && has_certificate,
            mechanisms: match &self.options.authenticator {
                Some(authenticator) if self.listener.offers_auth() && self.insider.is_none() => {
                    authenticator.mechanisms(&channel)
                }
                _ => Vec::new(),
            },
            xclient: self.may_xclient,
        }
    }

    /// Writes into the transcript, if anybody listens.
    pub(crate) fn write(&mut self, write: impl FnOnce(&mut Tap)) {
        self.transcript.write(|| opening(&self.facts), write);
    }

    pub(crate) fn closed(&mut self, reason: CloseReason) {
        self.write(|tap| tap.note(format!("closed: {}", reason.name())));
        debug!(session = %self.facts.id, reason = reason.name(), "closed");
    }
}

/// The session, as whoever listens is told of it.
fn opening(facts: &SessionFacts) -> Opening {
    Opening {
        session: facts.id.to_string(),
        peer: format!("from {} at {}", facts.peer.ip(), facts.listener),
        address: Some(facts.peer.ip()),
        host: facts.peer_name.clone(),
    }
}

fn tls_facts(facts: &tls::Facts) -> TlsFacts {
    TlsFacts {
        version: facts.version.to_owned(),
        cipher: facts.cipher.clone(),
        server_name: facts.server_name.clone(),
        client_names: facts.client_identities.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets<'a, F>(_: fn(&'a mut Connection, &'a mut watch::Receiver<bool>) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_session_that_waits_holds_no_room_for_the_checks_of_a_message() {
        let task = size_of::<Connection>() + octets(|connection, stop| connection.run(stop));
        assert!(task <= 4 << 10, "{task} octets");
    }
}
