//! The same addresses and messages, read by us and by Python's email package: where the two differ, the difference is one that is
//! meant, and named here.
//!
//! Addresses: Python reads RFC 5322, which is wider than what RFC 5321 lets stand in an envelope, and is laxer than it about domains.
//! Messages: Python ends the header block at the first line that is no field; here it ends at the empty line, so that nothing can hide
//! behind such a line, and the line itself is nobody's field. Python drops a first line that begins with white space; here it begins
//! the body.

use std::process::Command;

use bytes::Bytes;
use message::HeaderBlock;
use model::{Domain, Mailbox};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::seed;
use crate::harness::run_with_input;

/// Addresses and messages of the short form; TORTURE_CASES says another number.
const CASES: usize = 3000;

/// How the two sides may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meant {
    /// Comments and white space around the parts of an address: RFC 5322 has them, an envelope does not (RFC 5321 section 4.1.2).
    Comment,
    /// A domain is letters, digits, hyphens and underscores in labels of 63 octets, or an address literal that is an address.
    Domain,
    /// Local parts of more than 64 octets, and addresses of more than 254.
    Length,
    /// A name may end in the dot that says that it is whole; Python takes none.
    LastDot,
    /// Python refuses a local part that is quoted and has only white space in it, and drops white space at its ends.
    QuotedSpace,
}

fn addresses(rng: &mut StdRng, count: usize) -> Vec<String> {
    const LOCALS: [&str; 22] = [
        "a",
        "ann",
        "ann.b",
        "a+b",
        "a..b",
        ".a",
        "a.",
        "\"a b\"",
        "\"a\\\"b\"",
        "\"a@b\"",
        "\"a\\\\\"",
        "\"\"",
        "\" \"",
        "a b",
        "a(c)",
        "(c)a",
        "a\"b\"",
        "\"a\"b",
        "a<b",
        "a,b",
        "!#$%&'*+-/=?^_`{|}~",
        "a@b",
    ];
    const DOMAINS: [&str; 24] = [
        "b",
        "example.org",
        "EXAMPLE.org",
        "a.b.c.d.e",
        "example.org.",
        ".org",
        "a..b",
        "-a.org",
        "a-.org",
        "a_b.org",
        "a!b.org",
        "[192.0.2.1]",
        "[192.0.2.256]",
        "[IPv6:2001:db8::1]",
        "[IPv6:x]",
        "[]",
        "[x",
        "a b",
        "a(c)",
        "(c)b",
        "\"a\"",
        "a@b",
        "xn--bcher-kva.example",
        "",
    ];
    let mut all: Vec<String> =
        ["", "@", "a", "a@", "<a@b>", "Ann <a@b>", "a@b, c@d"].map(str::to_owned).to_vec();
    while all.len() < count {
        let mut local = LOCALS.choose(rng).copied().unwrap_or_default().to_owned();
        let mut domain = DOMAINS.choose(rng).copied().unwrap_or_default().to_owned();
        match rng.random_range(0..12) {
            0 => local += &"x".repeat(rng.random_range(55..70)),
            1 => domain = format!("{}.{domain}", "y".repeat(rng.random_range(55..70))),
            2 => domain = format!("{}{domain}", "label.".repeat(rng.random_range(38..46))),
            _ => {}
        }
        let mut text = format!("{local}@{domain}");
        if rng.random_range(0..3) == 0 {
            let at = rng.random_range(0..=text.len());
            text.insert(at, *b" .@\"\\()<>[]:;,a-_\t\x7f\x01".choose(rng).unwrap_or(&b' ') as char);
        }
        all.push(text);
    }
    all
}

fn messages(rng: &mut StdRng, count: usize) -> Vec<String> {
    const LINES: [&str; 18] = [
        "Subject: x",
        "Subject:x",
        "X-Empty:",
        "X-White: \t ",
        "X-Fold: a\r\n b",
        "X-Fold:\r\n\tb\r\n  c",
        "X-Eight: gr\u{fc}n \u{e4}",
        "to: a@b",
        "TO: c@d",
        "X: a: b: c",
        "X-Long: ",
        " leading fold",
        "X-1.2/3: x",
        "{}: braces",
        "X-Trail: x  ",
        "A:b\r\n \r\n c",
        "X-Quote: \"a\r\n b\"",
        "X-Comment: (a)",
    ];
    /// Where Python ends the header block.
    const ODD: [&str; 8] =
        ["no field", "X : y", "gr\u{fc}n: x", "x y: z", "--boundary", ": x", "From a b", "X\t: y"];
    let mut all = Vec::new();
    while all.len() < count {
        let odd = rng.random_range(0..3) == 0;
        let mut text = String::new();
        for _ in 0..rng.random_range(0..8) {
            let line = if odd && rng.random_range(0..4) == 0 { ODD.choose(rng) } else { LINES.choose(rng) };
            text += line.copied().unwrap_or_default();
            if rng.random_range(0..10) == 0 {
                text += &"w ".repeat(rng.random_range(1..600));
            }
            text += "\r\n";
        }
        if rng.random_range(0..8) > 0 {
            text += "\r\nbody: x\r\n\r\nmore\u{e9}\r\n";
        }
        all.push(text);
    }
    all
}

fn is_cfws(text: &str) -> bool {
    text.contains(['(', ')', ' ', '\t'])
}

