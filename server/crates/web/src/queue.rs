//! `/v1/status` and `/v1/queue`: what the commands of the same names show and do.

use std::sync::Arc;

use admin::{Applied, Counts, EntryView, Filter, Order, Page, Reloaded, Request, ServerStatus, Touched};
use axum::Json;
use axum::body::Body as HttpBody;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use model::QueueId;
use queue::StateFilter;
use serde::Deserialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::access::{Changing, Reading};
use crate::problem::Problem;
use crate::router::{Body, Id, Parameters, Two, parse_id};
use crate::site::Site;

/// Octets that are read of a message at once.
const PIECE_OCTETS: usize = 256 << 10;

type Answer = Result<Json<Value>, Problem>;

/// How the server is.
#[utoipa::path(get, path = "/v1/status", tag = "server", responses((status = 200, body = ServerStatus)))]
pub(crate) async fn status(_: Reading, State(site): State<Arc<Site>>) -> Answer {
    site.ask(Request::Status).await
}

/// Makes the server read its configuration again; one with faults changes nothing and is answered with them.
#[utoipa::path(post, path = "/v1/reload", tag = "server", responses((status = 200, body = Reloaded), (status = 400, body = Problem)))]
pub(crate) async fn reload(by: Changing, State(site): State<Arc<Site>>) -> Answer {
    by.log("reload", "the configuration");
    site.ask(Request::Reload).await
}

/// Which entries of the queue, and how many.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct Listing {
    /// Behind this entry: `next` of the page before.
    #[param(value_type = Option<String>)]
    after: Option<QueueId>,
    /// At most so many; 500 however many are asked for.
    limit: Option<usize>,
    /// `waiting`, `deferred` or `held`.
    #[param(value_type = Option<String>)]
    state: Option<StateFilter>,
    /// An address, a domain with or without `@` before it, or `<>`.
    sender: Option<String>,
    /// An address, or a domain with or without `@` before it.
    recipient: Option<String>,
    /// The domain of a recipient.
    domain: Option<String>,
    /// A part of the reason.
    reason: Option<String>,
    /// Arrived so many seconds ago or more.
    older_s: Option<u64>,
}

/// A page of the queue, the oldest first. A page may be empty and not the last.
#[utoipa::path(get, path = "/v1/queue", tag = "queue", params(Listing), responses((status = 200, body = Page), (status = 400, body = Problem)))]
pub(crate) async fn list(
    _: Reading,
    State(site): State<Arc<Site>>,
    Parameters(wanted): Parameters<Listing>,
) -> Answer {
    let Listing { after, limit, state, sender, recipient, domain, reason, older_s } = wanted;
    let filter = Filter { state, sender, recipient, domain, reason, older_s };
    site.ask(Request::QueueList { after, limit, filter }).await
}

/// How many rows.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct Rows {
    /// At most so many; 1,000 however many are asked for.
    pub(crate) limit: Option<usize>,
}

/// Recipients that are not done, by domain and by reason.
#[utoipa::path(get, path = "/v1/queue/counts", tag = "queue", params(Rows), responses((status = 200, body = Counts)))]
pub(crate) async fn counts(
    _: Reading,
    State(site): State<Arc<Site>>,
    Parameters(Rows { limit }): Parameters<Rows>,
) -> Answer {
    site.ask(Request::QueueCounts { limit }).await
}

/// An entry with what was said of each recipient at every attempt.
#[utoipa::path(get, path = "/v1/queue/{id}", tag = "queue", params(("id" = String, Path)),
    responses((status = 200, body = EntryView), (status = 404, body = Problem)))]
pub(crate) async fn show(_: Reading, State(site): State<Arc<Site>>, Id(id): Id) -> Answer {
    site.ask(Request::QueueShow { id }).await
}

/// The message as it is in the queue.
#[utoipa::path(get, path = "/v1/queue/{id}/content", tag = "queue", params(("id" = String, Path)),
    responses((status = 200, content_type = "message/rfc822", body = String), (status = 404, body = Problem)))]
pub(crate) async fn content(
    _: Reading,
    State(site): State<Arc<Site>>,
    Id(id): Id,
) -> Result<Response, Problem> {
    let content = site.read(move |store| store.content(id)).await?;
    let pieces = futures_util::stream::try_unfold((content, 0_u64), |(content, at)| async move {
        let read = tokio::task::spawn_blocking(move || {
            let mut octets = vec![0; PIECE_OCTETS];
            let count = content.read_at(at, &mut octets)?;
            octets.truncate(count);
            Ok::<_, std::io::Error>((octets, content))
        });
        let (octets, content) = read.await.map_err(std::io::Error::other)??;
        let next = at + octets.len() as u64;
        Ok::<_, std::io::Error>((!octets.is_empty()).then_some((octets, (content, next))))
    });
    // A browser is to save it, never to show it.
    let headers = [
        (CONTENT_TYPE, "message/rfc822".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{id}.eml\"")),
    ];
    Ok((headers, HttpBody::from_stream(pieces)).into_response())
}

/// Changes one entry: `retry`, `hold`, `release`, or `remove`, which tells nobody.
#[utoipa::path(post, path = "/v1/queue/{id}/{order}", tag = "queue",
    params(("id" = String, Path), ("order" = Order, Path)),
    responses((status = 200, body = Applied), (status = 404, body = Problem)))]
pub(crate) async fn order(by: Changing, State(site): State<Arc<Site>>, Two(id, order): Two) -> Answer {
    let id = parse_id(&id)?;
    let Ok(order) = serde_json::from_value::<Order>(Value::String(order.clone())) else {
        return Err(Problem::not_found("what can be done is retry, hold, release and remove"));
    };
    by.log(&format!("{order:?}").to_lowercase(), &id.to_string());
    site.ask(Request::QueueOrder { id, order }).await
}

/// An order for many entries.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrderAll {
    order: Order,
    /// Has to be there; an empty one means everything.
    filter: Filter,
}

/// Changes all recipients that a filter means.
#[utoipa::path(post, path = "/v1/queue/orders", tag = "queue", request_body = OrderAll,
    responses((status = 200, body = Touched), (status = 400, body = Problem)))]
pub(crate) async fn order_all(
    by: Changing,
    State(site): State<Arc<Site>>,
    Body(OrderAll { order, filter }): Body<OrderAll>,
) -> Answer {
    by.log(&format!("{order:?}").to_lowercase(), &format!("{filter:?}"));
    site.ask(Request::QueueOrderAll { order, filter }).await
}
