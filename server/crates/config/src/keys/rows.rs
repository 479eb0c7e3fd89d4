//! The rows of the reference, in the order in which they are shown.

mod domain;
mod forwarding;
mod limits;
mod milter;
mod plugins;
mod reports;
mod route;
mod senders;
mod users;

use super::acme::ACME;
use super::{Default, Key, Section};
use domain::{DELIVER, DOMAIN};
use forwarding::FORWARDING;
use limits::LIMITS;
use milter::{MILTER, MILTER_TIMEOUTS};
use plugins::{GRANTS, ONE_PLUGIN_LIMITS, PLUGIN, PLUGIN_LIMITS, PLUGINS};
use reports::REPORTS;
use route::ROUTE;
use senders::{DKIM, SENDER_AUTH};
use users::{AUTH, AUTH_LIMITS, OAUTH, OAUTH_KEY, USER, USERS_FILE};

pub(super) const fn key(
    name: &'static str,
    takes: &'static str,
    default: &'static str,
    doc: &'static str,
) -> Key {
    Key { name, takes, default: Default::Toml(default), doc }
}

pub(super) const fn optional(
    name: &'static str,
    takes: &'static str,
    absent: &'static str,
    doc: &'static str,
) -> Key {
    Key { name, takes, default: Default::Words(absent), doc }
}

pub(super) const fn required(name: &'static str, takes: &'static str, doc: &'static str) -> Key {
    Key { name, takes, default: Default::Required, doc }
}

pub(super) const SIZE: &str = "size";
pub(super) const SPAN: &str = "time span";
pub(super) const COUNT: &str = "number";
pub(super) const FLAG: &str = "true or false";
pub(super) const TEXT: &str = "text";
pub(super) const PATH: &str = "path";
pub(super) const TABLE: &str = "table";

/// Every table and key.
pub const SECTIONS: &[Section] = &[
    ROOT,
    LISTENER,
    TLS,
    TLS_CERTIFICATES,
    ACME,
    DOMAIN,
    DELIVER,
    USER,
    USERS_FILE,
    AUTH,
    AUTH_LIMITS,
    OAUTH,
    OAUTH_KEY,
    RELAY,
    FORWARDING,
    SENDER_AUTH,
    DKIM,
    OUTBOUND,
    OUTBOUND_LIMITS,
    OUTBOUND_TIMEOUTS,
    ROUTE,
    TLS_REPORT,
    DNS,
    LIMITS,
    QUEUE,
    REPORTS,
    MILTER,
    MILTER_TIMEOUTS,
    PLUGINS,
    PLUGIN,
    GRANTS,
    PLUGIN_LIMITS,
    ONE_PLUGIN_LIMITS,
    LOG,
    METRICS,
    PROCESS,
];

const ROOT: Section = Section {
    name: "",
    written: "Outside of all tables",
    doc: "",
    keys: &[
        optional(
            "hostname",
            "domain name",
            "the system's host name",
            "This server's name: in greetings, in Received fields, in EHLO to others.",
        ),
        required(
            "data-dir",
            PATH,
            "Where queue, plugin data, compiled plugins and control socket are kept. One server at a time.",
        ),
        required("listener", "tables", "Where clients connect; see `[[listener]]`."),
        optional("tls", TABLE, "no certificate", "Certificates and keys; see `[tls]`."),
        optional("acme", TABLE, "none", "A certificate from an authority; see `[acme]`."),
        optional("domain", "tables", "none", "The domains whose mail ends here; see `[[domain]]`."),
        optional("user", "tables", "none", "Who may authenticate; see `[[user]]`."),
        optional(
            "users-file",
            PATH,
            "none",
            "A file with more users; see there. It is read at the start and with each reload.",
        ),
        optional("auth", TABLE, "defaults", "How users authenticate; see `[auth]`."),
        optional(
            "relay",
            TABLE,
            "nobody relays",
            "Who may send to domains that are not ours; see `[relay]`.",
        ),
        optional("sender-auth", TABLE, "defaults", "Whether mail is from whom it says; see `[sender-auth]`."),
        optional("dkim", "tables", "nothing is signed", "Keys that sign what leaves; see `[[dkim]]`."),
        optional("forwarding", TABLE, "senders stay", "How forwarded mail is sent; see `[forwarding]`."),
        optional("outbound", TABLE, "defaults", "Delivery to other hosts; see `[outbound]`."),
        optional("route", "tables", "all mail by MX", "By which way mail leaves; see `[[route]]`."),
        optional(
            "tls-report",
            TABLE,
            "none are sent",
            "Reports to domains on TLS with their hosts; see `[tls-report]`.",
        ),
        optional("dns", TABLE, "defaults", "Whom to ask; see `[dns]`."),
        optional("limits", TABLE, "defaults", "What clients may use up; see `[limits]`."),
        optional("queue", TABLE, "defaults", "Retries, expiry and room; see `[queue]`."),
        optional("reports", TABLE, "defaults", "What senders are told, and how; see `[reports]`."),
        optional("milter", "tables", "none", "Filters that speak the milter protocol; see `[[milter]]`."),
        optional("plugins", TABLE, "defaults", "Plugins and what they may do; see `[plugins]`."),
        optional("log", TABLE, "defaults", "How much is logged, and how; see `[log]`."),
        optional(
            "process",
            TABLE,
            "defaults",
            "As whom the server runs, and what it may touch; see `[process]`.",
        ),
        optional("metrics", TABLE, "none", "Where Prometheus may ask; see `[metrics]`."),
    ],
};

