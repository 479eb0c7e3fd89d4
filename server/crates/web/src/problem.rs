//! What is answered when something cannot be done: problem details, `application/problem+json`.
//!
//! Standards: RFC 9457 (problem details), 9110 (15 status codes, 10.2.3 Retry-After).

use admin::Refusal;
use axum::Json;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use model::Reply;
use serde::Serialize;
use utoipa::ToSchema;

/// After how many seconds a client may come again that was told to wait.
const RETRY_AFTER_S: u64 = 60;

/// A problem; `type` is `about:blank` where the status says it all, or a name that a program can go by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Problem {
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    /// The status of the answer.
    #[schema(value_type = u16)]
    #[serde(serialize_with = "as_number")]
    pub status: StatusCode,
    /// What is wrong, in a sentence.
    pub detail: String,
    /// What an SMTP client would have heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp: Option<Box<SmtpReply>>,
    /// The recipients, when each of them was refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<RecipientRefused>,
}

/// A reply of SMTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SmtpReply {
    /// Three digits: RFC 5321 section 4.2.
    pub code: u16,
    /// As in `5.7.1`: RFC 3463.
    pub status: Option<String>,
    pub text: String,
}

/// A recipient that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RecipientRefused {
    pub address: String,
    pub smtp: SmtpReply,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl From<&Reply> for SmtpReply {
    fn from(reply: &Reply) -> Self {
        Self {
            code: reply.code,
            status: reply.status.map(|status| status.to_string()),
            text: reply.text.clone(),
        }
    }
}

impl Problem {
    /// One that its status explains.
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("Problem").to_owned(),
            status,
            detail: detail.into(),
            smtp: None,
            recipients: Vec::new(),
        }
    }

    /// One that a program may want to tell from others of its status.
    pub(crate) fn named(mut self, name: &str, title: &str) -> Self {
        (self.kind, self.title) = (format!("urn:waxwing:{name}"), title.to_owned());
        self
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {limit} octets"))
    }

    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    /// What a session of SMTP said no with.
    pub(crate) fn refused(reply: &Reply) -> Self {
        let status = match (reply.code, reply.status.map(|status| (status.subject, status.detail))) {
            //= RFC 3463 section 3.8: X.7.1, delivery not authorised; rates are told with it too.
            (450, Some((7, 1))) => StatusCode::TOO_MANY_REQUESTS,
            (535 | 530, _) | (553, Some((7, 1))) => StatusCode::FORBIDDEN,
            (552, Some((3, 4))) => StatusCode::PAYLOAD_TOO_LARGE,
            (400..500, _) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let problem = Self::new(status, reply.text.replace('\n', " "));
        Self { smtp: Some(Box::new(reply.into())), ..problem }
            .named("refused", "The server refused the message")
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::Unacceptable(_) => StatusCode::BAD_REQUEST,
            Refusal::Unknown(_) => StatusCode::NOT_FOUND,
            Refusal::Failed(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, refusal.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"waxwing\""));
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, RETRY_AFTER_S.into());
            }
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.entry(ALLOW).or_insert(HeaderValue::from_static("GET, POST"));
            }
            _ => {}
        }
        response
    }
}
