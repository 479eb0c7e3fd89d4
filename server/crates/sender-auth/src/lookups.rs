//! What DNS says during the evaluation of one message: every question once, all of them counted.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use dns::{BoxFuture, DnsError, Resolver};
use parking_lot::Mutex;

/// Names of one address, and mail hosts of one domain, that are looked at (RFC 7208 section 4.6.4).
pub(crate) const MAX_NAMES: usize = 10;

/// A question; names are in lower case and without their last dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Question {
    Txt(String),
    Mx(String),
    Addresses(String),
    /// The names of the client's address that have this address in turn.
    Names,
}

#[derive(Debug, Default)]
struct Known {
    txt: HashMap<String, Result<Vec<String>, DnsError>>,
    mx: HashMap<String, Result<Vec<String>, DnsError>>,
    addresses: HashMap<String, Result<Vec<IpAddr>, DnsError>>,
    names: Option<Vec<String>>,
    asked: usize,
}

/// The answers so far. Shared by the checks of a message, which run at the same time.
pub(crate) struct Lookups<'a> {
    resolver: &'a dyn Resolver,
    client: IpAddr,
    limit: usize,
    known: Mutex<Known>,
}

impl<'a> Lookups<'a> {
    /// At most `limit` questions; those beyond it are failures that may pass.
    pub(crate) fn new(resolver: &'a dyn Resolver, client: IpAddr, limit: usize) -> Self {
        Self { resolver, client: client.to_canonical(), limit, known: Mutex::default() }
    }

    pub(crate) fn txt(&self, name: &str) -> Option<Result<Vec<String>, DnsError>> {
        self.known.lock().txt.get(name).cloned()
    }

    /// The hosts, the most preferred first; none of them is empty.
    pub(crate) fn mx(&self, name: &str) -> Option<Result<Vec<String>, DnsError>> {
        self.known.lock().mx.get(name).cloned()
    }

    pub(crate) fn addresses(&self, name: &str) -> Option<Result<Vec<IpAddr>, DnsError>> {
        self.known.lock().addresses.get(name).cloned()
    }

    pub(crate) fn names(&self) -> Option<Vec<String>> {
        self.known.lock().names.clone()
    }

    /// Asks what is not known yet, all at once.
    pub(crate) async fn ask(&self, questions: Vec<Question>) {
        let mut under_way: Vec<BoxFuture<'_, ()>> = Vec::new();
        let mut seen = HashSet::new();
        for question in questions {
            if seen.insert(question.clone()) && !self.is_known(&question) {
                under_way.push(Box::pin(self.answer(question)));
            }
        }
        join_all(under_way).await;
    }

    fn is_known(&self, question: &Question) -> bool {
        let known = self.known.lock();
        match question {
            Question::Txt(name) => known.txt.contains_key(name),
            Question::Mx(name) => known.mx.contains_key(name),
            Question::Addresses(name) => known.addresses.contains_key(name),
            Question::Names => known.names.is_some(),
        }
    }

    /// Takes one from the number of questions that are left.
    fn admit(&self) -> Result<(), DnsError> {
        let mut known = self.known.lock();
        known.asked += 1;
        match known.asked > self.limit {
            true => Err(DnsError::ServFail("too many lookups for one message".to_owned())),
            false => Ok(()),
        }
    }

    async fn answer(&self, question: Question) {
        match question {
            Question::Txt(name) => {
                let answer = match self.admit() {
                    Ok(()) => self.resolver.txt(&name).await,
                    Err(error) => Err(error),
                };
                self.known.lock().txt.insert(name, answer);
            }
            Question::Mx(name) => self.ask_mx(name).await,
            Question::Addresses(name) => self.ask_addresses(name).await,
            Question::Names => self.ask_names().await,
        }
    }

    async fn ask_mx(&self, name: String) {
        let answer = match self.admit() {
            Ok(()) => self.resolver.mx(&name).await,
            Err(error) => Err(error),
        };
        let hosts = answer.map(|mut records| {
            records.sort_by_key(|record| record.preference);
            let hosts = records.into_iter().map(|record| record.exchange.to_ascii_lowercase());
            hosts.filter(|host| !host.is_empty()).collect::<Vec<_>>()
        });
        if let Ok(hosts) = &hosts {
            let hosts = hosts.iter().take(MAX_NAMES).cloned();
            join_all(hosts.map(|host| -> BoxFuture<'_, ()> { Box::pin(self.ask_addresses(host)) }).collect())
                .await;
        }
        self.known.lock().mx.insert(name, hosts);
    }

    async fn ask_addresses(&self, name: String) {
        if self.known.lock().addresses.contains_key(&name) {
            return;
        }
        let answer = match self.admit() {
            Ok(()) => self.resolver.addresses(&name).await,
            Err(error) => Err(error),
        };
        self.known.lock().addresses.insert(name, answer);
    }

    //= RFC 7208 section 5.5: only names that point back count, and a failure makes none.
    async fn ask_names(&self) {
        let names = match self.admit() {
            Ok(()) => self.resolver.ptr(self.client).await.unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        let names: Vec<String> = names.into_iter().take(MAX_NAMES).collect();
        let asked = names.iter().cloned();
        join_all(asked.map(|name| -> BoxFuture<'_, ()> { Box::pin(self.ask_addresses(name)) }).collect())
            .await;
        let mut known = self.known.lock();
        let points_back = |name: &String| {
            known.addresses.get(name).is_some_and(|answer| {
                answer.as_ref().is_ok_and(|all| all.iter().any(|a| a.to_canonical() == self.client))
            })
        };
        let names = names.iter().filter(|name| points_back(name)).cloned().collect();
        known.names = Some(names);
    }
}

/// Waits for all, which run in this task.
async fn join_all(mut futures: Vec<BoxFuture<'_, ()>>) {
    std::future::poll_fn(|context| {
        futures.retain_mut(|future| future.as_mut().poll(context).is_pending());
        match futures.is_empty() {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
}
