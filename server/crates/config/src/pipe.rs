//! `deliver = { pipe = [...] }` of a `[[domain]]`: a program that takes mail.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::User;
use outbound::{DeliverTo, Pipe, PipeArgument};

use crate::reader::Table;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// The program, if the table has one.
pub(crate) fn pipe(table: &Table<'_>) -> Option<DeliverTo> {
    // Asked for whether or not there is a program: what limits none is a slip that the reader of keys cannot see.
    let identity = table.parse("user", user);
    let folder = table.notes().folder();
    let writes = table.list("writes", |text| Ok::<PathBuf, String>(folder.join(text))).unwrap_or_default();
    let mut made = Pipe::new(PathBuf::new(), Vec::new());
    table.set_duration("timeout", &mut made.time, Duration::from_millis(100)..=HOUR);
    table.set_size("memory", &mut made.memory_octets, 1 << 20..=1 << 40);
    table.set_size("output", &mut made.output_octets, 0..=16 << 20);
    table.set_count("concurrency", &mut made.concurrency, 1..=1_000);
    made.identity = identity;
    made.writes = writes.into_iter().map(|(_, path)| path).collect();

    let item = table.get("pipe")?;
    let mut words = item.items().into_iter();
    let Some(program) = words.next() else {
        item.fault("is empty; it names a program and its arguments");
        return None;
    };
    made.program = program.parse(program_path)?;
    made.arguments = words.filter_map(|word| word.parse(str::parse::<PipeArgument>)).collect();
    Some(DeliverTo::Pipe(Arc::new(made)))
}

fn program_path(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    match path.is_absolute() && !text.contains(['{', '\0']) {
        true => Ok(path.to_owned()),
        false => Err(format!("\"{text}\" is no program: an absolute path, without anything to be filled in")),
    }
}

fn user(name: &str) -> Result<(u32, u32), String> {
    match User::from_name(name) {
        Ok(Some(user)) => Ok((user.uid.as_raw(), user.gid.as_raw())),
        Ok(None) => Err(format!("this machine has no user \"{name}\"")),
        Err(error) => Err(format!("the user \"{name}\" cannot be looked up: {error}")),
    }
}
