//! The message of the test double: header overlay, body splices and MIME parts, as the interface describes them.

use crate::Error;
use crate::body::Part;
use crate::headers::{Header, is_field_name};
use mail_parser::{MessageParser, MimeHeaders, PartType, decoders};
use sha2::{Digest, Sha256};

/// The most that one read gives, octets.
const READ: usize = 256 * 1024;

/// A message with the running hook's edits.
#[derive(Debug, Clone)]
pub(crate) struct Staged {
    size: u32,
    fields: Vec<Field>,
    body: Vec<u8>,
    new_body: Option<Vec<u8>>,
}

/// A field with the octets that it is sent as.
#[derive(Debug, Clone)]
struct Field {
    name: String,
    value: Vec<u8>,
    raw: Vec<u8>,
}

impl Field {
    fn new(name: &str, value: &[u8]) -> Result<Field, Error> {
        if !is_field_name(name) {
            return Err(Error::BadInput(format!("{name:?} is no header field name")));
        }
        for (at, &octet) in value.iter().enumerate() {
            let next = value.get(at + 1);
            let sound = match octet {
                0 => false,
                b'\r' => next == Some(&b'\n'),
                b'\n' => at > 0 && value[at - 1] == b'\r' && matches!(next, Some(b' ' | b'\t')),
                _ => true,
            };
            if !sound {
                return Err(Error::BadInput("a line end in a header value must fold".to_owned()));
            }
        }
        let raw = [name.as_bytes(), b": ", value, b"\r\n"].concat();
        Ok(Field { name: name.to_owned(), value: value.to_vec(), raw })
    }

    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

impl Staged {
    pub(crate) fn new(message: &[u8]) -> Staged {
        let (fields, body_at) = split(message);
        Staged { size: message.len() as u32, fields, body: message[body_at..].to_vec(), new_body: None }
    }

    /// The hook has returned well: its body is the body.
    pub(crate) fn commit(&mut self) {
        if let Some(body) = self.new_body.take() {
            self.body = body;
        }
    }

    pub(crate) fn rendered(&self) -> Vec<u8> {
        let mut all: Vec<u8> = self.fields.iter().flat_map(|f| f.raw.iter().copied()).collect();
        all.extend(b"\r\n");
        all.extend(self.new_body.as_ref().unwrap_or(&self.body));
        all
    }

    pub(crate) fn size(&self) -> u32 {
        self.size
    }

    pub(crate) fn headers(&self, offset: u32, limit: u32) -> Vec<Header> {
        let page = self.fields.iter().skip(offset as usize).take(limit as usize);
        page.map(|f| Header { name: f.name.clone(), value: f.value.clone() }).collect()
    }

    pub(crate) fn header_all(&self, name: &str) -> Vec<Vec<u8>> {
        self.fields.iter().filter(|f| f.is(name)).map(|f| f.value.clone()).collect()
    }

    pub(crate) fn add_header(&mut self, name: &str, value: &[u8], at: Option<u32>) -> Result<(), Error> {
        let field = Field::new(name, value)?;
        let end = self.fields.len();
        self.fields.insert(at.map_or(end, |at| end.min(at as usize)), field);
        Ok(())
    }

    pub(crate) fn set_header(&mut self, name: &str, nth: u32, value: &[u8]) -> Result<(), Error> {
        let field = Field::new(name, value)?;
        let old = self.fields.iter_mut().filter(|f| f.is(name)).nth(nth as usize).ok_or(Error::NotFound)?;
        *old = field;
        Ok(())
    }

    pub(crate) fn remove_header(&mut self, name: &str, nth: Option<u32>) -> u32 {
        let (before, mut seen) = (self.fields.len(), 0);
        self.fields.retain(|f| {
            if !f.is(name) {
                return true;
            }
            seen += 1;
            nth.is_some_and(|nth| seen - 1 != nth)
        });
        (before - self.fields.len()) as u32
    }

    pub(crate) fn body_size(&self) -> u32 {
        self.body.len() as u32
    }

    pub(crate) fn read_body(&self, offset: u32, len: u32) -> Vec<u8> {
        piece(&self.body, offset, len)
    }

    pub(crate) fn find_body(&self, needle: &[u8], start: u32) -> Option<u32> {
        let rest = self.body.get(start as usize..)?;
        if needle.is_empty() {
            return Some(start);
        }
        rest.windows(needle.len()).position(|w| w == needle).map(|at| start + at as u32)
    }

    pub(crate) fn digest_body(&self, algorithm: &str) -> Result<Vec<u8>, Error> {
        match algorithm {
            "sha256" => Ok(Sha256::digest(&self.body).to_vec()),
            other => Err(Error::BadInput(format!("no digest {other:?} here: sha256"))),
        }
    }

    pub(crate) fn start_body(&mut self) {
        self.new_body = Some(Vec::new());
    }

    pub(crate) fn copy_body(&mut self, offset: u32, len: u32) -> Result<(), Error> {
        let range = offset as usize..(offset as usize).saturating_add(len as usize);
        let outside = || Error::BadInput("the body has no such range".to_owned());
        let data = self.body.get(range).ok_or_else(outside)?.to_vec();
        self.write_body(&data)
    }

    pub(crate) fn write_body(&mut self, data: &[u8]) -> Result<(), Error> {
        let unstarted = || Error::BadInput("no new body was started".to_owned());
        self.new_body.as_mut().ok_or_else(unstarted)?.extend(data);
        Ok(())
    }

