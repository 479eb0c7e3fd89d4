//! Holds what a step came to against what was expected of it.

use super::script::Seen;
use super::suite::{Expect, Header};

/// What is not as expected, in words.
pub(super) fn mismatches(expect: &Expect, seen: &Seen) -> Vec<String> {
    let mut found = Vec::new();
    verdict(expect, seen, &mut found);
    for wanted in &expect.log {
        if !seen.log.iter().any(|line| line.text.contains(wanted)) {
            found.push(format!("no log line has \"{wanted}\" in it"));
        }
    }
    message(expect, seen, &mut found);
    envelope(expect, seen, &mut found);
    route(expect, seen, &mut found);
    submitted(expect, seen, &mut found);
    if let Some(wanted) = &expect.asked
        && !(wanted.len() == seen.asked.len()
            && wanted.iter().zip(&seen.asked).all(|(wanted, asked)| asked.starts_with(wanted.as_str())))
    {
        found.push(format!("over HTTP it asked {:?}, not {wanted:?}", seen.asked));
    }
    found
}

fn submitted(expect: &Expect, seen: &Seen, found: &mut Vec<String>) {
    let Some(wanted) = &expect.submitted else { return };
    if wanted.len() != seen.submitted.len() {
        found.push(format!("{} messages were submitted, not {}", seen.submitted.len(), wanted.len()));
        return;
    }
    for (wanted, message) in wanted.iter().zip(&seen.submitted) {
        let mut differs = |what: &str, is: &str, wanted: &str| {
            if is != wanted {
                found.push(format!("{what} of what was submitted is \"{is}\", not \"{wanted}\""));
            }
        };
        if let Some(sender) = &wanted.sender {
            differs("sender", &message.sender, sender.trim_matches(['<', '>']));
        }
        if let Some(to) = &wanted.to {
            differs("recipients", &message.recipients.join(" "), &to.join(" "));
        }
        if let Some(mark) = &wanted.auto_submitted {
            differs("mark", message.auto_submitted.unwrap_or("none"), mark);
        }
        let content = message.content.replace("\r\n", "\n");
        let missing = wanted.contains.iter().filter(|text| !content.contains(&text.replace("\r\n", "\n")));
        found.extend(missing.map(|text| format!("what was submitted has no {text:?} in it")));
    }
}

fn verdict(expect: &Expect, seen: &Seen, found: &mut Vec<String>) {
    match (&expect.fails, &seen.failure) {
        (None, Some(failure)) => found.push(format!("the plugin failed: {failure}")),
        (Some(wanted), None) => found.push(format!("the plugin did not fail; \"{wanted}\" was expected")),
        (Some(wanted), Some(failure)) if !failure.contains(wanted.as_str()) => {
            found.push(format!("the plugin failed with \"{failure}\", not \"{wanted}\""));
        }
        _ => {}
    }
    let said = seen.text.as_deref().unwrap_or_default();
    let with_text = |name: &str| if said.is_empty() { name.to_owned() } else { format!("{name} ({said})") };
    let is_it = match &expect.verdict {
        Some(wanted) => *wanted == seen.verdict,
        // A failure that was expected is answered by the failure policy.
        None => expect.fails.is_some() || ["proceed", "accept"].contains(&seen.verdict),
    };
    if !is_it {
        let wanted = expect.verdict.as_deref().unwrap_or("proceed");
        found.push(format!("verdict is {}, not {wanted}", with_text(seen.verdict)));
    }
    if let Some(wanted) = &expect.reply
        && !said.starts_with(wanted.as_str())
    {
        found.push(format!("reply is \"{said}\", which does not begin with \"{wanted}\""));
    }
}

