//! `/v1/destinations`: the queue by destination, with ages and reasons.

use std::collections::HashMap;
use std::sync::Arc;

use admin::{Counts, CountsRow, DestinationStatus, Filter, Page, Request, ServerStatus};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use crate::access::Reading;
use crate::problem::Problem;
use crate::queue::Rows;
use crate::router::Parameters;
use crate::site::Site;

/// Domains, unless more or fewer are asked for.
const DOMAINS: usize = 100;
/// Domains for which a reason is looked up in the queue.
const LOOKED_UP: usize = 25;

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Destinations {
    /// Recipients that wait, and that are held.
    waiting: u64,
    held: u64,
    /// When the oldest arrived.
    oldest: Option<String>,
    /// Those with the most recipients first.
    domains: Vec<DomainRow>,
    /// Recipients of domains that are not listed.
    domains_left: u64,
    /// Why recipients wait or are held, the most frequent first.
    reasons: Vec<CountsRow>,
    reasons_left: u64,
    /// Hosts and mailboxes with work, a connection, or a failure that is remembered.
    next_hops: Vec<DestinationStatus>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct DomainRow {
    name: String,
    waiting: u64,
    held: u64,
    /// When the oldest recipient arrived; may be up to a quarter of an hour early.
    oldest: Option<String>,
    /// What was last said of the oldest message, or why it is held.
    reason: Option<String>,
}

/// The queue by destination, with ages and reasons.
#[utoipa::path(get, path = "/v1/destinations", tag = "queue", params(Rows), responses((status = 200, body = Destinations)))]
pub(crate) async fn destinations(
    _: Reading,
    State(site): State<Arc<Site>>,
    Parameters(Rows { limit }): Parameters<Rows>,
) -> Result<Json<Destinations>, Problem> {
    let limit = Some(limit.unwrap_or(DOMAINS));
    let counts: Counts = typed(site.ask(Request::QueueCounts { limit }).await?)?;
    let status: ServerStatus = typed(site.ask(Request::Status).await?)?;
    let mut reasons = HashMap::new();
    for row in counts.domains.iter().take(LOOKED_UP) {
        if let Some(reason) = reason(&site, &row.name).await? {
            reasons.insert(row.name.clone(), reason);
        }
    }
    let row = |CountsRow { name, waiting, held, oldest }| {
        let reason = reasons.remove(&name);
        DomainRow { name, waiting, held, oldest, reason }
    };
    Ok(Json(Destinations {
        waiting: counts.recipients_waiting,
        held: counts.recipients_held,
        oldest: counts.oldest,
        domains: counts.domains.into_iter().map(row).collect(),
        domains_left: counts.domains_left,
        reasons: counts.reasons,
        reasons_left: counts.reasons_left,
        next_hops: status.delivery.destinations,
    }))
}

/// What was last said of the oldest message for a domain.
async fn reason(site: &Site, domain: &str) -> Result<Option<String>, Problem> {
    let filter = Filter { domain: Some(domain.to_owned()), ..Filter::default() };
    let page = site.ask(Request::QueueList { after: None, limit: Some(1), filter }).await;
    // A name that the queue has and a filter cannot take has no reason shown.
    let Ok(page) = page else { return Ok(None) };
    let page: Page = typed(page)?;
    Ok(page.entries.into_iter().next().and_then(|entry| entry.reason))
}

/// An answer as what it is.
fn typed<T: DeserializeOwned>(Json(value): Json<serde_json::Value>) -> Result<T, Problem> {
    serde_json::from_value(value)
        .map_err(|error| Problem::unavailable(format!("an answer is not understood: {error}")))
}
