//! The host with real components, assembled from text: what they are asked, what their edits become, what
//! stops them.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod absurd;
mod bad_files;
mod bench;
mod delivery;
mod disabled;
mod edits;
mod failures;
mod guest;
mod hot_load;
mod http;
mod isolation;
mod lessons;
mod recipients;
mod refusals;
mod released;
mod required;
mod rollback;
mod scanner;
mod services;
mod session;
mod signatures;
mod stage;
mod submission;
