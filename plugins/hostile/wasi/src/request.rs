//! A request over `wasi:http`.

use wasip2::http::outgoing_handler;
use wasip2::http::types::{ErrorCode, Fields, Method, OutgoingBody, OutgoingRequest, Scheme};
use waxwing_plugin::config;

/// `200 text of the answer`.
pub(crate) fn send() -> Result<String, ErrorCode> {
    let url = config::get("url").unwrap_or_default();
    let (scheme, rest) = url.split_once("://").unwrap_or(("", ""));
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let fields = Fields::new();
    let refused = |_| ErrorCode::InternalError(Some("no such field".to_owned()));
    fields.append("x-asked", b"by wasi").map_err(refused)?;
    let request = OutgoingRequest::new(fields);
    let wrong = |()| ErrorCode::HttpRequestUriInvalid;
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    request.set_method(&Method::Post).map_err(wrong)?;
    request.set_scheme(Some(&scheme)).map_err(wrong)?;
    request.set_authority(Some(authority)).map_err(wrong)?;
    request.set_path_with_query(Some(path)).map_err(wrong)?;
    let body = request.body().map_err(wrong)?;
    let answer = outgoing_handler::handle(request, None)?;
    write(&body);
    // A body that was refused is refused in the answer.
    let _ = OutgoingBody::finish(body, None);
    answer.subscribe().block();
    let response = answer
        .get()
        .ok_or(ErrorCode::ConnectionTerminated)?
        .map_err(|()| ErrorCode::ConnectionTerminated)??;
    let status = response.status();
    let body = response.consume().map_err(wrong)?;
    let stream = body.stream().map_err(wrong)?;
    let mut text = Vec::new();
    while let Ok(piece) = stream.blocking_read(4_096) {
        text.extend(piece);
    }
    Ok(format!("{status} {}", String::from_utf8_lossy(&text)))
}

fn write(body: &OutgoingBody) {
    let Ok(stream) = body.write() else { return };
    let piece = config::get("body").unwrap_or_default();
    let times = config::get("times").and_then(|times| times.parse().ok()).unwrap_or(1);
    for _ in 0..times {
        // Nobody reads on once the request was refused.
        if stream.blocking_write_and_flush(piece.as_bytes()).is_err() {
            return;
        }
    }
}
