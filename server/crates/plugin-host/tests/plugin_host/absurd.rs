//! Arguments that make no sense, and honest ones far too often: each has its named outcome, and nothing grows with it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use hooks::{Answer, Request, TransactionFacts, Verdict};
use model::{Content, Piece, Source};
use plugin_host::{Options, Services};

use crate::guest::{Guest, PROCEED, came_to};
use crate::stage::{Bed, tempfail, transaction};

const MESSAGE: &str = "Subject: x\r\n\r\nbody\r\n";
/// Cases of `types.error`.
const QUOTA: u32 = 1;
const NOT_FOUND: u32 = 2;
const BAD_INPUT: u32 = 4;

/// `code`, this often; `$n` counts.
fn again(times: u32, code: &str) -> String {
    format!(
        "(global.set $n (i32.const 0)) (loop $again {code} (global.set $n (i32.add (global.get $n) (i32.const 1)))
           (br_if $again (i32.lt_u (global.get $n) (i32.const {times}))))"
    )
}

fn guest(imports: &[(&str, &str, &str)], data: &str, code: &str) -> Vec<u8> {
    let guest = imports
        .iter()
        .fold(Guest::new(), |guest, (interface, function, ty)| guest.import(interface, function, ty));
    guest
        .with("(global $n (mut i32) (i32.const 0))")
        .with(data)
        .hook("message", &format!("{code} {PROCEED}"))
        .build()
}

async fn bed(component: &[u8], change: impl FnOnce(&mut Options)) -> Bed {
    let bed = Bed::open(
        |options| {
            options.limits.cpu_per_hook = Duration::from_secs(20);
            change(options);
        },
        Services::default(),
    );
    bed.put("odd", component);
    for report in bed.load().await {
        report.outcome.unwrap();
    }
    bed
}

async fn answer(component: &[u8]) -> (Answer, Bed) {
    let bed = bed(component, |_| {}).await;
    let answer = bed.session().message(MESSAGE).await;
    (answer, bed)
}

/// The plugin says proceed: it has seen what it expects.
async fn goes_well(component: &[u8]) -> Answer {
    let (answer, bed) = answer(component).await;
    assert_eq!(answer.verdict, Verdict::Proceed, "{:?}", bed.plugin("odd"));
    answer
}

#[tokio::test]
async fn reads_of_any_length_and_place_are_cut_to_what_there_is() {
    let read = |offset: &str, len: &str, octets: u32| {
        format!(
            "(call $read-body (i32.const {offset}) (i32.const {len}) (i32.const 2048)) {}
             (if (i32.ne (i32.load (i32.const 2056)) (i32.const {octets})) (then (unreachable)))",
            came_to(None)
        )
    };
    let code =
        [read("0", "-1", 6), read("2", "-1", 4), read("-1", "-1", 0), read("6", "1", 0), read("0", "0", 0)];
    let imports = [("transaction", "read-body", "(param i32 i32 i32)")];
    goes_well(&guest(&imports, "", &code.join("\n"))).await;
    // Pages of lists likewise.
    let code = "(call $headers (i32.const -1) (i32.const -1) (i32.const 2048))
        (if (i32.load (i32.const 2052)) (then (unreachable)))
        (call $headers (i32.const 0) (i32.const -1) (i32.const 2048))
        (if (i32.ne (i32.load (i32.const 2052)) (i32.const 1)) (then (unreachable)))
        (call $recipients (i32.const 1) (i32.const -1) (i32.const 2048))
        (if (i32.load (i32.const 2052)) (then (unreachable)))";
    let imports = [
        ("transaction", "headers", "(param i32 i32 i32)"),
        ("transaction", "recipients", "(param i32 i32 i32)"),
    ];
    goes_well(&guest(&imports, "", code)).await;
}

