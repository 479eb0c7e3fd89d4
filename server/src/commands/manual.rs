//! `completions` and `manual`: what shells and `man` know of the command line, made from the command line itself.
//!
//! Pages: one of section 1 for each command, and `waxwing.toml(5)`, made of the table that the configuration is read with.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};
use config::{Default, SECTIONS};

use super::output::{output, print};
use crate::cli::{Cli, Completions, Manual};

const NAME: &str = "waxwing";
const TITLE: &str = "Waxwing";

/// Prints the script of a shell.
pub(crate) fn completions(options: &Completions) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut command(), NAME, &mut script);
    Ok(std::io::Write::write_all(&mut output(), &script)?)
}

/// Writes every page, and says how many.
pub(crate) fn manual(options: &Manual) -> Result<()> {
    let dir = &options.dir;
    let named = || format!("cannot write into {}", dir.display());
    fs::create_dir_all(dir).with_context(named)?;
    let mut command = command();
    command.build();
    let mut pages = 1 + write_pages(&command, dir).with_context(named)?;
    fs::write(dir.join("waxwing.toml.5"), configuration()).with_context(named)?;
    for (alias, page) in [
        ("mailq.1", "waxwing-sendmail.1"),
        ("newaliases.1", "waxwing-sendmail.1"),
        ("sendmail.1", "waxwing-sendmail.1"),
    ] {
        if dir.join(page).exists() {
            fs::write(dir.join(alias), format!(".so man1/{page}\n")).with_context(named)?;
            pages += 1;
        }
    }
    print(&format!("{pages} pages in {}\n", dir.display()))
}

fn command() -> clap::Command {
    Cli::command().disable_help_subcommand(true)
}

/// The pages of a command and of those below it.
fn write_pages(command: &clap::Command, dir: &Path) -> std::io::Result<usize> {
    let mut pages = 1;
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        pages += write_pages(below, dir)?;
    }
    let page =
        Man::new(command.clone()).source(format!("{TITLE} {}", env!("CARGO_PKG_VERSION"))).manual(TITLE);
    let mut text = Vec::new();
    page.render(&mut text)?;
    closing().to_writer(&mut text)?;
    fs::write(dir.join(page.get_filename()), text)?;
    Ok(pages)
}

/// What is the same for every command.
fn closing() -> Roff {
    let mut page = Roff::new();
    page.control("SH", ["EXIT STATUS"]);
    page.text([roman("0 when it was done, 1 when it was refused or failed, 2 for wrong usage. sendmail exits as sysexits.h has it.")]);
    page.control("SH", ["FILES"]);
    page.text([
        bold("./waxwing.toml"),
        roman(", then "),
        bold("/etc/waxwing/waxwing.toml"),
        roman(": the configuration, unless --config names another."),
    ]);
    page.control("SH", ["SEE ALSO"]);
    page.text([bold("waxwing"), roman("(1), "), bold("waxwing.toml"), roman("(5)")]);
    page
}

/// waxwing.toml(5).
fn configuration() -> String {
    let mut page = Roff::new();
    page.control("TH", ["waxwing.toml", "5", "", TITLE, TITLE]);
    page.control("SH", ["NAME"]);
    page.text([roman("waxwing.toml - the configuration of Waxwing, a mail server")]);
    page.control("SH", ["DESCRIPTION"]);
    page.text([roman(
        "One TOML file. waxwing check reads it as the server would and says everything that is wrong with it; a key that is not listed here \
         is refused. Relative paths start at the folder of the file. A size is a number of octets or a text such as \"25 MiB\"; a time span is \
         a text such as \"30s\", \"5m\" or \"5d\". waxwing reload, or the signal SIGHUP, reads the file again; a file with a fault changes \
         nothing.",
    )]);
    for section in SECTIONS {
        page.control("SH", [section.written.replace('`', "").to_uppercase().as_str()]);
        page.text([roman(section.doc.replace('`', ""))]);
        for key in section.keys {
            page.control("TP", []);
            page.text([bold(key.name), roman(" = "), italic(key.takes.replace('`', ""))]);
            let mut text = String::new();
            // Writing to a string cannot fail.
            let _ = match key.default {
                Default::Toml(value) => write!(text, " [{value}]"),
                Default::Words(words) => write!(text, " [{}]", words.replace('`', "")),
                Default::Required => write!(text, " [required]"),
            };
            page.text([roman(format!("{}{text}", key.doc.replace('`', "")))]);
        }
    }
    page.control("SH", ["SEE ALSO"]);
    page.text([bold("waxwing"), roman("(1), "), bold("waxwing-check"), roman("(1)")]);
    page.to_roff()
}
