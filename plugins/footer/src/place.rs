//! Where a footer belongs: which parts of a message, and where in each.

use waxwing_plugin::body::Part;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Plain,
    Html,
}

/// A part that gets the footer.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    pub(crate) part: &'a Part,
    pub(crate) form: Form,
}

/// Whether a change would break what somebody signed, or land in what nobody reads: RFC 1847, 3156, 3462, 8551.
pub(crate) fn is_sealed(parts: &[Part]) -> bool {
    const SEALED: &[&str] = &[
        "multipart/signed",
        "multipart/encrypted",
        "multipart/report",
        "application/pkcs7-mime",
        "application/x-pkcs7-mime",
        "application/pgp",
        "application/pgp-encrypted",
    ];
    parts.iter().any(|part| SEALED.contains(&part.media_type.as_str()))
}

pub(crate) fn has_pgp(text: &[u8]) -> bool {
    find(text, b"-----BEGIN PGP ").is_some()
}

pub(crate) fn targets(parts: &[Part]) -> Vec<Target<'_>> {
    parts.first().map_or_else(Vec::new, |root| within(root, parts))
}

fn within<'a>(part: &'a Part, parts: &'a [Part]) -> Vec<Target<'a>> {
    let mut children = parts.iter().filter(|p| part.contains(p) && depth(p) == depth(part) + 1);
    match part.media_type.as_str() {
        // The same said in several ways: each of them.
        "multipart/alternative" => children.flat_map(|child| within(child, parts)).collect(),
        // The first is the text, the others are its pictures: RFC 2387.
        "multipart/related" => children.next().map_or_else(Vec::new, |child| within(child, parts)),
        kind if kind.starts_with("multipart/") => {
            children.map(|child| within(child, parts)).find(|found| !found.is_empty()).unwrap_or_default()
        }
        "text/plain" if is_text(part) => vec![Target { part, form: Form::Plain }],
        "text/html" if is_text(part) => vec![Target { part, form: Form::Html }],
        _ => Vec::new(),
    }
}

fn depth(part: &Part) -> usize {
    if part.path.is_empty() { 0 } else { part.path.split('.').count() }
}

fn is_text(part: &Part) -> bool {
    part.disposition.as_deref().is_none_or(|d| d == "inline") && part.filename.is_none()
}

/// Where in the decoded text the footer goes, and with what around it; nothing when it is there already.
pub(crate) fn insertion(
    form: Form,
    text: &[u8],
    footer: &[u8],
    is_whole_body: bool,
) -> Option<(usize, Vec<u8>)> {
    match form {
        Form::Plain if has_lines(text, footer) => None,
        Form::Html if find(text, &crlf(footer)).or(find(text, footer)).is_some() => None,
        Form::Plain => {
            let ends_line = text.is_empty() || text.ends_with(b"\n");
            let mut bytes = if ends_line { b"\r\n".to_vec() } else { b"\r\n\r\n".to_vec() };
            bytes.extend(crlf(footer));
            if ends_line || is_whole_body {
                bytes.extend(b"\r\n");
            }
            Some((text.len(), bytes))
        }
        Form::Html => {
            let lower = text.to_ascii_lowercase();
            let end = rfind(&lower, b"</body").or_else(|| rfind(&lower, b"</html")).unwrap_or(text.len());
            let mut bytes =
                if end == 0 || text[..end].ends_with(b"\n") { Vec::new() } else { b"\r\n".to_vec() };
            bytes.extend(crlf(footer));
            bytes.extend(b"\r\n");
            Some((end, bytes))
        }
    }
}

/// Whether these whole lines stand in the text, whatever its line ends.
fn has_lines(text: &[u8], lines: &[u8]) -> bool {
    let text: Vec<u8> = text.iter().copied().filter(|&b| b != b'\r').collect();
    let mut from = 0;
    while let Some(at) = find(&text[from..], lines).map(|n| from + n) {
        let end = at + lines.len();
        if (at == 0 || text[at - 1] == b'\n') && text.get(end).is_none_or(|&b| b == b'\n') {
            return true;
        }
        from = at + 1;
    }
    false
}

fn crlf(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 16);
    for &octet in text {
        if octet == b'\n' && out.last() != Some(&b'\r') {
            out.push(b'\r');
        }
        out.push(octet);
    }
    out
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    if wanted.is_empty() { Some(0) } else { text.windows(wanted.len()).position(|w| w == wanted) }
}

fn rfind(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).rposition(|w| w == wanted)
}
