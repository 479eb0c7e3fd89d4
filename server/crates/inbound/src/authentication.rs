//! AUTH and XCLIENT: who the client is.

use std::net::SocketAddr;
use std::sync::Arc;

use accounts::{Channel, Exchange, Failure, Moment, Step, User};
use hooks::{Protocol, Request, Stage};
use model::Reply;
use sender_auth::Outcome;
use smtp::server::Answer;
use smtp::{ClientAttributes, Known};
use tracing::{info, warn};

use crate::connection::Connection;
use crate::stats::count;

/// An exchange that waits for the client's next response.
pub(crate) struct Pending {
    mechanism: String,
    exchange: Exchange,
}

impl Connection {
    /// What authentication may know of this connection.
    pub(crate) fn channel(&self) -> Channel {
        let address = self.facts.peer.ip();
        match &self.tls {
            None => Channel::without_tls(address),
            Some(facts) => Channel {
                address,
                tls: true,
                exporter: facts.exporter.clone(),
                server_end_point: facts.server_end_point.clone(),
                client_identities: facts.client_identities.clone(),
            },
        }
    }

    pub(crate) async fn auth(&mut self, mechanism: String, initial: Option<Vec<u8>>) -> Answer {
        let Some(authenticator) = &self.options.authenticator else {
            return Failure::UnknownMechanism.reply().into();
        };
        let at = Moment { now: clock::now(), wall: clock::wall() };
        match authenticator.begin(&mechanism, self.channel(), at) {
            Ok(exchange) => self.step(Pending { mechanism, exchange }, initial).await,
            Err(failure) => self.failed(&mechanism, None, failure),
        }
    }

    pub(crate) async fn auth_response(&mut self, response: Vec<u8>) -> Answer {
        match self.pending_auth.take() {
            Some(pending) => self.step(pending, Some(response)).await,
            None => Failure::Malformed.reply().into(),
        }
    }

    /// One step, on a thread that may compute: a password costs tens of milliseconds. Few at a time, or they would be all
    /// that the machine does.
    async fn step(&mut self, pending: Pending, response: Option<Vec<u8>>) -> Answer {
        let Pending { mechanism, exchange } = pending;
        let turn = self.shared.password_checks.acquire().await;
        let step = tokio::task::spawn_blocking(move || exchange.step(response.as_deref())).await;
        drop(turn);
        match step {
            Ok(Step::Challenge(exchange, challenge)) => {
                self.pending_auth = Some(Pending { mechanism, exchange });
                Answer::Challenge(challenge)
            }
            Ok(Step::Authenticated { user }) => self.authenticated(&mechanism, user).await,
            Ok(Step::Failed { name_tried, reason }) => self.failed(&mechanism, name_tried.as_deref(), reason),
            Err(error) => {
                warn!(session = %self.facts.id, %error, "a step of authentication ended early");
                self.failed(&mechanism, None, Failure::Temporary)
            }
        }
    }

    /// The mechanism has shown who it is; the hooks may still say no.
    async fn authenticated(&mut self, mechanism: &str, user: Arc<User>) -> Answer {
        let name = user.name.to_string();
        let verdict = self.ask(Request::Auth { mechanism, user: &name }).await;
        let answer = self.session_verdict(Stage::Auth, verdict);
        if answer == Answer::Proceed {
            info!(session = %self.facts.id, peer = %self.facts.peer.ip(), mechanism, user = %name, "authenticated");
            count(&self.shared.stats.authenticated);
            self.write(|tap| tap.concerns(&name));
            let facts = Arc::make_mut(&mut self.facts);
            (facts.auth_user, facts.auth_mechanism) = (Some(name), Some(mechanism.to_ascii_uppercase()));
            self.user = Some(user);
            self.live.knows(&self.facts);
        }
        answer
    }

    fn failed(&self, mechanism: &str, name_tried: Option<&str>, reason: Failure) -> Answer {
        info!(
            session = %self.facts.id, peer = %self.facts.peer.ip(), mechanism, user = name_tried,
            reason = reason.as_str(), "authentication failed"
        );
        count(&self.shared.stats.auth_failures);
        reason.reply().into()
    }

    /// A trusted proxy tells whom it speaks for: what it says takes the place of what was known.
    pub(crate) async fn xclient(&mut self, client: ClientAttributes) -> Answer {
        let user = match &client.login {
            Known::Value(name) => match self.directory_user(name) {
                Some(user) => Some(user),
                None => return Reply::new(501, (5, 7, 8), "LOGIN names no user of this server").into(),
            },
            Known::Unavailable => None,
            Known::Unsaid => self.user.take(),
        };
        let facts = Arc::make_mut(&mut self.facts);
        if let Known::Value(address) = client.address {
            facts.peer = SocketAddr::new(address.to_canonical(), 0);
            facts.peer_name = None;
        }
        if let Known::Value(port) = client.port {
            facts.peer.set_port(port);
        }
        take_over(&mut facts.peer_name, client.name);
        take_over(&mut facts.helo, client.helo);
        // The proxy has looked for the name, or nobody has.
        self.reverse_dns = if facts.peer_name.is_some() { Outcome::Pass } else { Outcome::None };
        facts.auth_user = user.as_ref().map(|user| user.name.to_string());
        (facts.auth_mechanism, facts.protocol) = (None, Protocol::default());
        self.session.set_authenticated(user.is_some());
        self.user = user;
        self.live.knows(&self.facts);
        info!(session = %self.facts.id, peer = %self.facts.peer.ip(), helo = self.facts.helo.as_deref(), "a proxy speaks for this client");
        let verdict = self.ask(Request::Connect).await;
        self.session_verdict(Stage::Connect, verdict)
    }

    fn directory_user(&self, name: &str) -> Option<Arc<User>> {
        self.options.authenticator.as_ref()?.directory().user(name).cloned()
    }
}

fn take_over(fact: &mut Option<String>, told: Known<String>) {
    match told {
        Known::Unsaid => {}
        Known::Unavailable => *fact = None,
        Known::Value(value) => *fact = Some(value),
    }
}
