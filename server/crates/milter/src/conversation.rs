//! One milter in one session: what it is told at each stage, and what its answer means.
//!
//! Nothing is connected before the first stage. A milter that accepts is asked no more, for the message or, at connect and HELO,
//! for the session. One that failed answers by its failure policy until the message is over; the next message tries again, and
//! the milter hears of connection and HELO anew. What it is told without a question is in `news`.

use std::sync::Arc;

use hooks::{
    Answer, BoxFuture, News, Request, SessionFacts, SessionHooks, Stage, Stages, TransactionFacts, Verdict,
};
use model::{Mailbox, Param, Recipient, Reply};

use crate::connection::{Connection, MilterError};
use crate::content::{self, Heard};
use crate::macros::{self, Known};
use crate::milters::Milter;
use crate::response::Response;
use crate::wire::{Command, MacroStage, steps};

/// The stages that a milter is told of.
const STAGES: [Stage; 7] =
    [Stage::Connect, Stage::Ehlo, Stage::Mail, Stage::Rcpt, Stage::Data, Stage::Message, Stage::Disconnect];

/// A milter's answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    Continue,
    /// No more of this message or session.
    Accept,
    Reject,
    TempFail,
    Discard,
    Skip,
    Shutdown,
    Reply(Reply),
}

impl Said {
    /// What a response says; a change is none, but at the end of a message.
    pub(crate) fn of(response: Response, what: &'static str) -> Result<Self, MilterError> {
        Ok(match response {
            Response::Continue => Self::Continue,
            Response::Accept => Self::Accept,
            Response::Reject => Self::Reject,
            Response::TempFail => Self::TempFail,
            Response::Discard => Self::Discard,
            Response::Skip => Self::Skip,
            Response::Shutdown => Self::Shutdown,
            Response::ReplyCode(reply) => Self::Reply(reply),
            other => return Err(MilterError::OutOfPlace { what, answer: other.name() }),
        })
    }
}

/// How far the milter is with the message under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    /// There is none, or nothing of it concerns the milter.
    None,
    /// It was told of MAIL.
    Open,
    /// It said discard before the message was there: the whole message is dropped.
    Discarded,
    /// It failed.
    Failed,
}

/// The conversation. It lives as long as the session.
pub(crate) struct Conversation {
    pub(crate) milter: Arc<Milter>,
    pub(crate) connection: Option<Connection>,
    pub(crate) message: Message,
    /// MAIL was said, and neither the end of the message nor ABORT.
    pub(crate) is_mail_open: bool,
    /// It accepted at connect or HELO.
    pub(crate) is_done: bool,
    /// A question is under way; left behind when it was dropped.
    pub(crate) is_asked: bool,
}

/// A question with its facts.
#[derive(Clone, Copy)]
struct Question<'a> {
    request: Request<'a>,
    session: &'a SessionFacts,
    transaction: Option<&'a TransactionFacts>,
}

impl<'a> Question<'a> {
    fn known(&self, recipient: Option<&'a Recipient>) -> Known<'a> {
        Known { session: self.session, transaction: self.transaction, recipient, refusal: None }
    }
}

impl SessionHooks for Conversation {
    fn stages(&self) -> Stages {
        STAGES.into_iter().fold(Stages::NONE, Stages::with)
    }

    fn ask<'a>(
        &'a mut self,
        request: Request<'a>,
        session: &'a Arc<SessionFacts>,
        transaction: Option<&'a Arc<TransactionFacts>>,
    ) -> BoxFuture<'a, Answer> {
        let question = Question { request, session, transaction: transaction.map(Arc::as_ref) };
        if !self.milter.concerns(&session.listener) {
            return Box::pin(std::future::ready(Answer::default()));
        }
        Box::pin(self.run(question))
    }

    fn tell<'a>(
        &'a mut self,
        news: News<'a>,
        session: &'a Arc<SessionFacts>,
        transaction: Option<&'a Arc<TransactionFacts>>,
    ) -> BoxFuture<'a, ()> {
        if !self.milter.concerns(&session.listener) {
            return Box::pin(std::future::ready(()));
        }
        Box::pin(self.hear(news, session, transaction.map(Arc::as_ref)))
    }
}

impl Conversation {
    pub(crate) fn new(milter: Arc<Milter>) -> Self {
        Self {
            milter,
            connection: None,
            message: Message::None,
            is_mail_open: false,
            is_done: false,
            is_asked: false,
        }
    }

    async fn run(&mut self, question: Question<'_>) -> Answer {
        let was_abandoned = std::mem::replace(&mut self.is_asked, true);
        let answer = self.answer(question, was_abandoned).await;
        self.is_asked = false;
        answer
    }

