//! Every mechanism against the client's side of another implementation.

use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::mechanisms::oauthbearer::properties::OAuthBearerErrored;
use rsasl::mechanisms::scram::SCRAM_SHA256_PLUS;
use rsasl::mechanisms::xoauth2::properties::XOAuth2Error;
use rsasl::prelude::{
    Mechanism as ClientMechanism, Mechname, Registry, SASLClient, SASLConfig, SessionError,
};
use rsasl::property::{
    AuthId, AuthzId, ChannelBindings, OAuthBearerKV, OAuthBearerToken, OverrideCBType, Password,
};

use super::*;

/// What the client knows.
#[derive(Clone, Default)]
struct Client {
    name: &'static str,
    password: &'static str,
    authorization: Option<&'static str>,
    token: String,
    binding: Option<(&'static str, Vec<u8>)>,
}

impl SessionCallback for Client {
    fn enable_channel_binding(&self) -> bool {
        self.binding.is_some()
    }

    fn callback(
        &self,
        _session: &SessionData,
        _context: &Context<'_>,
        request: &mut Request<'_>,
    ) -> Result<(), SessionError> {
        request.satisfy::<AuthId>(self.name)?.satisfy::<Password>(self.password.as_bytes())?;
        if let Some(authorization) = self.authorization {
            request.satisfy::<AuthzId>(authorization)?;
        }
        if let Some((kind, data)) = &self.binding {
            request.satisfy::<OverrideCBType>(kind)?.satisfy::<ChannelBindings>(data)?;
        }
        request.satisfy::<OAuthBearerKV>(&[("host", "mx.example.org"), ("port", "587")])?;
        request.satisfy::<OAuthBearerToken>(&self.token)?;
        // Refusals are for the person at the client; to take them is to have shown them.
        let _ = request.get_action::<OAuthBearerErrored>();
        let _ = request.get_action::<XOAuth2Error>();
        Ok(())
    }
}

impl Client {
    fn new(name: &'static str, password: &'static str) -> Self {
        Self { name, password, ..Self::default() }
    }

