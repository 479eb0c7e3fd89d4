//! `token new`: a token for the page and the API over HTTP. It is shown once; the configuration gets its hash.

use accounts::{TokenHash, new_api_token};
use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::output::{print, print_json};
use crate::cli::{NewToken, Scope};

/// A token that was made.
#[derive(Serialize)]
struct Made {
    token: String,
    hash: String,
    /// For the configuration.
    table: String,
}

/// Prints the token, and the table for the configuration.
pub(crate) fn new(options: &NewToken) -> Result<()> {
    ensure!(options.user.is_none() || options.scope == Scope::Send, "--user is for --scope send alone");
    ensure!(
        options.user.is_some() || options.scope != Scope::Send,
        "--scope send needs --user: in whose name it sends"
    );
    let token = new_api_token().context("no token can be made")?;
    let hash = TokenHash::of(&token).to_string();
    let table = table(options, &hash);
    match options.json {
        true => print_json(&Made { token, hash, table }),
        false => print(&format!(
            "{token}\n\nThis is shown once. For the configuration, followed by `waxwing reload`:\n\n{table}"
        )),
    }
}

fn table(options: &NewToken, hash: &str) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let mut table = format!(
        "[[api-token]]\nname = {}\nhash = \"{hash}\"\nscope = \"{}\"\n",
        quoted(&options.name),
        options.scope.name()
    );
    if let Some(user) = &options.user {
        table += &format!("user = {}\n", quoted(user));
    }
    table
}
