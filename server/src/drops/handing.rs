//! One file, handed in as a session of its owner's; what is refused goes back.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;

use config::SubmissionSocket;
use inbound::{Identity, Insider, Returned};
use model::{Domain, Mailbox, Param, Recipient, Reply, ReversePath};
use nix::unistd::{Gid, Uid, User, getgrouplist};
use smtp::client::Step;
use tracing::info;

use super::file::{self, Left, Unusable};
use super::folder::{Believed, Doubt};
use super::taking::{End, Taker};
use crate::commands::sendmail::{Broken, Handover, Interrupted, Letter, Order, Refusal};

/// How long a refusal for now is borne.
const GIVE_UP_S: u64 = 5 * 24 * 3600;

impl Taker {
    /// Hands in what a file has, or what is left of it after `before`.
    pub(super) fn take(&self, name: &str, before: Option<&[Recipient]>) -> End {
        let believed = match self.folder.file(name) {
            Ok(believed) => believed,
            Err(Doubt::Gone) => return End::Gone,
            Err(Doubt::Unreadable(error)) => return End::Later(error.to_string(), None),
            Err(doubt @ Doubt::NotBelieved(_)) => return End::Aside(doubt.to_string()),
        };
        let Believed { file, owner: id, octets, written_s } = believed;
        let user = User::from_uid(Uid::from_raw(id)).ok().flatten();
        let user_name = user.as_ref().map_or_else(|| format!("uid{id}"), |user| user.name.clone());
        if !may_send(&self.options.rules, id, user.as_ref()) {
            return End::Aside(format!("{user_name} may not send (sendmail.mode)"));
        }
        let left = match file::read(file, octets, self.options.message_octets) {
            Ok(left) => left,
            Err(Unusable::Unreadable(error)) => return End::Later(error.to_string(), None),
            Err(Unusable::Malformed(why)) => return End::Aside(why),
        };
        let order = before.map_or_else(|| left.order.clone(), |only| left.order.only_to(only));
        let owner = Owner { name: user_name, user };
        let is_given_up = (clock::wall().0 / 1000).saturating_sub(written_s) > GIVE_UP_S;
        self.submit(&owner, &order, &left, is_given_up)
    }

    fn submit(&self, owner: &Owner, order: &Order, left: &Left, is_given_up: bool) -> End {
        let session = match self.begin(&owner.name) {
            Ok(session) => session,
            Err(NotBegun::Busy(why)) => return End::Busy(why),
            Err(NotBegun::Broken(Broken::Refused(reply))) if !reply.is_transient() => {
                return match Domain::parse(&self.options.domain).map_err(|error| error.to_string()) {
                    Ok(host) => match owner.letter(order, left, &host) {
                        Ok(letter) => {
                            let refusals = all_refused(&letter.recipients, Some(Step::Auth), &reply);
                            self.give_back(owner, &host, &letter, refusals, Vec::new())
                        }
                        Err(why) => End::Aside(why),
                    },
                    Err(why) => End::Later(why, None),
                };
            }
            Err(NotBegun::Broken(broken)) => return End::Later(broken.to_string(), None),
        };
        let host = session.server_name().clone();
        let mut letter = match owner.letter(order, left, &host) {
            Ok(letter) => letter,
            Err(why) => return End::Aside(why),
        };
        if left.is_too_large {
            // What was read of it is more than its header, and less than all.
            letter.sender_params.retain(|param| param.keyword != "RET");
            letter.sender_params.push(Param { keyword: "RET".to_owned(), value: Some("HDRS".to_owned()) });
            let said = format!("a message may have {} octets", self.options.message_octets);
            let refusals = all_refused(&letter.recipients, None, &Reply::new(552, (5, 3, 4), said));
            return self.give_back(owner, &host, &letter, refusals, Vec::new());
        }
        let (mut refusals, mut unknown) = match session.send(&letter) {
            Ok(refusals) => (refusals, Vec::new()),
            Err(Interrupted { broken, left, mut refusals }) => match broken {
                Broken::Refused(reply) if !reply.is_transient() => {
                    refusals.extend(all_refused(&left, None, &reply));
                    (refusals, Vec::new())
                }
                _ => (refusals, left),
            },
        };
        if is_given_up {
            let lost = Reply::new(451, (4, 4, 2), "the session broke each time");
            refusals.extend(all_refused(&std::mem::take(&mut unknown), None, &lost));
            refusals = refusals.into_iter().map(given_up).collect();
        }
        let (for_now, for_good): (Vec<Refusal>, Vec<Refusal>) =
            refusals.into_iter().partition(|refusal| refusal.reply.is_transient());
        unknown.extend(for_now.into_iter().map(|refusal| refusal.recipient));
        self.give_back(owner, &host, &letter, for_good, unknown)
    }

