//! `passwd`: a password in, the record for `password-hash` out.

use std::io::{BufRead, IsTerminal};

use accounts::{MAX_PASSWORD_OCTETS, Record};
use anyhow::{Context, Result, ensure};

use super::output::print;
use crate::cli::Passwd;

/// Prints one line. The password is asked for twice at a terminal, without showing it; otherwise it is the first line of
/// standard input.
pub(crate) fn passwd(options: &Passwd) -> Result<()> {
    let input = std::io::stdin();
    let password = if input.is_terminal() { ask()? } else { read_line(input.lock())? };
    let record = if options.scram { Record::scram(&password) } else { Record::argon2id(&password) };
    print(&format!("{}\n", record?.to_text()))
}

fn ask() -> Result<String> {
    let ask = |prompt| rpassword::prompt_password(prompt).context("the terminal cannot be read");
    let password = ask("Password: ")?;
    ensure!(password == ask("The same again: ")?, "the two passwords differ");
    Ok(password)
}

/// A line without its end. One that is too long is cut, and still too long.
fn read_line(input: impl BufRead) -> Result<String> {
    let mut line = String::new();
    // The line's end, and one octet more than there may be.
    let octets = MAX_PASSWORD_OCTETS as u64 + 3;
    input.take(octets).read_line(&mut line).context("standard input cannot be read")?;
    let line = line.strip_suffix('\n').unwrap_or(&line);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_one_line_whatever_ends_it() {
        for input in ["pass word\n", "pass word\r\n", "pass word", "pass word\nmore\n"] {
            assert_eq!(read_line(input.as_bytes()).unwrap(), "pass word", "{input:?}");
        }
        assert_eq!(read_line(&b"\n"[..]).unwrap(), "");
        let long = "x".repeat(MAX_PASSWORD_OCTETS + 100);
        assert!(read_line(long.as_bytes()).unwrap().len() > MAX_PASSWORD_OCTETS);
        assert!(read_line(&b"\xff\n"[..]).is_err());
    }
}