#[tokio::test]
async fn ranges_parts_and_algorithms_that_are_not_there_are_named() {
    let imports = [
        ("transaction", "start-body", "(param i32)"),
        ("transaction", "copy-body", "(param i32 i32 i32)"),
        ("transaction", "read-part", "(param i32 i32 i32 i32 i32)"),
        ("transaction", "digest-body", "(param i32 i32 i32)"),
        ("transaction", "remove-recipient", "(param i32 i32)"),
        ("transaction", "set-header", "(param i32 i32 i32 i32 i32 i32)"),
    ];
    let calls = [
        ("(call $copy-body (i32.const 0) (i32.const 1) (i32.const 2048))", BAD_INPUT),
        (
            "(call $start-body (i32.const 2048)) (call $copy-body (i32.const 0) (i32.const -1) (i32.const 2048))",
            BAD_INPUT,
        ),
        ("(call $copy-body (i32.const -1) (i32.const -1) (i32.const 2048))", BAD_INPUT),
        (
            "(call $read-part (i32.const 1024) (i32.const 5) (i32.const 0) (i32.const -1) (i32.const 2048))",
            NOT_FOUND,
        ),
        ("(call $digest-body (i32.const 1024) (i32.const 5) (i32.const 2048))", BAD_INPUT),
        ("(call $remove-recipient (i32.const -1) (i32.const 2048))", NOT_FOUND),
        (
            "(call $set-header (i32.const 1024) (i32.const 5) (i32.const -1) (i32.const 0) (i32.const 0) (i32.const 2048))",
            NOT_FOUND,
        ),
    ];
    let code: Vec<_> =
        calls.iter().map(|(call, error)| format!("{call} {}", came_to(Some(*error)))).collect();
    goes_well(&guest(&imports, "(data (i32.const 1024) \"1.9.9\")", &code.join("\n"))).await;
}

#[tokio::test]
async fn a_field_name_with_a_colon_or_a_line_end_is_bad_input() {
    let imports = [("transaction", "add-header", "(param i32 i32 i32 i32 i32 i32 i32)")];
    for name in ["X:Y", "X Y", "X\\0d\\0aY", "X\\00", "", "\\c3\\a9"] {
        let octets = name.replace("\\0d\\0a", "__").replace("\\00", "_").replace("\\c3\\a9", "__").len();
        let code = format!(
            "(call $add-header (i32.const 1024) (i32.const {octets}) (i32.const 1040) (i32.const 1) (i32.const 0) (i32.const 0)
               (i32.const 2048)) {}",
            came_to(Some(BAD_INPUT))
        );
        let data = format!("(data (i32.const 1024) \"{name}\") (data (i32.const 1040) \"v\")");
        let answer = goes_well(&guest(&imports, &data, &code)).await;
        assert!(answer.content.is_none(), "{name}");
    }
}

#[tokio::test]
async fn a_reply_with_line_ends_in_it_stays_one_reply() {
    // reject 550 with the text "no\r\n250 fine\rQUIT\n"
    let data = r#"(data (i32.const 1024) "\02\00\00\00\26\02\00\00\00\00\00\00\00\00\00\00\00\05\00\00\12\00\00\00")
        (data (i32.const 1280) "no\0d\0a250 fine\0dQUIT\0a")"#;
    let component = Guest::new().with(data).hook("message", "(i32.const 1024)").build();
    let (answer, _) = answer(&component).await;
    let Verdict::Reject(reply) = answer.verdict else { panic!("{:?}", answer.verdict) };
    let mut wire = Vec::new();
    reply.write(true, &mut wire);
    assert_eq!(String::from_utf8(wire).unwrap(), "550-5.7.1 no\r\n550-5.7.1 250 fine\r\n550 5.7.1 QUIT\r\n");
}

#[tokio::test]
async fn ten_thousand_recipients_are_added_as_far_as_the_limit_goes() {
    let imports = [("transaction", "add-recipient", "(param i32 i32 i32 i32 i32 i32 i32)")];
    let add = "(call $add-recipient (i32.const 1024) (i32.const 1) (i32.const 1040) (i32.const 11) (i32.const 0) (i32.const 0)
        (i32.const 2048))";
    let code = format!("{} {}", again(10_000, add), came_to(Some(QUOTA)));
    let data = "(data (i32.const 1024) \"a\") (data (i32.const 1040) \"example.org\")";
    let answer = goes_well(&guest(&imports, data, &code)).await;
    assert_eq!(answer.envelope.unwrap().recipients.len(), 201);
    let bed = bed(&guest(&imports, data, &code), |options| options.limits.additions_per_hook = 20_000).await;
    let answer = bed.session().message(MESSAGE).await;
    assert_eq!(answer.envelope.unwrap().recipients.len(), 1_000);
}

