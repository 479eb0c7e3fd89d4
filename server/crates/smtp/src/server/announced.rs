//! The lines of the reply to EHLO and LHLO (RFC 5321 section 4.1.1.1).

use model::Timestamp;

use super::options::{Channel, Options, Protocol};
use super::release;

/// The extensions that are offered now, a line each.
pub(super) fn announced(
    options: &Options,
    channel: &Channel,
    authenticated: bool,
    wall: Timestamp,
) -> Vec<String> {
    let (extensions, limits) = (&options.extensions, &options.limits);
    let mut lines = Vec::new();
    let mut offer = |is_offered: bool, line: &dyn Fn() -> String| {
        if is_offered {
            lines.push(line());
        }
    };
    let word = |keyword: &'static str| move || keyword.to_owned();
    offer(extensions.pipelining, &word("PIPELINING"));
    offer(extensions.size, &|| format!("SIZE {}", limits.message_size));
    offer(extensions.eight_bit_mime, &word("8BITMIME"));
    offer(extensions.smtputf8, &word("SMTPUTF8"));
    offer(extensions.chunking, &word("CHUNKING"));
    offer(extensions.chunking && extensions.binary_mime, &word("BINARYMIME"));
    offer(extensions.dsn, &word("DSN"));
    offer(extensions.enhanced_status_codes, &word("ENHANCEDSTATUSCODES"));
    //= RFC 3207 section 4.2: STARTTLS is not offered again behind it.
    offer(channel.starttls && !channel.secured, &word("STARTTLS"));
    //= RFC 4954 section 4: nobody authenticates twice.
    let may_authenticate = !authenticated && !channel.mechanisms.is_empty();
    offer(may_authenticate, &|| format!("AUTH {}", channel.mechanisms.join(" ")));
    //= RFC 8689 section 3: offered under TLS only.
    offer(extensions.require_tls && channel.secured, &word("REQUIRETLS"));
    offer(extensions.limits, &|| {
        format!("LIMITS MAILMAX={} RCPTMAX={}", limits.transactions, limits.recipients)
    });
    offer(extensions.mt_priority, &word("MT-PRIORITY"));
    offer(extensions.deliver_by, &word("DELIVERBY"));
    if let Some(longest) = extensions.future_release {
        let until = release::format(wall + longest);
        offer(true, &|| format!("FUTURERELEASE {} {until}", longest.as_secs()));
    }
    offer(extensions.prdr && options.protocol == Protocol::Smtp, &word("PRDR"));
    offer(channel.xclient, &word("XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"));
    offer(true, &word("HELP"));
    lines
}
