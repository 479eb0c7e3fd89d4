//! What the hooks decided to do with mail that is answered 250.

use std::sync::Arc;

/// What becomes of a message or a recipient. The strictest of what was said counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    #[default]
    Deliver,
    /// Held in the queue, for this reason.
    Hold(Arc<str>),
    /// Dropped, for this reason.
    Discard(Arc<str>),
}

impl Fate {
    /// The stricter of two; of two alike the one that was said first.
    pub(crate) fn and(self, other: Self) -> Self {
        match (&self, &other) {
            (Self::Discard(_), _) | (_, Self::Deliver) | (Self::Hold(_), Self::Hold(_)) => self,
            _ => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strictest_counts_and_of_two_alike_the_first() {
        let hold = |why: &str| Fate::Hold(why.into());
        let discard = |why: &str| Fate::Discard(why.into());
        assert_eq!(Fate::Deliver.and(hold("a")), hold("a"));
        assert_eq!(hold("a").and(Fate::Deliver), hold("a"));
        assert_eq!(hold("a").and(hold("b")), hold("a"));
        assert_eq!(hold("a").and(discard("b")), discard("b"));
        assert_eq!(discard("a").and(discard("b")), discard("a"));
    }
}