#[tokio::test]
async fn a_million_log_lines_are_counted_and_not_written() {
    let imports = [("log", "log", "(param i32 i32 i32 i32 i32)")];
    let line = "(call $log (i32.const 2) (i32.const 1024) (i32.const 4) (i32.const 0) (i32.const 0))";
    goes_well(&guest(&imports, "(data (i32.const 1024) \"line\")", &again(1_000_000, line))).await;
}

#[tokio::test]
async fn a_list_that_names_one_text_many_times_is_not_copied_out() {
    // A hundred thousand pairs, each of two texts of 60,000 octets: 12 GB, from a guest of 2 MB.
    let imports = [("log", "log", "(param i32 i32 i32 i32 i32)")];
    let pairs = again(
        100_000,
        "(i32.store (i32.add (i32.const 131072) (i32.mul (global.get $n) (i32.const 16))) (i32.const 65536))
         (i32.store offset=4 (i32.add (i32.const 131072) (i32.mul (global.get $n) (i32.const 16))) (i32.const 60000))
         (i32.store offset=8 (i32.add (i32.const 131072) (i32.mul (global.get $n) (i32.const 16))) (i32.const 65536))
         (i32.store offset=12 (i32.add (i32.const 131072) (i32.mul (global.get $n) (i32.const 16))) (i32.const 60000))",
    );
    let code = format!(
        "(drop (memory.grow (i32.const 40))) {pairs}
         (call $log (i32.const 2) (i32.const 1024) (i32.const 0) (i32.const 131072) (i32.const 100000))"
    );
    let (answer, bed) = answer(&guest(&imports, "", &code)).await;
    assert_eq!(answer.verdict, tempfail());
    let status = bed.plugin("odd").unwrap();
    assert!(status.last_error.as_ref().is_some_and(|why| why.contains("too much data")), "{status:?}");
}

#[tokio::test]
async fn a_body_is_read_again_and_again_only_as_far_as_the_limit_goes() {
    let imports = [
        ("transaction", "digest-body", "(param i32 i32 i32)"),
        ("transaction", "read-body", "(param i32 i32 i32)"),
        ("transaction", "find-body", "(param i32 i32 i32 i32)"),
    ];
    let data = "(data (i32.const 1024) \"sha256\")";
    let digest = "(call $digest-body (i32.const 1024) (i32.const 6) (i32.const 2048))";
    let code = format!("{} {} {digest} {}", again(10, digest), came_to(None), came_to(Some(QUOTA)));
    let code = format!(
        "{code} (call $read-body (i32.const 0) (i32.const 9) (i32.const 2048)) {}",
        came_to(Some(QUOTA))
    );
    let few = |options: &mut Options| options.limits.body_read_octets = 60;
    let answer = bed(&guest(&imports, data, &code), few).await.session().message(MESSAGE).await;
    assert_eq!(answer.verdict, Verdict::Proceed);
    // A search has no error to say it with.
    let find = "(call $find-body (i32.const 1024) (i32.const 1) (i32.const 0) (i32.const 2048))";
    let bed = bed(&guest(&imports, data, &again(11, find)), few).await;
    assert_eq!(bed.session().message(MESSAGE).await.verdict, tempfail());
    assert!(bed.plugin("odd").unwrap().last_error.unwrap().contains("find-body: more of the body"));
}

/// A message of 50 MB that is nowhere: a header, then a body of letters, with the octets that were read of it.
#[derive(Debug)]
struct Large {
    read: Arc<AtomicU64>,
}

const HEADER: &[u8] = b"Subject: large\r\n\r\n";
const LARGE: u64 = 50 << 20;