    /// The header as it stands now and the body as it was: what the parts are read from.
    fn as_parsed(&self) -> (Vec<u8>, usize) {
        let mut all: Vec<u8> = self.fields.iter().flat_map(|f| f.raw.iter().copied()).collect();
        all.extend(b"\r\n");
        let body_at = all.len();
        all.extend(&self.body);
        (all, body_at)
    }

    pub(crate) fn parts(&self) -> Vec<Part> {
        let (mut all, body_at) = self.as_parsed();
        mask_messages(&mut all);
        let Some(message) = MessageParser::default().parse(&all) else { return Vec::new() };
        let mut found = Vec::new();
        collect(&message, 0, "", body_at, &mut found);
        found
    }

    pub(crate) fn read_part(&self, path: &str, offset: u32, len: u32) -> Result<Vec<u8>, Error> {
        let part = self.parts().into_iter().find(|p| p.path == path).ok_or(Error::NotFound)?;
        let content = &self.body[part.offset as usize..(part.offset + part.len) as usize];
        let wrong = || Error::BadInput(format!("part {path:?} is not {}", part.encoding));
        let decoded = match part.encoding.as_str() {
            "base64" => decoders::base64::base64_decode(content).ok_or_else(wrong)?,
            "quoted-printable" => {
                decoders::quoted_printable::quoted_printable_decode(content).ok_or_else(wrong)?
            }
            _ => content.to_vec(),
        };
        Ok(piece(&decoded, offset, len))
    }
}

fn piece(data: &[u8], offset: u32, len: u32) -> Vec<u8> {
    let start = data.len().min(offset as usize);
    let end = data.len().min(start.saturating_add(READ.min(len as usize)));
    data[start..end].to_vec()
}

/// The header fields, and where the body begins.
fn split(message: &[u8]) -> (Vec<Field>, usize) {
    let mut fields: Vec<Field> = Vec::new();
    let mut at = 0;
    while at < message.len() {
        let end = message[at..].iter().position(|&b| b == b'\n').map_or(message.len(), |n| at + n + 1);
        let line = &message[at..end];
        if line == b"\r\n" {
            at = end;
            break;
        }
        match (line[0], fields.last_mut()) {
            (b' ' | b'\t', Some(field)) => field.raw.extend(line),
            _ => fields.push(Field { name: String::new(), value: Vec::new(), raw: line.to_vec() }),
        }
        at = end;
    }
    for field in &mut fields {
        let text = field.raw.strip_suffix(b"\r\n").unwrap_or(&field.raw);
        let colon = text.iter().position(|&b| b == b':').unwrap_or(text.len());
        field.name = String::from_utf8_lossy(&text[..colon]).trim_end().to_owned();
        let value = text.get(colon + 1..).unwrap_or_default();
        let blank = value.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
        field.value = value[blank..].to_vec();
    }
    (fields, at)
}

/// What hides a message's type from the parser: an octet in place of the first of `rfc822` or `global`.
const MASK: u8 = b'x';

/// Hides that parts are messages: the parser would look into them, and does not get over one that is a multipart and the last
/// part.
fn mask_messages(all: &mut [u8]) {
    for line in all.split_mut(|&octet| octet == b'\n') {
        let kind = line.split(|&octet| octet == b';').next().map_or(0, <[u8]>::len);
        let lower = line[..kind].to_ascii_lowercase();
        let (Some(b"content-type:"), Some(at)) =
            (lower.get(..13), lower.windows(8).position(|w| w == b"message/"))
        else {
            continue;
        };
        if lower[at + 8..].starts_with(b"rfc822") || lower[at + 8..].starts_with(b"global") {
            line[at + 8] = MASK;
        }
    }
}

fn unmasked(media_type: &str) -> String {
    media_type.replace("message/xfc822", "message/rfc822").replace("message/xlobal", "message/global")
}

fn collect(message: &mail_parser::Message<'_>, id: u32, path: &str, body_at: usize, found: &mut Vec<Part>) {
    let Some(part) = message.parts.get(id as usize) else { return };
    let raw = &message.raw_message;
    let (start, mut end) = (part.offset_body as usize, part.offset_end as usize);
    // RFC 2046 section 5.1.1: the line end before a boundary belongs to the boundary.
    if !path.is_empty() && raw.get(end..end + 2) != Some(b"\r\n") && raw[start..end].ends_with(b"\r\n") {
        end -= 2;
    }
    let lower = |s: &str| s.to_ascii_lowercase();
    let kind = part.content_type();
    let media_type = kind.map_or_else(
        || "text/plain".to_owned(),
        |t| unmasked(&lower(&format!("{}/{}", t.ctype(), t.subtype().unwrap_or("")))),
    );
    let charset = kind.and_then(|t| t.attribute("charset")).map(lower);
    let charset = charset.or_else(|| media_type.starts_with("text/").then(|| "us-ascii".to_owned()));
    found.push(Part {
        path: path.to_owned(),
        media_type,
        charset,
        filename: part.attachment_name().map(str::to_owned),
        disposition: part.content_disposition().map(|d| lower(d.ctype())),
        encoding: part.content_transfer_encoding().map_or_else(|| "7bit".to_owned(), lower),
        offset: start.saturating_sub(body_at) as u32,
        len: end.saturating_sub(start) as u32,
    });
    if let PartType::Multipart(children) = &part.body {
        for (n, &child) in children.iter().enumerate() {
            let dot = if path.is_empty() { "" } else { "." };
            collect(message, child, &format!("{path}{dot}{}", n + 1), body_at, found);
        }
    }
}