    async fn answer(&mut self, question: Question<'_>, was_abandoned: bool) -> Answer {
        let stage = question.request.stage();
        if stage == Stage::Disconnect {
            if let Some(connection) = self.connection.take().filter(|_| !was_abandoned) {
                connection.quit(self.is_mail_open).await;
            }
            return Answer::default();
        }
        if was_abandoned {
            self.fail(stage);
        }
        if !self.begins(stage).await {
            return Answer::default();
        }
        match self.message {
            Message::Failed => return self.by_policy(),
            Message::Discarded => return self.discarded(stage),
            Message::None | Message::Open => {}
        }
        let began = clock::now();
        if !self.milter.breaker.allows(began) {
            self.milter.stats.not_asked();
            self.fail(stage);
            return self.by_policy();
        }
        let trial = GiveUp(Some(self.milter.clone()));
        let outcome = self.tell(question).await;
        trial.defuse();
        let took = clock::now().saturating_duration_since(began);
        match outcome {
            Ok(answer) => {
                self.milter.breaker.succeeded();
                self.milter.stats.answered(&answer.verdict, took);
                self.report(question, &answer.verdict);
                answer
            }
            Err(error) => {
                self.milter.stats.failed(error.to_string(), took);
                self.blame(stage.name(), question.session, &error);
                self.fail(stage);
                self.by_policy()
            }
        }
    }

    /// Whether the stage concerns the milter; a new session or message begins with a clean account.
    async fn begins(&mut self, stage: Stage) -> bool {
        match stage {
            // XCLIENT begins the session anew as somebody else.
            Stage::Connect => {
                if let Some(connection) = self.connection.take() {
                    connection.quit(self.is_mail_open).await;
                }
                (self.is_done, self.is_mail_open, self.message) = (false, false, Message::None);
                true
            }
            Stage::Ehlo | Stage::Mail => {
                self.message = Message::None;
                !self.is_done
            }
            _ => self.message != Message::None,
        }
    }

    /// The milter is lost for what is under way.
    fn fail(&mut self, stage: Stage) {
        (self.connection, self.is_mail_open) = (None, false);
        self.message = match stage {
            Stage::Connect | Stage::Ehlo => Message::None,
            _ => Message::Failed,
        };
    }

    fn by_policy(&self) -> Answer {
        let verdict = self.milter.options.on_failure.verdict(&self.milter.options.name).unwrap_or_default();
        self.with(verdict)
    }

    fn discarded(&self, stage: Stage) -> Answer {
        match stage {
            // At rcpt a discard would be that recipient's alone.
            Stage::Rcpt => Answer::default(),
            _ => self.with(self.discard()),
        }
    }

    fn discard(&self) -> Verdict {
        Verdict::Discard(format!("the milter {} discarded it", self.milter.options.name))
    }

    fn with(&self, verdict: Verdict) -> Answer {
        let by = (verdict != Verdict::Proceed).then(|| self.milter.options.name.clone());
        Answer { verdict, by, ..Answer::default() }
    }

    async fn tell(&mut self, question: Question<'_>) -> Result<Answer, MilterError> {
        match question.request {
            Request::Connect => {
                let said = self.connect(question).await?;
                Ok(self.of_session(said, (554, (5, 7, 1))))
            }
            Request::Ehlo { name } => {
                if let Some(answer) = self.catch_up(question, false).await? {
                    return Ok(answer);
                }
                let said = self.helo(question, name).await?;
                Ok(self.of_session(said, (550, (5, 7, 1))))
            }
            Request::Mail { params, .. } => {
                if let Some(answer) = self.catch_up(question, true).await? {
                    return Ok(answer);
                }
                self.mail(question, params).await
            }
            Request::Rcpt { params, .. } => self.rcpt(question, params).await,
            Request::Data => self.data(question).await,
            Request::Message => self.whole_message(question).await,
            Request::Auth { .. } | Request::Disconnect => Ok(Answer::default()),
        }
    }

    /// Connects, when there is no connection, and tells of what the milter has missed. An answer that comes back instead of
    /// going on is what the milter says to that.
    async fn catch_up(
        &mut self,
        question: Question<'_>,
        with_helo: bool,
    ) -> Result<Option<Answer>, MilterError> {
        if self.connection.is_some() {
            return Ok(None);
        }
        let mut said = self.connect(question).await?;
        if said == Said::Continue
            && with_helo
            && let Some(name) = &question.session.helo
        {
            said = self.helo(question, name).await?;
        }
        Ok((said != Said::Continue).then(|| self.of_session(said, (550, (5, 7, 1)))))
    }

