//! Content for hosts that do not take it as it is.

use std::io;

use message::ConversionError;
use model::{Content, Param};

/// The content in 7 bits, or why there is none; made on a thread that may wait.
///
/// # Errors
/// The content cannot be read.
pub(crate) async fn to_seven_bit(content: Content) -> io::Result<Result<Content, &'static str>> {
    let convert = move || match message::to_seven_bit(content) {
        Ok(encoded) => Ok(Ok(encoded)),
        Err(ConversionError::Source(error)) => Err(error),
        Err(ConversionError::Impossible(why)) => Ok(Err(why)),
    };
    tokio::task::spawn_blocking(convert).await.map_err(io::Error::other)?
}

/// The parameters of MAIL for encoded content.
pub(crate) fn without_body(params: &[Param]) -> Vec<Param> {
    params.iter().filter(|param| !param.keyword.eq_ignore_ascii_case("BODY")).cloned().collect()
}