/// Whether a difference is meant.
fn meant(text: &str, ours: Option<&Mailbox>, theirs: Option<(&str, &str)>) -> Option<Meant> {
    let domain = text.rsplit_once('@').map_or("", |(_, domain)| domain);
    match (ours, theirs) {
        (Some(_), None) if domain.ends_with('.') => Some(Meant::LastDot),
        (Some(mailbox), _) if mailbox.local().contains(' ') => Some(Meant::QuotedSpace),
        (None, Some((local, domain))) => {
            let is_name = |label: &str| {
                let is_ldh = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
                label.chars().all(is_ldh)
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.len() < 64
            };
            if is_cfws(text) {
                Some(Meant::Comment)
            } else if local.len() > 64 || local.len() + domain.len() >= 254 {
                Some(Meant::Length)
            } else if domain.starts_with('[') || !domain.split('.').all(is_name) {
                Some(Meant::Domain)
            } else {
                None
            }
        }
        _ => None,
    }
}

/// Compares one address: nothing when both sides agree.
fn difference(text: &str, theirs: &Value) -> Option<Option<Meant>> {
    let ours = Mailbox::parse(text).ok();
    let theirs =
        theirs.as_array().map(|pair| (pair[0].as_str().unwrap_or(""), pair[1].as_str().unwrap_or("")));
    let agree = match (&ours, theirs) {
        (Some(mailbox), Some((local, domain))) => {
            mailbox.local() == local && Domain::parse(domain).is_ok_and(|domain| domain == *mailbox.domain())
        }
        (None, None) => true,
        _ => false,
    };
    (!agree).then(|| meant(text, ours.as_ref(), theirs))
}

/// Our fields and body, as Latin-1.
fn read(text: &str) -> (Vec<(String, String)>, String) {
    let octets = latin(text);
    let message = Bytes::from(octets);
    let block = HeaderBlock::parse(&message);
    let characters = |octets: &[u8]| octets.iter().map(|octet| *octet as char).collect::<String>();
    let fields =
        block.fields().map(|field| (field.name.to_owned(), trimmed(&characters(field.value)))).collect();
    let body_start = usize::try_from(block.body_start()).expect("a place in memory");
    (fields, characters(&message[body_start..]))
}

fn latin(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("Latin-1")).collect()
}

/// White space around a value is nobody's business.
fn trimmed(value: &str) -> String {
    value.trim_matches([' ', '\t', '\r', '\n']).to_owned()
}

#[test]
fn addresses_and_headers_are_read_as_pythons_email_package_reads_them() {
    let count = std::env::var("TORTURE_CASES").map_or(CASES, |text| text.parse().expect("a number"));
    let seed = seed();
    println!("TORTURE_SEED={seed} TORTURE_CASES={count}");
    let mut rng = StdRng::seed_from_u64(seed);
    let (addresses, messages) = (addresses(&mut rng, count), messages(&mut rng, count));
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("torture/parse.py");
    let cases = json!({ "addresses": addresses, "messages": messages }).to_string();
    let output = run_with_input(Command::new("python3").arg(script), cases.as_bytes());
    assert_eq!(output.code, 0, "{}", output.err);
    let theirs: Value = serde_json::from_str(&output.out).expect("JSON");
    let mut faults = Vec::new();
    let mut differences = 0;
    for (text, theirs) in addresses.iter().zip(theirs["addresses"].as_array().expect("addresses")) {
        match difference(text, theirs) {
            None => {}
            Some(Some(_)) => differences += 1,
            Some(None) => faults.push(format!("{text:?}: {:?} and {theirs}", Mailbox::parse(text))),
        }
    }
    for (text, theirs) in messages.iter().zip(theirs["messages"].as_array().expect("messages")) {
        let (fields, body) = read(text);
        let their_fields: Vec<(String, String)> = theirs["fields"]
            .as_array()
            .expect("fields")
            .iter()
            .map(|field| {
                (field[0].as_str().unwrap_or("").to_owned(), trimmed(field[1].as_str().unwrap_or("")))
            })
            .collect();
        let agree = fields == their_fields && Some(&*body) == theirs["body"].as_str();
        // They stopped early: what they have is what we have up to there.
        let stopped = fields.starts_with(&their_fields)
            && theirs["body"].as_str().is_some_and(|theirs| theirs.ends_with(&body));
        let stopped = stopped && body.len() < theirs["body"].as_str().unwrap_or("").len();
        // A message without any field has no header block here; there the odd line is dropped.
        let has_none = fields.is_empty() && their_fields.is_empty() && body == *text;
        // Nor has one that begins with a fold, whatever stands below.
        let is_body = text.starts_with([' ', '\t']) && fields.is_empty() && body == *text;
        match (agree, stopped || has_none || is_body) {
            (true, _) => {}
            (_, true) => differences += 1,
            _ => faults.push(format!("{text:?}: {fields:?} {body:?} and {theirs}")),
        }
    }
    println!(
        "{} addresses, {} messages, {differences} differences that are meant",
        addresses.len(),
        messages.len()
    );
    faults.sort_by_key(String::len);
    assert!(faults.is_empty(), "{} differ:\n{}", faults.len(), faults[..faults.len().min(20)].join("\n"));
}
