//! What the system says of this process. What it does not say is left out.

use std::fs;

/// The unit of CPU time in /proc, whatever the kernel's own clock is: USER_HZ.
const TICKS_PER_SECOND: f64 = 100.0;

/// The process at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct ProcessView {
    pub(crate) resident_octets: Option<u64>,
    pub(crate) virtual_octets: Option<u64>,
    pub(crate) cpu_s: Option<f64>,
    pub(crate) open_files: Option<u64>,
    pub(crate) max_files: Option<u64>,
    pub(crate) threads: Option<u64>,
}

impl ProcessView {
    /// Reads a few files that never wait for a disk.
    pub(crate) fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kibibytes = |name| Some(number(line(name)?, 0)? * 1024);
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The name of the program may have blanks and parentheses in it.
        let stat = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks = number(stat, 11).zip(number(stat, 12)).map(|(user, system)| user + system);
        Self {
            virtual_octets: kibibytes("VmSize"),
            resident_octets: kibibytes("VmRSS"),
            cpu_s: ticks.map(|ticks| ticks as f64 / TICKS_PER_SECOND),
            threads: line("Threads").and_then(|text| number(text, 0)),
            open_files: fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64),
            max_files: rustix::process::getrlimit(rustix::process::Resource::Nofile).current,
        }
    }
}

fn number(text: &str, nth: usize) -> Option<u64> {
    text.split_ascii_whitespace().nth(nth)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_files_and_threads() {
        let view = ProcessView::read();
        assert!(view.resident_octets.unwrap() > 1 << 16 && view.virtual_octets >= view.resident_octets);
        assert!(view.open_files.unwrap() > 2 && view.open_files <= view.max_files);
        assert!(view.threads.unwrap() >= 1 && view.cpu_s.unwrap() >= 0.0);
    }
}
