//! The rows of `[dns]`.

use super::{COUNT, FLAG, PATH, SPAN, key, optional};
use crate::keys::Section;

pub(super) const DNS: Section = Section {
    name: "dns",
    written: "`[dns]`",
    doc: "Whom to ask, how long, and how much to remember. A reload asks those that are named by then, `resolv.conf` included.",
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
