//! The server, from within a guest: the imports of the WIT world, in this crate's own types.

use crate::body::Part;
use crate::context::Finding;
use crate::dns::{Failure, Mx};
use crate::headers::Header;
use crate::http::{Request, Response};
use crate::kv::Entry;
use crate::log::Level;
use crate::submission::{AutoSubmitted, Message};
use crate::{Error, Mailbox, Param, Recipient, Reply};
use std::time::Duration;

/// What wit-bindgen makes of the interface: the imports once, and for each hook the one export.
#[expect(unreachable_pub, reason = "generated")]
pub mod imports {
    wit_bindgen::generate!({
        path: "../wit/since-0.1",
        world: "imports",
        generate_all,
        pub_export_macro: true,
    });
}

#[expect(unreachable_pub, reason = "generated")]
pub mod exports {
    macro_rules! hook {
        ($name:ident, $world:literal) => {
            pub mod $name {
                wit_bindgen::generate!({
                    path: "../wit/since-0.1",
                    world: $world,
                    with: {
                        "waxwing:mail/types@0.1.0": crate::host::imports::waxwing::mail::types,
                        "waxwing:mail/session@0.1.0": crate::host::imports::waxwing::mail::session,
                        "waxwing:mail/transaction@0.1.0": crate::host::imports::waxwing::mail::transaction,
                        "waxwing:mail/authentication@0.1.0": crate::host::imports::waxwing::mail::authentication,
                        "waxwing:mail/log@0.1.0": crate::host::imports::waxwing::mail::log,
                        "waxwing:mail/config@0.1.0": crate::host::imports::waxwing::mail::config,
                        "waxwing:mail/clock@0.1.0": crate::host::imports::waxwing::mail::clock,
                        "waxwing:mail/random@0.1.0": crate::host::imports::waxwing::mail::random,
                        "waxwing:mail/metrics@0.1.0": crate::host::imports::waxwing::mail::metrics,
                        "waxwing:mail/kv@0.1.0": crate::host::imports::waxwing::mail::kv,
                        "waxwing:mail/dns@0.1.0": crate::host::imports::waxwing::mail::dns,
                        "waxwing:mail/http@0.1.0": crate::host::imports::waxwing::mail::http,
                        "waxwing:mail/scanner@0.1.0": crate::host::imports::waxwing::mail::scanner,
                        "waxwing:mail/submission@0.1.0": crate::host::imports::waxwing::mail::submission,
                    },
                    pub_export_macro: true,
                    export_macro_name: "subscribe",
                });
            }
        };
    }
    hook!(connect, "hook-connect");
    hook!(ehlo, "hook-ehlo");
    hook!(auth, "hook-auth");
    hook!(mail, "hook-mail");
    hook!(rcpt, "hook-rcpt");
    hook!(data, "hook-data");
    hook!(message, "hook-message");
    hook!(disconnect, "hook-disconnect");
    hook!(init, "hook-lifecycle");
    hook!(route, "hook-route");
    hook!(outcome, "hook-outcome");
}

use imports::waxwing::mail as wit;

// Session.

pub(crate) fn session_id() -> String {
    wit::session::id()
}
pub(crate) fn listener() -> String {
    wit::session::listener()
}
pub(crate) fn peer_ip() -> String {
    wit::session::peer_ip()
}
pub(crate) fn peer_port() -> u16 {
    wit::session::peer_port()
}
pub(crate) fn peer_name() -> Option<String> {
    wit::session::peer_name()
}
pub(crate) fn helo() -> Option<String> {
    wit::session::helo()
}
pub(crate) fn tls_version() -> Option<String> {
    wit::session::tls_version()
}
pub(crate) fn tls_cipher() -> Option<String> {
    wit::session::tls_cipher()
}
pub(crate) fn auth_user() -> Option<String> {
    wit::session::auth_user()
}
pub(crate) fn auth_mechanism() -> Option<String> {
    wit::session::auth_mechanism()
}
pub(crate) fn may_relay() -> bool {
    wit::session::may_relay()
}
pub(crate) fn protocol() -> String {
    wit::session::protocol()
}
pub(crate) fn server_name() -> String {
    wit::session::server_name()
}
pub(crate) fn local_ip() -> String {
    wit::session::local_ip()
}
pub(crate) fn local_port() -> u16 {
    wit::session::local_port()
}
pub(crate) fn tls_server_name() -> Option<String> {
    wit::session::tls_server_name()
}
pub(crate) fn tls_client_names() -> Vec<String> {
    wit::session::tls_client_names()
}
pub(crate) fn note(key: &str) -> Option<String> {
    wit::session::note(key)
}
pub(crate) fn set_note(key: &str, value: &str) {
    wit::session::set_note(key, value);
}

