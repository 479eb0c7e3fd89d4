//! The records to publish, as a zone file has them.

use std::fmt::Write as _;
use std::net::{IpAddr, UdpSocket};

use sender_auth::zone_line;

use super::SELECTOR;
use super::answers::Answers;

/// Where a packet would go to, if one were sent: it tells the address that this host has in the world.
const FAR_AWAY: [&str; 2] = ["192.0.2.1:9", "[2001:db8::1]:9"];

/// The records of all domains; what is still up to the postmaster stands in comments.
pub(super) fn zone(answers: &Answers, dkim: Option<&str>) -> String {
    let (host, mut zone) = (&answers.hostname, String::new());
    // Writing to a string cannot fail.
    let _ = write_host(&mut zone, host);
    for receives in &answers.domains {
        let _ = write_domain(&mut zone, &receives.domain, answers, dkim);
    }
    zone
}

fn write_host(zone: &mut String, host: &str) -> std::fmt::Result {
    writeln!(zone, "; Publish these records. The host, whose address has to lead back to its name (PTR):")?;
    let addresses: Vec<IpAddr> = FAR_AWAY.iter().filter_map(|far| own_address(far)).collect();
    if addresses.is_empty() {
        writeln!(zone, "; {host}. IN A ... and {host}. IN AAAA ...: its public addresses")?;
    }
    for address in addresses {
        let kind = if address.is_ipv4() { "A" } else { "AAAA" };
        writeln!(zone, "{host}. IN {kind} {address}")?;
    }
    writeln!(zone, "{}", zone_line(host, "v=spf1 a -all"))
}

fn write_domain(zone: &mut String, domain: &str, answers: &Answers, dkim: Option<&str>) -> std::fmt::Result {
    writeln!(zone, "\n; {domain}: where its mail goes, and who sends for it")?;
    writeln!(zone, "{domain}. IN MX 10 {}.", answers.hostname)?;
    match &answers.smarthost {
        None => writeln!(zone, "{}", zone_line(domain, "v=spf1 mx -all"))?,
        Some(smarthost) => {
            writeln!(zone, "; {smarthost} sends too: put its provider's include: before ~all")?;
            writeln!(zone, "{}", zone_line(domain, "v=spf1 mx ~all"))?;
        }
    }
    if let Some(record) = dkim {
        writeln!(zone, "{}", zone_line(&format!("{SELECTOR}._domainkey.{domain}"), record))?;
    }
    writeln!(zone, "; p=none only watches; p=quarantine or p=reject when the reports show that all is well")?;
    let dmarc = format!("v=DMARC1; p=none; rua=mailto:postmaster@{domain}");
    writeln!(zone, "{}", zone_line(&format!("_dmarc.{domain}"), &dmarc))?;
    let told = format!("v=TLSRPTv1; rua=mailto:postmaster@{domain}");
    writeln!(zone, "{}", zone_line(&format!("_smtp._tls.{domain}"), &told))?;
    writeln!(zone, "; Once STARTTLS works, MTA-STS: _mta-sts.{domain}. IN TXT \"v=STSv1; id=1\", and at")?;
    writeln!(
        zone,
        "; https://mta-sts.{domain}/.well-known/mta-sts.txt: version: STSv1, mode: testing, mx: {}, max_age: 86400",
        answers.hostname
    )
}

/// An address of ours that the world can reach, if there is one.
fn own_address(far: &str) -> Option<IpAddr> {
    let unbound = if far.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
    let socket = UdpSocket::bind(unbound).ok()?;
    // Nothing is sent: the system only looks up the way.
    socket.connect(far).ok()?;
    let address = socket.local_addr().ok()?.ip();
    let is_public = match address {
        IpAddr::V4(v4) => !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified()),
        IpAddr::V6(v6) => {
            !(v6.is_unique_local() || v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unspecified())
        }
    };
    is_public.then_some(address)
}
