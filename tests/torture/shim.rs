//! The library that is preloaded into the server (`shim.c`), and the file by which it is told what to do.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::harness::{run, target_dir};

/// A wall clock that jumps, and syncs that fail.
#[derive(Debug)]
pub(super) struct Shim {
    control: File,
    path: PathBuf,
}

impl Shim {
    pub(super) fn new(path: PathBuf) -> Self {
        let control =
            OpenOptions::new().read(true).write(true).create_new(true).open(&path).expect("a control file");
        control.set_len(24).expect("room for three numbers");
        Self { control, path }
    }

    /// What runs the server under the shim.
    pub(super) fn launcher(&self) -> [String; 3] {
        let library = format!("LD_PRELOAD={}", library().display());
        ["env".to_owned(), library, format!("TORTURE_CONTROL={}", self.path.display())]
    }

    /// Seconds by which the server's wall clock is off.
    pub(super) fn set_clock(&self, seconds: i64) {
        self.set(0, seconds);
    }

    /// The next syncs of the spool fail.
    pub(super) fn fail_syncs(&self, count: i64) {
        self.set(8, count);
    }

    /// Syncs that failed so far.
    pub(super) fn failed_syncs(&self) -> i64 {
        let mut octets = [0; 8];
        self.control.read_exact_at(&mut octets, 16).expect("the control file");
        i64::from_ne_bytes(octets)
    }

    fn set(&self, offset: u64, value: i64) {
        self.control.write_all_at(&value.to_ne_bytes(), offset).expect("the control file");
    }
}

/// The library, compiled once a run.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let folder = target_dir().join("torture");
        std::fs::create_dir_all(&folder).expect("a folder");
        let library = folder.join(format!("shim-{}.so", std::process::id()));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("torture/shim.c");
        let mut compiler = Command::new("cc");
        let output =
            run(compiler.args(["-O1", "-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl"));
        assert_eq!(output.code, 0, "{}", output.err);
        library
    })
}