// Transaction.

pub(crate) fn transaction_id() -> String {
    wit::transaction::id()
}
pub(crate) fn sender() -> Option<Mailbox> {
    wit::transaction::sender().map(Mailbox::from)
}
pub(crate) fn sender_params() -> Vec<Param> {
    params(wit::transaction::sender_params())
}
pub(crate) fn set_sender(address: Option<&Mailbox>) -> Result<(), Error> {
    Ok(wit::transaction::set_sender(address.map(mailbox).as_ref())?)
}
pub(crate) fn recipients(offset: u32, limit: u32) -> Vec<Recipient> {
    let page = wit::transaction::recipients(offset, limit).into_iter();
    page.map(|r| Recipient {
        id: r.id,
        address: r.address.into(),
        params: params(r.params),
        original: r.original.into(),
    })
    .collect()
}
pub(crate) fn add_recipient(address: &Mailbox, params: &[Param]) -> Result<u32, Error> {
    let params: Vec<_> = params
        .iter()
        .map(|p| wit::types::Param { keyword: p.keyword.clone(), value: p.value.clone() })
        .collect();
    Ok(wit::transaction::add_recipient(&mailbox(address), &params)?)
}
pub(crate) fn remove_recipient(id: u32) -> Result<(), Error> {
    Ok(wit::transaction::remove_recipient(id)?)
}
pub(crate) fn set_recipient(id: u32, address: &Mailbox) -> Result<(), Error> {
    Ok(wit::transaction::set_recipient(id, &mailbox(address))?)
}
pub(crate) fn refuse_recipient(id: u32, reply: &Reply) -> Result<(), Error> {
    Ok(wit::transaction::refuse_recipient(id, &reply.clone().into())?)
}
pub(crate) fn hold_recipient(id: u32, reason: &str) -> Result<(), Error> {
    Ok(wit::transaction::hold_recipient(id, reason)?)
}
pub(crate) fn message_size() -> u32 {
    wit::transaction::size()
}
pub(crate) fn headers(offset: u32, limit: u32) -> Vec<Header> {
    let page = wit::transaction::headers(offset, limit).into_iter();
    page.map(|h| Header { name: h.name, value: h.value }).collect()
}
pub(crate) fn header_all(name: &str) -> Vec<Vec<u8>> {
    wit::transaction::header_all(name)
}
pub(crate) fn add_header(name: &str, value: &[u8], at: Option<u32>) -> Result<(), Error> {
    Ok(wit::transaction::add_header(name, value, at)?)
}
pub(crate) fn set_header(name: &str, nth: u32, value: &[u8]) -> Result<(), Error> {
    Ok(wit::transaction::set_header(name, nth, value)?)
}
pub(crate) fn remove_header(name: &str, nth: Option<u32>) -> Result<u32, Error> {
    Ok(wit::transaction::remove_header(name, nth)?)
}
pub(crate) fn body_size() -> u32 {
    wit::transaction::body_size()
}
pub(crate) fn read_body(offset: u32, len: u32) -> Result<Vec<u8>, Error> {
    Ok(wit::transaction::read_body(offset, len)?)
}
pub(crate) fn find_body(needle: &[u8], start: u32) -> Option<u32> {
    wit::transaction::find_body(needle, start)
}
pub(crate) fn digest_body(algorithm: &str) -> Result<Vec<u8>, Error> {
    Ok(wit::transaction::digest_body(algorithm)?)
}
pub(crate) fn parts() -> Vec<Part> {
    let parts = wit::transaction::parts().into_iter();
    parts
        .map(|p| Part {
            path: p.path,
            media_type: p.media_type,
            charset: p.charset,
            filename: p.filename,
            disposition: p.disposition,
            encoding: p.encoding,
            offset: p.offset,
            len: p.len,
        })
        .collect()
}
pub(crate) fn read_part(path: &str, offset: u32, len: u32) -> Result<Vec<u8>, Error> {
    Ok(wit::transaction::read_part(path, offset, len)?)
}
pub(crate) fn start_body() -> Result<(), Error> {
    Ok(wit::transaction::start_body()?)
}
pub(crate) fn copy_body(offset: u32, len: u32) -> Result<(), Error> {
    Ok(wit::transaction::copy_body(offset, len)?)
}
pub(crate) fn write_body(data: &[u8]) -> Result<(), Error> {
    Ok(wit::transaction::write_body(data)?)
}
pub(crate) fn findings() -> Vec<Finding> {
    let findings = wit::authentication::findings().into_iter();
    findings
        .map(|f| Finding { method: f.method, result: f.result, domain: f.domain, detail: f.detail })
        .collect()
}

