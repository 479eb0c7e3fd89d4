//! `session`: who is connected, and the notes that its plugins leave each other.
//!
//! In `lifecycle.init` there is no session: texts are empty, numbers 0, and notes are not kept.

use hooks::SessionFacts;

use crate::bindings::waxwing::mail::session::Host;
use crate::state::State;

impl State {
    fn of_session<T: Default>(&self, fact: impl FnOnce(&SessionFacts) -> T) -> T {
        self.session.as_deref().map(fact).unwrap_or_default()
    }
}

impl Host for State {
    fn id(&mut self) -> String {
        self.of_session(|session| session.id.to_string())
    }

    fn listener(&mut self) -> String {
        self.of_session(|session| session.listener.to_string())
    }

    fn peer_ip(&mut self) -> String {
        self.of_session(|session| session.peer.ip().to_canonical().to_string())
    }

    fn peer_port(&mut self) -> u16 {
        self.of_session(|session| session.peer.port())
    }

    fn peer_name(&mut self) -> Option<String> {
        self.of_session(|session| session.peer_name.clone())
    }

    fn helo(&mut self) -> Option<String> {
        self.of_session(|session| session.helo.clone())
    }

    fn tls_version(&mut self) -> Option<String> {
        self.of_session(|session| session.tls.as_ref().map(|tls| tls.version.clone()))
    }

    fn tls_cipher(&mut self) -> Option<String> {
        self.of_session(|session| session.tls.as_ref().map(|tls| tls.cipher.clone()))
    }

    fn auth_user(&mut self) -> Option<String> {
        self.of_session(|session| session.auth_user.clone())
    }

    fn auth_mechanism(&mut self) -> Option<String> {
        self.of_session(|session| session.auth_mechanism.clone())
    }

    fn may_relay(&mut self) -> bool {
        self.of_session(|session| session.may_relay)
    }

    fn protocol(&mut self) -> String {
        self.of_session(|session| session.protocol.name().to_owned())
    }

    fn server_name(&mut self) -> String {
        self.of_session(|session| session.server_name.to_string())
    }

    fn local_ip(&mut self) -> String {
        self.of_session(|session| session.local.ip().to_canonical().to_string())
    }

    fn local_port(&mut self) -> u16 {
        self.of_session(|session| session.local.port())
    }

    fn tls_server_name(&mut self) -> Option<String> {
        self.of_session(|session| session.tls.as_ref().and_then(|tls| tls.server_name.clone()))
    }

    fn tls_client_names(&mut self) -> Vec<String> {
        self.of_session(|session| {
            session.tls.as_ref().map(|tls| tls.client_names.clone()).unwrap_or_default()
        })
    }

    fn note(&mut self, key: String) -> Option<String> {
        self.notes.lock().get(&key).cloned()
    }

    fn set_note(&mut self, key: String, value: String) {
        let limits = &self.plugin.limits;
        let mut notes = self.notes.lock();
        let is_room = notes.contains_key(&key) || notes.len() < limits.notes_per_session;
        if !is_room || key.len() + value.len() > limits.note_octets {
            drop(notes);
            tracing::warn!(plugin = %self.plugin.name, hook = self.hook, "a note over its limit was not kept");
            return;
        }
        notes.insert(key, value);
    }
}
