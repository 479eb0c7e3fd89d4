//! A file system of its own for the server: ext4 on a loop device, on a disk whose power can be cut (`disk.py`).
//!
//! Needs root, `/dev/fuse`, a loop device and mkfs.ext4; where one is missing there is no such disk, and what needs it says that it was
//! left out.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::harness::{run, wait_until};

/// Octets of the disk.
const OCTETS: u64 = 96 << 20;

/// The disk, mounted.
#[derive(Debug)]
pub(super) struct Disk {
    /// Where the server's files are.
    at: PathBuf,
    /// Where images are, and the folder that FUSE serves.
    folder: PathBuf,
    image: PathBuf,
    cuts: u32,
    served: Option<Served>,
}

/// What stands between the image and the mount.
#[derive(Debug)]
struct Served {
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
    device: String,
}

impl Disk {
    /// A disk with an empty file system, mounted at `at`; nothing where this machine cannot have one.
    pub(super) fn new(folder: PathBuf, at: PathBuf) -> Option<Self> {
        let can = rustix::process::geteuid().is_root()
            && Path::new("/dev/fuse").exists()
            && Path::new("/dev/loop-control").exists()
            && run(Command::new("sh")
                .args(["-c", "PATH=$PATH:/usr/sbin:/sbin command -v mkfs.ext4 losetup mount"]))
            .code
                == 0;
        if !can {
            println!("left out: a disk of its own needs root, /dev/fuse, loop devices and mkfs.ext4");
            return None;
        }
        for made in [&folder, &folder.join("fuse"), &at] {
            std::fs::create_dir_all(made).expect("a folder");
        }
        let image = folder.join("image-0");
        let file = std::fs::File::create(&image).expect("an image");
        file.set_len(OCTETS).expect("its size");
        root(&["mkfs.ext4", "-q", "-F", &text(&image)]);
        let mut disk = Self { at, folder, image, cuts: 0, served: None };
        disk.mount("rw");
        Some(disk)
    }

    /// Mounts the image as it is.
    pub(super) fn mount(&mut self, options: &str) {
        let fuse = self.folder.join("fuse");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("torture/disk.py");
        let mut command = Command::new("python3");
        command.arg(script).arg(&self.image).arg(&fuse).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("python3");
        let asks = child.stdin.take().expect("its input");
        let mut answers = BufReader::new(child.stdout.take().expect("its output"));
        let mut ready = String::new();
        answers.read_line(&mut ready).expect("its answer");
        assert_eq!(ready, "ready\n", "disk.py");
        let device = root(&["losetup", "--find", "--show", &text(&fuse.join("disk"))]).trim().to_owned();
        self.served = Some(Served { child, asks, answers, device: device.clone() });
        root(&["mount", "-o", options, &device, &text(&self.at)]);
    }

    /// Takes the mount away; what was synced is in the image when `keep` says so.
    pub(super) fn unmount(&mut self, keep: bool) {
        let Some(mut served) = self.served.take() else { return };
        // A process that ends may still hold a file for a moment.
        wait_until("the disk to be unmounted", || tried(&["umount", &text(&self.at)]));
        if keep {
            self.cuts += 1;
            self.image = served.save(&self.folder, self.cuts, 0);
        }
        served.ends(&self.folder.join("fuse"));
    }

    /// Cuts the power: from now on nothing is written. The server has to be gone before [`Disk::power_returns`].
    pub(super) fn cut(&mut self, seed: u64) -> String {
        self.cuts += 1;
        let served = self.served.as_mut().expect("a mounted disk");
        let before = std::mem::replace(&mut self.image, self.folder.join(format!("image-{}", self.cuts)));
        let said = served.ask(&format!("cut {seed} {}", text(&self.image)));
        std::fs::remove_file(before).expect("the image before");
        said
    }

    /// Mounts what was found after the cut.
    pub(super) fn power_returns(&mut self) {
        self.unmount(false);
        self.mount("rw");
    }

    /// So many flushes fail, and lose what they should have flushed.
    pub(super) fn fail_flushes(&mut self, count: u32) {
        self.served.as_mut().expect("a mounted disk").ask(&format!("fail {count}"));
    }

    /// Whether all have failed that should.
    pub(super) fn has_failed(&mut self) -> bool {
        self.served.as_mut().expect("a mounted disk").ask("counts").ends_with(" 0 still to fail")
    }

    /// What the kernel does with a file system after a fault: from now on it can be read only.
    pub(super) fn turn_read_only(&self) {
        root(&["mount", "-o", "remount,abort", &text(&self.at)]);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let Some(mut served) = self.served.take() else { return };
        tried(&["umount", "--lazy", &text(&self.at)]);
        served.ends(&self.folder.join("fuse"));
    }
}

impl Served {
    fn ask(&mut self, line: &str) -> String {
        writeln!(self.asks, "{line}").expect("disk.py listens");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("its answer");
        answer.trim().to_owned()
    }

    /// Keeps what is on the disk as a new image; says where.
    fn save(&mut self, folder: &Path, number: u32, seed: u64) -> PathBuf {
        let image = folder.join(format!("image-{number}"));
        self.ask(&format!("cut {seed} {}", text(&image)));
        image
    }

    fn ends(&mut self, fuse: &Path) {
        tried(&["losetup", "--detach", &self.device]);
        tried(&["umount", "--lazy", &text(fuse)]);
        // Its end takes the last of FUSE along.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new("env");
    let path = std::env::var("PATH").unwrap_or_default();
    command.arg(format!("PATH={path}:/usr/sbin:/sbin")).args(words);
    command
}

/// Runs a program that must succeed; what it prints comes back.
#[track_caller]
fn root(words: &[&str]) -> String {
    let output = run(&mut command(words));
    assert_eq!(output.code, 0, "{words:?}: {}", output.err);
    output.out
}

fn tried(words: &[&str]) -> bool {
    run(&mut command(words)).code == 0
}
