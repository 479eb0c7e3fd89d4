//! Pages of the queue, its counts, and the pieces of a message.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::QueueId;
use queue::{Addresses, CensusRow, Selection, StateFilter, Store, StoreError};

use crate::answer::{ContentPiece, Counts, CountsRow, EntryRow, Page, rfc3339};

/// Entries of a page, at most.
const PAGE: usize = 500;
/// Entries that are looked at for one page, so that a filter that finds nothing still answers soon.
const LOOKED_AT: usize = 5_000;
/// Rows of counts, at most.
const ROWS: usize = 1_000;
/// Octets of a piece of a message.
const PIECE_OCTETS: usize = 768 << 10;

/// The next entries that are wanted; looks at so many at most.
pub(crate) fn page(
    store: &dyn Store,
    after: Option<QueueId>,
    limit: Option<usize>,
    wanted: &Selection,
) -> Result<Page, StoreError> {
    let mut page = Page { entries: Vec::new(), next: None };
    let limit = limit.unwrap_or(PAGE).clamp(1, PAGE);
    if has_none(store, wanted) {
        return Ok(page);
    }
    let everything = *wanted == Selection::default();
    // Without a condition nothing is read that is not shown.
    let step = if everything { limit } else { PAGE };
    let mut behind = after;
    for _ in 0..LOOKED_AT / PAGE {
        let found = store.list(behind, step)?;
        let is_last = found.len() < step;
        for entry in &found {
            behind = Some(entry.id);
            if wanted.has_any(entry) {
                page.entries.push(EntryRow::of(entry));
                if page.entries.len() == limit {
                    page.next = behind;
                    return Ok(page);
                }
            }
        }
        if is_last {
            return Ok(page);
        }
    }
    page.next = behind;
    Ok(page)
}

/// Whether the totals alone say that nothing is found.
fn has_none(store: &dyn Store, wanted: &Selection) -> bool {
    let totals = store.totals();
    let too_young = wanted.arrived_by.is_some_and(|by| totals.oldest.is_some_and(|oldest| by < oldest));
    let of_state = match wanted.state {
        // An entry with a held recipient counts as waiting when another waits.
        Some(StateFilter::Held) => totals.held + totals.waiting == 0,
        Some(StateFilter::Waiting | StateFilter::Deferred) => totals.waiting == 0,
        None => totals.waiting + totals.held == 0,
    };
    let domain = match &wanted.recipient {
        Some(Addresses::Domain(domain)) => Some(domain),
        _ => wanted.domain.as_ref(),
    };
    too_young || of_state || domain.is_some_and(|domain| !store.may_have_domain(domain))
}

/// Recipients by domain and by reason, at most so many rows of each.
pub(crate) fn counts(store: &dyn Store, limit: Option<usize>) -> Counts {
    let view = store.census(limit.unwrap_or(ROWS).clamp(1, ROWS));
    let totals = store.totals();
    let row = |row: CensusRow| CountsRow {
        name: row.name,
        waiting: row.waiting,
        held: row.held,
        oldest: row.oldest.map(rfc3339),
    };
    Counts {
        entries_waiting: totals.waiting,
        entries_held: totals.held,
        recipients_waiting: view.waiting,
        recipients_held: view.held,
        oldest: view.oldest.map(rfc3339),
        domains: view.domains.into_iter().map(row).collect(),
        domains_left: view.domains_left,
        reasons: view.reasons.into_iter().map(row).collect(),
        reasons_left: view.reasons_left,
    }
}

/// A piece of a message from an offset on.
pub(crate) fn content(store: &dyn Store, id: QueueId, offset: u64) -> Result<ContentPiece, StoreError> {
    let content = store.content(id)?;
    let mut octets = vec![0; PIECE_OCTETS];
    let mut filled = 0;
    while filled < octets.len() {
        let count = content.read_at(offset + filled as u64, &mut octets[filled..])?;
        if count == 0 {
            break;
        }
        filled += count;
    }
    let next = offset + filled as u64;
    Ok(ContentPiece {
        octets: STANDARD.encode(&octets[..filled]),
        next: (filled > 0 && next < content.len()).then_some(next),
    })
}
