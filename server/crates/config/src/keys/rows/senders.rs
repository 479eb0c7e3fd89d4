//! The rows of `[sender-auth]` and `[[dkim]]`.

use super::{FLAG, PATH, Section, key, optional, required};

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

pub(super) const DKIM: Section = Section {
    name: "dkim",
    written: "`[[dkim]]`",
    doc: "A key that signs what users and clients that may relay send: mail whose author is of the domain, or of one beneath that has no \
          key. All keys of a domain sign, four at most: one of RSA and one of Ed25519, say. To change a key, publish and add the new one under \
          another selector, then take the old one out and leave its record for a week.",
    keys: &[
        required("domain", "domain name", "The domain that signs."),
        required("selector", "name", "The key's name: its record is at `SELECTOR._domainkey.DOMAIN`."),
        required(
            "key",
            PATH,
            "The private key in PEM, as `waxwing dkim generate` makes it: RSA of 2,048 to 4,096 bits, or Ed25519.",
        ),
    ],
};
