//! Gives up root's rights once the sockets are bound.
//!
//! This happens while the process has one thread, so that none is left with the rights of before.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use config::{Config, Identity};
use inbound::BindError;
use nix::unistd::{Gid, Uid, geteuid, initgroups, setgid, setuid};

/// Why a server that keeps root's rights is worth a word.
pub(crate) const RUNS_AS_ROOT: &str = "the server would run as root; name a user for it in [process], which it becomes once its sockets are bound";

/// Whether root starts it and nobody is named whom it becomes.
pub(crate) fn stays_root(config: &Config) -> bool {
    geteuid().is_root() && config.process.identity.as_ref().is_none_or(|identity| identity.user_id == 0)
}

/// Whether root starts it and it becomes somebody else.
pub(crate) fn gives_up_root(config: &Config) -> bool {
    geteuid().is_root() && !stays_root(config)
}

/// Why an address cannot be listened at, with what can be done about it.
pub(crate) fn cannot_listen(error: &BindError) -> String {
    match error.source.kind() {
        ErrorKind::PermissionDenied if !geteuid().is_root() => format!(
            "{error}; a port below 1024 is root's to bind, and the server has no rights of root (any more): start it again from outside, or have \
             the service manager hold the port"
        ),
        _ => error.to_string(),
    }
}

/// Makes the data directory, and becomes the user whom the configuration names.
///
/// # Errors
/// The data directory belongs to somebody else, or the system refuses.
pub(crate) fn settle(config: &Config) -> Result<()> {
    let named = || format!("cannot open the data directory {}", config.data_dir.display());
    // Mail is nobody else's to read. A directory that is there keeps the mode that it was given.
    DirBuilder::new().recursive(true).mode(0o700).create(&config.data_dir).with_context(named)?;
    let Some(identity) = &config.process.identity else {
        if stays_root(config) {
            tracing::warn!("{RUNS_AS_ROOT}");
        }
        return Ok(());
    };
    if geteuid().as_raw() == identity.user_id {
        return Ok(());
    }
    ensure!(geteuid().is_root(), "cannot become {}: only root can become somebody else", identity.user);
    give(&config.data_dir, identity).with_context(named)?;
    become_user(identity).with_context(|| format!("cannot become {}", identity.user))?;
    tracing::info!(user = identity.user, "gave up the rights of root");
    Ok(())
}

/// Gives a data directory to the user while nothing is in it.
fn give(data_dir: &Path, identity: &Identity) -> Result<()> {
    if std::fs::metadata(data_dir)?.uid() == identity.user_id {
        return Ok(());
    }
    if std::fs::read_dir(data_dir)?.next().is_some() {
        bail!(
            "it is not {user}'s and not empty; give it away with all that is in it: chown -R {user} {}",
            data_dir.display(),
            user = identity.user
        );
    }
    Ok(chown(data_dir, Some(identity.user_id), Some(identity.group_id))?)
}

/// Groups first: whoever is not root any more cannot change them.
fn become_user(identity: &Identity) -> Result<()> {
    let name = std::ffi::CString::new(identity.user.as_str())?;
    let (user, group) = (Uid::from_raw(identity.user_id), Gid::from_raw(identity.group_id));
    initgroups(&name, group)?;
    setgid(group)?;
    setuid(user)?;
    ensure!(user.is_root() || setuid(Uid::from_raw(0)).is_err(), "root's rights could be had back");
    Ok(())
}
