//! One command line: what is understood strictly is understood leniently, and paths are written as they were meant.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::ForwardPath;
use smtp::{Command, Paths};

fuzz_target!(|line: &[u8]| {
    let lenient = Command::parse(line, Paths::Lenient);
    if let Ok(command) = Command::parse(line, Paths::Strict) {
        assert_eq!(lenient.as_ref(), Ok(&command));
    }
    let again = match lenient {
        Ok(Command::Mail { ref sender, .. }) => format!("MAIL FROM:{sender}"),
        Ok(Command::Rcpt { path: ForwardPath::Mailbox(ref mailbox), .. }) => format!("RCPT TO:<{mailbox}>"),
        _ => return,
    };
    let path = |command| match command {
        Ok(Command::Mail { sender, .. }) => sender.to_string(),
        Ok(Command::Rcpt { path, .. }) => format!("{path:?}"),
        other => panic!("{again}: {other:?}"),
    };
    assert_eq!(path(Command::parse(again.as_bytes(), Paths::Strict)), path(lenient.clone()));
});
