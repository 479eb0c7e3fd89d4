//! What must hold of every reply that a session sends.

/// Octets in a line of a reply with its CRLF (RFC 5321 section 4.5.3.1.5).
const MAX_LINE_OCTETS: usize = 512;

/// Every line is a line of a reply, none is too long but a challenge, and the lines of one reply agree.
pub fn look_at_replies(heard: &[u8]) {
    assert!(heard.is_empty() || heard.ends_with(b"\r\n"), "a reply without an end");
    let mut open: Option<&[u8]> = None;
    for line in lines(heard) {
        let is_challenge = line.starts_with(b"334 ");
        assert!(is_challenge || line.len() + 2 <= MAX_LINE_OCTETS, "a reply of {} octets", line.len() + 2);
        assert!(!line.iter().any(|octet| octet.is_ascii_control()), "a control character in {line:?}");
        let (code, separator) = (&line[..3], line[3]);
        assert!(matches!(code[0], b'2'..=b'5') && code.iter().all(u8::is_ascii_digit), "no code: {line:?}");
        assert!(matches!(separator, b' ' | b'-'), "no separator: {line:?}");
        assert!(open.is_none_or(|before| before == code), "two codes in one reply: {line:?}");
        open = (separator == b'-').then_some(code);
    }
    assert!(open.is_none(), "a reply without its last line");
}

/// The code of each reply.
pub fn codes(heard: &[u8]) -> Vec<u16> {
    let is_last = |line: &&[u8]| line.get(3) == Some(&b' ');
    let code = |line: &[u8]| line[..3].iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    lines(heard).filter(is_last).map(code).collect()
}

fn lines(heard: &[u8]) -> impl Iterator<Item = &[u8]> {
    let whole = heard.strip_suffix(b"\r\n").filter(|text| !text.is_empty());
    whole.into_iter().flat_map(|text| {
        let ends: Vec<usize> =
            text.windows(2).enumerate().filter(|(_, two)| *two == b"\r\n").map(|(at, _)| at).collect();
        let starts = std::iter::once(0).chain(ends.clone().into_iter().map(|end| end + 2));
        let ends = ends.into_iter().chain([text.len()]);
        starts.zip(ends).map(|(start, end)| &text[start..end]).collect::<Vec<_>>()
    })
}
