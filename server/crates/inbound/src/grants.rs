//! Addresses that may relay for a while, because the postmaster or a program of his said so: POP before SMTP.
//!
//! The table is a file of the data directory, a line for each: the network, and when its grant ends in milliseconds since 1970. It
//! is written whole, synced, and put in the place of the old one. A grant that has ended is dropped with the next change.
//!
//! Limits: `limits.relay-grants`; [`LONGEST`]; no network wider than an IPv4 /8 or an IPv6 /16.
//! Errors: a line of the file that is not understood is left out and logged.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use model::Timestamp;
use parking_lot::{Mutex, RwLock};
use tracing::{info, warn};

/// The longest time of a grant.
pub(crate) const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Octets of the file: more than the largest table that the configuration allows.
const MAX_FILE_OCTETS: u64 = 64 << 20;

/// Why nothing was granted or revoked.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    #[error("relay-grants: {0} addresses may relay already, which is the limit")]
    Full(usize),
    #[error("a grant lasts from 1s to 30d")]
    Duration,
    #[error("{0} holds half the world or more: this would be an open relay")]
    Wide(IpNet),
    #[error("nothing was allowed for {0}")]
    Unknown(IpNet),
    #[error("cannot write {}: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// The table.
#[derive(Debug, Default)]
pub struct RelayGrants {
    /// Nothing when it is kept in memory alone.
    file: Option<PathBuf>,
    table: RwLock<HashMap<IpNet, Timestamp>>,
    /// One change after the other, so that the file is the last of them.
    change: Mutex<()>,
}

impl RelayGrants {
    /// The table of a file, which need not be there.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn open(file: PathBuf, now: Timestamp) -> io::Result<Self> {
        let text = match fs::metadata(&file) {
            Ok(metadata) if metadata.len() > MAX_FILE_OCTETS => {
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, "is larger than 64 MiB"));
            }
            Ok(_) => fs::read_to_string(&file)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let mut table = HashMap::new();
        for (nth, line) in text.lines().enumerate() {
            match read(line) {
                Some((network, until)) if until > now => {
                    table.insert(network, until);
                }
                Some(_) => {}
                None => {
                    warn!(file = %file.display(), line = nth + 1, "a line is not understood and left out")
                }
            }
        }
        Ok(Self { file: Some(file), table: RwLock::new(table), change: Mutex::default() })
    }

    /// Lets a network relay from now on, at most until the time that comes back. A longer grant than before replaces it, and so
    /// does a shorter one. May wait for the disk.
    ///
    /// # Errors
    /// A limit, or the file; nothing was changed.
    pub fn allow(
        &self,
        network: IpNet,
        span: Duration,
        now: Timestamp,
        limit: usize,
    ) -> Result<Timestamp, GrantError> {
        let network = canonical(network);
        let widest = if network.addr().is_ipv4() { 8 } else { 16 };
        if network.prefix_len() < widest {
            return Err(GrantError::Wide(network));
        }
        if !(Duration::from_secs(1)..=LONGEST).contains(&span) {
            return Err(GrantError::Duration);
        }
        let until = now + span;
        self.change(now, |table| match table.len() {
            full if full >= limit && !table.contains_key(&network) => Err(GrantError::Full(limit)),
            _ => {
                table.insert(network, until);
                Ok(())
            }
        })?;
        info!(%network, span = ?span, "may relay");
        Ok(until)
    }

    /// Takes a grant back at once. May wait for the disk.
    ///
    /// # Errors
    /// There is none for this network, or the file; nothing was changed.
    pub fn revoke(&self, network: IpNet, now: Timestamp) -> Result<(), GrantError> {
        let network = canonical(network);
        self.change(now, |table| table.remove(&network).map(drop).ok_or(GrantError::Unknown(network)))?;
        info!(%network, "may not relay any more");
        Ok(())
    }

    /// The grants that have not ended, by network.
    pub fn list(&self, now: Timestamp) -> Vec<(IpNet, Timestamp)> {
        let table = self.table.read();
        let mut list: Vec<_> = table.iter().map(|(network, until)| (*network, *until)).collect();
        list.retain(|(_, until)| *until > now);
        list.sort();
        list
    }

    /// Whether an address may relay now.
    pub fn covers(&self, address: IpAddr, now: Timestamp) -> bool {
        let table = self.table.read();
        if table.is_empty() {
            return false;
        }
        // One look for each length of a prefix, however many grants there are.
        let mut network = Some(IpNet::from(address.to_canonical()));
        while let Some(at) = network {
            if table.get(&at).is_some_and(|until| *until > now) {
                return true;
            }
            network = at.supernet();
        }
        false
    }

    fn change(
        &self,
        now: Timestamp,
        change: impl FnOnce(&mut HashMap<IpNet, Timestamp>) -> Result<(), GrantError>,
    ) -> Result<(), GrantError> {
        let _turn = self.change.lock();
        let mut table = self.table.read().clone();
        table.retain(|_, until| *until > now);
        change(&mut table)?;
        if let Some(file) = &self.file {
            write(file, &table).map_err(|source| GrantError::Io { path: file.clone(), source })?;
        }
        *self.table.write() = table;
        Ok(())
    }
}

