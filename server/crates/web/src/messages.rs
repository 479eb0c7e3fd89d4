//! `POST /v1/messages`: a message for submission, raw or in JSON, in the name of the token's user.
//!
//! It goes through a session of `inbound`, and so through the same limits, hooks, rules for senders and signatures as one that comes by
//! SMTP; what the session says no with is the answer. 202 means what 250 means there: the message is on the disk, synced.
//!
//! Limits: `limits.message-size` for a raw message, half as much again for JSON, where files are in base64; two minutes for the body; 64 MiB
//! of bodies over all requests, over it 503.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::BodyExt;
use inbound::{Identity, Insider};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tracing::info;
use utoipa::ToSchema;

use crate::access::Sending;
use crate::compose::NewMessage;
use crate::envelope::Envelope;
use crate::idempotency::{self, Begun, Given};
use crate::problem::{Problem, RecipientRefused};
use crate::router::{media_type, too_slow};
use crate::site::Site;
use crate::submission::{self, Letter};

/// How long the body of a message may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(120);
/// Octets of JSON beside the message itself.
const JSON_EXTRA_OCTETS: usize = 64 << 10;

/// A message that was taken in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Submitted {
    /// Its id in the queue and in the log.
    id: String,
    /// The recipients that it was taken in for.
    accepted: Vec<String>,
    /// Those that were refused; the sender gets no report of them.
    refused: Vec<RecipientRefused>,
}

/// Sends a message: raw as `message/rfc822`, with the envelope in `from` and `to` of the query, in the fields `X-Envelope-From` and
/// `X-Envelope-To`, or else as its own header says; or in JSON. Needs a token of the scope `send`.
#[utoipa::path(post, path = "/v1/messages", tag = "messages",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "A repeat with the same key within 24 hours is answered as the first request, and sends nothing."),
        ("from" = Option<String>, Query, description = "Of a raw message: the sender in the envelope."),
        ("to" = Option<Vec<String>>, Query, description = "Of a raw message: a recipient; may be given many times."),
    ),
    request_body(content((NewMessage = "application/json"), (String = "message/rfc822"))),
    responses(
        (status = 202, description = "On the disk, and queued.", body = Submitted),
        (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 409, body = Problem), (status = 413, body = Problem), (status = 422, body = Problem),
        (status = 429, body = Problem), (status = 503, body = Problem),
    ))]
pub(crate) async fn submit(
    by: Sending,
    State(site): State<Arc<Site>>,
    request: Request,
) -> Result<Response, Problem> {
    let key = idempotency::key(request.headers())?;
    let (parts, body) = request.into_parts();
    let form = Form::of(&parts.headers)?;
    let (octets, room) =
        receive(&site, &parts.headers, body, form.limit(site.options().message_size)).await?;
    let hash = fingerprint(&parts, &octets);
    let letter = letter(&site, form, &parts, octets).await?;
    let Some(user) = by.token.user.as_ref().map(ToString::to_string) else {
        return Err(Problem::new(StatusCode::FORBIDDEN, "the token has no user to send as"));
    };
    let insider = Insider { listener: Insider::HTTP.into(), peer: by.peer, identity: Identity::User(user) };
    let reserved = match key {
        None => None,
        Some(key) => match site.keys.begin(&by.token.name, &key, hash).await? {
            Begun::First(reserved) => Some(reserved),
            Begun::Again(given) => {
                info!(token = %by.token.name, "a message was sent again with the same Idempotency-Key");
                return Ok(again(given));
            }
        },
    };
    // A client that goes away now does not keep the key from being noted.
    let task = tokio::spawn(async move {
        let taken = submission::submit(&site.services.inbound, insider, &letter).await;
        drop((letter, room));
        let given = given(taken);
        if let Some(reserved) = reserved {
            let is_final = given.status < 500 && given.status != StatusCode::TOO_MANY_REQUESTS.as_u16();
            reserved.finish(is_final.then(|| given.clone())).await;
        }
        given
    });
    task.await.map(answer).map_err(|_| Problem::unavailable("taking the message in ended early"))
}

/// How a message comes.
#[derive(Debug, Clone, Copy)]
enum Form {
    Raw,
    Json,
}

impl Form {
    fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).map(media_type);
        match kind.as_deref() {
            Some("message/rfc822") => Ok(Self::Raw),
            Some("application/json") => Ok(Self::Json),
            _ => {
                let detail = "a message comes as message/rfc822 or as application/json";
                Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
            }
        }
    }

    fn limit(self, message_size: usize) -> usize {
        match self {
            Self::Raw => message_size,
            Self::Json => message_size.saturating_add(message_size / 2).saturating_add(JSON_EXTRA_OCTETS),
        }
    }
}

/// Reads a body as far as there is room for it; the room is kept with what comes back.
async fn receive(
    site: &Site,
    headers: &HeaderMap,
    mut body: Body,
    limit: usize,
) -> Result<(Vec<u8>, Room), Problem> {
    let said = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse().ok());
    if said.is_some_and(|said: usize| said > limit) {
        return Err(Problem::too_large(limit));
    }
    let mut room = Room::default();
    let mut octets = Vec::new();
    let read = async {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Problem::bad_request("the body broke off"))?;
            let Ok(data) = frame.into_data() else { continue };
            if octets.len() + data.len() > limit {
                return Err(Problem::too_large(limit));
            }
            room.holds(site, octets.len() + data.len())?;
            octets.extend_from_slice(&data);
        }
        Ok(())
    };
    timeout(BODY_TIMEOUT, read).await.unwrap_or_else(|_| Err(too_slow()))?;
    Ok((octets, room))
}

