//! By which name the program was called, and what of an old command line no parser of today reads.

use std::ffi::OsString;
use std::path::Path;

/// How the program was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Called {
    Waxwing,
    /// As sendmail, mailq or newaliases, or by `waxwing sendmail`: it ends with the codes of sysexits.h.
    Sendmail,
}

/// The command line as `waxwing sendmail ...`, when a link of another name was called.
pub(crate) fn invoked_as(mut arguments: Vec<OsString>) -> (Called, Vec<OsString>) {
    let name = arguments.first().map(|name| Path::new(name).file_name().unwrap_or_default().to_os_string());
    let mode: &[&str] = match name.as_deref().and_then(|name| name.to_str()) {
        Some("sendmail") => &["sendmail"],
        Some("mailq") => &["sendmail", "-bp"],
        Some("newaliases") => &["sendmail", "-bi"],
        _ => &[],
    };
    let behind = arguments.len().min(1);
    arguments.splice(behind..behind, mode.iter().map(OsString::from));
    if arguments.get(1).is_none_or(|command| command != "sendmail") {
        return (Called::Waxwing, arguments);
    }
    // -q and what stands right behind it: the server makes its attempts by itself. Behind -- stand recipients.
    let mut is_option = true;
    arguments.retain(|argument| {
        is_option &= argument != "--";
        !is_option || !argument.as_encoded_bytes().starts_with(b"-q")
    });
    (Called::Sendmail, arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(line: &str) -> (Called, String) {
        let (called, arguments) = invoked_as(line.split(' ').map(OsString::from).collect());
        (called, arguments.join(" ".as_ref()).into_string().unwrap())
    }

    #[test]
    fn the_name_says_which_command_it_is() {
        for (line, expected) in [
            ("/usr/sbin/sendmail -t -oi", "/usr/sbin/sendmail sendmail -t -oi"),
            ("mailq", "mailq sendmail -bp"),
            ("/usr/bin/newaliases", "/usr/bin/newaliases sendmail -bi"),
            ("waxwing sendmail -q15m -q -t", "waxwing sendmail -t"),
            ("sendmail -i -- -q@example.org", "sendmail sendmail -i -- -q@example.org"),
        ] {
            assert_eq!(called(line), (Called::Sendmail, expected.to_owned()));
        }
        assert_eq!(called("waxwing queue list"), (Called::Waxwing, "waxwing queue list".to_owned()));
    }
}
