//! The end of a transaction: trace field, aliases, the durable commit, and the hand-over to delivery.

use std::collections::HashSet;
use std::sync::Arc;

use hooks::SessionFacts;
use message::{HeaderBlock, Received, Transmission};
use model::{
    Content, EXPANDED, Envelope, FORWARDED_AS, Mailbox, Notify, Param, QueueId, Recipient, Reply,
    ReversePath, Timestamp,
};
use queue::{Entry, State, StoreError};
use tracing::{error, info, warn};

use crate::fate::Fate;
use crate::options::{Kind, ListenerOptions, Options};
use crate::senders;
use crate::server::Shared;
use crate::stats::count;
use crate::submission;
use crate::transaction::Transaction;

/// How a message came in.
#[derive(Clone, Copy)]
pub(crate) struct Circumstances<'a> {
    pub(crate) session: &'a SessionFacts,
    /// EHLO or LHLO rather than HELO.
    pub(crate) extended: bool,
    /// The client may relay: its mail leaves under our name.
    pub(crate) is_ours: bool,
    pub(crate) listener: &'a ListenerOptions,
    pub(crate) options: &'a Options,
}

/// Takes a message on, or drops it where a hook said so; the reply to the end of data comes back.
///
/// 250 means that the message is on the disk, synced, or that it was to be dropped.
pub(crate) async fn commit(
    transaction: Transaction,
    content: Content,
    circumstances: Circumstances<'_>,
    shared: &Shared,
) -> Reply {
    let id = transaction.id();
    let session = circumstances.session;
    let planned = match plan(&transaction, content, circumstances, clock::wall()) {
        Ok(Some(planned)) => planned,
        Ok(None) => {
            count(&shared.stats.discarded);
            return queued(id);
        }
        Err(reply) => return reply,
    };
    let (mut entry, content) = planned;
    let Circumstances { is_ours, options, .. } = circumstances;
    let evaluation = transaction.evaluation.clone();
    let content = match senders::vouch(&entry, content, evaluation, is_ours, options, clock::wall()).await {
        Ok(content) => content,
        Err(error) => return unreadable(id, &error),
    };
    entry.size = content.len();
    let entry = Arc::new(entry);
    if let Err(error) = shared.services.store.commit(entry.clone(), content.clone()).await {
        return refuse(id, session, &error);
    }
    let held =
        entry.recipients.iter().filter(|queued| !matches!(queued.state, State::Waiting { .. })).count();
    info!(
        queue_id = %id, session = %session.id, peer = %session.peer.ip(), helo = session.helo.as_deref(),
        sender = %entry.sender, recipients = entry.recipients.len(), held, size = entry.size,
        "accepted"
    );
    count(&shared.stats.accepted);
    shared.stats.accepted_octets.fetch_add(entry.size, std::sync::atomic::Ordering::Relaxed);
    if held > 0 {
        count(&shared.stats.held);
    }
    if entry.due().is_some() {
        shared.services.courier.take(entry, content);
    }
    queued(id)
}

fn queued(id: QueueId) -> Reply {
    Reply::new(250, (2, 0, 0), format!("queued as {id}"))
}

/// What a message that cannot be kept is answered. Nothing of it stays.
pub(crate) fn refuse(id: QueueId, session: &SessionFacts, error: &StoreError) -> Reply {
    error!(queue_id = %id, session = %session.id, %error, "the message could not be kept");
    match error {
        StoreError::Full(_) => Reply::new(452, (4, 3, 1), "insufficient storage, try again later"),
        _ => Reply::new(451, (4, 3, 0), "the message could not be stored, try again later"),
    }
}

