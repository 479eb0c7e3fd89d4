//! The rows of the table of limits.

use super::{COUNT, SIZE, SPAN, key, optional};
use crate::keys::Section;

pub(super) const LIMITS: Section = Section {
    name: "limits",
    written: "`[limits]`",
    doc: "What clients may use up.",
    keys: &[
        key("sessions", COUNT, "10000", "Sessions at once; over it 421 4.3.2."),
        key(
            "sessions-per-address",
            COUNT,
            "100",
            "Sessions at once from one IPv4 address or one IPv6 /64; over it 421 4.7.0.",
        ),
        key(
            "sessions-per-network",
            COUNT,
            "0",
            "Sessions at once from one IPv4 /24 or one IPv6 /48; over it 421 4.7.0. 0: no limit.",
        ),
        key(
            "connections-per-minute",
            COUNT,
            "0",
            "Connections of one IPv4 address or one IPv6 /64; over it 421 4.7.0. Whoever was quiet may use all of a rate at once; it \
             comes back evenly. 0: no limit, here and below.",
        ),
        key("messages-per-minute", COUNT, "0", "Messages of such an address; over it 450 4.7.1 at MAIL."),
        key("messages-per-hour", COUNT, "0", "The same for an hour."),
        key(
            "user-messages-per-hour",
            COUNT,
            "0",
            "Messages of one user, who is measured by this and not by the address; over it 450 4.7.1 at MAIL.",
        ),
        key("user-recipients-per-hour", COUNT, "0", "Recipients of one user; over it 450 4.7.1 at RCPT."),
        optional(
            "rate-exempt",
            "list of networks",
            "`relay.networks`",
            "Addresses that neither the rates nor `sessions-per-network` concern.",
        ),
        key(
            "message-size",
            SIZE,
            "\"25 MiB\"",
            "Octets of a message; over it 552 5.3.4, at MAIL when SIZE says so.",
        ),
        key("header-size", SIZE, "\"512 KiB\"", "Octets of a message's header block; over it 552 5.3.4."),
        key(
            "recipients",
            COUNT,
            "1000",
            "Recipients of one transaction; over it 452 4.5.3, and the earlier ones stand.",
        ),
        key(
            "expanded-recipients",
            COUNT,
            "10000",
            "Recipients of a message after aliases; over it 452 4.5.3.",
        ),
        key("header-fields", COUNT, "1000", "Fields in a message's header; over it 552 5.3.4."),
        key("mime-depth", COUNT, "50", "Parts within parts of a message; over it 554 5.6.0."),
        key("hops", COUNT, "100", "Received fields in a message; over it 554 5.4.6, as it goes in circles."),
        key("errors", COUNT, "20", "Refused commands in a session; at this number 421 4.7.0 and the end."),
        key(
            "auth-failures",
            COUNT,
            "3",
            "Failed authentications in a session; at this number 421 4.7.0 and the end.",
        ),
        key(
            "tarpit-after",
            COUNT,
            "10",
            "Refused commands in a session from which on each reply that refuses waits for `tarpit-delay`.",
        ),
        key("tarpit-delay", SPAN, "\"1s\"", "How long it waits; `\"0s\"`: not at all."),
        key(
            "idle-commands",
            COUNT,
            "100",
            "Commands since the last message that lead to none (NOOP, RSET, VRFY, HELP, EHLO); at this number 421 4.7.0.",
        ),
        key("transactions", COUNT, "10000", "Transactions in a session; over it 421 4.7.0."),
        key("command-line", SIZE, "\"2 KiB\"", "Octets of a command line; over it 500 5.5.6."),
        key(
            "auth-line",
            SIZE,
            "12290",
            "Octets of a line of AUTH or of a response to it; over it 500 5.5.6.",
        ),
        key("text-line", SIZE, "\"1 MiB\"", "Octets of a line of a message; over it 554 5.6.0."),
        key(
            "command-timeout",
            SPAN,
            "\"5m\"",
            "From the end of one command to the end of the next; then 421 4.4.2.",
        ),
        key("data-timeout", SPAN, "\"5m\"", "For each `data-block` of a message; then 421 4.4.2."),
        key(
            "session-time",
            SPAN,
            "\"4h\"",
            "From a connection to its end, whatever happens in between; then 421 4.4.2.",
        ),
        key("data-block", SIZE, "\"64 KiB\"", "Octets of a message that must come within `data-timeout`."),
        key(
            "content-memory",
            SIZE,
            "\"128 MiB\"",
            "Octets of messages that all sessions hold in memory; over it they go to the disk as they arrive, beyond 16 KiB of each; over \
             twice it all of them do, and MAIL is answered 452 4.3.1. Beside it a session takes up to 20 KiB of its own, without TLS and plugins, and as much again while a sender is checked.",
        ),
        key(
            "relay-grants",
            COUNT,
            "10000",
            "Addresses and networks that may relay for a while by `waxwing relay allow`; over it the command is refused.",
        ),
        key(
            "reverse-dns-timeout",
            SPAN,
            "\"3s\"",
            "How long a client's name is looked up before the session goes on without.",
        ),
        key(
            "proxy-timeout",
            SPAN,
            "\"5s\"",
            "How long a trusted proxy may take to send its PROXY header; then the connection is closed.",
        ),
    ],
};