const LISTENER: Section = Section {
    name: "listener",
    written: "`[[listener]]`",
    doc: "Addresses where clients connect, and how their sessions behave. At least one is needed.",
    keys: &[
        required("name", TEXT, "What plugins and logs call it; each listener has its own."),
        required(
            "bind",
            "list of addresses with ports",
            "As in `[\"0.0.0.0:25\", \"[::]:25\"]`; port 0 takes one that is free.",
        ),
        key(
            "kind",
            "\"mx\", \"submission\" or \"lmtp\"",
            "\"mx\"",
            "What it is for: mail from other servers; mail from users, who authenticate first; or mail that a server beside \
             this one hands over, with a reply for each recipient.",
        ),
        key(
            "tls",
            "\"off\", \"starttls\" or \"implicit\"",
            "\"off\"",
            "Whether clients may turn to TLS with STARTTLS, or start with it. Both need a certificate; see `[tls]`.",
        ),
        key(
            "proxy-protocol",
            "false, or list of networks",
            "false",
            "Proxies that are trusted to say whose connection they hand on, as in `[\"10.0.0.0/8\"]`. A connection from there has to \
             begin with a PROXY header, version 1 or 2; one from elsewhere is the client's own.",
        ),
        key(
            "require-tls",
            FLAG,
            "false",
            "Whether mail is taken under TLS only; without it MAIL is answered 530 5.7.0. Not for a listener where the world's mail \
             comes in.",
        ),
        optional(
            "extensions",
            "list of keywords",
            "all, but FUTURERELEASE for `submission` alone",
            "The service extensions that are announced and obeyed. STARTTLS, AUTH and XCLIENT come with `tls`, `[[user]]` and `xclient`.",
        ),
        key(
            "xclient",
            "list of networks",
            "[]",
            "Clients that may say with XCLIENT whom they speak for, as in `[\"10.0.0.0/8\"]`.",
        ),
        key(
            "greeting-delay",
            SPAN,
            "\"0s\"",
            "How long the greeting waits; a client that speaks meanwhile is refused with 554 5.5.1. Clients that may relay do not wait.",
        ),
        key(
            "sender-auth",
            "\"off\", \"report\", \"quarantine\" or \"reject\"",
            "\"reject\"",
            "The hardest that comes here of what `[sender-auth]` decides; off: senders are not checked.",
        ),
        key(
            "hide-client",
            FLAG,
            "false",
            "Whether Received leaves out where the client called from, and what it called itself.",
        ),
        key(
            "strict-paths",
            FLAG,
            "false",
            "Whether MAIL and RCPT are read as RFC 5321 writes them and not otherwise; white space behind the colon and \
             missing angle brackets are then refused.",
        ),
        key(
            "bare-newline",
            "\"reject\" or \"convert\"",
            "\"reject\"",
            "What becomes of a CR or LF that stands alone in a message: the message is refused, or it becomes a CRLF. It \
             never ends a message.",
        ),
    ],
};

