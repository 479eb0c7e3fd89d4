//! What a finished handshake says of a session.

use rustls::{CommonState, ConnectionCommon, ProtocolVersion};

/// The facts of a session over TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// "TLSv1.3" or "TLSv1.2".
    pub version: &'static str,
    /// By its registered name, as "TLS_AES_256_GCM_SHA384".
    pub cipher: String,
    /// The name that the client asked for.
    pub server_name: Option<String>,
    /// Of a client whose certificate an authority vouches for: mail addresses and domain names, or else the common name.
    pub client_identities: Vec<String>,
    /// The channel binding `tls-exporter` (RFC 9266), 32 octets; TLS 1.3 alone has it.
    pub exporter: Option<Vec<u8>>,
    /// The channel binding `tls-server-end-point` (RFC 5929 section 4): the hash of the certificate that is shown.
    pub server_end_point: Option<Vec<u8>>,
}

pub(crate) fn version(connection: &CommonState) -> &'static str {
    match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        // Before the handshake; rustls speaks no other version.
        _ => "TLS",
    }
}

pub(crate) fn cipher(connection: &CommonState) -> String {
    let suite = connection.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()));
    let name = suite.unwrap_or_default();
    // rustls writes TLS13_ before those of TLS 1.3; IANA does not.
    name.strip_prefix("TLS13_").map(|rest| format!("TLS_{rest}")).unwrap_or(name)
}

pub(crate) fn exporter<Data>(connection: &ConnectionCommon<Data>) -> Option<Vec<u8>> {
    //= RFC 9266 section 4.2: TLS 1.2 would need the extended master secret, of which rustls does not tell.
    if connection.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
        return None;
    }
    //= RFC 9266 section 4: this label, an empty context, 32 octets.
    let binding = connection.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(&[]));
    binding.ok().map(|octets: [u8; 32]| octets.to_vec())
}
