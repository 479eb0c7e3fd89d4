//! A resolver with scripted answers, for tests of what asks DNS and for trying out a plugin without a
//! network.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::names::{reverse_name, to_labels};
use crate::proven::{Proven, Tlsa};
use crate::resolver::{BoxFuture, DnsError, Mx, Resolver};

/// Answers what it was told. Names beneath which something is known exist without records; all others do not
/// exist.
///
/// ```
/// use dns::{DnsError, Fake};
/// let resolver = Fake::new()
///     .with_mx("example.org", 10, "mx.example.org")
///     .with_address("mx.example.org", "192.0.2.1".parse().unwrap())
///     .fails("broken.example", DnsError::TimedOut);
/// ```
#[derive(Debug, Default)]
pub struct Fake {
    mx: HashMap<String, Vec<Mx>>,
    addresses: HashMap<String, Vec<IpAddr>>,
    txt: HashMap<String, Vec<String>>,
    ptr: HashMap<String, Vec<String>>,
    tlsa: HashMap<String, Vec<Tlsa>>,
    aliases: HashMap<String, String>,
    secure: HashSet<String>,
    failures: HashMap<String, DnsError>,
    hanging: HashSet<String>,
    asked: Mutex<Vec<String>>,
}

impl Fake {
    /// A resolver that knows no name.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an MX record; an exchange of `.` is the null MX.
    #[must_use]
    pub fn with_mx(mut self, name: &str, preference: u16, exchange: &str) -> Self {
        let exchange = exchange.trim_end_matches('.').to_ascii_lowercase();
        self.mx.entry(key(name)).or_default().push(Mx { preference, exchange });
        self
    }

    /// Adds an A or AAAA record.
    #[must_use]
    pub fn with_address(mut self, name: &str, address: IpAddr) -> Self {
        self.addresses.entry(key(name)).or_default().push(address);
        self
    }

    /// Adds a TXT record.
    #[must_use]
    pub fn with_txt(mut self, name: &str, text: &str) -> Self {
        self.txt.entry(key(name)).or_default().push(text.to_owned());
        self
    }

    /// Adds a PTR record.
    #[must_use]
    pub fn with_ptr(mut self, address: IpAddr, name: &str) -> Self {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        self.ptr.entry(reverse_name(address)).or_default().push(name);
        self
    }

    /// Adds a TLSA record.
    #[must_use]
    pub fn with_tlsa(mut self, name: &str, record: Tlsa) -> Self {
        self.tlsa.entry(key(name)).or_default().push(record);
        self
    }

    /// The addresses of a name are those of another.
    #[must_use]
    pub fn with_alias(mut self, name: &str, target: &str) -> Self {
        self.aliases.insert(key(name), key(target));
        self
    }

    /// DNSSEC proves what is said of this name, that it has no records with it.
    #[must_use]
    pub fn secure(mut self, name: &str) -> Self {
        self.secure.insert(key(name));
        self
    }

    /// Every question for this name fails so, whatever else is known of it.
    #[must_use]
    pub fn fails(mut self, name: &str, error: DnsError) -> Self {
        self.failures.insert(key(name), error);
        self
    }

    /// Questions for this name are never answered.
    #[must_use]
    pub fn hangs(mut self, name: &str) -> Self {
        self.hanging.insert(key(name));
        self
    }

    /// The questions so far, in order: `MX example.org`.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn answer<T: Clone>(
        &self,
        kind: &str,
        name: &str,
        records: &HashMap<String, Vec<T>>,
    ) -> Result<Vec<T>, DnsError> {
        let name = to_labels(name)?.join(".").to_ascii_lowercase();
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{kind} {name}"));
        if self.hanging.contains(&name) {
            std::future::pending::<()>().await;
        }
        if let Some(error) = self.failures.get(&name) {
            return Err(error.clone());
        }
        records.get(&name).cloned().ok_or_else(|| self.nothing(&name))
    }

    async fn prove<T: Clone>(&self, kind: &str, name: &str, records: &HashMap<String, Vec<T>>) -> Proven<T> {
        let (asked, name) = (key(name), self.aliases.get(&key(name)).cloned().unwrap_or_else(|| key(name)));
        let answer = self.answer(kind, &name, records).await;
        let holds = !answer.as_ref().is_err_and(DnsError::is_temporary);
        let is_alias_secure = holds && self.secure.contains(&asked);
        Proven { answer, is_secure: is_alias_secure && self.secure.contains(&name), name, is_alias_secure }
    }

    fn nothing(&self, name: &str) -> DnsError {
        let names = self.mx.keys().chain(self.addresses.keys()).chain(self.txt.keys()).chain(self.ptr.keys());
        let names = names.chain(self.tlsa.keys()).chain(self.aliases.keys());
        let beneath = |known: &String| {
            known.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        if names.into_iter().any(beneath) { DnsError::NoData } else { DnsError::NxDomain }
    }
}