    async fn connect(&mut self, question: Question<'_>) -> Result<Said, MilterError> {
        let connection = Connection::open(&self.milter.options).await?;
        let is_told = !connection.agreement.has(steps::NO_CONNECT);
        self.connection = Some(connection);
        if !is_told {
            return Ok(Said::Continue);
        }
        let session = question.session;
        let address = session.peer.ip().to_canonical();
        let (name, text) = (macros::client_name(session), address.to_string());
        let family = if address.is_ipv4() { b'4' } else { b'6' };
        let command = Command::Connect { name: &name, family, port: session.peer.port(), address: &text };
        let known = question.known(None);
        self.question("connect", &command, Some(MacroStage::Connect), known, steps::NO_REPLY_CONNECT).await
    }

    async fn helo(&mut self, question: Question<'_>, name: &str) -> Result<Said, MilterError> {
        if self.has(steps::NO_HELO) {
            return Ok(Said::Continue);
        }
        let (command, known) = (Command::Helo(name), question.known(None));
        self.question("HELO", &command, Some(MacroStage::Helo), known, steps::NO_REPLY_HELO).await
    }

    async fn mail(&mut self, question: Question<'_>, params: &[Param]) -> Result<Answer, MilterError> {
        let Some(transaction) = question.transaction else { return Ok(Answer::default()) };
        if std::mem::take(&mut self.is_mail_open)
            && let Some(connection) = &mut self.connection
        {
            connection.say(&Command::Abort);
        }
        (self.message, self.is_mail_open) = (Message::Open, true);
        if self.has(steps::NO_MAIL) {
            return Ok(Answer::default());
        }
        let words = words(transaction.envelope.sender.mailbox(), params);
        let (command, known) = (Command::Mail(&words), question.known(None));
        let said =
            self.question("MAIL", &command, Some(MacroStage::Mail), known, steps::NO_REPLY_MAIL).await?;
        Ok(self.of_message(said, Stage::Mail))
    }

    async fn rcpt(&mut self, question: Question<'_>, params: &[Param]) -> Result<Answer, MilterError> {
        let recipient = question.transaction.and_then(|facts| facts.envelope.recipients.last());
        let Some(recipient) = recipient.filter(|_| !self.has(steps::NO_RCPT)) else {
            return Ok(Answer::default());
        };
        let words = words(Some(&recipient.address), params);
        let (command, known) = (Command::Rcpt(&words), question.known(Some(recipient)));
        let said =
            self.question("RCPT", &command, Some(MacroStage::Rcpt), known, steps::NO_REPLY_RCPT).await?;
        Ok(self.of_message(said, Stage::Rcpt))
    }

    async fn data(&mut self, question: Question<'_>) -> Result<Answer, MilterError> {
        if self.has(steps::NO_DATA)
            || self.connection.as_ref().is_none_or(|connection| !connection.agreement.knows_data())
        {
            return Ok(Answer::default());
        }
        let known = question.known(None);
        let said = self
            .question("DATA", &Command::Data, Some(MacroStage::Data), known, steps::NO_REPLY_DATA)
            .await?;
        Ok(self.of_message(said, Stage::Data))
    }

    async fn whole_message(&mut self, question: Question<'_>) -> Result<Answer, MilterError> {
        let facts = question.transaction;
        let (Some(facts), Some(connection)) = (facts, &mut self.connection) else {
            return Ok(Answer::default());
        };
        let Some(content) = &facts.content else { return Ok(Answer::default()) };
        let heard =
            content::tell(connection, &self.milter.options, content, question.known(None), facts).await?;
        match heard {
            Heard::Early(said) => Ok(self.of_message(said, Stage::Message)),
            Heard::AtTheEnd { said, edited, quarantine } => {
                self.is_mail_open = false;
                let mut answer = self.of_message(said, Stage::Message);
                if answer.verdict == Verdict::Proceed {
                    (answer.envelope, answer.content) = (edited.envelope, edited.content);
                    if let Some(reason) = quarantine {
                        (answer.verdict, answer.by) =
                            (Verdict::Quarantine(reason), Some(self.milter.options.name.clone()));
                    }
                }
                Ok(answer)
            }
        }
    }

