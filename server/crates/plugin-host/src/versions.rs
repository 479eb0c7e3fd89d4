//! Which interfaces this server knows, and in which versions.
//!
//! Each interface of `waxwing:mail` has versions of its own here, the newest first, so that a second one can stand beside the
//! first: `on-rcpt@0.2.0` is one more entry, and one more way to call that hook. A component that exports a hook in several
//! versions is asked in the newest that is known, and so runs on older servers too. One that has a hook in no known version is
//! refused, as the hook would be skipped in silence.

use crate::LoadError;
use crate::outline::Outline;

const PACKAGE: &str = "waxwing:mail/";
/// `wit/since-0.1`.
const SINCE_0_1: &[&str] = &["0.1.0"];

/// The interfaces that a plugin may import.
const IMPORTS: [(&str, &[&str]); 14] = [
    ("types", SINCE_0_1),
    ("session", SINCE_0_1),
    ("transaction", SINCE_0_1),
    ("authentication", SINCE_0_1),
    ("log", SINCE_0_1),
    ("config", SINCE_0_1),
    ("clock", SINCE_0_1),
    ("random", SINCE_0_1),
    ("metrics", SINCE_0_1),
    ("kv", SINCE_0_1),
    ("dns", SINCE_0_1),
    ("http", SINCE_0_1),
    ("scanner", SINCE_0_1),
    ("submission", SINCE_0_1),
];

/// The interfaces that a plugin may export to be asked.
const HOOKS: [(&str, &[&str]); 11] = [
    ("on-connect", SINCE_0_1),
    ("on-ehlo", SINCE_0_1),
    ("on-auth", SINCE_0_1),
    ("on-mail", SINCE_0_1),
    ("on-rcpt", SINCE_0_1),
    ("on-data", SINCE_0_1),
    ("on-message", SINCE_0_1),
    ("on-disconnect", SINCE_0_1),
    ("on-route", SINCE_0_1),
    ("on-outcome", SINCE_0_1),
    ("lifecycle", SINCE_0_1),
];

/// The packages of the locked-down WASI 0.2.
const WASI: [&str; 7] = [
    "wasi:io/",
    "wasi:clocks/",
    "wasi:random/",
    "wasi:cli/",
    "wasi:filesystem/",
    "wasi:sockets/",
    "wasi:http/",
];

/// The versions of a hook's interface, newest first, by their full names.
pub(crate) fn hook_names(interface: &str) -> impl Iterator<Item = String> {
    let versions = find(&HOOKS, interface).unwrap_or_default();
    versions.iter().map(move |version| format!("{PACKAGE}{interface}@{version}"))
}

/// The stage of an exported interface, when it is a hook in a version that is known.
pub(crate) fn stage_of(export: &str) -> Option<&str> {
    let (interface, version) = ours(export)?;
    find(&HOOKS, interface).filter(|known| known.contains(&version))?;
    match interface {
        "lifecycle" => Some("init"),
        other => other.strip_prefix("on-"),
    }
}

/// Whether all that a component imports is given, and all hooks that it exports are known.
///
/// # Errors
/// [`LoadError::Import`] or [`LoadError::Version`] with the first that is not.
pub(crate) fn check(outline: &Outline) -> Result<(), LoadError> {
    outline.imports.iter().try_for_each(|name| check_import(name))?;
    outline.exports.iter().try_for_each(|name| check_export(name, &outline.exports))
}

fn check_import(name: &str) -> Result<(), LoadError> {
    match ours(name) {
        Some((interface, version)) => match find(&IMPORTS, interface) {
            Some(known) if known.contains(&version) => Ok(()),
            Some(known) => Err(unknown_version(name, interface, known)),
            None => Err(LoadError::Import(name.to_owned())),
        },
        None => {
            let is_given = WASI.iter().any(|package| name.starts_with(package)) && name.contains("@0.2.");
            if is_given { Ok(()) } else { Err(LoadError::Import(name.to_owned())) }
        }
    }
}

fn check_export(name: &str, all: &[String]) -> Result<(), LoadError> {
    let Some((interface, version)) = ours(name) else { return Ok(()) };
    match find(&HOOKS, interface) {
        Some(known) if known.contains(&version) => Ok(()),
        // A newer one beside one that is known.
        Some(_) if hook_names(interface).any(|known| all.contains(&known)) => Ok(()),
        Some(known) => Err(unknown_version(name, interface, known)),
        None if interface.starts_with("on-") => Err(LoadError::Hook(name.to_owned())),
        None => Ok(()),
    }
}

fn unknown_version(wanted: &str, interface: &str, known: &[&str]) -> LoadError {
    let offered: Vec<_> = known.iter().map(|version| format!("{PACKAGE}{interface}@{version}")).collect();
    LoadError::Version { wanted: wanted.to_owned(), offered: offered.join(", ") }
}

/// Interface and version of a name in our package; without a version that is the empty one.
fn ours(name: &str) -> Option<(&str, &str)> {
    let rest = name.strip_prefix(PACKAGE)?;
    Some(rest.split_once('@').unwrap_or((rest, "")))
}

fn find(table: &[(&str, &'static [&'static str])], interface: &str) -> Option<&'static [&'static str]> {
    table.iter().find(|(name, _)| *name == interface).map(|(_, versions)| *versions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(imports: &[&str], exports: &[&str]) -> Result<(), String> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        check(&Outline { imports: owned(imports), exports: owned(exports) })
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_component_for_another_version_is_told_what_there_is() {
        assert_eq!(
            checked(&["waxwing:mail/session@0.2.0"], &[]).unwrap_err(),
            "is made for waxwing:mail/session@0.2.0, which this server does not know; it offers waxwing:mail/session@0.1.0"
        );
        assert_eq!(
            checked(&[], &["waxwing:mail/on-message@0.1.0", "waxwing:mail/on-rcpt@0.2.0"]).unwrap_err(),
            "is made for waxwing:mail/on-rcpt@0.2.0, which this server does not know; it offers waxwing:mail/on-rcpt@0.1.0"
        );
        assert_eq!(
            checked(&[], &["waxwing:mail/on-vrfy@0.1.0"]).unwrap_err(),
            "exports a hook that this server does not have: waxwing:mail/on-vrfy@0.1.0"
        );
        assert!(checked(&["waxwing:mail/session"], &[]).is_err());
    }

    #[test]
    fn a_newer_version_of_a_hook_may_stand_beside_one_that_is_known() {
        let both = ["waxwing:mail/on-rcpt@0.2.0", "waxwing:mail/on-rcpt@0.1.0", "wasi:cli/run@0.2.0"];
        assert_eq!(checked(&["waxwing:mail/kv@0.1.0", "wasi:io/poll@0.2.9"], &both), Ok(()));
        assert_eq!(stage_of(both[0]), None);
        assert_eq!(stage_of(both[1]), Some("rcpt"));
    }

    #[test]
    fn what_is_in_no_table_is_not_given() {
        for name in [
            "waxwing:mail/shell@0.1.0",
            "wasi:io/poll@0.3.0",
            "wasi:keyvalue/store@0.2.0",
            "evil:mail/session@0.1.0",
        ] {
            let error = checked(&[name], &[]).unwrap_err();
            assert_eq!(error, format!("imports what no plugin is given: {name}"));
        }
    }
}
