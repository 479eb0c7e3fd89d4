//! Whom a domain wants to be told: the addresses of its record, and whether those of other domains agree.
//!
//! Standards: RFC 7489 sections 6.2 (addresses and sizes) and 7.1 (other domains' consent), RFC 9989 section 4.10.2 (organisational domains),
//! RFC 9990 section 4.

use dns::{DnsError, Resolver};
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::dmarc::{Dmarc, Psd};
use model::Domain;

use crate::dmarc::{only, walk};
use crate::tags::{tags, value};

/// Addresses of one record that are used.
const MAX_ADDRESSES: usize = 4;

/// The tag that says who wants the day's sum.
pub const AGGREGATE: &str = "rua";
/// The tag that says who wants to hear of single failures.
pub const FAILURE: &str = "ruf";

/// Where a report may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// As the record has it; it may be no mailbox.
    pub mailbox: String,
    /// Octets of a report, as it is sent.
    pub max_octets: Option<u64>,
}

impl Address {
    fn domain(&self) -> Option<String> {
        let (_, domain) = self.mailbox.rsplit_once('@')?;
        Domain::parse(domain).ok().map(|domain| domain.to_ascii())
    }
}

/// The addresses of a record, under one of its tags. What is no `mailto:` is passed over.
pub(crate) fn addresses(record: &str, tag: &str) -> Vec<Address> {
    let list = tags(record.as_bytes()).unwrap_or_default();
    let found = value(&list, tag).unwrap_or_default().split(',').filter_map(|uri| address(uri.trim()));
    found.take(MAX_ADDRESSES).collect()
}

fn address(uri: &str) -> Option<Address> {
    let (scheme, rest) = uri.split_once(':')?;
    if !scheme.eq_ignore_ascii_case("mailto") {
        return None;
    }
    //= RFC 7489 section 6.2: `!` and a size end the address; within it both are written as `%21` and `%2c`.
    let (mailbox, max_octets) = match rest.rsplit_once('!') {
        Some((mailbox, size)) => (mailbox, Some(octets(size.trim())?)),
        None => (rest, None),
    };
    let mailbox = decoded(mailbox.split('?').next()?.trim())?;
    Some(Address { mailbox, max_octets })
}

/// A size: a number, and a unit of powers of two.
fn octets(size: &str) -> Option<u64> {
    let digits = size.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match size[digits.len()..].to_ascii_lowercase().as_str() {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return None,
    };
    Some(digits.parse::<u64>().ok()?.saturating_mul(1 << unit))
}

/// Without percent signs.
fn decoded(text: &str) -> Option<String> {
    let mut pieces = text.split('%');
    let mut octets = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        octets.push(u8::from_str_radix(piece.get(..2)?, 16).ok()?);
        octets.extend_from_slice(&piece.as_bytes()[2..]);
    }
    String::from_utf8(octets).ok()
}

/// Who wants to be told of a domain's mail, as its record says now; nobody when it has none. Those that another domain's mailbox is
/// named for without its consent are left out.
///
/// # Errors
/// DNS failed; later may be better.
pub async fn destinations(
    resolver: &dyn Resolver,
    domain: &str,
    tag: &str,
) -> Result<Vec<Address>, DnsError> {
    let Some(record) = record(resolver, domain).await? else { return Ok(Vec::new()) };
    let mut agreed = Vec::new();
    for address in addresses(&record, tag) {
        agreed.extend(consent(resolver, domain, address, tag).await?);
    }
    Ok(agreed)
}

/// The DMARC record at a name; what there is not is nothing.
async fn record(resolver: &dyn Resolver, name: &str) -> Result<Option<String>, DnsError> {
    records(resolver, &format!("_dmarc.{name}")).await.map(|records| only(&records).cloned())
}

async fn records(resolver: &dyn Resolver, name: &str) -> Result<Vec<String>, DnsError> {
    match resolver.txt(name).await {
        Ok(records) => Ok(records),
        Err(error) if error.is_temporary() => Err(error),
        Err(_) => Ok(Vec::new()),
    }
}

