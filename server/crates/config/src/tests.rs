//! What a file may say, and what is said of one that is wrong.

mod auth;
mod faults;
mod reference;

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use accounts::Lookup;
use model::{Domain, Mailbox};
use outbound::{DeliverTo, LmtpAddress, NextHop, TlsLevel};
use sender_auth::Action;

use crate::{Config, Faults};

/// A file with nothing but what has to be there.
const LEAST: &str = "hostname = 'mx.example.org'\ndata-dir = '/var/lib/waxwing'\n\
                     [[listener]]\nname = 'mx'\nbind = '127.0.0.1:25'\n";

fn parse(text: &str) -> Result<Config, Faults> {
    Config::parse_with(Path::new("/etc/waxwing/waxwing.toml"), text, named_file)
}

/// The files that the examples name.
fn named_file(path: &Path) -> Result<Vec<u8>, String> {
    let content = match path.file_name().and_then(|name| name.to_str()) {
        Some("users.toml") => include_str!("tests/users.toml"),
        Some("faulty-users.toml") => {
            "[[user]]\nname = 'carol@example.org'\nsender = []\n[[user]]\n[limits]\n"
        }
        Some("srs.secret") => "a secret for senders that are rewritten\n",
        Some("issuer.jwks") => include_str!("tests/issuer.jwks"),
        Some("report.txt") => "Subject: news\n\n{{ host }}\n",
        Some("faulty-report.txt") => "Subject: news\n\n{{ hots }}\n",
        Some("partner.password") => "open sesame\n",
        Some("issuer.secret") => "a secret of the issuer, 32 octets or more\n",
        Some("dkim.pem") => {
            static PEM: LazyLock<String> =
                LazyLock::new(|| sender_auth::Key::generate(sender_auth::KeyKind::Ed25519).unwrap());
            &PEM
        }
        _ => return Err("cannot be read: there is no such file".to_owned()),
    };
    Ok(content.as_bytes().to_vec())
}

fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text).unwrap()
}

#[test]
fn the_checks_and_keys_of_an_example_are_read() {
    let config = parse(include_str!("tests/example.toml")).unwrap();
    let rules = config.inbound.senders.unwrap();
    assert!(rules.verifier.is_some());
    assert_eq!((rules.policy.dmarc, rules.policy.spf), (Action::Reject, Action::Quarantine));
    assert_eq!(rules.policy.trusted_sealers, ["lists.example.net"]);
    assert_eq!(rules.authserv_id, "example.org");
    let keys = rules.signers.keys();
    assert_eq!((keys.len(), keys[0].domain.as_str(), keys[0].selector.as_str()), (1, "example.org", "2026a"));
    assert_eq!(config.inbound.listeners[1].sender_action, Some(Action::Quarantine));
    assert_eq!(config.inbound.listeners[0].sender_action, Some(Action::Reject));
    let least = parse(LEAST).unwrap().inbound.senders.unwrap();
    assert!(least.verifier.is_some() && least.signers.keys().is_empty() && !least.signers.seals());
    assert!(
        parse(&format!("{LEAST}[sender-auth]\ncheck = false\n"))
            .unwrap()
            .inbound
            .senders
            .unwrap()
            .verifier
            .is_none()
    );
}

#[test]
fn the_domains_of_an_example_are_read() {
    let config = parse(include_str!("tests/example.toml")).unwrap();
    let local = &config.inbound.local;
    let ours = |text: &str| local.mailbox(&mailbox(text)).map(|(mailbox, _)| mailbox.to_string());
    assert_eq!(ours("Alice+news@example.org").as_deref(), Some("alice@example.org"));
    assert_eq!(ours("nobody@example.org"), None);
    assert_eq!(ours("x-y@bücher.example").as_deref(), Some("x@bücher.example"));
    assert_eq!(ours("x+y@socket.example").as_deref(), Some("x+y@socket.example"));
    let sales = Lookup::Alias(vec![mailbox("alice@example.org"), mailbox("carol@elsewhere.example")]);
    assert_eq!(local.lookup(&mailbox("sales@example.org")), sales);
    let deliver = |name: &str| config.outbound.domains.get(&name.parse().unwrap()).unwrap();
    assert!(matches!(deliver("example.org"), DeliverTo::Maildir(pattern)
        if pattern.path(&mailbox("bob@example.org")) == Path::new("/var/mail/example.org/bob")));
    assert!(matches!(deliver("bücher.example"), DeliverTo::Lmtp(LmtpAddress::Tcp(hop)) if hop.port == 24));
    assert!(matches!(deliver("socket.example"), DeliverTo::Lmtp(LmtpAddress::Unix(path))
        if path == Path::new("/run/dovecot/lmtp")));
    assert!(matches!(deliver("inner.example"), DeliverTo::Relay(hop) if hop.host == "2001:db8::25"));
}

