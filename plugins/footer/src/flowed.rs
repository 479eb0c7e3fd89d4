//! Text whose lines flow together where they end in a space: RFC 3676.

/// Whether a content type says so.
pub(crate) fn is_flowed(content_type: &str) -> bool {
    crate::part_header::parameters(content_type).iter().any(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        name.trim().eq_ignore_ascii_case("format")
            && value.trim().trim_matches('"').eq_ignore_ascii_case("flowed")
    })
}

/// The lines so that each stays one: no space at the end, but for that of a signature's mark (section 4.3), and one more at the beginning of
/// what would be taken for something else (section 4.4).
pub(crate) fn fixed_lines(text: &str) -> String {
    let fixed = text.split('\n').map(|line| {
        let line = if line == "-- " { line } else { line.trim_end_matches(' ') };
        match line.starts_with([' ', '>']) || line.starts_with("From ") {
            true => format!(" {line}"),
            false => line.to_owned(),
        }
    });
    fixed.collect::<Vec<_>>().join("\n")
}
