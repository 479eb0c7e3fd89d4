//! The rows of the tables about what the server shows of itself and what it may touch.

use super::{FLAG, key, optional};
use crate::keys::Section;

pub(super) const LOG: Section = Section {
    name: "log",
    written: "`[log]`",
    doc: "Logs go to standard error. A change of `format` needs a restart.",
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

pub(super) const METRICS: Section = Section {
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

pub(super) const PROCESS: Section = Section {
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
