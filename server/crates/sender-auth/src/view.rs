//! The library's caches, answered from what our own resolver said, so that it never asks the network itself.
//!
//! The library looks into a cache before it asks. Ours always has something: what was not asked yet is noted and answered with a
//! failure; then the questions are asked, and the evaluation is run again, until nothing was missing. That costs a few microseconds
//! of parsing for each round, and keeps the cache, the limits and DNSSEC of `dns`.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use dns::DnsError;
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::spf::Macro;
use mail_auth::{DnssecStatus, Error, MX, Parameters, RecordSet, ResolverCache, Txt};
use parking_lot::Mutex;

use crate::lookups::{Lookups, Question};

/// How a name's TXT records become what one of the checks wants.
pub(crate) trait Records: Send + Sync {
    fn parse(&self, name: &str, records: &[String]) -> Txt;
}

/// What an evaluation came across.
#[derive(Debug, Default)]
pub(crate) struct Consulted {
    wanted: Vec<Question>,
    /// Answers without records, those of the first question not among them (RFC 7208 section 4.6.4).
    pub(crate) voids: usize,
    /// An address or mail host could not be asked for.
    pub(crate) failed: bool,
}

/// One check's sight of the answers.
pub(crate) struct View<'a, R> {
    pub(crate) lookups: &'a Lookups<'a>,
    records: R,
    consulted: Mutex<Consulted>,
}

/// What SPF's `exists` is turned into ends so: the library would take any cached answer for a yes.
pub(crate) const EXISTS: &str = "._exists";

/// What the name of SPF's explanation is turned into ends so: its record is another kind of text.
pub(crate) const EXPLANATION: &str = "._explanation";

pub(crate) type Asking<'x, P, R> =
    Parameters<'x, P, View<'x, R>, View<'x, R>, View<'x, R>, View<'x, R>, View<'x, R>>;

impl<'a, R: Records> View<'a, R> {
    pub(crate) fn new(lookups: &'a Lookups<'a>, records: R) -> Self {
        Self { lookups, records, consulted: Mutex::default() }
    }

    pub(crate) fn asking<P>(&self, params: P) -> Asking<'_, P, R>
    where
        R: 'a,
    {
        // The view outlives the parameters; what it holds lives longer still.
        let view: &View<'_, R> = self;
        Parameters {
            params,
            cache_txt: Some(view),
            cache_mx: Some(view),
            cache_ptr: Some(view),
            cache_ipv4: Some(view),
            cache_ipv6: Some(view),
        }
    }

    /// Forgets what the round before came across.
    pub(crate) fn begin(&self) {
        *self.consulted.lock() = Consulted::default();
    }

    /// Asks for what was missing; nothing was when what was consulted comes back.
    pub(crate) async fn settle(&self) -> Option<Consulted> {
        let mut consulted = std::mem::take(&mut *self.consulted.lock());
        if consulted.wanted.is_empty() {
            return Some(consulted);
        }
        self.lookups.ask(std::mem::take(&mut consulted.wanted)).await;
        None
    }

    fn want(&self, question: Question) {
        self.consulted.lock().wanted.push(question);
    }

    /// Notes what came back, and hands records on.
    fn note<T>(&self, answer: Result<Vec<T>, DnsError>) -> Vec<T> {
        let mut consulted = self.consulted.lock();
        match answer {
            Ok(records) => return records,
            Err(error) if error.is_temporary() => consulted.failed = true,
            Err(_) => consulted.voids += 1,
        }
        Vec::new()
    }

    fn addresses<T>(&self, name: &str, pick: impl Fn(IpAddr) -> Option<T>, any: T) -> Vec<T> {
        let target = name.strip_suffix(EXISTS);
        let name = target.unwrap_or(name).trim_end_matches('.');
        let Some(answer) = self.lookups.addresses(name) else {
            self.want(Question::Addresses(name.to_owned()));
            return Vec::new();
        };
        let found = self.note(answer);
        match target {
            //= RFC 7208 section 5.7: `exists` asks for A, whatever the client's family is.
            Some(_) if found.iter().any(IpAddr::is_ipv4) => vec![any],
            Some(_) => Vec::new(),
            None => found.into_iter().filter_map(pick).collect(),
        }
    }
}

/// What a key is, which the library lets nobody see but a hasher.
#[derive(Default)]
struct Spelling(Vec<u8>);

impl Hasher for Spelling {
    fn write(&mut self, octets: &[u8]) {
        self.0.extend_from_slice(octets);
    }

    // The octet that ends a text.
    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        0
    }
}

