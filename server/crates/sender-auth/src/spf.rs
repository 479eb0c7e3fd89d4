//! SPF: whether the client may send in a domain's name.
//!
//! Standards: RFC 7208; the mechanisms and macros are the library's.
//! Limits: ten terms that ask DNS and [`MAX_VOIDS`] answers without records (section 4.6.4), then permerror.
//! An explanation (`exp=`) is told in the refusal when it is visible ASCII of at most [`MAX_EXPLANATION`] characters.

use std::net::IpAddr;

use mail_auth::common::parse::TxtRecordParser;
use mail_auth::spf::verify::SpfParameters;
use mail_auth::spf::{Directive, Macro, Mechanism, Spf};
use mail_auth::{Error, MessageAuthenticator, SpfOutput, SpfResult, Txt};
use model::{Domain, ReversePath};

use crate::lookups::{Lookups, Question};
use crate::outcome::Outcome;
use crate::view::{EXISTS, EXPLANATION, Records, View};

/// Answers without records that one evaluation may meet.
pub const MAX_VOIDS: usize = 2;

/// Characters of an explanation.
pub const MAX_EXPLANATION: usize = 250;

/// What was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpfFinding {
    /// Whose record it was; empty when there was no name to look for.
    pub domain: String,
    pub outcome: Outcome,
    /// Why, where the word alone does not say it.
    pub reason: Option<&'static str>,
    /// What the domain says to those who may not send for it.
    pub explanation: Option<String>,
}

impl SpfFinding {
    pub(crate) fn output(&self) -> SpfOutput {
        let result = match self.outcome {
            Outcome::Pass => SpfResult::Pass,
            Outcome::Fail | Outcome::Policy => SpfResult::Fail,
            Outcome::SoftFail => SpfResult::SoftFail,
            Outcome::Neutral => SpfResult::Neutral,
            Outcome::TempError => SpfResult::TempError,
            Outcome::PermError => SpfResult::PermError,
            Outcome::None => SpfResult::None,
        };
        SpfOutput::new(self.domain.clone()).with_result(result)
    }
}

/// A domain's SPF record among its TXT records.
struct SpfRecords;

impl Records for SpfRecords {
    fn parse(&self, _: &str, records: &[String]) -> Txt {
        let mut ours = records.iter().filter(|record| is_spf(record));
        match (ours.next(), ours.next()) {
            (None, _) => Txt::Error(Error::Dns(mail_auth::DnsError::InvalidRecordType)),
            //= RFC 7208 section 4.5: more than one record is permerror.
            (Some(_), Some(_)) => Txt::Error(Error::ParseError),
            (Some(record), None) if !is_valid(record) => Txt::Error(Error::ParseError),
            (Some(record), None) => match Spf::parse(record.as_bytes()) {
                Ok(spf) => Txt::Spf(prepared(spf).into()),
                Err(_) => Txt::Error(Error::ParseError),
            },
        }
    }
}

//= RFC 7208 section 4.5: the version is the whole first word.
pub(crate) fn is_spf(record: &str) -> bool {
    let version = record.split(' ').next().unwrap_or_default();
    version.eq_ignore_ascii_case("v=spf1")
}

/// Whether every term is one: the library passes over mechanisms that there are not, and takes numbers that are too large.
pub(crate) fn is_valid(record: &str) -> bool {
    let terms = record.split(' ').skip(1).filter(|term| !term.is_empty());
    let mut modifiers = Vec::new();
    for term in terms {
        let term = term.to_ascii_lowercase();
        let name_end = term.find([':', '=', '/']).unwrap_or(term.len());
        let (name, rest) = term.split_at(name_end);
        if rest.starts_with('=') {
            //= RFC 7208 section 6: redirect and exp once each; other modifiers are passed over.
            if matches!(name, "redirect" | "exp") && modifiers.contains(&name.to_owned()) {
                return false;
            }
            modifiers.push(name.to_owned());
            continue;
        }
        let is_term = match name.strip_prefix(['+', '-', '?', '~']).unwrap_or(name) {
            "all" => rest.is_empty(),
            "a" | "mx" | "ptr" => true,
            "include" | "exists" => rest.len() > 1 && rest.starts_with(':'),
            "ip4" => is_network(rest, 32, |address| address.parse::<std::net::Ipv4Addr>().is_ok()),
            "ip6" => is_network(rest, 128, |address| address.parse::<std::net::Ipv6Addr>().is_ok()),
            _ => false,
        };
        if !is_term {
            return false;
        }
    }
    true
}

fn is_network(text: &str, most: u8, is_address: impl Fn(&str) -> bool) -> bool {
    let Some(text) = text.strip_prefix(':') else { return false };
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    is_address(address) && bits.is_none_or(|bits| bits.parse::<u8>().is_ok_and(|bits| bits <= most))
}