const TLS: Section = Section {
    name: "tls",
    written: "`[tls]`",
    doc: "What clients are shown, and what they are asked for. The files are looked at every minute and read again when they \
          have changed; where a new one cannot be used, the old one stays and the log says why.",
    keys: &[
        optional(
            "certificate",
            PATH,
            "none",
            "PEM: the server's certificate, and behind it those that lead to an authority.",
        ),
        optional("key", PATH, "none", "PEM: its private key, without a passphrase. May be the same file."),
        optional(
            "certificates",
            "tables",
            "none",
            "More of them, chosen by the name that a client asks for; see `[[tls.certificates]]`.",
        ),
        optional(
            "client-ca",
            PATH,
            "no client is asked",
            "PEM: the authorities that vouch for clients. Clients are asked for a certificate; one without, or with another, is \
             served all the same, and has no name.",
        ),
        key("min-version", "\"1.2\" or \"1.3\"", "\"1.2\"", "The oldest version of TLS that is spoken."),
        key("handshake-timeout", SPAN, "\"30s\"", "How long a client may take for a handshake."),
    ],
};

const TLS_CERTIFICATES: Section = Section {
    name: "tls.certificates",
    written: "`[[tls.certificates]]`",
    doc: "A certificate for the names that stand in it. The first of all, with that of `[tls]` before these, is shown to \
          clients that ask for no name, or for one that is in none of them.",
    keys: &[required("certificate", PATH, "As in `[tls]`."), required("key", PATH, "As in `[tls]`.")],
};

const RELAY: Section = Section {
    name: "relay",
    written: "`[relay]`",
    doc: "Who may send to domains that are not ours. Nobody but these; a network that holds everybody is refused.",
    keys: &[key("networks", "list of networks or addresses", "[]", "As in `[\"127.0.0.0/8\", \"::1\"]`.")],
};

const OUTBOUND: Section = Section {
    name: "outbound",
    written: "`[outbound]`",
    doc: "Delivery to other hosts.",
    keys: &[
        optional(
            "smarthost",
            "`host:port`",
            "the domain's MX hosts",
            "Where mail for other domains goes that has no route of its own: short for a `[[route]]` for `\"*\"`.",
        ),
        key("mx-port", "port", "25", "The port of MX hosts."),
        key(
            "own-names",
            "list of names",
            "[]",
            "Names of this host beside `hostname`: an MX record with one of them leads back here.",
        ),
        key(
            "tls",
            "`\"off\"`, `\"opportunistic\"`, `\"required\"`, `\"verified\"` or `\"implicit\"`",
            "\"opportunistic\"",
            "What TLS other hosts are asked for: none; STARTTLS where it is offered and works, under any certificate; the same or the mail \
             waits; with a certificate that is verified or the mail waits; TLS from the first octet with a certificate that is verified.",
        ),
        optional(
            "ca-file",
            "path",
            "none",
            "Authorities, in PEM, that are believed beside those of the system.",
        ),
        key(
            "dane",
            FLAG,
            "true",
            "Whether TLSA records are obeyed where DNSSEC proves them, and the domain's MX records and its host's addresses; see `dns.dnssec`.",
        ),
        key(
            "mta-sts",
            FLAG,
            "true",
            "Whether the MTA-STS policies of domains are fetched, kept in the data directory, and obeyed where DANE has no say.",
        ),
        key(
            "mta-sts-port",
            COUNT,
            "443",
            "Where the hosts of policies listen; another port is for tests alone.",
        ),
        optional("limits", TABLE, "defaults", "What deliveries may use up; see `[outbound.limits]`."),
        optional(
            "timeouts",
            TABLE,
            "defaults",
            "How long other hosts are waited for; see `[outbound.timeouts]`.",
        ),
    ],
};

