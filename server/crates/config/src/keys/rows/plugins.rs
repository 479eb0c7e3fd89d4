//! The rows of the tables about plugins.

use super::{COUNT, FLAG, PATH, SIZE, SPAN, TABLE, key, optional};
use crate::keys::Section;

pub(super) const PLUGINS: Section = Section {
    name: "plugins",
    written: "`[plugins]`",
    doc: "Plugins are the files `NAME.wasm` of one directory; they are loaded, replaced and unloaded while the server runs.",
    keys: &[
        optional("dir", PATH, "`plugins` in `data-dir`", "Where they lie."),
        key("order", "list of names", "[]", "The plugins that are asked first; the others follow by name."),
        key(
            "signers",
            "list of public keys of minisign",
            "[]",
            "Every plugin must be signed by one of them, in `NAME.wasm.minisig` beside its file; nobody in it: no signature is asked for.",
        ),
        key(
            "compile-threads",
            COUNT,
            "2",
            "Threads that compile plugins, beside those that serve mail and at a lower priority. A change needs a restart.",
        ),
        key(
            "kept-generations",
            COUNT,
            "4",
            "Contents of each plugin that are kept for `waxwing plugin rollback`, the running one included. A change needs a restart.",
        ),
        optional("limits", TABLE, "defaults", "What each plugin may use up; see `[plugins.limits]`."),
    ],
};

pub(super) const PLUGIN: Section = Section {
    name: "plugins.NAME",
    written: "`[plugins.NAME]`",
    doc: "What is said of one plugin. One that is not named has the defaults, and no grant. The keys of `[plugins]` \
          are no names for this.",
    keys: &[
        key("enabled", FLAG, "true", "False: its file is left alone."),
        key(
            "required",
            FLAG,
            "true",
            "While it does not run, because its file is not there or was refused, its failure policy answers for it at MAIL, and \
             before a next hop is picked if it had a say in that when it ran before. False: mail passes without it. A plugin that only `order` names is required too.",
        ),
        optional(
            "sha256",
            "64 hexadecimal digits",
            "none",
            "The only file that may run under this name. Another one is refused, and what runs goes on.",
        ),
        key("signers", "list of public keys of minisign", "[]", "Its own, instead of those in `[plugins]`."),
        key(
            "on-failure",
            "\"tempfail\", \"proceed\" or \"quarantine\"",
            "\"tempfail\"",
            "What counts when the plugin traps or overruns a limit: 451 4.3.0, as if it were not there, or accept and hold.",
        ),
        key(
            "isolation",
            "\"session\", \"transaction\" or \"reuse\"",
            "\"session\"",
            "How long an instance of it lives, and with it what it keeps in its variables: for one session; for one transaction, and \
             one hook outside of any; or for many sessions one after the other. With `reuse` a plugin may, by mistake or on purpose, \
             show one session what it kept of another, and an error in it can spoil later sessions. It is worth it where an instance \
             takes milliseconds to begin, as with Python and Go.",
        ),
        optional(
            "max-uses",
            COUNT,
            "100",
            "With `isolation = \"reuse\"`: sessions that one instance serves. A failed hook, a new generation, and memory over half of \
             its limit end it sooner.",
        ),
        optional(
            "max-idle",
            COUNT,
            "16",
            "With `isolation = \"reuse\"`: instances that wait for their next session.",
        ),
        optional("grants", TABLE, "none", "What it may use beyond its own session; see `grants`."),
        optional("settings", TABLE, "none", "Handed to the plugin as they are; it says what it reads."),
        optional(
            "limits",
            TABLE,
            "those of `[plugins.limits]`",
            "Its own limits; see `[plugins.NAME.limits]`.",
        ),
    ],
};

pub(super) const GRANTS: Section = Section {
    name: "plugins.NAME.grants",
    written: "`grants = { ... } in [plugins.NAME]`",
    doc: "A call of what was not granted is answered `denied`.",
    keys: &[
        key("kv", FLAG, "false", "A key-value space of its own, on the disk."),
        key("dns", FLAG, "false", "Questions to DNS."),
        key(
            "http",
            "list of hosts",
            "[]",
            "Hosts that it may ask over HTTP: `api.example.org` (ports 80 and, with TLS, 443), `api.example.org:8443` (that port alone), \
             `*.example.org` (names below it), or an address such as `127.0.0.1:11333`. Redirects are not followed.",
        ),
        key(
            "http-private",
            "list of networks, or true or false",
            "[]",
            "Where the names in `http` may lead beside the public Internet, as in `[\"10.0.0.0/8\"]`; true: anywhere. Without it a name \
             that leads to this machine or its network is not asked. An address in `http` stands for itself and needs none.",
        ),
        optional(
            "clamd",
            "address",
            "none",
            "The clamd that scans messages for it: `\"unix:/run/clamav/clamd.ctl\"`, or a host and a port as in `\"127.0.0.1:3310\"`.",
        ),
        key("submit", FLAG, "false", "Mail of its own, which goes to the queue as this host's."),
    ],
};

