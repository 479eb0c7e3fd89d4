//! Whatever a message or a zone says, an evaluation ends in named results.

use dns::Fake;
use proptest::prelude::*;
use sender_auth::KeyKind;

use crate::setting::{MESSAGE, key, publish, signed, verify};

fn evaluate(zone: &Fake, message: &str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let found = runtime.block_on(verify(zone, message));
    found.to_field("mx.example.net")
}

fn is_well_formed(field: &str) -> bool {
    field.starts_with("Authentication-Results: mx.example.net;")
        && field.ends_with("\r\n")
        && field.split("\r\n").filter(|line| !line.is_empty()).skip(1).all(|line| line.starts_with('\t'))
        && !field.replace("\r\n", "").contains(['\r', '\n'])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn messages_with_any_fields_are_evaluated(
        name in prop::sample::select(vec!["DKIM-Signature", "ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results", "From", "DKIM2-Signature", "Message-Instance"]),
        value in "[ -~\\t\u{80}-\u{2fff}]{0,200}",
        tags in prop::collection::vec(("[vabdhilqstxc]{1,2}", "[ -:<-~]{0,20}"), 0..12),
    ) {
        let list: String = tags.iter().map(|(tag, value)| format!("{tag}={value};")).collect();
        let message = format!("{name}: {value}\r\n{name}: i=1; {list}\r\n{MESSAGE}");
        let field = evaluate(&Fake::new(), &message);
        prop_assert!(is_well_formed(&field), "{}", field);
    }

    #[test]
    fn records_of_any_text_are_evaluated(record in "[ -~]{0,120}", tail in "[ -~]{0,60}") {
        let zone = Fake::new()
            .with_txt("example.org", &format!("v=spf1 {tail}"))
            .with_txt("mail.example.org", &record)
            .with_txt("_dmarc.example.org", &format!("v=DMARC1;{tail}"))
            .with_txt("s._domainkey.example.org", &format!("v=DKIM1;{record}"));
        let message = signed(MESSAGE, std::slice::from_ref(&*KEY));
        let field = evaluate(&zone, &message);
        prop_assert!(is_well_formed(&field), "{}", field);
    }

    #[test]
    fn a_signed_message_with_a_changed_octet_never_passes_unchanged_fields_aside(at in 0usize..900, octet in 0x20u8..0x7f) {
        let keys = std::slice::from_ref(&*KEY);
        let zone = publish(Fake::new(), keys);
        let mut message = signed(MESSAGE, keys).into_bytes();
        let at = at % message.len();
        prop_assume!(!matches!(message[at], b'\r' | b'\n'));
        message[at] = octet;
        let field = evaluate(&zone, &String::from_utf8(message).unwrap());
        prop_assert!(is_well_formed(&field), "{}", field);
    }
}

static KEY: std::sync::LazyLock<sender_auth::NamedKey> =
    std::sync::LazyLock::new(|| key("example.org", "s", KeyKind::Ed25519));
