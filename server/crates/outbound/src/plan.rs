//! From an entry to jobs at sites: what plugins want, where DNS leads, and who goes together.
//!
//! What is known at once is planned at once. Where a plugin or DNS has to be asked, a task does it, so that nobody else waits. A pass
//! waits for all its domains a moment ([`GRACE`]), so that recipients at one site share a transaction; then those that are known go
//! and the others follow.
//!
//! Limits: never do more passes wait for one domain's DNS than there is room for others; an entry beyond rests a minute in the store.
//! Cancel safety: a plan that is dropped leaves its entry as it was in the store.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hooks::{RouteChoice, RouteRequest, Stage, TransactionFacts};
use model::{Domain, Envelope, Reply, Timestamp};
use queue::{Entry, QueuedRecipient, State};

use crate::active::{Job, Pass};
use crate::engine::Inner;
use crate::lookups::{Answer, Asking};
use crate::options::{HostPort, Options};
use crate::outcome::Attempt;
use crate::route::{NextHop, Route};
use crate::site::{Site, Way};

/// How long the recipients of a message wait for each other's DNS.
const GRACE: Duration = Duration::from_secs(1);

/// Passes that may wait for the DNS of one domain however little room there is.
const LEAST_WAITING: usize = 8;

/// The recipients of one site.
type Group = (Site, Vec<usize>);

/// Places in the entry's list of those that are due.
pub(crate) fn due(entry: &Entry, now: Timestamp) -> Vec<usize> {
    let is_due = |state: &State| matches!(state, State::Waiting { due } if *due <= now);
    let due = entry.recipients.iter().enumerate().filter(|(_, queued)| is_due(&queued.state));
    due.map(|(nth, _)| nth).collect()
}

impl Inner {
    /// The groups of an entry, if nobody has to be asked.
    pub(crate) fn plan_at_once(&self, entry: &Entry, due: &[usize], options: &Options) -> Option<Vec<Group>> {
        let is_refused = |nth: &usize| refusal(&entry.recipients[*nth]).is_some();
        if self.hooks.delivery_stages().contains(Stage::Route) || due.iter().any(is_refused) {
            return None;
        }
        let (mut groups, now) = (Groups::new(entry, options), clock::now());
        for nth in due {
            let site = match Way::of(&entry.recipients[*nth].recipient.address, options) {
                Way::To(site) => site,
                Way::Ask(domain, route) => Site::Mx(self.lookups.known(&domain, now)?.ok()?, route),
            };
            groups.add(site, *nth);
        }
        Some(groups.list)
    }

    /// Whether there is room for one more pass that waits for the DNS of these domains.
    pub(crate) fn may_plan(&self, entry: &Entry, due: &[usize], options: &Options) -> bool {
        let room = options.limits.active_entries.saturating_sub(self.active.passes()).max(LEAST_WAITING);
        due.iter().all(|nth| match Way::of(&entry.recipients[*nth].recipient.address, options) {
            Way::To(_) => true,
            Way::Ask(domain, _) => self.lookups.waiting(&domain) < room,
        })
    }
}

/// Gathers recipients by site, in transactions of the size that the limits allow.
struct Groups<'a> {
    entry: &'a Entry,
    size: usize,
    list: Vec<Group>,
    /// Which group of a site takes more. A transaction has one sender, and forwarded mail has one of its own.
    open: HashMap<(Site, Option<&'a str>), usize>,
}

impl<'a> Groups<'a> {
    fn new(entry: &'a Entry, options: &Options) -> Self {
        let size = options.limits.recipients_per_transaction.max(1);
        Self { entry, size, list: Vec::new(), open: HashMap::new() }
    }

    fn add(&mut self, site: Site, nth: usize) {
        // Most messages are for one recipient.
        if self.entry.recipients.len() == 1 {
            return self.list.push((site, vec![nth]));
        }
        let key = (site, self.entry.recipients[nth].recipient.forwarded_as());
        match self.open.get(&key) {
            Some(at) if self.list[*at].1.len() < self.size => self.list[*at].1.push(nth),
            _ => {
                self.open.insert(key.clone(), self.list.len());
                self.list.push((key.0, vec![nth]));
            }
        }
    }
}

/// A pass on its way to its sites. The pass counts the plan as one of its jobs.
pub(crate) struct Plan {
    inner: Arc<Inner>,
    pass: Arc<Pass>,
    options: Arc<Options>,
    forced: bool,
    /// What DNS has been asked already.
    asked: HashMap<Domain, Asking>,
}

