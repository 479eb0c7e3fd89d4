use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use dns::{BoxFuture, DnsError, Fake};

use super::*;
use crate::policy::Mode;

const POLICY: &str = "version: STSv1\nmode: enforce\nmx: mx.example.org\nmax_age: 86400\n";

/// Gives one answer to everybody, and counts.
#[derive(Debug)]
struct Host {
    answer: Result<&'static str, Fault>,
    fetches: AtomicUsize,
}

impl Host {
    fn says(answer: Result<&'static str, Fault>) -> Arc<Self> {
        Arc::new(Self { answer, fetches: AtomicUsize::new(0) })
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::Relaxed)
    }
}

impl Fetcher for Host {
    fn fetch<'a>(&'a self, _domain: &'a str) -> BoxFuture<'a, Result<Bytes, Fault>> {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        let answer = self.answer.clone().map(|text| Bytes::from_static(text.as_bytes()));
        Box::pin(async move { answer })
    }
}

fn record(id: &str) -> Arc<Fake> {
    Arc::new(Fake::new().with_txt("_mta-sts.example.org", &format!("v=STSv1; id={id};")))
}

fn finder(folder: &tempfile::TempDir, resolver: Arc<Fake>, host: &Arc<Host>) -> MtaSts {
    MtaSts::new(Options { folder: folder.path().join("mta-sts") }, resolver, host.clone())
}

fn broken() -> Fault {
    Fault::Fetch("mta-sts.example.org: no".to_owned())
}

#[tokio::test]
async fn a_policy_is_fetched_once_for_an_id_and_outlives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::says(Ok(POLICY));
    for _ in 0..2 {
        let sts = finder(&folder, record("1"), &host);
        for _ in 0..2 {
            let found = sts.policy("Example.ORG.").await;
            assert_eq!(found.policy.unwrap().mode, Mode::Enforce);
            assert_eq!(found.fault, None);
        }
    }
    assert_eq!(host.fetches(), 1);
    finder(&folder, record("2"), &host).policy("example.org").await;
    assert_eq!(host.fetches(), 2, "another id");
}

#[tokio::test]
async fn an_earlier_policy_stays_in_force_when_the_new_one_cannot_be_had() {
    let folder = tempfile::tempdir().unwrap();
    finder(&folder, record("1"), &Host::says(Ok(POLICY))).policy("example.org").await;
    for answer in [Err(broken()), Ok("no policy")] {
        let host = Host::says(answer);
        let sts = finder(&folder, record("2"), &host);
        for _ in 0..2 {
            let found = sts.policy("example.org").await;
            assert!(found.policy.is_some() && found.fault.is_some());
        }
        assert_eq!(host.fetches(), 1, "the host is left alone for a while");
    }
    let gone = Arc::new(Fake::new().fails("_mta-sts.example.org", DnsError::TimedOut));
    let found = finder(&folder, gone, &Host::says(Err(broken()))).policy("example.org").await;
    assert!(found.policy.is_some(), "the record can be suppressed; the policy cannot");
}

#[tokio::test]
async fn without_a_record_there_is_no_policy_and_nobody_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::says(Ok(POLICY));
    let sts = finder(&folder, Arc::new(Fake::new()), &host);
    assert_eq!(sts.policy("example.org").await, Found::default());
    assert_eq!(host.fetches(), 0);
}

#[tokio::test]
async fn a_policy_that_has_run_out_is_fetched_again() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::says(Ok("version: STSv1\nmode: testing\nmx: mx.example.org\nmax_age: 0\n"));
    let sts = finder(&folder, record("1"), &host);
    sts.policy("example.org").await;
    sts.policy("example.org").await;
    assert_eq!(host.fetches(), 2);
}

#[tokio::test]
async fn a_fault_without_an_earlier_policy_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let found = finder(&folder, record("1"), &Host::says(Err(broken()))).policy("example.org").await;
    assert_eq!(found, Found { policy: None, fault: Some(broken()) });
    let found = finder(&folder, record("1"), &Host::says(Ok("<html>"))).policy("example.org").await;
    assert!(matches!(found.fault, Some(Fault::Policy(_))));
}
