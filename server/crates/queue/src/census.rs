//! How many recipients wait and are held, by domain and by reason: kept up as they come, change and go, so that asking costs the
//! same with a million of them.
//!
//! Limits: [`Census::DOMAINS`] names of domains and [`Census::REASONS`] of reasons; what comes beyond is counted together under
//! no name. The age of a group's oldest recipient is known to 2^20 ms (about a quarter of an hour): it is that of the oldest which came
//! in that span, also when that one has left meanwhile.

use std::collections::HashMap;

use model::Timestamp;

use crate::{Entry, QueuedRecipient, State};

/// Octets of a reason's gist.
const GIST_OCTETS: usize = 100;
/// What is said of a recipient that nothing was said of.
pub const NO_ATTEMPT: &str = "no attempt yet";

/// One group's recipients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CensusRow {
    pub name: String,
    pub waiting: u64,
    pub held: u64,
    pub oldest: Option<Timestamp>,
}

/// The census at one moment: the groups with the most recipients first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CensusView {
    pub domains: Vec<CensusRow>,
    /// Recipients of domains that are not listed.
    pub domains_left: u64,
    pub reasons: Vec<CensusRow>,
    /// Recipients of reasons that are not listed.
    pub reasons_left: u64,
    pub waiting: u64,
    pub held: u64,
    pub oldest: Option<Timestamp>,
}

/// Counts of all recipients that are not done.
#[derive(Debug, Default)]
pub struct Census {
    domains: Groups,
    reasons: Groups,
    all: Tally,
}

impl Census {
    /// Domains that are counted each for itself.
    pub const DOMAINS: usize = 50_000;
    /// Reasons that are counted each for itself.
    pub const REASONS: usize = 1_000;

    /// Counts an entry's recipients that are not done.
    pub fn count_in(&mut self, entry: &Entry) {
        entry.recipients.iter().for_each(|queued| self.recipient_in(entry.arrived, queued));
    }

    /// Takes them out again.
    pub fn count_out(&mut self, entry: &Entry) {
        entry.recipients.iter().for_each(|queued| self.recipient_out(entry.arrived, queued));
    }

    /// Counts a recipient, unless it is done.
    pub fn recipient_in(&mut self, arrived: Timestamp, queued: &QueuedRecipient) {
        let Some(is_held) = is_held(queued) else { return };
        let domain = domain_of(queued);
        self.domains.tally(&domain, Self::DOMAINS).add(arrived, is_held);
        self.reasons.tally(&reason_of(queued), Self::REASONS).add(arrived, is_held);
        self.all.add(arrived, is_held);
    }

    /// Takes a recipient out that was counted in this state.
    pub fn recipient_out(&mut self, arrived: Timestamp, queued: &QueuedRecipient) {
        let Some(is_held) = is_held(queued) else { return };
        self.domains.take(&domain_of(queued), arrived, is_held);
        self.reasons.take(&reason_of(queued), arrived, is_held);
        self.all.take(arrived, is_held);
    }

    /// Whether there may be a recipient of this domain, given as A-labels in lower case. Only where more domains are in the queue than are
    /// counted apart, the answer may be yes for nothing.
    pub fn may_have_domain(&self, domain: &str) -> bool {
        self.domains.named.contains_key(domain) || self.domains.rest.total() > 0
    }

    /// When the oldest recipient arrived.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.all.oldest()
    }

    /// The groups with the most recipients.
    pub fn view(&self, limit: usize) -> CensusView {
        let (domains, domains_left) = self.domains.top(limit);
        let (reasons, reasons_left) = self.reasons.top(limit);
        CensusView {
            domains,
            domains_left,
            reasons,
            reasons_left,
            waiting: self.all.waiting,
            held: self.all.held,
            oldest: self.oldest(),
        }
    }
}

