//! Refuses messages by what is attached to them: file names and media types.
//!
//! Names are those that any receiver's program might show, decoded from RFC 2047 and RFC 2231; where the header of a part
//! gives several names or types, every one of them counts. Trailing dots, spaces and slashes, what stands behind a NUL or
//! a colon, and invisible characters, which turn a name's reading around, do not hide an extension.
//!
//! Settings (patterns: `*` stands for any characters, `?` for one; case does not matter):
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `forbid-names` | programs and scripts, see the source | patterns of file names |
//! | `forbid-types` | ["application/x-msdownload", "application/x-msdos-program", "application/hta"] | patterns of media types |
//! | `allow-names` | [] | exceptions from `forbid-names` |
//! | `double-extensions` | false | also when a forbidden extension is followed by another: `setup.exe.txt` |
//! | `action` | "reject" | or "quarantine", "tempfail" |
//! | `text` | "attachment {name} is not accepted here" | for the client; {name}, {type} |
//! | `exempt-authenticated` | false | let users who have authenticated send anything |
//!
//! Attached messages are looked into, and so are those within them.
//!
//! Known gaps: it does not look into archives.

mod nested;
mod said;

use said::Said;
use serde::Deserialize;
use waxwing_plugin::body::Part;
use waxwing_plugin::pattern::{fits, fits_any};
use waxwing_plugin::prelude::*;

/// What Windows, macOS and mail programs run when it is opened.
const PROGRAMS: &[&str] = &[
    "ace",
    "apk",
    "app",
    "appx",
    "application",
    "bat",
    "chm",
    "cmd",
    "com",
    "cpl",
    "dll",
    "dmg",
    "exe",
    "hta",
    "img",
    "ins",
    "iso",
    "isp",
    "jar",
    "js",
    "jse",
    "lib",
    "lnk",
    "mde",
    "msc",
    "msi",
    "msix",
    "msp",
    "mst",
    "nsh",
    "pif",
    "ps1",
    "reg",
    "scr",
    "sct",
    "shb",
    "sys",
    "vb",
    "vbe",
    "vbs",
    "vhd",
    "vxd",
    "wsc",
    "wsf",
    "wsh",
    "xll",
];

