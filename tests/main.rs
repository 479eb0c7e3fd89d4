//! The server from end to end: each module is one scenario, and drives the real binary from outside.
//!
//! `make test` builds the binary and the plugins before; by hand: `cargo build --workspace && make plugins`.
//! What needs programs beyond curl and Python is in `interop`, and is run by `make interop`.

#![cfg(test)]
#![expect(clippy::disallowed_methods, reason = "tests wait by the real clock")]

mod harness;

mod backtraces;
mod benchmark;
mod book;
mod bundled_plugins;
mod bundled_plugins_http;
mod certificates;
mod commands;
mod config_faults;
mod conformance;
mod crash;
mod damage;
mod delivery_reports;
mod drops;
mod first_hour;
mod forwarding;
mod hostile_plugins;
mod hot_load;
mod interop;
mod languages;
mod lifecycle;
mod limits;
mod locked_wasi;
mod logs;
mod main_job;
mod metrics;
mod milters;
mod mx_delivery;
mod next_hops;
mod pipes;
mod plugin_authors;
mod plugin_commands;
mod plugin_extremes;
mod plugin_http;
mod plugin_suites;
mod privileges;
mod programs;
mod proxy_protocol;
mod rates;
mod relay_control;
mod relay_grants;
mod reloads;
mod replacements;
mod restart;
mod rewriting;
mod routes;
mod sandbox;
mod sender_auth;
mod sender_reports;
mod service_manager;
mod single_recipients;
mod submission;
mod tidy;
mod torture;
mod traces;
mod vacation;
mod vanishing_clients;
mod verdicts;
mod virus_scan;
mod web_api;
mod web_messages;
