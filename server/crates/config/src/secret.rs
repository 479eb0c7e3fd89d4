//! Secrets that the server makes for itself, once.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use accounts::Secret;

/// The secret of the data directory, for [`accounts::Authenticator`]. One that is not there, or is damaged, is made anew: all
/// that this changes is the salts of users that there are not.
///
/// # Errors
/// The directory cannot be read or written, or the system has no randomness.
pub fn auth_secret(data_dir: &Path) -> io::Result<Secret> {
    kept(data_dir, "auth-secret")
}

/// The secret of the data directory that rewritten senders are signed with, where the configuration has none. When it is lost, what is
/// returned to senders that were rewritten before is refused.
///
/// # Errors
/// As [`auth_secret`].
pub fn srs_secret(data_dir: &Path) -> io::Result<Secret> {
    kept(data_dir, "srs-secret")
}

fn kept(data_dir: &Path, name: &str) -> io::Result<Secret> {
    let file = data_dir.join(name);
    match fs::read(&file) {
        Ok(octets) => {
            if let Ok(secret) = octets.try_into() {
                return Ok(Secret(secret));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let secret = Secret::generate().map_err(io::Error::other)?;
    let fresh = data_dir.join(format!("{name}.new"));
    // What a start that was broken off has left behind.
    if let Err(error) = fs::remove_file(&fresh)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    new.write_all(&secret.0)?;
    new.sync_all()?;
    fs::rename(&fresh, &file)?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_secret_stays_and_is_nobody_elses() {
        let dir = tempfile::tempdir().unwrap();
        let first = auth_secret(dir.path()).unwrap().0;
        assert_eq!(auth_secret(dir.path()).unwrap().0, first);
        let file = dir.path().join("auth-secret");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&file, "damaged").unwrap();
        fs::write(dir.path().join("auth-secret.new"), "left behind").unwrap();
        let second = auth_secret(dir.path()).unwrap().0;
        assert_ne!(second, first);
        assert_eq!(auth_secret(dir.path()).unwrap().0, second);
        assert!(auth_secret(&dir.path().join("absent")).is_err());
    }
}
