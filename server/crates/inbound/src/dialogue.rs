//! What is answered to each event of a session: our own rules first, then the hooks.

use std::net::IpAddr;
use std::sync::Arc;

use hooks::{News, Protocol, Request, Stage};
use message::ShapeLimits;
use model::{Content, ForwardPath, Param, Reply, ReversePath};
use sender_auth::Outcome;
use smtp::server::{Answer, Event};
use tracing::info;

use crate::commit::{self, Circumstances};
use crate::connection::Connection;
use crate::insider::Vouched;
use crate::options::Kind;
use crate::policy;
use crate::reception::Reception;
use crate::stats::count;
use crate::transaction::Transaction;

impl Connection {
    /// Carries an event out, and answers it when it asks.
    pub(crate) async fn handle(&mut self, event: Event) {
        let answer = match event {
            Event::Connect => self.connect().await,
            Event::Hello { name, extended } => self.hello(name, extended).await,
            // That there is a certificate was seen when STARTTLS was offered.
            Event::StartTls => Answer::Proceed,
            Event::Auth { mechanism, initial } => self.auth(mechanism, initial).await,
            Event::AuthResponse(response) => self.auth_response(response).await,
            Event::XClient(client) => self.xclient(client).await,
            Event::Mail { sender, params } => self.mail(sender, params).await,
            Event::Rcpt { path, params } => self.rcpt(path, params).await,
            Event::Data => self.data().await,
            Event::Content(piece) => return self.content(piece).await,
            Event::Message => self.message().await,
            Event::AuthCancelled => {
                self.pending_auth = None;
                return;
            }
            Event::Refused(reply) => return self.refused_by_itself(&reply),
            Event::Unknown(line) => return self.tell(News::UnknownCommand { line: &line }).await,
            Event::Reset(_) => return self.give_up_transaction().await,
            Event::Closed(reason) => return self.closed(reason),
        };
        self.session.answer(answer, clock::now());
    }

    async fn connect(&mut self) -> Answer {
        let delay = self.listener.greeting_delay;
        if !delay.is_zero() && !self.may_relay() && self.stream.speaks_within(delay).await {
            //= RFC 5321 section 3.1: a client waits for the greeting. Those that send spam in bulk do not.
            let reply = Reply::new(554, (5, 5, 1), "you spoke before the greeting");
            self.log_refusal(Stage::Connect, None, &reply);
            return Answer::Close(reply);
        }
        if self.options.reverse_dns && is_global(self.facts.peer.ip()) {
            let lookup = dns::confirmed_name(&*self.shared.services.resolver, self.facts.peer.ip());
            let name = tokio::time::timeout(self.options.limits.reverse_dns_timeout, lookup).await;
            self.reverse_dns = match name {
                Ok(Ok(Some(_))) => Outcome::Pass,
                Ok(Ok(None)) => Outcome::Fail,
                Ok(Err(_)) | Err(_) => Outcome::TempError,
            };
            Arc::make_mut(&mut self.facts).peer_name = name.ok().and_then(Result::ok).flatten();
            self.live.knows(&self.facts);
        }
        let verdict = self.ask(Request::Connect).await;
        self.session_verdict(Stage::Connect, verdict)
    }

    async fn hello(&mut self, name: String, extended: bool) -> Answer {
        let protocol = match (self.listener.kind, extended) {
            (Kind::Lmtp, _) => Protocol::Lmtp,
            (_, true) => Protocol::Esmtp,
            (_, false) => Protocol::Smtp,
        };
        let before = std::mem::replace(&mut Arc::make_mut(&mut self.facts).protocol, protocol);
        let verdict = self.ask(Request::Ehlo { name: &name }).await;
        let answer = self.session_verdict(Stage::Ehlo, verdict);
        // A greeting that was refused did not happen.
        if answer != Answer::Proceed {
            Arc::make_mut(&mut self.facts).protocol = before;
            return answer;
        }
        self.extended = extended;
        Arc::make_mut(&mut self.facts).helo = Some(name);
        self.live.knows(&self.facts);
        self.vouch_for_insider().await
    }

