//! Delivery to a program: one process for each recipient, the message on its standard input. A shell limits its memory and becomes the
//! program; it reads nothing that came with the mail.
//!
//! ```text
//! exit code            | the recipient
//! 0                    | is delivered
//! 75 (EX_TEMPFAIL)     | is tried again, as after a signal, after too long, or when the program cannot be started (126, 127)
//! any other            | is refused, with the first line of what the program wrote
//! ```
//!
//! The message comes with Return-Path and Delivered-To on top and its lines end in LF, as in a Maildir. The environment is `PATH`, `LANG`
//! and what the arguments can hold: `LOCAL`, `DOMAIN`, `RECIPIENT`, `SENDER`, `QUEUE_ID`. The folder is `/`. The process leads a group of its
//! own, which ends with it when its time is over.
//!
//! Standards: sysexits(3), RFC 3463 (statuses), RFC 5321 section 4.4 (Return-Path).
//! Limits: [`Pipe`]. Cancel safety: a dropped run ends its process; the attempt is made again, and may deliver twice.
//! Known gaps: an argument cannot hold a brace that is none of a name. A program inherits what the server may touch ([`Pipe::writes`]).

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, PipeReader, Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use model::{Mailbox, QueueId, Reply, ReversePath};
use parking_lot::Mutex;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::pipe_argument::{Names, PipeArgument};

/// Octets of a diagnostic that are kept.
const MAX_DIAGNOSTIC_OCTETS: usize = 400;
/// Sets the limit, in KiB, before the program and whatever it starts are there; where less is allowed already, that stays.
const LIMITED: &str = "ulimit -v \"$0\" 2>/dev/null; exec \"$@\"";
/// How long the output of a program that has ended is waited for.
const LINGER: Duration = Duration::from_secs(1);

/// A program, and what it may use up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pipe {
    /// An absolute path.
    pub program: PathBuf,
    pub arguments: Vec<PipeArgument>,
    /// Numbers of the user and group that it runs as; nothing: the server's own.
    pub identity: Option<(u32, u32)>,
    /// Folders that it may write to where the server is shut in (Landlock), beside the server's own.
    pub writes: Vec<PathBuf>,
    /// How long it may take.
    pub time: Duration,
    /// Octets of address space.
    pub memory_octets: u64,
    /// Octets of what it writes that are read; what is beyond is thrown away.
    pub output_octets: usize,
    /// Processes at once.
    pub concurrency: usize,
}

impl Pipe {
    /// A program with the defaults: 5 minutes, 1 GiB, 64 KiB of output, 4 at once.
    pub fn new(program: PathBuf, arguments: Vec<PipeArgument>) -> Self {
        Self {
            program,
            arguments,
            identity: None,
            writes: Vec::new(),
            time: Duration::from_secs(300),
            memory_octets: 1 << 30,
            output_octets: 64 << 10,
            concurrency: 4,
        }
    }

    /// Runs the program for one recipient; what it came to, as a host would have said it.
    pub(crate) async fn run(
        &self,
        sender: &ReversePath,
        mailbox: &Mailbox,
        id: QueueId,
        message: File,
    ) -> Reply {
        let names = Names { sender, mailbox, id };
        let mut arguments = Vec::with_capacity(self.arguments.len());
        for pattern in &self.arguments {
            match pattern.fill(&names) {
                Some(argument) => arguments.push(argument),
                None => {
                    let text =
                        format!("<{mailbox}> would be taken for an option by {}", self.program.display());
                    return Reply::new(553, (5, 1, 3), text);
                }
            }
        }
        let begun = match self.begin(&arguments, &names, message) {
            Ok(begun) => begun,
            Err(error) => {
                let text = format!("{} could not be run: {error}", self.program.display());
                return Reply::new(451, (4, 3, 5), text);
            }
        };
        let (group, child, output) = begun;
        // Ends the process when the time is over, and when nobody waits for it any more.
        let _ended = EndsGroup(Arc::clone(&group));
        let limit = self.output_octets;
        let waiting = tokio::task::spawn_blocking(move || complete(&group, child, output, limit));
        match tokio::time::timeout(self.time, waiting).await {
            Ok(Ok(Ok((status, output)))) => self.judge(status, &output),
            Ok(Ok(Err(error))) => Reply::new(451, (4, 3, 0), format!("{}: {error}", self.program.display())),
            Ok(Err(error)) => Reply::new(451, (4, 3, 0), format!("{}: {error}", self.program.display())),
            Err(_) => {
                let text = format!("{} took longer than {} s", self.program.display(), self.time.as_secs());
                Reply::new(451, (4, 3, 0), text)
            }
        }
    }

