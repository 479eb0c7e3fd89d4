//! The rows of `[queue]`.

use super::{COUNT, SIZE, SPAN, key};
use crate::keys::Section;

pub(super) const QUEUE: Section = Section {
    name: "queue",
    written: "`[queue]`",
    doc: "How long delivery is tried, and the room that the queue takes. A change of the room needs a restart.",
    keys: &[
        key(
            "retry",
            "list of time spans",
            "[\"5m\", \"15m\", \"1h\", \"4h\"]",
            "The pauses after the first attempt that failed, the second, ...; the last repeats. Each is stretched or \
             shortened by up to 10 %.",
        ),
        key("expire", SPAN, "\"5d\"", "A message that is older is given up, and its sender told."),
        key(
            "delay-warning",
            SPAN,
            "\"4h\"",
            "A message that is older and still waits is told of, once for each recipient, unless its sender does not want it (RFC 3461); \
             `\"0s\"`: no message is.",
        ),
        key(
            "min-free",
            SIZE,
            "\"512 MiB\"",
            "Free octets on the disk below which no mail is taken; MAIL is answered 452 4.3.1.",
        ),
        key("max-entries", COUNT, "5000000", "Messages that the queue may hold; over it 452 4.3.1."),
        key("segment-size", SIZE, "\"64 MiB\"", "Octets of a segment of the log."),
        key(
            "inline-size",
            SIZE,
            "\"256 KiB\"",
            "A larger message is a file of its own; at most an eighth of a segment.",
        ),
        key(
            "settle-delay",
            SPAN,
            "\"3s\"",
            "A message that is delivered within this time never touches the index.",
        ),
        key(
            "memory-recipients",
            COUNT,
            "200000",
            "Recipients in memory until the index has them, about 1 KiB each.",
        ),
    ],
};
