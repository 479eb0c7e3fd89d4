//! Which path is answered by what, and what every request and answer goes through.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use model::QueueId;
use serde::de::DeserializeOwned;
use tokio::time::{Duration, timeout};

use crate::access::{own_token, peer};
use crate::problem::Problem;
use crate::site::Site;
use crate::{destinations, history, messages, openapi, outcomes, page, plugins, preview, queue, sessions};

/// Octets of a body that is no message.
const SMALL_BODY_OCTETS: usize = 64 << 10;
/// How long such a body may take.
const SMALL_BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A way to ask: the method, the path, and what answers.
pub(crate) type Route = (Method, &'static str, MethodRouter<Arc<Site>>);

/// Every route of the API. The description in `openapi` has to have the same ones, which a test holds.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        (Method::GET, "/v1/token", get(own_token)),
        (Method::GET, "/v1/status", get(queue::status)),
        (Method::GET, "/v1/queue", get(queue::list)),
        (Method::GET, "/v1/queue/counts", get(queue::counts)),
        (Method::POST, "/v1/queue/orders", post(queue::order_all)),
        (Method::GET, "/v1/queue/{id}", get(queue::show)),
        (Method::GET, "/v1/queue/{id}/content", get(queue::content)),
        (Method::GET, "/v1/queue/{id}/preview", get(preview::preview)),
        (Method::POST, "/v1/queue/{id}/{order}", post(queue::order)),
        (Method::GET, "/v1/quarantine", get(preview::quarantine)),
        (Method::GET, "/v1/destinations", get(destinations::destinations)),
        (Method::GET, "/v1/sessions", get(sessions::sessions)),
        (Method::GET, "/v1/plugins", get(plugins::list)),
        (Method::POST, "/v1/plugins/reload", post(plugins::reload_all)),
        (Method::POST, "/v1/plugins/{name}/{order}", post(plugins::order)),
        (Method::POST, "/v1/reload", post(queue::reload)),
        (Method::GET, "/v1/outcomes", get(outcomes::outcomes)),
        (Method::POST, "/v1/messages", post(messages::submit)),
        (Method::GET, "/v1/messages/{id}", get(history::message)),
        (Method::GET, "/openapi.json", get(openapi::document)),
    ]
}

/// What answers everything.
pub(crate) fn router(site: &Arc<Site>) -> Router {
    let mut router = Router::new();
    for (_, path, answers) in routes() {
        router = router.route(path, answers);
    }
    for (path, answers) in page::files() {
        router = router.route(path, answers);
    }
    router
        .fallback(async || Problem::not_found("nothing is at this path; /openapi.json lists what there is"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path has other methods; see /openapi.json")
        })
        .layer(from_fn_with_state(Arc::clone(site), around))
        .with_state(Arc::clone(site))
}

/// The rate of the address before, and what a browser has to know behind.
async fn around(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let admitted = site.requests.admits(peer(&parts).ip(), clock::now());
    let mut response = match admitted {
        true => next.run(Request::from_parts(parts, body)).await,
        false => {
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many requests from your address").into_response()
        }
    };
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, page::POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    let headers = response.headers_mut();
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The parameters behind the `?`.
#[derive(Debug)]
pub(crate) struct Parameters<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<Site>> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Site>) -> Result<Self, Problem> {
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(parameters)) => Ok(Self(parameters)),
            Err(error) => Err(Problem::bad_request(error.body_text())),
        }
    }
}

/// The id of an entry in the path.
#[derive(Debug)]
pub(crate) struct Id(pub(crate) QueueId);

/// An id as it stands in a path.
pub(crate) fn parse_id(text: &str) -> Result<QueueId, Problem> {
    text.parse().map_err(|_| Problem::bad_request("the path has no valid queue id: 13 letters and digits"))
}

impl FromRequestParts<Arc<Site>> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        match Path::<String>::from_request_parts(parts, site).await {
            Ok(Path(text)) => parse_id(&text).map(Self),
            Err(_) => Err(Problem::bad_request("the path is not UTF-8")),
        }
    }
}

/// Two names in the path.
#[derive(Debug)]
pub(crate) struct Two(pub(crate) String, pub(crate) String);

impl FromRequestParts<Arc<Site>> for Two {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        match Path::<(String, String)>::from_request_parts(parts, site).await {
            Ok(Path((first, second))) => Ok(Self(first, second)),
            Err(_) => Err(Problem::bad_request("the path is not UTF-8")),
        }
    }
}

/// A small body in JSON.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<Site>> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<Site>) -> Result<Self, Problem> {
        //= RFC 8259: a form of another site cannot send this type without asking first.
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if kind.is_none_or(|kind| media_type(kind) != "application/json") {
            let detail = "the body has to be application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        let body = Limited::new(request.into_body(), SMALL_BODY_OCTETS).collect();
        let octets = match timeout(SMALL_BODY_TIMEOUT, body).await {
            Err(_) => return Err(too_slow()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return Err(Problem::too_large(SMALL_BODY_OCTETS));
            }
            Ok(Err(_)) => return Err(Problem::bad_request("the body broke off")),
            Ok(Ok(body)) => body.to_bytes(),
        };
        serde_json::from_slice(&octets).map(Self).map_err(|error| Problem::bad_request(error.to_string()))
    }
}

/// A type without its parameters, in lower case.
pub(crate) fn media_type(kind: &str) -> String {
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

pub(crate) fn too_slow() -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "the body took too long to come")
}