    fn begin(
        &self,
        arguments: &[String],
        names: &Names<'_>,
        message: File,
    ) -> io::Result<(Group, Child, PipeReader)> {
        let (reader, writer) = io::pipe()?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", LIMITED, &(self.memory_octets >> 10).to_string()]).arg(&self.program);
        command.args(arguments).env_clear().envs(names.environment()).current_dir("/").process_group(0);
        command.stdin(message).stdout(writer.try_clone()?).stderr(writer);
        if let Some((user, group)) = self.identity {
            command.uid(user).gid(group);
        }
        let child = command.spawn()?;
        let pid = Pid::from_child(&child);
        Ok((Arc::new(Mutex::new(Some(pid))), child, reader))
    }

    fn judge(&self, status: ExitStatus, output: &str) -> Reply {
        let said = output.lines().map(str::trim).find(|line| !line.is_empty());
        let said: String = said.unwrap_or_default().chars().take(MAX_DIAGNOSTIC_OCTETS).collect();
        let program = self.program.file_name().unwrap_or(self.program.as_os_str()).to_string_lossy();
        let (code, enhanced, what) = match status.code() {
            Some(0) => return Reply::new(250, (2, 0, 0), format!("{program} took it")),
            Some(75) => (451, (4, 3, 0), "will take it later".to_owned()),
            Some(code @ (126 | 127)) => (451, (4, 3, 5), format!("could not be run, code {code}")),
            Some(code) => (554, status_of(code), format!("ended with code {code}")),
            None => (451, (4, 3, 0), "was ended by a signal".to_owned()),
        };
        let text = if said.is_empty() { format!("{program} {what}") } else { format!("{program}: {said}") };
        Reply::new(code, enhanced, text)
    }
}

/// What a code of sysexits(3) says of the recipient.
fn status_of(code: i32) -> (u8, u16, u16) {
    match code {
        65 => (5, 6, 0),
        67 => (5, 1, 1),
        68 => (5, 1, 2),
        73 => (5, 2, 0),
        77 => (5, 7, 1),
        _ => (5, 3, 0),
    }
}

/// The process's group, as long as its leader has not been reaped: afterwards the number may be another's.
type Group = Arc<Mutex<Option<Pid>>>;

fn end(group: &Group) {
    if let Some(leader) = *group.lock() {
        // Nobody may be left, which is as well.
        let _ = kill_process_group(leader, Signal::KILL);
    }
}

/// Ends whatever is left of a process's group.
struct EndsGroup(Group);

impl Drop for EndsGroup {
    fn drop(&mut self) {
        end(&self.0);
    }
}

/// Waits for the process, and ends what it has left behind; its status, and the beginning of what it wrote.
fn complete(
    group: &Group,
    mut child: Child,
    output: PipeReader,
    limit: usize,
) -> io::Result<(ExitStatus, String)> {
    let (told, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || told.send(read(output, limit)));
    waitid(WaitId::Pid(Pid::from_child(&child)), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
    end(group);
    *group.lock() = None;
    let status = child.wait()?;
    // Somebody may have left the group and kept the pipe open.
    Ok((status, heard.recv_timeout(LINGER).unwrap_or_default()))
}

/// To its end, so that a program that writes much is not stopped by a full pipe.
fn read(mut output: PipeReader, limit: usize) -> String {
    let (mut kept, mut block) = (Vec::new(), vec![0; 4096]);
    while let Ok(count @ 1..) = output.read(&mut block) {
        let room = limit.saturating_sub(kept.len());
        kept.extend_from_slice(&block[..count.min(room)]);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// A message to be read from its start, in memory: the program may seek in it, and cannot be stopped half-way by us.
pub(crate) fn message_file(write: impl FnOnce(&File) -> io::Result<u64>) -> io::Result<File> {
    let mut file = File::from(memfd_create("message", MemfdFlags::CLOEXEC)?);
    write(&file)?;
    file.flush()?;
    file.rewind()?;
    Ok(file)
}

/// As logs and statistics name it.
impl std::fmt::Display for Pipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.program.display())
    }
}

impl Names<'_> {
    fn environment(&self) -> [(&'static str, OsString); 7] {
        [
            ("PATH", "/usr/local/bin:/usr/bin:/bin".into()),
            ("LANG", "C.UTF-8".into()),
            ("LOCAL", self.mailbox.local().into()),
            ("DOMAIN", self.mailbox.domain().to_ascii().into()),
            ("RECIPIENT", self.mailbox.to_string().into()),
            ("SENDER", self.sender_text().into()),
            ("QUEUE_ID", self.id.to_string().into()),
        ]
    }
}

#[cfg(test)]
mod tests;