/// A reason without what differs from message to message, so that the same comes together: words with a digit behind the codes become
/// `#`, and it is cut.
pub fn gist(reason: &str) -> String {
    let mut gist = String::new();
    for (nth, word) in reason.split_whitespace().enumerate() {
        let is_code = nth < 2 && word.bytes().all(|octet| octet.is_ascii_digit() || octet == b'.');
        let is_own = !is_code && word.bytes().any(|octet| octet.is_ascii_digit());
        if nth > 0 {
            gist.push(' ');
        }
        gist.push_str(if is_own { "#" } else { word });
        if gist.len() > GIST_OCTETS {
            gist.truncate(gist.floor_char_boundary(GIST_OCTETS));
            break;
        }
    }
    gist
}

fn is_held(queued: &QueuedRecipient) -> Option<bool> {
    match queued.state {
        State::Waiting { .. } => Some(false),
        State::Held { .. } => Some(true),
        _ => None,
    }
}

fn domain_of(queued: &QueuedRecipient) -> String {
    queued.recipient.address.domain().to_ascii().to_ascii_lowercase()
}

fn reason_of(queued: &QueuedRecipient) -> String {
    queued.reason().map_or_else(|| NO_ATTEMPT.to_owned(), gist)
}

#[derive(Debug, Default)]
struct Groups {
    named: HashMap<Box<str>, Tally>,
    /// Those that there was no room for.
    rest: Tally,
}

impl Groups {
    fn tally(&mut self, name: &str, limit: usize) -> &mut Tally {
        if !self.named.contains_key(name) {
            if self.named.len() >= limit {
                return &mut self.rest;
            }
            self.named.insert(name.into(), Tally::default());
        }
        self.named.get_mut(name).unwrap_or(&mut self.rest)
    }

    fn take(&mut self, name: &str, arrived: Timestamp, is_held: bool) {
        let Some(tally) = self.named.get_mut(name) else { return self.rest.take(arrived, is_held) };
        tally.take(arrived, is_held);
        if tally.total() == 0 {
            self.named.remove(name);
        }
    }

    /// The largest groups, and how many recipients there are beside them.
    fn top(&self, limit: usize) -> (Vec<CensusRow>, u64) {
        let mut rows: Vec<(&str, &Tally)> = self.named.iter().map(|(name, tally)| (&**name, tally)).collect();
        rows.sort_unstable_by_key(|(name, tally)| (std::cmp::Reverse(tally.total()), *name));
        let left = rows.iter().skip(limit).map(|(_, tally)| tally.total()).sum::<u64>() + self.rest.total();
        let row = |(name, tally): (&str, &Tally)| CensusRow {
            name: name.to_owned(),
            waiting: tally.waiting,
            held: tally.held,
            oldest: tally.oldest(),
        };
        (rows.into_iter().take(limit).map(row).collect(), left)
    }
}

/// Recipients that arrived within one span of 2^20 ms.
#[derive(Debug, Clone, Copy)]
struct Span {
    number: u64,
    count: u64,
    oldest: Timestamp,
}

#[derive(Debug, Default)]
struct Tally {
    waiting: u64,
    held: u64,
    /// By their number; none is empty.
    spans: Vec<Span>,
}

impl Tally {
    fn add(&mut self, arrived: Timestamp, is_held: bool) {
        *if is_held { &mut self.held } else { &mut self.waiting } += 1;
        let number = arrived.0 >> 20;
        match self.spans.binary_search_by_key(&number, |span| span.number) {
            Ok(at) => {
                let span = &mut self.spans[at];
                span.count += 1;
                span.oldest = span.oldest.min(arrived);
            }
            Err(at) => self.spans.insert(at, Span { number, count: 1, oldest: arrived }),
        }
    }

    /// A recipient may have been counted under no name and leave under one: no count goes below zero for it.
    fn take(&mut self, arrived: Timestamp, is_held: bool) {
        let count = if is_held { &mut self.held } else { &mut self.waiting };
        *count = count.saturating_sub(1);
        let number = arrived.0 >> 20;
        if let Ok(at) = self.spans.binary_search_by_key(&number, |span| span.number) {
            self.spans[at].count -= 1;
            if self.spans[at].count == 0 {
                self.spans.remove(at);
            }
        }
    }

