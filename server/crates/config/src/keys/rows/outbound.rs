//! The rows of the tables about delivery to other hosts.

use super::{COUNT, FLAG, SIZE, SPAN, TABLE, key, optional};
use crate::keys::Section;

pub(super) const OUTBOUND: Section = Section {
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

pub(super) const OUTBOUND_LIMITS: Section = Section {
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

pub(super) const OUTBOUND_TIMEOUTS: Section = Section {
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

pub(super) const TLS_REPORT: Section = Section {
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
        key(
            "spread",
            SPAN,
            "\"4h\"",
            "The day ends at midnight UTC; domains are told within this time after it, each at its own moment.",
        ),
    ],
};
