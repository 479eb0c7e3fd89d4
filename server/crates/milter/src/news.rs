//! What a milter is told without being asked: a message that was given up, recipients that others refused, commands that nobody knows.
//!
//! A milter answers to the last two as well; its answer is waited for and changes nothing, for the client has its reply.

use hooks::{News, SessionFacts, TransactionFacts};
use model::{Mailbox, Param};

use crate::connection::MilterError;
use crate::conversation::{Conversation, Message, words};
use crate::macros::Known;
use crate::wire::{Command, MacroStage, steps};

impl Conversation {
    pub(crate) async fn hear(
        &mut self,
        news: News<'_>,
        session: &SessionFacts,
        transaction: Option<&TransactionFacts>,
    ) {
        // A question that was dropped has left the connection in the middle of something; the next question finds out.
        if std::mem::replace(&mut self.is_asked, true) {
            return;
        }
        let began = clock::now();
        let (what, outcome) = match news {
            News::Reset => ("reset", self.abort().await),
            News::RefusedRecipient { recipient, params, reply } => {
                let known = Known { session, transaction, recipient: None, refusal: Some(reply) };
                ("rcpt", self.refused_recipient(recipient, params, known).await)
            }
            News::UnknownCommand { line } => {
                let known = Known { session, transaction, recipient: None, refusal: None };
                ("unknown", self.unknown(line, known).await)
            }
        };
        self.is_asked = false;
        if let Err(error) = outcome {
            let took = clock::now().saturating_duration_since(began);
            self.milter.stats.failed(error.to_string(), took);
            self.blame(what, session, &error);
            (self.connection, self.is_mail_open) = (None, false);
            if self.message != Message::None {
                self.message = Message::Failed;
            }
        }
    }

    async fn abort(&mut self) -> Result<(), MilterError> {
        self.message = Message::None;
        match &mut self.connection {
            Some(connection) if std::mem::take(&mut self.is_mail_open) => {
                connection.say(&Command::Abort);
                connection.send("ABORT", self.milter.options.timeouts.command).await
            }
            _ => Ok(()),
        }
    }

    async fn refused_recipient(
        &mut self,
        recipient: &Mailbox,
        params: &[Param],
        known: Known<'_>,
    ) -> Result<(), MilterError> {
        let is_told =
            self.message == Message::Open && self.has(steps::REFUSED_RECIPIENTS) && !self.has(steps::NO_RCPT);
        if !is_told {
            return Ok(());
        }
        let words = words(Some(recipient), params);
        let command = Command::Rcpt(&words);
        self.question("RCPT", &command, Some(MacroStage::Rcpt), known, steps::NO_REPLY_RCPT).await.map(drop)
    }

    async fn unknown(&mut self, line: &str, known: Known<'_>) -> Result<(), MilterError> {
        let agreement = self.connection.as_ref().map(|connection| &connection.agreement);
        let is_told =
            agreement.is_some_and(|agreed| agreed.knows_unknown() && !agreed.has(steps::NO_UNKNOWN));
        if !is_told || self.is_done {
            return Ok(());
        }
        let command = Command::Unknown(line);
        self.question("an unknown command", &command, None, known, steps::NO_REPLY_UNKNOWN).await.map(drop)
    }
}
