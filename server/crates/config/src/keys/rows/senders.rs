//! The rows of `[sender-auth]` and `[[dkim]]`.

use super::{COUNT, FLAG, PATH, SPAN, Section, TABLE, TEXT, key, optional, required};

const ACTION: &str = "\"report\", \"quarantine\" or \"reject\"";

pub(super) const SENDER_AUTH: Section = Section {
    name: "sender-auth",
    written: "`[sender-auth]`",
    doc: "Whether a message is from whom it says: SPF, DKIM, DMARC and ARC, for mail that strangers bring. What is found stands in \
          Authentication-Results, and plugins see it. Who may relay, and loopback and private addresses, are not checked.",
    keys: &[
        key("check", FLAG, "true", "Whether messages are checked."),
        optional(
            "authserv-id",
            "name",
            "`hostname`",
            "Whose results they are; fields of others under this name are removed. Servers that believe each other share it.",
        ),
        key(
            "dmarc",
            ACTION,
            "\"report\"",
            "The hardest that comes of DMARC: the author's domain decides, up to this. Rejected is with 550 5.7.26, quarantined is held in \
             the queue.",
        ),
        key(
            "spf",
            ACTION,
            "\"report\"",
            "What comes of a sender whose domain says that the client may not send for it (550 5.7.23), or whose record is broken (5.7.24). \
             Forwarded mail fails here by nature.",
        ),
        key(
            "dkim",
            ACTION,
            "\"report\"",
            "What comes of a message without a signature that holds (550 5.7.20 or 5.7.21).",
        ),
        key(
            "reverse-dns",
            ACTION,
            "\"report\"",
            "What comes of a client whose address has no name that points back (550 5.7.25); needs `reverse-lookups` of `[dns]`.",
        ),
        key(
            "trusted-sealers",
            "list of domains",
            "[]",
            "Forwarders that are believed: what fails is let through when its ARC chain holds and its last seal is by one of these.",
        ),
        optional(
            "seal-domain",
            "domain name",
            "nothing is sealed",
            "Mail that goes on to other hosts is sealed (ARC) by the first key of this domain, one of `[[dkim]]`.",
        ),
        optional(
            "reports",
            TABLE,
            "nobody is told",
            "Reports to the domains in whose names mail comes; see `[sender-auth.reports]`.",
        ),
        key("signatures", "number", "10", "Signatures of a message that are verified."),
        key("lookups", "number", "150", "Questions to DNS for one message."),
        key(
            "time-limit",
            "time",
            "\"15s\"",
            "How long it may take; what is not known by then counts as a failure of DNS.",
        ),
    ],
};

pub(super) const SENDER_AUTH_REPORTS: Section = Section {
    name: "sender-auth.reports",
    written: "`[sender-auth.reports]`",
    doc: "Reports to domains whose DMARC records ask for them (`rua`) on mail that came in their name, once a day. To begin with them needs a \
          restart.",
    keys: &[
        key("enabled", FLAG, "false", "Whether messages are counted and reports sent."),
        optional(
            "contact",
            "mailbox",
            "postmaster at the host name",
            "Who answers questions; reports come from there. Its domain should have a key in `[[dkim]]`.",
        ),
        optional("organization", TEXT, "the host name", "Who reports."),
        key(
            "spread",
            SPAN,
            "\"4h\"",
            "The day ends at midnight UTC; domains are told within this time after it, each at its own moment.",
        ),
        key(
            "failures-per-hour",
            COUNT,
            "0",
            "Single failures that are told at once to domains that ask for that (`ruf`): header and findings, never a body. Ten a domain at \
             most; 0: none is.",
        ),
    ],
};

pub(super) const DKIM: Section = Section {
    name: "dkim",
    written: "`[[dkim]]`",
    doc: "A key that signs what users and clients that may relay send: mail whose author is of the domain, or of one beneath that has no \
          key. All keys of a domain sign that are in their time, four at most: one of RSA and one of Ed25519, say. Reports and bounces are signed \
          too. To change a key, publish the new one under another selector and say `from` which day it signs and `until` which the old one did; \
          leave the old one's record for a week.",
    keys: &[
        required("domain", "domain name", "The domain that signs."),
        required("selector", "name", "The key's name: its record is at `SELECTOR._domainkey.DOMAIN`."),
        required(
            "key",
            PATH,
            "The private key in PEM, as `waxwing dkim generate` makes it: RSA of 2,048 to 4,096 bits, or Ed25519.",
        ),
        optional(
            "from",
            "day or moment",
            "always",
            "When it begins to sign: a day in UTC as in `\"2026-12-31\"`, or `\"2026-12-31T12:00:00Z\"`.",
        ),
        optional("until", "day or moment", "for ever", "When it signs no more."),
    ],
};
