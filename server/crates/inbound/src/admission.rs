//! Who may open a session: the limits over all sessions and for one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use model::Reply;
use parking_lot::Mutex;

use crate::options::Limits;

/// Counts the open sessions.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    sessions: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// A place among the sessions, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    admission: Arc<Admission>,
    /// Nothing until it is known whose session it is.
    network: Option<IpAddr>,
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
        Ok(Place { admission: self.clone(), network: None })
    }
}

impl Place {
    /// Counts the place for a client as well, or says what it is told instead of a greeting.
    pub(crate) fn admit(&mut self, peer: IpAddr, hostname: &str, limits: &Limits) -> Result<(), Reply> {
        let network = network_of(peer);
        let mut open = self.admission.open.lock();
        let of_network = open.by_network.entry(network).or_default();
        if *of_network >= limits.sessions_per_address {
            return Err(Reply::new(
                421,
                (4, 7, 0),
                format!("{hostname} has too many sessions from your address"),
            ));
        }
        *of_network += 1;
        self.network = Some(network);
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.admission.open.lock();
        open.sessions -= 1;
        let Some(network) = self.network else { return };
        if let Some(count) = open.by_network.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                open.by_network.remove(&network);
            }
        }
    }
}

/// An IPv6 client has a whole /64 to call from.
fn network_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
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
        assert_eq!(admission.open.lock().by_network.len(), 2);
    }
}
