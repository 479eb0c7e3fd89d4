//! `config`: the plugin's settings. A key with dots reaches into tables; texts come as they are, everything
//! else as JSON.

use serde_json::Value;

use crate::bindings::waxwing::mail::config::Host;
use crate::state::State;

impl Host for State {
    fn get(&mut self, key: String) -> Option<String> {
        find(&self.plugin.options.settings, &key).map(|value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }

    fn all_json(&mut self) -> String {
        match &self.plugin.options.settings {
            Value::Null => "{}".to_owned(),
            settings => settings.to_string(),
        }
    }
}

/// A key that stands there as it is comes before one that its dots lead to.
fn find<'a>(settings: &'a Value, key: &str) -> Option<&'a Value> {
    if let Some(value) = settings.get(key) {
        return Some(value).filter(|value| !value.is_null());
    }
    let mut dots = key.match_indices('.');
    dots.find_map(|(at, _)| find(settings.get(&key[..at])?, &key[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_reach_into_tables_and_may_be_part_of_a_key() {
        let settings = serde_json::json!({"a": {"b": {"c": 1}, "b.d": 2}, "a.e": 3, "f": null});
        for (key, value) in
            [("a.b.c", Some(1)), ("a.b.d", Some(2)), ("a.e", Some(3)), ("a.x", None), ("f", None)]
        {
            assert_eq!(find(&settings, key), value.map(Value::from).as_ref(), "{key}");
        }
        assert_eq!(find(&Value::Null, "a"), None);
    }
}
