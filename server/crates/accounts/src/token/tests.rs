//! Tokens that count, and those that do not.

use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER as OTHER;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::*;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;

const NOW_S: u64 = 1_800_000_000;
const SECRET: &[u8] = b"a secret of the issuer, 32 octets or more";

/// A token, signed by another implementation than the one that verifies.
pub(crate) fn sign(header: Header, claims: &Value, key: &EncodingKey) -> String {
    let part = |value: &Value| BASE64URL.encode(value.to_string());
    let message = format!("{}.{}", part(&serde_json::to_value(&header).unwrap()), part(claims));
    let signer = (OTHER.signer_factory)(&header.alg, key).unwrap();
    let signature = signer.sign(message.as_bytes());
    format!("{message}.{}", BASE64URL.encode(signature))
}

fn secret_key() -> TokenKey {
    TokenKey::from_file(None, "HS256".parse().unwrap(), SECRET).unwrap()
}

fn options(keys: Vec<TokenKey>) -> TokenOptions {
    TokenOptions {
        issuer: "https://id.example.org".to_owned(),
        audience: vec!["mail".to_owned(), "other".to_owned()],
        keys,
        user_claim: "email".to_owned(),
        scope: None,
        openid_configuration: None,
    }
}

/// The claims of a good token, with changes; null takes a claim away.
fn claims(changes: Value) -> Value {
    let mut claims = json!({
        "iss": "https://id.example.org", "aud": ["web", "mail"], "exp": NOW_S + 600, "nbf": NOW_S - 10,
        "email": "alice@example.org",
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        }
    }
    claims
}

fn verify(options: &TokenOptions, token: &str) -> Result<String, TokenError> {
    options.verify(token, Timestamp(NOW_S * 1000))
}

fn says(changes: Value) -> Result<String, TokenError> {
    let token = sign(Header::default(), &claims(changes), &EncodingKey::from_secret(SECRET));
    verify(&options(vec![secret_key()]), &token)
}

#[test]
fn a_good_token_names_its_user() {
    assert_eq!(says(json!({})).unwrap(), "alice@example.org");
    assert_eq!(
        says(json!({ "aud": "other", "nbf": null, "email_verified": true })).unwrap(),
        "alice@example.org"
    );
}

#[test]
fn every_claim_counts() {
    for changes in [
        json!({ "iss": "https://other.example" }),
        json!({ "iss": null }),
        json!({ "aud": "web" }),
        json!({ "aud": [] }),
        json!({ "aud": null }),
        json!({ "exp": null }),
    ] {
        assert!(matches!(says(changes.clone()), Err(TokenError::Refused(_))), "{changes}");
    }
    for changes in
        [json!({ "exp": NOW_S - LEEWAY_S }), json!({ "nbf": NOW_S + LEEWAY_S + 1 }), json!({ "nbf": "soon" })]
    {
        assert_eq!(says(changes.clone()), Err(TokenError::Time), "{changes}");
    }
    assert!(says(json!({ "exp": "never" })).is_err());
    assert!(says(json!({ "exp": NOW_S - LEEWAY_S + 1, "nbf": NOW_S + LEEWAY_S })).is_ok());
    assert_eq!(says(json!({ "email": null })), Err(TokenError::NoUser("email".to_owned())));
    assert_eq!(says(json!({ "email": 5 })), Err(TokenError::NoUser("email".to_owned())));
    assert_eq!(says(json!({ "email_verified": false })), Err(TokenError::Unverified));
}

#[test]
fn a_token_without_a_signature_or_with_a_changed_one_is_refused() {
    let options = options(vec![secret_key()]);
    let good = sign(Header::default(), &claims(json!({})), &EncodingKey::from_secret(SECRET));
    assert!(verify(&options, &good).is_ok());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let payload = message.split_once('.').unwrap().1;
    for header in ["{\"alg\":\"none\"}", "{\"alg\":\"NONE\"}", "{\"alg\":\"\"}", "{}", "[]"] {
        for signature in ["", signature] {
            let token = format!("{}.{payload}.{signature}", BASE64URL.encode(header));
            assert!(matches!(verify(&options, &token), Err(TokenError::Unreadable(_))), "{header}");
        }
    }
    for bad in
        ["", ".", "..", "a.b.c", message, &format!("{message}."), &good[..good.len() - 2], &"x".repeat(9000)]
    {
        assert!(verify(&options, bad).is_err(), "{bad}");
    }
    let other = EncodingKey::from_secret(b"a secret of somebody else, 32 octets or more");
    let token = sign(Header::default(), &claims(json!({})), &other);
    assert!(matches!(verify(&options, &token), Err(TokenError::Refused(_))));
}

#[test]
fn what_is_critical_and_not_known_is_refused() {
    let header = Header { crit: Some(vec!["exp".to_owned()]), ..Header::default() };
    let token = sign(header, &claims(json!({})), &EncodingKey::from_secret(SECRET));
    assert!(matches!(verify(&options(vec![secret_key()]), &token), Err(TokenError::Unreadable(_))));
}

/// A pair of keys as PEM: what signs, and what verifies.
fn p256() -> (EncodingKey, String) {
    use p256::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};
    let secret = p256::SecretKey::random(&mut rsa::rand_core::OsRng);
    let private = secret.to_pkcs8_pem(LineEnding::LF).unwrap();
    let public = secret.public_key().to_public_key_pem(LineEnding::LF).unwrap();
    (EncodingKey::from_ec_pem(private.as_bytes()).unwrap(), public)
}