    /// Begins a session of this user's, and speaks with it.
    fn begin(&self, user: &str) -> Result<Handover, NotBegun> {
        let busy = |error: &dyn std::fmt::Display| NotBegun::Busy(error.to_string());
        let (ours, theirs) = UnixStream::pair().map_err(|error| busy(&error))?;
        theirs.set_nonblocking(true).map_err(|error| busy(&error))?;
        let insider = Insider {
            listener: config::OF_PROGRAMS.into(),
            peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            identity: Identity::System(user.to_owned()),
        };
        let begun = self.runtime.block_on(async {
            let theirs = tokio::net::UnixStream::from_std(theirs).map_err(|error| busy(&error))?;
            self.inbound.begin(theirs, insider).map_err(|reply| busy(&reply))
        });
        begun?;
        Handover::begin(ours).map_err(NotBegun::Broken)
    }

    /// Has the sender told of the refusals; the others wait.
    fn give_back(
        &self,
        owner: &Owner,
        host: &Domain,
        letter: &Letter,
        refusals: Vec<Refusal>,
        later: Vec<Recipient>,
    ) -> End {
        let waits = |left: Vec<Recipient>, why: &str| match left.is_empty() {
            true => End::Taken,
            false => End::Later(why.to_owned(), Some(left)),
        };
        if refusals.is_empty() {
            info!(user = owner.name, sender = %letter.sender, left = later.len(), "what sendmail had left was handed in");
            return waits(later, "it was put off");
        }
        let whom = |refusal: &Refusal| refusal.recipient.clone();
        let told = refusals.iter().map(whom).collect::<Vec<_>>();
        // Who may not send as somebody else hears of that, and not the other one.
        let before = |step: Step| matches!(step, Step::Greeting | Step::Hello | Step::Auth | Step::Mail);
        let back_to = match refusals.iter().any(|refusal| refusal.step.is_some_and(before)) {
            true => Mailbox::new(&owner.name, host.clone()).map_or(ReversePath::Null, ReversePath::Mailbox),
            false => letter.sender.clone(),
        };
        let content = match letter.content.to_bytes() {
            Ok(content) => content,
            Err(error) => return waits([later, told].concat(), &error.to_string()),
        };
        let returned = Returned {
            sender: back_to,
            sender_params: letter.sender_params.clone(),
            recipients: refusals.into_iter().map(|refusal| (refusal.recipient, refusal.reply)).collect(),
            content,
        };
        match self.runtime.block_on(self.inbound.take_back(returned)) {
            Ok(queue_id) => {
                info!(%queue_id, user = owner.name, "what sendmail had left was refused, and goes back");
                waits(later, "it was put off")
            }
            Err(error) => waits([later, told].concat(), &error.to_string()),
        }
    }
}

/// Why there is no session.
enum NotBegun {
    /// The server has none to give now, whoever asks.
    Busy(String),
    /// It gives this user none.
    Broken(Broken),
}

/// Whose a file is.
struct Owner {
    name: String,
    user: Option<User>,
}

impl Owner {
    fn letter(&self, order: &Order, left: &Left, host: &Domain) -> Result<Letter, String> {
        Letter::new(order, &left.octets, &self.name, self.user.as_ref(), host)
            .map_err(|failed| failed.to_string())
    }
}

fn all_refused(recipients: &[Recipient], step: Option<Step>, reply: &Reply) -> Vec<Refusal> {
    let refused =
        |recipient: &Recipient| Refusal { recipient: recipient.clone(), step, reply: reply.clone() };
    recipients.iter().map(refused).collect()
}

/// A refusal for now that was borne long enough.
fn given_up(refusal: Refusal) -> Refusal {
    match refusal.reply.is_transient() {
        true => {
            let said = format!("not taken within five days; at last: {}", refusal.reply);
            Refusal { reply: Reply::new(554, (5, 4, 7), said), ..refusal }
        }
        false => refusal,
    }
}

/// Whether who owns a file could have connected to the socket.
fn may_send(rules: &SubmissionSocket, owner: u32, user: Option<&User>) -> bool {
    if owner == 0 || owner == rustix::process::geteuid().as_raw() || rules.mode & 0o002 != 0 {
        return true;
    }
    let group = rules.group_id.unwrap_or_else(|| rustix::process::getegid().as_raw());
    let is_member = || {
        let user = user?;
        let name = std::ffi::CString::new(user.name.as_str()).ok()?;
        let groups = getgrouplist(&name, user.gid).ok()?;
        Some(groups.contains(&Gid::from_raw(group)))
    };
    rules.mode & 0o020 != 0 && is_member().unwrap_or(false)
}
