//! A server with users: a listener of each kind, a certificate, somebody who may log in, and a next hop behind it.

use std::path::PathBuf;

use super::{NextHop, Server, Setup, python, run_with_input};

/// Who may log in.
pub(crate) const USER: &str = "alice@example.org";
/// What with.
pub(crate) const PASSWORD: &str = "correct horse";

/// A server with the listeners `mx`, `submission`, `submissions` and `lmtp`.
pub(crate) struct Users {
    pub(crate) setup: Setup,
    pub(crate) server: Server,
    pub(crate) hop: NextHop,
    /// What clients trust: the server's certificate, for mx.example.org.
    pub(crate) certificate: PathBuf,
}

impl Users {
    pub(crate) fn start() -> Self {
        let hop = NextHop::start();
        let mut setup = Setup::new().smarthost(hop.address);
        let certificate = setup.certificate();
        // One for PLAIN and LOGIN that is slow to guess, and one that SCRAM can use.
        let records = [&["passwd"][..], &["passwd", "--scram"]].map(|arguments| {
            let made = run_with_input(setup.binary().args(arguments), format!("{PASSWORD}\n").as_bytes());
            assert_eq!(made.code, 0, "{}", made.err);
            format!("'{}'", made.out.trim())
        });
        let mut setup = setup
            .set("[listener]", "tls = \"starttls\"")
            .block(&format!(
                "[[user]]\nname = \"{USER}\"\npassword-hash = [{}]\nsenders = [\"sales@example.org\"]",
                records.join(", ")
            ))
            .block("[[listener]]\nname = \"lmtp\"\nbind = \"127.0.0.1:0\"\nkind = \"lmtp\"");
        for (name, tls) in [("submission", "starttls"), ("submissions", "implicit")] {
            setup = setup.block(&format!(
                "[[listener]]\nname = \"{name}\"\nbind = \"127.0.0.1:0\"\nkind = \"submission\"\ntls = \"{tls}\"\nhide-client = true"
            ));
        }
        let server = setup.start();
        Self { setup, server, hop, certificate }
    }

    /// Runs a Python script that finds the ports of the listeners in `ports`, by their names.
    #[track_caller]
    pub(crate) fn python(&self, script: &str) -> String {
        let ports = ["mx", "submission", "submissions", "lmtp"]
            .map(|name| format!("{name:?}: {}", self.server.listener(name).port()))
            .join(", ");
        let head = format!(
            "import base64, smtplib, socket, ssl\nports = {{{ports}}}\n\
             context = ssl.create_default_context(cafile={:?})\ncontext.check_hostname = False\n",
            self.certificate
        );
        python(&format!("{head}{script}"), &[])
    }
}
