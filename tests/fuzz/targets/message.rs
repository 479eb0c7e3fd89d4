//! Header block, parts and shape of a message: places lie inside it, and an edit changes what it should and nothing else.
#![no_main]

use bytes::Bytes;
use fuzz::Input;
use libfuzzer_sys::fuzz_target;
use message::{Draft, HeaderBlock, ShapeLimits, check_shape, count_received, prepend};
use model::Content;

fuzz_target!(|octets: &[u8]| {
    let mut input = Input(octets);
    let choice = input.octet();
    let message = Bytes::copy_from_slice(input.0);
    let content = Content::from(message.clone());
    let block = HeaderBlock::parse(&message);
    let read = HeaderBlock::read(&content).expect("a small block");
    assert_eq!((read.as_bytes(), read.body_start()), (block.as_bytes(), block.body_start()));
    assert!(block.body_start() <= message.len() as u64);
    assert!(count_received(&block) <= block.fields().count());
    look_at_parts(&content);
    let _ = check_shape(&content, &ShapeLimits { header_fields: 10, mime_depth: 4 });
    let on_top =
        prepend(&content, &block, "X-Top: 1\r\n").and_then(|content| content.to_bytes()).expect("memory");
    let seen = HeaderBlock::parse(&on_top);
    assert!(seen.all("X-Top").next().is_some());
    edit(&content, choice);
});

fn look_at_parts(content: &Content) {
    let draft = Draft::new(content.clone()).expect("a small block");
    let structure = draft.parts().expect("memory");
    assert!(structure.parts[0].path.is_empty());
    for part in &structure.parts {
        assert!(part.offset.checked_add(part.len).is_some_and(|end| end <= draft.body_size()), "{part:?}");
        let _ = draft.read_part(part);
    }
}

/// One edit of the header; the body stays as it is.
fn edit(content: &Content, choice: u8) {
    let mut draft = Draft::new(content.clone()).expect("a small block");
    let body = draft.read_body(0, draft.body_size()).expect("memory");
    let names: Vec<String> = draft.headers().map(|field| field.name.to_owned()).collect();
    let count = names.len();
    let expected = match (choice % 3, names.first()) {
        (0, _) => draft.add_header("X-New", b"a value", Some(usize::from(choice / 3))).map(|()| count + 1),
        (1, Some(name)) => draft.set_header(name, 0, b"another").map(|()| count),
        (_, Some(name)) => {
            let removed = draft.remove_header(name, None);
            Ok(count - removed)
        }
        (_, None) => return,
    };
    let Ok(expected) = expected else { return };
    let edited = draft.into_content().and_then(|content| content.to_bytes()).expect("memory");
    assert!(edited.ends_with(&body), "the body is gone");
    if expected > 0 {
        assert_eq!(HeaderBlock::parse(&edited).fields().count(), expected);
    }
}
