//! One session of the test double: who the client is, what it says, and what became of the message.

use super::{Exported, Hook, Server, Services, Staged};
use crate::{Context, Error, Finding, Mailbox, NextHop, Outcome, Param, Plugin, Recipient, Reply, Verdict};
use std::cell::RefCell;
use std::collections::BTreeMap;

thread_local! {
    /// The session whose hook runs on this thread.
    static RUNNING: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// What the host functions see while a hook runs.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) facts: Facts,
    pub(crate) notes: BTreeMap<String, String>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) transaction: Option<Transaction>,
}

#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) listener: String,
    pub(crate) peer_ip: String,
    pub(crate) peer_name: Option<String>,
    pub(crate) helo: Option<String>,
    pub(crate) tls_version: Option<String>,
    pub(crate) tls_client_names: Vec<String>,
    pub(crate) auth_user: Option<String>,
    pub(crate) auth_mechanism: Option<String>,
    pub(crate) may_relay: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Transaction {
    pub(crate) sender: Option<Mailbox>,
    pub(crate) sender_params: Vec<Param>,
    pub(crate) recipients: Vec<Recipient>,
    pub(crate) next_recipient: u32,
    pub(crate) message: Option<Staged>,
    pub(crate) refused: Vec<(Mailbox, Reply)>,
    pub(crate) held: Vec<(u32, String)>,
}

impl Transaction {
    pub(crate) fn add(&mut self, address: Mailbox, params: Vec<Param>) -> u32 {
        let id = self.next_recipient;
        self.next_recipient += 1;
        self.recipients.push(Recipient { id, original: address.clone(), address, params });
        id
    }

    fn position(&self, id: u32) -> Result<usize, Error> {
        self.recipients.iter().position(|r| r.id == id).ok_or(Error::NotFound)
    }

    pub(crate) fn refuse(&mut self, id: u32, reply: &Reply) -> Result<(), Error> {
        let at = self.position(id)?;
        if !(400..600).contains(&reply.code) {
            return Err(Error::BadInput(format!("{} refuses nothing; 4xx and 5xx do", reply.code)));
        }
        self.held.retain(|(held, _)| *held != id);
        self.refused.push((self.recipients.remove(at).address, reply.clone()));
        Ok(())
    }

    pub(crate) fn hold(&mut self, id: u32, reason: &str) -> Result<(), Error> {
        self.position(id)?;
        if self.held.iter().all(|(held, _)| *held != id) {
            self.held.push((id, reason.to_owned()));
        }
        Ok(())
    }
}

impl World {
    pub(crate) fn services<R>(&self, f: impl FnOnce(&mut Services) -> R) -> R {
        f(&mut self.server.0.borrow_mut())
    }

    pub(crate) fn transaction(&mut self) -> Result<&mut Transaction, Error> {
        self.transaction.as_mut().ok_or_else(|| Error::Unavailable("there is no transaction".to_owned()))
    }

    pub(crate) fn message(&mut self) -> Result<&mut Staged, Error> {
        let none = || Error::Unavailable("there is no message yet".to_owned());
        self.transaction.as_mut().and_then(|t| t.message.as_mut()).ok_or_else(none)
    }
}

/// What the running hook's host functions act on.
///
/// # Panics
/// When no hook runs: host functions belong into hooks.
pub(crate) fn with_world<R>(f: impl FnOnce(&mut World) -> R) -> R {
    RUNNING.with_borrow_mut(|world| match world {
        Some(world) => f(world),
        None => panic!("the server is only there while a hook runs: drive the plugin with testing::Session"),
    })
}

/// A session with one client.
#[derive(Debug)]
pub struct Session<P> {
    plugin: Option<P>,
    world: World,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handled {
    /// What the plugin said.
    pub verdict: Verdict,
    /// The message with its edits, header and body.
    pub message: Vec<u8>,
    /// Who sends now.
    pub sender: Option<Mailbox>,
    /// Who gets it now, those among them for whom it is held.
    pub recipients: Vec<Mailbox>,
    /// For whom it was refused alone, and with which reply.
    pub refused: Vec<(Mailbox, Reply)>,
    /// For whom it waits in the queue, and why.
    pub held: Vec<(Mailbox, String)>,
}

impl Handled {
    fn refused(verdict: Verdict) -> Handled {
        Handled {
            verdict,
            message: Vec::new(),
            sender: None,
            recipients: Vec::new(),
            refused: Vec::new(),
            held: Vec::new(),
        }
    }

