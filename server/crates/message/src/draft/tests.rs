use proptest::prelude::*;

use super::*;

const MESSAGE: &str =
    "Received: from a\r\n by b\r\nSubject: one\r\nX-A:  1\r\nx-a: 2\r\n\r\nThe body,\r\nof two lines.\r\n";

fn draft(text: &str) -> Draft {
    Draft::new(Bytes::copy_from_slice(text.as_bytes()).into()).unwrap()
}

fn text(draft: &Draft) -> String {
    String::from_utf8(draft.clone().into_content().unwrap().to_bytes().unwrap().to_vec()).unwrap()
}

fn values<'a>(draft: &'a Draft, name: &str) -> Vec<&'a str> {
    draft.header_all(name).into_iter().map(|value| std::str::from_utf8(value).unwrap()).collect()
}

#[test]
fn an_untouched_message_is_the_same_content() {
    let mut draft = draft(MESSAGE);
    assert_eq!(draft.remove_header("Nobody", None), 0);
    assert!(!draft.is_edited());
    assert_eq!(text(&draft), MESSAGE);
    assert_eq!(draft.into_content().unwrap().pieces().len(), 1);
}

#[test]
fn fields_are_put_where_they_were_asked_for() {
    let mut draft = draft(MESSAGE);
    draft.add_header("Top", b"t", Some(0)).unwrap();
    draft.add_header("Before-Subject", b"s", Some(2)).unwrap();
    draft.add_header("Last", b"l", None).unwrap();
    draft.add_header("Beyond", b"b", Some(99)).unwrap();
    assert_eq!(
        text(&draft),
        "Top: t\r\nReceived: from a\r\n by b\r\nBefore-Subject: s\r\nSubject: one\r\nX-A:  1\r\nx-a: 2\r\n\
         Last: l\r\nBeyond: b\r\n\r\nThe body,\r\nof two lines.\r\n"
    );
    assert_eq!(draft.headers().map(|field| field.name).nth(2), Some("Before-Subject"));
    assert_eq!(values(&draft, "TOP"), ["t"]);
}

#[test]
fn fields_of_one_name_are_counted_from_the_top() {
    let mut draft = draft(MESSAGE);
    assert_eq!(values(&draft, "X-a"), ["1", "2"]);
    draft.set_header("X-A", 1, b"two\r\n folded").unwrap();
    assert_eq!(values(&draft, "x-a"), ["1", "two\r\n folded"]);
    assert_eq!(draft.set_header("X-A", 2, b"x"), Err(HeaderError::NoSuchField));
    assert_eq!(draft.remove_header("x-A", Some(0)), 1);
    assert_eq!(draft.remove_header("x-A", Some(1)), 0);
    assert_eq!(values(&draft, "X-A"), ["two\r\n folded"]);
    assert_eq!(draft.remove_header("x-A", None), 1);
    assert_eq!(text(&draft), MESSAGE.replace("X-A:  1\r\nx-a: 2\r\n", ""));
}

#[test]
fn what_was_refused_changes_nothing() {
    let mut draft = draft(MESSAGE);
    assert_eq!(draft.add_header("a b", b"x", None), Err(HeaderError::Name));
    assert_eq!(draft.set_header("Subject", 0, b"x\r\nEvil: y"), Err(HeaderError::Value));
    let large = vec![b'x'; 900].repeat(2).chunks(900).collect::<Vec<_>>().join(&b"\r\n "[..]);
    let large = [large.as_slice()].repeat(600).join(&b"\r\n "[..]);
    assert_eq!(draft.add_header("Large", &large, None), Err(HeaderError::BlockTooLarge));
    assert_eq!(draft.write_body(b"x"), Err(BodyError::NotStarted));
    assert_eq!(draft.copy_body(0, 1), Err(BodyError::NotStarted));
    assert!(!draft.is_edited());
}

#[test]
fn a_clone_from_before_takes_edits_back() {
    let mut draft = draft(MESSAGE);
    draft.add_header("Kept", b"1", Some(0)).unwrap();
    draft.start_body();
    draft.write_body(b"kept").unwrap();
    let before = draft.clone();
    draft.remove_header("Kept", None);
    draft.write_body(b" and lost").unwrap();
    assert!(text(&draft).ends_with("\r\n\r\nkept and lost"));
    assert!(text(&before).starts_with("Kept: 1\r\n") && text(&before).ends_with("\r\n\r\nkept"));
}