// Services.

pub(crate) fn log(level: Level, message: &str, fields: &[(String, String)]) {
    use wit::log::Level as To;
    let level = match level {
        Level::Trace => To::Trace,
        Level::Debug => To::Debug,
        Level::Info => To::Info,
        Level::Warn => To::Warn,
        Level::Error => To::Error,
    };
    wit::log::log(level, message, fields);
}
pub(crate) fn config_get(key: &str) -> Option<String> {
    wit::config::get(key)
}
pub(crate) fn config_all_json() -> String {
    wit::config::all_json()
}
pub(crate) fn now_unix_ms() -> u64 {
    wit::clock::now_unix_ms()
}
pub(crate) fn monotonic_ns() -> u64 {
    wit::clock::monotonic_ns()
}
pub(crate) fn random_bytes(len: u32) -> Vec<u8> {
    wit::random::bytes(len)
}
pub(crate) fn count(name: &str, add: u64, labels: &[(String, String)]) {
    wit::metrics::count(name, add, labels);
}
pub(crate) fn observe(name: &str, value: f64, labels: &[(String, String)]) {
    wit::metrics::observe(name, value, labels);
}
pub(crate) fn kv_get(key: &str) -> Result<Option<Entry>, Error> {
    Ok(wit::kv::get(key)?.map(|e| Entry { value: e.value, version: e.version, ttl_s: e.ttl_s }))
}
pub(crate) fn kv_set(key: &str, value: &[u8], ttl_s: Option<u32>) -> Result<u64, Error> {
    Ok(wit::kv::set(key, value, ttl_s)?)
}
pub(crate) fn kv_delete(key: &str) -> Result<bool, Error> {
    Ok(wit::kv::delete(key)?)
}
pub(crate) fn kv_increment(key: &str, by: i64, ttl_s: Option<u32>) -> Result<i64, Error> {
    Ok(wit::kv::increment(key, by, ttl_s)?)
}
pub(crate) fn kv_compare_and_set(
    key: &str,
    version: Option<u64>,
    value: &[u8],
    ttl_s: Option<u32>,
) -> Result<bool, Error> {
    Ok(wit::kv::compare_and_set(key, version, value, ttl_s)?)
}
pub(crate) fn kv_scan(
    prefix: &str,
    cursor: Option<&str>,
    limit: u32,
) -> Result<(Vec<String>, Option<String>), Error> {
    Ok(wit::kv::scan(prefix, cursor, limit)?)
}
pub(crate) fn txt(name: &str) -> Result<Vec<String>, Failure> {
    Ok(wit::dns::txt(name)?)
}
pub(crate) fn addresses(name: &str) -> Result<Vec<String>, Failure> {
    Ok(wit::dns::addresses(name)?)
}
pub(crate) fn mx_records(name: &str) -> Result<Vec<Mx>, Failure> {
    let found = wit::dns::mx_records(name)?;
    Ok(found.into_iter().map(|m| Mx { preference: m.preference, exchange: m.exchange }).collect())
}
pub(crate) fn ptr(ip: &str) -> Result<Vec<String>, Failure> {
    Ok(wit::dns::ptr(ip)?)
}
pub(crate) fn dnsbl(ip: &str, zones: &[String]) -> Vec<(String, Vec<String>)> {
    wit::dns::dnsbl(ip, zones)
}

