//! How much a client may ask for in a time: connections and messages of an address, messages and recipients of a user.
//!
//! Each rate is a bucket of as many as the limit says, which fills again evenly over its time: whoever was quiet may use all of it at
//! once. A client with a user's name is measured by that alone, for many may share an address; addresses in `rate-exempt` are
//! not measured. The measures begin anew when a reload changes a limit.
//!
//! Limits: [`RateLimits`]; [`MAX_KEYS`] addresses or users are remembered in each measure.
//! Known gaps: those of [`Meter`].

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use ipnet::IpNet;
use model::Reply;

use crate::meter::{Meter, MeterClock, network_of};
use crate::policy;

/// Addresses or users that a measure remembers, some hundred octets each.
const MAX_KEYS: usize = 100_000;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// The rates; 0 is no limit. An address is an IPv4 address or an IPv6 /64.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// Connections of an address; over it 421 4.7.0.
    pub connections_per_minute: u32,
    /// Messages of an address; over it MAIL is answered 450 4.7.1.
    pub messages_per_minute: u32,
    pub messages_per_hour: u32,
    /// Messages of a user; over it MAIL is answered 450 4.7.1.
    pub user_messages_per_hour: u32,
    /// Recipients of a user; over it RCPT is answered 450 4.7.1.
    pub user_recipients_per_hour: u32,
    /// Addresses from here are not measured.
    pub exempt: Vec<IpNet>,
}

/// Measures clients against the rates. The time is handed in.
pub struct Rates {
    clock: MeterClock,
    meters: ArcSwap<Meters>,
}

struct Meters {
    limits: RateLimits,
    connections: Meter<IpAddr>,
    messages_in_a_minute: Meter<IpAddr>,
    messages_in_an_hour: Meter<IpAddr>,
    user_messages: Meter<Arc<str>>,
    user_recipients: Meter<Arc<str>>,
}

impl Rates {
    pub(crate) fn new(limits: RateLimits, now: Instant) -> Self {
        let clock = MeterClock::new(now);
        Self { meters: ArcSwap::from_pointee(Meters::new(limits, &clock)), clock }
    }

    /// Other limits, from now on.
    pub(crate) fn replace(&self, limits: &RateLimits) {
        if self.meters.load().limits != *limits {
            self.meters.store(Arc::new(Meters::new(limits.clone(), &self.clock)));
        }
    }

    /// Whether a client may connect once more.
    ///
    /// # Errors
    /// 421 4.7.0.
    pub fn admit_connection(&self, peer: IpAddr, hostname: &str, now: Instant) -> Result<(), Reply> {
        let meters = self.at(now);
        if meters.is_exempt(peer) || meters.connections.admit(&network_of(peer)) {
            return Ok(());
        }
        let text = format!("{hostname} has had too many connections from your address, try again later");
        Err(Reply::new(421, (4, 7, 0), text))
    }

    /// Whether a client, or the user that it has named, may begin one more message.
    ///
    /// # Errors
    /// 450 4.7.1.
    pub fn admit_message(&self, peer: IpAddr, user: Option<&str>, now: Instant) -> Result<(), Reply> {
        let meters = self.at(now);
        if let Some(user) = user {
            return match meters.user_messages.admit(&user.into()) {
                true => Ok(()),
                false => Err(over("messages", "you")),
            };
        }
        let network = network_of(peer);
        // What the hour does not have is not taken from the minute.
        let admitted = meters.is_exempt(peer)
            || meters.messages_in_an_hour.admit(&network) && meters.messages_in_a_minute.admit(&network);
        if admitted { Ok(()) } else { Err(over("messages", "your address")) }
    }

    /// Whether a user may name one more recipient. Clients without a name are measured by their messages.
    ///
    /// # Errors
    /// 450 4.7.1.
    pub fn admit_recipient(&self, user: Option<&str>, now: Instant) -> Result<(), Reply> {
        match user {
            Some(user) if !self.at(now).user_recipients.admit(&user.into()) => Err(over("recipients", "you")),
            _ => Ok(()),
        }
    }

    fn at(&self, now: Instant) -> Arc<Meters> {
        self.clock.advance(now);
        self.meters.load_full()
    }
}

impl std::fmt::Debug for Rates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rates").field("limits", &self.meters.load().limits).finish_non_exhaustive()
    }
}

fn over(what: &str, whose: &str) -> Reply {
    Reply::new(450, (4, 7, 1), format!("too many {what} from {whose} in this time, try again later"))
}

impl Meters {
    fn new(limits: RateLimits, clock: &MeterClock) -> Self {
        let of_addresses = |name, limit, span| Meter::new(name, limit, span, MAX_KEYS, clock);
        let of_users = |name, limit| Meter::new(name, limit, HOUR, MAX_KEYS, clock);
        Self {
            connections: of_addresses("connections-per-minute", limits.connections_per_minute, MINUTE),
            messages_in_a_minute: of_addresses("messages-per-minute", limits.messages_per_minute, MINUTE),
            messages_in_an_hour: of_addresses("messages-per-hour", limits.messages_per_hour, HOUR),
            user_messages: of_users("user-messages-per-hour", limits.user_messages_per_hour),
            user_recipients: of_users("user-recipients-per-hour", limits.user_recipients_per_hour),
            limits,
        }
    }

