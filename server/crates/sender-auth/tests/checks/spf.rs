use dns::{DnsError, Fake};
use sender_auth::Outcome;

use crate::setting::{CLIENT, MESSAGE, verify, verify_from};

async fn spf(zone: &Fake) -> Outcome {
    verify(zone, MESSAGE).await.spf.outcome
}

fn zone(record: &str) -> Fake {
    Fake::new().with_txt("example.org", record)
}

#[tokio::test]
async fn every_mechanism_is_understood() {
    let client = CLIENT.parse().unwrap();
    for (zone, outcome) in [
        (zone("v=spf1 ip4:192.0.2.0/24 -all"), Outcome::Pass),
        (zone("v=spf1 ip4:198.51.100.0/24 -all"), Outcome::Fail),
        (zone("v=spf1 ?all"), Outcome::Neutral),
        (zone("v=spf1 ~all"), Outcome::SoftFail),
        (zone("v=spf1"), Outcome::Neutral),
        (zone("v=spf10 -all"), Outcome::None),
        (zone("V=SPF1 -ALL"), Outcome::Fail),
        (zone("v=spf1 a -all").with_address("example.org", client), Outcome::Pass),
        (
            zone("v=spf1 a:other.example/24 -all")
                .with_address("other.example", "192.0.2.77".parse().unwrap()),
            Outcome::Pass,
        ),
        (
            zone("v=spf1 mx -all")
                .with_mx("example.org", 5, "mx.example.org")
                .with_address("mx.example.org", client),
            Outcome::Pass,
        ),
        (zone("v=spf1 mx -all").with_mx("example.org", 0, "."), Outcome::Fail),
        (
            zone("v=spf1 include:sub.example -all").with_txt("sub.example", "v=spf1 ip4:192.0.2.1 -all"),
            Outcome::Pass,
        ),
        (zone("v=spf1 include:sub.example ?all").with_txt("sub.example", "v=spf1 -all"), Outcome::Neutral),
        (zone("v=spf1 redirect=sub.example").with_txt("sub.example", "v=spf1 -all"), Outcome::Fail),
        (
            zone("v=spf1 exists:%{i}._spf.%{d2} -all")
                .with_address("192.0.2.1._spf.example.org", "127.0.0.2".parse().unwrap()),
            Outcome::Pass,
        ),
        (
            zone("v=spf1 exists:%{l}.%{o}.%{h}.%{v}.list.example -all")
                .with_address("ann.example.org.mail.example.org.in-addr.list.example", client),
            Outcome::Pass,
        ),
        (zone("v=spf1 exists:%{ir}.list.example -all"), Outcome::Fail),
        (
            zone("v=spf1 ptr:example.org -all")
                .with_ptr(client, "mail.example.org")
                .with_address("mail.example.org", client),
            Outcome::Pass,
        ),
        (zone("v=spf1 ptr:example.org -all").with_ptr(client, "mail.example.org"), Outcome::Fail),
        (
            zone("v=spf1 exists:%{p}.list.example -all")
                .with_ptr(client, "mail.example.org")
                .with_address("mail.example.org", client)
                .with_address("mail.example.org.list.example", client),
            Outcome::Pass,
        ),
    ] {
        assert_eq!(spf(&zone).await, outcome, "{zone:?}");
    }
}

#[tokio::test]
async fn an_ipv6_client_is_looked_for_among_aaaa_and_exists_still_asks_for_a() {
    let zone = zone("v=spf1 exists:%{d}.list.example -all")
        .with_address("example.org.list.example", "127.0.0.1".parse().unwrap());
    assert_eq!(
        verify_from(&zone, "2001:db8::1", "ann@example.org", MESSAGE).await.spf.outcome,
        Outcome::Pass
    );
    let zone = Fake::new()
        .with_txt("example.org", "v=spf1 a exists:only6.example -all")
        .with_address("only6.example", "2001:db8::9".parse().unwrap());
    assert_eq!(
        verify_from(&zone, "2001:db8::1", "ann@example.org", MESSAGE).await.spf.outcome,
        Outcome::Fail
    );
}

#[tokio::test]
async fn what_is_published_wrongly_is_permerror() {
    for zone in [
        zone("v=spf1 ip4:999.1.1.1 -all"),
        zone("v=spf1 ip4:192.0.2.1/33 -all"),
        zone("v=spf1 ip6:2001:db8::1::2 -all"),
        zone("v=spf1 nonsense:x -all"),
        zone("v=spf1 -all").with_txt("example.org", "v=spf1 +all"),
        zone("v=spf1 include:none.example -all"),
        zone("v=spf1 redirect=none.example"),
        zone("v=spf1 exists:%{z}.example -all"),
    ] {
        assert_eq!(spf(&zone).await, Outcome::PermError, "{zone:?}");
    }
}

