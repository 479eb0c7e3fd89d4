//! Whom we take mail for: our own mailboxes from anybody, other domains from the networks that may relay.

use accounts::Lookup;
use model::{ForwardPath, Mailbox, Reply};
use std::net::IpAddr;

use crate::options::Options;

/// The mailbox that a forward-path names, when this client may send to it.
///
/// # Errors
/// The reply to RCPT: 550 5.1.1 for a mailbox that we do not have, 550 5.7.1 for a domain that is not ours.
pub(crate) fn recipient(path: &ForwardPath, peer: IpAddr, options: &Options) -> Result<Mailbox, Reply> {
    let mailbox = match path {
        ForwardPath::Postmaster => options.local.postmaster().clone(),
        ForwardPath::Mailbox(mailbox) => mailbox.clone(),
    };
    match options.local.lookup(&mailbox) {
        Lookup::Local { .. } | Lookup::Alias(_) => Ok(mailbox),
        Lookup::Unknown => Err(Reply::new(550, (5, 1, 1), format!("no mailbox {mailbox} here"))),
        //= RFC 5321 section 3.6.2: a server that does not relay for this client says 550.
        Lookup::NotLocal if may_relay(peer, options) => Ok(mailbox),
        Lookup::NotLocal => {
            Err(Reply::new(550, (5, 7, 1), format!("relaying to {} denied", mailbox.domain())))
        }
    }
}

/// Whether this client may send to any domain.
pub(crate) fn may_relay(peer: IpAddr, options: &Options) -> bool {
    let peer = peer.to_canonical();
    options.relay_networks.iter().any(|network| network.contains(&peer))
}
