//! The book in `docs/`: what it says is held against the server, and what it tells to type is typed.

mod commands;
mod pages;
mod readme;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::{Setup, run};
use pages::{blocks, pages, root};

/// Targets of links, without those in code.
fn links(page: &str) -> Vec<String> {
    let mut prose = String::new();
    let mut in_code = false;
    for line in page.lines() {
        if line.starts_with("```") {
            in_code = !in_code;
        } else if !in_code {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    prose
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.to_owned())
        .collect()
}

/// The anchor that a heading has.
fn anchor(heading: &str) -> String {
    let kept = heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .collect::<String>();
    kept.replace(' ', "-")
}

/// Whether the path, which may have `..`, is below `docs/`. What is not there is not out of it.
fn is_in_the_book(path: &Path) -> bool {
    let docs = root().join("docs").canonicalize().expect("the book");
    path.canonicalize().map_or(true, |path| path.starts_with(docs))
}

#[test]
fn every_page_is_in_the_summary_and_every_link_leads_somewhere() {
    let pages = pages();
    let summary = fs::read_to_string(root().join("docs/SUMMARY.md")).expect("the summary");
    let listed: BTreeSet<String> = links(&summary).into_iter().collect();
    let mut faults = Vec::new();
    for (name, text) in &pages {
        if name != "SUMMARY.md" && !listed.contains(name) {
            faults.push(format!("{name} is not in SUMMARY.md"));
        }
        for target in
            links(text).iter().filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
        {
            let (file, part) = target.split_once('#').unwrap_or((target, ""));
            let here = root().join("docs").join(name);
            let path =
                if file.is_empty() { here.clone() } else { here.parent().expect("a folder").join(file) };
            // Plots are made by `make bench`.
            if !path.exists() && !target.starts_with("plots/") {
                faults.push(format!("{name}: {target} leads nowhere"));
            } else if !is_in_the_book(&path) {
                faults.push(format!("{name}: {target} leads out of the book"));
            } else if !part.is_empty() {
                let there = fs::read_to_string(&path).unwrap_or_default();
                if !there
                    .lines()
                    .filter(|line| line.starts_with('#'))
                    .any(|line| anchor(line.trim_start_matches(['#', ' '])) == part)
                {
                    faults.push(format!("{name}: {target} has no such heading"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Codes with their enhanced codes: `550 5.1.1`, or `220` alone.
type Codes = BTreeSet<String>;

/// What the code says.
fn said_by_the_code() -> Codes {
    let mut found = Codes::new();
    for entry in fs::read_dir(root().join("server/crates")).expect("the crates") {
        gather(&entry.expect("a crate").path().join("src"), &mut found);
    }
    found
}

fn gather(folder: &Path, found: &mut Codes) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" {
            gather(&path, found);
        } else if name.ends_with(".rs") && !name.starts_with("tests") {
            let text = fs::read_to_string(&path).expect("a source file");
            let code: String = text
                .split("#[cfg(test)]")
                .next()
                .unwrap_or_default()
                .lines()
                .map(|line| line.split("//").next().unwrap_or_default())
                .collect::<Vec<_>>()
                .join(" ");
            let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
            codes(&code, found);
        }
    }
}

/// `NNN,(a,b,c)` wherever it stands, and `Reply::plain(NNN,`.
fn codes(code: &str, found: &mut Codes) {
    for (at, _) in code.match_indices(",(") {
        let (Some(number), Some(rest)) = (code.get(at.saturating_sub(3)..at), code.get(at + 2..)) else {
            continue;
        };
        let before = code.get(..at.saturating_sub(3)).and_then(|before| before.chars().next_back());
        let Some((inner, _)) = rest.split_once(')') else { continue };
        let parts: Vec<&str> = inner.split(',').collect();
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
        if number.len() == 3
            && digits(number)
            && parts.len() == 3
            && parts.iter().all(|part| digits(part))
            && before.is_none_or(|c| !c.is_ascii_digit())
        {
            found.insert(format!("{number} {}", parts.join(".")));
        }
    }
    for rest in code.split("Reply::plain(").skip(1) {
        if let Some(number) =
            rest.get(..3).filter(|number| number.bytes().all(|octet| octet.is_ascii_digit()))
        {
            found.insert(number.to_owned());
        }
    }
}

/// What is put together where the code is read: its parts stand apart there.
const COMPOSED: [&str; 6] = ["451 4.2.2", "451 4.3.1", "451 4.5.0", "451 4.7.4", "550 5.7.20", "550 5.7.21"];

#[test]
fn every_reply_that_the_code_gives_is_in_the_table_and_no_other() {
    let page = fs::read_to_string(root().join("docs/replies.md")).expect("the page");
    let first =
        |line: &str| line.strip_prefix("| ").and_then(|rest| rest.split(" |").next()).map(str::to_owned);
    let is_reply = |cell: &String| cell.starts_with(|c: char| c.is_ascii_digit());
    let told: Codes = page.lines().filter_map(first).filter(is_reply).collect();
    let said = said_by_the_code();
    assert!(said.len() > 60, "the code is not understood any more: {said:?}");
    let untold: Vec<_> = said.difference(&told).collect();
    let unsaid: Vec<_> = told.difference(&said).filter(|code| !COMPOSED.contains(&code.as_str())).collect();
    assert!(untold.is_empty(), "docs/replies.md lacks {untold:?}");
    assert!(unsaid.is_empty(), "the code does not say {unsaid:?}");
}

#[test]
fn every_command_has_a_manual_page_and_a_line_in_the_book() {
    let setup = Setup::new();
    let folder = setup.path("manual");
    fs::create_dir_all(&folder).expect("a folder");
    let made = run(setup.binary().arg("manual").arg(&folder));
    assert_eq!(made.code, 0, "{}", made.err);
    let mut there: BTreeSet<String> = fs::read_dir(&folder)
        .expect("the pages")
        .filter_map(|entry| {
            let name = entry.expect("a page").file_name().to_string_lossy().into_owned();
            Some(name.strip_suffix(".1")?.replace('-', " "))
        })
        .collect();
    // Those that have commands below them do nothing alone.
    let alone = there.clone();
    there.retain(|name| !alone.iter().any(|other| other.starts_with(&format!("{name} "))));
    assert!(there.len() > 30, "{there:?}");

    let page = fs::read_to_string(root().join("docs/commands.md")).expect("the page");
    let is_name = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase());
    let told: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .map(|command| command.split(' ').take_while(is_name).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(told, there);
}

#[test]
fn every_whole_configuration_in_the_book_passes_the_check() {
    let mut count = 0;
    for (name, text) in pages() {
        for block in blocks(&text).iter().filter(|block| block.info == "toml check") {
            let mut setup = Setup::new();
            setup.certificate();
            for folder in ["etc/tls", "data/plugins"] {
                fs::create_dir_all(setup.path(folder)).expect("a folder");
            }
            for (from, to) in [("certificate.pem", "etc/tls/fullchain.pem"), ("key.pem", "etc/tls/key.pem")] {
                fs::copy(setup.path(from), setup.path(to)).expect("a certificate");
            }
            fs::write(setup.path("etc/provider"), "a password\n").expect("a file");
            run(Command::new("chmod").arg("600").arg(setup.path("etc/provider")));
            let made = run(setup
                .binary()
                .args([
                    "dkim",
                    "generate",
                    "--domain",
                    "example.org",
                    "--selector",
                    "news",
                    "--algorithm",
                    "ed25519",
                    "--out",
                ])
                .arg(setup.path("etc/dkim.pem")));
            assert_eq!(made.code, 0, "{}", made.err);
            let here = setup.path("").display().to_string();
            let here = here.trim_end_matches('/');
            let text = block
                .text
                .replace("/etc/waxwing", &format!("{here}/etc"))
                .replace("/var/lib/waxwing", &format!("{here}/data"));
            fs::write(setup.config_file(), text).expect("the configuration");
            let checked = setup.command(&["check"]);
            assert_eq!(checked.code, 0, "{name}:\n{}\n{}", block.text, checked.err);
            count += 1;
        }
    }
    assert!(count >= 6, "{count} configurations");
}

#[test]
fn the_units_and_the_container_file_are_what_their_readers_take() {
    let packaging = root().join("packaging");
    for script in
        ["install", "deb", "test", "boot", "booted", "debian/postinst", "debian/prerm", "debian/postrm"]
    {
        let checked = run(Command::new("bash").arg("-n").arg(packaging.join(script)));
        assert_eq!(checked.code, 0, "{script}: {}", checked.err);
    }
    let container =
        fs::read_to_string(packaging.join("Containerfile")).expect("the file").replace("\\\n", " ");
    let known = [
        "FROM",
        "RUN",
        "WORKDIR",
        "COPY",
        "VOLUME",
        "EXPOSE",
        "USER",
        "STOPSIGNAL",
        "HEALTHCHECK",
        "ENTRYPOINT",
        "CMD",
    ];
    for line in container.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let word = line.split(' ').next().unwrap_or_default();
        assert!(known.contains(&word), "{line}");
    }
    if run(Command::new("sh").args(["-c", "command -v systemd-analyze"])).code != 0 {
        println!("there is no systemd-analyze: the units are not tried");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    for unit in ["waxwing.service", "waxwing.socket"] {
        let text = fs::read_to_string(packaging.join(unit))
            .expect("the unit")
            .replace("/usr/bin/waxwing", "/bin/true");
        let text: String = text
            .lines()
            .filter(|line| !line.starts_with("Documentation="))
            .map(|line| format!("{line}\n"))
            .collect();
        fs::write(folder.path().join(unit), text).expect("a unit");
    }
    let unit = folder.path().join("waxwing.service");
    let verified = run(Command::new("systemd-analyze")
        .arg("verify")
        .arg(&unit)
        .arg(folder.path().join("waxwing.socket")));
    assert!(!verified.err.contains("waxwing"), "{}", verified.err);
    let judged = run(Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=18"])
        .arg(&unit));
    assert_eq!(judged.code, 0, "{}", judged.out.lines().last().unwrap_or_default());
}
