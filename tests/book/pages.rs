//! The pages, and the blocks of code in them.

use std::fs;
use std::path::{Path, PathBuf};

pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").to_owned()
}

/// Every page of the book, by its path below `docs/`.
pub(super) fn pages() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in ["", "plugins", "benchmarks"] {
        for entry in fs::read_dir(root().join("docs").join(folder)).expect("the pages") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|ending| ending == "md") {
                let name = path.strip_prefix(root().join("docs")).expect("below docs").display().to_string();
                found.push((name, fs::read_to_string(&path).expect("a page")));
            }
        }
    }
    found.sort();
    found
}

/// A block of code: what stands behind its fence, what stands in the line before, and its text.
pub(super) struct Block {
    pub(super) info: String,
    before: String,
    pub(super) text: String,
}

/// Those of a page; one that is indented counts too.
pub(super) fn blocks(page: &str) -> Vec<Block> {
    let (mut found, mut lines, mut before) = (Vec::new(), page.lines(), "");
    while let Some(line) = lines.next() {
        if let Some(info) = line.trim_start().strip_prefix("```") {
            let text: Vec<&str> = lines.by_ref().take_while(|line| line.trim_start() != "```").collect();
            found.push(Block {
                info: info.to_owned(),
                before: before.to_owned(),
                text: text.join("\n") + "\n",
            });
        }
        before = line;
    }
    found
}

/// What a block of code is not: something to be typed.
const NOT_TYPED: [&str; 8] = ["c", "js", "json", "text", "toml", "toml check", "wit", "yaml"];

impl Block {
    /// Whether it is to be typed, and is run. `<!-- not run: why -->` in the line before keeps it from that.
    ///
    /// # Errors
    /// What the block lacks.
    pub(super) fn is_run(&self) -> Result<bool, String> {
        let why = self.before.strip_prefix("<!-- not run:").map(|rest| rest.trim_end_matches("-->").trim());
        match (self.info.as_str(), why) {
            ("sh", None) => Ok(true),
            ("sh" | "sh,norun", Some(why)) if !why.is_empty() => Ok(false),
            ("sh" | "sh,norun", _) => Err(format!("no reason why this is not run:\n{}", self.text)),
            (info, _) if NOT_TYPED.contains(&info) => Ok(false),
            (info, _) => Err(format!(
                "\"{info}\" says neither that this is run (sh) nor that it is none (one of {NOT_TYPED:?}):\n{}",
                self.text
            )),
        }
    }
}

/// Code between backticks, outside of blocks.
pub(super) fn spans(page: &str) -> Vec<String> {
    let mut prose = String::new();
    let mut in_block = false;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    prose.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " ")).collect()
}

mod tests {
    use super::*;

    #[test]
    fn a_block_that_is_neither_run_nor_explained_is_a_fault() {
        let judged = |page: &str| blocks(page)[0].is_run();
        assert_eq!(judged("```sh\ntrue\n```\n"), Ok(true));
        assert_eq!(judged("  ```sh\n  true\n  ```\n"), Ok(true));
        assert_eq!(judged("<!-- not run: it changes the machine -->\n```sh\nreboot\n```\n"), Ok(false));
        assert_eq!(judged("```toml\na = 1\n```\n"), Ok(false));
        for page in [
            "```\nwaxwing status\n```\n",
            "```bash\nwaxwing status\n```\n",
            "```console\n$ waxwing status\n```\n",
            "```sh,norun\nreboot\n```\n",
            "<!-- not run: -->\n```sh\nreboot\n```\n",
        ] {
            assert!(judged(page).is_err(), "{page}");
        }
    }
}