    async fn mail(&mut self, sender: ReversePath, mut params: Vec<Param>) -> Answer {
        if let Err(error) = self.shared.services.store.admit() {
            info!(session = %self.facts.id, peer = %self.facts.peer.ip(), %error, "no room for a message");
            return Reply::new(452, (4, 3, 1), "insufficient storage, try again later").into();
        }
        if self.shared.content_memory.is_full(self.options.limits.content_memory) {
            info!(session = %self.facts.id, peer = %self.facts.peer.ip(), "no memory for a message");
            return Reply::new(452, (4, 3, 1), "too much mail is arriving, try again later").into();
        }
        let (peer, user) = (self.facts.peer.ip(), self.facts.auth_user.as_deref());
        if let Err(reply) = self.shared.rates.admit_message(peer, user, clock::now()) {
            self.log_refusal(Stage::Mail, None, &reply);
            return reply.into();
        }
        if let Err(reply) = policy::sender(&sender, self.user.as_deref(), &self.options) {
            self.log_refusal(Stage::Mail, None, &reply);
            return reply.into();
        }
        if let Some(user) = self.insider.as_deref().and_then(Vouched::system_user)
            && let Err(reply) = policy::program_sender(&sender, user, &self.options)
        {
            self.log_refusal(Stage::Mail, None, &reply);
            return reply.into();
        }
        let is_lowered = !self.may_relay() && policy::lower_priority(&mut params);
        let id = self.shared.services.store.new_id();
        let mut transaction = Transaction::new(id, sender.clone(), params.clone());
        transaction.fate = self.fate.clone();
        self.write(|tap| tap.about(id));
        self.transaction = Some(transaction);
        self.live.message(Some(id));
        let verdict = self.ask(Request::Mail { sender: &sender, params: &params }).await;
        let answer = self.transaction_verdict(Stage::Mail, verdict);
        if answer != Answer::Proceed {
            self.give_up_transaction().await;
            return answer;
        }
        //= RFC 6710 section 5: who is not believed is told; X.3.6 says that the priority was changed.
        match is_lowered {
            true => {
                Reply::new(250, (2, 3, 6), "sender ok, with priority 0: urgency is for those who may relay")
                    .into()
            }
            false => answer,
        }
    }

    async fn rcpt(&mut self, path: ForwardPath, params: Vec<Param>) -> Answer {
        let mailbox = match policy::recipient(&path, self.may_relay(), &self.options) {
            Ok(mailbox) => mailbox,
            Err(reply) => {
                self.log_refusal(Stage::Rcpt, None, &reply);
                count(&self.shared.stats.recipients_refused);
                self.tell_of_refused(&path, &params, &reply).await;
                return reply.into();
            }
        };
        if let Err(reply) = self.shared.rates.admit_recipient(self.facts.auth_user.as_deref(), clock::now()) {
            self.log_refusal(Stage::Rcpt, None, &reply);
            self.tell_of_refused(&path, &params, &reply).await;
            return reply.into();
        }
        let Some(transaction) = &mut self.transaction else { return out_of_step() };
        let id = transaction.add_recipient(mailbox.clone(), params.clone());
        let verdict = self.ask(Request::Rcpt { recipient: &mailbox, params: &params }).await;
        let (answer, fate) = self.judge(Stage::Rcpt, verdict);
        let Some(transaction) = &mut self.transaction else { return out_of_step() };
        if answer == Answer::Proceed {
            transaction.set_recipient_fate(id, fate);
            transaction.accept_recipient(id);
        } else {
            transaction.remove_recipient(id);
            count(&self.shared.stats.recipients_refused);
        }
        answer
    }

    async fn data(&mut self) -> Answer {
        let verdict = self.ask(Request::Data).await;
        let answer = self.transaction_verdict(Stage::Data, verdict);
        if answer == Answer::Proceed
            && let Some(transaction) = &mut self.transaction
        {
            let budget = self.options.limits.content_memory;
            let memory = self.shared.content_memory.clone();
            transaction.reception = Some(Reception::new(transaction.id(), memory, budget));
        }
        answer
    }