/// Room for a body, given back when it is dropped.
#[derive(Debug, Default)]
struct Room(Option<OwnedSemaphorePermit>);

impl Room {
    /// Makes room for so many octets in all.
    fn holds(&mut self, site: &Site, octets: usize) -> Result<(), Problem> {
        let held = self.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = octets.div_ceil(1 << 10).saturating_sub(held);
        let missing = u32::try_from(missing).map_err(|_| Problem::too_large(usize::MAX))?;
        let more = Arc::clone(&site.bodies).try_acquire_many_owned(missing);
        let more =
            more.map_err(|_| Problem::unavailable("too many messages are coming in, try again later"))?;
        match &mut self.0 {
            Some(permit) => permit.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }
}

fn fingerprint(parts: &Parts, octets: &[u8]) -> String {
    let field = |name: &str| {
        parts
            .headers
            .get_all(name)
            .iter()
            .flat_map(|value| [value.as_bytes(), b"\n"].concat())
            .collect::<Vec<u8>>()
    };
    let (kind, from, to) = (field("content-type"), field("x-envelope-from"), field("x-envelope-to"));
    let query = parts.uri.query().unwrap_or_default();
    idempotency::fingerprint(&[&kind, query.as_bytes(), &from, &to, octets])
}

/// The letter that a request is.
async fn letter(site: &Site, form: Form, parts: &Parts, octets: Vec<u8>) -> Result<Letter, Problem> {
    let hostname = site.services.hostname.clone();
    let query = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
        .map_err(|error| Problem::bad_request(error.body_text()))?;
    let headers = parts.headers.clone();
    let made = tokio::task::spawn_blocking(move || {
        let (envelope, octets) = match form {
            Form::Raw => (Envelope::of(&query, &headers, &octets)?, octets),
            Form::Json => {
                if !query.is_empty() {
                    return Err(Problem::bad_request("a message in JSON takes no query"));
                }
                let message: NewMessage = serde_json::from_slice(&octets)
                    .map_err(|error| Problem::bad_request(error.to_string()))?;
                message.compose(&hostname, clock::wall())?
            }
        };
        let Envelope { sender, recipients } = envelope;
        Ok(Letter { sender, recipients, content: with_crlf(octets) })
    });
    made.await.unwrap_or_else(|_| Err(Problem::unavailable("reading the message ended early")))
}

/// Lines as mail has them. What programs write ends them with a line feed alone.
fn with_crlf(octets: Vec<u8>) -> Bytes {
    let bare = octets
        .iter()
        .enumerate()
        .filter(|(nth, octet)| **octet == b'\n' && (*nth == 0 || octets[nth - 1] != b'\r'));
    let missing = bare.count();
    let ends = octets.ends_with(b"\n");
    if missing == 0 && ends {
        return octets.into();
    }
    let mut whole = Vec::with_capacity(octets.len() + missing + 2);
    let mut before = 0;
    for octet in octets {
        if octet == b'\n' && before != b'\r' {
            whole.push(b'\r');
        }
        whole.push(octet);
        before = octet;
    }
    if !ends {
        whole.extend_from_slice(b"\r\n");
    }
    whole.into()
}

fn given(taken: Result<submission::Taken, Problem>) -> Given {
    let (status, body) = match taken {
        Ok(submission::Taken { id, accepted, refused }) => {
            (StatusCode::ACCEPTED, serde_json::to_value(Submitted { id, accepted, refused }))
        }
        Err(problem) => (problem.status, serde_json::to_value(problem)),
    };
    Given { status: status.as_u16(), body: body.unwrap_or_default() }
}

fn answer(given: Given) -> Response {
    let status = StatusCode::from_u16(given.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let id = given.body.get("id").and_then(Value::as_str).map(|id| format!("/v1/messages/{id}"));
    let mut response = (status, Json(given.body)).into_response();
    if let Some(location) = id.and_then(|path| HeaderValue::try_from(path).ok()) {
        response.headers_mut().insert(LOCATION, location);
    }
    if !status.is_success() {
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    response
}

/// The first answer once more.
fn again(given: Given) -> Response {
    let mut response = answer(given);
    let name = HeaderName::from_static("idempotency-replayed");
    response.headers_mut().insert(name, HeaderValue::from_static("true"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_as_mail_has_them_and_what_does_is_not_copied() {
        for (octets, whole) in [
            ("a\nb\r\n\nc", "a\r\nb\r\n\r\nc\r\n"),
            ("\n", "\r\n"),
            ("", "\r\n"),
            ("a\r\n", "a\r\n"),
            ("a\rb", "a\rb\r\n"),
        ] {
            assert_eq!(with_crlf(octets.into()), whole, "{octets:?}");
        }
    }
}
