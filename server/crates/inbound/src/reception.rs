//! Content as it arrives: in memory while it is small, in a spool file once it is not.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use model::{QueueId, Source};
use queue::{SpoolWriter, Store, StoreError};

/// Below this many octets a message stays in memory until the others hold twice their budget: about two reads of a socket.
const ALWAYS_IN_MEMORY: usize = 16 << 10;

/// Octets of content that all sessions hold in memory, against a budget; those that wait to be written count as well.
#[derive(Debug)]
pub(crate) struct ContentMemory {
    held: AtomicUsize,
}

impl ContentMemory {
    pub(crate) fn new() -> Self {
        Self { held: AtomicUsize::new(0) }
    }

    /// Whether so much is held that content is moved to the disk.
    pub(crate) fn is_crowded(&self, budget: usize) -> bool {
        self.held.load(Relaxed) > budget
    }

    /// Whether so much is held, over a budget that content is moved to the disk for already, that no message may begin.
    pub(crate) fn is_full(&self, budget: usize) -> bool {
        self.held.load(Relaxed) > budget.saturating_mul(2)
    }
}

/// The content of one message, as far as it has arrived.
pub(crate) struct Reception {
    id: QueueId,
    place: Place,
    memory: Arc<ContentMemory>,
    budget: usize,
    /// What this message counts in `memory`.
    counted: usize,
}

enum Place {
    Memory(Vec<u8>),
    Spool(Box<dyn SpoolWriter>),
    /// While a blocking call has the writer, and for good when that call failed.
    Lost,
}

impl Reception {
    pub(crate) fn new(id: QueueId, memory: Arc<ContentMemory>, budget: usize) -> Self {
        Self { id, place: Place::Memory(Vec::new()), memory, budget, counted: 0 }
    }

    /// Takes the next octets.
    ///
    /// # Errors
    /// What the disk says; the content is then lost and the message must be refused.
    pub(crate) async fn push(&mut self, piece: Vec<u8>, store: &Arc<dyn Store>) -> Result<(), StoreError> {
        match std::mem::replace(&mut self.place, Place::Lost) {
            Place::Memory(mut octets) => {
                let together = octets.len() + piece.len();
                self.count(together);
                if self.must_spill(together, store.inline_octets()) {
                    let (store, id) = (store.clone(), self.id);
                    let writer = blocking(move || {
                        let mut writer = store.spool(id)?;
                        writer.write(&octets)?;
                        writer.write(&piece)?;
                        Ok::<_, StoreError>(writer)
                    })
                    .await?;
                    self.count(0);
                    self.place = Place::Spool(writer);
                } else {
                    if octets.is_empty() {
                        octets = piece;
                    } else {
                        octets.extend_from_slice(&piece);
                    }
                    self.place = Place::Memory(octets);
                }
                Ok(())
            }
            Place::Spool(mut writer) => {
                self.count(piece.len());
                let writer = blocking(move || {
                    writer.write(&piece)?;
                    Ok::<_, StoreError>(writer)
                })
                .await?;
                self.count(0);
                self.place = Place::Spool(writer);
                Ok(())
            }
            Place::Lost => Err(lost()),
        }
    }

    /// All of it: durable when it is in a spool file, in memory otherwise, where it counts until this is dropped.
    pub(crate) async fn finish(&mut self) -> Result<Arc<dyn Source>, StoreError> {
        match std::mem::replace(&mut self.place, Place::Lost) {
            Place::Memory(octets) => Ok(Arc::new(Bytes::from(octets))),
            Place::Spool(writer) => blocking(move || Ok(writer.finish()?)).await,
            Place::Lost => Err(lost()),
        }
    }

    fn must_spill(&self, octets: usize, inline: usize) -> bool {
        let crowded = self.memory.is_crowded(self.budget) && octets > ALWAYS_IN_MEMORY;
        octets > inline || crowded || self.memory.is_full(self.budget)
    }

    fn count(&mut self, octets: usize) {
        self.memory.held.fetch_add(octets, Relaxed);
        self.memory.held.fetch_sub(self.counted, Relaxed);
        self.counted = octets;
    }
}

impl Drop for Reception {
    fn drop(&mut self) {
        self.count(0);
    }
}

fn lost() -> StoreError {
    io::Error::other("the content was lost when an earlier write failed").into()
}

/// The disk may make us wait; a thread that may block does.
async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(call).await {
        Ok(result) => result,
        Err(error) => Err(io::Error::other(error).into()),
    }
}
