//! `[acme]`: a certificate from an authority.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use acme::Options;
use model::{Domain, Mailbox};

use crate::reader::Table;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// What the table says; nothing when the file has none. `hostname` is the name that is certified when it says no other.
pub(crate) fn acme(root: &Table<'_>, data_dir: &Path, hostname: &str) -> Option<Options> {
    let table = root.table("acme", "acme");
    let mut options = Options {
        directory_url: String::new(),
        contact: Vec::new(),
        names: vec![hostname.to_owned()],
        http_bind: vec![SocketAddr::from(([0, 0, 0, 0], 80))],
        ca_file: table.path("ca-file"),
        renew_before: 30 * 24 * HOUR,
        dir: data_dir.join("acme"),
    };
    options.directory_url = table.parse("directory-url", directory_url).unwrap_or_default();
    if let Some(contact) = table.list("contact", contact) {
        options.contact = contact.into_iter().map(|(_, address)| address).collect();
    }
    if let Some(names) = table.list("names", name) {
        options.names = names.into_iter().map(|(_, name)| name).collect();
    }
    if let Some(bind) = table.list("http-bind", address) {
        options.http_bind = bind.into_iter().map(|(_, address)| address).collect();
    }
    table.set_duration("renew-before", &mut options.renew_before, HOUR..=365 * 24 * HOUR);
    let mut accepted = false;
    table.set_bool("accept-terms", &mut accepted);
    if !table.is_present() {
        return None;
    }
    refuse_gaps(&table, accepted);
    Some(options)
}

fn refuse_gaps(table: &Table<'_>, accepted: bool) {
    if table.get("directory-url").is_none() {
        table.missing("directory-url", "is missing; it says which authority to ask");
    }
    for key in ["names", "http-bind"] {
        if let Some(item) = table.get(key)
            && item.items().is_empty()
        {
            item.fault("is empty");
        }
    }
    if !accepted {
        let text = "has to be true: the authority gives certificates to those who accept its terms";
        match table.get("accept-terms") {
            Some(item) => item.fault(text),
            None => table.missing("accept-terms", text),
        }
    }
}

fn directory_url(text: &str) -> Result<String, &'static str> {
    match text.strip_prefix("https://") {
        Some(rest) if !rest.is_empty() && !rest.contains(|c: char| c.is_whitespace() || c.is_control()) => {
            Ok(text.to_owned())
        }
        _ => Err("is an address that starts with https://"),
    }
}

fn contact(text: &str) -> Result<String, String> {
    Mailbox::parse(text).map(|mailbox| mailbox.to_string()).map_err(|error| error.to_string())
}

fn name(text: &str) -> Result<String, String> {
    if text.starts_with("*.") {
        return Err("is a wildcard, for which authorities do not ask over HTTP".to_owned());
    }
    match Domain::parse(text) {
        Ok(domain) if domain.literal().is_some() => Err("is a name, not an address".to_owned()),
        Ok(domain) => Ok(domain.to_ascii().to_ascii_lowercase()),
        Err(error) => Err(error.to_string()),
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("\"{text}\" is no address with a port, as in \"0.0.0.0:80\""))
}
