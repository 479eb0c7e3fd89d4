//! The rows of `[relay]`.

use super::key;
use crate::keys::Section;

pub(super) const RELAY: Section = Section {
    name: "relay",
    written: "`[relay]`",
    doc: "Who may send to domains that are not ours. Nobody but these; a network that holds everybody is refused.",
    keys: &[key("networks", "list of networks or addresses", "[]", "As in `[\"127.0.0.0/8\", \"::1\"]`.")],
};
