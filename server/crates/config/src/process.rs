//! `[process]`: as whom the server runs once its sockets are bound, and what of the file system it may touch.

use std::path::{Path, PathBuf};

use nix::unistd::{Group, User};
use outbound::{DeliverTo, LmtpAddress};

use crate::load::Config;
use crate::reader::Table;

/// Where the parts of programs lie.
const PROGRAMS: &[&str] = &["/usr/bin", "/usr/lib", "/usr/libexec", "/lib64"];

/// How the process gives up what it does not need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Whom it becomes; nobody else when nothing.
    pub identity: Option<Identity>,
    /// Whether it can touch its own files only, where the kernel has Landlock.
    pub landlock: bool,
}

/// A user and a group of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub user: String,
    pub user_id: u32,
    pub group_id: u32,
}

/// A file or a folder with all that is in it, and what the server does with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub path: PathBuf,
    pub writes: bool,
    /// Programs may be run from here.
    pub runs: bool,
}

pub(crate) fn process(root: &Table<'_>) -> Process {
    let table = root.table("process", "process");
    let mut landlock = true;
    table.set_bool("landlock", &mut landlock);
    let user = table.parse("user", user);
    let group = table.parse("group", group);
    if user.is_none() && group.is_some() {
        table.missing("user", "is missing; a group alone takes no rights away");
    }
    let identity = user.map(|user| Identity {
        group_id: group.unwrap_or(user.gid.as_raw()),
        user_id: user.uid.as_raw(),
        user: user.name,
    });
    Process { identity, landlock }
}

fn user(name: &str) -> Result<User, String> {
    match User::from_name(name) {
        Ok(Some(user)) => Ok(user),
        Ok(None) => Err(format!("this machine has no user \"{name}\"")),
        Err(error) => Err(format!("the user \"{name}\" cannot be looked up: {error}")),
    }
}

fn group(name: &str) -> Result<u32, String> {
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) => Err(format!("this machine has no group \"{name}\"")),
        Err(error) => Err(format!("the group \"{name}\" cannot be looked up: {error}")),
    }
}

impl Config {
    /// Every place that this configuration sends the server to, the data directory first.
    pub fn places(&self) -> Vec<Place> {
        let reads = |path: &Path| Place { path: path.to_owned(), writes: false, runs: false };
        let writes = |path: &Path| Place { path: path.to_owned(), writes: true, runs: false };
        let runs = |path: &Path| Place { path: path.to_owned(), writes: false, runs: true };
        let mut places = vec![writes(&self.data_dir), reads(&self.plugins.dir)];
        // A server that begins anew without its socket makes another.
        places.extend(self.submission.path.parent().map(writes));
        places.extend(self.submission.drop_dir.as_deref().map(writes));
        let file = std::path::absolute(&self.file).unwrap_or_else(|_| self.file.clone());
        places.extend(file.parent().map(reads));
        if !self.plugins.cache_dir.as_os_str().is_empty() {
            places.push(writes(&self.plugins.cache_dir));
        }
        let files = self.tls.certificates.iter().flat_map(|files| [&files.certificate, &files.key]);
        for file in files.chain(&self.tls.client_ca).chain(&self.named) {
            // A renewed certificate is a new file behind an old link: the folders of both are read.
            places.extend(file.parent().map(reads));
            places.extend(file.canonicalize().ok().as_deref().and_then(Path::parent).map(reads));
        }
        let ca = self.acme.as_ref().and_then(|acme| acme.ca_file.as_deref());
        places.extend(ca.and_then(Path::parent).map(reads));
        places.extend(self.outbound.authorities.ca_file.as_deref().and_then(Path::parent).map(reads));
        places.extend(self.dns.trust_anchor_file.as_deref().and_then(Path::parent).map(reads));
        for delivery in self.outbound.domains.deliveries() {
            match delivery {
                DeliverTo::Maildir(pattern) => places.push(writes(&pattern.root())),
                // Connecting is not reading; the folder is named so that a newer kernel can still find the socket.
                DeliverTo::Lmtp(LmtpAddress::Unix(path)) => places.extend(path.parent().map(reads)),
                DeliverTo::Pipe(pipe) => {
                    places.push(runs(&pipe.program));
                    // What a program is made of: interpreters, loaders, what a script calls.
                    places.extend(PROGRAMS.iter().map(|folder| runs(Path::new(folder))));
                    places.extend(pipe.writes.iter().map(|folder| writes(folder)));
                }
                DeliverTo::Lmtp(LmtpAddress::Tcp(_)) | DeliverTo::Relay(_) => {}
            }
        }
        places
    }
}
