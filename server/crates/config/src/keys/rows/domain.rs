//! The rows of `[[domain]]`.

use super::{COUNT, PATH, SIZE, SPAN, Section, TABLE, key, optional, required};

pub(super) const DOMAIN: Section = Section {
    name: "domain",
    written: "`[[domain]]`",
    doc: "A domain whose mail ends here.",
    keys: &[
        required("name", "domain name", "The domain, without its subdomains."),
        optional(
            "deliver",
            TABLE,
            "needed unless every address is an alias",
            "Where mail goes; see `deliver`.",
        ),
        optional(
            "mailboxes",
            "list of local parts",
            "every local part",
            "The mailboxes that there are; mail to others is refused with 550 5.1.1.",
        ),
        optional(
            "aliases",
            "table of lists",
            "none",
            "Names and where their mail goes instead: local parts of this domain, or whole addresses.",
        ),
        optional(
            "catch-all",
            "local part or address",
            "none",
            "Where mail goes for local parts that have neither mailbox nor alias; needs `mailboxes`.",
        ),
        key(
            "subaddress-separator",
            "one character, or empty",
            "\"+\"",
            "What separates a mailbox from a detail (`alice+news`); empty: nothing does.",
        ),
    ],
};

pub(super) const DELIVER: Section = Section {
    name: "domain.deliver",
    written: "`deliver = { ... } in [[domain]]`",
    doc: "Exactly one of `maildir`, `lmtp`, `relay` and `pipe`.",
    keys: &[
        optional(
            "maildir",
            PATH,
            "not this",
            "A Maildir for each mailbox; `{domain}` and `{local}` stand for the recipient's, without its detail.",
        ),
        optional("lmtp", "`host:port` or path", "not this", "An LMTP server, over TCP or at a Unix socket."),
        optional("relay", "`host:port`", "not this", "An SMTP server."),
        optional(
            "pipe",
            "list of texts",
            "not this",
            "A program by its absolute path, and its arguments, run without a shell for each recipient with the message on its standard \
             input; `{local}`, `{domain}`, `{recipient}`, `{sender}` and `{queue-id}` are filled in. Code 0 delivers, 75 tries again, any \
             other refuses with the first line of its output. With Landlock it can touch what the server can, run what lies in \
             `/usr/bin` and the like, and write to `writes`.",
        ),
        optional(
            "user",
            "name of a user",
            "the server's",
            "With `pipe`: whom the program runs as; the server has to be root then.",
        ),
        key("writes", "list of paths", "[]", "With `pipe`: folders that the program writes to."),
        key(
            "timeout",
            SPAN,
            "\"5m\"",
            "With `pipe`: how long the program may take; then it is ended, and tried again later.",
        ),
        key("memory", SIZE, "\"1 GiB\"", "With `pipe`: the program's address space."),
        key("output", SIZE, "\"64 KiB\"", "With `pipe`: how much of what the program writes is read."),
        key("concurrency", COUNT, "4", "With `pipe`: programs for this domain at once."),
    ],
};