/// The most characters of a name that are repeated to the client.
const NAME_SHOWN: usize = 80;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Settings {
    forbid_names: Vec<String>,
    forbid_types: Vec<String>,
    allow_names: Vec<String>,
    double_extensions: bool,
    action: Action,
    text: String,
    exempt_authenticated: bool,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Action {
    Reject,
    Tempfail,
    Quarantine,
}

impl Default for Settings {
    fn default() -> Self {
        let types = ["application/x-msdownload", "application/x-msdos-program", "application/hta"];
        Settings {
            forbid_names: PROGRAMS.iter().map(|extension| format!("*.{extension}")).collect(),
            forbid_types: types.map(str::to_owned).to_vec(),
            allow_names: Vec::new(),
            double_extensions: false,
            action: Action::Reject,
            text: "attachment {name} is not accepted here".to_owned(),
            exempt_authenticated: false,
        }
    }
}

#[derive(Debug, Default)]
struct AttachmentPolicy {
    settings: config::Lazy<Settings>,
}

impl Plugin for AttachmentPolicy {
    fn init() -> Result<(), String> {
        config::check::<Settings>()
    }

    fn message(&mut self, cx: &Context) -> Verdict {
        let settings = &*self.settings;
        if settings.exempt_authenticated && cx.auth_user().is_some() {
            return Verdict::Proceed;
        }
        match settings.forbidden(cx) {
            Ok(None) => Verdict::Proceed,
            Ok(Some(forbidden)) => {
                metrics::count("attachment_refused", 1, &[]);
                settings.refusal(&forbidden)
            }
            Err(e) => {
                log::error(&format!("the message cannot be read: {e}"));
                e.into()
            }
        }
    }
}

/// What is not accepted.
struct Forbidden {
    name: String,
    media_type: String,
}

impl Settings {
    /// The first part that is not accepted.
    fn forbidden(&self, cx: &Context) -> Result<Option<Forbidden>, Error> {
        let parts = cx.body().parts();
        for (nth, part) in parts.iter().enumerate() {
            let said = said::said(cx, &parts, nth)?;
            if let Some(forbidden) = self.forbidden_in(part, &said) {
                return Ok(Some(forbidden));
            }
            if nested::is_message(&part.media_type)
                && let Some(forbidden) = self.forbidden_in(part, &nested::said_within(cx, part)?)
            {
                return Ok(Some(forbidden));
            }
        }
        Ok(None)
    }

    fn forbidden_in(&self, part: &Part, said: &Said) -> Option<Forbidden> {
        let mut types = std::iter::once(&part.media_type).chain(&said.types);
        let mut names = part.filename.iter().chain(&said.names);
        let forbidden = |name: &str, media_type: &str| {
            Some(Forbidden { name: name.to_owned(), media_type: media_type.to_owned() })
        };
        if let Some(media_type) = types.find(|media_type| fits_any(&self.forbid_types, media_type)) {
            return forbidden(
                part.filename.as_deref().map_or_else(|| media_type.clone(), plain).as_str(),
                media_type,
            );
        }
        let name = names.find(|name| readings(name).iter().any(|name| self.forbids_name(name)))?;
        forbidden(&plain(name), &part.media_type)
    }

    fn forbids_name(&self, name: &str) -> bool {
        if fits_any(&self.allow_names, name) {
            return false;
        }
        fits_any(&self.forbid_names, name)
            || self.double_extensions
                && self.forbid_names.iter().any(|pattern| fits(&format!("{pattern}.*"), name))
    }

    fn refusal(&self, forbidden: &Forbidden) -> Verdict {
        let shown = |text: &str| -> String {
            text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(NAME_SHOWN).collect()
        };
        let (name, media_type) = (shown(&forbidden.name), shown(&forbidden.media_type));
        let text = self.text.replace("{name}", &name).replace("{type}", &media_type);
        match self.action {
            Action::Reject => Reply::reject(text).into(),
            Action::Tempfail => Reply::tempfail(text).into(),
            Action::Quarantine => Verdict::Quarantine(text),
        }
    }
}

/// A name as the systems read it that would open the file: C's strings end at a NUL, and on Windows a stream of the file
/// is named behind a colon.
fn readings(name: &str) -> Vec<String> {
    let until = |end: char| name.split(end).next().map(plain);
    [Some(plain(name)), until('\0'), until(':')].into_iter().flatten().collect()
}

/// A name without what does not show and what systems ignore at its ends.
fn plain(name: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    let visible: String = name.chars().filter(|&c| !hidden(c)).collect();
    visible.trim_matches(|c: char| matches!(c, '.' | '/' | '\\') || c.is_whitespace()).to_owned()
}

waxwing_plugin::export!(AttachmentPolicy: init, message);

#[cfg(test)]
mod tests {
    use super::*;
    use waxwing_plugin::testing::Server;

    fn verdict(settings: &str, part_header: &str) -> Verdict {
        let message = format!(
            "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nhi\n\
             --b\n{part_header}\n\nTVqQ\n--b--\n"
        );
        let server = Server::new().with_settings(settings);
        assert_eq!(server.load::<AttachmentPolicy>(), Ok(()));
        server.session::<AttachmentPolicy>().send("a@example.org", "b@example.org", message).verdict
    }

    fn is_refused(settings: &str, disposition: &str) -> bool {
        let header = format!(
            "Content-Type: application/octet-stream\nContent-Transfer-Encoding: base64\nContent-Disposition: {disposition}"
        );
        matches!(verdict(settings, &header), Verdict::Reject(_))
    }

    #[test]
    fn programs_are_refused_however_their_name_is_written() {
        for disposition in [
            "attachment; filename=setup.exe",
            "attachment; filename=\"Invoice.PDF.Exe\"",
            "attachment; filename=\"setup.exe. \"",
            "attachment; filename=\"=?utf-8?Q?rechnung=2Eexe?=\"",
            "attachment; filename=\"=?utf-8?B?c2V0dXAuZXhl?=\"",
            "attachment; filename*=utf-8''f%C3%BCr%20dich.scr",
            "attachment; filename*0=\"long-\"; filename*1=\"name.j\"; filename*2=\"s\"",
            "attachment; filename*=utf-8''gpj.%E2%80%AEexe",
            "inline; filename=setup.exe",
        ] {
            assert!(is_refused("{}", disposition), "{disposition}");
        }
        let named = verdict("{}", "Content-Type: application/octet-stream; name=setup.exe");
        assert!(
            matches!(named, Verdict::Reject(reply) if reply.text == "attachment setup.exe is not accepted here")
        );
    }

    #[test]
    fn a_harmless_name_beside_it_does_not_hide_a_program() {
        for disposition in [
            "attachment; filename=ok.txt; filename*=utf-8''setup%2Eexe",
            "attachment; filename=setup.exe; filename*=utf-8''ok.txt",
            "attachment; filename=ok.txt; filename=setup.exe",
            "attachment; filename=setup.exe; filename=ok.txt",
            "attachment; filename=ok.txt; filename*0=setup.; filename*1*=ex%65",
            "attachment; filename=ok.txt; name=\"=?utf-8?B?c2V0dXA=?= =?utf-8?Q?=2Eexe?=\"",
            "attachment; filename=ok.txt\nContent-Disposition: attachment; filename=setup.exe",
            "attachment; filename=setup.exe\nContent-Disposition: attachment;\n filename=ok.txt",
            "attachment; filename=ok.txt\nContent-Type: text/plain; name=setup.exe",
            "attachment; filename=ok.txt\nContent-Type: application/hta",
        ] {
            assert!(is_refused("{}", disposition), "{disposition}");
        }
        let both =
            "Content-Type: text/plain; name=setup.exe\nContent-Disposition: attachment; filename=ok.txt";
        assert!(matches!(verdict("{}", both), Verdict::Reject(reply) if reply.text.contains("setup.exe")));
    }

    #[test]
    fn a_header_that_only_some_programs_understand_counts_too() {
        for disposition in [
            "attachment filename=setup.exe",
            "filename=setup.exe",
            "; filename=setup.exe",
            "attachment; filename=\"setup.exe",
            "attachment (really); filename (of it) = (here) setup.exe (comes)",
            "attachment; filename=\"setup.exe\\\\\"",
            "attachment; filename=\"setup.exe::$DATA\"",
            "attachment; filename=\"setup.exe\0.txt\"",
        ] {
            assert!(is_refused("{}", disposition), "{disposition}");
        }
        let header = "Content-Type: application/x-msdownload and more";
        assert!(matches!(verdict("{}", header), Verdict::Reject(_)));
    }

    #[test]
    fn the_header_of_a_message_that_is_one_part_counts_as_a_whole() {
        let message = "Content-Type: text/plain; name=setup.exe\nContent-Disposition: attachment; filename=ok.txt\n\nTVqQ\n";
        let verdict = Server::new()
            .session::<AttachmentPolicy>()
            .send("a@example.org", "b@example.org", message)
            .verdict;
        assert!(matches!(verdict, Verdict::Reject(_)));
    }

    #[test]
    fn an_attached_message_is_looked_into() {
        let inner = "Subject: inner\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\nhi\n--c\n\
             Content-Type: application/octet-stream\nContent-Disposition: attachment;\n filename=setup.exe\n\nTVqQ\n--c--";
        let attached = format!("Content-Type: message/rfc822\n\n{inner}");
        let twice = "Content-Type: message/rfc822\n\nSubject: outer\nContent-Type: message/rfc822\n\n\
             Subject: inner\nContent-Type: application/octet-stream; name=setup.exe\n\nTVqQ"
            .to_owned();
        for header in [&attached, &twice] {
            assert!(
                matches!(verdict("{}", header), Verdict::Reject(reply) if reply.text.contains("setup.exe")),
                "{header}"
            );
            assert_eq!(
                verdict("{}", &header.replace("setup.exe", "report.pdf")),
                Verdict::Proceed,
                "{header}"
            );
        }
        let quoted = "Content-Type: message/rfc822\n\nSubject: inner\n\nContent-Disposition: attachment; filename=setup.exe";
        assert_eq!(verdict("{}", quoted), Verdict::Proceed, "a text within");
    }

    #[test]
    fn what_a_text_says_about_names_is_no_attachment() {
        let header = "Content-Type: text/plain\n\nContent-Disposition: attachment; filename=setup.exe";
        assert_eq!(verdict("{}", header), Verdict::Proceed);
    }

    #[test]
    fn documents_pass() {
        for disposition in
            ["attachment; filename=report.pdf", "attachment; filename=exercise.txt", "attachment"]
        {
            assert!(!is_refused("{}", disposition), "{disposition}");
        }
    }

    #[test]
    fn a_hidden_forbidden_extension_is_a_matter_of_the_settings() {
        let disposition = "attachment; filename=setup.exe.txt";
        assert!(!is_refused("{}", disposition));
        assert!(is_refused(r#"{"double-extensions": true}"#, disposition));
    }

    #[test]
    fn settings_choose_names_types_exceptions_and_the_verdict() {
        assert!(is_refused(r#"{"forbid-names": ["report*"]}"#, "attachment; filename=Report-7.pdf"));
        assert!(!is_refused(r#"{"allow-names": ["known-*.exe"]}"#, "attachment; filename=known-1.exe"));
        assert!(matches!(
            verdict(r#"{"forbid-types": ["video/*"]}"#, "Content-Type: video/mp4"),
            Verdict::Reject(_)
        ));
        let quarantined = verdict(r#"{"action": "quarantine"}"#, "Content-Type: application/hta");
        assert_eq!(
            quarantined,
            Verdict::Quarantine("attachment application/hta is not accepted here".to_owned())
        );
    }
}