impl Source for Large {
    fn len(&self) -> u64 {
        LARGE
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let count = usize::try_from(LARGE.saturating_sub(offset)).unwrap().min(buffer.len());
        for (nth, octet) in buffer[..count].iter_mut().enumerate() {
            let at = usize::try_from(offset).unwrap() + nth;
            *octet = HEADER.get(at).copied().unwrap_or(b'x');
        }
        self.read.fetch_add(count as u64, Relaxed);
        Ok(count)
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

#[tokio::test]
async fn a_body_of_50_mb_is_rewritten_by_splices_without_being_read() {
    let imports = [
        ("transaction", "start-body", "(param i32)"),
        ("transaction", "copy-body", "(param i32 i32 i32)"),
        ("transaction", "write-body", "(param i32 i32 i32)"),
    ];
    let splice = format!(
        "(call $copy-body (i32.mul (global.get $n) (i32.const 10000)) (i32.const 10000) (i32.const 2048)) {}
         (call $write-body (i32.const 1024) (i32.const 6) (i32.const 2048)) {}",
        came_to(None),
        came_to(None)
    );
    let code = format!("(call $start-body (i32.const 2048)) {}", again(5_000, &splice));
    let component = guest(&imports, "(data (i32.const 1024) \"more\\0d\\0a\")", &code);
    let bed = bed(&component, |_| {}).await;
    let read = Arc::new(AtomicU64::new(0));
    let mut facts = TransactionFacts::clone(&transaction(""));
    facts.content = Some(Content::whole(Arc::new(Large { read: read.clone() })));
    let mut session = bed.session();
    let answer = session.hooks.ask(Request::Message, &session.facts, Some(&Arc::new(facts))).await;
    assert_eq!(answer.verdict, Verdict::Proceed, "{:?}", bed.plugin("odd"));
    let content = answer.content.unwrap();
    assert_eq!(content.len(), HEADER.len() as u64 + 5_000 * 10_006);
    let new = |piece: &Piece| if let Piece::New(octets) = piece { octets.len() } else { 0 };
    assert!(content.pieces().iter().map(new).sum::<usize>() <= 5_000 * 6 + HEADER.len());
    let read = read.load(Relaxed);
    assert!(read < 1 << 20, "{read} octets of the body were read");
    assert!(bed.plugin("odd").unwrap().peak_memory_octets <= 1 << 20);
    // One piece more than there may be is refused, and the message stays as it was for a plugin that stops there.
    let over = format!(
        "(call $start-body (i32.const 2048)) {} {}",
        again(5_001, &splice.replace("(unreachable)", "(return (i32.const 64))")),
        came_to(None)
    );
    let bed = self::bed(&guest(&imports, "(data (i32.const 1024) \"more\\0d\\0a\")", &over), |_| {}).await;
    let mut facts = TransactionFacts::clone(&transaction(""));
    facts.content = Some(Content::whole(Arc::new(Large { read: Arc::default() })));
    let mut session = bed.session();
    let answer = session.hooks.ask(Request::Message, &session.facts, Some(&Arc::new(facts))).await;
    assert_eq!(answer.verdict.name(), "reject");
    assert!(answer.content.is_none());
}

#[tokio::test]
async fn texts_that_do_not_lie_in_the_guests_memory_end_the_hook_and_nothing_is_set_aside_for_them() {
    let imports = [
        ("log", "log", "(param i32 i32 i32 i32 i32)"),
        ("transaction", "add-header", "(param i32 i32 i32 i32 i32 i32 i32)"),
    ];
    // A gigabyte from a good place, all that 32 bits can say, and something from beyond the end.
    for (at, len) in [("1024", "0x40000000"), ("0", "-1"), ("-1", "1"), ("-1", "-1")] {
        for call in [
            format!("(call $log (i32.const 2) (i32.const {at}) (i32.const {len}) (i32.const 0) (i32.const 0))"),
            format!("(call $log (i32.const 2) (i32.const 0) (i32.const 0) (i32.const {at}) (i32.const {len}))"),
            format!(
                "(call $add-header (i32.const 1024) (i32.const 1) (i32.const {at}) (i32.const {len}) (i32.const 0) (i32.const 0)
                   (i32.const 2048))"
            ),
        ] {
            let (answer, bed) = answer(&guest(&imports, "(data (i32.const 1024) \"X\")", &call)).await;
            assert_eq!(answer.verdict, tempfail(), "{call}");
            let status = bed.plugin("odd").unwrap();
            assert_eq!((status.failures, status.peak_memory_octets), (1, 0), "{call}: {status:?}");
        }
    }
}