    fn is_exempt(&self, peer: IpAddr) -> bool {
        policy::is_among(peer, &self.limits.exempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::{CHECKS_BETWEEN_LOOKS, FEW_KEYS};

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn rates(limits: RateLimits) -> (Rates, Instant) {
        let now = clock::now();
        (Rates::new(limits, now), now)
    }

    #[test]
    fn an_address_has_its_rate_and_gets_it_back_with_time() {
        let limits = RateLimits {
            connections_per_minute: 2,
            exempt: vec!["10.0.0.0/8".parse().unwrap()],
            ..RateLimits::default()
        };
        let (rates, now) = rates(limits);
        let admit = |peer: &str, now| rates.admit_connection(address(peer), "mx.example", now);
        admit("2001:db8::1", now).unwrap();
        admit("2001:db8::2", now).unwrap();
        assert_eq!(admit("2001:db8::3", now).unwrap_err().status.unwrap().to_string(), "4.7.0");
        admit("2001:db8:0:1::1", now).unwrap();
        admit("192.0.2.1", now).unwrap();
        for _ in 0..10 {
            admit("::ffff:10.1.2.3", now).unwrap();
        }
        admit("2001:db8::3", now + MINUTE / 2).unwrap();
        admit("2001:db8::3", now + MINUTE / 2).unwrap_err();
        admit("2001:db8::3", now + MINUTE * 2).unwrap();
        // The time of a task that was late does not turn the clock back.
        admit("2001:db8::3", now).unwrap();
        admit("2001:db8::3", now + MINUTE * 2).unwrap_err();
    }

    #[test]
    fn messages_count_by_minute_and_hour_or_by_the_user_alone() {
        let limits = RateLimits {
            messages_per_minute: 2,
            messages_per_hour: 3,
            user_messages_per_hour: 1,
            user_recipients_per_hour: 2,
            exempt: vec!["192.0.2.9/32".parse().unwrap()],
            ..RateLimits::default()
        };
        let (rates, now) = rates(limits);
        let peer = address("192.0.2.1");
        rates.admit_message(peer, None, now).unwrap();
        rates.admit_message(peer, None, now).unwrap();
        let reply = rates.admit_message(peer, None, now).unwrap_err();
        assert_eq!((reply.code, reply.status.unwrap().to_string().as_str()), (450, "4.7.1"));
        rates.admit_message(peer, None, now + MINUTE * 5).unwrap_err();
        rates.admit_message(peer, None, now + HOUR).unwrap();
        // Whoever has a name is measured by it, from wherever.
        rates.admit_message(peer, Some("alice"), now).unwrap();
        rates.admit_message(address("192.0.2.9"), Some("alice"), now).unwrap_err();
        rates.admit_message(peer, Some("bob"), now).unwrap();
        for _ in 0..5 {
            rates.admit_message(address("192.0.2.9"), None, now).unwrap();
            rates.admit_recipient(None, now).unwrap();
        }
        rates.admit_recipient(Some("alice"), now).unwrap();
        rates.admit_recipient(Some("alice"), now).unwrap();
        assert_eq!(rates.admit_recipient(Some("alice"), now).unwrap_err().code, 450);
    }

    #[test]
    fn without_limits_everybody_is_admitted_and_nobody_remembered() {
        let (rates, now) = rates(RateLimits::default());
        for _ in 0..1_000 {
            rates.admit_connection(address("192.0.2.1"), "mx.example", now).unwrap();
            rates.admit_message(address("192.0.2.1"), Some("alice"), now).unwrap();
        }
        assert!(rates.meters.load().connections.remembered().is_none());
        rates.replace(&RateLimits { connections_per_minute: 1, ..RateLimits::default() });
        rates.admit_connection(address("192.0.2.1"), "mx.example", now).unwrap();
        rates.admit_connection(address("192.0.2.1"), "mx.example", now).unwrap_err();
    }

    #[test]
    fn however_many_addresses_come_no_more_than_the_limit_are_remembered() {
        let (rates, now) = rates(RateLimits { connections_per_minute: 5, ..RateLimits::default() });
        let remembered = || rates.meters.load().connections.remembered().unwrap_or(0);
        let most = MAX_KEYS + CHECKS_BETWEEN_LOOKS as usize;
        for nth in 0..(MAX_KEYS as u32 * 3) {
            let peer = IpAddr::from(std::net::Ipv4Addr::from_bits(0x0b00_0000 + nth));
            rates.admit_connection(peer, "mx.example", now).unwrap();
        }
        assert!(remembered() <= most, "{}", remembered());
        // With time they are forgotten all the same.
        for _ in 0..=CHECKS_BETWEEN_LOOKS {
            let _ = rates.admit_connection(address("192.0.2.1"), "mx.example", now + HOUR);
        }
        assert!(remembered() <= FEW_KEYS, "{}", remembered());
    }
}
