//! What a message from a user lacks, and what it should not show (RFC 6409 section 8).

use std::io;

use message::{Draft, format_date, message_id};
use model::{Content, QueueId, Timestamp};

/// Fields that name blind recipients; no recipient is to see them (RFC 5322 section 3.6.3).
const BLIND: [&str; 2] = ["Bcc", "Resent-Bcc"];

/// The message with a Date and a Message-ID, and without blind recipients. What is there stays as it is.
///
/// # Errors
/// What the source answers, or a header block too large to be read.
pub(crate) fn complete(content: Content, id: QueueId, hostname: &str, now: Timestamp) -> io::Result<Content> {
    let mut draft = Draft::new(content)?;
    for name in BLIND {
        draft.remove_header(name, None);
    }
    let missing = [
        //= RFC 6409 section 8.2: Date may be added.
        ("Date", format_date(now)),
        //= RFC 6409 section 8.3: Message-ID should be added.
        ("Message-ID", message_id(id, hostname)),
    ];
    for (name, value) in missing {
        if draft.header_all(name).is_empty() {
            draft.add_header(name, value.as_bytes(), None).map_err(io::Error::other)?;
        }
    }
    draft.into_content()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn completed(message: &'static [u8]) -> String {
        let content =
            complete(Bytes::from_static(message).into(), QueueId(7), "mx.example.org", Timestamp(0)).unwrap();
        String::from_utf8(content.to_bytes().unwrap().to_vec()).unwrap()
    }

    #[test]
    fn what_is_missing_is_added_and_blind_recipients_go() {
        assert_eq!(
            completed(
                b"Bcc: secret@example.org,\r\n more@example.org\r\nSubject: x\r\n\r\nBcc: not a field\r\n"
            ),
            "Subject: x\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\nMessage-ID: <0000000000007@mx.example.org>\r\n\r\n\
             Bcc: not a field\r\n"
        );
    }

    #[test]
    fn what_is_there_stays() {
        let whole = "Date: whenever\r\nmessage-id: <x@y>\r\n\r\nhi\r\n";
        assert_eq!(completed(whole.as_bytes()), whole);
    }

    #[test]
    fn a_text_without_a_header_block_gets_one() {
        let text = completed(b"just a line\r\n");
        assert!(text.starts_with("Date: ") && text.ends_with("\r\n\r\njust a line\r\n"), "{text}");
    }
}
