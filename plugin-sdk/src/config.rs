//! The plugin's settings: `[plugins.NAME] settings = { ... }` in the server's configuration.

use crate::{Error, host};
use serde::de::DeserializeOwned;
use std::cell::OnceCell;
use std::fmt;
use std::ops::Deref;

/// One setting: a string as it is, anything else as JSON.
#[must_use]
pub fn get(key: &str) -> Option<String> {
    host::config_get(key)
}

/// All settings as a JSON object.
#[must_use]
pub fn all_json() -> String {
    host::config_all_json()
}

/// All settings as a value of the plugin's own type.
///
/// # Errors
/// [`Error::BadInput`] says which key is wrong, and why.
pub fn settings<T: DeserializeOwned>() -> Result<T, Error> {
    serde_json::from_str(&all_json()).map_err(|e| Error::BadInput(format!("settings: {e}")))
}

/// For [`Plugin::init`](crate::Plugin::init): refuses the plugin when the settings do not fit `T`.
///
/// # Errors
/// Which key is wrong, and why.
pub fn check<T: DeserializeOwned>() -> Result<(), String> {
    settings::<T>().map(drop).map_err(|e| e.to_string())
}

/// Settings as a field of the plugin, read when they are first used in a session.
///
/// ```
/// # use waxwing_plugin::prelude::*;
/// #[derive(serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Settings {
///     greeting: String,
/// }
///
/// #[derive(Default)]
/// struct Polite {
///     settings: config::Lazy<Settings>,
/// }
///
/// impl Plugin for Polite {
///     fn init() -> Result<(), String> {
///         config::check::<Settings>()
///     }
///     fn connect(&mut self, _cx: &Context) -> Verdict {
///         log::info(&self.settings.greeting);
///         Verdict::Proceed
///     }
/// }
/// ```
///
/// # Panics
/// On use, when the settings do not fit: check them in `init`, so that such a file is never used.
pub struct Lazy<T>(OnceCell<T>);

impl<T> Default for Lazy<T> {
    fn default() -> Self {
        Lazy(OnceCell::new())
    }
}

impl<T: DeserializeOwned> Deref for Lazy<T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.0.get_or_init(|| match settings() {
            Ok(value) => value,
            Err(e) => panic!("{e}"),
        })
    }
}

impl<T: fmt::Debug> fmt::Debug for Lazy<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// For `#[serde(with = "waxwing_plugin::config::duration")]`: `"200ms"`, `"90s"`, `"5m"`, `"1h 30m"`, `"2d"`, `"5w"`, or a
/// number of seconds.
pub mod duration {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::time::Duration;

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Seconds(u64),
        Text(String),
    }

    /// Reads one.
    ///
    /// # Errors
    /// The deserializer's, when it is neither.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        match Written::deserialize(d).map_err(|_| D::Error::custom("expected a time such as \"5m\""))? {
            Written::Seconds(n) => Ok(Duration::from_secs(n)),
            Written::Text(text) => parse(&text).ok_or_else(|| {
                D::Error::custom(format_args!("{text:?} is no time such as \"5m\" or \"1h 30m\""))
            }),
        }
    }

    /// Writes it as [`deserialize`] reads it, to the millisecond.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(value: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&format_args!("{}ms", value.as_millis()))
    }

    fn parse(text: &str) -> Option<Duration> {
        let mut total_ms = 0u64;
        let mut rest = text.trim();
        if rest.is_empty() {
            return None;
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit())?;
            let number: u64 = rest[..digits].parse().ok()?;
            rest = rest[digits..].trim_start();
            let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            let unit = match &rest[..letters] {
                "ms" => 1,
                "s" | "sec" => 1000,
                "m" | "min" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                "w" => 604_800_000,
                _ => return None,
            };
            total_ms = total_ms.checked_add(number.checked_mul(unit)?)?;
            rest = rest[letters..].trim_start();
        }
        Some(Duration::from_millis(total_ms))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn times_are_read_as_people_write_them() {
            for (text, seconds) in
                [("90s", 90), ("5m", 300), ("1h 30m", 5400), ("1h30min", 5400), (" 2 d ", 172_800)]
            {
                assert_eq!(parse(text), Some(Duration::from_secs(seconds)), "{text}");
            }
            assert_eq!(parse("200ms"), Some(Duration::from_millis(200)));
            for text in ["", "5", "m", "5x", "-5m", "99999999999999999999s", "18446744073709551615w"] {
                assert_eq!(parse(text), None, "{text}");
            }
        }
    }
}