/// The entry and its content as they will be committed; nothing when no recipient is left.
fn plan(
    transaction: &Transaction,
    mut content: Content,
    circumstances: Circumstances<'_>,
    now: Timestamp,
) -> Result<Option<(Entry, Content)>, Reply> {
    let Circumstances { session, listener, options, .. } = circumstances;
    let id = transaction.id();
    let (envelope, holds) = recipients(transaction, session, options)?;
    if envelope.recipients.is_empty() {
        return Ok(None);
    }
    if listener.kind == Kind::Submission {
        content = submission::complete(content, id, &options.hostname, now)
            .map_err(|error| unreadable(id, &error))?;
    }
    let header = HeaderBlock::read(&content).map_err(|error| unreadable(id, &error))?;
    //= RFC 5321 section 6.3: a message that has passed too many hosts is in a loop.
    let hops = message::count_received(&header);
    if hops >= options.limits.hops {
        info!(queue_id = %id, session = %session.id, hops, "refused: the message is in a loop");
        return Err(Reply::new(554, (5, 4, 6), "too many Received fields: the message is in a loop"));
    }
    let received = received(transaction, circumstances, now);
    let content = message::prepend(&content, &header, received).map_err(|error| unreadable(id, &error))?;
    let release = smtp::server::release_at(&envelope.sender_params, now).filter(|until| *until > now);
    let mut entry = Entry::new(id, envelope, content.len(), now, None);
    if let Some(due) = release {
        entry.recipients.iter_mut().for_each(|queued| queued.state = State::Waiting { due });
    }
    for (queued, hold) in entry.recipients.iter_mut().zip(holds) {
        if let Some(reason) = hold {
            queued.state = State::Held { reason: reason.to_string() };
        }
    }
    Ok(Some((entry, content)))
}

/// The trace field of this host (RFC 5321 section 4.4).
fn received(transaction: &Transaction, circumstances: Circumstances<'_>, now: Timestamp) -> String {
    let Circumstances { session, extended, listener, options, .. } = circumstances;
    let named: Vec<&Mailbox> = transaction.envelope().recipients.iter().map(|r| &r.original).collect();
    let shown = !listener.hides_client;
    let received = Received {
        helo: session.helo.as_deref().filter(|_| shown),
        peer: Some(session.peer.ip()).filter(|_| shown),
        peer_name: session.peer_name.as_deref().filter(|_| shown),
        by: &options.hostname,
        with: Transmission {
            lmtp: listener.kind == Kind::Lmtp,
            extended,
            utf8: transaction.envelope().is_smtputf8(),
            tls: session.tls.is_some(),
            authenticated: session.auth_user.is_some(),
        },
        tls_cipher: session.tls.as_ref().map(|tls| tls.cipher.as_str()),
        id: transaction.id(),
        recipients: &named,
        date: now,
    };
    received.to_field()
}

fn unreadable(id: QueueId, error: &std::io::Error) -> Reply {
    error!(queue_id = %id, %error, "the message could not be read back");
    Reply::new(451, (4, 3, 0), "the message could not be read back, try again later")
}

/// Why a recipient is held, for each one of an envelope.
type Holds = Vec<Option<Arc<str>>>;