/// An IPv4 network in IPv6 clothes is what it is; bits beyond the prefix mean nothing.
fn canonical(network: IpNet) -> IpNet {
    match (network.addr().to_canonical(), network.prefix_len()) {
        (IpAddr::V4(v4), bits @ 96..) if network.addr().is_ipv6() => {
            IpNet::new(v4.into(), bits - 96).unwrap_or(network).trunc()
        }
        _ => network.trunc(),
    }
}

fn read(line: &str) -> Option<(IpNet, Timestamp)> {
    let (network, until) = line.split_once(' ')?;
    Some((network.parse().ok()?, Timestamp(until.parse().ok()?)))
}

/// Puts the file in its place at once and for good.
fn write(file: &Path, table: &HashMap<IpNet, Timestamp>) -> io::Result<()> {
    let aside = file.with_extension("new");
    let mut text: Vec<String> =
        table.iter().map(|(network, until)| format!("{network} {}\n", until.0)).collect();
    text.sort();
    let mut new = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    new.write_all(text.concat().as_bytes())?;
    new.sync_all()?;
    fs::rename(&aside, file)?;
    match file.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const NOW: Timestamp = Timestamp(1_000_000);

    fn network(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_grant_counts_for_its_network_until_it_ends_or_is_revoked() {
        let grants = RelayGrants::default();
        assert!(!grants.covers(address("192.0.2.1"), NOW));
        let until = grants.allow(network("192.0.2.1/32"), HOUR, NOW, 10).unwrap();
        grants.allow(network("2001:db8:1::9/48"), HOUR, NOW, 10).unwrap();
        assert!(grants.covers(address("192.0.2.1"), NOW));
        assert!(grants.covers(address("::ffff:192.0.2.1"), NOW));
        assert!(grants.covers(address("2001:db8:1:ffff::1"), NOW));
        assert!(!grants.covers(address("192.0.2.2"), NOW));
        assert!(!grants.covers(address("2001:db8:2::1"), NOW));
        assert!(!grants.covers(address("192.0.2.1"), until));
        grants.revoke(network("192.0.2.1/32"), NOW).unwrap();
        assert!(!grants.covers(address("192.0.2.1"), NOW));
        assert_eq!(grants.list(NOW), [(network("2001:db8:1::/48"), until)]);
        assert!(matches!(grants.revoke(network("192.0.2.1/32"), NOW), Err(GrantError::Unknown(_))));
    }

    #[test]
    fn the_table_the_time_and_the_width_have_limits() {
        let grants = RelayGrants::default();
        let allow = |text, span, now| grants.allow(network(text), span, now, 2);
        let until = allow("192.0.2.1/32", HOUR, NOW).unwrap();
        allow("192.0.2.2/32", HOUR, NOW).unwrap();
        assert!(matches!(allow("192.0.2.3/32", HOUR, NOW), Err(GrantError::Full(2))));
        allow("192.0.2.2/32", HOUR * 2, NOW).unwrap();
        // Those that have ended make room.
        allow("192.0.2.3/32", HOUR, until).unwrap();
        assert!(matches!(allow("192.0.2.3/32", Duration::ZERO, NOW), Err(GrantError::Duration)));
        assert!(matches!(allow("192.0.2.3/32", LONGEST + HOUR, NOW), Err(GrantError::Duration)));
        for wide in ["0.0.0.0/0", "128.0.0.0/1", "::/0", "2000::/3", "::ffff:0.0.0.0/96"] {
            assert!(matches!(allow(wide, HOUR, NOW), Err(GrantError::Wide(_))), "{wide}");
        }
    }

    #[test]
    fn the_table_outlives_the_process_and_a_damaged_line_costs_itself_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("relay-grants");
        let grants = RelayGrants::open(file.clone(), NOW).unwrap();
        let until = grants.allow(network("192.0.2.1/32"), HOUR, NOW, 10).unwrap();
        grants.allow(network("192.0.2.2/32"), HOUR * 2, NOW, 10).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("nonsense\n{text}192.0.2.9/32\n")).unwrap();
        let again = RelayGrants::open(file.clone(), NOW).unwrap();
        assert_eq!(again.list(NOW), grants.list(NOW));
        let later = RelayGrants::open(file, until).unwrap();
        assert_eq!(later.list(until).len(), 1);
    }
}
