//! Leaves the process its own files only, where the kernel has Landlock.
//!
//! A plugin or a parser that gets out of hand then finds no other files to read or write, and no program to run but what lies beside the
//! server's own, unless the configuration hands mail to one. The rule is for the folder, as an upgrade puts another file in the place of the
//! program; and so is that for `/etc`, whose files may be read by name, unless the server stays root. Sockets are not touched by this. The rules
//! hold for the thread that makes them and for those that it starts, so they are made while there is one, and nothing can widen them: a reload
//! that leads to other places has to be a restart.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use config::{Config, Place};
use landlock::{
    ABI, Access, AccessFs, BitFlags, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus,
    path_beneath_rules,
};

/// The newest rights that are asked for; an older kernel keeps those that it knows.
const RIGHTS: ABI = ABI::V5;
/// What the system's libraries read: names of hosts and users, certificates, time zones, the number of processors.
const SYSTEM_READS: &[&str] = &[
    "/etc/ca-certificates",
    "/etc/gai.conf",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/pki",
    "/etc/resolv.conf",
    "/etc/ssl",
    "/dev/random",
    "/dev/urandom",
    "/lib",
    "/lib64",
    "/proc/self",
    "/sys/fs/cgroup",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/share/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/share/zoneinfo",
];
/// What the kernel starts a program with.
const LOADERS: &[&str] = &[
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/ld-linux-aarch64.so.1",
    "/lib/ld-linux-armhf.so.3",
    "/lib64/ld64.so.2",
    "/lib/ld-linux-riscv64-lp64d.so.1",
];
const SYSTEM_WRITES: &[&str] = &["/dev/null"];

/// What the process may touch.
#[derive(Debug)]
pub(crate) struct Sandbox {
    /// Nothing when it may touch everything.
    places: Option<Vec<Place>>,
}

impl Sandbox {
    /// Makes the rules, if the configuration wants them and the kernel can; the log says what came of it.
    pub(crate) fn enter(config: &Config) -> Self {
        if !config.process.landlock {
            return Self { places: None };
        }
        let places: Vec<Place> = config.places().into_iter().filter(is_there).map(resolved).collect();
        if config::is_sandboxed() {
            // Rules outlive a new beginning. That these places are within them was seen before it.
            return Self { places: Some(places) };
        }
        let status = match restrict(&places) {
            Ok(status) => status,
            Err(error) => {
                tracing::warn!(%error, "Landlock failed; the server may touch every file of its user");
                return Self { places: None };
            }
        };
        match status {
            RulesetStatus::FullyEnforced => tracing::info!(landlock = "full", "may touch its own files only"),
            RulesetStatus::PartiallyEnforced => {
                tracing::info!(
                    landlock = "partial",
                    "may touch its own files only, as far as this kernel can tell"
                );
            }
            RulesetStatus::NotEnforced => {
                tracing::info!(
                    landlock = "none",
                    "this kernel has no Landlock; may touch every file of its user"
                );
                return Self { places: None };
            }
        }
        Self { places: Some(places) }
    }

    /// Whether there are rules.
    pub(crate) fn is_closed(&self) -> bool {
        self.places.is_some()
    }

    /// The first place of another configuration that the process cannot reach.
    pub(crate) fn lacks(&self, config: &Config) -> Option<PathBuf> {
        let allowed = self.places.as_ref()?;
        let covers = |wanted: &Place| {
            let path = real(&wanted.path);
            allowed.iter().any(|place| {
                path.starts_with(&place.path)
                    && (place.writes || !wanted.writes)
                    && (place.runs || !wanted.runs)
            })
        };
        config.places().into_iter().find(|wanted| !covers(wanted)).map(|wanted| wanted.path)
    }
}

fn restrict(places: &[Place]) -> Result<RulesetStatus, RulesetError> {
    let (reading, writing) =
        (AccessFs::ReadFile | AccessFs::ReadDir, AccessFs::from_all(RIGHTS) & !AccessFs::Execute);
    let paths =
        |writes: bool| places.iter().filter(move |place| place.writes == writes).map(|place| &place.path);
    let runs = places.iter().filter(|place| place.runs).map(|place| place.path.as_path()).collect();
    let rules =
        |paths: Vec<&Path>, rights: BitFlags<AccessFs>| path_beneath_rules(paths, rights).collect::<Vec<_>>();
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(RIGHTS))?
        .create()?
        .add_rules(rules(paths(false).map(PathBuf::as_path).collect(), reading))?
        .add_rules(rules(paths(true).map(PathBuf::as_path).collect(), writing))?
        .add_rules(rules(runs, reading | AccessFs::Execute))?
        .add_rules(rules(own_folders().iter().map(PathBuf::as_path).collect(), reading | AccessFs::Execute))?
        .add_rules(rules(SYSTEM_READS.iter().map(Path::new).collect(), reading))?
        .add_rules(rules(
            replaced_within().iter().map(PathBuf::as_path).collect(),
            AccessFs::ReadFile.into(),
        ))?
        .add_rules(rules(
            SYSTEM_WRITES.iter().map(Path::new).collect(),
            AccessFs::ReadFile | AccessFs::WriteFile,
        ))?
        .restrict_self()?;
    Ok(status.ruleset)
}

/// Where a server that begins anew finds what it runs: its program, and the system's loader. Upgrades replace both.
fn own_folders() -> Vec<PathBuf> {
    let own = std::env::current_exe().ok();
    let files = own.into_iter().chain(LOADERS.iter().map(PathBuf::from));
    files.filter_map(|file| file.canonicalize().ok()?.parent().map(Path::to_owned)).collect()
}

/// Where the system puts new files in the place of those that its libraries read: a rule is for the file that is there, and a new user or
/// another network makes another. Nothing can be listed. Root alone could read what is secret in `/etc`; so it keeps to the files of the start.
fn replaced_within() -> Vec<PathBuf> {
    let etc = PathBuf::from("/etc");
    let name_servers = Path::new("/etc/resolv.conf").canonicalize().ok();
    let elsewhere = name_servers.as_deref().and_then(Path::parent).filter(|folder| *folder != etc);
    let elsewhere = elsewhere.map(Path::to_owned);
    let etc = (!nix::unistd::geteuid().is_root()).then_some(etc);
    etc.into_iter().chain(elsewhere).collect()
}

/// A rule is about a folder that is there, so one that is to be written to is made.
fn is_there(place: &Place) -> bool {
    if place.runs {
        return place.path.exists();
    }
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&place.path);
    match made {
        Ok(()) => true,
        Err(_) if place.path.exists() => true,
        Err(error) => {
            let path = place.path.display();
            tracing::warn!(%path, %error, "is not there; the server needs a restart when it is");
            false
        }
    }
}

fn resolved(place: Place) -> Place {
    Place { path: real(&place.path), ..place }
}

/// The path without symbolic links, as far as it exists.
fn real(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (ancestor.canonicalize(), path.strip_prefix(ancestor)) {
            return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        }
    }
    path.to_owned()
}