    pub(crate) fn has(&self, step: u32) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.agreement.has(step))
    }

    /// Asks something with its macros; a milter that gives no answer to it goes on.
    pub(crate) async fn question(
        &mut self,
        what: &'static str,
        command: &Command<'_>,
        stage: Option<MacroStage>,
        known: Known<'_>,
        unanswered: u32,
    ) -> Result<Said, MilterError> {
        let Some(connection) = &mut self.connection else { return Err(MilterError::Closed) };
        let patience = self.milter.options.timeouts.command;
        if let Some(stage) = stage {
            let values = connection.agreement.macros.values(stage, &self.milter.options.macros, &known);
            connection.say(&Command::Macros { stage, values: &values });
        }
        connection.say(command);
        if connection.agreement.has(unanswered) {
            connection.send(what, patience).await?;
            return Ok(Said::Continue);
        }
        let end = clock::now() + self.milter.options.timeouts.message;
        let mut response = connection.answer(what, patience).await?;
        while response == Response::Progress {
            response = connection.response(what, crate::connection::until(end, patience)).await?;
        }
        match Said::of(response, what)? {
            Said::Skip => Err(MilterError::OutOfPlace { what, answer: "skip" }),
            said => Ok(said),
        }
    }

    /// An answer to connect or HELO.
    fn of_session(&mut self, said: Said, refusal: (u16, (u8, u16, u16))) -> Answer {
        self.is_done = said == Said::Accept;
        let (code, status) = refusal;
        match said {
            Said::Reject => self.with(Verdict::Reject(Reply::new(code, status, "refused by a mail filter"))),
            said => {
                let verdict = self.verdict(said);
                self.with(verdict)
            }
        }
    }

    /// An answer to what belongs to a message.
    fn of_message(&mut self, said: Said, stage: Stage) -> Answer {
        self.message = match &said {
            Said::Continue if stage != Stage::Message => Message::Open,
            Said::Discard if stage != Stage::Message => Message::Discarded,
            // One recipient that is refused leaves the others.
            Said::Reject | Said::TempFail | Said::Reply(_) if stage == Stage::Rcpt => Message::Open,
            _ => Message::None,
        };
        if said == Said::Discard && stage == Stage::Rcpt {
            return Answer::default();
        }
        let verdict = self.verdict(said);
        self.with(verdict)
    }

    fn verdict(&self, said: Said) -> Verdict {
        match said {
            Said::Continue | Said::Accept | Said::Skip => Verdict::Proceed,
            Said::Reject => Verdict::Reject(Reply::new(550, (5, 7, 1), "refused by a mail filter")),
            Said::TempFail => {
                Verdict::TempFail(Reply::new(451, (4, 7, 1), "a mail filter asks to try again later"))
            }
            Said::Discard => self.discard(),
            Said::Shutdown => {
                Verdict::Disconnect(Reply::new(421, (4, 7, 0), "a mail filter ends the session"))
            }
            Said::Reply(reply) if reply.code == 421 => Verdict::Disconnect(reply).with_fitting_reply(),
            Said::Reply(reply) if reply.is_transient() => Verdict::TempFail(reply).with_fitting_reply(),
            Said::Reply(reply) => Verdict::Reject(reply).with_fitting_reply(),
        }
    }

    fn report(&self, question: Question<'_>, verdict: &Verdict) {
        let (hook, session) = (question.request.stage().name(), question.session.id);
        let queue_id = question.transaction.map(|facts| facts.id.to_string());
        let reason = match verdict {
            Verdict::Proceed | Verdict::Accept => return,
            Verdict::Reject(reply) | Verdict::TempFail(reply) | Verdict::Disconnect(reply) => {
                reply.to_string()
            }
            Verdict::Discard(reason) | Verdict::Quarantine(reason) => reason.clone(),
        };
        let milter = &self.milter.options.name;
        tracing::info!(%milter, hook, %session, queue_id, verdict = verdict.name(), reason, "milter verdict");
    }

    pub(crate) fn blame(&self, hook: &str, session: &SessionFacts, error: &MilterError) {
        let options = &self.milter.options;
        tracing::error!(
            milter = %options.name, address = %options.address, hook, session = %session.id, reason = %error,
            "milter failed"
        );
        if self.milter.breaker.failed(clock::now()) {
            tracing::error!(milter = %options.name, "milter fails too often and is not asked for a while");
        }
    }
}

/// Frees the breaker's trial when the question is dropped while the milter is being asked.
struct GiveUp(Option<Arc<Milter>>);

impl GiveUp {
    fn defuse(mut self) {
        self.0 = None;
    }
}

impl Drop for GiveUp {
    fn drop(&mut self) {
        if let Some(milter) = &self.0 {
            milter.breaker.gave_up();
        }
    }
}

/// An address in angle brackets, and the parameters behind it.
pub(crate) fn words(address: Option<&Mailbox>, params: &[Param]) -> Vec<String> {
    let path = address.map_or_else(|| "<>".to_owned(), |mailbox| format!("<{mailbox}>"));
    let param = |param: &Param| match &param.value {
        Some(value) => format!("{}={value}", param.keyword),
        None => param.keyword.clone(),
    };
    std::iter::once(path).chain(params.iter().map(param)).collect()
}
