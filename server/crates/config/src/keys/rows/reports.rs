//! The rows of `[reports]`.

use super::{Section, key};

pub(super) const REPORTS: Section = Section {
    name: "reports",
    written: "`[reports]`",
    doc: "What senders are told of mail that could not be delivered.",
    keys: &[key(
        "double-bounces",
        "\"drop\" or \"postmaster\"",
        "\"drop\"",
        "What becomes of a report that cannot be delivered itself: nothing but a line in the log, or a report to the postmaster.",
    )],
};