pub(super) const PLUGIN_LIMITS: Section = Section {
    name: "plugins.limits",
    written: "`[plugins.limits]`",
    doc: "What each plugin may use up. A change of `instances`, `table-elements` or `memory` over 1 GiB needs a restart.",
    keys: &[
        key(
            "cpu-per-hook",
            SPAN,
            "\"500ms\"",
            "Time that a plugin may compute in one hook; waiting for the server is not counted.",
        ),
        key("wall-per-hook", SPAN, "\"10s\"", "Time that one hook may take with all its waiting."),
        key(
            "cpu-per-session",
            SPAN,
            "\"1m\"",
            "Time that a plugin may compute in all hooks of one session, or for one message in delivery; then its failure policy answers \
             for the rest of it.",
        ),
        key("cpu-for-init", SPAN, "\"5s\"", "As `cpu-per-hook`, when a plugin is loaded."),
        key("wall-for-init", SPAN, "\"30s\"", "As `wall-per-hook`, when a plugin is loaded."),
        key(
            "memory",
            SIZE,
            "\"64 MiB\"",
            "Octets of memory of one instance, all its memories and tables together.",
        ),
        key("table-elements", COUNT, "100000", "Elements of one table of an instance."),
        key(
            "instances",
            COUNT,
            "4000",
            "Instances alive at once, over all sessions and plugins; a session that finds none free waits for one. Each reserves 5 GiB of \
             address space, of which a process has 128 TiB; where there is less, instances are made without a reserve, which is slower.",
        ),
        key("component-size", SIZE, "\"64 MiB\"", "Octets of a plugin's file."),
        key(
            "log-lines-per-hook",
            COUNT,
            "100",
            "Lines that one hook may log; what comes after them is counted, not written.",
        ),
        key("log-line-size", SIZE, "\"4 KiB\"", "Octets of one logged line."),
        key("dns-questions-per-hook", COUNT, "50", "Questions to DNS in one hook."),
        key("http-requests-per-hook", COUNT, "10", "Requests over HTTP in one hook."),
        key("http-requests-per-session", COUNT, "200", "The same in one session."),
        key(
            "http-requests-at-once",
            COUNT,
            "200",
            "Requests over HTTP at once, of all plugins together; those beyond wait. A change needs a restart.",
        ),
        key(
            "http-time",
            SPAN,
            "\"5s\"",
            "Time that one of them may take; the hook's own time bounds it too.",
        ),
        key("http-request-size", SIZE, "\"32 MiB\"", "Octets of a request, its header included."),
        key("http-answer-size", SIZE, "\"1 MiB\"", "Octets of an answer's body; its header may have 64 KiB."),
        key("scans-per-hook", COUNT, "3", "Scans for viruses in one hook."),
        key(
            "scans-at-once",
            COUNT,
            "50",
            "Scans for viruses at once, of all plugins together; those beyond wait. A change needs a restart.",
        ),
        key("submissions-per-hook", COUNT, "5", "Messages of its own that a plugin may submit in one hook."),
        key(
            "submissions-per-hour",
            COUNT,
            "1000",
            "The same within an hour, for each plugin; a restart forgets them.",
        ),
        key("submission-size", SIZE, "\"1 MiB\"", "Octets of such a message."),
        key("submission-recipients", COUNT, "50", "Its recipients, before aliases."),
        key("kv-calls-per-hook", COUNT, "200", "Calls of the key-value store in one hook."),
        key("kv-key-size", SIZE, "512", "Octets of a key."),
        key("kv-value-size", SIZE, "\"64 KiB\"", "Octets of a value."),
        key("kv-keys", COUNT, "1000000", "Keys in one plugin's space. A change needs a restart."),
        key(
            "kv-size",
            SIZE,
            "\"256 MiB\"",
            "Octets of keys and values in one plugin's space. A change needs a restart.",
        ),
        key("notes-per-session", COUNT, "64", "Notes that the plugins of one session share."),
        key("note-size", SIZE, "\"4 KiB\"", "Octets of one note with its key."),
        key("header-field-size", SIZE, "\"64 KiB\"", "Octets of one header field that a plugin writes."),
        key("additions-per-hook", COUNT, "200", "Header fields and recipients that one hook may add."),
        key(
            "call-size",
            SIZE,
            "\"40 MiB\"",
            "Octets that a plugin may hand over in one call of a service; one that hands over more has failed.",
        ),
        key(
            "body-read-size",
            SIZE,
            "\"1 GiB\"",
            "Octets of the body that one hook may have read, searched, digested and decoded, all together.",
        ),
        key("body-written-size", SIZE, "\"32 MiB\"", "Octets that one hook may write into a body."),
        key("body-pieces", COUNT, "10000", "Pieces of a body that one hook may put together."),
        key("recipients", COUNT, "1000", "Recipients of an envelope, with those that plugins added."),
        key(
            "metric-series",
            COUNT,
            "200",
            "Metric series of one plugin; names with different labels count each.",
        ),
    ],
};

pub(super) const ONE_PLUGIN_LIMITS: Section = Section {
    name: "plugins.NAME.limits",
    written: "`[plugins.NAME.limits]`",
    doc: "What one plugin may use up instead.",
    keys: &[
        optional("cpu-per-hook", SPAN, "as in `[plugins.limits]`", "As there."),
        optional("wall-per-hook", SPAN, "as in `[plugins.limits]`", "As there."),
        optional("cpu-per-session", SPAN, "as in `[plugins.limits]`", "As there."),
        optional("memory", SIZE, "as in `[plugins.limits]`", "As there."),
    ],
};