    /// The message as text, for comparing.
    ///
    /// # Panics
    /// When it is no UTF-8.
    #[must_use]
    pub fn text(&self) -> &str {
        match std::str::from_utf8(&self.message) {
            Ok(text) => text,
            Err(e) => panic!("the message is no text: {e}"),
        }
    }
}

impl<P: Plugin + Exported> Session<P> {
    pub(super) fn new(server: Server) -> Session<P> {
        let facts = Facts {
            listener: "mx".to_owned(),
            peer_ip: "192.0.2.1".to_owned(),
            peer_name: None,
            helo: None,
            tls_version: None,
            tls_client_names: Vec::new(),
            auth_user: None,
            auth_mechanism: None,
            may_relay: false,
        };
        let world = World { server, facts, notes: BTreeMap::new(), findings: Vec::new(), transaction: None };
        Session { plugin: None, world }
    }

    /// The client's address; 192.0.2.1 unless told.
    #[must_use]
    pub fn from(mut self, ip: &str) -> Session<P> {
        self.world.facts.peer_ip = ip.to_owned();
        self
    }

    /// The client's name by reverse DNS; none unless told.
    #[must_use]
    pub fn named(mut self, name: &str) -> Session<P> {
        self.world.facts.peer_name = Some(name.to_owned());
        self
    }

    /// The listener; "mx" unless told.
    #[must_use]
    pub fn on(mut self, listener: &str) -> Session<P> {
        self.world.facts.listener = listener.to_owned();
        self
    }

    /// An encrypted session.
    #[must_use]
    pub fn with_tls(mut self, version: &str) -> Session<P> {
        self.world.facts.tls_version = Some(version.to_owned());
        self
    }

    /// A client that showed a certificate with these names.
    #[must_use]
    pub fn with_client_names(mut self, names: &[&str]) -> Session<P> {
        self.world.facts.tls_client_names = names.iter().map(|&name| name.to_owned()).collect();
        self
    }

    /// A client that may send to any domain, as its address is one of the relay's networks.
    #[must_use]
    pub fn relaying(mut self) -> Session<P> {
        self.world.facts.may_relay = true;
        self
    }

    /// A note that another plugin left.
    #[must_use]
    pub fn with_note(mut self, key: &str, value: &str) -> Session<P> {
        self.world.notes.insert(key.to_owned(), value.to_owned());
        self
    }

    /// What sender authentication found.
    #[must_use]
    pub fn with_finding(mut self, method: &str, result: &str, domain: &str) -> Session<P> {
        self.world.findings.push(Finding {
            method: method.to_owned(),
            result: result.to_owned(),
            domain: Some(domain.to_owned()),
            detail: String::new(),
        });
        self
    }

    /// A note that the plugins left.
    #[must_use]
    pub fn note(&self, key: &str) -> Option<&str> {
        self.world.notes.get(key).map(String::as_str)
    }

    /// The client connects.
    pub fn connect(&mut self) -> Verdict {
        self.ask(Hook::Connect, |plugin, cx| plugin.connect(cx))
    }

    /// EHLO.
    pub fn ehlo(&mut self, name: &str) -> Verdict {
        self.world.facts.helo = Some(name.to_owned());
        self.ask(Hook::Ehlo, |plugin, cx| plugin.ehlo(cx, name))
    }

    /// AUTH, with success.
    pub fn auth(&mut self, mechanism: &str, user: &str) -> Verdict {
        self.world.facts.auth_user = Some(user.to_owned());
        self.world.facts.auth_mechanism = Some(mechanism.to_owned());
        self.ask(Hook::Auth, |plugin, cx| plugin.auth(cx, mechanism, user))
    }

    /// MAIL FROM, "" for the null reverse-path. Begins a transaction.
    pub fn mail(&mut self, sender: &str) -> Verdict {
        self.mail_with(sender, &[])
    }

    /// MAIL FROM with ESMTP parameters.
    pub fn mail_with(&mut self, sender: &str, params: &[Param]) -> Verdict {
        let sender = (!sender.is_empty()).then(|| Mailbox::new(sender));
        self.world.transaction = Some(Transaction {
            sender: sender.clone(),
            sender_params: params.to_vec(),
            recipients: Vec::new(),
            next_recipient: 0,
            message: None,
            refused: Vec::new(),
            held: Vec::new(),
        });
        self.ask(Hook::Mail, |plugin, cx| plugin.mail(cx, sender.as_ref(), params))
    }