#[test]
fn a_new_body_is_ranges_of_the_old_one() {
    let mut draft = draft(MESSAGE);
    draft.start_body();
    draft.write_body(b"Hello. ").unwrap();
    draft.copy_body(0, 11).unwrap();
    draft.copy_body(11, draft.body_size() - 11).unwrap();
    draft.write_body(b"-- \r\n").unwrap();
    draft.write_body(b"Footer\r\n").unwrap();
    assert_eq!(draft.copy_body(26, 1), Err(BodyError::Range));
    assert_eq!(draft.copy_body(u64::MAX, 2), Err(BodyError::Range));
    assert_eq!(draft.read_body(4, 4).unwrap(), "body", "reads mean the old body");
    assert!(text(&draft).ends_with("2\r\n\r\nHello. The body,\r\nof two lines.\r\n-- \r\nFooter\r\n"));
    let content = draft.into_content().unwrap();
    let stored = content.pieces().iter().filter(|piece| matches!(piece, Piece::Stored { .. }));
    assert_eq!((stored.count(), content.pieces().len()), (2, 4));
}

#[test]
fn edits_of_an_edited_message_stay_ranges_of_the_first_source() {
    let mut first = draft(MESSAGE);
    first.add_header("First", b"1", Some(0)).unwrap();
    first.start_body();
    first.copy_body(0, 9).unwrap();
    first.write_body(b" of one line.\r\n").unwrap();
    let mut second = Draft::new(first.into_content().unwrap()).unwrap();
    second.remove_header("X-A", None);
    second.add_header("Second", b"2", None).unwrap();
    second.start_body();
    second.copy_body(4, second.body_size() - 4).unwrap();
    assert_eq!(
        text(&second),
        "First: 1\r\nReceived: from a\r\n by b\r\nSubject: one\r\nSecond: 2\r\n\r\nbody, of one line.\r\n"
    );
    let content = second.into_content().unwrap();
    assert_eq!(content.source().len(), MESSAGE.len() as u64);
}

#[test]
fn a_message_without_an_empty_line_gets_one_with_its_body() {
    let mut draft = draft("A: 1\r\nB: 2");
    draft.add_header("C", b"3", None).unwrap();
    assert_eq!(text(&draft), "A: 1\r\nB: 2\r\nC: 3\r\n");
    draft.remove_header("C", None);
    draft.start_body();
    draft.write_body(b"body\r\n").unwrap();
    assert_eq!(text(&draft), "A: 1\r\nB: 2\r\n\r\nbody\r\n");
}

#[test]
fn a_message_without_a_header_block_gets_one() {
    for message in ["just text\r\n", " just text\r\n\r\nmore\r\n"] {
        let mut draft = draft(message);
        draft.add_header("A", b"1", Some(0)).unwrap();
        assert_eq!(text(&draft), format!("A: 1\r\n\r\n{message}"));
    }
}

#[test]
fn a_field_on_top_does_not_swallow_a_line_that_begins_with_white_space() {
    let mut draft = draft(" odd\r\nA: 1\r\n\r\n");
    draft.add_header("Top", b"t", Some(0)).unwrap();
    assert_eq!(text(&draft), "Top: t\r\n\r\n odd\r\nA: 1\r\n\r\n");
}

#[test]
fn searches_find_what_lies_across_two_reads() {
    let needle = b"needle in the hay";
    for at in [0, SEARCH_OCTETS - 20, SEARCH_OCTETS - 5, SEARCH_OCTETS, 2 * SEARCH_OCTETS - 1] {
        let mut body = vec![b'n'; 3 * SEARCH_OCTETS];
        body[at..at + needle.len()].copy_from_slice(needle);
        let message = [b"A: 1\r\n\r\n".as_slice(), &body].concat();
        let draft = Draft::new(Bytes::from(message).into()).unwrap();
        assert_eq!(draft.find_body(needle, 0).unwrap(), Some(at as u64));
        assert_eq!(draft.find_body(needle, at as u64).unwrap(), Some(at as u64));
        assert_eq!(draft.find_body(needle, at as u64 + 1).unwrap(), None);
        assert_eq!(draft.find_body(&body, 0).unwrap(), Some(0), "a needle as large as the body");
    }
    let draft = draft(MESSAGE);
    assert_eq!(draft.find_body(b"", 3).unwrap(), Some(3));
    assert_eq!(draft.find_body(b"", 99).unwrap(), None);
    assert_eq!(draft.find_body(b"x", u64::MAX).unwrap(), None);
}

