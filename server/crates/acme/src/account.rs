//! The account at the authority: made once, kept in a file.

use std::io;

use instant_acme::{Account, AccountBuilder, AccountCredentials, NewAccount};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::file;
use crate::options::Options;

/// What the file holds.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// An account is one authority's.
    directory_url: String,
    credentials: AccountCredentials,
}

/// The account of the file; a new one when there is none for this authority.
pub(crate) async fn open(options: &Options) -> Result<Account, Error> {
    if let Some(kept) = kept(options)? {
        return Ok(builder(options)?.from_credentials(kept.credentials).await?);
    }
    let contact: Vec<String> = options.contact.iter().map(|address| format!("mailto:{address}")).collect();
    let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
    let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let (account, credentials) = builder(options)?.create(&new, options.directory_url.clone(), None).await?;
    let kept = Kept { directory_url: options.directory_url.clone(), credentials };
    let text = serde_json::to_string_pretty(&kept).map_err(instant_acme::Error::from)?;
    file::replace(&options.account(), &text, |_| Ok(()))?;
    tracing::info!(directory = options.directory_url, account = account.id(), "made an account");
    Ok(account)
}

/// Forgets an account that the authority does not know any more; the next order makes a new one.
pub(crate) fn forget(options: &Options) -> Result<(), Error> {
    let file = options.account();
    match std::fs::remove_file(&file) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::File { file, source }),
        _ => Ok(()),
    }
}

fn kept(options: &Options) -> Result<Option<Kept>, Error> {
    let file = options.account();
    let text = match std::fs::read(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::File { file, source }),
    };
    match serde_json::from_slice::<Kept>(&text) {
        Ok(kept) => Ok(Some(kept).filter(|kept| kept.directory_url == options.directory_url)),
        Err(error) => {
            tracing::warn!(file = %file.display(), %error, "the account cannot be read; a new one will be made");
            Ok(None)
        }
    }
}

fn builder(options: &Options) -> Result<AccountBuilder, Error> {
    Ok(match &options.ca_file {
        Some(file) => Account::builder_with_root(file)?,
        None => Account::builder()?,
    })
}
