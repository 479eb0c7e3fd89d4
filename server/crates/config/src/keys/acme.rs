//! The rows of `[acme]`.

use super::Section;
use super::rows::{FLAG, PATH, SPAN, key, optional, required};

pub(super) const ACME: Section = Section {
    name: "acme",
    written: "`[acme]`",
    doc: "A certificate that the server gets from an authority and renews (RFC 8555, HTTP-01). It is kept in the data directory, \
          and until it is there one that nobody signed is shown instead. `waxwing reload` tries at once what failed before.",
    keys: &[
        required("directory-url", "https address", "The authority's directory."),
        required(
            "accept-terms",
            FLAG,
            "Has to be `true`: whoever starts the server with this accepts the authority's terms.",
        ),
        optional(
            "names",
            "list of domain names",
            "`hostname`",
            "The names that are certified. No wildcards.",
        ),
        key(
            "contact",
            "list of mail addresses",
            "[]",
            "Where the authority may write; told when the account is made.",
        ),
        key(
            "http-bind",
            "list of addresses with ports",
            "\"0.0.0.0:80\"",
            "Where the authority's question is answered, and nothing else; open only while a certificate is asked for, and \
             bound all the time where `process.user` is given. It has to be reachable as port 80 of every name.",
        ),
        optional(
            "ca-file",
            PATH,
            "the system's authorities",
            "PEM: the one root certificate that vouches for the authority's own HTTPS.",
        ),
        key(
            "renew-before",
            SPAN,
            "\"30d\"",
            "How long before its end a certificate is renewed; of one for a short time, two thirds are used up first.",
        ),
    ],
};