fn rsa_2048() -> (EncodingKey, rsa::RsaPublicKey) {
    use rsa::pkcs8::{EncodePrivateKey, LineEnding};
    let private = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
    let pem = private.to_pkcs8_pem(LineEnding::LF).unwrap();
    (EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap(), private.to_public_key())
}

#[test]
fn a_public_key_is_no_secret_for_another_algorithm() {
    let (private, public) = p256();
    let key = TokenKey::from_file(None, "ES256".parse().unwrap(), public.as_bytes()).unwrap();
    let options = options(vec![key]);
    let good = sign(Header::new(Algorithm::ES256), &claims(json!({})), &private);
    assert_eq!(verify(&options, &good).unwrap(), "alice@example.org");
    // Whoever has the public key has what an HMAC would be made with.
    let forged = sign(Header::default(), &claims(json!({})), &EncodingKey::from_secret(public.as_bytes()));
    assert_eq!(verify(&options, &forged), Err(TokenError::NoKey));
    let (other, _) = p256();
    let foreign = sign(Header::new(Algorithm::ES256), &claims(json!({})), &other);
    assert!(matches!(verify(&options, &foreign), Err(TokenError::Refused(_))));
    assert!(matches!(
        TokenKey::from_file(None, "RS256".parse().unwrap(), public.as_bytes()),
        Err(TokenKeyError::Pem(..))
    ));
}

#[test]
fn keys_of_a_set_are_found_by_their_ids() {
    use rsa::pkcs8::{EncodePublicKey, LineEnding};
    use rsa::traits::PublicKeyParts;
    let (private, public) = rsa_2048();
    let numbers = |key: &rsa::RsaPublicKey| {
        (BASE64URL.encode(key.n().to_bytes_be()), BASE64URL.encode(key.e().to_bytes_be()))
    };
    let (n, e) = numbers(&public);
    let set = json!({ "keys": [
        { "kty": "RSA", "kid": "new", "use": "sig", "alg": "PS256", "n": n, "e": e },
        { "kty": "RSA", "kid": "old", "n": n, "e": e },
        { "kty": "RSA", "kid": "enc", "use": "enc", "alg": "RSA-OAEP", "n": n, "e": e },
    ]});
    let keys = TokenKey::from_jwks(None, set.to_string().as_bytes()).unwrap();
    assert_eq!(keys.len(), 2);
    let options = options(keys);
    let signed = |algorithm, kid: Option<&str>| {
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
        verify(&options, &sign(header, &claims(json!({})), &private))
    };
    for (algorithm, kid) in
        [(Algorithm::PS256, Some("new")), (Algorithm::RS256, Some("old")), (Algorithm::RS256, None)]
    {
        assert!(signed(algorithm, kid).is_ok(), "{algorithm:?} {kid:?}");
    }
    for (algorithm, kid) in [
        (Algorithm::RS256, Some("new")),
        (Algorithm::PS256, Some("old")),
        (Algorithm::RS256, Some("enc")),
        (Algorithm::RS512, None),
    ] {
        assert_eq!(signed(algorithm, kid), Err(TokenError::NoKey), "{algorithm:?} {kid:?}");
    }
    let pem = public.to_public_key_pem(LineEnding::LF).unwrap();
    let key = TokenKey::from_file(None, "RS512".parse().unwrap(), pem.as_bytes()).unwrap();
    let token = sign(Header::new(Algorithm::RS512), &claims(json!({})), &private);
    assert!(verify(&self::options(vec![key]), &token).is_ok());
}

#[test]
fn a_set_with_a_key_that_cannot_be_what_it_says_is_refused() {
    let read =
        |key: Value| TokenKey::from_jwks(None, json!({ "keys": [key] }).to_string().as_bytes()).unwrap_err();
    let secret = BASE64URL.encode(SECRET);
    assert!(matches!(
        read(json!({ "kty": "RSA", "kid": "a", "alg": "HS256", "n": "AQAB", "e": "AQAB" })),
        TokenKeyError::OtherAlgorithm { .. }
    ));
    assert!(matches!(
        read(json!({ "kty": "oct", "kid": "a", "alg": "RS256", "k": secret })),
        TokenKeyError::OtherAlgorithm { .. }
    ));
    assert_eq!(
        read(json!({ "kty": "oct", "kid": "a", "k": secret })),
        TokenKeyError::NoAlgorithm("a".to_owned())
    );
    assert_eq!(read(json!({ "kty": "oct", "alg": "HS256", "k": "AAAA" })), TokenKeyError::ShortSecret);
    assert_eq!(read(json!({ "kty": "RSA", "use": "enc", "n": "AQAB", "e": "AQAB" })), TokenKeyError::NoKeys);
    assert!(matches!(TokenKey::from_jwks(None, b"{}"), Err(TokenKeyError::Jwks(_))));
    let short = TokenKey::from_file(None, "HS256".parse().unwrap(), b"too short\n");
    assert_eq!(short.unwrap_err(), TokenKeyError::ShortSecret);
    assert!(matches!("none".parse::<TokenAlgorithm>(), Err(TokenKeyError::Algorithm(_))));
}