/// With marks on what would be asked past our own counting, or read as what it is not.
fn prepared(mut spf: Spf) -> Spf {
    spf.exp = spf.exp.map(|target| marked(target, EXPLANATION));
    let directives = spf.directives.into_iter().map(|Directive { qualifier, mechanism }| {
        let mechanism = match mechanism {
            Mechanism::Exists { macro_string } => {
                Mechanism::A { macro_string: marked(macro_string, EXISTS), ip4_mask: 0, ip6_mask: 0 }
            }
            other => other,
        };
        Directive { qualifier, mechanism }
    });
    spf.directives = directives.collect();
    spf
}

fn marked(target: Macro, mark: &str) -> Macro {
    let mark = Macro::Literal(mark.as_bytes().into());
    match target {
        Macro::List(list) => Macro::List(list.into_iter().chain([mark]).collect()),
        Macro::None => mark,
        one => Macro::List(Box::new([one, mark])),
    }
}

/// Checks the name that the client gave itself.
pub(crate) async fn check_helo(
    library: &MessageAuthenticator,
    lookups: &Lookups<'_>,
    client: IpAddr,
    helo: &str,
    hostname: &str,
) -> SpfFinding {
    let Some(domain) = checkable(helo) else { return nothing() };
    let params = || SpfParameters::verify_ehlo(client, &domain, hostname);
    check(library, lookups, &domain, params).await
}

/// Checks the sender of the envelope; the null sender is nobody's.
pub(crate) async fn check_sender(
    library: &MessageAuthenticator,
    lookups: &Lookups<'_>,
    client: IpAddr,
    (helo, sender): (&str, &ReversePath),
    hostname: &str,
) -> SpfFinding {
    let Some(mailbox) = sender.mailbox() else { return nothing() };
    let Some(domain) = checkable(mailbox.domain().as_str()) else { return nothing() };
    let sender = format!("{}@{domain}", mailbox.local());
    let params = || SpfParameters::verify_mail_from(client, helo, hostname, &sender);
    check(library, lookups, &domain, params).await
}

/// A name that can have a record: a domain of two labels or more, as A-labels.
fn checkable(name: &str) -> Option<String> {
    let domain = Domain::parse(name.strip_suffix('.').unwrap_or(name)).ok()?;
    let ascii = domain.to_ascii();
    (domain.literal().is_none() && ascii.contains('.')).then_some(ascii)
}

fn nothing() -> SpfFinding {
    SpfFinding { domain: String::new(), outcome: Outcome::None, reason: None, explanation: None }
}

async fn check<'p>(
    library: &MessageAuthenticator,
    lookups: &Lookups<'_>,
    domain: &str,
    params: impl Fn() -> SpfParameters<'p>,
) -> SpfFinding {
    let view = View::new(lookups, SpfRecords);
    lookups.ask(vec![Question::Txt(domain.to_owned())]).await;
    loop {
        view.begin();
        let output = library.check_host(view.asking(params())).await;
        let Some(consulted) = view.settle().await else { continue };
        let (outcome, reason) = match (to_outcome(output.result()), consulted) {
            (Outcome::PermError, _) => {
                (Outcome::PermError, Some("the record is not valid, or asks too much of DNS"))
            }
            (_, consulted) if consulted.voids > MAX_VOIDS => {
                (Outcome::PermError, Some("too many lookups without an answer"))
            }
            (_, consulted) if consulted.failed => (Outcome::TempError, Some("DNS failed")),
            (Outcome::TempError, _) => (Outcome::TempError, Some("DNS failed")),
            (outcome, _) => (outcome, None),
        };
        let explanation = output.explanation().filter(|_| outcome == Outcome::Fail).and_then(told);
        return SpfFinding { domain: domain.to_owned(), outcome, reason, explanation };
    }
}

//= RFC 7208 section 6.2: an explanation beyond ASCII is as good as none.
fn told(explanation: &str) -> Option<String> {
    let is_shown = (1..=MAX_EXPLANATION).contains(&explanation.len())
        && explanation.bytes().all(|octet| (b' '..=b'~').contains(&octet));
    is_shown.then(|| explanation.to_owned())
}

fn to_outcome(result: SpfResult) -> Outcome {
    match result {
        SpfResult::Pass => Outcome::Pass,
        SpfResult::Fail => Outcome::Fail,
        SpfResult::SoftFail => Outcome::SoftFail,
        SpfResult::Neutral => Outcome::Neutral,
        SpfResult::TempError => Outcome::TempError,
        SpfResult::PermError => Outcome::PermError,
        SpfResult::None => Outcome::None,
    }
}
