use model::{Envelope, Param, QueueId};

use super::*;

const HOUR: Duration = Duration::from_secs(3600);
const START: Timestamp = Timestamp(1_800_000_000_000);

fn param(keyword: &str, value: &str) -> Param {
    Param { keyword: keyword.to_owned(), value: Some(value.to_owned()) }
}

/// An entry with the parameters `KEY=value` of MAIL and of RCPT.
fn entry(mail: &[(&str, &str)], rcpt: &[(&str, &str)]) -> Entry {
    let params = |all: &[(&str, &str)]| all.iter().map(|(key, value)| param(key, value)).collect::<Vec<_>>();
    let sender = ReversePath::Mailbox(Mailbox::parse("ann@from.example").unwrap());
    let mut envelope = Envelope::new(sender, params(mail));
    let bob = Mailbox::parse("bob@to.example").unwrap();
    envelope.add_recipient(bob.clone(), bob, params(rcpt));
    Entry::new(QueueId(1), envelope, 3, START, None)
}

/// What is told of this state after so many hours, of a first attempt.
fn told(entry: &Entry, state: State, handover: Handover, hours: u32) -> Vec<Action> {
    let queued = &entry.recipients[0];
    let mut update =
        RecipientUpdate { state, attempts: queued.attempts + 1, ..RecipientUpdate::from(queued) };
    let rules = ReportOptions { delay_warning: Some(4 * HOUR), ..ReportOptions::default() };
    actions(entry, queued, &mut update, handover, &rules, START + HOUR * hours)
}

fn waiting() -> State {
    State::Waiting { due: START + 100 * HOUR }
}

#[test]
fn success_is_told_by_who_was_the_last_to_know() {
    for (notify, final_, relayed) in [
        ("SUCCESS", vec![Action::Delivered], vec![Action::Relayed]),
        ("SUCCESS,FAILURE", vec![Action::Delivered], vec![Action::Relayed]),
        ("FAILURE", vec![], vec![]),
        ("NEVER", vec![], vec![]),
    ] {
        let entry = entry(&[], &[("NOTIFY", notify)]);
        assert_eq!(told(&entry, State::Delivered, Handover::Final, 0), final_, "{notify}");
        assert_eq!(told(&entry, State::Delivered, Handover::Relayed, 0), relayed, "{notify}");
        assert_eq!(told(&entry, State::Delivered, Handover::Entrusted, 0), [], "{notify}");
    }
    assert_eq!(told(&entry(&[], &[]), State::Delivered, Handover::Final, 0), []);
}

#[test]
fn a_delay_is_told_once_to_those_who_did_not_say_no() {
    for (rcpt, expected) in [
        (vec![], vec![Action::Delayed]),
        (vec![("NOTIFY", "DELAY")], vec![Action::Delayed]),
        (vec![("NOTIFY", "FAILURE")], vec![]),
        (vec![("NOTIFY", "NEVER")], vec![]),
    ] {
        let mut entry = entry(&[], &rcpt);
        assert_eq!(told(&entry, waiting(), Handover::Final, 3), [], "{rcpt:?}: too early");
        assert_eq!(told(&entry, waiting(), Handover::Final, 4), expected, "{rcpt:?}");
        entry.recipients[0].warned = Some(START + 4 * HOUR);
        assert_eq!(told(&entry, waiting(), Handover::Final, 9), [], "{rcpt:?}: told before");
    }
}

#[test]
fn nobody_is_told_of_the_fate_of_a_report_but_a_postmaster_who_wants_to_know() {
    let mut report = entry(&[], &[]);
    report.sender = ReversePath::Null;
    for state in [State::Bounced, State::Expired, waiting(), State::Delivered] {
        assert_eq!(told(&report, state, Handover::Final, 9), []);
    }
    let postmaster = Mailbox::parse("postmaster@here.example").unwrap();
    let rules = ReportOptions { double_bounces_to: Some(postmaster.clone()), ..ReportOptions::default() };
    let of = |entry: &Entry, state: State| {
        let queued = &entry.recipients[0];
        let mut update = RecipientUpdate { state, ..RecipientUpdate::from(queued) };
        actions(entry, queued, &mut update, Handover::Final, &rules, START + 99 * HOUR)
    };
    assert_eq!(of(&report, State::Bounced), [Action::Failed]);
    assert_eq!(of(&report, waiting()), []);
    // Of a report to himself he is not told again.
    report.recipients[0].recipient.address = postmaster;
    assert_eq!(of(&report, State::Bounced), []);
}

#[test]
fn an_alias_is_reported_as_expanded_once_and_its_members_not_as_delivered() {
    let mut alias = entry(&[], &[("NOTIFY", "FAILURE"), (EXPANDED, "")]);
    assert_eq!(told(&alias, State::Delivered, Handover::Final, 0), [Action::Expanded]);
    assert_eq!(told(&alias, State::Bounced, Handover::Final, 0), [Action::Expanded, Action::Failed]);
    alias.recipients[0].attempts = 1;
    assert_eq!(told(&alias, State::Delivered, Handover::Final, 0), []);
}

#[test]
fn with_mode_n_the_sender_hears_when_the_time_is_over_also_after_another_warning() {
    let mut entry = entry(&[("BY", "36000;N")], &[]);
    entry.recipients[0].warned = Some(START + 4 * HOUR);
    assert_eq!(told(&entry, waiting(), Handover::Final, 9), []);
    assert_eq!(told(&entry, waiting(), Handover::Final, 10), [Action::Delayed]);
    entry.recipients[0].warned = Some(START + 10 * HOUR);
    assert_eq!(told(&entry, waiting(), Handover::Final, 11), []);
    assert_eq!(too_late(&entry, None, START + 11 * HOUR), None);
}

#[test]
fn with_mode_r_the_message_comes_back_when_the_time_is_over() {
    let entry = entry(&[("BY", "3600;R")], &[]);
    assert_eq!(too_late(&entry, None, Timestamp(START.0 + 3_599_999)), None);
    let reply = too_late(&entry, Some("450 4.2.0 later"), START + HOUR).unwrap().to_string();
    assert!(reply.starts_with("550 5.4.7 ") && reply.ends_with("450 4.2.0 later"), "{reply}");
}

#[test]
fn what_has_a_time_is_looked_at_when_it_is_over() {
    let queued = |entry: &Entry| entry.recipients[0].clone();
    for (by, expected) in [("60;R", 60), ("60;N", 60), ("7200;R", 3600), ("-60;N", 3600)] {
        let entry = entry(&[("BY", by)], &[]);
        let due = no_later_than(START + HOUR, &entry, &queued(&entry), START);
        assert_eq!(due, START + Duration::from_secs(expected), "{by}");
    }
}

#[test]
fn a_trace_is_reported_by_everybody_on_the_way() {
    let traced = entry(&[("BY", "60;NT")], &[]);
    assert_eq!(told(&traced, State::Delivered, Handover::Entrusted, 0), [Action::Relayed]);
    assert_eq!(told(&traced, State::Delivered, Handover::Relayed, 0), [Action::Relayed]);
    let silent = entry(&[("BY", "60;NT")], &[("NOTIFY", "NEVER")]);
    assert_eq!(told(&silent, State::Delivered, Handover::Entrusted, 0), []);
}
