//! Programs that are not ours: curl, Python and others.

use std::io::Write;
use std::process::{Command, Stdio};

/// How a program ended and what it said.
#[derive(Debug)]
pub(crate) struct Output {
    /// -1 when a signal ended it.
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs a program to its end.
pub(crate) fn run(command: &mut Command) -> Output {
    run_with_input(command, b"")
}

/// Runs a program to its end, with this on its standard input.
pub(crate) fn run_with_input(command: &mut Command, input: &[u8]) -> Output {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let mut stdin = child.stdin.take().expect("standard input");
    let input = input.to_vec();
    // A program that ends without reading is looked at below.
    let feeder = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("its output");
    feeder.join().expect("the feeder ends");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Output { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

/// Runs a Python script with arguments; it must succeed. What it prints comes back.
#[track_caller]
pub(crate) fn python(script: &str, arguments: &[&str]) -> String {
    let output = run(Command::new("python3").arg("-c").arg(script).args(arguments));
    assert_eq!(output.code, 0, "{}\n{}", output.out, output.err);
    output.out
}
