//! What was found, as a field of the header and as plugins see it; and the fields of others that pretend to be ours.
//!
//! Standards: RFC 8601 (sections 2.2 syntax, 2.7 methods, 5 removing forged fields).

use hooks::Finding;
use message::{Draft, HeaderBlock};
use model::Content;

use crate::outcome::Outcome;
use crate::spf::SpfFinding;
use crate::verifier::Evaluation;

/// Octets of a value that is shown.
const MAX_VALUE: usize = 255;
/// Octets of a reason.
const MAX_REASON: usize = 120;

/// One line of the field.
struct Line {
    method: &'static str,
    outcome: Outcome,
    reason: Option<String>,
    /// `ptype.property` and its value.
    properties: Vec<(&'static str, String)>,
}

impl Evaluation {
    fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        //= RFC 8601 section 2.7.3: a client is held against the names of its address.
        if self.reverse_dns != Outcome::None {
            let properties = vec![("policy.iprev", self.client.to_string())];
            let (outcome, reason) = (self.reverse_dns, self.client_name.clone());
            lines.push(Line { method: "iprev", outcome, reason, properties });
        }
        lines.push(spf_line(&self.spf_helo, ("smtp.helo", self.helo.clone())));
        if let Some(mailbox) = self.sender.mailbox() {
            lines.push(spf_line(&self.spf, ("smtp.mailfrom", mailbox.to_string())));
        }
        for finding in &self.dkim {
            let mut properties =
                vec![("header.d", finding.domain.clone()), ("header.s", finding.selector.clone())];
            properties.push(("header.i", finding.identity.clone()));
            properties.push(("header.a", finding.algorithm.to_owned()));
            //= RFC 6008 section 3: so that one of several signatures is known.
            properties.push(("header.b", finding.b.clone()));
            let (outcome, reason) = (finding.outcome, finding.reason.clone());
            lines.push(Line { method: "dkim", outcome, reason, properties });
        }
        if self.dkim.is_empty() {
            lines.push(Line { method: "dkim", outcome: Outcome::None, reason: None, properties: Vec::new() });
        }
        if self.arc.outcome != Outcome::None {
            let sealed = self.arc.sealers.last().map(|last| format!("sealed by {last}"));
            let (outcome, reason) = (self.arc.outcome, self.arc.reason.clone().or(sealed));
            let properties = vec![("smtp.remote-ip", self.client.to_string())];
            lines.push(Line { method: "arc", outcome, reason, properties });
        }
        let dmarc = &self.dmarc;
        let reason = dmarc.reason.map(str::to_owned);
        let mut properties = vec![("header.from", dmarc.domain.clone())];
        if dmarc.record.is_some() {
            properties.push(("policy.dmarc", dmarc.policy.name().to_owned()));
        }
        lines.push(Line { method: "dmarc", outcome: dmarc.outcome, reason, properties });
        lines
    }

    /// What plugins are shown.
    pub fn findings(&self) -> Vec<Finding> {
        let finding = |line: Line| {
            let domain = line.properties.iter().find(|(name, value)| {
                matches!(*name, "header.d" | "header.from" | "smtp.helo" | "smtp.mailfrom")
                    && !value.is_empty()
            });
            let domain = domain.map(|(_, value)| value.rsplit('@').next().unwrap_or(value).to_owned());
            Finding {
                method: line.method.to_owned(),
                result: line.outcome.name().to_owned(),
                domain,
                detail: line.to_text(),
            }
        };
        self.lines().into_iter().map(finding).collect()
    }

    /// The value of Authentication-Results, folded at each result.
    pub fn results(&self, authserv_id: &str) -> String {
        let lines: Vec<String> = self.lines().iter().map(Line::to_text).collect();
        format!("{authserv_id};\r\n\t{}", lines.join(";\r\n\t"))
    }

    /// The field, with the line end behind it.
    pub fn to_field(&self, authserv_id: &str) -> String {
        format!("Authentication-Results: {}\r\n", self.results(authserv_id))
    }
}