/// How names are compared; one that is none is kept as it is and never found.
fn key(name: &str) -> String {
    to_labels(name).map_or_else(|_| name.to_owned(), |labels| labels.join(".").to_ascii_lowercase())
}

impl Resolver for Fake {
    fn mx<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Mx>, DnsError>> {
        Box::pin(self.answer("MX", name, &self.mx))
    }

    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>> {
        Box::pin(async move { self.prove("A", name, &self.addresses).await.answer })
    }

    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, DnsError>> {
        Box::pin(self.answer("TXT", name, &self.txt))
    }

    fn ptr(&self, address: IpAddr) -> BoxFuture<'_, Result<Vec<String>, DnsError>> {
        Box::pin(async move { self.answer("PTR", &reverse_name(address), &self.ptr).await })
    }

    fn mx_proven<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Proven<Mx>> {
        Box::pin(self.prove("MX", name, &self.mx))
    }

    fn addresses_proven<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Proven<IpAddr>> {
        Box::pin(self.prove("A", name, &self.addresses))
    }

    fn tlsa<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Proven<Tlsa>> {
        Box::pin(self.prove("TLSA", name, &self.tlsa))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_answers_what_it_was_told() {
        let fake = Fake::new()
            .with_mx("Bücher.example", 10, "MX.example.org.")
            .with_mx("none.example", 0, ".")
            .with_txt("_dmarc.example.org", "v=DMARC1")
            .fails("broken.example", DnsError::TimedOut);
        let mx = Mx { preference: 10, exchange: "mx.example.org".to_owned() };
        assert_eq!(fake.mx("xn--bcher-kva.example.").await, Ok(vec![mx]));
        assert_eq!(fake.mx("none.example").await.unwrap()[0].exchange, "");
        assert_eq!(fake.addresses("bücher.example").await, Err(DnsError::NoData));
        assert_eq!(fake.txt("example.org").await, Err(DnsError::NoData), "a name above one that is known");
        assert_eq!(fake.txt("dmarc.example.org").await, Err(DnsError::NxDomain));
        assert_eq!(fake.txt("broken.example").await, Err(DnsError::TimedOut));
        assert_eq!(fake.txt("bad name").await, Err(DnsError::BadName));
        assert_eq!(fake.asked()[0], "MX xn--bcher-kva.example");
    }

    #[tokio::test]
    async fn what_is_secure_is_told_apart() {
        let tlsa = Tlsa { usage: 3, selector: 1, matching: 1, data: vec![7; 32] };
        let fake = Fake::new()
            .with_mx("example.org", 10, "alias.example.org")
            .with_alias("alias.example.org", "mx.example.net")
            .with_address("mx.example.net", "192.0.2.1".parse().unwrap())
            .with_tlsa("_25._tcp.mx.example.net", tlsa.clone())
            .fails("_25._tcp.bogus.example", DnsError::Bogus)
            .secure("alias.example.org")
            .secure("_25._tcp.mx.example.net")
            .secure("_25._tcp.bogus.example")
            .secure("none.example");
        assert!(!fake.mx_proven("example.org").await.is_secure);
        let addresses = fake.addresses_proven("alias.example.org").await;
        assert_eq!((addresses.name.as_str(), addresses.is_secure), ("mx.example.net", false));
        assert!(addresses.is_alias_secure);
        let found = fake.tlsa("_25._tcp.mx.example.net").await;
        assert_eq!((found.answer, found.is_secure), (Ok(vec![tlsa]), true));
        let bogus = fake.tlsa("_25._tcp.bogus.example").await;
        assert_eq!((bogus.answer, bogus.is_secure), (Err(DnsError::Bogus), false));
        assert!(fake.mx_proven("none.example").await.is_secure, "so is a proof that there is nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_hangs_is_never_answered() {
        let fake = Fake::new().hangs("slow.example");
        let patience = std::time::Duration::from_secs(3600);
        assert!(tokio::time::timeout(patience, fake.mx("slow.example")).await.is_err());
    }
}
