//! What outlives a session: settings, grants, key-value store, DNS, clock, log and metrics.

use super::{Exported, Session};
use crate::dns::{Failure, Mx};
use crate::http::{Request, Response};
use crate::kv::Entry;
use crate::log::Level;
use crate::submission::Message;
use crate::{Error, Plugin};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

/// 2026-01-01 00:00 UTC: where the clock of a new server stands.
const START_UNIX_MS: u64 = 1_767_225_600_000;

/// A service that a configuration can withhold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// [`kv`](crate::kv).
    Kv,
    /// [`dns`](crate::dns).
    Dns,
    /// [`http`](crate::http).
    Http,
    /// [`scanner`](crate::scanner).
    Scanner,
    /// [`submission`](crate::submission).
    Submission,
}

/// One line that the plugin logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: Level,
    /// What it says.
    pub message: String,
    /// The named values beside it.
    pub fields: Vec<(String, String)>,
}

#[derive(Debug, Default)]
pub(crate) struct Services {
    pub(crate) settings: serde_json::Map<String, serde_json::Value>,
    pub(crate) denied: BTreeSet<Service>,
    pub(crate) now_ms: u64,
    pub(crate) log: Vec<LogLine>,
    pub(crate) counters: BTreeMap<String, u64>,
    pub(crate) txt: BTreeMap<String, Vec<String>>,
    pub(crate) addresses: BTreeMap<String, Vec<String>>,
    pub(crate) mx: BTreeMap<String, Vec<Mx>>,
    pub(crate) failing: BTreeMap<String, Failure>,
    answers: BTreeMap<String, Result<Response, Error>>,
    infections: Vec<(Vec<u8>, String)>,
    scanner_fails: Option<Error>,
    requests: Vec<Request>,
    submitted: Vec<Message>,
    submission_fails: Option<Error>,
    kv: BTreeMap<String, Stored>,
    versions: u64,
    random: u64,
}

#[derive(Debug)]
struct Stored {
    value: Vec<u8>,
    version: u64,
    expires_ms: Option<u64>,
}

/// A server for tests. Its sessions share settings, store, names and clock; clones are the same server.
#[derive(Debug, Clone)]
pub struct Server(pub(super) Rc<RefCell<Services>>);

impl Default for Server {
    fn default() -> Self {
        Server::new()
    }
}

impl Server {
    /// A server with everything granted, no settings, an empty store and no names.
    #[must_use]
    pub fn new() -> Server {
        Server(Rc::new(RefCell::new(Services { now_ms: START_UNIX_MS, ..Services::default() })))
    }

    /// The plugin's settings as JSON.
    ///
    /// # Panics
    /// When it is no JSON object.
    #[must_use]
    pub fn with_settings(self, json: &str) -> Server {
        match serde_json::from_str(json) {
            Ok(serde_json::Value::Object(settings)) => self.0.borrow_mut().settings = settings,
            other => panic!("settings are one JSON object, not {other:?}"),
        }
        self
    }

    /// A configuration that does not grant this service.
    #[must_use]
    pub fn without(self, service: Service) -> Server {
        self.0.borrow_mut().denied.insert(service);
        self
    }

    /// A name with these A and AAAA records.
    #[must_use]
    pub fn with_addresses(self, name: &str, addresses: &[&str]) -> Server {
        self.0.borrow_mut().addresses.insert(key(name), addresses.iter().map(|&a| a.to_owned()).collect());
        self
    }

    /// A name with these TXT records.
    #[must_use]
    pub fn with_txt(self, name: &str, records: &[&str]) -> Server {
        self.0.borrow_mut().txt.insert(key(name), records.iter().map(|&t| t.to_owned()).collect());
        self
    }

    /// A name with these MX records.
    #[must_use]
    pub fn with_mx(self, name: &str, records: &[(u16, &str)]) -> Server {
        let records = records.iter().map(|&(preference, host)| Mx { preference, exchange: host.to_owned() });
        self.0.borrow_mut().mx.insert(key(name), records.collect());
        self
    }

    /// A block list's zone that answers this for an address.
    #[must_use]
    pub fn with_listing(self, zone: &str, ip: &str, answers: &[&str]) -> Server {
        self.with_addresses(&listing(ip, zone), answers)
    }

    /// A name that cannot be resolved.
    #[must_use]
    pub fn with_failure(self, name: &str, failure: Failure) -> Server {
        self.0.borrow_mut().failing.insert(key(name), failure);
        self
    }

    /// What a URL answers; one without a query also answers for itself with any query.
    #[must_use]
    pub fn with_answer(self, url: &str, answer: Result<Response, Error>) -> Server {
        self.0.borrow_mut().answers.insert(url.to_owned(), answer);
        self
    }