fn spf_line(finding: &SpfFinding, identity: (&'static str, String)) -> Line {
    let reason = finding.reason.map(str::to_owned);
    Line { method: "spf", outcome: finding.outcome, reason, properties: vec![identity] }
}

impl Line {
    fn to_text(&self) -> String {
        let mut text = format!("{}={}", self.method, self.outcome.name());
        if let Some(reason) = &self.reason {
            text.push_str(&format!(" ({})", comment(reason)));
        }
        for (name, value) in self.properties.iter().filter(|(_, value)| !value.is_empty()) {
            text.push_str(&format!(" {name}={}", pvalue(value)));
        }
        text
    }
}

/// What stands in a comment: visible ASCII, without what ends or nests one.
fn comment(text: &str) -> String {
    let shown = |c: char| if (' '..='~').contains(&c) && !"()\\".contains(c) { c } else { '?' };
    text.chars().take(MAX_REASON).map(shown).collect()
}

/// A value as it is, when it is a token or an address of plain atoms; else as a quoted string.
fn pvalue(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._@+=/:".contains(c) || !c.is_ascii();
    let text: String = text.chars().filter(|c| !c.is_control()).take(MAX_VALUE).collect();
    match !text.is_empty() && text.chars().all(is_plain) && !text.contains('=') && !text.contains('/') {
        true => text,
        false => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

/// The message without results that somebody else wrote under our name.
///
/// # Errors
/// The content cannot be read.
pub fn without_forged(content: Content, authserv_id: &str) -> std::io::Result<Content> {
    //= RFC 8601 section 5: fields that claim our identifier are removed at the border.
    let mut draft = Draft::new(content)?;
    let values = draft.header_all("Authentication-Results");
    let forged: Vec<usize> = values
        .iter()
        .enumerate()
        .filter(|(_, value)| named(value).is_none_or(|id| id.eq_ignore_ascii_case(authserv_id)))
        .map(|(nth, _)| nth)
        .collect();
    if forged.is_empty() {
        return Ok(draft.original().clone());
    }
    for nth in forged.into_iter().rev() {
        draft.remove_header("Authentication-Results", Some(nth));
    }
    draft.into_content()
}

/// Whose results a field claims to be; nothing when that cannot be told.
fn named(value: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(value);
    let mut rest = text.trim_start();
    // Comments may stand before the name, and in one another.
    while rest.starts_with('(') {
        rest = rest[end_of_comment(rest)?..].trim_start();
    }
    if let Some(quoted) = rest.strip_prefix('"') {
        let mut id = String::new();
        let mut characters = quoted.chars();
        while let Some(c) = characters.next() {
            match c {
                '"' => return Some(id),
                '\\' => id.extend(characters.next()),
                c => id.push(c),
            }
        }
        return None;
    }
    let end = rest.find(|c: char| c.is_whitespace() || c == ';' || c == '(').unwrap_or(rest.len());
    (end > 0).then(|| rest[..end].trim_end_matches('.').to_owned())
}

fn end_of_comment(text: &str) -> Option<usize> {
    let (mut depth, mut is_escaped) = (0_usize, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '(' => depth += 1,
            ')' if depth == 1 => return Some(at + 1),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Puts a field on top.
///
/// # Errors
/// The content cannot be read.
pub fn on_top(content: &Content, field: String) -> std::io::Result<Content> {
    let block = HeaderBlock::read(content)?;
    message::prepend(content, &block, field)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn cleaned(message: &str) -> String {
        let content = Content::from(Bytes::copy_from_slice(message.as_bytes()));
        let content = without_forged(content, "mx.example.org").unwrap();
        String::from_utf8(content.to_bytes().unwrap().to_vec()).unwrap()
    }

    #[test]
    fn results_under_our_name_go_and_others_stay() {
        for forged in [
            "Authentication-Results: mx.example.org; dkim=pass header.d=bank.example\r\n",
            "authentication-results:MX.Example.ORG 1; spf=pass\r\n",
            "Authentication-Results: (hi (there \\) ) ) mx.example.org; none\r\n",
            "Authentication-Results:\r\n\t\"mx.example.org\";\r\n\tdmarc=pass\r\n",
            "Authentication-Results: mx.example.org.; none\r\n",
            // Nobody can tell whose these are.
            "Authentication-Results: ; none\r\n",
            "Authentication-Results: (open; mx.example.org\r\n",
        ] {
            assert_eq!(
                cleaned(&format!("{forged}Subject: x\r\n\r\nhi\r\n")),
                "Subject: x\r\n\r\nhi\r\n",
                "{forged}"
            );
        }
        for other in [
            "Authentication-Results: mx.example.net; dkim=pass\r\n",
            "ARC-Authentication-Results: i=1; mx.example.org; dkim=pass\r\n",
        ] {
            let message = format!("{other}Subject: x\r\n\r\nhi\r\n");
            assert_eq!(cleaned(&message), message);
        }
    }

    #[test]
    fn values_cannot_break_out_of_their_place() {
        assert_eq!(pvalue("example.org"), "example.org");
        assert_eq!(pvalue("a;b\" c\r\n"), "\"a;b\\\" c\"");
        assert_eq!(comment("x)\r\n (y\\"), "x??? ?y?");
    }
}
