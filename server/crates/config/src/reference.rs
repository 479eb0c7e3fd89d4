//! The reference of all keys as Markdown.

use std::fmt::Write;

use crate::keys::{Default, Key, SECTIONS};

const HEAD: &str = "# The configuration of Waxwing

One TOML file. `waxwing check` reads it as the server would and says everything that is wrong with it; a key that is not
listed here is refused. Relative paths start at the folder of the file. A size is a number of octets or a text such as
`\"25 MiB\"`; a time span is a text such as `\"30s\"`, `\"5m\"`, `\"1h 30m\"` or `\"5d\"`. Where a list is asked for, one text
counts as a list of one.

`waxwing reload`, or the signal SIGHUP, reads the file again; a file with a fault changes nothing.

This page is made from the server's own table of keys: `cargo run -p config --example reference`.
";

/// The reference, in Markdown.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    for section in SECTIONS {
        // Writing to a string cannot fail.
        let _ = write!(page, "\n## {}\n", section.written);
        if !section.doc.is_empty() {
            let _ = write!(page, "\n{}\n", section.doc);
        }
        page.push_str("\n| key | takes | default | |\n|---|---|---|---|\n");
        for key in section.keys {
            let _ = writeln!(page, "| `{}` | {} | {} | {} |", key.name, key.takes, default(key), key.doc);
        }
    }
    page
}

fn default(key: &Key) -> String {
    match key.default {
        Default::Toml(value) => format!("`{value}`"),
        Default::Words(words) => words.to_owned(),
        Default::Required => "**required**".to_owned(),
    }
}