#[test]
fn the_rest_of_an_example_is_read() {
    let config = parse(include_str!("tests/example.toml")).unwrap();
    let (inbound, outbound, plugins) = (&config.inbound, &config.outbound, &config.plugins);
    let [mx, lan, submission, lmtp] = inbound.listeners.as_slice() else { panic!("{:?}", inbound.listeners) };
    assert_eq!((&*mx.name, mx.bind.len(), mx.session.paths), ("mx", 2, smtp::Paths::Lenient));
    assert_eq!(
        (lan.session.paths, lan.session.bare_newline),
        (smtp::Paths::Strict, smtp::BareNewline::Convert)
    );
    let of_users = &submission.session;
    assert!(of_users.require_auth && of_users.extensions.future_release.is_some() && !of_users.require_tls);
    assert_eq!(lmtp.session.protocol, smtp::server::Protocol::Lmtp);
    assert!(lan.hides_client && lan.session.require_tls && !lan.session.extensions.dsn);
    assert_eq!(mx.proxy_networks, []);
    assert_eq!(lan.proxy_networks, ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
    assert_eq!(mx.session.limits.message_size, 25 << 20);
    assert_eq!((mx.tls, lmtp.tls), (inbound::TlsMode::StartTls, inbound::TlsMode::Off));
    assert_eq!(mx.handshake_timeout, Duration::from_secs(10));
    assert_eq!(inbound.limits.sessions, 0x400);
    assert_eq!(inbound.relay_networks, ["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
    let next_hop = |name: &str| outbound.routes.of(&Domain::parse(name).unwrap()).next_hop.clone();
    assert_eq!(next_hop("elsewhere.example"), NextHop::Host("smtp.provider.example:587".parse().unwrap()));
    assert_eq!(next_hop("slow.example"), NextHop::Mx);
    assert_eq!((outbound.mx_port, outbound.limits.deliveries), (2526, 20));
    assert_eq!(outbound.timeouts.quit, Duration::from_secs(1));
    assert_eq!(outbound.own_names, ["mail.example.org"]);
    assert_eq!(outbound.own_addresses, ["192.0.2.1".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(config.dns.servers, ["127.0.0.1:53".parse().unwrap(), "192.0.2.53:53".parse().unwrap()]);
    assert_eq!(config.store.dir, Path::new("/var/lib/waxwing"));
    assert_eq!(
        (plugins.dir.as_path(), plugins.limits.memory_octets),
        (Path::new("/etc/waxwing/plugins"), 128 << 20)
    );
    assert_eq!(plugins.order, ["greylist", "footer"]);
    let greylist = &plugins.plugins["greylist"];
    assert!(!greylist.enabled && !greylist.required && greylist.pin.is_some());
    assert_eq!((plugins.signers.len(), plugins.compile_threads, plugins.kept_generations), (1, 3, 7));
    let footer = &plugins.plugins["footer"];
    let reuse = plugin_host::Isolation::Reuse { max_uses: 50.try_into().unwrap(), max_idle: 4 };
    assert_eq!(footer.isolation, reuse);
    assert_eq!((footer.on_failure, footer.grants.kv), (plugin_host::OnFailure::Proceed, true));
    assert_eq!(footer.limits.memory_octets, Some(64 << 20));
    let settings = "{\"text\":\"Sent through Waxwing\",\"lines\":[1,2.5,true],\"since\":\"2026-01-01\"}";
    assert_eq!(footer.settings, serde_json::from_str::<serde_json::Value>(settings).unwrap());
    assert_eq!(config.log, crate::Log { format: crate::LogFormat::Json, level: crate::LogLevel::Debug });
}

#[test]
fn the_certificates_of_an_example_are_read() {
    let config = parse(include_str!("tests/example.toml")).unwrap();
    let (tls, acme) = (config.tls, config.acme.unwrap());
    assert_eq!(acme.names, ["mx.example.org", "mail.example.org"]);
    assert_eq!(
        (acme.contact.as_slice(), acme.renew_before.as_secs()),
        (&["postmaster@example.org".to_owned()][..], 864_000)
    );
    assert_eq!(acme.dir, Path::new("/var/lib/waxwing/acme"));
    let files = |certificate: &str, key: &str| tls::CertificateFiles {
        certificate: Path::new("/etc/waxwing").join(certificate),
        key: Path::new("/etc/waxwing").join(key),
        stand_in: Vec::new(),
    };
    let both =
        [files("tls/fullchain.pem", "tls/key.pem"), files("tls/other.pem", "tls/other.pem"), acme.files()];
    assert_eq!(tls.certificates, both);
    assert_eq!(tls.client_ca.as_deref(), Some(Path::new("/etc/waxwing/tls/clients.pem")));
    assert_eq!(tls.min_version, tls::MinVersion::Tls13);
    assert_eq!(parse(LEAST).unwrap().tls, tls::Options::default());
}

#[test]
fn the_routes_of_an_example_are_read() {
    let routes = parse(include_str!("tests/example.toml")).unwrap().outbound.routes;
    let route = routes.of(&Domain::parse("mx.partner.example").unwrap());
    assert_eq!((route.name.as_str(), route.tls), ("partner", Some(TlsLevel::Required)));
    let auth = route.auth.as_ref().unwrap();
    assert_eq!((auth.username.as_str(), auth.password.0.as_str()), ("wax", "open sesame"));
    assert_eq!(
        route.source,
        ["192.0.2.1".parse::<std::net::IpAddr>().unwrap(), "2001:db8::1".parse().unwrap()]
    );
    assert_eq!(
        (route.connections, route.messages_per_minute, route.connections_per_minute),
        (Some(4), Some(600), Some(30))
    );
    let slow = routes.of(&Domain::parse("slow.example").unwrap());
    assert_eq!((slow.name.as_str(), slow.tls, slow.messages_per_minute), ("slow.example", None, Some(10)));
}

#[test]
fn a_faulty_template_of_reports_is_named_with_its_line() {
    let Err(faults) = parse(&format!("{LEAST}[reports]\ntemplate = 'faulty-report.txt'\n")) else { panic!() };
    assert!(faults.to_string().contains("faulty-report.txt line 3: "), "{faults}");
}

#[test]
fn a_password_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let (file, password) = (dir.path().join("waxwing.toml"), dir.path().join("hop.password"));
    let route = "[[route]]\ndomains = '*'\nnext-hop = 'mail.example.org:587'\nusername = 'wax'\npassword-file = 'hop.password'\n";
    std::fs::write(&file, format!("{LEAST}{route}")).unwrap();
    for (text, mode, fault) in [
        ("open sesame\n", 0o600, None),
        ("open sesame", 0o400, None),
        ("open sesame\n", 0o640, Some("(mode 0640); chmod 600")),
        ("", 0o600, Some("does not hold a password in one line")),
        ("open\nsesame\n", 0o600, Some("does not hold a password in one line")),
    ] {
        let _ = std::fs::remove_file(&password);
        std::fs::write(&password, text).unwrap();
        std::fs::set_permissions(&password, std::fs::Permissions::from_mode(mode)).unwrap();
        match (Config::load(Some(&file)), fault) {
            (Ok(config), None) => {
                let route = config.outbound.routes.of(&Domain::parse("x.example").unwrap()).clone();
                // A password is not for everybody's eyes on the way.
                assert_eq!(route.tls, Some(TlsLevel::Verified));
                assert_eq!(route.auth.as_ref().unwrap().password.0, "open sesame");
            }
            (Err(faults), Some(fault)) => {
                let said = faults.to_string();
                assert!(said.contains("waxwing.toml:10: route.password-file: "), "{said}");
                assert!(said.contains(fault) && !said.contains("sesame"), "{said}");
            }
            (other, _) => panic!("{text:?} {mode:o}: {other:?}"),
        }
    }
}

#[test]
fn every_alias_and_catch_all_that_leads_nowhere_is_refused_at_its_line() {
    let text = format!(
        "{LEAST}[[domain]]\nname = 'example.org'\ndeliver = {{ maildir = '/m' }}\naliases = {{ a = 'b', b = 'a' }}\n\
         [[domain]]\nname = 'other.example'\ndeliver = {{ maildir = '/m' }}\ncatch-all = 'c@example.net'\n"
    );
    let faults = parse(&text).unwrap_err().to_string();
    let first = text.lines().position(|line| line.starts_with("aliases")).unwrap() + 1;
    for (line, says) in [
        (first, "domain.aliases.a: the alias a@example.org leads nowhere"),
        (first, "domain.aliases.b: the alias b@example.org leads nowhere"),
        (first + 4, "domain.catch-all: the catch-all of other.example is never asked"),
    ] {
        assert!(faults.contains(&format!(":{line}: {says}")), "{line} {says}: {faults}");
    }
}

#[test]
fn a_program_that_cannot_be_run_is_refused() {
    let of = |deliver: &str| {
        let text = format!("{LEAST}[[domain]]\nname = 'example.org'\ndeliver = {{ {deliver} }}\n");
        parse(&text).map(|_| ()).map_err(|faults| faults.to_string())
    };
    assert_eq!(of("pipe = ['/bin/cat', '-u', '{local}']"), Ok(()));
    for (deliver, says) in [
        ("pipe = []", "is empty"),
        ("pipe = ['cat']", "is no program"),
        ("pipe = ['/bin/{local}']", "is no program"),
        ("pipe = ['/bin/cat', '{user}']", "has no {user}"),
        ("pipe = ['/bin/cat'], maildir = '/m'", "exactly one of"),
        ("pipe = ['/bin/cat'], user = 'nobody-at-all'", "no user"),
    ] {
        let faults = of(deliver).unwrap_err();
        assert!(faults.contains(says), "{deliver}: {faults}");
    }
}

#[test]
fn relative_paths_start_at_the_folder_of_the_file() {
    let text = format!(
        "{}[[domain]]\nname = 'example.org'\ndeliver = {{ maildir = 'mail/{{local}}' }}\n[plugins]\ndir = 'extra'\n",
        LEAST.replace("/var/lib/waxwing", "data")
    );
    let config = Config::parse(Path::new("/srv/wax/waxwing.toml"), &text).unwrap();
    assert_eq!(config.data_dir, Path::new("/srv/wax/data"));
    assert_eq!(config.plugins.dir, Path::new("/srv/wax/extra"));
    assert_eq!(config.plugins.cache_dir, Path::new("/srv/wax/data/plugin-cache"));
}

#[test]
fn programs_leave_mail_beside_the_socket_that_they_look_for() {
    let drop_dir = |table: &str| {
        let text = format!("{LEAST}[sendmail]\n{table}\n");
        Config::parse(Path::new("/srv/wax/waxwing.toml"), &text).unwrap().submission.drop_dir
    };
    let is = |path: &str| Some(Path::new(path).to_owned());
    assert_eq!(drop_dir(""), is("/var/lib/waxwing/drop"));
    assert_eq!(drop_dir("socket = '/run/waxwing/submission.sock'"), is(crate::SYSTEM_DROP_DIR));
    assert_eq!(drop_dir("socket = '/run/waxwing/submission.sock'\ndrop-dir = 'here'"), is("/srv/wax/here"));
    assert_eq!(drop_dir("drop-dir = ''"), None);
}

#[test]
fn a_relative_file_has_absolute_paths_too() {
    let config =
        Config::parse(Path::new("waxwing.toml"), &LEAST.replace("/var/lib/waxwing", "data")).unwrap();
    assert!(config.data_dir.is_absolute(), "{}", config.data_dir.display());
}

#[test]
fn without_a_hostname_the_system_is_asked() {
    let text = LEAST.replace("hostname = 'mx.example.org'\n", "");
    match parse(&text) {
        Ok(config) => assert!(!config.inbound.hostname.is_empty()),
        // A machine whose name is no domain name has to be told.
        Err(faults) => assert_eq!(faults.0[0].key, "hostname"),
    }
}

#[test]
fn a_file_that_cannot_be_read_is_said_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("absent.toml");
    let faults = Config::load(Some(&file)).unwrap_err();
    assert!(faults.to_string().contains("absent.toml: cannot be read: "), "{faults}");
    std::fs::write(&file, [0xff, 0xfe]).unwrap();
    let faults = Config::load(Some(&file)).unwrap_err();
    assert!(faults.to_string().ends_with("absent.toml: is not UTF-8"), "{faults}");
    std::fs::write(&file, LEAST).unwrap();
    assert_eq!(Config::load(Some(&file)).unwrap().inbound.listeners.len(), 1);
}