#[test]
fn a_body_of_shreds_meets_its_limit() {
    let mut draft = draft(MESSAGE);
    draft.start_body();
    let shred = |draft: &mut Draft, nth: u64| draft.copy_body((nth * 2) % 8, 1);
    for nth in 0..BodySplice::MAX_PARTS as u64 {
        shred(&mut draft, nth).unwrap();
    }
    assert_eq!(shred(&mut draft, 1), Err(BodyError::TooLarge));
}

#[derive(Debug, Clone)]
enum Edit {
    Add(u8, Option<usize>),
    Set(u8, usize),
    Remove(u8, Option<usize>),
    Append,
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        (0..3u8, proptest::option::of(0..6usize)).prop_map(|(name, at)| Edit::Add(name, at)),
        (0..3u8, 0..3usize).prop_map(|(name, nth)| Edit::Set(name, nth)),
        (0..3u8, proptest::option::of(0..3usize)).prop_map(|(name, nth)| Edit::Remove(name, nth)),
        Just(Edit::Append),
    ];
    proptest::collection::vec(edit, 1..12)
}

proptest! {
    /// Fields N0 to N2 are edited; all the others and the body must come through byte for byte, in their
    /// order.
    #[test]
    fn edits_never_change_other_fields_or_the_body(
        fields in proptest::collection::vec("(N[0-2]|O[a-z]{0,3}): ?[a-z\u{fc}]{0,5}(\r\n [a-z]{1,4})?\r\n", 1..8),
        edits in edits(),
    ) {
        let body = "The body.\r\nA: 1\r\n\r\nend";
        let mut draft = draft(&format!("{}\r\n{body}", fields.concat()));
        let mut appended = 0;
        for edit in edits {
            match edit {
                Edit::Add(name, at) => draft.add_header(&format!("N{name}"), b"new", at).unwrap(),
                Edit::Set(name, nth) => drop(draft.set_header(&format!("n{name}"), nth, b"set")),
                Edit::Remove(name, nth) => drop(draft.remove_header(&format!("n{name}"), nth)),
                Edit::Append => {
                    if appended == 0 {
                        draft.start_body();
                        draft.copy_body(0, draft.body_size()).unwrap();
                    }
                    appended += 1;
                    draft.write_body(b"!").unwrap();
                }
            }
        }
        let names: Vec<String> = draft.headers().map(|field| field.name.to_owned()).collect();
        let after = Draft::new(draft.clone().into_content().unwrap()).unwrap();
        prop_assert_eq!(after.headers().map(|field| field.name.to_owned()).collect::<Vec<_>>(), names);
        prop_assert_eq!(
            after.read_body(0, 999).unwrap(),
            Bytes::from(format!("{body}{}", "!".repeat(appended)))
        );
        let others = |block: &HeaderBlock| -> Vec<Vec<u8>> {
            let whole = block.lines().iter().map(|line| block.as_bytes()[line.whole.clone()].to_vec());
            whole.filter(|line| line[0] == b'O').collect()
        };
        let before: Vec<_> = fields.iter().filter(|f| f.starts_with('O')).map(|f| f.as_bytes().to_vec()).collect();
        prop_assert_eq!(others(&after.block), before);
    }

    #[test]
    fn a_body_that_is_copied_whole_comes_back_byte_for_byte(
        text in "([A-Za-z: \t\u{0}\u{fc}]{0,5}(\r\n|\n|\r){0,2}){0,10}",
    ) {
        let mut draft = draft(&text);
        prop_assert_eq!(draft.clone().into_content().unwrap().to_bytes().unwrap(), text.as_bytes());
        draft.start_body();
        draft.copy_body(0, draft.body_size()).unwrap();
        // A body that no header block went before is told from one by an empty line.
        let bare = draft.body_start() == 0 && draft.body_size() > 0;
        let expected = format!("{}{text}", if bare { "\r\n" } else { "" });
        prop_assert_eq!(draft.into_content().unwrap().to_bytes().unwrap(), expected.as_bytes());
    }
}
