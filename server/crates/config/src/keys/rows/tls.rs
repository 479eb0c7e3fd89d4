//! The rows of the tables about TLS with clients.

use super::{PATH, SPAN, key, optional, required};
use crate::keys::Section;

pub(super) const TLS: Section = Section {
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

pub(super) const TLS_CERTIFICATES: Section = Section {
    name: "tls.certificates",
    written: "`[[tls.certificates]]`",
    doc: "A certificate for the names that stand in it. The first of all, with that of `[tls]` before these, is shown to \
          clients that ask for no name, or for one that is in none of them.",
    keys: &[required("certificate", PATH, "As in `[tls]`."), required("key", PATH, "As in `[tls]`.")],
};