impl Plan {
    /// Asks DNS at once, so that whoever comes next sees how many wait; unless plugins may want something else.
    pub(crate) fn new(
        inner: Arc<Inner>,
        pass: Arc<Pass>,
        due: &[usize],
        options: Arc<Options>,
        forced: bool,
    ) -> Self {
        let mut plan = Self { inner, pass, options, forced, asked: HashMap::new() };
        if !plan.inner.hooks.delivery_stages().contains(Stage::Route) {
            for nth in due.iter().filter(|nth| refusal(&plan.pass.entry.recipients[**nth]).is_none()) {
                let address = &plan.pass.entry.recipients[*nth].recipient.address;
                if let Way::Ask(domain, _) = Way::of(address, &plan.options)
                    && !plan.asked.contains_key(&domain)
                {
                    let asking = plan.ask(&domain);
                    plan.asked.insert(domain, asking);
                }
            }
        }
        plan
    }

    fn ask(&self, domain: &Domain) -> Asking {
        if let Some(asking) = self.asked.get(domain) {
            return asking.clone();
        }
        if self.forced {
            self.inner.lookups.forget_failure(domain);
        }
        let inner = &self.inner;
        inner.lookups.ask(domain, &self.options, &inner.resolver, inner.mta_sts(), clock::now())
    }

    /// Asks and places, until every recipient has a site or an end.
    pub(crate) async fn run(self, due: Vec<usize>) {
        let due = self.end_refused(due).await;
        let ways = self.ask_plugins(due).await;
        let mut known = Vec::new();
        let mut asked: HashMap<(Domain, Arc<Route>), Vec<usize>> = HashMap::new();
        for (nth, way) in ways {
            match way {
                Way::To(site) => known.push((site, nth)),
                Way::Ask(domain, route) => asked.entry((domain, route)).or_default().push(nth),
            }
        }
        self.ask_dns(known, asked).await;
        // What is left of the pass may end now.
        self.inner
            .finish_all(Job { pass: Arc::clone(&self.pass), recipients: Vec::new() }, Attempt::untouched())
            .await;
    }

    /// Ends those whom a plugin refused alone when the message came, and the client could not be told; the others come back.
    async fn end_refused(&self, due: Vec<usize>) -> Vec<usize> {
        let mut others = Vec::new();
        for nth in due {
            match refusal(&self.pass.entry.recipients[nth]) {
                None => others.push(nth),
                Some(reply) => self.end(vec![nth], Attempt::own(reply)).await,
            }
        }
        others
    }

    /// What plugins want of each recipient, and for the others what the configuration says. Those that are not to be tried have their end.
    async fn ask_plugins(&self, due: Vec<usize>) -> Vec<(usize, Way)> {
        let entry = &self.pass.entry;
        let address = |nth: usize| &entry.recipients[nth].recipient.address;
        let configured = |nth: usize| Way::of(address(nth), &self.options);
        if !self.inner.hooks.delivery_stages().contains(Stage::Route) {
            return due.into_iter().map(|nth| (nth, configured(nth))).collect();
        }
        let facts = Arc::new(facts(entry));
        let request = |nth: &usize| {
            let queued = &entry.recipients[*nth];
            RouteRequest { recipient: &queued.recipient.address, attempt: queued.attempts.saturating_add(1) }
        };
        let requests: Vec<_> = due.iter().map(request).collect();
        let choices = self.inner.hooks.route(&facts, &requests).await;
        let mut ways = Vec::new();
        for (nth, choice) in due.into_iter().zip(choices) {
            match choice.map(|choice| taken(choice, configured(nth), address(nth).domain(), &self.options)) {
                None => ways.push((nth, configured(nth))),
                Some(Ok(way)) => ways.push((nth, way)),
                Some(Err(attempt)) => self.end(vec![nth], attempt).await,
            }
        }
        ways
    }

    /// Places what is known, and what DNS says of the others as it says it.
    async fn ask_dns(
        &self,
        mut known: Vec<(Site, usize)>,
        mut asked: HashMap<(Domain, Arc<Route>), Vec<usize>>,
    ) {
        let mut answers: FuturesUnordered<_> = asked
            .keys()
            .cloned()
            .map(|(domain, route)| {
                let asking = self.ask(&domain);
                async move { ((domain, route), asking.await) }
            })
            .collect();
        let grace = tokio::time::sleep(GRACE);
        tokio::pin!(grace);
        let mut is_over = false;
        while !answers.is_empty() && !self.inner.is_stopping() {
            tokio::select! {
                biased;
                Some((key, answer)) = answers.next() => {
                    let recipients = asked.remove(&key).unwrap_or_default();
                    self.sort(answer, key.1, recipients, &mut known).await;
                    if !is_over {
                        continue;
                    }
                }
                () = &mut grace, if !is_over => is_over = true,
                () = self.inner.stopped() => return,
            }
            self.place(std::mem::take(&mut known));
        }
        self.place(known);
    }