fn spelled<Q: Hash + ?Sized>(key: &Q) -> String {
    let mut spelling = Spelling::default();
    key.hash(&mut spelling);
    String::from_utf8_lossy(&spelling.0).trim_end_matches('.').to_ascii_lowercase()
}

fn record_set<T>(records: Vec<T>) -> Option<RecordSet<T>> {
    Some(RecordSet { rrset: records.into(), dnssec_status: DnssecStatus::Indeterminate })
}

//= RFC 7208 section 6.2: several records are as good as none.
fn explanation(records: &[String]) -> Txt {
    let [record] = records else { return Txt::Error(Error::ParseError) };
    Macro::parse(record.as_bytes()).map_or_else(Txt::Error, |text| Txt::SpfMacro(text.into()))
}

/// A failure as the library knows it.
pub(crate) fn failure(error: &DnsError) -> Txt {
    Txt::Error(Error::Dns(match error.is_temporary() {
        true => mail_auth::DnsError::Resolver(error.to_string()),
        false => mail_auth::DnsError::InvalidRecordType,
    }))
}

impl<R: Records> ResolverCache<Box<str>, Txt> for View<'_, R> {
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let name = spelled(name);
        let explained = name.strip_suffix(EXPLANATION);
        let name = explained.unwrap_or(&name);
        Some(match self.lookups.txt(name) {
            Some(Ok(records)) if explained.is_some() => explanation(&records),
            Some(Ok(records)) => self.records.parse(name, &records),
            Some(Err(error)) => failure(&error),
            None => {
                self.want(Question::Txt(name.to_owned()));
                failure(&DnsError::TimedOut)
            }
        })
    }

    fn remove<Q>(&self, _: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: Box<str>, _: Txt, _: Instant) {}
}

impl<R: Records> ResolverCache<Box<str>, RecordSet<MX>> for View<'_, R> {
    fn get<Q>(&self, name: &Q) -> Option<RecordSet<MX>>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let name = spelled(name);
        let hosts = match self.lookups.mx(&name) {
            Some(answer) => self.note(answer),
            None => {
                self.want(Question::Mx(name));
                Vec::new()
            }
        };
        let exchanges: Vec<Box<str>> = hosts.into_iter().map(String::into_boxed_str).collect();
        record_set(vec![MX { exchanges: exchanges.into(), preference: 0 }])
    }

    fn remove<Q>(&self, _: &Q) -> Option<RecordSet<MX>>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: Box<str>, _: RecordSet<MX>, _: Instant) {}
}

impl<R: Records> ResolverCache<Box<str>, RecordSet<Ipv4Addr>> for View<'_, R> {
    fn get<Q>(&self, name: &Q) -> Option<RecordSet<Ipv4Addr>>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let pick = |address| match address {
            IpAddr::V4(v4) => Some(v4),
            IpAddr::V6(_) => None,
        };
        record_set(self.addresses(&spelled(name), pick, Ipv4Addr::UNSPECIFIED))
    }

    fn remove<Q>(&self, _: &Q) -> Option<RecordSet<Ipv4Addr>>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: Box<str>, _: RecordSet<Ipv4Addr>, _: Instant) {}
}

impl<R: Records> ResolverCache<Box<str>, RecordSet<Ipv6Addr>> for View<'_, R> {
    fn get<Q>(&self, name: &Q) -> Option<RecordSet<Ipv6Addr>>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let pick = |address| match address {
            IpAddr::V6(v6) => Some(v6),
            IpAddr::V4(_) => None,
        };
        record_set(self.addresses(&spelled(name), pick, Ipv6Addr::UNSPECIFIED))
    }

    fn remove<Q>(&self, _: &Q) -> Option<RecordSet<Ipv6Addr>>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: Box<str>, _: RecordSet<Ipv6Addr>, _: Instant) {}
}

impl<R: Records> ResolverCache<IpAddr, RecordSet<Box<str>>> for View<'_, R> {
    // The client's is the only address whose names are asked for.
    fn get<Q>(&self, _: &Q) -> Option<RecordSet<Box<str>>>
    where
        IpAddr: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let Some(names) = self.lookups.names() else {
            self.want(Question::Names);
            return record_set(Vec::new());
        };
        if names.is_empty() {
            self.consulted.lock().voids += 1;
        }
        record_set(names.into_iter().map(String::into_boxed_str).collect())
    }

    fn remove<Q>(&self, _: &Q) -> Option<RecordSet<Box<str>>>
    where
        IpAddr: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: IpAddr, _: RecordSet<Box<str>>, _: Instant) {}
}
