//! `[sendmail]`: where programs of this host hand their mail to the server, and who may say whose mail it is.

use std::path::{Path, PathBuf};

use accounts::LocalDomains;
use model::Domain;
use nix::unistd::Group;

use crate::reader::Table;

/// The socket's name in the data directory.
const NAME: &str = "submission.sock";
/// Everybody on this host may send, as everybody always could.
const MODE: u32 = 0o666;

/// How programs of this host submit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubmissionSocket {
    pub path: PathBuf,
    /// Of the socket: who may write to it may send.
    pub mode: u32,
    /// A group of this host that the socket is given to.
    pub group_id: Option<u32>,
}

/// The socket, and what holds for programs of this host.
pub(crate) fn sendmail(
    root: &Table<'_>,
    data_dir: &Path,
    hostname: &str,
    local: &LocalDomains,
) -> (SubmissionSocket, inbound::Programs) {
    let table = root.table("sendmail", "sendmail");
    let group_id = table.parse("group", |name| match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) => Err(format!("this machine has no group \"{name}\"")),
        Err(error) => Err(format!("the group \"{name}\" cannot be looked up: {error}")),
    });
    let domain = table.parse("domain", |text| Domain::parse(text).map(|domain| domain.to_ascii()));
    let first = local.domains().first().map(Domain::to_ascii);
    let named = |name: &str| if name.is_empty() { Err("is empty") } else { Ok(name.to_owned()) };
    let trusted = table.list("trusted-users", named);
    let programs = inbound::Programs {
        domain: domain.or(first).unwrap_or_else(|| hostname.to_owned()),
        trusted_users: trusted.map(|list| list.into_iter().map(|(_, name)| name).collect()),
    };
    let mode = table.parse("mode", mode).unwrap_or(MODE);
    (SubmissionSocket { path: path(&table, data_dir), mode, group_id }, programs)
}

/// Where the socket is.
pub(crate) fn path(table: &Table<'_>, data_dir: &Path) -> PathBuf {
    table.path("socket").unwrap_or_else(|| data_dir.join(NAME))
}

fn mode(text: &str) -> Result<u32, &'static str> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err("is no mode of a file, as in \"0660\""),
    }
}
