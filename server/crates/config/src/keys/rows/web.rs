//! The rows of the tables about what is answered over HTTP.

use super::{COUNT, FLAG, SIZE, TEXT, key, optional, required};
use crate::keys::Section;

pub(super) const WEB: Section = Section {
    name: "web",
    written: "`[web]`",
    doc: "The page for the postmaster and the API over HTTP, `POST /v1/messages` included. Whoever asks needs a token of \
          `[[api-token]]`. A change of `bind` or `history-size` needs a restart.",
    keys: &[
        optional(
            "bind",
            "address with a port, or a list of them",
            "`\"127.0.0.1:9026\"`, when there is the table",
            "Where to listen; port 0 takes one that is free. Tokens and mail would cross a network in the clear: an address that is not \
             this machine's own is refused, unless `behind-tls` says that a proxy has put TLS before it.",
        ),
        key(
            "behind-tls",
            FLAG,
            "false",
            "Whether only a proxy with TLS can connect to `bind`, so that an address beyond this machine does no harm.",
        ),
        key(
            "requests-per-minute",
            COUNT,
            "600",
            "Requests of an IPv4 address or an IPv6 /64; over it 429. 0 is no limit.",
        ),
        key(
            "failed-tokens-per-minute",
            COUNT,
            "10",
            "Requests of an address with a token that is wrong; over it 429, whatever the token. 0 is no limit.",
        ),
        key(
            "history-size",
            SIZE,
            "\"8 MiB\"",
            "Octets in the folder `history` of the data directory, so that a start still knows what became of the last messages. It is not \
             synced: a crash of the machine may cost the end of it. 0 keeps it in memory alone.",
        ),
    ],
};

pub(super) const API_TOKEN: Section = Section {
    name: "api-token",
    written: "`[[api-token]]`",
    doc: "Who may ask over HTTP. `waxwing token new` makes a token and prints the table for it. A reload takes tokens in and out.",
    keys: &[
        required("name", TEXT, "Whose it is: the log calls it so."),
        required(
            "hash",
            TEXT,
            "What `waxwing token new` prints, `sha256:...`. The token itself is nowhere kept.",
        ),
        required(
            "scope",
            "\"read\", \"admin\" or \"send\"",
            "`read` looks at everything, content included; `admin` changes things as well; `send` sends messages and can do nothing \
             else.",
        ),
        optional(
            "user",
            "address",
            "nobody",
            "The `[[user]]` in whose name a token of the scope `send` sends, by the same rules as after AUTH. It needs one.",
        ),
    ],
};
