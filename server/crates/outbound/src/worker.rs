//! A worker: makes one destination's attempts, one after the other, over a connection that it keeps while there is work.
//!
//! Cancel safety: a worker that is dropped leaves its entry as it was in the store; the attempt is made again after the next start.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use model::{Content, DeliverBy, LateMode, QueueId, Recipient, Reply, ReversePath, Timestamp};
use queue::Entry;
use smtp::client::{Failure, Fate, Protocol, Step, Transaction};

use crate::active::Job;
use crate::connection::Connection;
use crate::demand::{Demand, TlsLevel};
use crate::destination::{Destination, Next};
use crate::engine::Inner;
use crate::maildir_worker;
use crate::mx::{self, Endpoint};
use crate::notice;
use crate::opening::{self, Hop, OpenError, failure_reply};
use crate::options::{Limits, Options};
use crate::outcome::Attempt;
use crate::pipe_worker;
use crate::policy::{SitePolicy, Wish};
use crate::preparation::{hops_exceeded, ready_content, unreadable};
use crate::race::Race;
use crate::site::Site;
use crate::stats::Counters;
use crate::throttle::{self, Less};
use crate::traits::Traits;
use crate::turn::Turn;

/// Takes the worker off its destination's list should it end in the middle.
struct Place {
    destination: Arc<Destination>,
    is_left: bool,
    is_connected: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_connected {
            self.destination.disconnected();
        }
        if !self.is_left {
            self.destination.forget_worker();
        }
    }
}

/// Works until there is nothing to do, or the engine stops.
pub(crate) async fn run(inner: Arc<Inner>, destination: Arc<Destination>) {
    let mut place = Place { destination: Arc::clone(&destination), is_left: false, is_connected: false };
    let Some(turn) = Turn::wait(&inner).await else { return };
    // What an attempt needs is some 100 KiB: a worker has it from its turn on, not while thousands wait for theirs.
    if let Site::Maildir(_) = destination.site {
        place.is_left = Box::pin(maildir_worker::run(&inner, &destination, turn)).await;
        return;
    }
    if let Site::Pipe(_) = destination.site {
        place.is_left = Box::pin(pipe_worker::run(&inner, &destination, turn)).await;
        return;
    }
    let worker =
        Worker { inner, destination, place, connection: None, wish: Wish::None, is_counted: true, turn };
    Box::pin(worker.run()).await;
}

struct Worker {
    inner: Arc<Inner>,
    destination: Arc<Destination>,
    place: Place,
    connection: Option<Connection>,
    /// What the connection was opened for.
    wish: Wish,
    /// Whether what comes of connections is told to domains.
    is_counted: bool,
    turn: Turn,
}

/// Whether a job was done with.
enum Ran {
    Done,
    /// Other connections of the destination must do: the job was put back, and this worker is one too many.
    OneTooMany,
    /// A rate says that it is too early to connect: the job was put back.
    Instead(Next),
}

/// Why there is no connection.
enum NoSession {
    Refused(Reply),
    TooEarly(Instant),
}

impl Worker {
    async fn run(mut self) {
        while !self.inner.is_stopping() {
            if self.turn.is_over(&self.inner) {
                self.disconnect().await;
            }
            if !self.turn.goes_on(&self.inner).await {
                break;
            }
            let (may_wait, options) = (self.may_wait(), self.inner.options());
            let mut next = self.destination.next(may_wait, &options.limits, clock::now());
            if let Next::Job(job) = next {
                self.inner.unpark(&self.destination, &options);
                self.turn.count(1);
                next = match self.attempt(*job).await {
                    Ran::Done => continue,
                    Ran::OneTooMany if self.destination.may_leave() => Next::Exit,
                    Ran::OneTooMany => continue,
                    Ran::Instead(next) => next,
                };
            }
            match next {
                Next::Job(_) => {}
                Next::Idle => self.wait().await,
                Next::Rest(at) if self.rest(at).await => {}
                Next::Rest(_) | Next::Exit => {
                    self.place.is_left = true;
                    break;
                }
            }
        }
        self.disconnect().await;
    }

