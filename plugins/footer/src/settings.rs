//! The settings: which messages get which footer.

use crate::charset;
use crate::place::Form;
use serde::Deserialize;
use waxwing_plugin::prelude::*;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Settings {
    text: String,
    html: Option<String>,
    direction: Direction,
    sender_domains: Vec<String>,
    listeners: Vec<String>,
    authenticated_only: bool,
    rules: Vec<Rule>,
    pub(crate) even_if_signed: bool,
    /// The keys above as a rule, made when it is first needed.
    #[serde(skip)]
    only: std::cell::OnceCell<Rule>,
}

/// A footer, and whose mail gets it.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Rule {
    text: String,
    html: Option<String>,
    direction: Direction,
    sender_domains: Vec<String>,
    listeners: Vec<String>,
    authenticated_only: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Direction {
    #[default]
    All,
    Outgoing,
    Incoming,
}

impl Settings {
    pub(crate) fn check(&self) -> Result<(), String> {
        let only = self.only();
        only.check(false)?;
        for (nth, rule) in self.rules.iter().enumerate() {
            rule.check(true).map_err(|why| format!("rule {}: {why}", nth + 1))?;
        }
        let has_own = !only.text.is_empty()
            || only.direction != Direction::All
            || only.authenticated_only
            || !only.sender_domains.is_empty()
            || !only.listeners.is_empty();
        match has_own && !self.rules.is_empty() {
            true => {
                Err("beside `rules` only `even-if-signed` counts; the rest belongs into a rule".to_owned())
            }
            false => Ok(()),
        }
    }

    /// The rule for the running hook's message.
    pub(crate) fn rule(&self, cx: &Context) -> Option<&Rule> {
        let only = std::iter::once(self.only()).filter(|rule| !rule.text.is_empty());
        self.rules.iter().chain(only).find(|rule| rule.means(cx))
    }

    fn only(&self) -> &Rule {
        self.only.get_or_init(|| Rule {
            text: self.text.clone(),
            html: self.html.clone(),
            direction: self.direction,
            sender_domains: self.sender_domains.clone(),
            listeners: self.listeners.clone(),
            authenticated_only: self.authenticated_only,
        })
    }
}

impl Rule {
    fn check(&self, needs_text: bool) -> Result<(), String> {
        if self.text.trim().is_empty() && (needs_text || self.html.is_some()) {
            return Err("it has no `text`, for mail that is no HTML".to_owned());
        }
        let is_domain = |text: &&String| {
            !text.is_empty() && !text.starts_with(['.', '@', '*']) && !text.contains(char::is_whitespace)
        };
        match self.sender_domains.iter().find(|text| !is_domain(text)) {
            Some(text) => Err(format!("sender-domains: \"{text}\" is no domain such as example.org")),
            None => Ok(()),
        }
    }

    fn means(&self, cx: &Context) -> bool {
        let domains = &self.sender_domains;
        let is_direction = match self.direction {
            Direction::All => true,
            Direction::Outgoing => cx.may_relay(),
            Direction::Incoming => !cx.may_relay(),
        };
        is_direction
            && (self.listeners.is_empty() || self.listeners.contains(&cx.listener()))
            && (!self.authenticated_only || cx.auth_user().is_some())
            && (domains.is_empty() || cx.sender().is_some_and(|s| domains.iter().any(|d| s.is_within(d))))
    }

    /// Its lines end in LF.
    pub(crate) fn footer(&self, form: Form) -> String {
        let text = self.text.trim_end().replace("\r\n", "\n");
        match (form, &self.html) {
            (Form::Plain, _) => text,
            (Form::Html, Some(html)) => charset::as_entities(html.trim_end()),
            (Form::Html, None) => {
                let escaped = text.replace('&', "&amp;").replace('<', "&lt;");
                charset::as_entities(&format!("<p>{}</p>", escaped.replace('\n', "<br>\n")))
            }
        }
    }
}
