//! Files that must have a hash, or a signature of somebody whom the configuration names.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hooks::{Request, Verdict};
use plugin_host::{LoadError, Options, Pin, PluginHost, PluginOptions, Services, Signer};
use ring::signature::{Ed25519KeyPair, KeyPair};

use crate::guest::{ACCEPT, REJECT, fixed};
use crate::stage::{Bed, Session};

/// Somebody with a key of minisign's kind.
struct Author {
    key: Ed25519KeyPair,
    id: [u8; 8],
}

impl Author {
    fn new(id: u8) -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
        Self { key: Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap(), id: [id; 8] }
    }

    fn signer(&self) -> Signer {
        let key = [b"Ed", &self.id[..], self.key.public_key().as_ref()].concat();
        Signer::parse(&BASE64_STANDARD.encode(key)).unwrap()
    }

    /// As minisign lays it out.
    fn signs(&self, octets: &[u8]) -> String {
        let signature = self.key.sign(octets);
        let comment = "made by a test";
        let all = self.key.sign(&[signature.as_ref(), comment.as_bytes()].concat());
        format!(
            "untrusted comment: signature\n{}\ntrusted comment: {comment}\n{}\n",
            BASE64_STANDARD.encode([b"Ed", &self.id[..], signature.as_ref()].concat()),
            BASE64_STANDARD.encode(all.as_ref()),
        )
    }
}

fn bed(change: impl FnOnce(&mut Options)) -> Bed {
    let few = |options: &mut Options| {
        options.limits.instances = 4;
        options.history_dir = options.dir.with_file_name("history");
        change(options);
    };
    Bed::open(few, Services::default())
}

fn sign(bed: &Bed, name: &str, text: &str) {
    std::fs::write(bed.options.dir.join(format!("{name}.wasm.minisig")), text).unwrap();
}

#[tokio::test]
async fn only_the_pinned_content_runs() {
    let (first, second) = (fixed(&[("data", ACCEPT)]), fixed(&[("data", REJECT)]));
    let scratch = Bed::with(&[("x", &second)]).await;
    let pin = Pin::parse(&scratch.plugin("x").unwrap().hash.to_uppercase()).unwrap();
    let pinned = PluginOptions { pin: Some(pin), ..PluginOptions::default() };
    let bed = bed(|_| {});
    bed.put("x", &first);
    bed.load().await;
    let mut options = bed.options.clone();
    options.plugins.insert("x".to_owned(), pinned);
    let reports = bed.host.replace_options(options.clone()).await;
    assert!(matches!(reports[0].outcome, Err(LoadError::Pinned { .. })), "{reports:?}");
    assert_eq!(bed.session().ask(Request::Data).await.verdict, Verdict::Accept, "what runs goes on");
    bed.put("x", &second);
    assert_eq!(bed.load().await[0].outcome, Ok(2));
    // At a start nothing else runs, not even what ran last.
    bed.put("x", &first);
    bed.load().await;
    assert!(bed.host.roll_back("x".to_owned(), Some("1".to_owned())).await.unwrap_err().contains("pins"));
    let again = PluginHost::open(options, Services::default()).unwrap();
    assert!(matches!(again.load_all().await[0].outcome, Err(LoadError::Pinned { .. })));
    assert_eq!(
        Session::of(&again).ask(Request::Data).await.verdict.name(),
        "reject",
        "the pinned one is kept"
    );
    assert!(Pin::parse("abc").is_err() && Pin::parse(&"g".repeat(64)).is_err());
}

#[tokio::test]
async fn a_file_needs_the_signature_of_one_of_the_signers() {
    let (ann, bob, eve) = (Author::new(1), Author::new(2), Author::new(3));
    let signers = vec![ann.signer(), bob.signer()];
    let bed = bed(|options| options.signers = signers);
    let content = fixed(&[("data", ACCEPT)]);
    bed.put("x", &content);
    let why = async |bed: &Bed| bed.load().await[0].outcome.clone().map_err(|error| error.to_string());
    assert!(why(&bed).await.unwrap_err().contains("no .minisig file"));
    sign(&bed, "x", "rubbish");
    assert!(why(&bed).await.unwrap_err().contains("none of minisign's"));
    sign(&bed, "x", &eve.signs(&content));
    assert!(why(&bed).await.unwrap_err().contains("none of the signers"));
    sign(&bed, "x", &bob.signs(b"something else"));
    assert!(why(&bed).await.unwrap_err().contains("none of the signers"));
    // The signature alone changes, and the file is looked at again.
    sign(&bed, "x", &bob.signs(&content));
    assert_eq!(why(&bed).await, Ok(1));
    bed.put("x", &fixed(&[("data", REJECT)]));
    assert!(why(&bed).await.is_err());
    assert_eq!(bed.session().ask(Request::Data).await.verdict, Verdict::Accept);
}

#[tokio::test]
async fn a_plugins_own_signers_count_instead_and_what_is_kept_keeps_its_signature() {
    let (ann, bob) = (Author::new(1), Author::new(2));
    let own = PluginOptions { signers: vec![bob.signer()], ..PluginOptions::default() };
    let common = vec![ann.signer()];
    let bed = bed(|options| {
        options.signers = common;
        options.plugins.insert("x".to_owned(), own);
    });
    let (first, second) = (fixed(&[("data", ACCEPT)]), fixed(&[("data", REJECT)]));
    for content in [&first, &second] {
        sign(&bed, "x", &bob.signs(content));
        bed.put("x", content);
        assert!(bed.load().await[0].outcome.is_ok());
    }
    assert_eq!(bed.host.roll_back("x".to_owned(), None).await, Ok(3));
    assert_eq!(bed.session().ask(Request::Data).await.verdict, Verdict::Accept);
    // Nobody's signature but Ann's counts from now on: what is kept cannot run either.
    let mut options = bed.options.clone();
    options.plugins.clear();
    bed.host.replace_options(options.clone()).await;
    let again = PluginHost::open(options, Services::default()).unwrap();
    again.load_all().await;
    assert_eq!(again.status().plugins.len(), 0);
    assert!(Signer::parse("RWnonsense").is_err());
}
