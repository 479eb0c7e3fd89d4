//! What the rounds came to, as a table and as a line a round.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use super::rounds::{Kind, Outcome};

/// The rounds so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    lines: String,
    sums: BTreeMap<Kind, (usize, Outcome)>,
}

impl Report {
    pub(super) fn add(&mut self, nth: usize, seed: u64, kind: Kind, round: &Outcome) {
        let Outcome { promised, copies, reports, duplicates, set_aside } = round;
        let line = format!("{nth},{seed:x},{kind:?},{promised},{copies},{reports},{duplicates},{set_aside}");
        println!("{line}");
        self.lines += &(line + "\n");
        let (rounds, sum) = self.sums.entry(kind).or_default();
        *rounds += 1;
        sum.promised += promised;
        sum.copies += copies;
        sum.reports += reports;
        sum.duplicates += duplicates;
        sum.set_aside += set_aside;
    }

    /// Writes `rounds.csv` and `rounds.md`.
    pub(super) fn write(&self, folder: &Path) {
        std::fs::create_dir_all(folder).expect("a folder");
        let head = "round,seed,kind,answered 250,copies,reports,duplicates,set aside\n";
        std::fs::write(folder.join("rounds.csv"), head.to_owned() + &self.lines).expect("rounds.csv");
        std::fs::write(folder.join("rounds.md"), self.table()).expect("rounds.md");
    }

    pub(super) fn table(&self) -> String {
        let mut text =
            "| kind | rounds | answered 250 | copies | reports | duplicates | set aside |\n".to_owned();
        text += "|---|---|---|---|---|---|---|\n";
        let mut all = (0, Outcome::default());
        let row = |name: &str, rounds: usize, sum: &Outcome| {
            let Outcome { promised, copies, reports, duplicates, set_aside } = sum;
            format!(
                "| {name} | {rounds} | {promised} | {copies} | {reports} | {duplicates} | {set_aside} |\n"
            )
        };
        for (kind, (rounds, sum)) in &self.sums {
            write!(text, "{}", row(kind.name(), *rounds, sum)).expect("memory");
            all.0 += rounds;
            all.1.promised += sum.promised;
            all.1.copies += sum.copies;
            all.1.reports += sum.reports;
            all.1.duplicates += sum.duplicates;
            all.1.set_aside += sum.set_aside;
        }
        text + &row("all", all.0, &all.1)
    }
}