pub(crate) fn http_send(request: &Request) -> Result<Response, Error> {
    let millis = |timeout: Duration| u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
    let answer = wit::http::send(&wit::http::Request {
        method: request.method.clone(),
        url: request.url.clone(),
        headers: request.headers.clone(),
        body: request.body.clone(),
        timeout_ms: request.timeout.map(millis),
    })?;
    Ok(Response { status: answer.status, headers: answer.headers, body: answer.body })
}

pub(crate) fn scan() -> Result<Option<String>, Error> {
    Ok(wit::scanner::scan()?)
}
pub(crate) fn submit(message: &Message) -> Result<String, Error> {
    let mark = |mark: AutoSubmitted| match mark {
        AutoSubmitted::Generated => wit::submission::AutoSubmitted::Generated,
        AutoSubmitted::Replied => wit::submission::AutoSubmitted::Replied,
    };
    Ok(wit::submission::submit(&wit::submission::Message {
        sender: message.sender.as_ref().map(mailbox),
        recipients: message.recipients.iter().map(mailbox).collect(),
        content: message.content.clone(),
        auto_submitted: message.auto_submitted.map(mark),
    })?)
}

// Between the generated types and ours.

impl From<Reply> for wit::types::Reply {
    fn from(r: Reply) -> wit::types::Reply {
        let status = r.status.map(|s| wit::types::EnhancedStatus {
            class: s.class,
            subject: s.subject,
            detail: s.detail,
        });
        wit::types::Reply { code: r.code, status, text: r.text }
    }
}

impl From<wit::types::Mailbox> for Mailbox {
    fn from(m: wit::types::Mailbox) -> Mailbox {
        Mailbox { local: m.local, domain: m.domain }
    }
}

impl From<wit::types::Error> for Error {
    fn from(e: wit::types::Error) -> Error {
        use wit::types::Error as From;
        match e {
            From::Denied => Error::Denied,
            From::Quota => Error::Quota,
            From::NotFound => Error::NotFound,
            From::TimedOut => Error::TimedOut,
            From::BadInput(why) => Error::BadInput(why),
            From::Unavailable(why) => Error::Unavailable(why),
        }
    }
}

impl From<wit::dns::Failure> for Failure {
    fn from(f: wit::dns::Failure) -> Failure {
        use wit::dns::Failure as From;
        match f {
            From::NoData => Failure::NoData,
            From::NxDomain => Failure::NxDomain,
            From::ServFail => Failure::ServFail,
            From::TimedOut => Failure::TimedOut,
            From::Denied => Failure::Denied,
        }
    }
}

fn mailbox(m: &Mailbox) -> wit::types::Mailbox {
    wit::types::Mailbox { local: m.local.clone(), domain: m.domain.clone() }
}

pub(crate) fn params(list: Vec<wit::types::Param>) -> Vec<Param> {
    list.into_iter().map(|p| Param { keyword: p.keyword, value: p.value }).collect()
}