/// The recipients after fates and aliases, each with the reason to hold it.
fn recipients(
    transaction: &Transaction,
    session: &SessionFacts,
    options: &Options,
) -> Result<(Envelope, Holds), Reply> {
    let before = transaction.envelope();
    let mut envelope = Envelope::new(before.sender.clone(), before.sender_params.clone());
    let (mut holds, mut seen) = (Vec::new(), HashSet::new());
    // Whoever is refused for now comes last: that somebody else leads to the same mailbox must not make it wait.
    let (now, later) =
        before.recipients.iter().partition::<Vec<_>, _>(|recipient| recipient.refusal().is_none());
    for recipient in now.into_iter().chain(later) {
        let hold = match transaction.fate.clone().and(transaction.recipient_fate(recipient.id)) {
            Fate::Deliver => None,
            Fate::Hold(reason) => Some(reason),
            Fate::Discard(reason) => {
                let (queue_id, session, rcpt) = (transaction.id(), session.id, &recipient.address);
                info!(%queue_id, %session, %rcpt, %reason, "discarded");
                continue;
            }
        };
        if recipient.refusal().is_some_and(|reply| reply.is_permanent()) {
            // The sender is told of what it named, and of nothing behind that.
            let named = recipient.original.clone();
            envelope.add_recipient(named.clone(), named, recipient.params.clone());
            holds.push(hold);
            continue;
        }
        let targets = expand(&recipient.address, transaction.id(), options);
        let mut expanded = (targets.len() > 1).then(|| for_members(&recipient.params)).flatten();
        for address in &targets {
            if !seen.insert(address.clone()) {
                continue;
            }
            if seen.len() > options.limits.expanded_recipients {
                return Err(Reply::new(452, (4, 5, 3), "too many recipients after aliases"));
            }
            let mut params = match &mut expanded {
                Some(members) => members.next(),
                None => recipient.params.clone(),
            };
            if let Some(sender) = forwarded_as(&before.sender, recipient, address, options, transaction.id())
            {
                params.push(Param { keyword: FORWARDED_AS.to_owned(), value: Some(sender.to_string()) });
            }
            envelope.add_recipient(address.clone(), recipient.original.clone(), params);
            holds.push(hold.clone());
        }
        // Everybody behind the alias was named before: one of them carries the word of it.
        let untold = expanded.is_some_and(|members| members.is_first);
        let is_member =
            |one: &&mut Recipient| targets.contains(&one.address) && one.param(EXPANDED).is_none();
        if let Some(member) = envelope.recipients.iter_mut().find(is_member).filter(|_| untold) {
            let alias = Some(recipient.original.to_string());
            member.params.push(Param { keyword: EXPANDED.to_owned(), value: alias });
        }
    }
    Ok((envelope, holds))
}

/// The sender under which mail for an address of ours goes to another host: a domain that forbids us to send in its name would have it
/// refused there (RFC 7208). Nothing where the sender can stay.
fn forwarded_as(
    sender: &ReversePath,
    named: &Recipient,
    target: &Mailbox,
    options: &Options,
    queue_id: QueueId,
) -> Option<Mailbox> {
    let (srs, sender) = (options.forwarding.as_ref()?, sender.mailbox()?);
    let is_ours = |mailbox: &Mailbox| options.local.is_local(mailbox.domain()) || srs.is_of(mailbox);
    if is_ours(target) || is_ours(sender) || !(is_ours(&named.address) || is_ours(&named.original)) {
        return None;
    }
    let rewritten = srs.forward(sender, clock::wall());
    rewritten.inspect_err(|error| warn!(%queue_id, %sender, %error, "forwarded under its own sender")).ok()
}

/// The parameters of RCPT for the members of an alias of several, whose sender wants to hear of success.
struct Members {
    params: Vec<Param>,
    is_first: bool,
}

impl Members {
    fn next(&mut self) -> Vec<Param> {
        let mut params = self.params.clone();
        if std::mem::take(&mut self.is_first) {
            params.push(Param { keyword: EXPANDED.to_owned(), value: None });
        }
        params
    }
}

fn for_members(params: &[Param]) -> Option<Members> {
    let notify = params.iter().find(|param| param.keyword == "NOTIFY")?;
    let notify = Notify::parse(notify.value.as_deref()?).filter(|notify| notify.success)?;
    //= RFC 3461 section 5.2.7.3: success is told of the alias, as expanded, and no more asked of its members.
    let value = Notify { success: false, ..notify }.to_string();
    let mut params = params.to_vec();
    params
        .iter_mut()
        .filter(|param| param.keyword == "NOTIFY")
        .for_each(|param| param.value = Some(value.clone()));
    Some(Members { params, is_first: true })
}

/// The mailboxes behind an address, as delivery knows them: aliases followed, the detail behind the name taken off (it stays in
/// what the client named). An alias that cannot be followed ends at the address itself: delivery says what is wrong with it.
fn expand(address: &Mailbox, queue_id: QueueId, options: &Options) -> Vec<Mailbox> {
    if let Some(Ok(sender)) = options.forwarding.as_ref().and_then(|srs| srs.reverse(address, clock::wall()))
    {
        return vec![sender];
    }
    options.local.recipients(address).unwrap_or_else(|error| {
        warn!(%queue_id, rcpt = %address, %error, "the alias could not be expanded");
        vec![address.clone()]
    })
}