    fn total(&self) -> u64 {
        self.waiting + self.held
    }

    fn oldest(&self) -> Option<Timestamp> {
        self.spans.first().map(|span| span.oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Diagnostic;
    use model::{Envelope, Mailbox, QueueId, ReversePath};
    use proptest::prelude::*;

    fn entry(arrived: u64, domain: &str, said: Option<&str>) -> Entry {
        let mut envelope = Envelope::new(ReversePath::Null, Vec::new());
        let mailbox = Mailbox::parse(&format!("ann@{domain}")).unwrap();
        envelope.add_recipient(mailbox.clone(), mailbox, Vec::new());
        let mut entry = Entry::new(QueueId(arrived), envelope, 3, Timestamp(arrived), None);
        let diagnostic = |reply: &str| Diagnostic { at: Timestamp(9), host: None, reply: reply.to_owned() };
        entry.recipients[0].last = said.map(diagnostic);
        entry
    }

    #[test]
    fn what_differs_from_message_to_message_is_left_out_of_a_reason() {
        let said = "451 4.7.1 try again in 299 seconds, gsmtp a1b2c3";
        assert_eq!(gist(said), "451 4.7.1 try again in # seconds, gsmtp #");
        assert_eq!(gist("looks odd"), "looks odd");
        assert!(gist(&"é ".repeat(300)).len() <= GIST_OCTETS);
    }

    #[test]
    fn groups_are_counted_by_domain_and_reason_with_their_oldest() {
        let mut census = Census::default();
        let entries = [
            entry(5_000_000, "one.example", Some("451 4.7.1 wait 3 s")),
            entry(1_000, "One.Example", Some("451 4.7.1 wait 9 s")),
            entry(2_000, "two.example", None),
        ];
        entries.iter().for_each(|entry| census.count_in(entry));
        let view = census.view(1);
        assert_eq!((view.waiting, view.held, view.oldest), (3, 0, Some(Timestamp(1_000))));
        let row = |name: &str| CensusRow {
            name: name.to_owned(),
            waiting: 2,
            held: 0,
            oldest: Some(Timestamp(1_000)),
        };
        assert_eq!((view.domains, view.domains_left), (vec![row("one.example")], 1));
        assert_eq!((view.reasons, view.reasons_left), (vec![row("451 4.7.1 wait # s")], 1));
        assert!(census.may_have_domain("two.example") && !census.may_have_domain("three.example"));
        census.count_out(&entries[1]);
        assert_eq!(census.view(9).domains[0].oldest, Some(Timestamp(5_000_000)));
    }

    #[test]
    fn more_names_than_the_limit_are_counted_together() {
        let mut groups = Groups::default();
        for name in ["a", "b", "c", "c"] {
            groups.tally(name, 2).add(Timestamp(1), false);
        }
        assert_eq!(groups.top(9).1, 2);
        for name in ["c", "a", "c", "b"] {
            groups.take(name, Timestamp(1), false);
        }
        assert_eq!((groups.top(9), groups.named.len()), ((Vec::new(), 0), 0));
    }

    proptest! {
        #[test]
        fn what_came_and_went_leaves_nothing(arrivals in prop::collection::vec((0u64..90_000_000, 0u8..5), 0..40)) {
            let mut census = Census::default();
            let entries: Vec<Entry> =
                arrivals.iter().map(|(at, domain)| entry(*at, &format!("d{domain}.example"), None)).collect();
            entries.iter().for_each(|entry| census.count_in(entry));
            prop_assert_eq!(census.view(9).waiting, entries.len() as u64);
            prop_assert_eq!(census.oldest(), entries.iter().map(|entry| entry.arrived).min());
            entries.iter().for_each(|entry| census.count_out(entry));
            prop_assert_eq!(census.view(9), CensusView::default());
        }
    }
}
