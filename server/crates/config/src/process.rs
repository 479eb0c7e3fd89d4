//! `[process]`: what of the file system the server may touch.

use std::path::{Path, PathBuf};

use outbound::{DeliverTo, LmtpAddress};

use crate::load::Config;
use crate::reader::Table;

/// How the process gives up what it does not need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Whether it can touch its own files only, where the kernel has Landlock.
    pub landlock: bool,
}

/// A file or a folder with all that is in it, and what the server does with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub path: PathBuf,
    pub writes: bool,
}

pub(crate) fn process(root: &Table<'_>) -> Process {
    let table = root.table("process", "process");
    let mut landlock = true;
    table.set_bool("landlock", &mut landlock);
    Process { landlock }
}

impl Config {
    /// Every place that this configuration sends the server to, the data directory first.
    pub fn places(&self) -> Vec<Place> {
        let reads = |path: &Path| Place { path: path.to_owned(), writes: false };
        let writes = |path: &Path| Place { path: path.to_owned(), writes: true };
        let mut places = vec![writes(&self.data_dir), reads(&self.plugins.dir)];
        let file = std::path::absolute(&self.file).unwrap_or_else(|_| self.file.clone());
        places.extend(file.parent().map(reads));
        if !self.plugins.cache_dir.as_os_str().is_empty() {
            places.push(writes(&self.plugins.cache_dir));
        }
        let files = self.tls.certificates.iter().flat_map(|files| [&files.certificate, &files.key]);
        for file in files.chain(&self.tls.client_ca) {
            // A renewed certificate is a new file behind an old link: the folders of both are read.
            places.extend(file.parent().map(reads));
            places.extend(file.canonicalize().ok().as_deref().and_then(Path::parent).map(reads));
        }
        for delivery in self.outbound.domains.deliveries() {
            match delivery {
                DeliverTo::Maildir(pattern) => places.push(writes(&pattern.root())),
                // Connecting is not reading; the folder is named so that a newer kernel can still find the socket.
                DeliverTo::Lmtp(LmtpAddress::Unix(path)) => places.extend(path.parent().map(reads)),
                DeliverTo::Lmtp(LmtpAddress::Tcp(_)) | DeliverTo::Relay(_) => {}
            }
        }
        places
    }
}
