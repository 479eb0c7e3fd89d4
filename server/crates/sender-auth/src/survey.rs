//! A domain as the world sees it: what of its mail is published, and what is missing.
//!
//! Standards: RFC 5321 section 5.1 and 7505 (MX), 7208, 6376, 7489 and 9989, 8461 (MTA-STS, its record), 8460 (TLS-RPT), 7672 (DANE).
//! Limit: [`MAX_HOSTS`].

use std::net::IpAddr;

use dns::{DnsError, Resolver, tlsa_name};
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::dmarc::{Dmarc, Policy};

use crate::report::{AGGREGATE, addresses, destinations};
use crate::signer::NamedKey;
use crate::spf::{is_spf, is_valid};

/// Mail hosts that are looked at.
const MAX_HOSTS: usize = 10;

/// How much a remark matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Good,
    /// It could be better.
    Note,
    /// Mail is lost, refused or distrusted for it.
    Bad,
}

impl Level {
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Note => "note",
            Self::Bad => "wrong",
        }
    }
}

/// What is to be said of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// `MX`, `SPF` and so on.
    pub topic: &'static str,
    pub level: Level,
    pub text: String,
}

/// Everything that DNS says of a domain's mail; `keys` are those with which we sign, of whatever domain.
pub async fn survey(resolver: &dyn Resolver, domain: &str, keys: &[NamedKey]) -> Vec<Remark> {
    let mut survey = Survey { resolver, domain, remarks: Vec::new() };
    let hosts = survey.mail_hosts().await;
    survey.hosts(&hosts).await;
    survey.spf().await;
    survey.dkim(keys).await;
    survey.dmarc().await;
    survey.policies().await;
    survey.remarks
}

/// Whether a key is published, in one line.
pub async fn published(resolver: &dyn Resolver, key: &NamedKey) -> Remark {
    let name = format!("{}._domainkey.{}", key.selector, key.domain);
    let (level, text) = match resolver.txt(&name).await {
        Ok(records) if records.iter().any(|record| key.key.is_published_by(record)) => {
            (Level::Good, format!("{name} publishes our key"))
        }
        Ok(_) => {
            (Level::Bad, format!("{name} publishes another key than ours: what we sign does not verify"))
        }
        Err(error) if error.is_temporary() => (Level::Bad, format!("{name}: {error}")),
        Err(_) => (Level::Bad, format!("{name} is not published: what we sign does not verify")),
    };
    //= RFC 6376 section 3.1: a key that signs no more stays published for a while, and then goes.
    let (level, text) = match level {
        Level::Bad if !key.signs_at(clock::wall()) => (Level::Note, format!("{text}; it does not sign now")),
        level => (level, text),
    };
    Remark { topic: "DKIM", level, text }
}

struct Survey<'a> {
    resolver: &'a dyn Resolver,
    domain: &'a str,
    remarks: Vec<Remark>,
}

