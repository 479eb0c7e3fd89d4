//! The postmaster's page in Chromium: every view in light and dark and on a telephone, with real data, pictures included.

use std::process::Command;

use crate::harness::{Act, Api, NextHop, Setup, message, run, target_dir, wait_for, wait_until};

/// HTML that would be seen, and a script that would leave a trace.
const SUBJECT: &str = "<img src=x onerror=\"window.ran=1\"><b>Win</b> a <script>window.ran=1</script>prize";

#[test]
#[ignore = "needs Chromium: make interop"]
fn the_page_is_whole_in_a_browser_in_light_and_dark_and_on_a_telephone() {
    let hop = NextHop::start();
    hop.does(|line| match line {
        line if line.contains("later@") => Act::Say(
            "451 4.7.1 greylisted, come again in five minutes; see https://hop.example/why?code=greylist",
        ),
        line if line.contains("never@") => Act::Say("550 5.1.1 no such user here"),
        _ => Act::Usual,
    });
    let setup = Setup::new()
        .answers_over_http()
        .relays()
        .smarthost(hop.address)
        .plugin("tag-headers", &[])
        .plugin("attachment-policy", &[])
        .plugin("footer", &["settings = { text = \"Sent through Waxwing\" }"]);
    let (setup, token) = setup.token("page", &["--scope", "admin"]);
    let server = setup.start();
    let api = Api::of(&server, &token);
    let long = format!("{}@a-domain-with-a-long-name.and-more-of-it.elsewhere.example", "x".repeat(60));
    for (to, word) in [
        ("bob@example.org", "Lunch on Friday"),
        ("carl@elsewhere.example", "Your order"),
        ("never@elsewhere.example", "Hello"),
    ] {
        server.client().sends("ann@example.com", &[to], message(word));
    }
    let sent =
        server.client().sends("ann@example.com", &["later@elsewhere.example", &long], message(SUBJECT));
    let waiting = sent.text.rsplit(' ').next().expect("an id").trim().to_owned();
    server.client().sends("news@example.com", &["later@third.example"], message("News of the week"));
    let odd = format!(
        "From: \"A \\\"<i>person</i>\" <ann@example.com>\r\nTo: later@held.example\r\nSubject: {SUBJECT}\r\nContent-Type: text/html\r\n\r\n<p>This is <b>the text of it</b>.</p><script>window.ran=1</script>\r\n"
    );
    let sent = server.client().sends("ann@example.com", &["later@held.example"], odd);
    let held = sent.text.rsplit(' ').next().expect("an id").trim().to_owned();
    for id in [&waiting, &held] {
        wait_until("an attempt", || {
            api.get(&format!("/v1/queue/{id}")).json()["recipients"][0]["attempts"].as_u64() >= Some(1)
        });
    }
    assert_eq!(api.post(&format!("/v1/queue/{held}/hold")).status, 200);
    let mut open = server.client();
    open.asks("MAIL FROM:<ann@example.com>", "250");
    open.asks("RCPT TO:<nobody@example.org>", "550");
    wait_for("the delivery to be counted", || {
        let points = api.get("/v1/outcomes").json()["points"].clone();
        points.as_array()?.iter().any(|point| point["delivered"].as_u64() >= Some(1)).then_some(())
    });
    let pictures = target_dir().join("page");
    std::fs::create_dir_all(&pictures).expect("a folder");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/page.py");
    let mut command = Command::new("python3");
    command.arg(script).arg(format!("http://{}", api.address)).arg(&token).arg(&pictures);
    let looked =
        run(command.args([&waiting, &held, SUBJECT]).env("PYTHONPATH", target_dir().join("interop/python")));
    assert_eq!(looked.code, 0, "{}{}", looked.out, looked.err);
    drop(open);
}
