//! Whom we take mail from and for: our own mailboxes from anybody; other domains from users, from the networks that may relay,
//! and from the addresses that may for a while; and in a user's name from that user alone.

use std::net::IpAddr;

use accounts::{Lookup, User};
use ipnet::IpNet;
use model::{ForwardPath, Mailbox, Param, Reply, ReversePath, parse_priority};

use crate::options::Options;

/// The mailbox that a forward-path names, when this client may send to it.
///
/// # Errors
/// The reply to RCPT: 550 5.1.1 for a mailbox that we do not have, 550 5.7.1 for a domain that is not ours, and for a rewritten sender
/// that is forged or old.
pub(crate) fn recipient(path: &ForwardPath, may_relay: bool, options: &Options) -> Result<Mailbox, Reply> {
    let mailbox = match path {
        ForwardPath::Postmaster => options.local.postmaster().clone(),
        ForwardPath::Mailbox(mailbox) => mailbox.clone(),
    };
    // What comes back to a sender that we have rewritten is for whoever sent it, wherever that is.
    if let Some(returned) = options.forwarding.as_ref().and_then(|srs| srs.reverse(&mailbox, clock::wall())) {
        return match returned {
            Ok(_) => Ok(mailbox),
            Err(error) => Err(Reply::new(550, (5, 7, 1), format!("{mailbox}: {error}"))),
        };
    }
    match options.local.lookup(&mailbox) {
        Lookup::Local { .. } | Lookup::Alias(_) => Ok(mailbox),
        Lookup::Unknown => Err(Reply::new(550, (5, 1, 1), format!("no mailbox {mailbox} here"))),
        //= RFC 5321 section 3.6.2: a server that does not relay for this client says 550.
        Lookup::NotLocal if may_relay => Ok(mailbox),
        Lookup::NotLocal => {
            Err(Reply::new(550, (5, 7, 1), format!("relaying to {} denied", mailbox.domain())))
        }
    }
}

/// Whether somebody may send in this sender's name. The null reverse-path is everybody's: programs that read mail report with it.
///
/// # Errors
/// The reply to MAIL: 553 5.7.1 for a user who is somebody else (RFC 6409 section 6.1).
pub(crate) fn sender(sender: &ReversePath, user: Option<&User>, options: &Options) -> Result<(), Reply> {
    match (sender, user) {
        (ReversePath::Mailbox(address), Some(user)) if !user.may_send_as(address, &options.local) => {
            Err(Reply::new(553, (5, 7, 1), format!("{} may not send as {address}", user.name)))
        }
        _ => Ok(()),
    }
}

/// Whether a user of this host may send in this sender's name, where only trusted users may in anybody's: as itself, at a domain of ours.
///
/// # Errors
/// The reply to MAIL: 553 5.7.1.
pub(crate) fn program_sender(sender: &ReversePath, user: &str, options: &Options) -> Result<(), Reply> {
    let (Some(trusted), Some(address)) = (&options.programs.trusted_users, sender.mailbox()) else {
        return Ok(());
    };
    let is_ours =
        options.local.is_local(address.domain()) || address.domain().to_ascii() == *options.hostname;
    match user == "root" || trusted.iter().any(|name| name == user) || address.local() == user && is_ours {
        true => Ok(()),
        false => Err(Reply::new(553, (5, 7, 1), format!("{user} may not send as {address}"))),
    }
}

/// Takes the urgency off a message of somebody who may not relay: anybody could claim it. True when there was some. What is less urgent
/// than others stays so.
pub(crate) fn lower_priority(params: &mut Vec<Param>) -> bool {
    //= RFC 6710 section 5: without trust in the client the priority is the default.
    let is_urgent = |param: &Param| {
        param.keyword == "MT-PRIORITY"
            && param.value.as_deref().and_then(parse_priority).is_some_and(|it| it > 0)
    };
    let before = params.len();
    params.retain(|param| !is_urgent(param));
    params.len() < before
}

/// Whether a client may send to any domain because of where it calls from.
pub(crate) fn may_relay(peer: IpAddr, options: &Options) -> bool {
    is_among(peer, &options.relay_networks) || options.relay_grants.covers(peer, clock::wall())
}

/// Whether an address is in one of these networks; an IPv4 address in IPv6 clothes is what it is.
pub(crate) fn is_among(address: IpAddr, networks: &[IpNet]) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}
