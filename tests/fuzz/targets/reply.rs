//! The sending side's reader of replies: cuts do not matter, and what was read can be written as replies of the right shape.
#![no_main]

use fuzz::{Input, look_at_replies};
use libfuzzer_sys::fuzz_target;
use model::Reply;
use smtp::client::{ReplyError, ReplyReader};

fuzz_target!(|octets: &[u8]| {
    let mut input = Input(octets);
    let cuts = input.cuts();
    let whole = read(input.0, &[]);
    assert_eq!(read(input.0, cuts), whole);
    for reply in whole.0 {
        assert!((200..600).contains(&reply.code));
        assert!(reply.text.split('\n').count() <= ReplyReader::MAX_LINES);
        let mut wire = Vec::new();
        reply.write(true, &mut wire);
        look_at_replies(&wire);
    }
});

fn read(wire: &[u8], cuts: &[u8]) -> (Vec<Reply>, Option<ReplyError>) {
    let (mut reader, mut replies) = (ReplyReader::default(), Vec::new());
    for mut piece in Input::pieces(wire, cuts) {
        loop {
            match reader.read(&mut piece) {
                Ok(Some(reply)) => replies.push(reply),
                Ok(None) => break,
                Err(error) => return (replies, Some(error)),
            }
        }
    }
    (replies, None)
}
