//! `relay allow`, `list` and `revoke`: who may send to other domains for a while.

use std::time::Duration;

use admin::{RelayGrant, Request};
use anyhow::Result;
use serde_json::json;

use super::connect;
use super::output::{print, print_json, table};
use crate::cli::{Reading, Relay};

pub(crate) fn relay(command: Relay) -> Result<()> {
    match command {
        Relay::Allow { address, span, reading } => allow(address, span, &reading),
        Relay::List(reading) => list(&reading),
        Relay::Revoke { address, reading } => revoke(address, &reading),
    }
}

fn allow(network: String, span: Duration, reading: &Reading) -> Result<()> {
    let request = Request::RelayAllow { network, seconds: span.as_secs() };
    let grant: RelayGrant = connect(&reading.file)?.call(&request)?;
    match reading.json {
        true => print_json(&grant),
        false => print(&format!("{} may relay until {}\n", grant.network, grant.until)),
    }
}

fn list(reading: &Reading) -> Result<()> {
    let grants: Vec<RelayGrant> = connect(&reading.file)?.call(&Request::RelayList)?;
    if reading.json {
        return print_json(&grants);
    }
    if grants.is_empty() {
        return print("nobody may relay for a while\n");
    }
    let row = |grant: RelayGrant| {
        let left = humantime::format_duration(Duration::from_secs(grant.left_s)).to_string();
        vec![grant.network, left, grant.until]
    };
    let rows: Vec<Vec<String>> = grants.into_iter().map(row).collect();
    print(&table(&["ADDRESS", "LEFT", "UNTIL"], &rows))
}

fn revoke(network: String, reading: &Reading) -> Result<()> {
    let network: String = connect(&reading.file)?.call(&Request::RelayRevoke { network })?;
    match reading.json {
        true => print_json(&json!({ "revoked": network })),
        false => print(&format!("{network} may not relay any more\n")),
    }
}
