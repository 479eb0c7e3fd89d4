//! `[relay]` and `[dns]`.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

use crate::reader::Table;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Who may send to domains that are not ours.
pub(crate) fn relay_networks(root: &Table<'_>) -> Vec<IpNet> {
    let table = root.table("relay", "relay");
    let networks = table.list("networks", relay_network).unwrap_or_default();
    networks.into_iter().map(|(_, network)| network).collect()
}

fn relay_network(text: &str) -> Result<IpNet, String> {
    match network(text)? {
        wide if is_wide(&wide) => {
            Err(format!("{wide} holds half the world or more: this would be an open relay"))
        }
        network => Ok(network),
    }
}

/// The proxies of a listener, from an address or network.
pub(crate) fn proxy_network(text: &str) -> Result<IpNet, String> {
    match network(text)? {
        wide if is_wide(&wide) => {
            Err(format!("{wide} holds half the world or more, and each client could call itself anybody"))
        }
        network => Ok(network),
    }
}

/// Whom the rates do not concern, when the file says so.
pub(crate) fn rate_exempt(limits: &Table<'_>) -> Option<Vec<IpNet>> {
    let networks = limits.list("rate-exempt", network)?;
    Some(networks.into_iter().map(|(_, network)| network).collect())
}

/// The widest networks that belong to one owner are an IPv4 /8 and an IPv6 /16 or narrower.
fn is_wide(network: &IpNet) -> bool {
    network.prefix_len() < if network.addr().is_ipv4() { 8 } else { 16 }
}

/// A network, or an address as a network of one.
pub(crate) fn network(text: &str) -> Result<IpNet, String> {
    match text.parse::<IpAddr>() {
        Ok(address) => Ok(IpNet::from(address)),
        Err(_) => text
            .parse::<IpNet>()
            .map(|network| network.trunc())
            .map_err(|_| format!("\"{text}\" is no network or address, as in \"192.0.2.0/24\" or \"::1\"")),
    }
}

/// The resolver's options, and whether the names of clients are looked up.
pub(crate) fn dns(root: &Table<'_>) -> (dns::Options, bool) {
    let table = root.table("dns", "dns");
    let mut options = dns::Options::default();
    if let Some(servers) = table.list("servers", server) {
        options.servers = servers.into_iter().map(|(_, server)| server).collect();
    }
    table.set_duration("timeout", &mut options.timeout, Duration::from_millis(10)..=Duration::from_secs(60));
    table.set_count("retries", &mut options.retries, 0..=10);
    table.set_count("cache-entries", &mut options.cache_entries, 0..=10_000_000);
    table.set_duration("max-ttl", &mut options.max_ttl, Duration::ZERO..=7 * DAY);
    table.set_duration("max-negative-ttl", &mut options.max_negative_ttl, Duration::ZERO..=7 * DAY);
    let mut dnssec = true;
    table.set_bool("dnssec", &mut dnssec);
    options.dnssec = table.get("dnssec").map(|_| dnssec);
    options.trust_anchor_file = table.path("trust-anchor-file");
    let mut reverse_lookups = true;
    table.set_bool("reverse-lookups", &mut reverse_lookups);
    (options, reverse_lookups)
}

fn server(text: &str) -> Result<SocketAddr, String> {
    let with_port = text.parse::<SocketAddr>();
    with_port
        .or_else(|_| text.parse::<IpAddr>().map(|address| (address, 53).into()))
        .map_err(|_| format!("\"{text}\" is no name server's address, as in \"127.0.0.1\" or \"[::1]:5353\""))
}