const OUTBOUND_LIMITS: Section = Section {
    name: "outbound.limits",
    written: "`[outbound.limits]`",
    doc: "What deliveries may use up. A change of `deliveries` needs a restart.",
    keys: &[
        key(
            "connections-per-destination",
            COUNT,
            "20",
            "Connections to one destination at once, at most. It begins with one; as long as all goes well, each message makes room for one more, and \
             after a failure for half as many.",
        ),
        key(
            "deliveries",
            COUNT,
            "500",
            "Connections to all destinations at once, idle ones and Maildir writers with them.",
        ),
        key("maildir-writers", COUNT, "4", "Threads that write to one Maildir tree at once."),
        key("active-entries", COUNT, "20000", "Messages in delivery at once, without their content."),
        key("queued-per-destination", COUNT, "5000", "Attempts in memory that wait for one destination."),
        key("parked-entries", COUNT, "100000", "Ids in memory of messages that wait for a full destination."),
        key(
            "memory",
            SIZE,
            "\"64 MiB\"",
            "Octets of fresh content in memory; content beyond is read from the queue again.",
        ),
        key("messages-per-connection", COUNT, "1000", "Messages over one connection."),
        key("recipients-per-transaction", COUNT, "100", "Recipients in one transaction."),
        key("hosts-per-destination", COUNT, "10", "Hosts of one destination whose addresses are asked for."),
        key("addresses-per-attempt", COUNT, "10", "Addresses that one attempt tries in turn."),
        key("idle-connection", SPAN, "\"3s\"", "How long a connection without a message is kept."),
        key("connect-timeout", SPAN, "\"30s\"", "How long one address is tried."),
        key(
            "address-delay",
            SPAN,
            "\"250ms\"",
            "How long an address has before the next one of a host that is preferred alike is tried beside it.",
        ),
        key(
            "session-timeout",
            SPAN,
            "\"10m\"",
            "How long it may take to get a session, over all addresses of a destination.",
        ),
        key(
            "backoff",
            SPAN,
            "\"1m\"",
            "How long a destination that could not be reached is left alone; doubled with each failure in a row.",
        ),
        key("backoff-max", SPAN, "\"5m\"", "What the doubling ends at."),
        key("sweep", SPAN, "\"1m\"", "How often the queue is searched for messages that nobody handed over."),
    ],
};

const OUTBOUND_TIMEOUTS: Section = Section {
    name: "outbound.timeouts",
    written: "`[outbound.timeouts]`",
    doc: "How long another host is waited for, from its last sign of progress (RFC 5321 section 4.5.3.2).",
    keys: &[
        key("greeting", SPAN, "\"5m\"", "For its greeting."),
        key("hello", SPAN, "\"5m\"", "For the reply to EHLO."),
        key("tls", SPAN, "\"1m\"", "For the reply to STARTTLS, and again for the handshake."),
        key("auth", SPAN, "\"2m\"", "For the reply to each line of AUTH."),
        key("mail", SPAN, "\"5m\"", "For the reply to MAIL."),
        key("rcpt", SPAN, "\"5m\"", "For the reply to RCPT."),
        key("data", SPAN, "\"2m\"", "For the reply to DATA."),
        key("block", SPAN, "\"3m\"", "For some octets of the message to be taken."),
        key(
            "termination",
            SPAN,
            "\"10m\"",
            "For the reply to the end of the message; short ones cause duplicates.",
        ),
        key("reset", SPAN, "\"5m\"", "For the reply to RSET."),
        key("quit", SPAN, "\"5s\"", "For the reply to QUIT."),
    ],
};

const TLS_REPORT: Section = Section {
    name: "tls-report",
    written: "`[tls-report]`",
    doc: "Reports to domains that ask for them on what became of TLS sessions with their hosts (RFC 8460), once a day. To begin with them needs \
          a restart.",
    keys: &[
        key("enabled", FLAG, "false", "Whether sessions are counted and reports sent."),
        optional(
            "contact",
            "mailbox",
            "postmaster at the host name",
            "Who answers questions; reports come from there.",
        ),
        optional("organization", "text", "the host name", "Who reports."),
    ],
};