    /// RCPT TO. While the plugin is asked, the recipient in question is the last one; it stays when it is not refused.
    pub fn rcpt(&mut self, to: &str) -> Verdict {
        let to = Mailbox::new(to);
        let id = self.world.transaction.as_mut().map(|transaction| transaction.add(to.clone(), Vec::new()));
        let verdict = self.ask(Hook::Rcpt, |plugin, cx| plugin.rcpt(cx, &to, &[]));
        if !matches!(verdict, Verdict::Proceed | Verdict::Accept)
            && let Some(transaction) = &mut self.world.transaction
        {
            transaction.recipients.retain(|recipient| Some(recipient.id) != id);
        }
        verdict
    }

    /// DATA.
    pub fn data(&mut self) -> Verdict {
        self.ask(Hook::Data, |plugin, cx| plugin.data(cx))
    }

    /// The message: header, empty line, body. Bare line feeds are made CRLF, so that tests read well.
    pub fn message(&mut self, message: impl AsRef<[u8]>) -> Handled {
        let message = with_crlf(message.as_ref());
        if self.world.transaction.is_none() {
            self.mail("");
        }
        if let Some(transaction) = &mut self.world.transaction {
            transaction.message = Some(Staged::new(&message));
        }
        let verdict = self.ask(Hook::Message, |plugin, cx| plugin.message(cx));
        let after = self.world.transaction.take();
        let Some(after) = after else { return Handled { message, ..Handled::refused(verdict) } };
        let address = |id: u32| after.recipients.iter().find(|r| r.id == id).map(|r| r.address.clone());
        Handled {
            verdict,
            held: after.held.iter().filter_map(|(id, why)| Some((address(*id)?, why.clone()))).collect(),
            message: after.message.as_ref().map_or_else(Vec::new, Staged::rendered),
            recipients: after.recipients.iter().map(|r| r.address.clone()).collect(),
            sender: after.sender,
            refused: after.refused,
        }
    }

    /// A whole transaction with one recipient: the first refusal, or what became of the message.
    pub fn send(&mut self, sender: &str, to: &str, message: impl AsRef<[u8]>) -> Handled {
        for verdict in [self.mail(sender), self.rcpt(to), self.data()] {
            if !matches!(verdict, Verdict::Proceed | Verdict::Accept) {
                return Handled::refused(verdict);
            }
        }
        self.message(message)
    }

    /// The queue picks a next hop.
    pub fn route(&mut self, recipient: &str, attempt: u32) -> Option<NextHop> {
        let recipient = Mailbox::new(recipient);
        self.run(Hook::Route, |plugin, cx| plugin.route(cx, &recipient, attempt)).flatten()
    }

    /// An attempt has ended.
    pub fn outcome(&mut self, outcome: &Outcome) {
        self.run(Hook::Outcome, |plugin, cx| plugin.outcome(cx, outcome));
    }

    /// The session ends.
    pub fn disconnect(&mut self) {
        self.run(Hook::Disconnect, |plugin, cx| plugin.disconnect(cx));
    }

    pub(super) fn init(&mut self) -> Result<(), String> {
        if !P::HOOKS.contains(&Hook::Init) {
            return Ok(());
        }
        let guard = Running::begin(&mut self.world);
        let done = P::init();
        drop(guard);
        done
    }

    fn ask(&mut self, hook: Hook, f: impl FnOnce(&mut P, &Context) -> Verdict) -> Verdict {
        let before = self.world.transaction.clone();
        let verdict = self.run(hook, f).unwrap_or(Verdict::Proceed);
        if matches!(verdict, Verdict::Proceed | Verdict::Accept) {
            if let Some(message) = self.world.transaction.as_mut().and_then(|t| t.message.as_mut()) {
                message.commit();
            }
        } else {
            self.world.transaction = before;
        }
        verdict
    }

    fn run<R>(&mut self, hook: Hook, f: impl FnOnce(&mut P, &Context) -> R) -> Option<R> {
        if !P::HOOKS.contains(&hook) {
            return None;
        }
        let Session { plugin, world } = self;
        let guard = Running::begin(world);
        let answer = f(plugin.get_or_insert_with(P::default), &Context::of_the_running_hook());
        drop(guard);
        Some(answer)
    }
}

/// Lends a session's world to the host functions; gives it back even when the plugin panics.
struct Running<'a>(&'a mut World);

impl Running<'_> {
    fn begin(world: &mut World) -> Running<'_> {
        RUNNING.with_borrow_mut(|running| {
            assert!(running.is_none(), "a hook cannot run within a hook");
            *running = Some(world.clone());
        });
        Running(world)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(world) = RUNNING.take() {
            *self.0 = world;
        }
    }
}

fn with_crlf(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 64);
    for &octet in message {
        if octet == b'\n' && out.last() != Some(&b'\r') {
            out.push(b'\r');
        }
        out.push(octet);
    }
    out
}
