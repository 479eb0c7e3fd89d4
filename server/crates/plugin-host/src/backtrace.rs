//! A guest's calls at the moment of a trap, as one line of the log: innermost first, by the names of the source.
//!
//! A function has its name where the component keeps its name section, and file and line where it has DWARF as well; what has neither
//! has its number. A call that repeats itself, as in a recursion, is written once with how often.
//!
//! Limits: the 64 innermost calls; 4,096 octets in all, 200 of a name and 120 of a file's path, of which the end is kept.

use std::fmt::Write;
use std::num::NonZeroUsize;

use wasmtime::{FrameInfo, WasmBacktrace};

/// Calls that are looked at.
pub(crate) const MAX_CALLS: NonZeroUsize = NonZeroUsize::new(64).expect("more than none");
const MAX_OCTETS: usize = 4_096;
const MAX_NAME_OCTETS: usize = 200;
const MAX_PATH_OCTETS: usize = 120;

/// The calls that an error brings along; nothing when it brings none.
pub(crate) fn of(error: &wasmtime::Error) -> String {
    error
        .downcast_ref::<WasmBacktrace>()
        .map(|trace| written(trace.frames().iter().flat_map(calls)))
        .unwrap_or_default()
}

/// The calls of a frame: one, and those that were inlined into it, the innermost first.
fn calls(frame: &FrameInfo) -> Vec<String> {
    let own_name = || match frame.func_name() {
        Some(name) => name.to_owned(),
        None => format!("function {}", frame.func_index()),
    };
    if frame.symbols().is_empty() {
        return vec![call(&own_name(), None, None)];
    }
    let symbols = frame.symbols().iter();
    symbols
        .map(|symbol| {
            let name = symbol.name().map_or_else(own_name, str::to_owned);
            call(&name, symbol.file(), symbol.line())
        })
        .collect()
}

/// `plugin::hooks::rcpt (src/hooks.rs:12)`.
fn call(name: &str, file: Option<&str>, line: Option<u32>) -> String {
    // Without the hash that stands at the end of a Rust name; other languages' names stay as they are.
    let mut text = clean(&format!("{:#}", rustc_demangle::demangle(name)));
    text.truncate(text.floor_char_boundary(MAX_NAME_OCTETS));
    let Some(file) = file else { return text };
    let file = clean(file);
    let from = file.ceil_char_boundary(file.len().saturating_sub(MAX_PATH_OCTETS));
    // Writing to a string cannot fail.
    let _ = write!(text, " ({}", &file[from..]);
    if let Some(line) = line {
        let _ = write!(text, ":{line}");
    }
    text.push(')');
    text
}

/// Names come from the component: nothing in one may begin a line of the log.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn written(calls: impl Iterator<Item = String>) -> String {
    let mut runs: Vec<(String, usize)> = Vec::new();
    for call in calls {
        match runs.last_mut().filter(|(last, _)| *last == call) {
            Some((_, times)) => *times += 1,
            None => runs.push((call, 1)),
        }
    }
    let mut text = String::new();
    for (call, times) in runs {
        let times = if times > 1 { format!(" x{times}") } else { String::new() };
        if text.len() + call.len() + times.len() + 2 > MAX_OCTETS {
            text.push_str("; ...");
            break;
        }
        let between = if text.is_empty() { "" } else { "; " };
        let _ = write!(text, "{between}{call}{times}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_demangled_paths_cut_at_their_beginning_and_nothing_breaks_the_line() {
        assert_eq!(
            call("_ZN4trap9misbehave17h0123456789abcdefE", Some("src/lib.rs"), Some(9)),
            "trap::misbehave (src/lib.rs:9)"
        );
        assert_eq!(call("check\nINFO all well", None, None), "check INFO all well");
        let long = call("f", Some(&format!("/{}/src/lib.rs", "é".repeat(200))), None);
        assert!(long.len() < 130 && long.ends_with("/src/lib.rs)"), "{long}");
    }

    #[test]
    fn a_recursion_is_one_call_and_the_length_is_bounded() {
        let deep = std::iter::repeat_n("deeper".to_owned(), 50).chain(["rcpt".to_owned()]);
        assert_eq!(written(deep), "deeper x50; rcpt");
        let many = written((0..1_000).map(|nth| format!("function {nth} of a plugin with many")));
        assert!(many.len() <= MAX_OCTETS + 5 && many.ends_with("; ..."), "{}", many.len());
    }
}
