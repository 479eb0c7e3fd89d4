//! Values of header fields: read, checked and put together.

use mail_parser::MessageParser;
use waxwing_plugin::headers::is_field_name;
use waxwing_plugin::prelude::*;

/// Whether all of them can be names of fields (RFC 5322 section 2.2).
pub(crate) fn check_names<'a>(what: &str, names: impl IntoIterator<Item = &'a String>) -> Result<(), String> {
    match names.into_iter().find(|name| !is_field_name(name)) {
        Some(name) => Err(format!("{what}: {name:?} is no header field name")),
        None => Ok(()),
    }
}

/// A value on one line, its encoded words decoded.
pub(crate) fn decoded(value: &[u8]) -> String {
    if value.windows(2).any(|pair| pair == b"=?") {
        // Read as a Subject, whatever it is: the parser takes other fields apart.
        let block = [b"Subject: ", value, b"\r\n\r\n"].concat();
        let parsed = MessageParser::default().parse_headers(&block);
        if let Some(text) = parsed.as_ref().and_then(|message| message.subject()) {
            return text.trim().to_owned();
        }
    }
    String::from_utf8_lossy(value).replace("\r\n", "").trim().to_owned()
}

/// The value with its {names} replaced. What comes from the client cannot end the line, or name further names.
pub(crate) fn filled(value: &str, cx: &Context) -> String {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(open) = rest.find('{') {
        out.push_str(&rest[..open]);
        rest = &rest[open..];
        let Some(close) = rest.find('}') else { break };
        let known = match &rest[1..close] {
            "listener" => Some(cx.listener()),
            "peer" => Some(cx.peer_ip().to_string()),
            "peer-name" => cx.peer_name(),
            "helo" => cx.helo(),
            "user" => cx.auth_user(),
            "sender" => Some(cx.sender().map_or_else(|| "<>".to_owned(), |s| s.to_string())),
            "transaction" => Some(cx.transaction_id()),
            "size" => Some(cx.message_size().to_string()),
            "session" => Some(cx.session_id()),
            "tls" => cx.tls_version(),
            name => match name.strip_prefix("header:") {
                Some(name) => cx.headers().get(name),
                None => {
                    out.push('{');
                    rest = &rest[1..];
                    continue;
                }
            },
        };
        let known = known.unwrap_or_else(|| "-".to_owned());
        out.extend(known.chars().filter(|c| !c.is_control()));
        rest = &rest[close + 1..];
    }
    out + rest
}
