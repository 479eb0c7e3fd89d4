//! Messages that can be known again and proved whole, wherever they arrive.

/// A message every line of which carries its number and its id; of at least so many octets of body.
pub(crate) fn numbered(id: &str, octets: usize) -> String {
    let mut text = format!("Subject: ledger\r\nX-Ledger: {id} {octets}\r\n\r\n");
    let start = text.len();
    let mut line = 0;
    while text.len() - start < octets {
        text += &format!("{line:08} of {id}, padded so that a message has not too many lines\r\n");
        line += 1;
    }
    text + &format!("end of {id}\r\n")
}

/// Which message this is, when it is whole.
#[track_caller]
pub(crate) fn proved(delivered: &str) -> String {
    let delivered = delivered.replace("\r\n", "\n");
    let ledger = delivered
        .lines()
        .find_map(|line| line.strip_prefix("X-Ledger: "))
        .unwrap_or_else(|| panic!("cut short: {delivered:?}"));
    let (id, octets) = ledger.split_once(' ').expect("id and octets");
    let expected = numbered(id, octets.parse().expect("a number")).replace("\r\n", "\n");
    assert!(delivered.ends_with(&expected), "message {id} is not whole: {} octets", delivered.len());
    id.to_owned()
}