fn message(expect: &Expect, seen: &Seen, found: &mut Vec<String>) {
    let wants = !expect.headers.is_empty()
        || expect.body.is_some()
        || !expect.body_contains.is_empty()
        || expect.body_ends.is_some()
        || expect.unchanged;
    if !wants {
        return;
    }
    let Some(text) = &seen.message else {
        found.push("there is no message that was taken".to_owned());
        return;
    };
    if expect.unchanged && seen.original.as_ref() != Some(text) {
        found.push("the message was changed".to_owned());
    }
    let text = text.replace("\r\n", "\n");
    let (header, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    for (name, wanted) in &expect.headers {
        field(name, wanted, &values(header, name), found);
    }
    let plain = |text: &str| text.replace("\r\n", "\n");
    if let Some(wanted) = &expect.body
        && plain(wanted) != body
    {
        found.push(format!("body is {body:?}, not {:?}", plain(wanted)));
    }
    for wanted in expect.body_contains.iter().filter(|wanted| !body.contains(&plain(wanted))) {
        found.push(format!("body has no {wanted:?} in it"));
    }
    if let Some(wanted) = &expect.body_ends
        && !body.ends_with(&plain(wanted))
    {
        let end = &body[body.ceil_char_boundary(body.len().saturating_sub(wanted.len() + 40))..];
        found.push(format!("body ends in {end:?}, not in {:?}", plain(wanted)));
    }
}

fn field(name: &str, wanted: &Header, values: &[String], found: &mut Vec<String>) {
    let shown = || if values.is_empty() { "missing".to_owned() } else { format!("{values:?}") };
    let is_it = match wanted {
        Header::Value(value) => values.contains(value),
        Header::Values(wanted) => wanted == values,
        Header::Present(wanted) => *wanted != values.is_empty(),
    };
    if !is_it {
        let wanted = match wanted {
            Header::Value(value) => format!("{value:?}"),
            Header::Values(values) => format!("{values:?}"),
            Header::Present(true) => "any".to_owned(),
            Header::Present(false) => "none".to_owned(),
        };
        found.push(format!("header {name} is {}, not {wanted}", shown()));
    }
}

/// The values of all fields of a name, each on one line.
fn values(header: &str, name: &str) -> Vec<String> {
    let unfolded = header.replace("\n ", " ").replace("\n\t", " ");
    let fields = unfolded.lines().filter_map(|line| line.split_once(':'));
    fields
        .filter(|(other, _)| other.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_owned())
        .collect()
}

fn envelope(expect: &Expect, seen: &Seen, found: &mut Vec<String>) {
    if let Some(wanted) = &expect.sender {
        let (wanted, sender) = (wanted.trim_matches(['<', '>']), seen.sender.as_deref().unwrap_or_default());
        if wanted != sender {
            found.push(format!("sender is <{sender}>, not <{wanted}>"));
        }
    }
    if let Some(wanted) = &expect.recipients
        && *wanted != seen.recipients
    {
        found.push(format!("recipients are {:?}, not {wanted:?}", seen.recipients));
    }
    for (wanted, seen, word) in
        [(&expect.refused, &seen.refused, "refused"), (&expect.held, &seen.held, "held")]
    {
        let Some(wanted) = wanted else { continue };
        let begins = |address: &String, text: &String| {
            seen.get(address).is_some_and(|said| said.starts_with(text.as_str()))
        };
        if wanted.len() != seen.len() || !wanted.iter().all(|(address, text)| begins(address, text)) {
            found.push(format!("{word} alone are {seen:?}, not {wanted:?}"));
        }
    }
}

fn route(expect: &Expect, seen: &Seen, found: &mut Vec<String>) {
    for (name, wanted, seen) in
        [("next hop", &expect.next_hop, &seen.next_hop), ("hold", &expect.hold, &seen.hold)]
    {
        if wanted.is_some() && wanted != seen {
            let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
            found.push(format!("{name} is {}, not {}", shown(seen), shown(wanted)));
        }
    }
    if expect.delay_s.is_some() && expect.delay_s != seen.delay_s {
        found.push(format!(
            "delay is {:?} s, not {:?} s",
            seen.delay_s.unwrap_or(0),
            expect.delay_s.unwrap_or(0)
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(message: &str) -> Seen {
        Seen { verdict: "proceed", message: Some(message.to_owned()), ..Seen::default() }
    }

    #[test]
    fn a_verdict_that_was_not_asked_for_is_told_with_its_reply() {
        let seen = Seen { verdict: "reject", text: Some("550 5.1.1 no".to_owned()), ..Seen::default() };
        assert_eq!(mismatches(&Expect::default(), &seen), ["verdict is reject (550 5.1.1 no), not proceed"]);
        let expect = Expect {
            verdict: Some("reject".to_owned()),
            reply: Some("550 5.1.1".to_owned()),
            ..Expect::default()
        };
        assert!(mismatches(&expect, &seen).is_empty());
        let expect = Expect { reply: Some("451".to_owned()), ..expect };
        assert_eq!(mismatches(&expect, &seen).len(), 1);
    }

    #[test]
    fn header_fields_are_unfolded_and_counted() {
        let message = "X-A: one\r\n two\r\nx-a: three\r\n\r\nbody\r\n";
        let wants = |header: Header| {
            mismatches(
                &Expect { headers: [("X-A".to_owned(), header)].into(), ..Expect::default() },
                &seen(message),
            )
        };
        assert!(wants(Header::Value("one two".to_owned())).is_empty());
        assert!(wants(Header::Values(vec!["one two".to_owned(), "three".to_owned()])).is_empty());
        assert!(wants(Header::Present(true)).is_empty());
        assert_eq!(
            wants(Header::Value("four".to_owned())),
            ["header X-A is [\"one two\", \"three\"], not \"four\""]
        );
        assert_eq!(wants(Header::Present(false)).len(), 1);
    }

    #[test]
    fn a_body_is_compared_whatever_ends_its_lines() {
        let expect = Expect {
            body_ends: Some("two\n".to_owned()),
            body: Some("one\ntwo\n".to_owned()),
            ..Expect::default()
        };
        assert!(mismatches(&expect, &seen("A: b\r\n\r\none\r\ntwo\r\n")).is_empty());
        assert_eq!(mismatches(&expect, &seen("A: b\r\n\r\none\r\n")).len(), 2);
    }

    #[test]
    fn a_failure_is_a_mismatch_unless_it_was_expected() {
        let seen = Seen { verdict: "tempfail", failure: Some("out of time".to_owned()), ..Seen::default() };
        assert_eq!(mismatches(&Expect::default(), &seen).len(), 2);
        assert!(
            mismatches(&Expect { fails: Some("time".to_owned()), ..Expect::default() }, &seen).is_empty()
        );
        assert_eq!(
            mismatches(&Expect { fails: Some("memory".to_owned()), ..Expect::default() }, &seen).len(),
            1
        );
    }
}
