//! What the process was given by whoever started it. Nothing else reads the environment.

#![expect(clippy::disallowed_methods, reason = "this is the one room where the environment is read")]

/// The system's name for itself.
pub(crate) fn system_hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Whether the person at the terminal wants no colours (no-color.org).
pub fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}
