//! What a queue is, without a disk: entries, the states of their recipients, when the next attempt is due, and the
//! [`Store`] that keeps them.
//!
//! # The life of a recipient
//!
//! ```text
//!                commit (durable) -> 250
//!                    |
//!                    v          4xx, no connection
//!     hold ------> Waiting <---------------------+
//!      ^             |  due                      |
//!      |             +-----> an attempt ---------+
//!      |  release            |    |    |
//!      +-- Held              |    |    +-- too old ------> Expired    (a DSN was queued first)
//!                            |    +------- 5xx, no host -> Bounced    (a DSN was queued first)
//!                            +------------ 2xx ----------> Delivered
//! ```
//!
//! An attempt is not a state on disk: a crash during one leaves `Waiting`, and the attempt is made again, which may deliver
//! twice but never loses. Delivered, Bounced, Expired and Removed are final; an entry whose recipients are all final is gone.
//!
//! # Legal states on disk
//!
//! | the log has | means |
//! |---|---|
//! | no record of the message, or one that is cut or fails its checksum at the very end | never acknowledged: it does not exist |
//! | a whole record of the message | acknowledged, or about to be: it will be delivered |
//! | the same, and update records | the newest update of each recipient counts |
//! | the same, and every recipient final | gone; its space may be reclaimed |
//! | a spool file that no record names | a client vanished, or a crash came before commit: removed at start |
//! | a record in the middle that fails its checksum | corrupt: set aside and reported, the others flow |
//!
//! Standards: RFC 5321 section 4.5.4 (retries, expiry), 6.1 (what 250 promises).

mod census;
mod entry;
mod retry;
mod selection;
mod store;

pub use census::{Census, CensusRow, CensusView, NO_ATTEMPT, gist};
pub use entry::{Diagnostic, Entry, QueuedRecipient, RecipientUpdate, State, Update};
pub use retry::RetrySchedule;
pub use selection::{Addresses, Selection, StateFilter};
pub use store::{BoxFuture, Courier, Due, SpoolWriter, Store, StoreError, StoreTotals};
