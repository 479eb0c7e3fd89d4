//! A mail server to deliver to, that does as it is told: takes messages and keeps them, refuses, waits, or dies.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{LONG, wait_for};

/// What to do about a command.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// What a server does.
    Usual,
    /// This reply instead.
    Say(&'static str),
    /// Close the connection without a word.
    Hang,
    /// Say nothing for ever; the connection stays.
    Silence,
}

/// A message that was taken.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    /// Unstuffed.
    pub(crate) content: String,
    /// The line of MAIL as it came.
    pub(crate) mail: String,
}

type Script = Box<dyn FnMut(&str) -> Act + Send>;

struct Shared {
    script: Mutex<Script>,
    received: Mutex<Vec<Received>>,
    /// Of all messages, those that were fetched by `take` as well.
    count: AtomicUsize,
    connections: AtomicUsize,
    open: AtomicUsize,
    stop: AtomicBool,
}

/// The server; dropping it closes its port and its connections.
pub(crate) struct NextHop {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl NextHop {
    /// One that takes everything.
    pub(crate) fn start() -> Self {
        Self::on("127.0.0.1:0".parse().expect("an address"))
    }

    /// One at a given address.
    pub(crate) fn on(address: SocketAddr) -> Self {
        let listener = wait_for("the next hop's port", || TcpListener::bind(address).ok());
        listener.set_nonblocking(true).expect("non-blocking");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            script: Mutex::new(Box::new(|_| Act::Usual)),
            received: Mutex::default(),
            count: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || accept(&listener, &of_thread));
        Self { address, shared, thread: Some(thread) }
    }

    /// What it does from now on. It is asked with the line that came, with "connect" before the greeting, and with "." at
    /// the end of the content.
    pub(crate) fn does(&self, script: impl FnMut(&str) -> Act + Send + 'static) {
        *self.shared.script.lock().expect("the script") = Box::new(script);
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().expect("messages").clone()
    }

    /// The messages that were taken since the last call.
    pub(crate) fn take(&self) -> Vec<Received> {
        std::mem::take(&mut *self.shared.received.lock().expect("messages"))
    }

    /// How many messages were taken in all.
    pub(crate) fn count(&self) -> usize {
        self.shared.count.load(Ordering::SeqCst)
    }

    /// Closes its port and its connections; what it had taken.
    pub(crate) fn ends(self) -> Vec<Received> {
        let shared = Arc::clone(&self.shared);
        drop(self);
        std::mem::take(&mut *shared.received.lock().expect("messages"))
    }

    /// Waits until at least this many messages were taken.
    #[track_caller]
    pub(crate) fn wait(&self, count: usize) -> Vec<Received> {
        wait_for(&format!("{count} messages at the next hop"), || {
            Some(self.received()).filter(|all| all.len() >= count)
        })
    }

    /// Connections that were made so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Connections that are open now.
    pub(crate) fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }
}

impl Drop for NextHop {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the next hop ends");
        }
        while self.open() > 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while !shared.stop.load(Ordering::SeqCst) {
        match listener.accept() {
            Ok((stream, _)) => {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                shared.open.fetch_add(1, Ordering::SeqCst);
                let shared = Arc::clone(shared);
                std::thread::spawn(move || {
                    // A connection that breaks has nothing to tell.
                    let _ = Session::new(stream, &shared).and_then(|mut session| session.serve());
                    shared.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

struct Session<'a> {
    stream: BufReader<TcpStream>,
    shared: &'a Shared,
}

const GOOD: Received =
    Received { from: String::new(), to: Vec::new(), content: String::new(), mail: String::new() };

impl<'a> Session<'a> {
    fn new(stream: TcpStream, shared: &'a Shared) -> std::io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_millis(50)))?;
        Ok(Self { stream: BufReader::new(stream), shared })
    }

    fn serve(&mut self) -> std::io::Result<()> {
        let mut message = GOOD;
        if !self.answer("connect", "220 hop.example ESMTP")? {
            return Ok(());
        }
        while let Some(line) = self.line()? {
            let verb = line.get(..4).unwrap_or(&line).to_ascii_uppercase();
            let usual = match verb.as_str() {
                "EHLO" => {
                    "250-hop.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-SIZE 50000000\r\n250 ENHANCEDSTATUSCODES"
                }
                "DATA" if message.to.is_empty() => "554 5.5.1 no valid recipients",
                "DATA" => "354 go on",
                "QUIT" => "221 2.0.0 bye",
                _ => "250 2.0.0 ok",
            };
            let was_taken = self.answer(&line, usual)?;
            if verb == "QUIT" {
                return Ok(());
            }
            if !was_taken {
                continue;
            }
            match verb.as_str() {
                "MAIL" => message = Received { from: path(&line), mail: line, ..GOOD },
                "RCPT" => message.to.push(path(&line)),
                "RSET" | "EHLO" => message = GOOD,
                "DATA" => {
                    message.content = self.content()?;
                    if self.answer(".", "250 2.0.0 taken")? {
                        self.shared.received.lock().expect("messages").push(message);
                        self.shared.count.fetch_add(1, Ordering::SeqCst);
                    }
                    message = GOOD;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Says what the script wants; true when the command was taken. The end of the connection is an error.
    fn answer(&mut self, line: &str, usual: &str) -> std::io::Result<bool> {
        let act = (self.shared.script.lock().expect("the script"))(line);
        let reply = match act {
            Act::Usual => usual,
            Act::Say(reply) => reply,
            Act::Hang => return Err(std::io::ErrorKind::ConnectionAborted.into()),
            Act::Silence => {
                while self.line()?.is_some() {}
                return Err(std::io::ErrorKind::ConnectionAborted.into());
            }
        };
        self.stream.get_mut().write_all(format!("{reply}\r\n").as_bytes())?;
        Ok(reply.starts_with(['2', '3']))
    }

    /// A line without its end; nothing at the end of the connection, or when the hop is to stop.
    fn line(&mut self) -> std::io::Result<Option<String>> {
        let mut line = Vec::new();
        let deadline = std::time::Instant::now() + LONG * 4;
        loop {
            match self.stream.read_until(b'\n', &mut line) {
                Ok(0) => return Ok(None),
                Ok(_) if line.ends_with(b"\r\n") => break,
                Ok(_) => {}
                Err(e)
                    if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
                {
                    if self.shared.stop.load(Ordering::SeqCst) || std::time::Instant::now() > deadline {
                        return Ok(None);
                    }
                }
                Err(e) => return Err(e),
            }
        }
        line.truncate(line.len() - 2);
        Ok(Some(String::from_utf8_lossy(&line).into_owned()))
    }

    fn content(&mut self) -> std::io::Result<String> {
        let mut content = String::new();
        loop {
            let line = self.line()?.ok_or(std::io::ErrorKind::UnexpectedEof)?;
            if line == "." {
                return Ok(content);
            }
            content += line.strip_prefix('.').unwrap_or(&line);
            content += "\r\n";
        }
    }
}

/// What stands between the angle brackets.
fn path(line: &str) -> String {
    let inner = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inner.map_or_else(String::new, |(path, _)| path.to_owned())
}
