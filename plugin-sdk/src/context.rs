//! What a hook can ask about the session and the mail transaction that it runs in.

use crate::body::Body;
use crate::headers::Headers;
use crate::{Error, Mailbox, Param, Recipient, Reply, host};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How many recipients are asked for at once.
const PAGE: u32 = 256;

/// The session and transaction of the running hook. Everything is asked when it is needed and nothing is kept.
///
/// Edits are staged by the server: they stand when the hook says proceed or accept, and are gone when it refuses,
/// traps or runs out of its time.
#[derive(Debug)]
pub struct Context(());

impl Context {
    #[doc(hidden)]
    #[must_use]
    pub fn of_the_running_hook() -> Context {
        Context(())
    }

    /// The session's name in the log.
    #[must_use]
    pub fn session_id(&self) -> String {
        host::session_id()
    }

    /// The configured name of the listener that took the connection.
    #[must_use]
    pub fn listener(&self) -> String {
        host::listener()
    }

    /// Who has connected; `::ffff:192.0.2.1` is given as `192.0.2.1`, what is no address as `0.0.0.0`.
    #[must_use]
    pub fn peer_ip(&self) -> IpAddr {
        address(&host::peer_ip())
    }

    /// The client's port.
    #[must_use]
    pub fn peer_port(&self) -> u16 {
        host::peer_port()
    }

    /// The client's name by reverse DNS, if it leads back to the address.
    #[must_use]
    pub fn peer_name(&self) -> Option<String> {
        host::peer_name()
    }

    /// What HELO, EHLO or LHLO said.
    #[must_use]
    pub fn helo(&self) -> Option<String> {
        host::helo()
    }

    /// Such as `TLSv1.3`, when the session is encrypted.
    #[must_use]
    pub fn tls_version(&self) -> Option<String> {
        host::tls_version()
    }

    /// The cipher suite's name.
    #[must_use]
    pub fn tls_cipher(&self) -> Option<String> {
        host::tls_cipher()
    }

    /// Who the client has proved to be.
    #[must_use]
    pub fn auth_user(&self) -> Option<String> {
        host::auth_user()
    }

    /// How the client proved it, in upper case; `None` when a proxy said who it is.
    #[must_use]
    pub fn auth_mechanism(&self) -> Option<String> {
        host::auth_mechanism()
    }

    /// Whether the client may send to any domain, by its user or its address: mail on its way out.
    #[must_use]
    pub fn may_relay(&self) -> bool {
        host::may_relay()
    }

    /// `SMTP`, `ESMTP` or `LMTP`.
    #[must_use]
    pub fn protocol(&self) -> String {
        host::protocol()
    }

    /// The server's own name, as in its greeting.
    #[must_use]
    pub fn server_name(&self) -> String {
        host::server_name()
    }

    /// Where the connection arrived, as [`peer_ip`](Context::peer_ip).
    #[must_use]
    pub fn local_ip(&self) -> IpAddr {
        address(&host::local_ip())
    }

    /// The port where the connection arrived.
    #[must_use]
    pub fn local_port(&self) -> u16 {
        host::local_port()
    }

    /// The name that the client asked for in the TLS handshake.
    #[must_use]
    pub fn tls_server_name(&self) -> Option<String> {
        host::tls_server_name()
    }

    /// Of a client whose certificate an authority vouches for: mail addresses and names, or else the common name.
    #[must_use]
    pub fn tls_client_names(&self) -> Vec<String> {
        host::tls_client_names()
    }

    /// A note that a plugin of this session left.
    #[must_use]
    pub fn note(&self, key: &str) -> Option<String> {
        host::note(key)
    }

    /// Leaves a note for the other plugins of this session.
    pub fn set_note(&self, key: &str, value: &str) {
        host::set_note(key, value);
    }

    /// The transaction's name in the log and the queue.
    #[must_use]
    pub fn transaction_id(&self) -> String {
        host::transaction_id()
    }

    /// Who sends; `None` is the null reverse-path (and no transaction).
    #[must_use]
    pub fn sender(&self) -> Option<Mailbox> {
        host::sender()
    }

    /// The ESMTP parameters of MAIL.
    #[must_use]
    pub fn sender_params(&self) -> Vec<Param> {
        host::sender_params()
    }

    /// Another sender, or the null reverse-path.
    ///
    /// # Errors
    /// [`Error::BadInput`] for what is no mailbox; [`Error::Unavailable`] outside a transaction.
    pub fn set_sender(&self, address: Option<&Mailbox>) -> Result<(), Error> {
        host::set_sender(address)
    }

