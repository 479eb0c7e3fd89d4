//! Patterns as operators write them: `*` stands for any characters, `?` for one, and case does not matter.

/// Whether the whole text fits the pattern. Takes at most pattern times text steps, whatever they are.
///
/// ```
/// use waxwing_plugin::pattern::fits;
/// assert!(fits("*.exe", "Invoice.PDF.EXE"));
/// assert!(!fits("*.exe", "exercise.pdf"));
/// ```
#[must_use]
pub fn fits(pattern: &str, text: &str) -> bool {
    fit(&lower(pattern), &lower(text))
}

/// Whether the text fits one of the patterns.
#[must_use]
pub fn fits_any<S: AsRef<str>>(patterns: &[S], text: &str) -> bool {
    let text = lower(text);
    patterns.iter().any(|p| fit(&lower(p.as_ref()), &text))
}

fn lower(text: &str) -> Vec<char> {
    text.chars().flat_map(char::to_lowercase).collect()
}

fn fit(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where the last star stands, and how much of the text it has swallowed.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, swallowed)) = star else { return false };
                star = Some((at, swallowed + 1));
                p = at + 1;
                t = swallowed + 1;
            }
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_stand_for_what_they_should() {
        for (pattern, text, fit) in [
            ("", "", true),
            ("*", "", true),
            ("?", "", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("*.tar.??", "x.tar.gz", true),
            ("ÄB*", "äbc", true),
            ("abc", "abcd", false),
            ("**d", "abcd", true),
        ] {
            assert_eq!(fits(pattern, text), fit, "{pattern} {text}");
        }
    }
}
