//! Back to what ran before: by content, until the file changes, across restarts.

use hooks::{Request, Verdict};
use plugin_host::{Options, PluginHost, Services};

use crate::guest::{ACCEPT, DISCARD, Guest, QUARANTINE, REJECT, fixed};
use crate::stage::{Bed, Session};

async fn bed(contents: &[Vec<u8>]) -> Bed {
    let change = |options: &mut Options| {
        options.limits.instances = 4;
        options.history_dir = options.dir.with_file_name("history");
        options.kept_generations = 3;
    };
    let bed = Bed::open(change, Services::default());
    for content in contents {
        bed.put("x", content);
        assert!(bed.load().await[0].outcome.is_ok());
    }
    bed
}

async fn says(host: &PluginHost) -> &'static str {
    Session::of(host).ask(Request::Data).await.verdict.name()
}

fn versions() -> Vec<Vec<u8>> {
    [ACCEPT, DISCARD, QUARANTINE, REJECT].into_iter().map(|verdict| fixed(&[("data", verdict)])).collect()
}

#[tokio::test]
async fn without_a_generation_it_goes_back_by_one_and_stays_there_until_the_file_changes() {
    let all = versions();
    let bed = bed(&all).await;
    let mut before = bed.session();
    assert_eq!(before.ask(Request::Data).await.verdict.name(), "reject");
    assert_eq!(bed.host.roll_back("x".to_owned(), None).await, Ok(5));
    assert_eq!(says(&bed.host).await, "quarantine");
    assert_eq!(
        before.ask(Request::Data).await.verdict.name(),
        "reject",
        "a session keeps what it began with"
    );
    let status = bed.plugin("x").unwrap();
    let rolled_back = status.rolled_back.unwrap();
    assert_eq!((&rolled_back.to, status.kept.len()), (&status.hash, 3));
    // The same content in another file is no change, and neither is a reload.
    bed.put("x", &all[3]);
    bed.load().await;
    bed.host.reload(None).await;
    assert_eq!(says(&bed.host).await, "quarantine");
    // Nor a restart.
    let again = PluginHost::open(bed.options.clone(), Services::default()).unwrap();
    again.load_all().await;
    assert_eq!(says(&again).await, "quarantine");
    assert!(again.status().plugins[0].rolled_back.is_some());
    // Another content is.
    bed.put("x", &all[0]);
    bed.load().await;
    assert_eq!(says(&bed.host).await, "accept");
    assert_eq!(bed.plugin("x").unwrap().rolled_back, None);
    bed.put("x", &all[3]);
    bed.load().await;
    assert_eq!(says(&bed.host).await, "reject", "the way back was for that time");
}

#[tokio::test]
async fn it_goes_back_to_a_generation_and_to_a_hash_and_forth_to_the_file() {
    let bed = bed(&versions()).await;
    let file = bed.plugin("x").unwrap().hash;
    bed.host.roll_back("x".to_owned(), Some("2".to_owned())).await.unwrap();
    assert_eq!(says(&bed.host).await, "discard");
    bed.host.roll_back("x".to_owned(), Some(file[..12].to_owned())).await.unwrap();
    assert_eq!(says(&bed.host).await, "reject");
    assert_eq!(bed.plugin("x").unwrap().rolled_back, None);
}

#[tokio::test]
async fn what_cannot_be_gone_back_to_leaves_everything_as_it_was() {
    let bed = bed(&versions()).await;
    for (name, to, why) in [
        ("x", Some("1"), "nothing like that is kept"),
        ("x", Some("77"), "nothing like that is kept"),
        ("x", Some("deadbeef"), "nothing like that is kept"),
        ("y", None, "No such file"),
    ] {
        let error = bed.host.roll_back(name.to_owned(), to.map(str::to_owned)).await.unwrap_err();
        assert!(error.contains(why), "{name} {to:?}: {error}");
    }
    assert_eq!((says(&bed.host).await, bed.plugin("x").unwrap().generation), ("reject", 4));
}

#[tokio::test]
async fn a_reload_makes_a_new_generation_of_the_same_file_and_asks_its_init_again() {
    let guest = Guest::new().hook("init", "(i32.const 0)").hook("data", REJECT).build();
    let bed = bed(&[guest]).await;
    let reports = bed.host.reload(Some("x".to_owned())).await;
    assert_eq!((reports.len(), reports[0].outcome.clone()), (1, Ok(2)));
    assert_eq!(bed.host.reload(None).await[0].outcome, Ok(3));
    let reports = bed.host.reload(Some("y".to_owned())).await;
    assert!(reports[0].outcome.as_ref().unwrap_err().to_string().contains("y.wasm"));
    assert_eq!(bed.session().ask(Request::Connect).await.verdict, Verdict::Proceed);
}

#[tokio::test]
async fn generations_are_counted_on_after_a_restart() {
    let bed = bed(&versions()).await;
    let again = PluginHost::open(bed.options.clone(), Services::default()).unwrap();
    again.load_all().await;
    assert_eq!(again.status().plugins[0].generation, 5);
}
