//! The rows of `[forwarding]`.

use super::{PATH, Section, optional};

pub(super) const FORWARDING: Section = Section {
    name: "forwarding",
    written: "`[forwarding]`",
    doc: "Mail for an alias, a catch-all or a plugin's recipient at another host leaves with a rewritten sender (SRS), so that SPF does \
          not refuse it there; what is returned to that sender goes back to the real one.",
    keys: &[
        optional(
            "srs-domain",
            "domain name",
            "senders stay as they are",
            "The domain of rewritten senders. Its mail has to come to this server, and its SPF record to allow it; it need be no `[[domain]]`.",
        ),
        optional(
            "srs-secret-file",
            PATH,
            "a secret in the data directory, made once",
            "What rewritten senders are signed with, 16 octets or more; servers that share a domain share it.",
        ),
    ],
};
