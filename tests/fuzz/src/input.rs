//! Structure in the fuzzer's octets: numbers and pieces off their front, the wire behind.

/// The octets that are left.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// The next octet, zero when there is none.
    pub fn octet(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// The next `len` octets, or as many as there are.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Lengths of the pieces that the wire is cut into: a count, then one octet each.
    pub fn cuts(&mut self) -> &'a [u8] {
        let count = usize::from(self.octet() % 16);
        self.take(count)
    }

    /// The wire in pieces of these lengths, which repeat; whole when there is none.
    pub fn pieces<'b>(wire: &'b [u8], cuts: &'b [u8]) -> impl Iterator<Item = &'b [u8]> {
        let mut rest = wire;
        let mut lengths = cuts.iter().cycle();
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let len = lengths.next().map_or(rest.len(), |len| usize::from(*len).max(1));
            let (piece, later) = rest.split_at(len.min(rest.len()));
            rest = later;
            Some(piece)
        })
    }
}