    /// Waits for a rate; false when that is long: then the worker ends, and a timer makes another.
    async fn rest(&mut self, at: Instant) -> bool {
        let time = at.saturating_duration_since(clock::now());
        if time <= self.inner.options().limits.idle_connection && !self.turn.is_wanted(&self.inner) {
            tokio::select! {
                () = tokio::time::sleep(time) => {}
                () = self.inner.stopped() => {}
            }
            return true;
        }
        self.destination.leave_until(at);
        self.inner.awake_at(&self.destination, at);
        false
    }

    /// A connection is kept for a while, unless somebody else could use its permit.
    fn may_wait(&self) -> bool {
        self.connection.as_ref().is_some_and(Connection::is_ready)
            && self.inner.deliveries.available_permits() > 0
    }

    async fn wait(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        let limit = self.inner.options().limits.idle_connection;
        let was_called = tokio::select! {
            biased;
            () = self.destination.called() => true,
            () = connection.until_disturbed() => false,
            () = tokio::time::sleep(limit) => false,
        };
        if !was_called {
            self.destination.stop_waiting();
            self.disconnect().await;
        }
    }

    async fn disconnect(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.place.is_connected = false;
            self.destination.disconnected();
            if connection.is_ready() {
                connection.quit().await;
            }
        }
    }

    async fn attempt(&mut self, job: Job) -> Ran {
        if job.pass.is_cancelled.load(std::sync::atomic::Ordering::Relaxed) {
            self.inner.finish_all(job, Attempt::untouched()).await;
            return Ran::Done;
        }
        if let Some(mut backoff) = self.destination.backing_off(clock::now()) {
            backoff.reply = deferring(&backoff.reply);
            self.inner.finish_all(job, Attempt::backed_off(&backoff)).await;
            return Ran::Done;
        }
        let options = self.inner.options();
        let (content, traits) = match ready_content(&self.inner, &job.pass).await {
            Ok(ready) => ready,
            Err(attempt) => {
                self.inner.finish_all(job, attempt).await;
                return Ran::Done;
            }
        };
        if let Some(reply) = hops_exceeded(&traits, &options) {
            self.inner.finish_all(job, Attempt::own(reply)).await;
            return Ran::Done;
        }
        if let Some(reply) = notice::too_late(&job.pass.entry, None, clock::wall()) {
            self.inner.finish_all(job, Attempt::own(reply)).await;
            return Ran::Done;
        }
        let wish = Wish::of(&job.pass.entry, &traits);
        // A connection that was kept may have died unnoticed: then a fresh one has a try at once.
        for is_second in [false, true] {
            let is_worn = |connection: &Connection| {
                !connection.is_ready()
                    || !connection.takes_more()
                    || connection.transactions >= options.limits.messages_per_connection.max(1)
            };
            if self.connection.as_ref().is_some_and(is_worn) || self.wish != wish {
                self.disconnect().await;
            }
            if self.connection.is_none()
                && let Err(why) = self.connect(&options, job.pass.entry.id, wish, !traits.is_tls_report).await
            {
                return self.give_up(job, why, &options).await;
            }
            match self.transact(&job, &content, &traits, &options, is_second).await {
                Some(attempts) => {
                    self.inner.finish(job, attempts).await;
                    return Ran::Done;
                }
                None => self.disconnect().await,
            }
        }
        self.inner.finish_all(job, Attempt::own(Reply::new(451, (4, 4, 2), "the connection was lost"))).await;
        Ran::Done
    }

    /// Makes the transaction; nothing when it should be made again over a fresh connection.
    async fn transact(
        &mut self,
        job: &Job,
        content: &Content,
        traits: &Traits,
        options: &Options,
        is_second: bool,
    ) -> Option<Vec<Attempt>> {
        let connection = self.connection.as_mut()?;
        let entry = &job.pass.entry;
        let recipients: Vec<&Recipient> =
            job.recipients.iter().map(|nth| &entry.recipients[*nth].recipient).collect();
        if let Some(reply) = connection.refuses_time(entry) {
            return Some(vec![Attempt::own(reply); recipients.len()]);
        }
        let forwarded = recipients.first().and_then(|recipient| recipient.forwarded_as());
        let sender = forwarded.and_then(|sender| sender.parse().ok()).map(ReversePath::Mailbox);
        let transaction = Transaction {
            sender: sender.as_ref().unwrap_or(&entry.sender),
            sender_params: &entry.sender_params,
            recipients: &recipients,
            size: content.len(),
            eight_bit: traits.is_eight_bit,
            deliver_by: remaining(entry, clock::wall()),
            utf8_header: traits.is_utf8_header && entry.sender_param("SMTPUTF8").is_some(),
        };
        let was_used = connection.transactions > 0;
        let counters = &self.inner.counters;
        Counters::add(&counters.transactions);
        if was_used {
            Counters::add(&counters.transactions_reused);
        }
        connection.is_about(entry.id);
        let fates = match connection.deliver(&transaction, content, &options.signers).await {
            Ok(fates) => fates,
            Err(error) => {
                tracing::error!(queue_id = %entry.id, %error, "the content cannot be read");
                // The end of data was not sent: the peer takes nothing.
                self.connection = None;
                self.place.is_connected = false;
                self.destination.disconnected();
                return Some(vec![Attempt::own(unreadable(&error)); recipients.len()]);
            }
        };
        if was_used && !is_second && fates.iter().all(is_stale) {
            return None;
        }
        self.learn(&fates, &options.limits);
        let connection = self.connection.as_ref()?;
        let handover = connection.handover();
        let attempt = |fate| {
            let attempt = Attempt::from_fate(fate, &connection.host).over(connection.tls.as_ref());
            attempt.handed(handover)
        };
        Some(fates.into_iter().map(attempt).collect())
    }

    /// Tells the destination how it went.
    fn learn(&self, fates: &[Fate], limits: &Limits) {
        let now = clock::now();
        let broken = fates.iter().find_map(|fate| match fate {
            Fate::Failed(failure) => Some(failure_reply(failure)),
            _ => None,
        });
        if let Some(reply) = broken {
            return self.destination.broke(&reply, limits, now);
        }
        if let Some((less, reply)) = throttle::wish(fates) {
            tracing::info!(site = %self.destination.site, %reply, ?less, "the destination asks for less");
            return self.destination.asks_for_less(reply, less == Less::Session, limits, now);
        }
        for _ in 0..self.destination.went_well(limits, now) {
            self.inner.start_worker(&self.destination);
        }
    }

    /// Connects to the first address that has a session for us.
    async fn connect(
        &mut self,
        options: &Options,
        about: QueueId,
        wish: Wish,
        is_counted: bool,
    ) -> Result<(), NoSession> {
        self.wish = wish;
        self.is_counted = is_counted;
        self.destination.may_connect(clock::now()).map_err(NoSession::TooEarly)?;
        let limit = options.limits.session_timeout;
        let connection = match tokio::time::timeout(limit, self.call(options, about)).await {
            Ok(called) => called.map_err(NoSession::Refused)?,
            Err(_) => {
                let text = format!("no host had a session for us within {} s", limit.as_secs());
                return Err(NoSession::Refused(Reply::new(451, (4, 4, 1), text)));
            }
        };
        self.connection = Some(connection);
        self.place.is_connected = true;
        for _ in 0..self.destination.connected(&options.limits, clock::now()) {
            self.inner.start_worker(&self.destination);
        }
        Ok(())
    }

    async fn call(&self, options: &Options, about: QueueId) -> Result<Connection, Reply> {
        let site = &self.destination.site;
        let resolver = self.inner.resolver.as_ref();
        let endpoints = mx::endpoints(site, options, resolver).await?;
        let route = site.route();
        let (protocol, level) = match site {
            Site::Lmtp(_) => (Protocol::Lmtp, TlsLevel::Off),
            _ => (Protocol::Smtp, route.and_then(|route| route.tls).unwrap_or(options.tls_level)),
        };
        let policy = SitePolicy::of(site, self.wish, level, self.is_counted, &self.inner).await;
        let sources = route.map_or(&[][..], |route| &route.source);
        let credentials = route.and_then(|route| route.auth.as_ref());
        let demands = endpoints.iter().map(|endpoint| policy.demand(endpoint, options, resolver));
        let demands = join_all(demands).await;
        let (mut usable, mut refusal) = (Vec::new(), None);
        for (endpoint, demand) in endpoints.into_iter().zip(demands) {
            match demand {
                Ok(demand) => usable.push((endpoint, demand)),
                Err(reply) => {
                    tracing::debug!(%site, host = %endpoint.host, %reply, "not used");
                    refusal = worst(refusal, reply);
                }
            }
        }
        let mut race = Race::new(usable, sources, &options.limits);
        while let Some((endpoint, demand, link)) = race.next().await {
            let hop =
                Hop { endpoint: &endpoint, protocol, demand: &demand, sources, credentials, about, options };
            let opened = match link {
                Ok(link) => opening::open(hop, link).await,
                Err(error) => Err(OpenError::Connect(error)),
            };
            policy.came_of(&demand, &endpoint, opened.as_ref());
            let error = match opened {
                Ok(connection) => {
                    Counters::add(&self.inner.counters.connections);
                    return Ok(connection);
                }
                Err(error) => error,
            };
            Counters::add(&self.inner.counters.connections_failed);
            let reply = match site {
                Site::Mx(..) => refusal_of(&endpoint, &demand, &error),
                // A host that the configuration names is wrong about "for good" until somebody has looked.
                _ => deferring(&refusal_of(&endpoint, &demand, &error)),
            };
            tracing::debug!(%site, host = %endpoint.host, %reply, "no session");
            hop.tells(&reply);
            refusal = worst(refusal, reply);
        }
        Err(refusal.unwrap_or_else(|| Reply::new(451, (4, 4, 4), "there is no address to connect to")))
    }

    /// There is no session for this job.
    async fn give_up(&mut self, job: Job, why: NoSession, options: &Options) -> Ran {
        let refusal = match why {
            NoSession::Refused(refusal) => refusal,
            NoSession::TooEarly(at) => return Ran::Instead(self.destination.too_early(job, at)),
        };
        // What a message wants for itself says nothing about the others.
        if self.wish == Wish::None
            && refusal.is_transient()
            && self.destination.could_not_connect(&refusal, &options.limits, clock::now())
        {
            self.destination.give_back(job);
            return Ran::OneTooMany;
        }
        self.inner.finish_all(job, Attempt::own(refusal)).await;
        Ran::Done
    }
}

