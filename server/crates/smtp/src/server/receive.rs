//! What a session makes of the octets that arrive: lines, content, chunks that nobody wants.

use bytes::{Buf, BytesMut};
use model::Reply;

use super::content::Progress;
use super::{Asked, Event, ResetReason, Session, State};
use crate::Limits;
use crate::line::Line;

/// Octets that a line may have. Its first word tells whether it is one of AUTH.
pub(super) fn line_limit(state: &State, limits: &Limits, begun: &[u8]) -> usize {
    let word = begun.get(..4).unwrap_or_default();
    match state {
        State::Authenticating => limits.auth_line,
        _ if word.eq_ignore_ascii_case(b"AUTH") => limits.auth_line.max(limits.command_line),
        _ => limits.command_line,
    }
}

impl Session {
    pub(super) fn line(&mut self, line: Line) {
        self.deadline = self.now + self.options.limits.command_timeout;
        let authenticating = matches!(self.state, State::Authenticating);
        let fault = match line {
            Line::Whole(line) if authenticating => return self.auth_response(&line),
            Line::Whole(line) => return self.command(&line),
            Line::BareNewline => {
                Reply::new(500, (5, 5, 2), "a line must end with CR LF; a bare CR or LF is not accepted")
            }
            Line::TooLong(limit) => {
                Reply::new(500, (5, 5, 6), format!("the line is longer than {limit} octets"))
            }
        };
        if authenticating {
            self.cancel_auth();
        }
        self.say_refusal(&fault);
    }

    /// Decodes what has arrived of the content; false when more is needed.
    pub(super) fn receive_content(&mut self) -> bool {
        let State::Content(reception) = &mut self.state else { return false };
        let progress = reception.receive(&mut self.input);
        if self.input.is_empty() {
            // Thousands of sessions may wait for the disk, or for a command after a message: none holds a buffer meanwhile.
            self.input = BytesMut::new();
        }
        let limits = &self.options.limits;
        if reception.ends_block(limits.data_block) {
            self.deadline = self.now + limits.data_timeout;
        }
        if reception.refusal.is_none()
            && let Some(reply) = reception.judge(&self.options)
        {
            reception.refusal = Some(reply);
            reception.is_unfit = true;
            self.events.push_back(Event::Reset(ResetReason::Content));
        }
        if reception.refusal.is_some() {
            reception.piece.clear();
        }
        if reception.is_endless(&self.options) {
            self.give_up("the message goes on far beyond its limit");
            return true;
        }
        let piece = std::mem::take(&mut reception.piece);
        if !piece.is_empty() {
            self.events.push_back(Event::Content(piece));
        }
        match progress {
            Progress::More => {}
            Progress::Chunk => self.end_chunk(),
            Progress::End => self.end_content(),
        }
        progress != Progress::More || !self.events.is_empty()
    }

    /// A chunk is whole that was not the last.
    fn end_chunk(&mut self) {
        let before = std::mem::replace(&mut self.state, State::Ready);
        let State::Content(reception) = before else { return };
        self.deadline = self.now + self.options.limits.command_timeout;
        match reception.final_refusal(&self.options) {
            //= RFC 3030 section 2: after a chunk that failed the transaction is over; the chunks that follow fail too.
            Some(reply) => self.say_refusal(&reply),
            None => {
                self.state = State::Chunks(reception);
                self.say(&Reply::new(250, (2, 0, 0), "chunk received"));
            }
        }
    }

    fn end_content(&mut self) {
        let before = std::mem::replace(&mut self.state, State::Ready);
        let State::Content(reception) = before else { return };
        self.deadline = self.now + self.options.limits.command_timeout;
        let recipients = reception.recipients;
        match reception.final_refusal(&self.options) {
            Some(reply) => self.refuse_message(recipients, &reply),
            None => {
                // Until the answer the transaction is alive: a connection that breaks now must reset it.
                self.state = State::Recipients { taken: recipients };
                self.ask(Asked::Message { recipients }, Event::Message);
            }
        }
    }

    /// Throws a chunk away that was not wanted; false when more of it is to come.
    pub(super) fn discard(&mut self) -> bool {
        let State::Discarding { left, .. } = &mut self.state else { return false };
        let count = usize::try_from(*left).unwrap_or(usize::MAX).min(self.input.len());
        self.input.advance(count);
        *left -= count as u64;
        if *left > 0 {
            return false;
        }
        let before = std::mem::replace(&mut self.state, State::Closed);
        if let State::Discarding { reply, then, .. } = before {
            self.state = *then;
            self.deadline = self.now + self.options.limits.command_timeout;
            self.say_refusal(&reply);
        }
        true
    }
}
