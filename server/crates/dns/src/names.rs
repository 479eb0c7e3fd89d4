//! Names that are asked for: checked, made ASCII, and made from addresses.
//!
//! Standards: RFC 1035 (2.3.4 sizes, 3.5 IN-ADDR.ARPA), RFC 3596 section 2.5 (IP6.ARPA), RFC 5782 (DNS
//! lists), RFC 8601 section 3 (`iprev`).

use std::net::IpAddr;

use model::Domain;

use crate::resolver::{DnsError, Resolver};

/// Octets of a name without its last dot, RFC 1035 section 2.3.4.
const MAX_NAME_OCTETS: usize = 253;
/// Octets of a label.
const MAX_LABEL_OCTETS: usize = 63;
/// Names of one address that are looked at; RFC 7208 section 4.6.4 allows as many.
pub const MAX_PTR_NAMES: usize = 10;

/// The labels of an absolute name, U-labels as A-labels. Labels may hold any visible ASCII, for `_dmarc` and
/// the macros of SPF.
pub(crate) fn to_labels(name: &str) -> Result<Vec<String>, DnsError> {
    let name = match name.is_ascii() {
        true => name.strip_suffix('.').unwrap_or(name).to_owned(),
        false => Domain::parse(name).map_err(|_| DnsError::BadName)?.to_ascii(),
    };
    let is_label = |label: &str| {
        (1..=MAX_LABEL_OCTETS).contains(&label.len()) && label.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if name.len() > MAX_NAME_OCTETS || !name.split('.').all(is_label) {
        return Err(DnsError::BadName);
    }
    Ok(name.split('.').map(str::to_owned).collect())
}

/// The octets of an IPv4 address or the nibbles of an IPv6 address, last first, with dots between them.
fn reversed(address: IpAddr) -> String {
    let labels: Vec<String> = match address.to_canonical() {
        IpAddr::V4(v4) => v4.octets().iter().rev().map(u8::to_string).collect(),
        IpAddr::V6(v6) => {
            let nibbles = v6.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
            nibbles.map(|nibble| format!("{nibble:x}")).collect()
        }
    };
    labels.join(".")
}

/// The name that a DNS list has for an address, RFC 5782 sections 2.1 and 2.4: `2.0.0.127.list.example`.
pub fn dnsbl_name(address: IpAddr, zone: &str) -> String {
    format!("{}.{zone}", reversed(address))
}

/// The name under which PTR records are asked for: `1.2.0.192.in-addr.arpa`.
pub fn reverse_name(address: IpAddr) -> String {
    let zone = if address.to_canonical().is_ipv4() { "in-addr.arpa" } else { "ip6.arpa" };
    dnsbl_name(address, zone)
}

/// The first name of an address that has this address in turn; nothing when there is none. At most
/// [`MAX_PTR_NAMES`] are asked for.
///
/// # Errors
/// A failure that may pass, when no name could be confirmed.
pub async fn confirmed_name(resolver: &dyn Resolver, address: IpAddr) -> Result<Option<String>, DnsError> {
    let names = match resolver.ptr(address).await {
        Ok(names) => names,
        Err(error) if error.is_temporary() => return Err(error),
        Err(_) => return Ok(None),
    };
    let mut failure = None;
    for name in names.into_iter().take(MAX_PTR_NAMES) {
        // What is no host name shall not come into logs and header fields.
        if Domain::parse(&name).is_err() {
            continue;
        }
        match resolver.addresses(&name).await {
            Ok(addresses) if addresses.iter().any(|a| a.to_canonical() == address.to_canonical()) => {
                return Ok(Some(name));
            }
            Err(error) if error.is_temporary() => failure = Some(error),
            _ => {}
        }
    }
    failure.map_or(Ok(None), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fake;

    #[test]
    fn names_are_absolute_and_ascii() {
        assert_eq!(to_labels("_dmarc.Example.org.").unwrap(), ["_dmarc", "Example", "org"]);
        assert_eq!(to_labels("bücher.example").unwrap(), ["xn--bcher-kva", "example"]);
        assert!(to_labels(&"a.".repeat(127)).is_ok());
        for bad in ["", ".", "a..b", ".a", "a b", "a\u{0}", "ü..example", &"a".repeat(64), &"a.".repeat(128)]
        {
            assert_eq!(to_labels(bad), Err(DnsError::BadName), "{bad:?}");
        }
    }

    #[test]
    fn addresses_have_names_in_lists_and_in_reverse_zones() {
        let v4 = "192.0.2.17".parse().unwrap();
        assert_eq!(dnsbl_name(v4, "list.example"), "17.2.0.192.list.example");
        assert_eq!(reverse_name(v4), "17.2.0.192.in-addr.arpa");
        assert_eq!(reverse_name("::ffff:192.0.2.17".parse().unwrap()), "17.2.0.192.in-addr.arpa");
        assert_eq!(
            reverse_name("2001:db8::1".parse().unwrap()),
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
        );
    }

    #[tokio::test]
    async fn a_name_counts_when_it_points_back() {
        let peer: IpAddr = "192.0.2.1".parse().unwrap();
        let honest = Fake::new()
            .with_ptr(peer, "liar.example")
            .with_ptr(peer, "bad name.example")
            .with_ptr(peer, "mail.example.org")
            .with_address("liar.example", "192.0.2.99".parse().unwrap())
            .with_address("mail.example.org", peer);
        assert_eq!(confirmed_name(&honest, peer).await, Ok(Some("mail.example.org".to_owned())));
        let mapped = "::ffff:192.0.2.1".parse().unwrap();
        assert_eq!(confirmed_name(&honest, mapped).await, Ok(Some("mail.example.org".to_owned())));
        let liar = Fake::new().with_ptr(peer, "mail.example.org");
        assert_eq!(confirmed_name(&liar, peer).await, Ok(None));
        assert_eq!(confirmed_name(&Fake::new(), peer).await, Ok(None));
        let failing =
            Fake::new().with_ptr(peer, "mail.example.org").fails("mail.example.org", DnsError::TimedOut);
        assert_eq!(confirmed_name(&failing, peer).await, Err(DnsError::TimedOut));
    }
}
