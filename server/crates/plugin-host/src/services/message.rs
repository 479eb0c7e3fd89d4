//! `transaction`, its message: header fields and body, with this hook's edits.
//!
//! Short reads of a message in memory are done at once; what may wait for a disk, or takes long, runs on a
//! thread that may block. A message that cannot be read traps where the interface has no error for it.

use message::{BodyError, Draft, HeaderError, PartError};
use model::Content;
use sha2::{Digest, Sha256};

use crate::bindings::waxwing::mail::transaction::{Host, Part, Recipient};
use crate::bindings::waxwing::mail::types::{Error, Header, Mailbox, Param, Reply};
use crate::overlay::NoDraft;
use crate::services::parts::{part_out, read_error};
use crate::state::State;

/// Octets of one read.
const MAX_READ_OCTETS: u32 = 256 << 10;
/// Octets of a needle that is searched.
const MAX_NEEDLE_OCTETS: usize = 4 << 10;
/// A body in memory up to this size is searched and digested without changing threads.
const SHORT_OCTETS: u64 = 64 << 10;

impl Host for State {
    fn id(&mut self) -> String {
        self.transaction.as_ref().map(|facts| facts.id.to_string()).unwrap_or_default()
    }

    fn sender(&mut self) -> Option<Mailbox> {
        self.sender_now()
    }

    fn sender_params(&mut self) -> Vec<Param> {
        self.sender_params_now()
    }

    fn set_sender(&mut self, address: Option<Mailbox>) -> Result<(), Error> {
        self.replace_sender(address)
    }

    fn recipients(&mut self, offset: u32, limit: u32) -> Vec<Recipient> {
        self.recipients_now(offset, limit)
    }

    fn add_recipient(&mut self, address: Mailbox, params: Vec<Param>) -> Result<u32, Error> {
        self.new_recipient(&address, params)
    }

    fn remove_recipient(&mut self, id: u32) -> Result<(), Error> {
        self.drop_recipient(id)
    }

    fn set_recipient(&mut self, id: u32, address: Mailbox) -> Result<(), Error> {
        self.readdress_recipient(id, &address)
    }

    fn refuse_recipient(&mut self, id: u32, reply: Reply) -> Result<(), Error> {
        self.refuse_one(id, reply)
    }

    fn hold_recipient(&mut self, id: u32, reason: String) -> Result<(), Error> {
        self.hold_one(id, &reason)
    }

    fn size(&mut self) -> u32 {
        let content = self.transaction.as_ref().and_then(|facts| facts.content.as_ref());
        content.map_or(0, |content| clamp(content.len()))
    }

    fn headers(&mut self, offset: u32, limit: u32) -> wasmtime::Result<Vec<Header>> {
        let Some(draft) = self.readable()? else { return Ok(Vec::new()) };
        let fields = draft.headers().skip(offset as usize).take(limit as usize);
        Ok(fields.map(|field| Header { name: field.name.to_owned(), value: field.value.to_vec() }).collect())
    }

    fn header_all(&mut self, name: String) -> wasmtime::Result<Vec<Vec<u8>>> {
        let Some(draft) = self.readable()? else { return Ok(Vec::new()) };
        Ok(draft.header_all(&name).into_iter().map(<[u8]>::to_vec).collect())
    }

    fn add_header(&mut self, name: String, value: Vec<u8>, at: Option<u32>) -> Result<(), Error> {
        self.check_field(&name, &value)?;
        self.count_addition()?;
        self.editable()?.add_header(&name, &value, at.map(|at| at as usize)).map_err(header_error)
    }

    fn set_header(&mut self, name: String, nth: u32, value: Vec<u8>) -> Result<(), Error> {
        self.check_field(&name, &value)?;
        self.editable()?.set_header(&name, nth as usize, &value).map_err(header_error)
    }

    fn remove_header(&mut self, name: String, nth: Option<u32>) -> Result<u32, Error> {
        let removed = self.editable()?.remove_header(&name, nth.map(|nth| nth as usize));
        Ok(u32::try_from(removed).unwrap_or(u32::MAX))
    }

    fn body_size(&mut self) -> u32 {
        self.editable().map_or(0, |draft| clamp(draft.body_size()))
    }

    async fn read_body(&mut self, offset: u32, len: u32) -> Result<Vec<u8>, Error> {
        let len = len.min(MAX_READ_OCTETS);
        self.count_read(len.into())?;
        let read = self.with_draft(len.into(), move |draft| Ok(draft.read_body(offset.into(), len.into())?));
        Ok(read.await?.to_vec())
    }

    async fn find_body(&mut self, needle: Vec<u8>, start: u32) -> wasmtime::Result<Option<u32>> {
        if self.readable()?.is_none() {
            return Ok(None);
        }
        if needle.len() > MAX_NEEDLE_OCTETS {
            return Err(wasmtime::Error::msg(format!(
                "a needle of {} octets is too long to be searched",
                needle.len()
            )));
        }
        let size = u64::from(self.body_size());
        let over = |_| wasmtime::Error::msg("find-body: more of the body was read than the limit allows");
        self.count_read(size).map_err(over)?;
        let found = self.with_draft(size, move |draft| Ok(draft.find_body(&needle, start.into())?)).await;
        Ok(found.map_err(|error| wasmtime::Error::msg(format!("find-body: {error:?}")))?.map(clamp))
    }

