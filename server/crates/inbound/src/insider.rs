//! Sessions that do not come over a listener's socket: of programs on this host, and of what this server takes in by other protocols.
//!
//! Such a session is one of submission like any other: the same limits and rates, the same stages, the same rules for senders and
//! recipients, the same signatures, the same commit. Only who speaks is known from the start, so that there is no AUTH; the hooks hear
//! of it at the auth stage, right after EHLO, and may refuse it there.

use std::net::SocketAddr;
use std::sync::Arc;

use accounts::User;
use hooks::{Request, Stage};
use model::Reply;
use smtp::server::Answer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tracing::info;

use crate::connection::{Caller, Connection};
use crate::options::{ListenerOptions, Options};
use crate::server::Server;
use crate::stats::{TurnedAway, count};
use crate::stream::{Inside, Stream};

/// Who speaks in a session that no listener accepted.
#[derive(Debug, Clone)]
pub struct Insider {
    /// What plugins, milters, logs and counters see in the place of a listener's name: one of [`Insider::LISTENERS`].
    pub listener: Arc<str>,
    /// Where the client is; loopback for a program of this host.
    pub peer: SocketAddr,
    pub identity: Identity,
}

impl Insider {
    /// Mail that came in over HTTP.
    pub const HTTP: &str = "http";
    /// Mail of programs of this host.
    pub const SENDMAIL: &str = "sendmail";
    /// All that stands in the place of a listener's name; no listener of the configuration is called so.
    pub const LISTENERS: [&str; 2] = [Self::HTTP, Self::SENDMAIL];
}

/// In whose name an insider speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// A user of the configuration, by name; it may send as after AUTH. The hooks see the mechanism `TOKEN`.
    User(String),
    /// A user of this host, by its system name; it may send in anybody's name, as a command on this host always could, unless
    /// [`crate::Programs`] say otherwise. The hooks see
    /// the mechanism `UNIX`.
    System(String),
}

/// Who speaks, as the connection has it.
#[derive(Debug, Clone)]
pub(crate) struct Vouched {
    /// Nothing for a user of this host.
    user: Option<Arc<User>>,
    name: String,
    mechanism: &'static str,
}

impl Vouched {
    /// A user of this host, by the system's name for it.
    pub(crate) fn system_user(&self) -> Option<&str> {
        self.user.is_none().then_some(&self.name)
    }
}

impl Server {
    /// Begins a session with an insider, over anything that carries octets: the other end of the stream speaks SMTP, and is not asked
    /// who it is. The session runs as a task and ends as any other: with QUIT, the end of the stream, or the server's.
    ///
    /// Needs a tokio runtime.
    ///
    /// # Errors
    /// What a client would hear in the place of a greeting: 421 when the server stops, or has too many sessions; 535 5.7.8 for a user that
    /// there is not.
    pub fn begin(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        insider: Insider,
    ) -> Result<JoinHandle<()>, Reply> {
        self.begin_boxed(Box::new(stream), insider)
    }

    fn begin_boxed(&self, stream: Box<dyn Inside>, insider: Insider) -> Result<JoinHandle<()>, Reply> {
        let Insider { listener: name, peer, identity } = insider;
        let options = self.shared.options();
        let is_program = matches!(identity, Identity::System(_));
        let vouched = vouched(identity, &options)?;
        let Some(alive) = self.alive.lock().clone() else {
            return Err(Reply::new(421, (4, 3, 2), format!("{} is shutting down", options.hostname)));
        };
        let place = self.admit(peer, &options).map_err(|(why, reply)| {
            info!(peer = %peer.ip(), listener = %name, %reply, "turned away");
            self.shared.stats.turned_away(why);
            reply
        })?;
        let mut listener = ListenerOptions { name, ..(*options.insiders).clone() };
        let domain = &options.programs.domain;
        if is_program && !domain.is_empty() {
            let hostname = domain.clone();
            listener.session = Arc::new(smtp::server::Options { hostname, ..(*listener.session).clone() });
        }
        let caller =
            Caller { stream: Stream::Inside(stream), peer, local: peer, insider: Some(Box::new(vouched)) };
        let mut connection = Connection::new(caller, Arc::new(listener), options, self.shared.clone());
        let (shared, mut stop) = (self.shared.clone(), self.stop.subscribe());
        Ok(tokio::spawn(async move {
            let open = shared.count_session(connection.listener_name());
            connection.run(&mut stop).await;
            drop((connection, open, place, alive));
        }))
    }

    fn admit(
        &self,
        peer: SocketAddr,
        options: &Options,
    ) -> Result<crate::admission::Place, (TurnedAway, Reply)> {
        let (hostname, limits) = (&options.hostname, &options.limits);
        let entered = self.shared.admission.enter(hostname, limits);
        let mut place = entered.map_err(|reply| (TurnedAway::Sessions, reply))?;
        let admitted = self.shared.rates.admit_connection(peer.ip(), hostname, clock::now());
        admitted.map_err(|reply| (TurnedAway::Rate, reply))?;
        place.admit(peer.ip(), hostname, limits).map_err(|reply| (TurnedAway::Address, reply))?;
        Ok(place)
    }
}

fn vouched(identity: Identity, options: &Options) -> Result<Vouched, Reply> {
    match identity {
        Identity::System(name) => Ok(Vouched { user: None, name, mechanism: "UNIX" }),
        Identity::User(name) => {
            let directory = options.authenticator.as_ref().map(accounts::Authenticator::directory);
            match directory.and_then(|directory| directory.user(&name)) {
                Some(user) => Ok(Vouched {
                    user: Some(Arc::clone(user)),
                    name: user.name.to_string(),
                    mechanism: "TOKEN",
                }),
                None => Err(Reply::new(535, (5, 7, 8), format!("{name} is no user of this server"))),
            }
        }
    }
}

impl Connection {
    /// After EHLO: an insider counts as authenticated, unless the hooks say no.
    pub(crate) async fn vouch_for_insider(&mut self) -> Answer {
        let Some(Vouched { user, name, mechanism }) = self.insider.as_deref().cloned() else {
            return Answer::Proceed;
        };
        if self.facts.auth_user.is_some() {
            return Answer::Proceed;
        }
        let verdict = self.ask(Request::Auth { mechanism, user: &name }).await;
        let answer = self.session_verdict(Stage::Auth, verdict);
        if answer == Answer::Proceed {
            info!(session = %self.facts.id, peer = %self.facts.peer.ip(), mechanism, user = %name, "authenticated");
            count(&self.shared.stats.authenticated);
            let facts = Arc::make_mut(&mut self.facts);
            (facts.auth_user, facts.auth_mechanism) = (Some(name), Some(mechanism.to_owned()));
            self.user = user;
            self.session.set_authenticated(true);
            self.live.knows(&self.facts);
        }
        answer
    }
}

#[cfg(test)]
mod tests;
