//! The rows of `[reports]`.

use super::{Section, key, optional};

pub(super) const REPORTS: Section = Section {
    name: "reports",
    written: "`[reports]`",
    doc: "What senders are told of mail that could not be delivered.",
    keys: &[
        optional(
            "template",
            "path",
            "the built-in text",
            "What people read in a report, in the syntax of Jinja; `server/crates/message/src/dsn/report.txt` is the one built in, and says what there is to tell.",
        ),
        key(
            "double-bounces",
            "\"drop\" or \"postmaster\"",
            "\"drop\"",
            "What becomes of a report that cannot be delivered itself: nothing but a line in the log, or a report to the postmaster.",
        ),
    ],
};
