//! The side of the command: a message is left in the folder, whole and synced, or not at all.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{
    AtFlags, Mode, OFlags, RenameFlags, Stat, fchmod, fstat, fsync, open, openat, renameat_with, syncfs,
    unlinkat,
};
use rustix::process::geteuid;

use super::{WHOLE, WRITTEN, file, in_state};
use crate::commands::sendmail::Order;

/// Leaves a message for the server. When this comes back without an error it is on the disk, name and all.
///
/// # Errors
/// What the system says; nothing is left there then.
pub(crate) fn leave(folder: &Path, order: &Order, octets: &[u8]) -> io::Result<()> {
    let head = file::head(order, octets.len() as u64)?;
    // Going through it is enough: nobody but the server may list it.
    let dir = open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let name = format!("{WRITTEN}{}", unguessable()?);
    let create = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(&dir, name.as_str(), create, Mode::RUSR | Mode::WUSR)?;
    let written = write(&dir, &name, File::from(file), &[&head, octets]);
    if written.is_err() {
        // It is of no use to anybody; after a day the server removes it, too.
        let _ = unlinkat(&dir, name.as_str(), AtFlags::empty());
    }
    written
}

fn write(dir: &OwnedFd, name: &str, mut file: File, parts: &[&[u8]]) -> io::Result<()> {
    show_to_the_server(&fstat(dir)?, &file)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.sync_all()?;
    renameat_with(dir, name, dir, in_state(WHOLE, name).as_str(), RenameFlags::NOREPLACE)?;
    match openat(dir, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(listed) => fsync(listed)?,
        // Who may not list a folder cannot sync it either, but the file system that it is on.
        Err(_) => syncfs(&file)?,
    }
    Ok(())
}

/// The server reads it as its group; everybody else does not.
fn show_to_the_server(folder: &Stat, file: &File) -> io::Result<()> {
    const SET_GROUP: u32 = 0o2000;
    let is_the_servers_group = folder.st_mode & SET_GROUP != 0 && fstat(file)?.st_gid == folder.st_gid;
    if is_the_servers_group {
        return Ok(fchmod(file, Mode::RUSR | Mode::WUSR | Mode::RGRP)?);
    }
    // Root reads everything, and everybody what is its own.
    match folder.st_uid == 0 || folder.st_uid == geteuid().as_raw() {
        true => Ok(()),
        false => Err(io::Error::other("the server could not read it: the folder is not of mode 3733")),
    }
}

/// 32 digits that nobody can make a file of before.
fn unguessable() -> io::Result<String> {
    let mut octets = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut octets)?;
    Ok(octets.iter().map(|octet| format!("{octet:02x}")).collect())
}
