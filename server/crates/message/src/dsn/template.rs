//! What people read in a report, as a template: the one built in, or an administrator's.

use std::fmt;
use std::sync::Arc;

use minijinja::value::Value;
use minijinja::{Environment, UndefinedBehavior, context};

use super::Action;

/// Octets of a template: 64 KiB.
pub const MAX_TEMPLATE_OCTETS: usize = 64 * 1024;
/// Steps that writing one report may take; a report on 10,000 recipients takes some 200,000.
const MAX_STEPS: u64 = 5_000_000;
const BUILT_IN: &str = include_str!("report.txt");
const NAME: &str = "report";

/// The text of reports, in the syntax of Jinja; the one built in by default, which names all that a template may ask for.
#[derive(Clone)]
pub struct Template {
    environment: Arc<Environment<'static>>,
}

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("is larger than {MAX_TEMPLATE_OCTETS} octets")]
    TooLarge,
    #[error("line {line}: {reason}")]
    Faulty { line: usize, reason: String },
}

/// A text that a template gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    /// Nothing when the template gave none.
    pub(super) subject: Option<String>,
    pub(super) body: String,
}

impl Template {
    /// Reads a template and tries it on every kind of news.
    ///
    /// # Errors
    /// The first fault, with its line: in the syntax, or a name that there is not.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        if source.len() > MAX_TEMPLATE_OCTETS {
            return Err(TemplateError::TooLarge);
        }
        let template = Self::load(source).map_err(|error| fault(&error, source))?;
        for sample in samples() {
            template.fill(&sample).map_err(|error| fault(&error, source))?;
        }
        Ok(template)
    }

    fn load(source: &str) -> Result<Self, minijinja::Error> {
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(MAX_STEPS));
        environment.add_template_owned(NAME, source.to_owned())?;
        Ok(Self { environment: Arc::new(environment) })
    }

    /// What it says; the built-in one says it where this one fails, so that a report is never lost.
    pub(super) fn write(&self, facts: &Facts) -> Written {
        let text = self.fill(facts).or_else(|_| Self::default().fill(facts));
        let text = text.unwrap_or_default();
        let text = text.trim_start();
        match text.strip_prefix("Subject:").map(|rest| rest.split_once('\n').unwrap_or((rest, ""))) {
            Some((subject, body)) => {
                Written { subject: Some(subject.trim().to_owned()), body: body.to_owned() }
            }
            None => Written { subject: None, body: text.to_owned() },
        }
    }

    fn fill(&self, facts: &Facts) -> Result<String, minijinja::Error> {
        self.environment.get_template(NAME)?.render(facts.value())
    }
}

impl Default for Template {
    fn default() -> Self {
        // It is part of the program, and tests write with it; without it reports would still have their other parts.
        Self::load(BUILT_IN).unwrap_or_else(|_| Self { environment: Arc::default() })
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template").finish_non_exhaustive()
    }
}

fn fault(error: &minijinja::Error, source: &str) -> TemplateError {
    let what = error.kind().to_string();
    let reason = error.detail().map_or(what.clone(), |detail| format!("{what}: {detail}"));
    let line = error.line().unwrap_or(1).max(1);
    let said: String = source.lines().nth(line - 1).unwrap_or_default().trim().chars().take(60).collect();
    TemplateError::Faulty { line, reason: format!("{reason}, in `{said}`") }
}

/// What a template is told.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    pub(super) host: String,
    pub(super) sender: String,
    pub(super) arrival: String,
    pub(super) queue_id: String,
    /// What of the message is returned: `message`, `header` or nothing.
    pub(super) returned: &'static str,
    pub(super) is_double_bounce: bool,
    pub(super) news: &'static str,
    pub(super) recipients: Vec<RecipientFacts>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct RecipientFacts {
    pub(super) action: &'static str,
    pub(super) address: String,
    pub(super) status: String,
    pub(super) diagnostic: Option<String>,
    pub(super) host: Option<String>,
    pub(super) until: Option<String>,
}

impl Facts {
    fn value(&self) -> Value {
        let of = |action: Action| -> Vec<Value> {
            let those = self.recipients.iter().filter(|recipient| recipient.action == action.name());
            those.map(RecipientFacts::value).collect()
        };
        context! {
            host => self.host, sender => self.sender, arrival => self.arrival, queue_id => self.queue_id,
            returned => self.returned, is_double_bounce => self.is_double_bounce, news => self.news,
            failed => of(Action::Failed), delayed => of(Action::Delayed), delivered => of(Action::Delivered),
            relayed => of(Action::Relayed), expanded => of(Action::Expanded),
        }
    }
}

impl RecipientFacts {
    fn value(&self) -> Value {
        context! {
            address => self.address, status => self.status, diagnostic => self.diagnostic, host => self.host,
            until => self.until,
        }
    }
}

/// Facts with every kind of news, alone and all together, with and without what may be missing.
fn samples() -> Vec<Facts> {
    let text = || Some("a text".to_owned());
    let bare = |action: Action| RecipientFacts { action: action.name(), ..RecipientFacts::default() };
    let full = |action| RecipientFacts { diagnostic: text(), host: text(), until: text(), ..bare(action) };
    let of = |news: Action, returned, recipients| Facts {
        returned,
        news: news.name(),
        recipients,
        ..Facts::default()
    };
    let mut samples = Vec::new();
    for action in Action::ALL {
        samples.push(of(action, "message", vec![bare(action), full(action)]));
        samples.push(of(action, "header", Action::ALL.map(full).into()));
    }
    samples.push(Facts { is_double_bounce: true, ..of(Action::Failed, "", vec![full(Action::Failed)]) });
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault_of(source: &str) -> String {
        Template::parse(source).unwrap_err().to_string()
    }

    #[test]
    fn the_built_in_template_says_something_of_everything() {
        let template = Template::parse(BUILT_IN).unwrap();
        for sample in samples() {
            let written = template.write(&sample);
            assert!(written.subject.is_some() && written.body.contains("This is the mail server"));
        }
    }

    #[test]
    fn faults_are_named_with_their_lines() {
        insta::assert_snapshot!(
            "template_faults",
            [
                fault_of("hello\n{{ hostt }}"),
                fault_of("{% if failed %}"),
                fault_of("\n\n{% for x in failed %}{{ x.adress }}{% endfor %}"),
                fault_of("{{ host | shout }}"),
                fault_of("{% if news == 'relayed' %}\n{{ nothing() }}{% endif %}"),
                fault_of("{% for x in range(100000) %}{% for y in range(100000) %}.{% endfor %}{% endfor %}"),
                fault_of(&"x".repeat(MAX_TEMPLATE_OCTETS + 1)),
            ]
            .join("\n")
        );
    }

    #[test]
    fn a_text_without_a_subject_is_the_body() {
        let written = Template::parse("To {{ sender }}").unwrap().write(&samples()[0]);
        assert_eq!(written, Written { subject: None, body: "To ".to_owned() });
    }
}
