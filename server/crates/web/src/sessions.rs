//! `/v1/sessions`: who is connected now, and what was decided lately that was not a yes.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Reading;
use crate::problem::Problem;
use crate::site::Site;

/// Sessions that are shown, the newest ones.
const MAX_SESSIONS: usize = 500;

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Sessions {
    /// How many are open.
    open: usize,
    /// The newest 500 of them, the newest first.
    sessions: Vec<Session>,
    /// The last 200 refusals and the like, over all sessions, the newest first.
    verdicts: Vec<Verdict>,
}

/// A session that is open.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Session {
    id: String,
    listener: String,
    peer: String,
    /// Its name in DNS, confirmed.
    peer_name: Option<String>,
    helo: Option<String>,
    user: Option<String>,
    /// The version, when there is TLS.
    tls: Option<String>,
    began: String,
    /// Messages that were taken in.
    messages: u64,
    /// The message under way, if there is one.
    queue_id: Option<String>,
    /// The last that was not a yes.
    verdict: Option<Verdict>,
}

/// A decision that was not a yes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Verdict {
    at: String,
    session: String,
    listener: String,
    #[schema(value_type = String)]
    peer: IpAddr,
    /// As in `rcpt`; nothing when the protocol was broken.
    stage: Option<String>,
    /// The plugin or milter; nothing when it was the server itself.
    by: Option<String>,
    /// `reject`, `tempfail`, `discard` or `quarantine`.
    verdict: String,
    /// The reply, or the reason.
    text: String,
    queue_id: Option<String>,
}

impl From<&inbound::VerdictView> for Verdict {
    fn from(view: &inbound::VerdictView) -> Self {
        Self {
            at: admin::rfc3339(view.at),
            session: view.session.to_string(),
            listener: view.listener.to_string(),
            peer: view.peer,
            stage: view.stage.map(|stage| stage.name().to_owned()),
            by: view.by.as_deref().map(str::to_owned),
            verdict: view.verdict.to_owned(),
            text: view.text.clone(),
            queue_id: view.queue_id.map(|id| id.to_string()),
        }
    }
}

impl From<inbound::SessionView> for Session {
    fn from(view: inbound::SessionView) -> Self {
        Self {
            id: view.id.to_string(),
            listener: view.listener.to_string(),
            peer: view.peer.to_string(),
            peer_name: view.peer_name,
            helo: view.helo,
            user: view.user,
            tls: view.tls,
            began: admin::rfc3339(view.began),
            messages: view.messages,
            queue_id: view.queue_id.map(|id| id.to_string()),
            verdict: view.verdict.as_deref().map(Verdict::from),
        }
    }
}

/// The sessions that are open, and the last decisions that were not a yes.
#[utoipa::path(get, path = "/v1/sessions", tag = "server", responses((status = 200, body = Sessions)))]
pub(crate) async fn sessions(_: Reading, State(site): State<Arc<Site>>) -> Result<Json<Sessions>, Problem> {
    let live = site.services.inbound.live();
    Ok(Json(Sessions {
        open: live.len(),
        sessions: live.sessions(MAX_SESSIONS).into_iter().map(Session::from).collect(),
        verdicts: live.verdicts().iter().map(|view| Verdict::from(&**view)).collect(),
    }))
}
