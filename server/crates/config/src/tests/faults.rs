//! Every kind of fault, as the postmaster reads it.

use super::parse;

/// What is said of a text; the lines that a good file needs stand behind it.
fn faults_of(text: &str) -> String {
    let least = "\n[[listener]]\nname = 'mx'\nbind = '127.0.0.1:25'\n";
    let head = "hostname = 'mx.example.org'\ndata-dir = '/var/lib/waxwing'\n";
    match parse(&format!("{head}{text}{least}")) {
        Ok(_) => "no fault".to_owned(),
        Err(faults) => faults.to_string().replace("/etc/waxwing/", ""),
    }
}

macro_rules! faults {
    ($($name:ident: $text:literal;)*) => {$(
        #[test]
        fn $name() {
            let text = $text;
            insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false, description => text }, {
                insta::assert_snapshot!(stringify!($name), faults_of(text));
            });
        }
    )*};
}

faults! {
    unknown_keys_are_refused_with_the_nearest: r#"
frobnicate = 1
[limits]
message-sise = "25 MiB"
[plugins]
ordr = ["a"]
[plugins.footer]
onfailure = "proceed"
grants = { kw = true }
limits = { zzz = 1 }
[[domain]]
name = "example.org"
deliver = { maildirs = "/x" }
"#;
    keys_and_checks_of_senders: r#"
[sender-auth]
dmarc = "refuse"
authserv-id = "a b"
trusted-sealers = ["[192.0.2.1]"]
seal-domain = "example.com"
signatures = 51
time-limit = "0s"
[[dkim]]
domain = "example.org"
[[dkim]]
domain = "example.org"
selector = "a b"
key = "srs.secret"
[[dkim]]
domain = "example.org"
selector = "s"
key = "dkim.pem"
[[dkim]]
domain = "example.org"
selector = "S"
key = "dkim.pem"
from = "2026-12-31"
until = "2026-12-30T23:59:59Z"
[[dkim]]
domain = "example.net"
selector = "s"
key = "dkim.pem"
from = "tomorrow"
until = "2026-13-01"
[sender-auth.reports]
enabled = true
contact = "postmaster"
spread = "2d"
failures-per-hour = -1
"#;
    values_of_the_wrong_type: r#"
relay = 5
domain = "example.org"
[limits]
message-size = true
sessions = "many"
errors = -1
command-timeout = 300
[log]
level = 3
[plugins]
limits = []
[plugins.x]
enabled = "yes"
settings = "text"
"#;
    values_out_of_their_bounds: r#"
[limits]
message-size = "3 B"
header-size = "9 furlongs"
recipients = 0
command-timeout = "1ms"
data-timeout = "soon"
[queue]
retry = []
expire = "10y"
[outbound]
mx-port = 0
[plugins.limits]
memory = "1 TiB"
"#;
    words_that_are_no_choice: r#"
[log]
format = "jsn"
level = "loud"
[plugins.x]
on-failure = "temp-fail"
"#;
    domains: r#"
[[domain]]
name = "example.org"
[[domain]]
name = "EXAMPLE.org."
deliver = { maildir = "/x", lmtp = "127.0.0.1:24" }
[[domain]]
name = "-bad-"
deliver = {}
[[domain]]
deliver = { relay = "nohost" }
mailboxes = ["a b", "ok"]
aliases = { sales = ["x@", "ok"], none = [], "sp ace" = ["x"] }
subaddress-separator = "++"
[[domain]]
name = "template.example"
deliver = { maildir = "/var/mail/{user}" }
[[domain]]
name = "loop.example"
deliver = { lmtp = "host:0" }
"#;
    listeners: r#"
[[listener]]
name = "mx"
bind = ["127.0.0.1:25", "localhost:25"]
strict-paths = 1
bare-newline = "keep"
[[listener]]
bind = []
[[listener]]
name = ""
"#;
    proxies: r#"
[[listener]]
name = "a"
bind = "127.0.0.1:26"
proxy-protocol = true
[[listener]]
name = "b"
bind = "127.0.0.1:27"
proxy-protocol = ["0.0.0.0/0", "::/8", "10.0.0.0/8", "fe80::1", "proxy.example.org", 5]
"#;
    whom_the_server_cannot_become: r#"
[process]
user = "no-such-user"
group = "no-such-group"
landlock = "yes"
"#;
    a_group_without_a_user: r#"
[process]
group = "root"
"#;
    open_relays: r#"
[relay]
networks = ["0.0.0.0/0", "::/0", "0.0.0.0/1", "192.0.2.0/24", "192.0.2.1", "10.0.0.0/33", "example.org"]
"#;
    name_servers_and_hosts: r#"
[metrics]
bind = ["localhost:9025", "127.0.0.1"]
port = 9025
[dns]
servers = ["dns.example.org", "127.0.0.1"]
[outbound]
smarthost = "smtp.example.org"
"#;
    what_is_not_answered_over_http: r#"
[web]
bind = ["127.0.0.1:9026", "0.0.0.0:9026", "[2001:db8::1]:9026", "localhost:1"]
requests-per-minute = -1
[[api-token]]
scope = "everything"
[[api-token]]
name = "a"
hash = "md5:1"
scope = "send"
[[api-token]]
name = "a"
hash = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
scope = "admin"
user = "nobody@example.org"
[[api-token]]
name = "a"
hash = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
scope = "read"
"#;
    routes: r#"
[[domain]]
name = "example.org"
deliver = { maildir = "/x" }
[[domain]]
name = "inner.example"
deliver = { relay = "192.0.2.7:25" }
[[route]]
domains = ["example.org", "*.example.org", "inner.example"]
[[route]]
domains = ["*", "*.EXAMPLE.org", "**", "-x-"]
next-hop = "nohost"
tls = "requird"
source = ["0.0.0.0", "eth0", "192.0.2.1"]
connections = 0
messages-per-minute = "1"
[[route]]
domains = []
username = "wax"
[[route]]
next-hop = "192.0.2.1:25"
[[route]]
name = "a"
domains = "a.example"
next-hop = "192.0.2.1:25"
tls = "opportunistic"
username = "wax"
password-file = "absent.password"
[[route]]
name = "a"
domains = "b.example"
password-file = "partner.password"
[outbound]
smarthost = "smtp.example.org:25"
"#;
    hosts_that_a_plugin_cannot_be_granted: r#"
[plugins.x]
grants = { http = ["api.example.org", "https://api.example.org/", "*", "a.example:0"], http-private = ["10.0.0.0/8", "10.0.0"] }
[plugins.y]
grants = { http = true, http-private = 5 }
"#;
    what_listeners_cannot_be: r#"
[[listener]]
name = "lmtp"
bind = ["127.0.0.1:24", "127.0.0.2:25"]
kind = "lmtp"
require-tls = true
extensions = ["DSN", "BINARYMIME", "XFOO"]
[[listener]]
name = "other"
bind = "127.0.0.1:26"
kind = "imap"
extensions = "BINARYMIME"
greeting-delay = "5m"
xclient = ["0.0.0.0/0"]
[[listener]]
name = "sendmail"
bind = "127.0.0.1:27"
"#;
    tls_without_a_certificate: r#"
[[listener]]
name = "submission"
bind = "127.0.0.1:587"
tls = "starttls"
[[listener]]
name = "submissions"
bind = "127.0.0.1:465"
tls = "implicit"
[[listener]]
name = "odd"
bind = "127.0.0.1:466"
tls = "on"
"#;
    certificates: r#"
[tls]
certificate = "/x"
min-version = "1.1"
client-ca = ""
handshake-timeout = "1h"
[[tls.certificates]]
key = "/y"
certificat = "/x"
[[tls.certificates]]
"#;
    users: r#"
users-file = "faulty-users.toml"
[[user]]
name = "alice@example.org"
password-hash = "hunter22"
[[user]]
name = "Alice@EXAMPLE.org"
password-hash = ["$argon2i$v=19$m=16,t=2,p=1$c29tZXNhbHQ$rgaN2Yn0l8QPyU0w0RiBVg", "SCRAM-SHA-256$1:AAAA$AAAA:AAAA", 5]
[[user]]
name = "bob"
senders = ["@", "sales", "sales@example.org"]
[[user]]
name = "carol@example.org"
certificate = ["CN=carol"]
[[user]]
name = "dave@example.org"
certificate = ["cn=carol", ""]
password = "secret"
"#;
    ways_to_authenticate: r#"
users-file = "absent.toml"
[auth]
mechanisms = ["CRAM-MD5", "XOAUTH2"]
limits = { failures-per-user = 0, user-window = "0s", entries = 1 }
[auth.oauth]
audience = []
user-claim = ""
keys = [
    { file = "issuer.secret" },
    { algorithm = "none", file = "issuer.secret" },
    { algorithm = "RS256", file = "issuer.secret" },
    { jwks = "issuer.secret" },
    { jwks = "issuer.jwks", id = "new" },
    { jwks = "issuer.jwks", file = "issuer.secret" },
    {},
    { jwks = "absent.jwks" },
]
"#;
    tokens_without_an_issuer: r#"
[auth]
mechanisms = ["OAUTHBEARER"]
[[user]]
name = "alice@example.org"
"#;
    acme: r#"
[acme]
directory-url = "http://acme.example/"
contact = "postmaster"
names = ["*.example.org", "[192.0.2.1]"]
http-bind = []
renew-before = "1m"
"#;
    milters_that_cannot_be: r#"
[[milter]]
name = "two words"
address = "unix:run/milter.sock"
on-failure = "pass"
listeners = ["elsewhere", "htp", "mx", "http", "sendmail"]
macros = { "{a b}" = "c", daemon_name = 5 }
timeouts = { connect = "0s", read = "1s" }
[[milter]]
name = "m"
address = "127.0.0.1"
listeners = []
[[milter]]
name = "m"
"#;
    text_that_is_no_toml: r#"
[limits
message-size = 
[queue]
expire = "5d
"#;
    settings_that_plugins_cannot_be_given: r#"
[plugins.x]
settings = { big = 9223372036854775808, odd = nan }
[plugins]
order = ["x", "y", "x"]
"#;
}

#[test]
fn an_empty_file_lacks_what_has_to_be_there() {
    let faults = parse("").unwrap_err().to_string();
    assert!(faults.contains("waxwing.toml: data-dir: is missing;"), "{faults}");
    assert!(faults.contains("waxwing.toml: listener: is missing;"), "{faults}");
}

#[test]
fn no_text_makes_the_reader_panic() {
    let example = include_str!("example.toml");
    for (at, _) in example.char_indices() {
        let _ = parse(&example[..at]);
        let _ = parse(&format!(
            "{}{}",
            &example[..at],
            &example[at + example[at..].chars().next().map_or(0, char::len_utf8)..]
        ));
    }
}
