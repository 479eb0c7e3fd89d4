//! The rows of `[[route]]`.

use super::{COUNT, PATH, TEXT, optional, required};
use crate::keys::Section;

pub(super) const ROUTE: Section = Section {
    name: "route",
    written: "`[[route]]`",
    doc: "By which way mail for some domains leaves, and under what conditions. The most specific name wins: the domain itself, then \
          the longest `*.parent`, then `*`. For a domain of ours whose `deliver` is a relay, the route that names it gives the \
          conditions; the relay stays the next hop.",
    keys: &[
        required(
            "domains",
            "list of domain names",
            "Whose mail goes this way: `\"example.org\"`, `\"*.example.org\"` for all that is below it, `\"*\"` for everything. \
             Each is in one route.",
        ),
        optional(
            "name",
            TEXT,
            "the first of `domains`",
            "What logs and plugins call it; each route has its own.",
        ),
        optional(
            "next-hop",
            "`host:port`",
            "the domain's MX hosts",
            "The SMTP server that takes the mail; MX records are not asked for.",
        ),
        optional(
            "tls",
            "as in `[outbound]`",
            "`outbound.tls`; `\"verified\"` with a `username`",
            "What TLS the next hop is asked for. With a `username`, `\"off\"` and `\"opportunistic\"` are for a next hop at a loopback \
             address only.",
        ),
        optional("username", TEXT, "no login", "As whom to log in at the next hop with AUTH."),
        optional(
            "password-file",
            PATH,
            "no login",
            "A file of mode 0600 with the password in one line. It is read at the start and with each reload.",
        ),
        optional(
            "source",
            "list of addresses",
            "as the system chooses",
            "Addresses of this host that connections come from, one of them at random. Where none is of a family, hosts are not \
             called by that family. One that this host does not have puts the mail off.",
        ),
        optional(
            "connections",
            COUNT,
            "`connections-per-destination`",
            "Connections to one destination of this route at once.",
        ),
        optional(
            "messages-per-minute",
            COUNT,
            "no limit",
            "Messages to one destination of this route in a minute.",
        ),
        optional(
            "connections-per-minute",
            COUNT,
            "no limit",
            "New connections to one destination of this route in a minute.",
        ),
    ],
};
