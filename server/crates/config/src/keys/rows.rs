//! The rows of the reference, in the order in which they are shown.

mod dns;
mod domain;
mod forwarding;
mod limits;
mod listener;
mod milter;
mod outbound;
mod plugins;
mod process;
mod queue;
mod relay;
mod reports;
mod route;
mod senders;
mod sendmail;
mod tls;
mod users;
mod web;

use super::acme::ACME;
use super::{Default, Key, Section};
use dns::DNS;
use domain::{DELIVER, DOMAIN};
use forwarding::FORWARDING;
use limits::LIMITS;
use listener::LISTENER;
use milter::{MILTER, MILTER_TIMEOUTS};
use outbound::{OUTBOUND, OUTBOUND_LIMITS, OUTBOUND_TIMEOUTS, TLS_REPORT};
use plugins::{GRANTS, ONE_PLUGIN_LIMITS, PLUGIN, PLUGIN_LIMITS, PLUGINS};
use process::{LOG, METRICS, PROCESS};
use queue::QUEUE;
use relay::RELAY;
use reports::REPORTS;
use route::ROUTE;
use senders::{DKIM, SENDER_AUTH, SENDER_AUTH_REPORTS};
use sendmail::SENDMAIL;
use tls::{TLS, TLS_CERTIFICATES};
use users::{AUTH, AUTH_LIMITS, OAUTH, OAUTH_KEY, USER, USERS_FILE};
use web::{API_TOKEN, WEB};

pub(super) const fn key(
    name: &'static str,
    takes: &'static str,
    default: &'static str,
    doc: &'static str,
) -> Key {
    Key { name, takes, default: Default::Toml(default), doc }
}

pub(super) const fn optional(
    name: &'static str,
    takes: &'static str,
    absent: &'static str,
    doc: &'static str,
) -> Key {
    Key { name, takes, default: Default::Words(absent), doc }
}

pub(super) const fn required(name: &'static str, takes: &'static str, doc: &'static str) -> Key {
    Key { name, takes, default: Default::Required, doc }
}

pub(super) const SIZE: &str = "size";
pub(super) const SPAN: &str = "time span";
pub(super) const COUNT: &str = "number";
pub(super) const FLAG: &str = "true or false";
pub(super) const TEXT: &str = "text";
pub(super) const PATH: &str = "path";
pub(super) const TABLE: &str = "table";

/// Every table and key.
pub const SECTIONS: &[Section] = &[
    ROOT,
    LISTENER,
    TLS,
    TLS_CERTIFICATES,
    ACME,
    DOMAIN,
    DELIVER,
    USER,
    USERS_FILE,
    AUTH,
    AUTH_LIMITS,
    OAUTH,
    OAUTH_KEY,
    RELAY,
    SENDMAIL,
    FORWARDING,
    SENDER_AUTH,
    SENDER_AUTH_REPORTS,
    DKIM,
    OUTBOUND,
    OUTBOUND_LIMITS,
    OUTBOUND_TIMEOUTS,
    ROUTE,
    TLS_REPORT,
    DNS,
    LIMITS,
    QUEUE,
    REPORTS,
    MILTER,
    MILTER_TIMEOUTS,
    PLUGINS,
    PLUGIN,
    GRANTS,
    PLUGIN_LIMITS,
    ONE_PLUGIN_LIMITS,
    LOG,
    METRICS,
    WEB,
    API_TOKEN,
    PROCESS,
];

const ROOT: Section = Section {
    name: "",
    written: "Outside of all tables",
    doc: "",
    keys: &[
        optional(
            "hostname",
            "domain name",
            "the system's host name",
            "This server's name: in greetings, in Received fields, in EHLO to others.",
        ),
        required(
            "data-dir",
            PATH,
            "Where queue, plugin data, compiled plugins and control socket are kept. One server at a time.",
        ),
        required("listener", "tables", "Where clients connect; see `[[listener]]`."),
        optional("tls", TABLE, "no certificate", "Certificates and keys; see `[tls]`."),
        optional("acme", TABLE, "none", "A certificate from an authority; see `[acme]`."),
        optional("domain", "tables", "none", "The domains whose mail ends here; see `[[domain]]`."),
        optional("user", "tables", "none", "Who may authenticate; see `[[user]]`."),
        optional(
            "users-file",
            PATH,
            "none",
            "A file with more users; see there. It is read at the start and with each reload.",
        ),
        optional("auth", TABLE, "defaults", "How users authenticate; see `[auth]`."),
        optional(
            "relay",
            TABLE,
            "nobody relays",
            "Who may send to domains that are not ours; see `[relay]`.",
        ),
        optional("sender-auth", TABLE, "defaults", "Whether mail is from whom it says; see `[sender-auth]`."),
        optional("dkim", "tables", "nothing is signed", "Keys that sign what leaves; see `[[dkim]]`."),
        optional("forwarding", TABLE, "senders stay", "How forwarded mail is sent; see `[forwarding]`."),
        optional("outbound", TABLE, "defaults", "Delivery to other hosts; see `[outbound]`."),
        optional("route", "tables", "all mail by MX", "By which way mail leaves; see `[[route]]`."),
        optional(
            "tls-report",
            TABLE,
            "none are sent",
            "Reports to domains on TLS with their hosts; see `[tls-report]`.",
        ),
        optional("dns", TABLE, "defaults", "Whom to ask; see `[dns]`."),
        optional("limits", TABLE, "defaults", "What clients may use up; see `[limits]`."),
        optional("queue", TABLE, "defaults", "Retries, expiry and room; see `[queue]`."),
        optional(
            "sendmail",
            TABLE,
            "defaults",
            "Where programs of this host hand mail over; see `[sendmail]`.",
        ),
        optional("reports", TABLE, "defaults", "What senders are told, and how; see `[reports]`."),
        optional("milter", "tables", "none", "Filters that speak the milter protocol; see `[[milter]]`."),
        optional("plugins", TABLE, "defaults", "Plugins and what they may do; see `[plugins]`."),
        optional("log", TABLE, "defaults", "How much is logged, and how; see `[log]`."),
        optional(
            "process",
            TABLE,
            "defaults",
            "As whom the server runs, and what it may touch; see `[process]`.",
        ),
        optional("metrics", TABLE, "none", "Where Prometheus may ask; see `[metrics]`."),
        optional("web", TABLE, "none", "The postmaster's page and the API over HTTP; see `[web]`."),
        optional("api-token", "tables", "none", "Who may ask over HTTP; see `[[api-token]]`."),
    ],
};
