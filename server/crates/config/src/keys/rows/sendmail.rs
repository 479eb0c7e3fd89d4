//! The rows of `[sendmail]`.

use super::{PATH, Section, key, optional};

pub(super) const SENDMAIL: Section = Section {
    name: "sendmail",
    written: "`[sendmail]`",
    doc: "Where programs of this host hand their mail over: the command `sendmail` of this server speaks to a socket, and the system says which \
          user calls. Such mail goes the way of a user's who has logged in. A change counts after a restart, but for `trusted-users` and `domain`.",
    keys: &[
        optional(
            "socket",
            PATH,
            "`submission.sock` in the data directory",
            "The socket. Where users cannot read the configuration, `sendmail` looks at `/run/waxwing/submission.sock`.",
        ),
        optional(
            "drop-dir",
            PATH,
            "`drop` in the data directory; `/var/spool/waxwing/drop` where `socket` is `/run/waxwing/submission.sock`",
            "Where `sendmail` leaves mail while the server is down. The server takes it when it starts, and looks every 5 s. An empty text: nowhere.",
        ),
        key("mode", "file mode", "\"0666\"", "The socket's mode: who may write to it may send."),
        optional("group", "group", "that of the server", "A group of this host that the socket is given to."),
        optional(
            "domain",
            "domain name",
            "the first `[[domain]]`, else `hostname`",
            "The domain of an address without one: of `root`, and of a user who says no sender.",
        ),
        optional(
            "trusted-users",
            "list of users",
            "everybody",
            "Users of this host who may send in anybody's name (`-f`). Others then send as themselves alone, at any domain of this server.",
        ),
    ],
};