    async fn sort(
        &self,
        answer: Answer,
        route: Arc<Route>,
        recipients: Vec<usize>,
        known: &mut Vec<(Site, usize)>,
    ) {
        match answer {
            Ok(hosts) => {
                let site = Site::Mx(hosts, route);
                known.extend(recipients.into_iter().map(|nth| (site.clone(), nth)));
            }
            Err(reply) => self.end(recipients, Attempt::own(reply)).await,
        }
    }

    fn place(&self, mut known: Vec<(Site, usize)>) {
        // Recipients go in the order in which they came, whoever's DNS was first.
        known.sort_by_key(|(_, nth)| *nth);
        let mut groups = Groups::new(&self.pass.entry, &self.options);
        for (site, nth) in known {
            groups.add(site, nth);
        }
        self.pass.progress.lock().jobs += groups.list.len();
        self.inner.enqueue_all(&self.pass, groups.list, &self.options, self.forced);
    }

    /// An end without an attempt.
    async fn end(&self, recipients: Vec<usize>, attempt: Attempt) {
        self.pass.progress.lock().jobs += 1;
        self.inner.finish_all(Job { pass: Arc::clone(&self.pass), recipients }, attempt).await;
    }
}

/// The end of a recipient's first attempt, when a plugin has said it already. After a refusal for now the next is made.
fn refusal(queued: &QueuedRecipient) -> Option<Reply> {
    if queued.attempts > 0 {
        return None;
    }
    queued.recipient.refusal()
}

/// What a plugin is shown of an entry.
pub(crate) fn facts(entry: &Entry) -> TransactionFacts {
    let mut envelope = Envelope::new(entry.sender.clone(), entry.sender_params.clone());
    for queued in &entry.recipients {
        let recipient = &queued.recipient;
        envelope.add_recipient(
            recipient.address.clone(),
            recipient.original.clone(),
            recipient.params.clone(),
        );
    }
    TransactionFacts { id: entry.id, envelope, content: None, findings: Vec::new() }
}

/// The way that a plugin has chosen, or the end of a recipient that is not to be tried.
fn taken(choice: RouteChoice, configured: Way, domain: &Domain, options: &Options) -> Result<Way, Attempt> {
    let by = choice.by;
    match choice.way {
        hooks::Way::Hold(reason) => Err(Attempt::held(&reason)),
        hooks::Way::Defer(reply) => Err(Attempt::own(reply)),
        hooks::Way::Delay(delay) => {
            let text = format!("the plugin {by} wants it to wait {} s", delay.as_secs());
            Err(Attempt::put_off(Reply::new(450, (4, 3, 2), text), delay))
        }
        hooks::Way::Take { next_hop, source } => {
            let before = match &configured {
                Way::To(site) => site.route(),
                Way::Ask(_, route) => Some(route),
            };
            // Mail that ends here, and is to go elsewhere, goes as what no route names does.
            let before = before.unwrap_or(options.routes.fallback());
            if next_hop.is_none() && matches!(&configured, Way::To(site) if site.route().is_none()) {
                return Ok(configured);
            }
            Ok(other_way(&by, before, &configured, next_hop, source, domain))
        }
    }
}

fn other_way(
    by: &str,
    before: &Route,
    configured: &Way,
    next_hop: Option<String>,
    source: Option<IpAddr>,
    domain: &Domain,
) -> Way {
    let source = source.map_or_else(|| before.source.clone(), |source| vec![source]);
    let host = next_hop.as_deref().map(str::parse::<HostPort>);
    let route = |next_hop: NextHop, is_other: bool| {
        // What was agreed with one host is not for another: above all no password.
        let auth = before.auth.clone().filter(|_| !is_other);
        let name = format!("{}/{by}", before.name);
        Arc::new(Route {
            name,
            domains: Vec::new(),
            next_hop,
            auth,
            source: source.clone(),
            ..before.clone()
        })
    };
    match (host, configured) {
        (Some(Ok(host)), _) => {
            let is_other = before.next_hop != NextHop::Host(host.clone());
            Way::To(Site::Host(host.clone(), route(NextHop::Host(host), is_other)))
        }
        // No host with a port: the domain whose mail hosts are to take it. It was checked.
        (Some(Err(_)), _) => {
            let other = next_hop.and_then(|name| Domain::parse(&name).ok());
            Way::Ask(other.unwrap_or_else(|| domain.clone()), route(NextHop::Mx, true))
        }
        (None, Way::To(Site::Host(host, _))) => {
            Way::To(Site::Host(host.clone(), route(NextHop::Host(host.clone()), false)))
        }
        (None, Way::Ask(domain, _)) => Way::Ask(domain.clone(), route(NextHop::Mx, false)),
        (None, Way::To(site)) => Way::To(site.clone()),
    }
}
