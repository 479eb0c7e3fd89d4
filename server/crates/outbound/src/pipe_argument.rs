//! The arguments of a program that mail is piped to, such as `-d` and `{local}`.

use std::str::FromStr;

use model::{Mailbox, QueueId, ReversePath};

/// A text with `{local}`, `{domain}`, `{recipient}`, `{sender}` and `{queue-id}` in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PipeArgument(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Part {
    Text(String),
    Local,
    Domain,
    Recipient,
    Sender,
    QueueId,
}

/// Why a text is no argument.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PipeArgumentError {
    #[error(
        "has no {{{0}}}; only {{local}}, {{domain}}, {{recipient}}, {{sender}} and {{queue-id}} can be filled in"
    )]
    Unknown(String),
    #[error("has a brace that is not closed")]
    Unclosed,
    #[error("holds a NUL")]
    Nul,
}

/// What is filled in.
pub(crate) struct Names<'a> {
    pub(crate) sender: &'a ReversePath,
    pub(crate) mailbox: &'a Mailbox,
    pub(crate) id: QueueId,
}

impl Names<'_> {
    /// Empty for the null reverse-path.
    pub(crate) fn sender_text(&self) -> String {
        self.sender.mailbox().map(ToString::to_string).unwrap_or_default()
    }
}

impl FromStr for PipeArgument {
    type Err = PipeArgumentError;
    fn from_str(text: &str) -> Result<Self, PipeArgumentError> {
        if text.contains('\0') {
            return Err(PipeArgumentError::Nul);
        }
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, behind)) = rest.split_once('{') {
            let (name, after) = behind.split_once('}').ok_or(PipeArgumentError::Unclosed)?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(match name {
                "local" => Part::Local,
                "domain" => Part::Domain,
                "recipient" => Part::Recipient,
                "sender" => Part::Sender,
                "queue-id" => Part::QueueId,
                other => return Err(PipeArgumentError::Unknown(other.to_owned())),
            });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }
}

impl PipeArgument {
    /// The argument; nothing when what was filled in would make an option of it.
    pub(crate) fn fill(&self, names: &Names<'_>) -> Option<String> {
        let filled = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Local => names.mailbox.local().to_owned(),
            // In A-labels, so that both forms of a name are one.
            Part::Domain => names.mailbox.domain().to_ascii(),
            Part::Recipient => names.mailbox.to_string(),
            Part::Sender => names.sender_text(),
            Part::QueueId => names.id.to_string(),
        };
        let argument: String = self.0.iter().map(filled).collect();
        let is_ours = matches!(self.0.first(), None | Some(Part::Text(_)));
        (is_ours || !argument.starts_with('-')).then_some(argument)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(pattern: &str, local: &str) -> Option<String> {
        let mailbox = Mailbox::new(local, model::Domain::parse("bücher.example").unwrap()).unwrap();
        let names = Names { sender: &ReversePath::Null, mailbox: &mailbox, id: QueueId(7) };
        pattern.parse::<PipeArgument>().unwrap().fill(&names)
    }

    #[test]
    fn names_are_filled_in_as_they_are_and_never_become_options() {
        let all = filled("x={local} {domain} [{sender}] {queue-id}", "a; rm -rf $HOME `x`");
        assert_eq!(all.as_deref(), Some("x=a; rm -rf $HOME `x` xn--bcher-kva.example [] 0000000000007"));
        assert_eq!(filled("{local}", "-rf"), None);
        assert_eq!(filled("--for={local}", "-rf").as_deref(), Some("--for=-rf"));
        assert_eq!(filled("-d", "x").as_deref(), Some("-d"));
        assert_eq!(filled("", "x").as_deref(), Some(""));
    }

    #[test]
    fn what_cannot_be_filled_in_is_refused() {
        let parse = |text: &str| text.parse::<PipeArgument>();
        assert_eq!(parse("{user}"), Err(PipeArgumentError::Unknown("user".to_owned())));
        assert_eq!(parse("{local"), Err(PipeArgumentError::Unclosed));
        assert_eq!(parse("a\0b"), Err(PipeArgumentError::Nul));
    }
}