    /// The recipients accepted so far.
    #[must_use]
    pub fn recipients(&self) -> Vec<Recipient> {
        let mut all = Vec::new();
        loop {
            let page = host::recipients(all.len() as u32, PAGE);
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }

    /// One more recipient; its id.
    ///
    /// # Errors
    /// As [`set_sender`](Context::set_sender), and [`Error::Quota`] when there are too many.
    pub fn add_recipient(&self, address: &Mailbox) -> Result<u32, Error> {
        self.add_recipient_with(address, &[])
    }

    /// One more recipient, with ESMTP parameters; its id.
    ///
    /// # Errors
    /// As [`add_recipient`](Context::add_recipient).
    pub fn add_recipient_with(&self, address: &Mailbox, params: &[Param]) -> Result<u32, Error> {
        host::add_recipient(address, params)
    }

    /// One recipient less.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn remove_recipient(&self, id: u32) -> Result<(), Error> {
        host::remove_recipient(id)
    }

    /// Another address for a recipient; its parameters, and who it was named as, stay.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::BadInput`].
    pub fn set_recipient(&self, id: u32, address: &Mailbox) -> Result<(), Error> {
        host::set_recipient(id, address)
    }

    /// In [`Plugin::message`](crate::Plugin::message) alone: this recipient does not get the message, whatever the others
    /// get. By LMTP and PRDR the client hears the reply. By SMTP, which has one reply for all, the sender is told of 5xx in
    /// a delivery status notification, and with 4xx the server keeps the message for this recipient and tries later. When
    /// every recipient is refused, the message is.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for one that was refused before; [`Error::BadInput`] for a reply that is no 4xx or 5xx;
    /// [`Error::Unavailable`] in other hooks.
    pub fn refuse_recipient(&self, id: u32, reply: &Reply) -> Result<(), Error> {
        host::refuse_recipient(id, reply)
    }

    /// In [`Plugin::message`](crate::Plugin::message) alone: the message waits in the queue for this recipient until
    /// somebody releases it, and goes on to the others.
    ///
    /// # Errors
    /// As [`refuse_recipient`](Context::refuse_recipient).
    pub fn hold_recipient(&self, id: u32, reason: &str) -> Result<(), Error> {
        host::hold_recipient(id, reason)
    }

    /// Octets of the message as it arrived; 0 before it has.
    #[must_use]
    pub fn message_size(&self) -> u32 {
        host::message_size()
    }

    /// The message's header.
    #[must_use]
    pub fn headers(&self) -> Headers {
        Headers::of_the_running_hook()
    }

    /// The message's body.
    #[must_use]
    pub fn body(&self) -> Body {
        Body::of_the_running_hook()
    }

    /// What sender authentication found (SPF, DKIM, DMARC, ARC), from the message hook on.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        host::findings()
    }

    /// A key for greylisting and its like: the client's network (/24, or /64 with IPv6), the sender and this recipient.
    /// At most 400 octets, so that it fits a key of the store with something before it; the end of a longer one is a hash.
    #[must_use]
    pub fn triplet(&self, to: &Mailbox) -> String {
        let net = network(self.peer_ip());
        let sender = self.sender().map_or_else(String::new, |s| s.to_string());
        shortened(format!("{net} {sender} {to}").to_lowercase())
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ip: IpAddr| ip.to_canonical())
}

/// One result of sender authentication, RFC 8601.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `spf`, `dkim`, `dmarc`, `arc`.
    pub method: String,
    /// `pass`, `fail`, `none` and so on.
    pub result: String,
    /// The domain that was judged.
    pub domain: Option<String>,
    /// For people.
    pub detail: String,
}

/// The most octets of a triplet.
const TRIPLET: usize = 400;

fn shortened(mut key: String) -> String {
    if key.len() > TRIPLET {
        // FNV-1a: no secret is kept here, two long addresses must only be told apart.
        let hash = key
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        key.truncate(key.floor_char_boundary(TRIPLET - 17));
        key += &format!("~{hash:016x}");
    }
    key
}

fn network(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(v6) => {
            let high = u128::from(v6) & !u128::from(u64::MAX);
            format!("{}/64", Ipv6Addr::from(high))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_triplet_is_shortened_and_still_its_own() {
        let (a, b) = ("é".repeat(300) + "a", "é".repeat(300) + "b");
        let (short_a, short_b) = (shortened(a.clone()), shortened(b));
        assert!(short_a.len() <= TRIPLET && short_b.len() <= TRIPLET && short_a != short_b);
        assert_eq!(shortened(a), short_a);
        assert_eq!(shortened("x".repeat(TRIPLET)), "x".repeat(TRIPLET));
    }

    #[test]
    fn a_network_is_a_24_or_a_64() {
        assert_eq!(network("192.0.2.77".parse().unwrap()), "192.0.2.0/24");
        assert_eq!(network("2001:db8:1:2:3:4:5:6".parse().unwrap()), "2001:db8:1:2::/64");
    }
}
