//! The path of a mailbox's Maildir, such as `/var/mail/{domain}/{local}`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use model::Mailbox;

/// A path with `{domain}` and `{local}` in it. What stands for them never contains a `/` and is never `.` or `..`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MaildirPattern(String);

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("the path of a Maildir must begin with /")]
    Relative,
    #[error("the path of a Maildir has no {{{0}}}; only {{domain}} and {{local}} can be filled in")]
    Unknown(String),
    #[error("a brace in the path of a Maildir is not closed")]
    Unclosed,
}

enum Part<'a> {
    Text(&'a str),
    Domain,
    Local,
}

impl FromStr for MaildirPattern {
    type Err = PatternError;
    fn from_str(text: &str) -> Result<Self, PatternError> {
        if !text.starts_with('/') {
            return Err(PatternError::Relative);
        }
        parts(text)?;
        Ok(Self(text.to_owned()))
    }
}

impl MaildirPattern {
    /// The Maildir of a mailbox. The local part is taken in lower case: here its case has no meaning.
    pub fn path(&self, mailbox: &Mailbox) -> PathBuf {
        let mut path = String::with_capacity(self.0.len() + 64);
        for part in parts(&self.0).unwrap_or_default() {
            match part {
                Part::Text(text) => path.push_str(text),
                // In A-labels, so that both forms of a name have one folder.
                Part::Domain => encode(&mailbox.domain().to_ascii(), &mut path),
                Part::Local => encode(&mailbox.local().to_lowercase(), &mut path),
            }
        }
        path.into()
    }

    /// The folder that all of its Maildirs lie in.
    pub fn root(&self) -> PathBuf {
        let fixed = self.0.split('{').next().unwrap_or_default();
        // A Maildir without a name to fill in is the root itself.
        let folder = match fixed.len() == self.0.len() {
            true => fixed,
            false => fixed.rsplit_once('/').map_or(fixed, |(folder, _)| folder),
        };
        if folder.is_empty() { "/".into() } else { folder.into() }
    }
}

fn parts(text: &str) -> Result<Vec<Part<'_>>, PatternError> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        let (name, after) = behind.split_once('}').ok_or(PatternError::Unclosed)?;
        parts.push(Part::Text(before));
        parts.push(match name {
            "domain" => Part::Domain,
            "local" => Part::Local,
            other => return Err(PatternError::Unknown(other.to_owned())),
        });
        rest = after;
    }
    parts.push(Part::Text(rest));
    Ok(parts)
}

/// Writes a name as one path component: what could mean something to a file system or to a Maildir reader becomes `%XX`. A first dot
/// does too: it would hide the directory, or be `..`.
fn encode(name: &str, out: &mut String) {
    for (at, c) in name.char_indices() {
        let is_plain = c.is_alphanumeric() || "-_+=@~!#$&'".contains(c) || (c == '.' && at > 0);
        if is_plain {
            out.push(c);
            continue;
        }
        for octet in c.encode_utf8(&mut [0; 4]).bytes() {
            out.push_str(&format!("%{octet:02X}"));
        }
    }
}

impl fmt::Display for MaildirPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Domain;
    use std::path::{Component, Path};

    fn path(local: &str) -> PathBuf {
        let pattern: MaildirPattern = "/mail/{domain}/{local}/Maildir".parse().unwrap();
        pattern.path(&Mailbox::new(local, Domain::parse("example.org").unwrap()).unwrap())
    }

    #[test]
    fn names_are_filled_in() {
        assert_eq!(path("Ann.Lee+x"), Path::new("/mail/example.org/ann.lee+x/Maildir"));
    }

    #[test]
    fn both_forms_of_a_domain_have_one_folder() {
        let pattern: MaildirPattern = "/mail/{domain}".parse().unwrap();
        for domain in ["bücher.example", "xn--bcher-kva.example"] {
            let mailbox = Mailbox::new("ann", Domain::parse(domain).unwrap()).unwrap();
            assert_eq!(pattern.path(&mailbox), Path::new("/mail/xn--bcher-kva.example"));
        }
    }

    #[test]
    fn the_root_is_the_folder_before_the_first_name() {
        for (pattern, root) in [
            ("/mail/{domain}/{local}", "/mail"),
            ("/mail/of-{local}/Maildir", "/mail"),
            ("/{local}", "/"),
            ("/mail/everything", "/mail/everything"),
        ] {
            assert_eq!(pattern.parse::<MaildirPattern>().unwrap().root(), Path::new(root), "{pattern}");
        }
    }

    #[test]
    fn no_local_part_leaves_its_directory() {
        let odd = [
            "..",
            ".",
            "../../etc",
            "a/b",
            "/",
            "~/x",
            "%2e%2e",
            "a\\b",
            "a:b",
            ".hidden",
            "{domain}",
            "...",
        ];
        for local in odd {
            let path = path(local);
            let parts: Vec<Component<'_>> = path.components().collect();
            assert_eq!(parts.len(), 5, "{local} {path:?}");
            assert!(
                parts.iter().skip(1).all(|part| matches!(part, Component::Normal(_))),
                "{local} {path:?}"
            );
            let name = parts[3].as_os_str().to_str().unwrap();
            assert!(!name.starts_with('.'), "{local} {path:?}");
        }
        assert_ne!(path("a/b"), path("a%2Fb"));
        assert_eq!(path("../x"), Path::new("/mail/example.org/%2E.%2Fx/Maildir"));
    }

    #[test]
    fn a_pattern_that_cannot_be_filled_in_is_refused() {
        let parse = |text: &str| text.parse::<MaildirPattern>();
        assert_eq!(parse("mail/{local}"), Err(PatternError::Relative));
        assert_eq!(parse("/mail/{user}"), Err(PatternError::Unknown("user".to_owned())));
        assert_eq!(parse("/mail/{local"), Err(PatternError::Unclosed));
    }
}
