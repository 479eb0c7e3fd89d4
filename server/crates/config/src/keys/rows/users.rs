//! The rows of the tables about users and how they authenticate.

use super::{COUNT, FLAG, PATH, SPAN, TABLE, TEXT, key, optional, required};
use crate::keys::Section;

pub(super) const USER: Section = Section {
    name: "user",
    written: "`[[user]]`",
    doc: "Somebody who may authenticate with AUTH, and then send. A user without a password may have a certificate, or a token of \
          `[auth.oauth]`.",
    keys: &[
        required(
            "name",
            "address",
            "What the user authenticates as, as in `\"alice@example.org\"`, and may send from. Upper and lower case are the same.",
        ),
        optional(
            "password-hash",
            "list of password records",
            "no password",
            "What `waxwing passwd` prints: `$argon2id$...` for PLAIN and LOGIN, `SCRAM-SHA-256$...` for SCRAM as well. Any of \
             them opens; at most 8. Who reads a record can try passwords on it: keep the file from others.",
        ),
        key(
            "senders",
            "list of addresses and domains",
            "[]",
            "What the user may send from beside `name` and its subaddresses, as in `[\"sales@example.org\", \
             \"@lists.example.org\"]`; a domain does not stand for those below it.",
        ),
        key(
            "certificate",
            "list of texts",
            "[]",
            "Identities in a client certificate that stand for the user, for EXTERNAL. Each is one user's.",
        ),
    ],
};

pub(super) const USERS_FILE: Section = Section {
    name: "users-file",
    written: "The file that `users-file` names",
    doc: "TOML as well, with nothing but users, so that it can have another owner and other permissions. `waxwing reload` reads it \
          again; a change without a reload counts for nothing.",
    keys: &[optional("user", "tables", "none", "As `[[user]]` here; a name that is there too is refused.")],
};

pub(super) const AUTH: Section = Section {
    name: "auth",
    written: "`[auth]`",
    doc: "How users authenticate.",
    keys: &[
        optional(
            "mechanisms",
            "list of SCRAM-SHA-256-PLUS, SCRAM-SHA-256, EXTERNAL, OAUTHBEARER, XOAUTH2, PLAIN, LOGIN",
            "all that serve every user",
            "What may be used, where it can be: PLUS over TLS, EXTERNAL with a client's certificate, tokens with `[auth.oauth]`. \
             Where the key is absent, SCRAM is offered once every user with a password has a SCRAM record, as clients that \
             prefer it could not log in otherwise. Others are refused with 534 5.7.9.",
        ),
        key(
            "plaintext-without-tls",
            FLAG,
            "false",
            "Whether PLAIN, LOGIN and tokens may be used without TLS (else 538 5.7.11): anybody on the way can then log in as the \
             user. For tests.",
        ),
        optional("limits", TABLE, "defaults", "How often a client may fail; see `[auth.limits]`."),
        optional("oauth", TABLE, "no tokens", "Whose tokens count; see `[auth.oauth]`."),
    ],
};

pub(super) const AUTH_LIMITS: Section = Section {
    name: "auth.limits",
    written: "`[auth.limits]`",
    doc: "How often a client may fail; over it AUTH is answered 454 4.7.0, whatever the password. A client is an IPv4 address or an \
          IPv6 /64.",
    keys: &[
        key("failures-per-user", COUNT, "10", "Failures of one client for one name within `user-window`."),
        key("user-window", SPAN, "\"15m\"", "How long such a failure counts; a success forgets them."),
        key("failures-per-address", COUNT, "50", "Failures of one client within `address-window`."),
        key("address-window", SPAN, "\"1h\"", "How long such a failure counts."),
        key(
            "entries",
            COUNT,
            "50000",
            "Clients, and names of clients, that are remembered; the oldest are forgotten first.",
        ),
    ],
};

pub(super) const OAUTH: Section = Section {
    name: "auth.oauth",
    written: "`[auth.oauth]`",
    doc: "Tokens of an issuer, for OAUTHBEARER and XOAUTH2: signed JWTs, which have to have `iss`, `aud` and `exp`. The user whom a \
          token names has to be one of `[[user]]`.",
    keys: &[
        required("issuer", TEXT, "What every token has as `iss`."),
        required("audience", "list of texts", "One of them has to be in a token's `aud`."),
        required("keys", "list of tables", "What tokens are signed with, at most 32; see `keys`."),
        key("user-claim", TEXT, "\"email\"", "The claim that has the user's name."),
        optional("scope", TEXT, "none", "What a client whose token is refused is told to ask for."),
        optional(
            "openid-configuration",
            TEXT,
            "none",
            "Where a client whose token is refused finds the issuer's endpoints: a URL.",
        ),
    ],
};

pub(super) const OAUTH_KEY: Section = Section {
    name: "auth.oauth.keys",
    written: "`keys = [{ ... }] in [auth.oauth]`",
    doc: "Each has one of `file` and `jwks`. They are read at the start and with each reload.",
    keys: &[
        optional(
            "algorithm",
            "RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, HS256, HS384 or HS512",
            "what the key in `jwks` says",
            "The one algorithm that counts for this key, whatever a token asks for. Needed with `file`.",
        ),
        optional(
            "file",
            PATH,
            "not this",
            "A public key in PEM; for HS256 and its like a secret of 32 octets or more.",
        ),
        optional("jwks", PATH, "not this", "A JSON Web Key set; its keys have their own ids."),
        optional("id", TEXT, "any", "The token's `kid`; with `file`."),
    ],
};
