//! The rows of `[[listener]]`.

use super::{FLAG, SPAN, TEXT, key, optional, required};
use crate::keys::Section;

pub(super) const LISTENER: Section = Section {
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