#[tokio::test]
async fn records_that_go_in_circles_end() {
    let zone = zone("v=spf1 include:b.example -all").with_txt("b.example", "v=spf1 include:example.org -all");
    assert_eq!(spf(&zone).await, Outcome::PermError);
    let asked = zone.asked().iter().filter(|question| !question.contains("_dmarc")).count();
    assert!(asked <= 6, "{:?}", zone.asked());
    let itself = self::zone("v=spf1 redirect=example.org");
    assert_eq!(spf(&itself).await, Outcome::PermError);
}

#[tokio::test]
async fn ten_lookups_are_allowed_and_eleven_are_not() {
    for (terms, outcome) in [(10, Outcome::Pass), (11, Outcome::PermError)] {
        let mut zone = zone(&format!(
            "v=spf1 {} ip4:192.0.2.1 -all",
            (0..terms).map(|n| format!("a:h{n}.example")).collect::<Vec<_>>().join(" ")
        ));
        for n in 0..terms {
            zone = zone.with_address(&format!("h{n}.example"), "198.51.100.1".parse().unwrap());
        }
        assert_eq!(spf(&zone).await, outcome, "{terms} terms");
    }
}

#[tokio::test]
async fn two_lookups_may_be_void_and_three_may_not() {
    for (terms, outcome) in [(2, Outcome::Pass), (3, Outcome::PermError)] {
        let terms: Vec<String> = (0..terms).map(|n| format!("a:h{n}.example")).collect();
        let zone = zone(&format!("v=spf1 {} ip4:192.0.2.1 -all", terms.join(" ")));
        assert_eq!(spf(&zone).await, outcome, "{terms:?}");
    }
}

#[tokio::test]
async fn more_than_ten_mail_hosts_are_too_many() {
    let mut zone = zone("v=spf1 mx -all");
    for n in 0..11 {
        let host = format!("mx{n}.example.org");
        zone = zone.with_mx("example.org", n, &host).with_address(&host, "198.51.100.1".parse().unwrap());
    }
    assert_eq!(spf(&zone).await, Outcome::PermError);
}

#[tokio::test]
async fn a_failure_of_dns_is_temperror_and_stands() {
    let zone = zone("v=spf1 a:broken.example ip4:192.0.2.1 -all").fails("broken.example", DnsError::TimedOut);
    assert_eq!(spf(&zone).await, Outcome::TempError);
    assert_eq!(
        spf(&Fake::new().fails("example.org", DnsError::ServFail("x".into()))).await,
        Outcome::TempError
    );
}

#[tokio::test(start_paused = true)]
async fn name_servers_that_never_answer_do_not_hold_the_session() {
    let found = verify(&Fake::new().hangs("example.org").hangs("_dmarc.example.org"), MESSAGE).await;
    assert_eq!((found.spf.outcome, found.dmarc.outcome), (Outcome::TempError, Outcome::TempError));
    assert_eq!(found.spf_helo.outcome, Outcome::None, "what was answered counts");
}

#[tokio::test]
async fn the_null_sender_is_judged_by_the_name_given_with_helo() {
    let zone = Fake::new()
        .with_txt("mail.example.org", "v=spf1 ip4:192.0.2.1 -all")
        .with_txt("_dmarc.example.org", "v=DMARC1; p=reject");
    let found = verify_from(&zone, CLIENT, "", MESSAGE).await;
    assert_eq!((found.spf.outcome, found.spf_helo.outcome), (Outcome::None, Outcome::Pass));
    assert_eq!(found.dmarc.outcome, Outcome::Pass);
    assert!(found.dmarc.spf_aligned);
}

#[tokio::test]
async fn what_a_domain_explains_is_told_if_it_can_be_shown() {
    let zone = |text: &str| zone("v=spf1 -all exp=why.%{d}").with_txt("why.example.org", text);
    let explained = |zone: Fake| async move { verify(&zone, MESSAGE).await.spf.explanation };
    let told = explained(zone("%{i} is not of %{d2r}, says %{l}")).await;
    assert_eq!(told.as_deref(), Some("192.0.2.1 is not of org.example, says ann"));
    for unshown in [
        zone("\u{fc}ber"),
        zone("%{z}"),
        zone(&"x".repeat(300)),
        zone("a").with_txt("why.example.org", "b"),
        zone("x").fails("why.example.org", DnsError::TimedOut),
        self::zone("v=spf1 -all exp=why.example.org"),
    ] {
        let found = verify(&unshown, MESSAGE).await.spf;
        assert_eq!((found.outcome, found.explanation), (Outcome::Fail, None), "{unshown:?}");
    }
    // Another record's is not told, but for a redirect's.
    let included = self::zone("v=spf1 include:b.example -all")
        .with_txt("b.example", "v=spf1 ?all exp=why.b.example")
        .with_txt("why.b.example", "b");
    assert_eq!(explained(included).await, None);
    let redirected = self::zone("v=spf1 redirect=b.example")
        .with_txt("b.example", "v=spf1 -all exp=why.b.example")
        .with_txt("why.b.example", "b");
    assert_eq!(explained(redirected).await.as_deref(), Some("b"));
    let passes = zone("x").with_txt("mail.example.org", "v=spf1 +all exp=why.example.org");
    assert_eq!(verify(&passes, MESSAGE).await.spf_helo.explanation, None);
}
