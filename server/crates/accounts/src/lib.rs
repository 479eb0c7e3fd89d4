//! Whose mail ends here, and who may send from here: local domains, their mailboxes, aliases and subaddresses; users, what
//! they prove their name with, and the SASL exchanges in which they do.
//!
//! Where a domain's mail is put (a maildir, LMTP, another host) is told elsewhere; here is told whether an
//! address is one of ours and which mailbox it means. Nothing here waits, reads a file or looks at a clock; a step of an
//! exchange may compute for some tens of milliseconds.
//!
//! Standards: RFC 5321 (2.4 case of local parts, 3.9 aliases, 4.5.1 postmaster), RFC 5233 (subaddresses), RFC
//! 2142 section 5; for authentication see [`Authenticator`].
//! Limits: [`MAX_ALIAS_DEPTH`], [`MAX_ALIAS_RECIPIENTS`], [`MAX_RECORDS`], [`MAX_TOKEN_KEYS`], [`MAX_API_TOKENS`], [`AttemptLimits`].
//! Known gaps: local parts beyond ASCII are compared octet by octet, without Unicode normalisation.

mod api_token;
mod attempts;
mod authenticator;
mod directory;
mod expand;
mod failure;
mod local_domains;
mod mechanism;
mod password;
mod sasl;
mod srs;
mod token;
mod user;

pub use api_token::{ApiScope, ApiToken, ApiTokens, MAX_API_TOKENS, TokenHash, new_api_token};
pub use attempts::{AttemptLimits, Attempts};
pub use authenticator::{AuthOptions, Authenticator, Channel, Exchange, Moment, Secret, Step};
pub use directory::{Directory, DirectoryError};
pub use expand::{ExpandError, MAX_ALIAS_DEPTH, MAX_ALIAS_RECIPIENTS};
pub use failure::Failure;
pub use local_domains::{AccountsError, DomainOptions, LocalDomains, Lookup, Options};
pub use mechanism::Mechanism;
pub use password::{
    DEFAULT_SCRAM_ITERATIONS, MAX_PASSWORD_OCTETS, MAX_RECORDS, PasswordError, Record, RecordError,
    SCRAM_ITERATIONS, ScramRecord,
};
pub use srs::{MAX_AGE_DAYS, Srs, SrsError};
pub use token::{
    LEEWAY_S, MAX_TOKEN_KEYS, MAX_TOKEN_OCTETS, TokenAlgorithm, TokenError, TokenKey, TokenKeyError,
    TokenOptions,
};
pub use user::{Sender, SenderError, User};
