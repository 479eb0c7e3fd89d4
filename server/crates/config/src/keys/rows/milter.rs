//! The rows of `[[milter]]`.

use super::{FLAG, SIZE, SPAN, TABLE, TEXT, key, optional, required};
use crate::keys::Section;

pub(super) const MILTER: Section = Section {
    name: "milter",
    written: "`[[milter]]`",
    doc: "Filters that speak the milter protocol: opendkim, clamav-milter and many others. They are asked in the order of the file, \
          at the same stages as plugins. A change counts for sessions that begin after a reload.",
    keys: &[
        required("name", TEXT, "What logs and metrics call it; each milter has its own."),
        required(
            "address",
            "address",
            "Where it listens: `\"unix:/run/opendkim/opendkim.sock\"`, or a host and a port as in `\"127.0.0.1:8891\"`.",
        ),
        key(
            "on-failure",
            "\"tempfail\", \"proceed\" or \"quarantine\"",
            "\"tempfail\"",
            "What counts when it is not there, does not answer in time or answers what cannot be: 451 4.3.0, as if there were none, or \
             accept and hold.",
        ),
        optional(
            "listeners",
            "list of names",
            "all, with `http` and `sendmail`",
            "The listeners whose sessions it is told of. `http` is mail over HTTP, `sendmail` that of programs of this host.",
        ),
        key(
            "before-plugins",
            FLAG,
            "false",
            "Whether it is asked before the plugins rather than after them.",
        ),
        optional(
            "macros",
            TABLE,
            "none",
            "Macros with values of your own, as in `{ daemon_name = \"ORIGINATING\" }`; they go before what the server knows.",
        ),
        optional("timeouts", TABLE, "defaults", "How long it is waited for; see `timeouts`."),
        key(
            "replaced-body-size",
            SIZE,
            "\"50 MiB\"",
            "Octets of a body that it may put in place of the old one; with more it fails.",
        ),
    ],
};

pub(super) const MILTER_TIMEOUTS: Section = Section {
    name: "milter.timeouts",
    written: "`timeouts = { ... } in [[milter]]`",
    doc: "A milter that takes longer has failed.",
    keys: &[
        key("connect", SPAN, "\"10s\"", "Until there is a connection."),
        key("command", SPAN, "\"30s\"", "Until connect, HELO, MAIL, RCPT or DATA is answered, each."),
        key("content", SPAN, "\"60s\"", "Until a header field or a piece of the body is answered, each."),
        key(
            "end-of-message",
            SPAN,
            "\"3m\"",
            "Until the end of the message is answered. A milter that says that it makes progress is given it again.",
        ),
        key(
            "message",
            SPAN,
            "\"9m\"",
            "All of a message's content, with whatever progress. A client waits for ten minutes.",
        ),
    ],
};