    async fn digest_body(&mut self, algorithm: String) -> Result<Vec<u8>, Error> {
        if !algorithm.eq_ignore_ascii_case("sha256") {
            return Err(Error::BadInput("the only digest is sha256".to_owned()));
        }
        let size = u64::from(self.body_size());
        self.count_read(size)?;
        self.with_draft(size, digest).await
    }

    async fn parts(&mut self) -> wasmtime::Result<Vec<Part>> {
        if self.readable()?.is_none() {
            return Ok(Vec::new());
        }
        let structure = self.structure().await;
        let structure = structure.map_err(|error| wasmtime::Error::msg(format!("parts: {error:?}")))?;
        Ok(structure.parts.iter().map(part_out).collect())
    }

    async fn read_part(&mut self, path: String, offset: u32, len: u32) -> Result<Vec<u8>, Error> {
        let decoded = self.decoded(path).await?;
        let begin = (offset as usize).min(decoded.len());
        let end = begin.saturating_add(len.min(MAX_READ_OCTETS) as usize).min(decoded.len());
        Ok(decoded[begin..end].to_vec())
    }

    fn start_body(&mut self) -> Result<(), Error> {
        self.spent.body_pieces = 0;
        self.overlay.start_body(self.transaction.as_deref()).map_err(|error| unavailable(&error))
    }

    fn copy_body(&mut self, offset: u32, len: u32) -> Result<(), Error> {
        self.count_piece(0)?;
        self.editable()?.copy_body(offset.into(), len.into()).map_err(|error| body_error(&error))
    }

    fn write_body(&mut self, data: Vec<u8>) -> Result<(), Error> {
        self.count_piece(data.len())?;
        self.editable()?.write_body(&data).map_err(|error| body_error(&error))
    }
}

impl State {
    /// The draft, or nothing where there is no message; a message that cannot be read traps.
    fn readable(&mut self) -> wasmtime::Result<Option<&mut Draft>> {
        match self.overlay.draft(self.transaction.as_deref()) {
            Ok(draft) => Ok(Some(draft)),
            Err(NoDraft::NoMessage) => Ok(None),
            Err(NoDraft::Read(error)) => Err(wasmtime::Error::new(error)),
        }
    }

    fn editable(&mut self) -> Result<&mut Draft, Error> {
        self.overlay.draft(self.transaction.as_deref()).map_err(|error| unavailable(&error))
    }

    /// The message with all edits so far.
    pub(super) fn message_now(&mut self) -> Result<Content, Error> {
        self.editable()?.clone().into_content().map_err(|error| unavailable(&error))
    }

    /// Reads the message, on this thread when that is short work.
    pub(super) async fn with_draft<T, F>(&mut self, octets: u64, read: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Draft) -> Result<T, PartError> + Send + 'static,
    {
        let draft = self.editable()?;
        let outcome = if octets <= SHORT_OCTETS && draft.original().source().as_bytes().is_some() {
            read(draft)
        } else {
            let draft = draft.clone();
            let reading = tokio::task::spawn_blocking(move || read(&draft));
            reading.await.map_err(|error| unavailable(&error))?
        };
        outcome.map_err(read_error)
    }

    fn check_field(&self, name: &str, value: &[u8]) -> Result<(), Error> {
        let octets = name.len() + value.len();
        if octets > self.plugin.limits.header_field_octets { Err(Error::Quota) } else { Ok(()) }
    }

    /// Takes octets off what the hook may have read of the body, at most as many as there are.
    pub(super) fn count_read(&mut self, octets: u64) -> Result<(), Error> {
        let octets = octets.min(self.editable()?.body_size());
        let read = self.spent.body_read.saturating_add(octets);
        if read > self.plugin.limits.body_read_octets {
            return Err(Error::Quota);
        }
        self.spent.body_read = read;
        Ok(())
    }

    fn count_piece(&mut self, octets: usize) -> Result<(), Error> {
        let limits = &self.plugin.limits;
        let written = self.spent.body_octets + octets as u64;
        if self.spent.body_pieces >= limits.body_pieces || written > limits.body_written_octets {
            return Err(Error::Quota);
        }
        self.spent.body_pieces += 1;
        self.spent.body_octets = written;
        Ok(())
    }
}

/// No message is 4 GiB.
fn clamp(octets: u64) -> u32 {
    u32::try_from(octets).unwrap_or(u32::MAX)
}

fn unavailable(error: &dyn std::fmt::Display) -> Error {
    Error::Unavailable(error.to_string())
}

fn header_error(error: HeaderError) -> Error {
    match error {
        HeaderError::NoSuchField => Error::NotFound,
        HeaderError::BlockTooLarge => Error::Quota,
        other => Error::BadInput(other.to_string()),
    }
}

fn body_error(error: &BodyError) -> Error {
    match error {
        BodyError::TooLarge => Error::Quota,
        other => Error::BadInput(other.to_string()),
    }
}

fn digest(draft: &Draft) -> Result<Vec<u8>, PartError> {
    let (mut digest, mut at) = (Sha256::new(), 0);
    loop {
        let window = draft.read_body(at, u64::from(MAX_READ_OCTETS))?;
        if window.is_empty() {
            return Ok(digest.finalize().to_vec());
        }
        digest.update(&window);
        at += window.len() as u64;
    }
}
