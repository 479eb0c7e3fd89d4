//! `[sendmail]`: where programs of this host hand their mail to the server, and who may say whose mail it is.

use std::path::{Path, PathBuf};

use accounts::LocalDomains;
use model::Domain;
use nix::unistd::Group;

use crate::reader::Table;

/// The socket's name in the data directory.
const NAME: &str = "submission.sock";
/// And that of the folder for what is sent while nobody listens there.
const DROP_NAME: &str = "drop";
/// Where a server of the whole machine listens; its configuration may be nobody else's to read.
pub const SYSTEM_SOCKET: &str = "/run/waxwing/submission.sock";
/// Where such a server looks for what was sent while it was down.
pub const SYSTEM_DROP_DIR: &str = "/var/spool/waxwing/drop";
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
    /// Where programs leave mail while the server is down; nothing: nowhere.
    pub drop_dir: Option<PathBuf>,
}

/// Where programs of this host find the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacesOfPrograms {
    pub socket: PathBuf,
    /// As [`SubmissionSocket::drop_dir`].
    pub drop_dir: Option<PathBuf>,
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
    let PlacesOfPrograms { socket: path, drop_dir } = places(&table, data_dir);
    (SubmissionSocket { path, mode, group_id, drop_dir }, programs)
}

/// Where the socket is, and the folder for what finds nobody there.
pub(crate) fn places(table: &Table<'_>, data_dir: &Path) -> PlacesOfPrograms {
    let socket = table.path("socket").unwrap_or_else(|| data_dir.join(NAME));
    let beside = match socket == Path::new(SYSTEM_SOCKET) {
        // Users do not get into the data directory of such a server.
        true => PathBuf::from(SYSTEM_DROP_DIR),
        false => data_dir.join(DROP_NAME),
    };
    let drop_dir = match table.text("drop-dir").map(|(_, text)| text) {
        Some("") => None,
        Some(_) => table.path("drop-dir"),
        None => Some(beside),
    };
    PlacesOfPrograms { socket, drop_dir }
}

fn mode(text: &str) -> Result<u32, &'static str> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err("is no mode of a file, as in \"0660\""),
    }
}
