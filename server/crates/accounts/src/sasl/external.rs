//! EXTERNAL (RFC 4422 appendix A): the client's certificate has said who it is.

use super::{Desk, Next, is_same_identity, text};
use crate::failure::Failure;

/// The response is the authorization identity, most often empty.
pub(super) fn step(desk: &Desk<'_>, response: &[u8]) -> Next {
    let authorization = match text(response) {
        Ok(authorization) => authorization,
        Err(failure) => return Next::Failed(None, failure),
    };
    let user = desk.site.options.directory.by_certificate(&desk.channel.client_identities);
    let name = user.map_or_else(|| authorization.to_owned(), |user| user.name.to_string());
    if let Err(failure) = desk.charge(&name) {
        return Next::Failed(Some(name), failure);
    }
    match user {
        Some(user) if is_same_identity(authorization, &name) => {
            desk.succeeded(&name);
            Next::Done(user.clone())
        }
        _ => Next::Failed(Some(name), Failure::Credentials),
    }
}
