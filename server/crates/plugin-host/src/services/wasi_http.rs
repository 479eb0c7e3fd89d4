//! `wasi:http/outgoing-handler`, for languages whose runtimes have fetch: the same service as `http`, under the same rule
//! ([`crate::outgoing`]). A request's body is gathered within its limit before it is sent, and an answer's before it is read.

use std::future::ready;
use std::time::Duration;

use ::http::{Request, Response, header};
use hooks::{HttpAnswer, HttpError, HttpRequest};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use wasmtime_wasi_http::{Error, RequestOptions, Result, WasiBody, WasiHttpHooks};

use crate::bindings::waxwing::mail::types;
use crate::outgoing::{Admitted, Outgoing, Refusal};
use crate::services::http::of_parts;

type Io = Box<dyn Future<Output = Result<()>> + Send>;
type Sending = Box<dyn Future<Output = Result<(Response<WasiBody>, Io)>> + Send>;

impl WasiHttpHooks for Outgoing {
    /// The client sets it.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Io,
    ) -> Sending {
        let (request, body) = match parse(request) {
            Ok(parsed) => parsed,
            Err(error) => return Box::new(ready(Err(error))),
        };
        match self.admit(&request, options.and_then(patience)) {
            Ok(admitted) => Box::new(send(admitted, request, body)),
            Err(refusal) => Box::new(ready(Err(error_out(refusal)))),
        }
    }
}

/// A guest that wants an answer's first octet soon does not wait longer for all of it than for both.
fn patience(options: RequestOptions) -> Option<Duration> {
    let (connect, first) = (options.connect_timeout?, options.first_byte_timeout?);
    Some(connect.saturating_add(first))
}

/// What is asked, its body still to come.
fn parse(request: Request<WasiBody>) -> Result<(HttpRequest, WasiBody)> {
    let (head, body) = request.into_parts();
    // The client frames the body by itself, and whatever a guest said of its length was held against it already.
    let fields = head.headers.iter().filter(|(name, _)| **name != header::CONTENT_LENGTH);
    let fields = fields.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
    match of_parts(head.method.as_str(), &head.uri, fields, bytes::Bytes::new()) {
        Ok(request) => Ok((request, body)),
        Err(types::Error::BadInput(why)) => Err(Error::InternalError(Some(why))),
        Err(_) => Err(Error::HttpRequestUriInvalid),
    }
}

async fn send(
    admitted: Admitted,
    mut request: HttpRequest,
    body: WasiBody,
) -> Result<(Response<WasiBody>, Io)> {
    let time = admitted.terms.time;
    let asking = async {
        request.body = match Limited::new(body, admitted.body_octets).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(Error::HttpRequestBodySize(None)),
            Err(_) => return Err(Error::ConnectionTerminated),
        };
        admitted.ask(request).await.map_err(error_out)
    };
    let answer = tokio::time::timeout(time, asking).await;
    let answer = answer.unwrap_or_else(|_| Err(error_out(Refusal::Failed(HttpError::TimedOut(time)))))?;
    Ok((answer_out(answer)?, Box::new(ready(Ok(())))))
}

fn answer_out(answer: HttpAnswer) -> Result<Response<WasiBody>> {
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    let body = Full::new(answer.body).map_err(|never| match never {}).boxed_unsync();
    response.body(body).map_err(|error| Error::InternalError(Some(error.to_string())))
}

fn error_out(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Denied => Error::HttpRequestDenied,
        Refusal::Quota => Error::ConnectionLimitReached,
        Refusal::Failed(HttpError::Private { .. }) => Error::DestinationIpProhibited,
        Refusal::Failed(HttpError::NoSuchHost(_)) => Error::DestinationNotFound,
        Refusal::Failed(HttpError::TimedOut(_)) => Error::HttpResponseTimeout,
        Refusal::Failed(HttpError::TooLarge(octets)) => Error::HttpResponseBodySize(Some(octets)),
        Refusal::Failed(HttpError::Certificate(_)) => Error::TlsCertificateError,
        Refusal::Failed(error) => Error::InternalError(Some(error.to_string())),
    }
}
