//! `init`: three questions, and a server that `check` passes: a configuration, a key that signs mail, and the records that the world
//! has to find in DNS.
//!
//! Nothing is written over: a configuration that is there stays, or is kept beside the new one with `--force`; a key that is there is used
//! as it is.

mod answers;
mod records;
mod text;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use config::Config;
use nix::unistd::{User, geteuid};
use sender_auth::{Key, KeyKind};

use super::output::print;
use crate::cli::Init;
use answers::Answers;

/// The configuration when root asks.
const SYSTEM_FILE: &str = "/etc/waxwing/waxwing.toml";
/// And its queue.
const SYSTEM_DATA: &str = "/var/lib/waxwing";
/// And its mailboxes.
const SYSTEM_MAILDIRS: &str = "/var/lib/waxwing/mail/{domain}/{local}";
/// Whom a server that root starts becomes, when there is such a user.
const SERVER_USER: &str = "waxwing";
/// Where plugins are dropped, beside the configuration.
const PLUGINS: &str = "plugins";
/// The name of the first key.
const SELECTOR: &str = "waxwing";

/// Where things go.
struct Places {
    file: PathBuf,
    data_dir: PathBuf,
    /// What is proposed for mailboxes.
    maildirs: &'static str,
    dkim_key: PathBuf,
    /// Whom the server becomes.
    user: Option<User>,
}

/// Asks what was not given, and writes the configuration.
pub(crate) fn init(options: &Init) -> Result<()> {
    let places = Places::of(options);
    let file = &places.file;
    ensure!(
        options.force || !file.exists(),
        "{} is there already; --force replaces it, and keeps it as {}",
        file.display(),
        kept(file).display()
    );
    let answers = Answers::gather(options, places.maildirs)?;
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        make_folder(folder)?;
    }
    let is_new_key = !answers.domains.is_empty() && !places.dkim_key.exists();
    if is_new_key {
        let pem = Key::generate(KeyKind::Rsa)?;
        write_new(&places.dkim_key, &pem, 0o600, places.user.as_ref())?;
    }
    let written = put(options, &answers, &places);
    if written.is_err() && is_new_key {
        // It signs nothing, and the next try makes its own.
        let _ = fs::remove_file(&places.dkim_key);
    }
    written?;
    // Who may write into it decides what runs: it belongs to whom the configuration belongs to, not to the server's user.
    make_folder(&file.with_file_name(PLUGINS))?;
    let key = match answers.domains.is_empty() {
        true => None,
        false => Some(key_record(&places.dkim_key)?),
    };
    print(&format!(
        "{}{}",
        text::next_steps(options, &answers, &places),
        records::zone(&answers, key.as_deref())
    ))
}

fn make_folder(folder: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(folder);
    made.with_context(|| format!("cannot make {}", folder.display()))
}

/// Writes the text, unless the server would not take it.
fn put(options: &Init, answers: &Answers, places: &Places) -> Result<()> {
    let (file, text) = (&places.file, text::configuration(options, answers, places));
    if let Err(faults) = Config::parse(file, &text) {
        bail!("the answers make no configuration that the server takes: {faults}");
    }
    if file.exists() {
        let old = kept(file);
        fs::rename(file, &old).with_context(|| format!("cannot keep the old file as {}", old.display()))?;
    }
    // It may come to have records of passwords: others need not read it.
    write_new(file, &text, 0o640, places.user.as_ref())
}

fn kept(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".old");
    name.into()
}

/// Writes a file that is not there yet, for the server's user if there is one.
fn write_new(path: &Path, text: &str, mode: u32, user: Option<&User>) -> Result<()> {
    let named = || format!("cannot write {}", path.display());
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = opened.with_context(named)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(named)?;
    let Some(user) = user else { return Ok(()) };
    // What it may write it could change: the configuration is root's, and read by its group.
    let owner = (mode & 0o040 == 0).then_some(user.uid.as_raw());
    chown(path, owner, Some(user.gid.as_raw())).with_context(named)
}

fn key_record(path: &Path) -> Result<String> {
    let pem = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Key::from_pem(&pem).with_context(|| path.display().to_string())?.record())
}

impl Places {
    fn of(options: &Init) -> Self {
        let is_root = geteuid().is_root();
        let default = if is_root { SYSTEM_FILE } else { "waxwing.toml" };
        let file = options.config.clone().unwrap_or_else(|| default.into());
        let of_system = file.starts_with("/etc");
        let (default, maildirs) =
            if of_system { (SYSTEM_DATA, SYSTEM_MAILDIRS) } else { ("data", "mail/{domain}/{local}") };
        let data_dir = options.data_dir.clone().unwrap_or_else(|| default.into());
        let user = match is_root {
            true => User::from_name(SERVER_USER).ok().flatten(),
            false => None,
        };
        Self { dkim_key: file.with_file_name("dkim.pem"), file, data_dir, maildirs, user }
    }
}