impl Survey<'_> {
    fn say(&mut self, topic: &'static str, level: Level, text: impl Into<String>) {
        self.remarks.push(Remark { topic, level, text: text.into() });
    }

    async fn mail_hosts(&mut self) -> Vec<String> {
        match self.resolver.mx(self.domain).await {
            Ok(mut records) => {
                records.sort_by_key(|record| record.preference);
                let hosts: Vec<String> = records.into_iter().map(|record| record.exchange).collect();
                if hosts == [""] {
                    self.say("MX", Level::Note, "says that the domain takes no mail (null MX)");
                    return Vec::new();
                }
                self.say("MX", Level::Good, format!("mail goes to {}", hosts.join(", ")));
                hosts.into_iter().filter(|host| !host.is_empty()).take(MAX_HOSTS).collect()
            }
            Err(DnsError::NoData) => {
                self.say(
                    "MX",
                    Level::Note,
                    "there is none: mail goes to the domain's own address, if it has one",
                );
                vec![self.domain.to_owned()]
            }
            Err(error) => {
                self.say("MX", Level::Bad, error.to_string());
                Vec::new()
            }
        }
    }

    async fn hosts(&mut self, hosts: &[String]) {
        for host in hosts {
            match self.resolver.addresses(host).await {
                Ok(addresses) => self.names(host, &addresses).await,
                Err(error) => self.say("MX", Level::Bad, format!("{host} has no address: {error}")),
            }
            self.dane(host).await;
        }
    }

    async fn names(&mut self, host: &str, addresses: &[IpAddr]) {
        for address in addresses {
            match dns::confirmed_name(self.resolver, *address).await {
                Ok(Some(name)) => self.say("PTR", Level::Good, format!("{address} ({host}) is called {name}, which points back")),
                Ok(None) => self.say(
                    "PTR",
                    Level::Bad,
                    format!("{address} ({host}) has no name that points back: others refuse what is sent from there"),
                ),
                Err(error) => self.say("PTR", Level::Note, format!("{address} ({host}): {error}")),
            }
        }
    }

    async fn dane(&mut self, host: &str) {
        let found = self.resolver.tlsa(&tlsa_name(25, host)).await;
        match (found.answer, found.is_secure) {
            (Ok(records), true) => {
                let usable = records.iter().filter(|record| matches!(record.usage, 2 | 3)).count();
                match usable {
                    //= RFC 7672 section 3.1.3: the other usages are not for mail.
                    0 => self.say(
                        "DANE",
                        Level::Bad,
                        format!("{host} has TLSA records, and none of usage 2 or 3"),
                    ),
                    count => self.say(
                        "DANE",
                        Level::Good,
                        format!("{host} has {count} TLSA records, proven by DNSSEC"),
                    ),
                }
            }
            (Ok(_), false) => {
                self.say(
                    "DANE",
                    Level::Note,
                    format!("{host} has TLSA records that DNSSEC does not prove: nobody uses them"),
                );
            }
            (Err(error), _) if error.is_temporary() => {
                self.say("DANE", Level::Bad, format!("{host}: {error}; who uses DANE puts mail off"));
            }
            (Err(_), _) => self.say("DANE", Level::Note, format!("{host} has no TLSA records")),
        }
    }

    /// The TXT records at a name; none where there are none.
    async fn txt(&mut self, topic: &'static str, name: &str) -> Option<Vec<String>> {
        match self.resolver.txt(name).await {
            Ok(records) => Some(records),
            Err(error) if error.is_temporary() => {
                self.say(topic, Level::Bad, format!("{name}: {error}"));
                None
            }
            Err(_) => Some(Vec::new()),
        }
    }

    async fn spf(&mut self) {
        let domain = self.domain.to_owned();
        let Some(records) = self.txt("SPF", &domain).await else { return };
        let ours: Vec<&String> = records.iter().filter(|record| is_spf(record)).collect();
        let (level, text) = match ours.as_slice() {
            [] => (Level::Bad, "there is no record: nobody can tell your servers from others".to_owned()),
            [record] if !is_valid(record) => (Level::Bad, format!("the record is not valid: {record}")),
            [record] => {
                let end =
                    record.split(' ').rfind(|term| !term.is_empty()).unwrap_or_default().to_ascii_lowercase();
                match end.as_str() {
                    "-all" | "~all" => {
                        (Level::Good, format!("says who sends, and that nobody else does: {record}"))
                    }
                    "+all" | "all" => (Level::Bad, format!("lets the whole world send: {record}")),
                    end if end.starts_with("redirect=") => {
                        (Level::Good, format!("is another domain's: {record}"))
                    }
                    _ => {
                        (Level::Note, format!("does not say that nobody else sends (-all or ~all): {record}"))
                    }
                }
            }
            several => (Level::Bad, format!("there are {} records, which count as none", several.len())),
        };
        self.say("SPF", level, text);
    }

    async fn dkim(&mut self, keys: &[NamedKey]) {
        let ours: Vec<&NamedKey> = keys.iter().filter(|key| key.domain == self.domain).collect();
        if ours.is_empty() {
            self.say(
                "DKIM",
                Level::Note,
                "this server has no key for the domain ([[dkim]]); other servers' keys cannot be listed",
            );
        }
        for key in ours {
            let remark = published(self.resolver, key).await;
            self.remarks.push(remark);
        }
    }

    async fn dmarc(&mut self) {
        let name = format!("_dmarc.{}", self.domain);
        let Some(records) = self.txt("DMARC", &name).await else { return };
        let Some(record) = crate::dmarc::only(&records).cloned() else {
            let text = match records.is_empty() {
                true => "there is no record: anybody can write in the domain's name",
                false => "there is no one valid record",
            };
            return self.say("DMARC", Level::Bad, text);
        };
        let Ok(parsed) = Dmarc::parse(record.as_bytes()) else {
            return self.say("DMARC", Level::Bad, format!("the record is not valid: {record}"));
        };
        match parsed.p {
            Policy::Reject | Policy::Quarantine => {
                self.say("DMARC", Level::Good, format!("what fails is not delivered: {record}"))
            }
            Policy::None | Policy::Unspecified => {
                self.say("DMARC", Level::Note, format!("what fails is delivered all the same: {record}"));
            }
        }
        self.reports(&record).await;
    }

    /// Whether those whom the record names are told.
    async fn reports(&mut self, record: &str) {
        let named = addresses(record, AGGREGATE);
        if named.is_empty() {
            return self.say("DMARC", Level::Note, "nobody gets reports (rua)");
        }
        match destinations(self.resolver, self.domain, AGGREGATE).await {
            Ok(agreed) if agreed.len() == named.len() => {}
            Ok(agreed) => self.say(
                "DMARC",
                Level::Bad,
                format!(
                    "{} of {} addresses for reports (rua) get none: their domain does not say that it takes them \
                     ({}._report._dmarc.THEIRS)",
                    named.len() - agreed.len(),
                    named.len(),
                    self.domain
                ),
            ),
            Err(error) => self.say("DMARC", Level::Note, format!("the addresses for reports (rua): {error}")),
        }
    }

    /// MTA-STS and TLS-RPT.
    async fn policies(&mut self) {
        for (topic, prefix, version, without) in [
            ("MTA-STS", "_mta-sts", "v=STSv1", "nobody is told to insist on TLS"),
            ("TLS-RPT", "_smtp._tls", "v=TLSRPTv1", "nobody tells you of TLS that fails"),
        ] {
            let name = format!("{prefix}.{}", self.domain);
            let Some(records) = self.txt(topic, &name).await else { continue };
            let ours = records.iter().filter(|record| record.starts_with(version)).count();
            match ours {
                0 => self.say(topic, Level::Note, format!("there is no record: {without}")),
                1 => self.say(topic, Level::Good, "there is a record"),
                many => self.say(topic, Level::Bad, format!("there are {many} records, which count as none")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use dns::Fake;

    use super::*;

    async fn remarks(zone: &Fake) -> Vec<(&'static str, Level)> {
        let found = survey(zone, "example.org", &[]).await;
        found.into_iter().map(|remark| (remark.topic, remark.level)).collect()
    }

    #[tokio::test]
    async fn a_domain_that_is_well_kept_has_nothing_wrong() {
        let address = "192.0.2.1".parse().unwrap();
        let zone = Fake::new()
            .with_mx("example.org", 10, "mx.example.org")
            .with_address("mx.example.org", address)
            .with_ptr(address, "mx.example.org")
            .with_txt("example.org", "v=spf1 mx -all")
            .with_txt("_dmarc.example.org", "v=DMARC1; p=reject; rua=mailto:d@example.org")
            .with_txt("_mta-sts.example.org", "v=STSv1; id=1")
            .with_txt("_smtp._tls.example.org", "v=TLSRPTv1; rua=mailto:t@example.org");
        assert_eq!(
            remarks(&zone).await,
            [
                ("MX", Level::Good),
                ("PTR", Level::Good),
                ("DANE", Level::Note),
                ("SPF", Level::Good),
                ("DKIM", Level::Note),
                ("DMARC", Level::Good),
                ("MTA-STS", Level::Good),
                ("TLS-RPT", Level::Good),
            ]
        );
    }

    #[tokio::test]
    async fn an_address_for_reports_whose_domain_did_not_agree_is_named() {
        let zone =
            Fake::new().with_txt("_dmarc.example.org", "v=DMARC1; p=reject; rua=mailto:d@other.example");
        assert!(remarks(&zone).await.contains(&("DMARC", Level::Bad)));
        let agreed = zone.with_txt("example.org._report._dmarc.other.example", "v=DMARC1");
        assert!(!remarks(&agreed).await.contains(&("DMARC", Level::Bad)));
    }

    #[tokio::test]
    async fn what_is_missing_or_broken_is_said() {
        let bad = |found: &[(&'static str, Level)], topic| found.contains(&(topic, Level::Bad));
        let nothing = remarks(&Fake::new()).await;
        assert!(["MX", "SPF", "DMARC"].iter().all(|topic| bad(&nothing, topic)), "{nothing:?}");
        let broken = Fake::new()
            .with_mx("example.org", 10, "mx.example.org")
            .with_mx("example.org", 20, "gone.example.org")
            .with_address("mx.example.org", "192.0.2.1".parse().unwrap())
            .with_txt("example.org", "v=spf1 +all")
            .with_txt("_dmarc.example.org", "v=DMARC1; p=reject")
            .with_txt("_dmarc.example.org", "v=DMARC1; p=none")
            .with_txt("_smtp._tls.example.org", "v=TLSRPTv1; rua=mailto:t@example.org")
            .with_txt("_smtp._tls.example.org", "v=TLSRPTv1; rua=mailto:u@example.org");
        let broken = remarks(&broken).await;
        assert!(
            ["MX", "PTR", "SPF", "DMARC", "TLS-RPT"].iter().all(|topic| bad(&broken, topic)),
            "{broken:?}"
        );
    }
}