    /// A clamd that finds this name in messages with these octets.
    #[must_use]
    pub fn with_infection(self, octets: impl AsRef<[u8]>, name: &str) -> Server {
        self.0.borrow_mut().infections.push((octets.as_ref().to_vec(), name.to_owned()));
        self
    }

    /// A clamd that answers with an error.
    #[must_use]
    pub fn with_scan_failure(self, error: Error) -> Server {
        self.0.borrow_mut().scanner_fails = Some(error);
        self
    }

    /// A queue that takes nothing from plugins.
    #[must_use]
    pub fn with_submission_failure(self, error: Error) -> Server {
        self.0.borrow_mut().submission_fails = Some(error);
        self
    }

    /// What the plugins submitted, in this order.
    #[must_use]
    pub fn submitted(&self) -> Vec<Message> {
        self.0.borrow().submitted.clone()
    }

    /// What the plugins asked over HTTP, in this order.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.0.borrow().requests.clone()
    }

    /// Lets time pass.
    pub fn advance(&self, time: Duration) {
        self.0.borrow_mut().now_ms += u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 2);
    }

    /// What was logged.
    #[must_use]
    pub fn log(&self) -> Vec<LogLine> {
        self.0.borrow().log.clone()
    }

    /// What a counter has reached, over all labels.
    #[must_use]
    pub fn counter(&self, name: &str) -> u64 {
        self.0.borrow().counters.get(name).copied().unwrap_or(0)
    }

    /// The keys in the plugin's store.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let services = self.0.borrow();
        services.kv.iter().filter(|(_, s)| s.lives(services.now_ms)).map(|(k, _)| k.clone()).collect()
    }

    /// Loads the plugin, as the server does before its first session.
    ///
    /// # Errors
    /// What [`Plugin::init`] says.
    pub fn load<P: Plugin + Exported>(&self) -> Result<(), String> {
        self.session::<P>().init()
    }

    /// A client connects: a session with a plugin value of its own.
    #[must_use]
    pub fn session<P: Plugin + Exported>(&self) -> Session<P> {
        Session::new(self.clone())
    }
}

impl Stored {
    fn lives(&self, now_ms: u64) -> bool {
        self.expires_ms.is_none_or(|at| now_ms < at)
    }
}

impl Services {
    fn granted(&self, service: Service) -> Result<(), Error> {
        if self.denied.contains(&service) { Err(Error::Denied) } else { Ok(()) }
    }

    fn put(&mut self, key: &str, value: Vec<u8>, expires_ms: Option<u64>) -> u64 {
        self.versions += 1;
        self.kv.insert(key.to_owned(), Stored { value, version: self.versions, expires_ms });
        self.versions
    }

    fn live(&self, key: &str) -> Option<&Stored> {
        self.kv.get(key).filter(|s| s.lives(self.now_ms))
    }

    fn expiry(&self, ttl_s: Option<u32>) -> Option<u64> {
        ttl_s.map(|s| self.now_ms + u64::from(s) * 1000)
    }

    pub(crate) fn kv_get(&self, key: &str) -> Result<Option<Entry>, Error> {
        self.granted(Service::Kv)?;
        Ok(self.live(key).map(|s| Entry {
            value: s.value.clone(),
            version: s.version,
            ttl_s: s.expires_ms.map(|at| (at - self.now_ms).div_ceil(1000) as u32),
        }))
    }

    pub(crate) fn kv_set(&mut self, key: &str, value: &[u8], ttl_s: Option<u32>) -> Result<u64, Error> {
        self.granted(Service::Kv)?;
        let expires_ms = self.expiry(ttl_s);
        Ok(self.put(key, value.to_vec(), expires_ms))
    }

    pub(crate) fn kv_delete(&mut self, key: &str) -> Result<bool, Error> {
        self.granted(Service::Kv)?;
        let lived = self.live(key).is_some();
        self.kv.remove(key);
        Ok(lived)
    }

    pub(crate) fn kv_increment(&mut self, key: &str, by: i64, ttl_s: Option<u32>) -> Result<i64, Error> {
        self.granted(Service::Kv)?;
        let (old, expires_ms) = match self.live(key) {
            None => (0, self.expiry(ttl_s)),
            Some(stored) => {
                let text = std::str::from_utf8(&stored.value).ok();
                let number = text.and_then(|t| t.parse().ok());
                (
                    number.ok_or_else(|| Error::BadInput("the value is no counter".to_owned()))?,
                    stored.expires_ms,
                )
            }
        };
        let new: i64 = i64::checked_add(old, by)
            .ok_or_else(|| Error::BadInput("the counter would overflow".to_owned()))?;
        self.put(key, new.to_string().into_bytes(), expires_ms);
        Ok(new)
    }

