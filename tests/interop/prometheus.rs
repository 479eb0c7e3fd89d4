//! What Prometheus' own parser makes of the metrics.

use std::process::Command;

use crate::harness::{Setup, message, run, target_dir};

#[test]
#[ignore = "needs prometheus-client: make interop"]
fn prometheus_reads_every_line_of_the_metrics() {
    let setup = Setup::new().set("metrics", "bind = \"127.0.0.1:0\"").plugin("tag-headers", &[]);
    let server = setup.start();
    assert_eq!(server.client().sends("ann@example.com", &["bob@example.org"], message("x")).code, 250);
    setup.mailbox("bob").wait(1);
    let script = format!(
        r#"
import sys, urllib.request
sys.path.insert(0, {:?})
from prometheus_client.parser import text_string_to_metric_families
page = urllib.request.urlopen("http://{}/metrics").read().decode()
families = {{f.name: f for f in text_string_to_metric_families(page)}}
assert all(f.type != "unknown" and f.documentation and f.samples for f in families.values()), families
for f in families.values():
    if f.type == "histogram":
        by_labels = {{}}
        for s in f.samples:
            labels = tuple(sorted((k, v) for k, v in s.labels.items() if k != "le"))
            by_labels.setdefault(labels, {{}}).setdefault(s.name.removeprefix(f.name), []).append(s)
        for samples in by_labels.values():
            values = [s.value for s in samples["_bucket"]]
            assert values == sorted(values) and values[-1] == samples["_count"][0].value, f.name
            assert samples["_bucket"][-1].labels["le"] == "+Inf" and len(samples["_sum"]) == 1, f.name
calls = families["waxwing_plugin_calls"].samples
print(len(families), calls[0].labels["plugin"])
"#,
        target_dir().join("interop/python"),
        server.listener("metrics"),
    );
    let read = run(Command::new("python3").args(["-c", &script]));
    assert_eq!(read.code, 0, "{}{}", read.out, read.err);
    assert!(read.out.trim_end().ends_with(" tag-headers"), "{}", read.out);
}
