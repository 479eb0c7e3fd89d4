//! Content as it arrives, by DATA or by BDAT, and what it is refused for.

use bytes::BytesMut;
use model::Reply;

use super::options::Options;
use super::params::Wishes;
use crate::{BareNewline, chunk, data};

/// Content that is arriving.
#[derive(Debug)]
pub(super) struct Reception {
    source: Source,
    /// Recipients of the transaction.
    pub(super) recipients: usize,
    /// Octets that were not handed on yet.
    pub(super) piece: Vec<u8>,
    /// Octets of content so far.
    size: u64,
    /// Octets that had arrived when the deadline was set last.
    block_start: u64,
    /// Why the message will be refused; its octets are thrown away.
    pub(super) refusal: Option<Reply>,
    /// It is refused for what has arrived, and not for what was answered to the event.
    pub(super) is_unfit: bool,
}

#[derive(Debug)]
enum Source {
    Data(data::Decoder),
    Chunks { decoder: chunk::Decoder, last: bool },
}

/// How far the content has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// More octets are needed.
    More,
    /// A chunk is whole, and it was not the last.
    Chunk,
    /// The content is whole.
    End,
}

impl Reception {
    /// Content behind 354.
    pub(super) fn of_data(options: &Options, recipients: usize) -> Self {
        let decoder = data::Decoder::new(options.bare_newline, options.limits.text_line);
        Self::new(Source::Data(decoder), recipients)
    }

    /// Content in chunks.
    pub(super) fn of_chunks(options: &Options, recipients: usize, wishes: Wishes) -> Self {
        let policy = (!wishes.binary).then_some(options.bare_newline);
        let decoder = chunk::Decoder::new(policy, options.limits.text_line);
        Self::new(Source::Chunks { decoder, last: false }, recipients)
    }

    fn new(source: Source, recipients: usize) -> Self {
        Self {
            source,
            recipients,
            piece: Vec::new(),
            size: 0,
            block_start: 0,
            refusal: None,
            is_unfit: false,
        }
    }

    /// A chunk follows.
    pub(super) fn begin_chunk(&mut self, octets: u64, is_last: bool) {
        if let Source::Chunks { decoder, last } = &mut self.source {
            decoder.begin(octets);
            *last = is_last;
        }
    }

    /// Decodes what has arrived.
    pub(super) fn receive(&mut self, input: &mut BytesMut) -> Progress {
        let before = self.piece.len();
        let progress = match &mut self.source {
            Source::Data(decoder) => match decoder.decode(input, &mut self.piece) {
                true => Progress::End,
                false => Progress::More,
            },
            Source::Chunks { decoder, last } => match (decoder.decode(input, &mut self.piece), *last) {
                (false, _) => Progress::More,
                (true, false) => Progress::Chunk,
                (true, true) => {
                    decoder.finish(&mut self.piece);
                    Progress::End
                }
            },
        };
        self.size += (self.piece.len() - before) as u64;
        progress
    }

    /// Whether a block of this many octets has come since the last; a new one begins then.
    pub(super) fn ends_block(&mut self, octets: u64) -> bool {
        let ends = self.size - self.block_start >= octets;
        if ends {
            self.block_start = self.size;
        }
        ends
    }

    /// Why the message cannot be taken, by what has arrived of it.
    pub(super) fn judge(&self, options: &Options) -> Option<Reply> {
        let limits = &options.limits;
        let (bare_newline_seen, line_too_long) = match &self.source {
            Source::Data(decoder) => (decoder.bare_newline_seen, decoder.line_too_long),
            Source::Chunks { decoder, .. } => (decoder.bare_newline_seen, decoder.line_too_long),
        };
        if self.size > limits.message_size {
            let text = format!("the message is larger than {} octets", limits.message_size);
            Some(Reply::new(552, (5, 3, 4), text))
        } else if bare_newline_seen && options.bare_newline == BareNewline::Reject {
            Some(Reply::new(554, (5, 6, 0), "the message has a bare CR or LF; lines must end with CR LF"))
        } else if line_too_long {
            let text = format!("the message has a line longer than {} octets", limits.text_line);
            Some(Reply::new(554, (5, 6, 0), text))
        } else {
            None
        }
    }

    /// Why the message is refused, now that all of it has come: the same reason wherever the octets were cut.
    pub(super) fn final_refusal(&self, options: &Options) -> Option<Reply> {
        if self.is_unfit { self.judge(options) } else { self.refusal.clone() }
    }

    /// Whether a refused message goes on so far that it is not worth hearing out.
    pub(super) fn is_endless(&self, options: &Options) -> bool {
        self.size > most_discarded(options)
    }
}

/// A refused message is read to its end, so that the client hears why; but not for ever.
pub(super) fn most_discarded(options: &Options) -> u64 {
    options.limits.message_size.saturating_mul(4).saturating_add(64 << 20)
}
