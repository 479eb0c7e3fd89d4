//! A policy of MTA-STS: what was taken reads back as itself from its own lines, within its limits, and allows the hosts that it names.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tls_policy::Policy;

fuzz_target!(|text: &[u8]| {
    let Ok(policy) = Policy::parse(text) else { return };
    assert!(policy.mx.len() <= 1_000);
    let lines = policy.lines();
    assert!(lines.iter().all(|line| !line.contains(['\r', '\n'])), "{lines:?}");
    assert_eq!(Policy::parse(lines.join("\r\n").as_bytes()).as_ref(), Ok(&policy));
    for pattern in &policy.mx {
        match pattern.strip_prefix("*.") {
            Some(parent) => {
                assert!(policy.allows(&format!("mx.{parent}")), "{pattern}");
                let below = format!("a.mx.{parent}");
                let is_named =
                    [&below, &format!("*.mx.{parent}")].iter().any(|name| policy.mx.contains(name));
                assert_eq!(policy.allows(&below), is_named, "{pattern}");
            }
            None => assert!(policy.allows(&pattern.to_ascii_uppercase()), "{pattern}"),
        }
    }
});
