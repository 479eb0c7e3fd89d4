//! Header fields as they are written: what a name and a value may hold, and where a long line is folded.
//!
//! Standards: RFC 5322 (2.1.1 line lengths, 2.2.3 folding, 3.6.8 field names), RFC 6532 (values beyond
//! ASCII).

/// Octets in a line without its CRLF, RFC 5322 section 2.1.1.
pub const MAX_LINE_OCTETS: usize = 998;

/// Why a field was not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Empty, or with an octet that is no visible ASCII or is the colon.
    #[error("not a header field name")]
    Name,
    /// A CR or LF that does not fold (CRLF before a space or a tab), or a NUL.
    #[error("the header field's value has a line end that does not fold, or a NUL")]
    Value,
    /// A line of more than 998 octets without white space where it could be folded.
    #[error("a line of the header field is longer than {MAX_LINE_OCTETS} octets and cannot be folded")]
    LineTooLong,
    /// There is no field of this name, or not that many.
    #[error("no such header field")]
    NoSuchField,
    /// The header block would be larger than [`HeaderBlock::MAX_OCTETS`](crate::HeaderBlock::MAX_OCTETS).
    #[error("the header block would be too large")]
    BlockTooLarge,
}

/// `ftext` of RFC 5322 section 3.6.8: visible ASCII without the colon.
pub(crate) fn is_field_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_graphic() && *byte != b':')
}

/// Appends `Name: value` and CRLF. A value that is folded stays folded as it is; a line beyond
/// [`MAX_LINE_OCTETS`] is folded at its white space.
///
/// # Errors
/// [`HeaderError::Name`], [`HeaderError::Value`] and [`HeaderError::LineTooLong`]; nothing is appended then.
pub fn write_field(name: &str, value: &[u8], out: &mut Vec<u8>) -> Result<(), HeaderError> {
    if !is_field_name(name.as_bytes()) {
        return Err(HeaderError::Name);
    }
    check_value(value)?;
    let begin = out.len();
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    let mut line = begin;
    for (nth, part) in split_folds(value).enumerate() {
        if nth > 0 {
            out.extend_from_slice(b"\r\n");
            line = out.len();
        }
        if let Err(error) = write_line(part, &mut line, out) {
            out.truncate(begin);
            return Err(error);
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Every CR is followed by an LF, every LF follows a CR and is followed by white space, and there is no NUL.
fn check_value(value: &[u8]) -> Result<(), HeaderError> {
    let fine = value.iter().enumerate().all(|(at, byte)| match byte {
        0 => false,
        b'\r' => value.get(at + 1) == Some(&b'\n'),
        b'\n' => at > 0 && value[at - 1] == b'\r' && matches!(value.get(at + 1), Some(b' ' | b'\t')),
        _ => true,
    });
    if fine { Ok(()) } else { Err(HeaderError::Value) }
}

/// The lines of a value that was checked.
fn split_folds(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// Appends one line to what stands behind `line` in `out`, folded as often as its length asks for.
fn write_line(mut rest: &[u8], line: &mut usize, out: &mut Vec<u8>) -> Result<(), HeaderError> {
    loop {
        let room = MAX_LINE_OCTETS.saturating_sub(out.len() - *line);
        if rest.len() <= room {
            out.extend_from_slice(rest);
            return Ok(());
        }
        // A fold goes before a white space that has something else before it on its line.
        let is_fold = |at: &usize| {
            matches!(rest[*at], b' ' | b'\t') && rest[..*at].iter().any(|byte| !matches!(byte, b' ' | b'\t'))
        };
        let fold = (1..=room).rev().find(is_fold).ok_or(HeaderError::LineTooLong)?;
        out.extend_from_slice(&rest[..fold]);
        out.extend_from_slice(b"\r\n");
        *line = out.len();
        rest = &rest[fold..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, value: &[u8]) -> Result<String, HeaderError> {
        let mut out = b"before".to_vec();
        let outcome = write_field(name, value, &mut out);
        let text = String::from_utf8(out).unwrap().split_off("before".len());
        outcome.map(|()| text.clone()).inspect_err(|_| assert_eq!(text, ""))
    }

    #[test]
    fn a_folded_value_stays_as_it_is() {
        assert_eq!(field("X-A", b"one\r\n two\r\n\tthree").unwrap(), "X-A: one\r\n two\r\n\tthree\r\n");
        assert_eq!(field("X-A", b"").unwrap(), "X-A: \r\n");
        assert_eq!(field("X-A", "grün".as_bytes()).unwrap(), "X-A: grün\r\n");
    }

    #[test]
    fn a_value_cannot_begin_another_line() {
        for bad in ["a\r\nEvil: b", "a\nb", "a\rb", "a\r\n", "a\r\n\r\nbody", "a\n b", "\n", "a\0b", "a\r"] {
            assert_eq!(field("X-A", bad.as_bytes()), Err(HeaderError::Value), "{bad:?}");
        }
    }

    #[test]
    fn a_name_is_visible_ascii_without_a_colon() {
        for bad in ["", "a b", "a:", "grün", "a\r\n", "a\0"] {
            assert_eq!(field(bad, b"x"), Err(HeaderError::Name), "{bad:?}");
        }
    }

    #[test]
    fn long_values_are_folded_at_white_space() {
        let value = "word ".repeat(1000);
        let text = field("X-A", value.trim_end().as_bytes()).unwrap();
        assert!(text.lines().count() > 5);
        assert!(text.split("\r\n").all(|line| line.len() <= MAX_LINE_OCTETS));
        assert_eq!(text.replace("\r\n", ""), format!("X-A: {}", value.trim_end()));
        let exact = "x".repeat(MAX_LINE_OCTETS - "X-A: ".len());
        assert_eq!(field("X-A", exact.as_bytes()).unwrap().len(), MAX_LINE_OCTETS + 2);
        assert_eq!(field("X-A", "x".repeat(2000).as_bytes()), Err(HeaderError::LineTooLong));
    }
}