    pub(crate) fn kv_compare_and_set(
        &mut self,
        key: &str,
        version: Option<u64>,
        value: &[u8],
        ttl_s: Option<u32>,
    ) -> Result<bool, Error> {
        self.granted(Service::Kv)?;
        if self.live(key).map(|s| s.version) != version {
            return Ok(false);
        }
        self.kv_set(key, value, ttl_s).map(|_| true)
    }

    pub(crate) fn kv_scan(
        &self,
        prefix: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<(Vec<String>, Option<String>), Error> {
        self.granted(Service::Kv)?;
        let live = self.kv.iter().filter(|(k, s)| k.starts_with(prefix) && s.lives(self.now_ms));
        let mut rest = live.map(|(k, _)| k).filter(|k| cursor.is_none_or(|c| k.as_str() > c));
        let page: Vec<String> = rest.by_ref().take(limit as usize).cloned().collect();
        let more = rest.next().and_then(|_| page.last().cloned());
        Ok((page, more))
    }

    pub(crate) fn lookup<T: Clone>(
        &self,
        table: impl Fn(&Services) -> &BTreeMap<String, Vec<T>>,
        name: &str,
    ) -> Result<Vec<T>, Failure> {
        if self.denied.contains(&Service::Dns) {
            return Err(Failure::Denied);
        }
        let name = key(name);
        if let Some(&failure) = self.failing.get(&name) {
            return Err(failure);
        }
        if let Some(found) = table(self).get(&name) {
            return Ok(found.clone());
        }
        let exists =
            self.addresses.contains_key(&name) || self.txt.contains_key(&name) || self.mx.contains_key(&name);
        Err(if exists { Failure::NoData } else { Failure::NxDomain })
    }

    pub(crate) fn ptr(&self, ip: &str) -> Result<Vec<String>, Failure> {
        if self.denied.contains(&Service::Dns) {
            return Err(Failure::Denied);
        }
        let names: Vec<String> = self
            .addresses
            .iter()
            .filter(|(_, list)| list.iter().any(|a| a == ip))
            .map(|(n, _)| n.clone())
            .collect();
        if names.is_empty() { Err(Failure::NxDomain) } else { Ok(names) }
    }

    pub(crate) fn dnsbl(&self, ip: &str, zones: &[String]) -> Vec<(String, Vec<String>)> {
        let asked = zones.iter().map(|zone| (zone, self.lookup(|s| &s.addresses, &listing(ip, zone))));
        asked.filter_map(|(zone, answer)| Some((zone.clone(), answer.ok()?))).collect()
    }

    /// A URL that the test said nothing of is on a host that was not granted.
    pub(crate) fn http_send(&mut self, request: &Request) -> Result<Response, Error> {
        self.granted(Service::Http)?;
        self.requests.push(request.clone());
        let path = request.url.split_once('?').map_or(request.url.as_str(), |(path, _)| path);
        let answer = self.answers.get(&request.url).or_else(|| self.answers.get(path));
        answer.cloned().unwrap_or(Err(Error::Denied))
    }

    pub(crate) fn scan(&self, message: &[u8]) -> Result<Option<String>, Error> {
        self.granted(Service::Scanner)?;
        if let Some(error) = &self.scanner_fails {
            return Err(error.clone());
        }
        let is_in = |octets: &[u8]| message.windows(octets.len().max(1)).any(|window| window == octets);
        Ok(self.infections.iter().find(|(octets, _)| is_in(octets)).map(|(_, name)| name.clone()))
    }

    /// Its id is `submitted-1` and so on.
    pub(crate) fn submit(&mut self, message: &Message) -> Result<String, Error> {
        self.granted(Service::Submission)?;
        if let Some(error) = &self.submission_fails {
            return Err(error.clone());
        }
        message.check()?;
        self.submitted.push(message.clone());
        Ok(format!("submitted-{}", self.submitted.len()))
    }

    /// The same bytes in every run: splitmix64.
    pub(crate) fn random_bytes(&mut self, len: u32) -> Vec<u8> {
        let mut next = || {
            self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.random;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (z ^ (z >> 31)) as u8
        };
        (0..len).map(|_| next()).collect()
    }
}

fn key(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// The name under which a zone lists an address, RFC 5782 section 2.
fn listing(ip: &str, zone: &str) -> String {
    let reversed = match ip.parse() {
        Ok(IpAddr::V4(v4)) => v4.octets().iter().rev().map(u8::to_string).collect::<Vec<_>>(),
        Ok(IpAddr::V6(v6)) => {
            let hex = format!("{:032x}", u128::from(v6));
            hex.chars().rev().map(String::from).collect()
        }
        Err(_) => vec![ip.to_owned()],
    };
    format!("{}.{zone}", reversed.join("."))
}
