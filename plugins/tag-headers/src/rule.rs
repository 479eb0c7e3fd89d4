//! One rule: when it applies, and what it changes.

use crate::value::{self, filled};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use waxwing_plugin::net::Network;
use waxwing_plugin::pattern::{fits, fits_any};
use waxwing_plugin::prelude::*;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Rule {
    when: When,
    remove: Vec<String>,
    rename: BTreeMap<String, String>,
    set: BTreeMap<String, String>,
    add: BTreeMap<String, String>,
    place: Place,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Place {
    #[default]
    Top,
    Bottom,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Direction {
    Outgoing,
    Incoming,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct When {
    sender: Option<Vec<String>>,
    sender_domain: Option<Vec<String>>,
    recipient: Option<Vec<String>>,
    recipient_domain: Option<Vec<String>>,
    listener: Option<Vec<String>>,
    direction: Option<Direction>,
    peer_network: Option<Vec<Network>>,
    user: Option<Vec<String>>,
    authenticated: Option<bool>,
    tls: Option<bool>,
    authentication: BTreeMap<String, String>,
    larger_than: Option<u32>,
    smaller_than: Option<u32>,
    header: BTreeMap<String, String>,
    not_header: BTreeMap<String, String>,
}

impl When {
    fn check(&self) -> Result<(), String> {
        let lists = [
            ("sender", &self.sender),
            ("sender-domain", &self.sender_domain),
            ("recipient", &self.recipient),
            ("recipient-domain", &self.recipient_domain),
            ("listener", &self.listener),
            ("user", &self.user),
        ];
        if let Some((key, _)) = lists.iter().find(|(_, list)| list.as_ref().is_some_and(Vec::is_empty)) {
            return Err(format!("when.{key} names nothing, so that the rule never applies"));
        }
        if let Some(method) =
            self.authentication.keys().find(|name| !["spf", "dkim", "dmarc", "arc"].contains(&name.as_str()))
        {
            return Err(format!("when.authentication: \"{method}\" is none of spf, dkim, dmarc and arc"));
        }
        if let (Some(least), Some(most)) = (self.larger_than, self.smaller_than)
            && least.saturating_add(1) >= most
        {
            return Err(format!("when: no message is larger than {least} and smaller than {most}"));
        }
        let names = self.header.keys().chain(self.not_header.keys());
        value::check_names("when.header", names)
    }

    fn holds(&self, cx: &Context) -> bool {
        self.session_holds(cx)
            && self.envelope_holds(cx)
            && self.larger_than.is_none_or(|octets| cx.message_size() > octets)
            && self.smaller_than.is_none_or(|octets| cx.message_size() < octets)
            && self.authentication.iter().all(|(method, result)| {
                cx.findings()
                    .iter()
                    .any(|found| found.method == *method && found.result.eq_ignore_ascii_case(result))
            })
            && self.header.iter().all(|(name, pattern)| has(cx, name, pattern))
            && !self.not_header.iter().any(|(name, pattern)| has(cx, name, pattern))
    }

    fn session_holds(&self, cx: &Context) -> bool {
        let user = cx.auth_user();
        self.listener.as_ref().is_none_or(|list| list.contains(&cx.listener()))
            && self.direction.is_none_or(|wanted| (wanted == Direction::Outgoing) == cx.may_relay())
            && self.authenticated.is_none_or(|wanted| wanted == user.is_some())
            && self.user.as_ref().is_none_or(|list| user.as_ref().is_some_and(|user| fits_any(list, user)))
            && self.tls.is_none_or(|wanted| wanted == cx.tls_version().is_some())
            && self.peer_network.as_ref().is_none_or(|list| list.iter().any(|net| net.contains(cx.peer_ip())))
    }

    fn envelope_holds(&self, cx: &Context) -> bool {
        let within = |domains: &[String], mailbox: &Mailbox| domains.iter().any(|d| mailbox.is_within(d));
        let (sender, recipients) = (cx.sender(), cx.recipients());
        let is_null = |list: &[String]| list.iter().any(String::is_empty);
        self.sender.as_ref().is_none_or(|list| match &sender {
            Some(sender) => fits_any(list, &sender.to_string()),
            None => is_null(list),
        }) && self.sender_domain.as_ref().is_none_or(|list| match &sender {
            Some(sender) => within(list, sender),
            None => is_null(list),
        }) && self
            .recipient
            .as_ref()
            .is_none_or(|list| recipients.iter().any(|r| fits_any(list, &r.address.to_string())))
            && self
                .recipient_domain
                .as_ref()
                .is_none_or(|list| recipients.iter().any(|r| within(list, &r.address)))
    }
}

/// Whether a field of this name has a value that fits.
fn has(cx: &Context, name: &str, pattern: &str) -> bool {
    cx.headers().raw(name).iter().any(|value| fits(pattern, &value::decoded(value)))
}

impl Rule {
    pub(crate) fn adding(add: BTreeMap<String, String>) -> Rule {
        Rule { add, ..Rule::default() }
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        if self.remove.is_empty() && self.rename.is_empty() && self.set.is_empty() && self.add.is_empty() {
            return Err("it changes nothing: it has no remove, rename, set or add".to_owned());
        }
        self.when.check()?;
        value::check_names("rename", self.rename.iter().flat_map(|(old, new)| [old, new]))?;
        value::check_names("set", self.set.keys())?;
        value::check_names("add", self.add.keys())?;
        if self.remove.iter().any(String::is_empty) {
            return Err("remove: \"\" is no name and no pattern".to_owned());
        }
        let mut values = self.set.iter().chain(&self.add);
        match values.find(|(_, value)| value.contains(['\r', '\n', '\0'])) {
            Some((name, _)) => Err(format!("the value of {name} has more than one line")),
            None => Ok(()),
        }
    }

    pub(crate) fn apply_where_it_holds(&self, cx: &Context) -> Result<(), Error> {
        if self.when.holds(cx) { self.apply(cx) } else { Ok(()) }
    }

    fn apply(&self, cx: &Context) -> Result<(), Error> {
        let headers = cx.headers();
        if !self.remove.is_empty() {
            let names: BTreeSet<String> =
                headers.all().into_iter().map(|h| h.name.to_ascii_lowercase()).collect();
            for name in names.iter().filter(|name| self.remove.iter().any(|pattern| fits(pattern, name))) {
                headers.remove(name)?;
            }
        }
        self.rename(cx)?;
        for (name, value) in &self.set {
            headers.set(name, filled(value, cx))?;
        }
        for (name, value) in &self.add {
            match self.place {
                Place::Top => headers.add_first(name, filled(value, cx))?,
                Place::Bottom => headers.add(name, filled(value, cx))?,
            }
        }
        Ok(())
    }

    /// Every field of an old name gets its new one where it stands; none is renamed twice.
    fn rename(&self, cx: &Context) -> Result<(), Error> {
        let headers = cx.headers();
        if self.rename.is_empty() {
            return Ok(());
        }
        let new_name = |old: &str| {
            self.rename.iter().find(|(name, _)| name.eq_ignore_ascii_case(old)).map(|(_, new)| new)
        };
        // How many fields of each name stand above: the old one is taken out by its number among them.
        let mut above: BTreeMap<String, u32> = BTreeMap::new();
        for (place, header) in (0..).zip(headers.all()) {
            let old = header.name.to_ascii_lowercase();
            let nth = above.entry(old.clone()).or_default();
            match new_name(&old) {
                Some(new) if !new.eq_ignore_ascii_case(&old) => {
                    headers.remove_nth(&old, *nth)?;
                    headers.add_at(place, new, header.value)?;
                    *above.entry(new.to_ascii_lowercase()).or_default() += 1;
                }
                _ => *nth += 1,
            }
        }
        Ok(())
    }
}
