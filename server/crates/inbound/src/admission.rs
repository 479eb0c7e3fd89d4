//! Who may open a session: the limits over all sessions, for one address and for one network.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use model::Reply;
use parking_lot::Mutex;

use crate::meter::network_of;
use crate::options::Limits;
use crate::policy;

/// Counts the open sessions.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    sessions: usize,
    by_address: HashMap<IpAddr, usize>,
    by_network: HashMap<IpAddr, usize>,
}

/// A place among the sessions, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    admission: Arc<Admission>,
    /// Nothing until it is known whose session it is.
    peer: Option<IpAddr>,
}

impl Admission {
    /// A place for a connection, whoever's it is, or what it is told instead of a greeting.
    pub(crate) fn enter(self: &Arc<Self>, hostname: &str, limits: &Limits) -> Result<Place, Reply> {
        let mut open = self.open.lock();
        if open.sessions >= limits.sessions {
            return Err(Reply::new(
                421,
                (4, 3, 2),
                format!("{hostname} has too many sessions, try again later"),
            ));
        }
        open.sessions += 1;
        Ok(Place { admission: self.clone(), peer: None })
    }
}

impl Place {
    /// Counts the place for a client as well, or says what it is told instead of a greeting.
    pub(crate) fn admit(&mut self, peer: IpAddr, hostname: &str, limits: &Limits) -> Result<(), Reply> {
        let (address, network) = (network_of(peer), neighbourhood_of(peer));
        let mut open = self.admission.open.lock();
        let of = |counts: &HashMap<IpAddr, usize>, whose| counts.get(whose).copied().unwrap_or_default();
        let refuse = |whose: &str| {
            Err(Reply::new(421, (4, 7, 0), format!("{hostname} has too many sessions from your {whose}")))
        };
        if of(&open.by_address, &address) >= limits.sessions_per_address {
            return refuse("address");
        }
        let crowded =
            limits.sessions_per_network > 0 && of(&open.by_network, &network) >= limits.sessions_per_network;
        if crowded && !policy::is_among(peer, &limits.rates.exempt) {
            return refuse("network");
        }
        *open.by_address.entry(address).or_default() += 1;
        *open.by_network.entry(network).or_default() += 1;
        self.peer = Some(peer);
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.admission.open.lock();
        open.sessions -= 1;
        if let Some(peer) = self.peer {
            give_back(&mut open.by_address, network_of(peer));
            give_back(&mut open.by_network, neighbourhood_of(peer));
        }
    }
}

fn give_back(counts: &mut HashMap<IpAddr, usize>, whose: IpAddr) {
    if let Some(count) = counts.get_mut(&whose) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&whose);
        }
    }
}

/// The network that an address belongs to, as its owner has it: an IPv4 /24 or an IPv6 /48.
fn neighbourhood_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !(u128::MAX >> 48))),
        IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & !0xff)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_in_all_and_for_a_network_and_come_back() {
        let admission = Arc::new(Admission::default());
        let limits = Limits { sessions: 3, sessions_per_address: 2, ..Limits::default() };
        let admit = |peer: &str| {
            let mut place = admission.enter("mx.example", &limits)?;
            place.admit(peer.parse().unwrap(), "mx.example", &limits)?;
            Ok::<_, Reply>(place)
        };
        let first = admit("2001:db8::1").unwrap();
        let _second = admit("2001:db8::2").unwrap();
        assert_eq!(admit("2001:db8::3").unwrap_err().status.unwrap().to_string(), "4.7.0");
        let _third = admit("192.0.2.1").unwrap();
        assert_eq!(admit("192.0.2.2").unwrap_err().status.unwrap().to_string(), "4.3.2");
        drop(first);
        assert!(admit("2001:db8::3").is_ok());
        assert_eq!(admission.open.lock().by_address.len(), 2);
    }

    #[test]
    fn a_network_has_a_limit_of_its_own_that_may_be_waived() {
        let admission = Arc::new(Admission::default());
        let mut limits = Limits { sessions_per_network: 2, ..Limits::default() };
        let admit = |peer: &str, limits: &Limits| {
            let mut place = admission.enter("mx.example", limits)?;
            place.admit(peer.parse().unwrap(), "mx.example", limits)?;
            Ok::<_, Reply>(place)
        };
        let _places = [
            admit("192.0.2.1", &limits).unwrap(),
            admit("192.0.2.200", &limits).unwrap(),
            admit("192.0.3.1", &limits).unwrap(),
            admit("2001:db8:1:1::1", &limits).unwrap(),
            admit("2001:db8:1:2::1", &limits).unwrap(),
            admit("2001:db8:2:1::1", &limits).unwrap(),
        ];
        for peer in ["192.0.2.3", "2001:db8:1:3::1"] {
            assert_eq!(admit(peer, &limits).unwrap_err().status.unwrap().to_string(), "4.7.0");
        }
        limits.rates.exempt = vec!["192.0.2.0/24".parse().unwrap()];
        let place = admit("192.0.2.3", &limits).unwrap();
        drop((place, _places));
        assert!(admission.open.lock().by_network.is_empty());
    }
}
