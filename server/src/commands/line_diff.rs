//! The difference of two messages, line by line.

/// Lines of one side that are compared; what lies behind is only told of.
const MAX_LINES: usize = 1_000;

/// One line of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    Same(&'a str),
    Removed(&'a str),
    Added(&'a str),
    /// So many lines of the new side were not looked at.
    More(usize),
}

/// The difference from `old` to `new`, by their longest common subsequence.
pub(crate) fn diff<'a>(old: &'a str, new: &'a str) -> Vec<Line<'a>> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let more = new.len().saturating_sub(MAX_LINES);
    let (old, new) = (&old[..old.len().min(MAX_LINES)], &new[..new.len().min(MAX_LINES)]);
    // common[i][j]: lines that old[i..] and new[j..] have in common.
    let mut common = vec![vec![0u16; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = match old[i] == new[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            lines.push(Line::Same(old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            lines.push(Line::Removed(old[i]));
            i += 1;
        } else {
            lines.push(Line::Added(new[j]));
            j += 1;
        }
    }
    if more > 0 {
        lines.push(Line::More(more));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_and_removed_lines_stand_between_those_that_stayed() {
        let lines = diff("a\r\nb\r\nc\r\n", "a\r\nx\r\nc\r\nd\r\n");
        use Line::{Added, Removed, Same};
        assert_eq!(lines, [Same("a"), Removed("b"), Added("x"), Same("c"), Added("d")]);
        assert_eq!(diff("", "a"), [Added("a")]);
        assert_eq!(diff("a", ""), [Removed("a")]);
    }

    #[test]
    fn what_is_too_long_is_told_of() {
        let long = "x\n".repeat(MAX_LINES + 7);
        assert_eq!(diff(&long, &long).last(), Some(&Line::More(7)));
    }
}
