//! Lists of tags, as DKIM's fields and records are written.
//!
//! Standards: RFC 6376 section 3.2. The library reads such lists leniently; what it lets pass is seen here.

/// Tags of one list.
const MAX_TAGS: usize = 64;

/// The tags and their values, in order, white space around both taken off.
///
/// # Errors
/// Why it is no list of tags.
pub(crate) fn tags(text: &[u8]) -> Result<Vec<(&str, &str)>, &'static str> {
    let text = std::str::from_utf8(text).map_err(|_| "not UTF-8")?;
    let mut list: Vec<(&str, &str)> = Vec::new();
    let mut items = text.split(';').peekable();
    while let Some(item) = items.next() {
        if item.trim().is_empty() && items.peek().is_none() {
            break;
        }
        let (name, value) = item.split_once('=').ok_or("a tag without a value")?;
        let (name, value) = (name.trim(), value.trim());
        let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name {
            return Err("a tag whose name is none");
        }
        //= RFC 6376 section 3.2: the same tag twice makes the whole list invalid.
        if list.iter().any(|(known, _)| *known == name) {
            return Err("the same tag twice");
        }
        if list.len() == MAX_TAGS {
            return Err("too many tags");
        }
        list.push((name, value));
    }
    Ok(list)
}

/// The value of a tag.
pub(crate) fn value<'a>(tags: &[(&str, &'a str)], name: &str) -> Option<&'a str> {
    tags.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

/// Whether a list between colons has one of these.
pub(crate) fn has_any(list: &str, wanted: &[&str]) -> bool {
    list.split(':').any(|item| wanted.iter().any(|wanted| item.trim().eq_ignore_ascii_case(wanted)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_the_standard_has_it() {
        let list = tags(b" v = 1;\r\n\ta=rsa-sha256; b=; ").unwrap();
        assert_eq!(list, [("v", "1"), ("a", "rsa-sha256"), ("b", "")]);
        assert_eq!(value(&list, "a"), Some("rsa-sha256"));
        assert_eq!(tags(b""), Ok(Vec::new()));
        for (bad, why) in [
            (&b"v=1; v=1"[..], "the same tag twice"),
            (b"v=1;; a=b", "a tag without a value"),
            (b"1=x", "a tag whose name is none"),
            (b"v\xff=1", "not UTF-8"),
        ] {
            assert_eq!(tags(bad), Err(why));
        }
    }
}
