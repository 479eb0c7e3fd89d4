//! The configuration as text, with what a postmaster wants to know beside it.

use std::fmt::Write as _;

use nix::unistd::geteuid;

use super::answers::{Answers, Deliver, Receives};
use super::{PLUGINS, Places, SELECTOR};
use crate::cli::Init;

const MX: &str = "[\"0.0.0.0:25\", \"[::]:25\"]";

/// The file.
pub(super) fn configuration(options: &Init, answers: &Answers, places: &Places) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text, options, answers, places);
    text
}

fn write(text: &mut String, options: &Init, answers: &Answers, places: &Places) -> std::fmt::Result {
    writeln!(
        text,
        "# Made by `waxwing init`. Every key: waxwing.toml(5). After a change: `waxwing check`, then `waxwing reload`.\n"
    )?;
    writeln!(text, "hostname = {}", quoted(&answers.hostname))?;
    writeln!(text, "data-dir = {}", quoted(&places.data_dir.display().to_string()))?;
    write_listeners(text, options)?;
    for receives in &answers.domains {
        write_domain(text, receives, &answers.deliver)?;
    }
    writeln!(text, "\n[relay]\n# Who may send to other domains without a password; nobody else may.")?;
    writeln!(text, "networks = [\"127.0.0.0/8\", \"::1\"]")?;
    if let Some(smarthost) = &answers.smarthost {
        writeln!(text, "\n[outbound]\nsmarthost = {}", quoted(smarthost))?;
    }
    if places.data_dir.starts_with("/var") {
        writeln!(
            text,
            "\n[sendmail]\nsocket = \"/run/waxwing/submission.sock\"     # where users who cannot read this file look"
        )?;
    }
    for receives in &answers.domains {
        writeln!(text, "\n[[dkim]]\ndomain = {}", quoted(&receives.domain))?;
        writeln!(text, "selector = {}", quoted(SELECTOR))?;
        let name = places.dkim_key.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        writeln!(text, "key = {}", quoted(&name))?;
    }
    writeln!(
        text,
        "\n[sender-auth]\n# What is found of SPF, DKIM and DMARC is written into each message; \"reject\" refuses what a domain disowns."
    )?;
    writeln!(text, "dmarc = \"report\"")?;
    writeln!(text, "\n[plugins]\n# A .wasm file that is put here is asked from the next session on.")?;
    writeln!(text, "dir = {}", quoted(PLUGINS))?;
    match &places.user {
        Some(user) => writeln!(text, "\n[process]\nuser = {}", quoted(&user.name)),
        None => Ok(()),
    }
}

fn write_listeners(text: &mut String, options: &Init) -> std::fmt::Result {
    let has_tls = options.certificate.is_some() || options.acme.is_some();
    let bind = match options.listen.as_slice() {
        [] => MX.to_owned(),
        given => format!(
            "[{}]",
            given.iter().map(|address| format!("\"{address}\"")).collect::<Vec<_>>().join(", ")
        ),
    };
    writeln!(text, "\n[[listener]]\nname = \"mx\"\nbind = {bind}\nkind = \"mx\"")?;
    if !has_tls {
        writeln!(
            text,
            "tls = \"off\"                              # \"starttls\" once there is a certificate in [tls], or [acme]"
        )?;
        return writeln!(
            text,
            "\n# Users who send mail need a certificate, a listener of the kind \"submission\" and a [[user]] each: `waxwing passwd`."
        );
    }
    writeln!(text, "tls = \"starttls\"")?;
    writeln!(
        text,
        "\n# Where users send mail; each has a [[user]] with a record that `waxwing passwd` makes.\n[[listener]]\nname = \"submissions\""
    )?;
    writeln!(text, "bind = [\"0.0.0.0:465\", \"[::]:465\"]\nkind = \"submission\"\ntls = \"implicit\"")?;
    match (&options.certificate, &options.key, &options.acme) {
        (Some(certificate), Some(key), _) => {
            let absolute = |path: &std::path::Path| {
                std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
            };
            writeln!(
                text,
                "\n[tls]\ncertificate = {}\nkey = {}",
                quoted(&absolute(certificate)),
                quoted(&absolute(key))
            )
        }
        (_, _, Some(contact)) => {
            writeln!(text, "\n[acme]\naccept-terms = true\ncontact = {}", quoted(contact))
        }
        _ => Ok(()),
    }
}

fn write_domain(text: &mut String, receives: &Receives, deliver: &Deliver) -> std::fmt::Result {
    writeln!(text, "\n[[domain]]\nname = {}", quoted(&receives.domain))?;
    match deliver {
        Deliver::Maildir(pattern) => writeln!(text, "deliver = {{ maildir = {} }}", quoted(pattern))?,
        Deliver::Lmtp(address) => writeln!(text, "deliver = {{ lmtp = {} }}", quoted(address))?,
        Deliver::Relay(host) => writeln!(text, "deliver = {{ relay = {} }}", quoted(host))?,
    }
    let named: Vec<String> = receives.mailboxes.iter().map(|local| quoted(local)).collect();
    match named.is_empty() {
        true => writeln!(
            text,
            "# Every local part has a mailbox. Better name them: mailboxes = [\"alice\", \"bob\"]"
        ),
        false => writeln!(text, "mailboxes = [{}]", named.join(", ")),
    }
}

/// What to do now.
pub(super) fn next_steps(options: &Init, answers: &Answers, places: &Places) -> String {
    let file = places.file.display();
    let mut text = format!("; Written: {file}");
    // Writing to a string cannot fail.
    if !answers.domains.is_empty() {
        let _ = write!(text, " and {}", places.dkim_key.display());
    }
    let _ = write!(text, "\n; Next: waxwing check --config {file}\n;       waxwing serve --config {file}");
    if options.listen.is_empty() && !geteuid().is_root() {
        let _ = write!(text, "    (as root: ports below 1024 are root's to bind)");
    }
    if let Some(receives) = answers.domains.first() {
        let _ = write!(
            text,
            "\n;       waxwing domain check {} --config {file}    (when DNS has the records)",
            receives.domain
        );
    }
    text + "\n\n"
}

/// A text as TOML has it.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
