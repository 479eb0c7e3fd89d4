//! What rspamd answers to `/checkv2`, as far as it is read here.

use serde::Deserialize;
use std::collections::BTreeMap;

/// The answer. What is not known here is passed over: rspamd's modules add their own.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Answer {
    pub(crate) action: String,
    pub(crate) score: f64,
    pub(crate) required_score: f64,
    pub(crate) subject: Option<String>,
    pub(crate) messages: Messages,
    pub(crate) milter: Milter,
    #[serde(rename = "dkim-signature")]
    pub(crate) dkim_signature: Option<OneOrMany<String>>,
    pub(crate) symbols: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Messages {
    /// What the client is to read.
    pub(crate) smtp_message: Option<String>,
}

/// What the module `milter_headers` and others want to be done.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Milter {
    pub(crate) add_headers: BTreeMap<String, OneOrMany<Field>>,
    /// 0: all of the name; n: the nth; a negative number counts from below.
    pub(crate) remove_headers: BTreeMap<String, i64>,
    pub(crate) change_from: Option<String>,
    /// `discard` or `quarantine`.
    pub(crate) reject: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, T> {
        match self {
            OneOrMany::One(one) => std::slice::from_ref(one).iter(),
            OneOrMany::Many(many) => many.iter(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Field {
    Text(String),
    Placed {
        value: String,
        #[serde(default)]
        order: i64,
    },
}

impl Field {
    pub(crate) fn value(&self) -> &str {
        match self {
            Field::Text(value) | Field::Placed { value, .. } => value,
        }
    }

    /// Where it goes: 0 and nothing are on top here, as rspamd's `order` of 1 means above everything, and -1 below.
    pub(crate) fn is_last(&self) -> bool {
        matches!(self, Field::Placed { order, .. } if *order < 0)
    }
}