const DNS: Section = Section {
    name: "dns",
    written: "`[dns]`",
    doc: "Whom to ask, how long, and how much to remember. A change needs a restart.",
    keys: &[
        optional(
            "servers",
            "list of addresses",
            "the system's",
            "Name servers, with a port if it is not 53.",
        ),
        key("timeout", SPAN, "\"5s\"", "For one try of a question."),
        key("retries", COUNT, "2", "Further tries after one that failed or timed out."),
        key("cache-entries", COUNT, "8192", "Answers that are remembered."),
        key("max-ttl", SPAN, "\"1d\"", "Answers are forgotten after this even if their records live longer."),
        key("max-negative-ttl", SPAN, "\"1h\"", "The same for names and records that do not exist."),
        optional(
            "dnssec",
            FLAG,
            "whether the name servers hand out signatures",
            "Whether what DANE rests on is validated, beside and apart from all other questions. `true`: what cannot be validated is a \
             failure; `false`: no DANE.",
        ),
        optional(
            "trust-anchor-file",
            PATH,
            "the root's own keys",
            "DNSKEY records of the root, as in a zone file: for a private root, and for tests.",
        ),
        key(
            "reverse-lookups",
            FLAG,
            "true",
            "Whether the name of a client is looked up and confirmed; those of loopback and private addresses never are.",
        ),
    ],
};

const QUEUE: Section = Section {
    name: "queue",
    written: "`[queue]`",
    doc: "How long delivery is tried, and the room that the queue takes. A change of the room needs a restart.",
    keys: &[
        key(
            "retry",
            "list of time spans",
            "[\"5m\", \"15m\", \"1h\", \"4h\"]",
            "The pauses after the first attempt that failed, the second, ...; the last repeats. Each is stretched or \
             shortened by up to 10 %.",
        ),
        key("expire", SPAN, "\"5d\"", "A message that is older is given up, and its sender told."),
        key(
            "delay-warning",
            SPAN,
            "\"4h\"",
            "A message that is older and still waits is told of, once for each recipient, unless its sender does not want it (RFC 3461); \
             `\"0s\"`: no message is.",
        ),
        key(
            "min-free",
            SIZE,
            "\"512 MiB\"",
            "Free octets on the disk below which no mail is taken; MAIL is answered 452 4.3.1.",
        ),
        key("max-entries", COUNT, "5000000", "Messages that the queue may hold; over it 452 4.3.1."),
        key("segment-size", SIZE, "\"64 MiB\"", "Octets of a segment of the log."),
        key(
            "inline-size",
            SIZE,
            "\"256 KiB\"",
            "A larger message is a file of its own; at most an eighth of a segment.",
        ),
        key(
            "settle-delay",
            SPAN,
            "\"1s\"",
            "A message that is delivered within this time never touches the index.",
        ),
        key(
            "memory-recipients",
            COUNT,
            "200000",
            "Recipients in memory until the index has them, about 1 KiB each.",
        ),
    ],
};

const LOG: Section = Section {
    name: "log",
    written: "`[log]`",
    doc: "Logs go to standard error. A change needs a restart.",
    keys: &[
        key(
            "format",
            "\"text\" or \"json\"",
            "\"text\"",
            "For people, or for machines: one JSON object a line.",
        ),
        key(
            "level",
            "\"error\", \"warn\", \"info\", \"debug\" or \"trace\"",
            "\"info\"",
            "The least that is logged.",
        ),
    ],
};

const METRICS: Section = Section {
    name: "metrics",
    written: "`[metrics]`",
    doc: "Numbers for Prometheus over HTTP at `/metrics`; `/healthz` answers while the process lives, `/readyz` while it accepts \
          mail. Whoever can connect can read them, so the default is this machine alone. A change needs a restart.",
    keys: &[optional(
        "bind",
        "address with a port, or a list of them",
        "`\"127.0.0.1:9025\"`, when there is the table",
        "Where to listen; port 0 takes one that is free.",
    )],
};

const PROCESS: Section = Section {
    name: "process",
    written: "`[process]`",
    doc: "What the server gives up once its sockets are bound. A change needs a restart.",
    keys: &[
        optional(
            "user",
            "name of a user",
            "whoever starts it",
            "Whom the server becomes when root starts it. The data directory has to be this user's, or empty; the configuration has to \
             be readable to this user, and Maildirs writable.",
        ),
        optional(
            "group",
            "name of a group",
            "the user's",
            "The group of the server, in place of the user's first one.",
        ),
        key(
            "landlock",
            FLAG,
            "true",
            "Whether the server can touch its own files only: the data directory, the folders of Maildirs, plugins and the \
             configuration, and what the system's libraries read. A kernel without Landlock is no fault; the log says what came of \
             it. A reload that leads to another place is refused.",
        ),
    ],
};