/// The address, if its domain takes reports on this one: it is of the same organisation, or says so.
async fn consent(
    resolver: &dyn Resolver,
    domain: &str,
    address: Address,
    tag: &str,
) -> Result<Option<Address>, DnsError> {
    let Some(host) = address.domain() else { return Ok(None) };
    if host == domain || organisation(resolver, &host).await? == organisation(resolver, domain).await? {
        return Ok(Some(address));
    }
    //= RFC 7489 section 7.1: the other domain says that it takes reports on this one, and may name another mailbox of its own.
    let answers = records(resolver, &format!("{domain}._report._dmarc.{host}")).await?;
    let Some(answer) = only(&answers) else {
        tracing::info!(
            domain,
            mailbox = address.mailbox,
            "the mailbox's domain does not ask for reports on this one"
        );
        return Ok(None);
    };
    let other = addresses(answer, tag).into_iter().find(|other| other.domain().as_deref() == Some(&host));
    Ok(Some(other.unwrap_or(address)))
}

//= RFC 9989 section 4.10.2: the shortest name with a record, unless one says where the public ends.
async fn organisation(resolver: &dyn Resolver, domain: &str) -> Result<String, DnsError> {
    let names = walk(domain);
    let mut found = domain.to_owned();
    for (nth, name) in names.iter().enumerate() {
        let Some(record) = record(resolver, name).await? else { continue };
        let Ok(record) = Dmarc::parse(record.as_bytes()) else { continue };
        match record.psd {
            Psd::No => return Ok(name.clone()),
            Psd::Yes if nth > 0 => return Ok(names[nth - 1].clone()),
            _ => found.clone_from(name),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use dns::Fake;

    use super::*;

    fn to(mailbox: &str, max_octets: Option<u64>) -> Address {
        Address { mailbox: mailbox.to_owned(), max_octets }
    }

    #[test]
    fn a_record_names_mailboxes_and_what_they_take() {
        let of = |rua: &str| addresses(&format!("v=DMARC1; p=none; rua={rua}"), AGGREGATE);
        assert_eq!(
            of("mailto:A@example.org!10m, MAILTO:b%21c@example.org?subject=x,https://r.example/"),
            [to("A@example.org", Some(10 << 20)), to("b!c@example.org", None)]
        );
        assert_eq!(of("mailto:a@b.example!5"), [to("a@b.example", Some(5))]);
        for bad in
            ["mailto:a@b.example!5x", "mailto:a@b.example!", "mailto:a%zz@b.example", "a@b.example", ""]
        {
            assert_eq!(of(bad), [], "{bad}");
        }
        assert_eq!(of(&["mailto:a@b.example"; 9].join(",")).len(), MAX_ADDRESSES);
    }

    async fn told(zone: &Fake, domain: &str) -> Vec<Address> {
        destinations(zone, domain, AGGREGATE).await.unwrap()
    }

    #[tokio::test]
    async fn another_organisation_is_told_only_if_it_says_so() {
        let record = "v=DMARC1; p=none; rua=mailto:d@reports.example,mailto:d@sub.example.org";
        let own = [to("d@sub.example.org", None)];
        let zone = || Fake::new().with_txt("_dmarc.example.org", record);
        assert_eq!(told(&zone(), "example.org").await, own);
        let name = "example.org._report._dmarc.reports.example";
        assert_eq!(told(&zone().with_txt(name, "junk"), "example.org").await, own);
        let agreed = told(&zone().with_txt(name, "v=DMARC1"), "example.org").await;
        assert_eq!(agreed, [to("d@reports.example", None), own[0].clone()]);
        let elsewhere = zone().with_txt(name, "v=DMARC1; rua=mailto:e@reports.example!1k");
        assert_eq!(told(&elsewhere, "example.org").await[0], to("e@reports.example", Some(1024)));
        let beyond = zone().with_txt(name, "v=DMARC1; rua=mailto:e@third.example");
        assert_eq!(told(&beyond, "example.org").await[0], to("d@reports.example", None));
        let failing = zone().fails(name, DnsError::TimedOut);
        assert!(destinations(&failing, "example.org", AGGREGATE).await.is_err());
    }

    #[tokio::test]
    async fn two_domains_below_a_public_name_are_two_organisations() {
        let rua = "v=DMARC1; p=none; rua=mailto:d@b.public.example";
        let zone = Fake::new()
            .with_txt("_dmarc.a.public.example", rua)
            .with_txt("_dmarc.b.public.example", "v=DMARC1; p=none")
            .with_txt("_dmarc.public.example", "v=DMARC1; p=none; psd=y");
        assert_eq!(told(&zone, "a.public.example").await, []);
        assert_eq!(told(&zone, "nowhere.example").await, []);
        // Without the word of the public name they are of one.
        let zone = Fake::new()
            .with_txt("_dmarc.a.public.example", rua)
            .with_txt("_dmarc.public.example", "v=DMARC1; p=none");
        assert_eq!(told(&zone, "a.public.example").await, [to("d@b.public.example", None)]);
    }
}
