//! Plugins that an operator disables: nobody asks them, nobody misses them, also after a restart.

use hooks::{Request, Verdict};
use model::ReversePath;
use plugin_host::{LoadError, Options, PluginHost, PluginOptions, Services};

use crate::guest::{ACCEPT, REJECT, fixed};
use crate::stage::{Bed, Session, tempfail};

const NULL: ReversePath = ReversePath::Null;
const MAIL: Request<'_> = Request::Mail { sender: &NULL, params: &[] };

fn bed(options: Option<PluginOptions>) -> Bed {
    let change = |all: &mut Options| {
        all.limits.instances = 4;
        all.history_dir = all.dir.with_file_name("history");
        all.plugins.extend(options.map(|options| ("x".to_owned(), options)));
    };
    Bed::open(change, Services::default())
}

async fn says(host: &PluginHost) -> &'static str {
    Session::of(host).ask(Request::Data).await.verdict.name()
}

#[tokio::test]
async fn a_disabled_plugin_is_not_asked_until_it_is_enabled_and_sessions_keep_what_they_began_with() {
    let bed = bed(None);
    bed.put("x", &fixed(&[("data", REJECT)]));
    bed.load().await;
    let mut before = bed.session();
    let disabled = bed.host.disable("x".to_owned()).await.unwrap();
    assert!(disabled.since.is_some() && !disabled.required, "{disabled:?}");
    assert_eq!((says(&bed.host).await, bed.host.status().disabled), ("proceed", vec![disabled.clone()]));
    assert_eq!(before.ask(Request::Data).await.verdict.name(), "reject");
    // Neither another file, nor a look at all of them, nor new options, nor a restart brings it back.
    bed.put("x", &fixed(&[("data", ACCEPT)]));
    assert_eq!(bed.load().await, []);
    bed.host.replace_options(bed.options.clone()).await;
    bed.host.reload(None).await;
    assert_eq!(says(&bed.host).await, "proceed");
    let again = PluginHost::open(bed.options.clone(), Services::default()).unwrap();
    again.load_all().await;
    assert_eq!((says(&again).await, again.status().disabled), ("proceed", vec![disabled.clone()]));
    assert_eq!(bed.host.disable("x".to_owned()).await, Ok(disabled), "once more is no other time");
    let report = bed.host.enable("x".to_owned()).await.unwrap();
    assert_eq!((report.outcome, says(&bed.host).await), (Ok(2), "accept"));
    assert_eq!(bed.host.enable("x".to_owned()).await.unwrap().outcome, Ok(2), "it runs already");
    assert_eq!(bed.host.status().disabled, []);
}

#[tokio::test]
async fn one_that_is_required_is_not_missed_while_it_is_disabled() {
    let bed = bed(Some(PluginOptions::default()));
    bed.load().await;
    assert_eq!(bed.session().ask(MAIL).await.verdict, tempfail());
    assert!(bed.host.disable("x".to_owned()).await.unwrap().required);
    assert_eq!(bed.session().ask(MAIL).await.verdict, Verdict::Proceed);
    assert_eq!(bed.host.status().missing, []);
    let report = bed.host.enable("x".to_owned()).await.unwrap();
    assert!(matches!(report.outcome, Err(LoadError::Missing { .. })), "{report:?}");
    assert_eq!(bed.session().ask(MAIL).await.verdict, tempfail());
}

#[tokio::test]
async fn a_refusal_is_not_shown_of_a_file_that_is_disabled_and_the_file_is_judged_when_it_is_enabled() {
    let bed = bed(None);
    bed.put("x", b"rubbish");
    bed.load().await;
    assert_eq!(bed.host.status().refused.len(), 1);
    bed.host.disable("x".to_owned()).await.unwrap();
    assert_eq!(bed.host.status().refused, []);
    let report = bed.host.enable("x".to_owned()).await.unwrap();
    assert_eq!(report.outcome, Err(LoadError::NotWasm));
    assert_eq!(bed.host.status().refused.len(), 1);
}

#[tokio::test]
async fn orders_that_cannot_be_carried_out_say_why() {
    let bed = bed(Some(PluginOptions { enabled: false, ..PluginOptions::default() }));
    bed.put("x", &fixed(&[("data", REJECT)]));
    bed.load().await;
    let error = bed.host.disable("nobody".to_owned()).await.unwrap_err();
    assert!(error.contains("there is no nobody.wasm"), "{error}");
    assert!(bed.host.disable("../x".to_owned()).await.is_err());
    let error = bed.host.enable("x".to_owned()).await.unwrap_err();
    assert!(error.contains("disabled by the configuration"), "{error}");
    let shown = bed.host.status().disabled;
    assert_eq!((shown[0].name.as_str(), shown[0].since), ("x", None));
    // What would make it run says why it does not.
    let reports = bed.host.reload(Some("x".to_owned())).await;
    assert!(matches!(reports[0].outcome, Err(LoadError::Disabled(_))), "{reports:?}");
    assert!(bed.host.roll_back("x".to_owned(), None).await.unwrap_err().contains("is disabled"));
}
