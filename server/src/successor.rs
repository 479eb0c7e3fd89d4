//! The program that a server which begins anew becomes: whether it runs here, and takes the configuration, is tried before anything stops.
//!
//! After an upgrade it is another one than the one that runs, and may be damaged, for another machine, or refuse what the old one took.
//!
//! Limits: 60 s for the trial; 64 KiB of what it says.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long the trial may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Octets that are heard of what it says.
const MAX_SAID_OCTETS: u64 = 64 << 10;

/// Has the program look at the configuration. May take as long as [`PATIENCE`].
///
/// # Errors
/// Why it cannot be run, or what it says of the configuration.
pub(crate) fn try_out(program: &Path, file: &Path) -> Result<(), String> {
    let shown = program.display();
    let mut command = Command::new(program);
    command.args(["check", "--without-plugins", "--config"]).arg(file);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| {
        format!("{shown} cannot be run from here: {error}; start the server again from outside")
    })?;
    let said = child.stderr.take().map(|stderr| std::thread::spawn(move || hear(stderr)));
    let ended = wait(&mut child);
    let said = said.and_then(|said| said.join().ok()).unwrap_or_default();
    match ended? {
        true => Ok(()),
        false => Err(format!("{shown}, which would begin, cannot: {}", said.trim())),
    }
}

/// Reads to the end, so that nobody waits for a reader.
fn hear(mut stderr: impl Read) -> String {
    let mut said = Vec::new();
    // What cannot be read is not told.
    let _ = stderr.by_ref().take(MAX_SAID_OCTETS).read_to_end(&mut said);
    let _ = std::io::copy(&mut stderr, &mut std::io::sink());
    String::from_utf8_lossy(&said).into_owned()
}

/// Whether it ended well.
fn wait(child: &mut Child) -> Result<bool, String> {
    let began = clock::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status.success()),
            Ok(None) if clock::now().duration_since(began) < PATIENCE => std::thread::sleep(LOOK_EVERY),
            Ok(None) => {
                // It may have ended meanwhile.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("the program took more than {} s to look", PATIENCE.as_secs()));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_or_says_no_is_no_successor() {
        let file = Path::new("/no.toml");
        assert_eq!(try_out(Path::new("/bin/true"), file), Ok(()));
        let gone = try_out(Path::new("/no/such/program"), file).unwrap_err();
        assert!(gone.starts_with("/no/such/program cannot be run from here: "), "{gone}");
        let no = try_out(Path::new("/bin/ls"), file).unwrap_err();
        assert!(no.starts_with("/bin/ls, which would begin, cannot: ") && no.len() > 50, "{no}");
    }
}