    async fn content(&mut self, piece: Vec<u8>) {
        let Some(transaction) = &mut self.transaction else { return };
        let Some(reception) = &mut transaction.reception else { return };
        if let Err(error) = reception.push(piece, &self.shared.services.store).await {
            // The client hears of it at the end of its data; until then what it sends is thrown away.
            commit::refuse(transaction.id(), &self.facts, &error);
            transaction.reception = None;
            transaction.failed = true;
        }
    }

    async fn message(&mut self) -> Answer {
        let answer = self.whole_message().await;
        if let Answer::Say(reply) | Answer::Close(reply) = &answer
            && !reply.is_positive()
        {
            count(&self.shared.stats.refused);
        }
        self.give_up_transaction().await;
        answer
    }

    async fn whole_message(&mut self) -> Answer {
        let Some(transaction) = &mut self.transaction else { return out_of_step() };
        let id = transaction.id();
        // It is kept to the end: content that is looked at and committed is still in memory.
        let Some(mut reception) = transaction.reception.take().filter(|_| !transaction.failed) else {
            return Reply::new(451, (4, 3, 0), "the message could not be stored, try again later").into();
        };
        let source = match reception.finish().await {
            Ok(source) => source,
            Err(error) => return commit::refuse(id, &self.facts, &error).into(),
        };
        let content = Content::whole(source);
        if let Some(reply) = header_too_large(&content, self.options.limits.header_size) {
            return reply.into();
        }
        if let Err(reply) = check_shape(&content, &self.options.limits.shape).await {
            self.log_refusal(Stage::Message, None, &reply);
            return reply.into();
        }
        let answer = self.check_sender(content).await;
        if answer != Answer::Proceed {
            return answer;
        }
        let verdict = self.ask(Request::Message).await;
        let answer = self.transaction_verdict(Stage::Message, verdict);
        if answer != Answer::Proceed {
            return answer;
        }
        let Some(mut transaction) = self.transaction.take() else { return out_of_step() };
        let replies = transaction.settle_refusals(self.session.hears_each());
        if let Some(refused) = replies.refused_whole() {
            return refused;
        }
        let Some(content) = transaction.facts.content.clone() else { return out_of_step() };
        let circumstances = Circumstances {
            session: &self.facts,
            extended: self.extended,
            is_ours: self.may_relay(),
            listener: &self.listener,
            options: &self.options,
        };
        let reply = commit::commit(transaction, content, circumstances, &self.shared).await;
        if reply.is_positive() {
            self.live.taken();
        }
        replies.with(reply)
    }

    /// Whether this client may send to any domain.
    pub(crate) fn may_relay(&self) -> bool {
        self.facts.auth_user.is_some() || policy::may_relay(self.facts.peer.ip(), &self.options)
    }
}

/// A session asked for what its state does not allow; the session's own order keeps this from happening.
fn out_of_step() -> Answer {
    Reply::new(451, (4, 3, 0), "internal error, try again later").into()
}

/// Whether a message's fields and parts are within bounds. One on the disk is read where that may wait.
async fn check_shape(content: &Content, limits: &ShapeLimits) -> Result<(), Reply> {
    if content.source().as_bytes().is_some() {
        return message::check_shape(content, limits).map_err(|error| error.reply());
    }
    let (content, limits) = (content.clone(), *limits);
    match tokio::task::spawn_blocking(move || message::check_shape(&content, &limits)).await {
        Ok(checked) => checked.map_err(|error| error.reply()),
        Err(_) => Err(Reply::new(451, (4, 3, 0), "the message could not be read back, try again later")),
    }
}

fn header_too_large(content: &Content, limit: u64) -> Option<Reply> {
    if content.len() <= limit {
        return None;
    }
    let fits = message::HeaderBlock::read(content).is_ok_and(|header| header.body_start() <= limit);
    (!fits).then(|| Reply::new(552, (5, 3, 4), format!("the header block is larger than {limit} octets")))
}

/// Whether a name for this address is worth a question to the world's DNS.
pub(crate) fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !(v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified()),
        IpAddr::V6(v6) => {
            !(v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_unspecified())
        }
    }
}
