//! What a plugin may be called: a name that is good as a file, a crate, a package and a key of the configuration.

use std::fmt;
use std::str::FromStr;

use crate::Fault;

/// Characters of a name.
pub const MOST_CHARACTERS: usize = 64;

/// What some language or the configuration needs for itself.
const TAKEN: [&str; 63] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "dir",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "limits",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "order",
    "override",
    "plugin",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "serde",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "waxwing",
    "waxwing-plugin",
    "where",
    "while",
    "yield",
];

/// A plugin's name: `my-plugin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `MyPlugin`: the name of a Rust or Python type.
    pub(crate) fn camel(&self) -> String {
        let word = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
        self.0.split('-').map(word).collect()
    }
}

impl FromStr for Name {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let refuse = |why| Err(Fault::Name { name: text.to_owned(), why });
        if text.is_empty() || text.len() > MOST_CHARACTERS {
            return refuse("it has from 1 to 64 characters");
        }
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !text.chars().all(allowed) {
            return refuse("it is made of the letters a to z, digits and hyphens, as in my-plugin");
        }
        // In WIT every word between hyphens begins with a letter.
        if !text.split('-').all(|word| word.starts_with(|c: char| c.is_ascii_lowercase())) {
            return refuse("it begins with a letter, and so does what follows a hyphen");
        }
        if TAKEN.contains(&text) {
            return refuse("it means something else to a compiler or to the configuration");
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_good_everywhere_or_refused_with_a_reason() {
        for good in ["a", "my-plugin", "spf2", "a1-b2"] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "My",
            "a_b",
            "-a",
            "a-",
            "a--b",
            "1a",
            "a-1",
            "a b",
            "../x",
            "a/b",
            "ä",
            "fn",
            "test",
            &"x".repeat(65),
        ] {
            let Err(fault) = bad.parse::<Name>() else { panic!("{bad} was taken") };
            assert!(fault.to_string().contains("cannot be a plugin's name"), "{fault}");
        }
        assert_eq!("no-nobody".parse::<Name>().expect("a name").camel(), "NoNobody");
    }

    #[test]
    fn what_is_taken_is_sorted_so_that_it_can_be_read() {
        assert!(TAKEN.is_sorted());
    }
}
