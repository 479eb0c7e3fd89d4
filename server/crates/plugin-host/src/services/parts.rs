//! `transaction`, its MIME parts: found once a hook, and decoded whole when one is read for the first time.

use std::sync::Arc;

use bytes::Bytes;
use message::{PartError, Structure};

use crate::bindings::waxwing::mail::transaction::Part;
use crate::bindings::waxwing::mail::types::Error;
use crate::state::State;

impl State {
    pub(super) async fn structure(&mut self) -> Result<Arc<Structure>, Error> {
        if let Some(structure) = &self.overlay.read.structure {
            return Ok(structure.clone());
        }
        self.count_read(u64::MAX)?;
        let structure = Arc::new(self.with_draft(u64::MAX, |draft| Ok(draft.parts()?)).await?);
        if !structure.complete {
            tracing::debug!(plugin = %self.plugin.name, hook = self.hook, "the message has more parts than are shown");
        }
        self.overlay.read.structure = Some(structure.clone());
        Ok(structure)
    }

    /// The decoded content of a part; the last one that was asked for is kept, for the next piece of it.
    pub(super) async fn decoded(&mut self, path: String) -> Result<Bytes, Error> {
        if let Some((kept, decoded)) = &self.overlay.read.decoded
            && *kept == path
        {
            return Ok(decoded.clone());
        }
        let structure = self.structure().await?;
        let part = structure.parts.iter().find(|part| part.path == path).ok_or(Error::NotFound)?.clone();
        self.count_read(part.len)?;
        let decoded = self.with_draft(u64::MAX, move |draft| draft.read_part(&part)).await?;
        self.overlay.read.decoded = Some((path, decoded.clone()));
        Ok(decoded)
    }
}

pub(super) fn part_out(part: &message::Part) -> Part {
    let clamp = |octets| u32::try_from(octets).unwrap_or(u32::MAX);
    Part {
        path: part.path.clone(),
        media_type: part.media_type.clone(),
        charset: part.charset.clone(),
        filename: part.filename.clone(),
        disposition: part.disposition.clone(),
        encoding: part.encoding.clone(),
        offset: clamp(part.offset),
        len: clamp(part.len),
    }
}

pub(super) fn read_error(error: PartError) -> Error {
    match error {
        PartError::TooLarge => Error::Quota,
        PartError::Undecodable(_) => Error::BadInput(error.to_string()),
        PartError::Source(_) => Error::Unavailable(error.to_string()),
    }
}
