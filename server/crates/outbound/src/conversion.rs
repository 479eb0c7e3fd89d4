//! Content for hosts that do not take it as it is.

use std::io;

use message::ConversionError;
use model::{Content, Param};
use sender_auth::Signers;

/// The content in 7 bits, or why there is none; made on a thread that may wait. Signatures of ours are made again.
///
/// # Errors
/// The content cannot be read, or a key fails.
pub(crate) async fn to_seven_bit(
    content: Content,
    signers: Signers,
) -> io::Result<Result<Content, &'static str>> {
    let convert = move || match message::to_seven_bit(content.clone()) {
        Ok(encoded) => Ok(Ok(signers.renewed(&content, encoded)?)),
        Err(ConversionError::Source(error)) => Err(error),
        Err(ConversionError::Impossible(why)) => Ok(Err(why)),
    };
    tokio::task::spawn_blocking(convert).await.map_err(io::Error::other)?
}

/// The parameters of MAIL for encoded content.
pub(crate) fn without_body(params: &[Param]) -> Vec<Param> {
    params.iter().filter(|param| !param.keyword.eq_ignore_ascii_case("BODY")).cloned().collect()
}
