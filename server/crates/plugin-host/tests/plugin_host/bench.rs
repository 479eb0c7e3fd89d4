//! How long things take. Prints figures; run with `--ignored --nocapture`.

use std::time::Duration;

use hooks::Request;

use crate::guest::{PROCEED, adds_header, fixed};
use crate::stage::Bed;

const ROUNDS: u32 = 20_000;

fn per_round(began: std::time::Instant) -> Duration {
    clock::now().duration_since(began) / ROUNDS
}

#[tokio::test]
#[ignore = "measures, claims nothing"]
async fn figures() {
    let hooks = [("connect", PROCEED), ("mail", PROCEED), ("rcpt", PROCEED), ("data", PROCEED)];
    let edits = adds_header("one", PROCEED);
    let bed = Bed::with(&[("four", &fixed(&hooks)), ("edits", &edits)]).await;
    let began = clock::now();
    for _ in 0..ROUNDS {
        bed.session().ask(Request::Connect).await;
    }
    println!("session with one hook: {:?}", per_round(began));
    let mut session = bed.session();
    session.ask(Request::Data).await;
    let began = clock::now();
    for _ in 0..ROUNDS {
        session.ask(Request::Data).await;
    }
    println!("hook in a session: {:?}", per_round(began));
    let began = clock::now();
    for _ in 0..ROUNDS {
        session.ask(Request::Ehlo { name: "x" }).await;
    }
    println!("stage that nobody hooks: {:?}", per_round(began));
    session.message("A: b\r\n\r\n").await;
    let began = clock::now();
    for _ in 0..ROUNDS {
        session.message("From: a@example.org\r\nSubject: x\r\n\r\nbody\r\n").await;
    }
    println!("message hook that adds a field: {:?}", per_round(began));
    let began = clock::now();
    for _ in 0..ROUNDS {
        let mut session = bed.session();
        session.ask(Request::Connect).await;
        session.ask(Request::Data).await;
        session.ask(Request::Data).await;
        session.ask(Request::Data).await;
    }
    println!("session with four hooks: {:?}", per_round(began));
}
