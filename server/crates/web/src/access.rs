//! Who may ask what: tokens, and whether a browser asks for another site.
//!
//! A handler names what it needs among its arguments: [`Reading`], [`Changing`], [`Sending`] or [`Anybody`]. Without one it is open to everybody.
//!
//! Standards: RFC 6750 section 2.1 (the token in a header, never in an address), Fetch's `Origin` and `Sec-Fetch-Site`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use accounts::{ApiScope, ApiToken};
use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN};
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri};
use serde::Serialize;
use tracing::{debug, info};
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::site::Site;

/// Where a request comes from; the connection puts it there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// The peer's address of a request.
pub(crate) fn peer(parts: &Parts) -> SocketAddr {
    const NOBODY: SocketAddr =
        SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::UNSPECIFIED, 0));
    parts.extensions.get::<Peer>().map_or(NOBODY, |peer| peer.0)
}

/// May look.
#[derive(Debug)]
pub(crate) struct Reading;

/// May look and change; whose token it is, for the log.
#[derive(Debug)]
pub(crate) struct Changing(pub(crate) Arc<ApiToken>);

/// May send in a user's name.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) token: Arc<ApiToken>,
    pub(crate) peer: SocketAddr,
}

impl FromRequestParts<Arc<Site>> for Reading {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        token(parts, site, &[ApiScope::Read, ApiScope::Admin]).map(|_| Self)
    }
}

impl FromRequestParts<Arc<Site>> for Changing {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        token(parts, site, &[ApiScope::Admin]).map(Self)
    }
}

impl FromRequestParts<Arc<Site>> for Sending {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        let token = token(parts, site, &[ApiScope::Send])?;
        Ok(Self { token, peer: peer(parts) })
    }
}

/// Has a token, whatever for.
#[derive(Debug)]
pub(crate) struct Anybody(Arc<ApiToken>);

impl FromRequestParts<Arc<Site>> for Anybody {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        token(parts, site, &[ApiScope::Read, ApiScope::Admin, ApiScope::Send]).map(Self)
    }
}

/// What a token is good for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenView {
    name: String,
    /// `read`, `admin` or `send`.
    scope: String,
    /// In whose name it sends.
    user: Option<String>,
}

/// What the token of the request is good for.
#[utoipa::path(get, path = "/v1/token", tag = "server", responses((status = 200, body = TokenView), (status = 401, body = Problem)))]
pub(crate) async fn own_token(Anybody(token): Anybody) -> Json<TokenView> {
    Json(TokenView {
        name: token.name.clone(),
        scope: token.scope.name().to_owned(),
        user: token.user.as_ref().map(ToString::to_string),
    })
}

impl Changing {
    /// What somebody changed is in the log with the name of the token.
    pub(crate) fn log(&self, what: &str, of: &str) {
        info!(token = %self.0.name, what, of, "changed over HTTP");
    }
}

/// The token of a request, if it is good for one of these.
fn token(parts: &Parts, site: &Site, scopes: &[ApiScope]) -> Result<Arc<ApiToken>, Problem> {
    same_site(&parts.headers, &parts.uri)?;
    let Some(presented) = bearer(&parts.headers) else {
        let detail = "a token is needed, in the header Authorization: Bearer TOKEN";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, detail));
    };
    let address: IpAddr = peer(parts).ip();
    let Some(token) = site.options().tokens.find(presented).cloned() else {
        debug!(%address, path = parts.uri.path(), "a wrong token");
        return Err(match site.failures.admits(address, clock::now()) {
            true => Problem::new(StatusCode::UNAUTHORIZED, "the token is wrong"),
            false => {
                info!(%address, "too many wrong tokens");
                Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many wrong tokens from your address")
            }
        });
    };
    if !scopes.contains(&token.scope) {
        let wanted: Vec<&str> = scopes.iter().map(|scope| scope.name()).collect();
        let detail =
            format!("the token is for {}; this needs one for {}", token.scope.name(), wanted.join(" or "));
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    Ok(token)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none())?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}

/// A page of another site has no business here, whatever it knows.
pub(crate) fn same_site(headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
    let foreign = || Problem::new(StatusCode::FORBIDDEN, "a page of another site may not ask here");
    let text = |value: &axum::http::HeaderValue| value.to_str().map(str::to_owned).ok();
    if headers
        .get("sec-fetch-site")
        .and_then(text)
        .is_some_and(|site| site == "cross-site" || site == "same-site")
    {
        return Err(foreign());
    }
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let origin: Option<Uri> = text(origin).and_then(|origin| origin.parse().ok());
    let asked = headers.get(HOST).and_then(text).or_else(|| uri.authority().map(ToString::to_string));
    match (origin.as_ref().and_then(Uri::authority), asked) {
        (Some(origin), Some(asked)) if origin.as_str().eq_ignore_ascii_case(&asked) => Ok(()),
        _ => Err(foreign()),
    }
}
