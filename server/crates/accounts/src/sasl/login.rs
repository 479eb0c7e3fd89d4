//! LOGIN: a name, then a password, each asked for. Never a standard; draft-murchison-sasl-login describes what clients do.

use super::{Desk, Next, State, text};
use crate::failure::Failure;

/// What clients look for, or do not look at.
pub(super) const ASK_NAME: &[u8] = b"Username:";
const ASK_PASSWORD: &[u8] = b"Password:";

/// The name is known, the password was asked for.
#[derive(Debug)]
pub(crate) struct Password {
    name: String,
}

/// The first response, which may come with AUTH.
pub(super) fn name(response: &[u8]) -> Next {
    match text(response) {
        Ok("") => Next::malformed(),
        Ok(name) => {
            let state = State::LoginPassword(Password { name: name.to_owned() });
            Next::Challenge(state, ASK_PASSWORD.to_vec())
        }
        Err(failure) => Next::Failed(None, failure),
    }
}

impl Password {
    pub(super) fn step(self, desk: &Desk<'_>, response: &[u8]) -> Next {
        match std::str::from_utf8(response) {
            Ok(password) if !password.is_empty() && !password.contains('\0') => {
                desk.check_password(&self.name, password, "")
            }
            _ => Next::Failed(Some(self.name), Failure::Malformed),
        }
    }
}