    /// Runs the exchange; the client checks what the server says as well.
    fn logs_in(&self, authenticator: &Authenticator, mechanism: &str) -> Result<String, Failure> {
        // The client's own defaults have no mechanism that binds.
        static PLUS: &[ClientMechanism] = &[SCRAM_SHA256_PLUS];
        let registry =
            if self.binding.is_some() { Registry::with_mechanisms(PLUS) } else { Registry::default() };
        let config = SASLConfig::builder().with_registry(registry).with_callback(self.clone()).unwrap();
        let sasl = SASLClient::new(config);
        let mut client = sasl.start_suggested(&[Mechname::parse(mechanism.as_bytes()).unwrap()]).unwrap();
        let mut exchange = authenticator.begin(mechanism, channel(), moment()).unwrap();
        let mut challenge: Option<Vec<u8>> = None;
        if !client.are_we_first() {
            match exchange.step(None) {
                Step::Challenge(next, asked) => (exchange, challenge) = (next, Some(asked)),
                step => return outcome(step).map_err(|(_, failure)| failure),
            }
        }
        loop {
            let mut response = Vec::new();
            client.step(challenge.as_deref(), &mut response).expect("a client that goes on");
            match exchange.step(Some(&response)) {
                Step::Challenge(next, asked) => (exchange, challenge) = (next, Some(asked)),
                step => return outcome(step).map_err(|(_, failure)| failure),
            }
        }
    }
}

const ALICE: &str = "alice@example.org";

#[test]
fn plain_and_login_let_in_who_knows_the_password() {
    let authenticator = authenticator();
    for mechanism in ["PLAIN", "LOGIN"] {
        let says = |name, password| Client::new(name, password).logs_in(&authenticator, mechanism);
        assert_eq!(says(ALICE, PASSWORD).unwrap(), "Alice@example.org", "{mechanism}");
        assert_eq!(says("ALICE@Example.ORG", PASSWORD).unwrap(), "Alice@example.org", "{mechanism}");
        assert_eq!(says("bob@example.org", "hunter22").unwrap(), "bob@example.org", "{mechanism}");
        for (name, password) in [
            (ALICE, "correct horsE"),
            ("bob@example.org", PASSWORD),
            ("carol@example.org", PASSWORD),
            ("nobody@example.org", PASSWORD),
            ("alice", PASSWORD),
        ] {
            assert_eq!(says(name, password), Err(Failure::Credentials), "{mechanism} {name}");
        }
    }
}

#[test]
fn passwords_are_the_same_whatever_keyboard_wrote_them() {
    // Composed and decomposed, and a space that is another one (RFC 4013 section 2.1 and 2.2).
    let user = User {
        records: vec![Record::argon2id("gru\u{308}n\u{a0}er").unwrap(), Record::scram("grün er").unwrap()],
        ..User::new(mailbox(ALICE))
    };
    let directory = Directory::new(vec![user]).unwrap();
    let authenticator = Authenticator::new(AuthOptions { directory, ..options() }, Secret([1; 32]));
    for mechanism in ["PLAIN", "LOGIN", "SCRAM-SHA-256"] {
        let client = Client::new(ALICE, "gr\u{fc}n er");
        assert!(client.logs_in(&authenticator, mechanism).is_ok(), "{mechanism}");
    }
}

#[test]
fn scram_lets_in_who_knows_the_password() {
    let authenticator = authenticator();
    for (mechanism, binding) in [
        ("SCRAM-SHA-256", None),
        ("SCRAM-SHA-256-PLUS", Some(("tls-exporter", EXPORTER.to_vec()))),
        ("SCRAM-SHA-256-PLUS", Some(("tls-server-end-point", vec![9; 32]))),
    ] {
        let says = |name, password| {
            let client = Client { binding: binding.clone(), ..Client::new(name, password) };
            client.logs_in(&authenticator, mechanism)
        };
        assert_eq!(says(ALICE, PASSWORD).unwrap(), "Alice@example.org", "{mechanism}");
        for (name, password) in [
            (ALICE, "correct horsE"),
            ("bob@example.org", "hunter22"),
            ("nobody@example.org", PASSWORD),
            ("no=bo,dy", PASSWORD),
        ] {
            assert_eq!(says(name, password), Err(Failure::Credentials), "{mechanism} {name}");
        }
    }
}

#[test]
fn scram_plus_refuses_what_was_bound_to_another_connection() {
    let authenticator = authenticator();
    for binding in [
        ("tls-exporter", vec![8; 32]),
        ("tls-server-end-point", EXPORTER.to_vec()),
        ("tls-unique", vec![1; 12]),
    ] {
        let client = Client { binding: Some(binding), ..Client::new(ALICE, PASSWORD) };
        assert_eq!(client.logs_in(&authenticator, "SCRAM-SHA-256-PLUS"), Err(Failure::Credentials));
    }
}

#[test]
fn tokens_let_in_whom_the_issuer_names() {
    let authenticator = authenticator();
    for mechanism in ["OAUTHBEARER", "XOAUTH2"] {
        let says = |name, token: String| {
            let authorization = (mechanism == "OAUTHBEARER").then_some(name);
            Client { token, authorization, ..Client::new(name, "") }.logs_in(&authenticator, mechanism)
        };
        assert_eq!(says(ALICE, token(serde_json::json!({}))).unwrap(), "Alice@example.org");
        let nobody = token(serde_json::json!({ "email": "nobody@example.org" }));
        for (name, token) in [
            ("bob@example.org", token(serde_json::json!({}))),
            ("nobody@example.org", nobody),
            (ALICE, "x.y.z".to_owned()),
            (ALICE, token(serde_json::json!({ "iss": "https://other.example" }))),
        ] {
            assert_eq!(says(name, token), Err(Failure::Credentials), "{mechanism} {name}");
        }
    }
}

#[test]
fn external_lets_in_whom_the_certificate_names() {
    let authenticator = authenticator();
    let says =
        |authorization| Client { authorization, ..Client::new("", "") }.logs_in(&authenticator, "EXTERNAL");
    assert_eq!(says(None).unwrap(), "Alice@example.org");
    assert_eq!(says(Some(ALICE)).unwrap(), "Alice@example.org");
    assert_eq!(says(Some("bob@example.org")), Err(Failure::Credentials));
}

#[test]
fn nobody_may_act_for_somebody_else() {
    let authenticator = authenticator();
    for mechanism in ["PLAIN", "SCRAM-SHA-256"] {
        let says = |authorization| {
            let client = Client { authorization: Some(authorization), ..Client::new(ALICE, PASSWORD) };
            client.logs_in(&authenticator, mechanism)
        };
        assert_eq!(says("Alice@EXAMPLE.org").unwrap(), "Alice@example.org", "{mechanism}");
        assert_eq!(says("bob@example.org"), Err(Failure::Credentials), "{mechanism}");
    }
}
