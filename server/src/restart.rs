//! A new beginning as the same process: the listening sockets stay open, so that who connects meanwhile waits instead of being refused.
//!
//! The server looks first whether it could begin with what the configuration says now, and goes on as it is when it could not. Then it stops
//! as it always does, and runs its program again, which after an upgrade is the new one: process id, sockets, rights and sandbox stay.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use config::{Bequest, Config};
use rustix::io::{FdFlags, fcntl_setfd};
use tokio::sync::Notify;

use crate::privileges::cannot_listen;
use crate::sandbox::Sandbox;
use crate::successor;

/// What the server is run with, and whether somebody wants it to begin anew.
#[derive(Debug)]
pub(crate) struct Restarter {
    program: PathBuf,
    arguments: Vec<OsString>,
    /// As it was found at the start.
    file: PathBuf,
    sandbox: Arc<Sandbox>,
    /// Why it cannot be at all.
    obstacle: Option<&'static str>,
    wanted: Notify,
    /// It is there later.
    inbound: OnceLock<Arc<inbound::Server>>,
}

/// A listening socket for the server that begins.
pub(crate) struct Left {
    pub(crate) name: String,
    /// The address that this server bound it for.
    pub(crate) asked: Option<SocketAddr>,
    pub(crate) socket: OwnedFd,
}

impl Restarter {
    /// `holds_port`: a port of root's is held for the authority that gives certificates.
    pub(crate) fn new(file: &Path, sandbox: Arc<Sandbox>, holds_port: bool) -> std::io::Result<Self> {
        Ok(Self {
            program: std::env::current_exe()?,
            arguments: std::env::args_os().skip(1).collect(),
            file: std::path::absolute(file)?,
            sandbox,
            obstacle: holds_port.then_some("the port where certificates are asked for is root's to bind: start the server again from outside"),
            wanted: Notify::new(),
            inbound: OnceLock::new(),
        })
    }

    /// Whose sockets are kept.
    pub(crate) fn keeps(&self, inbound: &Arc<inbound::Server>) {
        self.inbound.get_or_init(|| Arc::clone(inbound));
    }

    /// Looks whether the server could begin anew, and has it do so.
    ///
    /// # Errors
    /// Why it could not; it goes on as it is.
    pub(crate) async fn ask(self: Arc<Self>) -> Result<(), String> {
        let this = Arc::clone(&self);
        let looked = tokio::task::spawn_blocking(move || this.look()).await;
        let found = looked.map_err(|error| error.to_string()).and_then(|found| found);
        match &found {
            Ok(()) => self.wanted.notify_one(),
            Err(error) => tracing::error!(error, "the server does not begin anew, and goes on as it is"),
        }
        found
    }

    /// Waits until it is to begin anew.
    pub(crate) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    fn look(&self) -> Result<(), String> {
        if let Some(obstacle) = self.obstacle {
            return Err(obstacle.to_owned());
        }
        let config = Config::load(Some(&self.file)).map_err(|faults| faults.to_string())?;
        tls::check(&config.tls).map_err(|faults| faults.to_string())?;
        match self.inbound.get().map(|inbound| inbound.prepare(&config.inbound.listeners)) {
            // What is in its way is closed before the server begins.
            Some(Err(error)) if error.in_the_way.is_none() => return Err(cannot_listen(&error)),
            _ => {}
        }
        if let Some(path) = self.sandbox.lacks(&config) {
            let path = path.display();
            return Err(format!(
                "{path} is outside of what the server may touch since its start (process.landlock)"
            ));
        }
        successor::try_out(&self.program, &self.file)
    }

    /// Runs the program again with these sockets. Comes back only when that failed.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn begin_anew(&self, sockets: &[Left]) -> Result<()> {
        let mut bequests = Vec::new();
        for Left { name, asked, socket } in sockets {
            fcntl_setfd(socket, FdFlags::empty()).context("a listening socket")?;
            bequests.push(Bequest { number: socket.as_raw_fd(), name: name.clone(), asked: *asked });
        }
        let variables = config::heritage(&bequests, self.sandbox.is_closed());
        let error = Command::new(&self.program).args(&self.arguments).envs(variables).exec();
        Err(error).with_context(|| format!("cannot run {} again", self.program.display()))
    }
}
