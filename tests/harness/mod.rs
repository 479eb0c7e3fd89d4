//! What the scenarios share: the server as a process, SMTP clients, next hops, DNS, mailboxes and tools.
//!
//! Every port is a free one of 127.0.0.1, every file lies in a temporary directory, every process is ended by its id.
//! Waiting is for a condition, with a deadline that says what did not happen.

mod api;
mod client;
mod dns;
mod maildir;
mod next_hop;
mod numbered;
mod outside;
mod server;
mod setup;
mod stream;
mod users;
mod wait;
mod web;

pub(crate) use api::{Answer, Api, raw as http};
pub(crate) use client::{Reply, Smtp, deliver, message, unique};
pub(crate) use dns::Dns;
pub(crate) use maildir::Maildir;
pub(crate) use next_hop::{Act, NextHop, Received};
pub(crate) use numbered::{numbered, proved};
pub(crate) use outside::{Output, python, run, run_with_input};
pub(crate) use server::Server;
pub(crate) use setup::{Setup, component, target_dir};
pub(crate) use users::{PASSWORD, USER, Users};
pub(crate) use wait::{LONG, wait_for, wait_until};
pub(crate) use web::Web;