/// As long as one address may answer later, the message waits.
fn worst(earlier: Option<Reply>, reply: Reply) -> Option<Reply> {
    match earlier {
        Some(earlier) if reply.is_permanent() && earlier.is_transient() => Some(earlier),
        _ => Some(reply),
    }
}

fn refusal_of(endpoint: &Endpoint, demand: &Demand, error: &OpenError) -> Reply {
    let address = match &endpoint.address {
        mx::Address::Tcp(address) => format!("{} [{}]:{}", endpoint.host, address.ip(), address.port()),
        mx::Address::Unix(path) => path.display().to_string(),
    };
    error.reply(&address, demand)
}

/// A destination that is left alone defers, whatever it said last.
fn deferring(reply: &Reply) -> Reply {
    match reply.is_transient() {
        true => reply.clone(),
        false => Reply::new(451, (4, 4, 0), reply.to_string()),
    }
}

/// What is left of the time that the sender gave (RFC 2852 section 4.1.4.2).
fn remaining(entry: &Entry, now: Timestamp) -> Option<DeliverBy> {
    let by = DeliverBy::parse(entry.sender_param("BY")?)?;
    let spent = i64::try_from(now.since(entry.arrived).as_secs()).unwrap_or(i64::MAX);
    //= RFC 2852 section 4: nine digits at most, and with mode R a time that is positive.
    let least = if by.mode == LateMode::Return { 1 } else { -999_999_999 };
    Some(DeliverBy { seconds: by.seconds.saturating_sub(spent).max(least), ..by })
}

/// Whether a transaction came to nothing because the connection had been closed before it began.
fn is_stale(fate: &Fate) -> bool {
    match fate {
        Fate::Failed(Failure::ConnectionLost(step)) => matches!(step, Step::Mail | Step::Reset | Step::Idle),
        Fate::Refused { step: Step::Mail | Step::Reset | Step::Idle, reply } => reply.code == 421,
        _ => false,
    }
}
