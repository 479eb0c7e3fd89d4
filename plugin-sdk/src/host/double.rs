//! The server, natively: every function acts on the test double's running session.

use crate::body::Part;
use crate::context::Finding;
use crate::dns::{Failure, Mx};
use crate::headers::Header;
use crate::http::{Request, Response};
use crate::kv::Entry;
use crate::log::Level;
use crate::submission::Message;
use crate::testing::{LogLine, Services, Staged, World, with_world};
use crate::{Error, Mailbox, Param, Recipient, Reply};

fn services<R>(f: impl FnOnce(&mut Services) -> R) -> R {
    with_world(|w| w.services(f))
}

/// What the message says, or nothing before there is one.
fn of_message<R: Default>(f: impl FnOnce(&mut Staged) -> R) -> R {
    with_world(|w| w.message().map(f).unwrap_or_default())
}

fn edit<R>(f: impl FnOnce(&mut Staged) -> Result<R, Error>) -> Result<R, Error> {
    with_world(|w| f(w.message()?))
}

fn fact<R>(f: impl FnOnce(&World) -> R) -> R {
    with_world(|w| f(w))
}

// Session.

pub(crate) fn session_id() -> String {
    "test-session".to_owned()
}
pub(crate) fn listener() -> String {
    fact(|w| w.facts.listener.clone())
}
pub(crate) fn peer_ip() -> String {
    fact(|w| w.facts.peer_ip.clone())
}
pub(crate) fn peer_port() -> u16 {
    52_525
}
pub(crate) fn peer_name() -> Option<String> {
    fact(|w| w.facts.peer_name.clone())
}
pub(crate) fn helo() -> Option<String> {
    fact(|w| w.facts.helo.clone())
}
pub(crate) fn tls_version() -> Option<String> {
    fact(|w| w.facts.tls_version.clone())
}
pub(crate) fn tls_cipher() -> Option<String> {
    fact(|w| w.facts.tls_version.as_ref().map(|_| "TLS13_AES_256_GCM_SHA384".to_owned()))
}
pub(crate) fn auth_user() -> Option<String> {
    fact(|w| w.facts.auth_user.clone())
}
pub(crate) fn auth_mechanism() -> Option<String> {
    fact(|w| w.facts.auth_mechanism.clone())
}
pub(crate) fn may_relay() -> bool {
    fact(|w| w.facts.may_relay || w.facts.auth_user.is_some())
}
pub(crate) fn protocol() -> String {
    "ESMTP".to_owned()
}
pub(crate) fn server_name() -> String {
    "mx.example.org".to_owned()
}
pub(crate) fn local_ip() -> String {
    "192.0.2.25".to_owned()
}
pub(crate) fn local_port() -> u16 {
    25
}
pub(crate) fn tls_server_name() -> Option<String> {
    fact(|w| w.facts.tls_version.as_ref().map(|_| "mx.example.org".to_owned()))
}
pub(crate) fn tls_client_names() -> Vec<String> {
    fact(|w| w.facts.tls_client_names.clone())
}
pub(crate) fn note(key: &str) -> Option<String> {
    fact(|w| w.notes.get(key).cloned())
}
pub(crate) fn set_note(key: &str, value: &str) {
    with_world(|w| w.notes.insert(key.to_owned(), value.to_owned()));
}

// Transaction.

pub(crate) fn transaction_id() -> String {
    "test-transaction".to_owned()
}
pub(crate) fn sender() -> Option<Mailbox> {
    fact(|w| w.transaction.as_ref()?.sender.clone())
}
pub(crate) fn sender_params() -> Vec<Param> {
    fact(|w| w.transaction.as_ref().map_or_else(Vec::new, |t| t.sender_params.clone()))
}
pub(crate) fn set_sender(address: Option<&Mailbox>) -> Result<(), Error> {
    with_world(|w| {
        w.transaction()?.sender = address.cloned();
        Ok(())
    })
}
pub(crate) fn recipients(offset: u32, limit: u32) -> Vec<Recipient> {
    fact(|w| {
        let all = w.transaction.as_ref().map_or(&[][..], |t| &t.recipients);
        all.iter().skip(offset as usize).take(limit as usize).cloned().collect()
    })
}
pub(crate) fn add_recipient(address: &Mailbox, params: &[Param]) -> Result<u32, Error> {
    with_world(|w| Ok(w.transaction()?.add(address.clone(), params.to_vec())))
}
pub(crate) fn remove_recipient(id: u32) -> Result<(), Error> {
    with_world(|w| {
        let recipients = &mut w.transaction()?.recipients;
        let at = recipients.iter().position(|r| r.id == id).ok_or(Error::NotFound)?;
        recipients.remove(at);
        Ok(())
    })
}
pub(crate) fn set_recipient(id: u32, address: &Mailbox) -> Result<(), Error> {
    with_world(|w| {
        let mut recipients = w.transaction()?.recipients.iter_mut();
        recipients.find(|r| r.id == id).ok_or(Error::NotFound)?.address = address.clone();
        Ok(())
    })
}
pub(crate) fn refuse_recipient(id: u32, reply: &Reply) -> Result<(), Error> {
    with_world(|w| {
        w.message()?;
        w.transaction()?.refuse(id, reply)
    })
}
pub(crate) fn hold_recipient(id: u32, reason: &str) -> Result<(), Error> {
    with_world(|w| {
        w.message()?;
        w.transaction()?.hold(id, reason)
    })
}
pub(crate) fn message_size() -> u32 {
    of_message(|m| m.size())
}
pub(crate) fn headers(offset: u32, limit: u32) -> Vec<Header> {
    of_message(|m| m.headers(offset, limit))
}
pub(crate) fn header_all(name: &str) -> Vec<Vec<u8>> {
    of_message(|m| m.header_all(name))
}
pub(crate) fn add_header(name: &str, value: &[u8], at: Option<u32>) -> Result<(), Error> {
    edit(|m| m.add_header(name, value, at))
}
pub(crate) fn set_header(name: &str, nth: u32, value: &[u8]) -> Result<(), Error> {
    edit(|m| m.set_header(name, nth, value))
}
pub(crate) fn remove_header(name: &str, nth: Option<u32>) -> Result<u32, Error> {
    edit(|m| Ok(m.remove_header(name, nth)))
}
pub(crate) fn body_size() -> u32 {
    of_message(|m| m.body_size())
}
pub(crate) fn read_body(offset: u32, len: u32) -> Result<Vec<u8>, Error> {
    edit(|m| Ok(m.read_body(offset, len)))
}
pub(crate) fn find_body(needle: &[u8], start: u32) -> Option<u32> {
    of_message(|m| m.find_body(needle, start))
}
pub(crate) fn digest_body(algorithm: &str) -> Result<Vec<u8>, Error> {
    edit(|m| m.digest_body(algorithm))
}
pub(crate) fn parts() -> Vec<Part> {
    of_message(|m| m.parts())
}
pub(crate) fn read_part(path: &str, offset: u32, len: u32) -> Result<Vec<u8>, Error> {
    edit(|m| m.read_part(path, offset, len))
}
pub(crate) fn start_body() -> Result<(), Error> {
    edit(|m| {
        m.start_body();
        Ok(())
    })
}
pub(crate) fn copy_body(offset: u32, len: u32) -> Result<(), Error> {
    edit(|m| m.copy_body(offset, len))
}
pub(crate) fn write_body(data: &[u8]) -> Result<(), Error> {
    edit(|m| m.write_body(data))
}
pub(crate) fn findings() -> Vec<Finding> {
    fact(|w| w.findings.clone())
}

