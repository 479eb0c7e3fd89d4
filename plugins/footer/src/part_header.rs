//! The header of a part when its encoding changes: RFC 2045 sections 5 and 6.

use std::ops::Range;
use waxwing_plugin::body::Part;
use waxwing_plugin::prelude::*;

/// The longest part header that is looked for, octets.
const LONGEST: u32 = 16 * 1024;

/// What the header of the part has to say.
#[derive(Debug)]
pub(crate) struct Fields {
    media_type: String,
    /// Only when it changes.
    charset: Option<String>,
}

impl Fields {
    pub(crate) fn quoted_printable(media_type: &str, charset: Option<&str>) -> Fields {
        Fields { media_type: media_type.to_owned(), charset: charset.map(str::to_owned) }
    }

    pub(crate) fn set_on_the_message(&self, cx: &Context) -> Result<(), Error> {
        let headers = cx.headers();
        if !headers.has("MIME-Version") {
            headers.set("MIME-Version", "1.0")?;
        }
        if self.charset.is_some() {
            headers.set("Content-Type", self.content_type(headers.get("Content-Type").as_deref()))?;
        }
        headers.set("Content-Transfer-Encoding", "quoted-printable")
    }

    /// The old value with another charset; its other parameters stay.
    fn content_type(&self, old: Option<&str>) -> String {
        let mut value = self.media_type.clone();
        for parameter in old.map(parameters).unwrap_or_default() {
            if !parameter.to_ascii_lowercase().starts_with("charset") {
                value += &format!("; {parameter}");
            }
        }
        match &self.charset {
            Some(charset) => value + "; charset=" + charset,
            None => value,
        }
    }
}

/// The parameters of a content type, split at the semicolons that no quotes hide.
pub(crate) fn parameters(value: &str) -> Vec<String> {
    let (mut all, mut quoted, mut escaped) = (vec![String::new()], false, false);
    for c in value.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ';' if !quoted => {
                all.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = all.last_mut() {
            last.push(c);
        }
    }
    all.iter().skip(1).map(|p| p.trim().to_owned()).filter(|p| !p.is_empty()).collect()
}

/// The value of the part's content type, on one line, if it has one.
pub(crate) fn content_type(cx: &Context, part: &Part) -> Result<Option<String>, Error> {
    if part.path.is_empty() {
        return Ok(cx.headers().get("Content-Type"));
    }
    let before = cx.body().read(part.offset.saturating_sub(LONGEST)..part.offset)?;
    let Some(start) = after_the_boundary(&before) else { return Ok(None) };
    let value = |field: &Vec<u8>| {
        let at = field.iter().position(|&b| b == b':')?;
        let (name, value) = (field[..at].trim_ascii(), &field[at + 1..]);
        let is_it = name.eq_ignore_ascii_case(b"content-type");
        is_it.then(|| String::from_utf8_lossy(value).replace("\r\n", "").trim().to_owned())
    };
    Ok(fields_of(&before[start..]).iter().find_map(value))
}

/// A part's header: where it stands in the body, with its empty line, and what to write there.
#[derive(Debug)]
pub(crate) struct Rewritten {
    pub(crate) range: Range<u32>,
    pub(crate) header: Vec<u8>,
}

/// Nothing when the old header cannot be found.
pub(crate) fn rewritten(cx: &Context, part: &Part, fields: &Fields) -> Result<Option<Rewritten>, Error> {
    let from = part.offset.saturating_sub(LONGEST);
    let before = cx.body().read(from..part.offset)?;
    let Some(start) = after_the_boundary(&before) else { return Ok(None) };
    let old = &before[start..];
    let mut new = Vec::with_capacity(old.len() + 80);
    let mut content_type = None;
    for field in fields_of(old) {
        let name = field.split(|&b| b == b':').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
        match name.as_slice() {
            b"content-transfer-encoding" => {}
            b"content-type" if fields.charset.is_some() => {
                content_type =
                    field.get(name.len() + 1..).map(|v| String::from_utf8_lossy(v).replace("\r\n", ""));
            }
            _ => new.extend(field),
        }
    }
    if fields.charset.is_some() {
        new.extend(format!("Content-Type: {}\r\n", fields.content_type(content_type.as_deref())).as_bytes());
    }
    new.extend(b"Content-Transfer-Encoding: quoted-printable\r\n\r\n");
    Ok(Some(Rewritten { range: from + start as u32..part.offset, header: new }))
}

/// Behind the last line that begins with two hyphens: no header line does.
fn after_the_boundary(before: &[u8]) -> Option<usize> {
    let begins = |at: usize| before[at..].starts_with(b"--") && (at == 0 || before[at - 1] == b'\n');
    let boundary = (0..before.len()).rev().find(|&at| begins(at))?;
    before[boundary..].iter().position(|&b| b == b'\n').map(|n| boundary + n + 1)
}

/// The fields with their folds and line ends, without the empty line.
fn fields_of(header: &[u8]) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    for line in header.split_inclusive(|&b| b == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
        match all.last_mut() {
            Some(field) if line.starts_with(b" ") || line.starts_with(b"\t") => field.extend(line),
            _ => all.push(line.to_vec()),
        }
    }
    all
}