// Services.

pub(crate) fn log(level: Level, message: &str, fields: &[(String, String)]) {
    services(|s| s.log.push(LogLine { level, message: message.to_owned(), fields: fields.to_vec() }));
}
pub(crate) fn config_get(key: &str) -> Option<String> {
    services(|s| match s.settings.get(key)? {
        serde_json::Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    })
}
pub(crate) fn config_all_json() -> String {
    services(|s| serde_json::Value::Object(s.settings.clone()).to_string())
}
pub(crate) fn now_unix_ms() -> u64 {
    services(|s| s.now_ms)
}
pub(crate) fn monotonic_ns() -> u64 {
    services(|s| s.now_ms * 1_000_000)
}
pub(crate) fn random_bytes(len: u32) -> Vec<u8> {
    services(|s| s.random_bytes(len.min(64 * 1024)))
}
pub(crate) fn count(name: &str, add: u64, _labels: &[(String, String)]) {
    services(|s| *s.counters.entry(name.to_owned()).or_default() += add);
}
pub(crate) fn observe(name: &str, _value: f64, _labels: &[(String, String)]) {
    services(|s| *s.counters.entry(name.to_owned()).or_default() += 1);
}
pub(crate) fn kv_get(key: &str) -> Result<Option<Entry>, Error> {
    services(|s| s.kv_get(key))
}
pub(crate) fn kv_set(key: &str, value: &[u8], ttl_s: Option<u32>) -> Result<u64, Error> {
    services(|s| s.kv_set(key, value, ttl_s))
}
pub(crate) fn kv_delete(key: &str) -> Result<bool, Error> {
    services(|s| s.kv_delete(key))
}
pub(crate) fn kv_increment(key: &str, by: i64, ttl_s: Option<u32>) -> Result<i64, Error> {
    services(|s| s.kv_increment(key, by, ttl_s))
}
pub(crate) fn kv_compare_and_set(
    key: &str,
    version: Option<u64>,
    value: &[u8],
    ttl_s: Option<u32>,
) -> Result<bool, Error> {
    services(|s| s.kv_compare_and_set(key, version, value, ttl_s))
}
pub(crate) fn kv_scan(
    prefix: &str,
    cursor: Option<&str>,
    limit: u32,
) -> Result<(Vec<String>, Option<String>), Error> {
    services(|s| s.kv_scan(prefix, cursor, limit))
}
pub(crate) fn txt(name: &str) -> Result<Vec<String>, Failure> {
    services(|s| s.lookup(|s| &s.txt, name))
}
pub(crate) fn addresses(name: &str) -> Result<Vec<String>, Failure> {
    services(|s| s.lookup(|s| &s.addresses, name))
}
pub(crate) fn mx_records(name: &str) -> Result<Vec<Mx>, Failure> {
    services(|s| s.lookup(|s| &s.mx, name))
}
pub(crate) fn ptr(ip: &str) -> Result<Vec<String>, Failure> {
    services(|s| s.ptr(ip))
}
pub(crate) fn dnsbl(ip: &str, zones: &[String]) -> Vec<(String, Vec<String>)> {
    services(|s| s.dnsbl(ip, zones))
}
pub(crate) fn http_send(request: &Request) -> Result<Response, Error> {
    services(|s| s.http_send(request))
}
pub(crate) fn scan() -> Result<Option<String>, Error> {
    let message = with_world(|w| w.message().map(|message| message.rendered()))?;
    services(|s| s.scan(&message))
}
pub(crate) fn submit(message: &Message) -> Result<String, Error> {
    services(|s| s.submit(message))
}
