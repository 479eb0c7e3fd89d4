//! A next hop on loopback that says what a test wants it to say.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// What the peer does at a point of the dialogue.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// What a friendly server says here.
    Usual,
    Say(String),
    /// Says it, then closes.
    SayAndClose(String),
    Close,
    /// Says nothing, for ever.
    Hang,
    Wait(Duration),
    /// Agrees to STARTTLS, then makes no handshake but says this.
    SayInstead(String),
}

pub(crate) fn say(line: &str) -> Act {
    Act::Say(format!("{line}\r\n"))
}

/// Whether the peer speaks TLS.
#[derive(Clone, Default)]
pub(crate) enum Tls {
    #[default]
    No,
    /// By STARTTLS.
    Offered(TlsAcceptor),
    AtOnce(TlsAcceptor),
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Decides by step (`greeting`, `EHLO`, `STARTTLS`, `MAIL`, `RCPT`, `DATA`, `.`), the command line, and the number of the connection from 0 on.
type Manners = dyn Fn(&str, &str, usize) -> Act + Send + Sync;

/// A message as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) connection: usize,
    pub(crate) secured: bool,
    pub(crate) mail: String,
    pub(crate) rcpts: Vec<String>,
    /// Dots taken off.
    pub(crate) content: Vec<u8>,
}

#[derive(Default)]
pub(crate) struct Log {
    pub(crate) taken: Mutex<Vec<Taken>>,
    /// Steps in their order, over all connections.
    pub(crate) steps: Mutex<Vec<String>>,
    /// Where connections came from, in their order.
    pub(crate) clients: Mutex<Vec<IpAddr>>,
    pub(crate) connections: AtomicUsize,
    pub(crate) open: AtomicUsize,
    pub(crate) most_open: AtomicUsize,
}

pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) log: Arc<Log>,
    task: JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Peer {
    pub(crate) async fn friendly() -> Self {
        Self::with(|_, _, _| Act::Usual).await
    }

    /// Does `act` at every `step`, and the usual elsewhere.
    pub(crate) async fn at(step: &'static str, act: Act) -> Self {
        Self::with(move |at, _, _| if at == step { act.clone() } else { Act::Usual }).await
    }

    pub(crate) async fn with(manners: impl Fn(&str, &str, usize) -> Act + Send + Sync + 'static) -> Self {
        Self::on("127.0.0.1:0", manners).await
    }

    pub(crate) async fn on(
        address: &str,
        manners: impl Fn(&str, &str, usize) -> Act + Send + Sync + 'static,
    ) -> Self {
        Self::secured(address, Tls::No, manners).await
    }

    pub(crate) async fn secured(
        address: &str,
        tls: Tls,
        manners: impl Fn(&str, &str, usize) -> Act + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let log: Arc<Log> = Arc::default();
        let (manners, kept): (Arc<Manners>, _) = (Arc::new(manners), Arc::clone(&log));
        let task = tokio::spawn(async move {
            let mut sessions = tokio::task::JoinSet::new();
            while let Ok((stream, client)) = listener.accept().await {
                kept.clients.lock().push(client.ip());
                let (manners, log) = (Arc::clone(&manners), Arc::clone(&kept));
                sessions.spawn(serve(stream, manners, log, false, tls.clone()));
            }
        });
        Self { address, log, task }
    }

    /// An LMTP server on a Unix socket.
    pub(crate) fn lmtp(
        path: &std::path::Path,
        manners: impl Fn(&str, &str, usize) -> Act + Send + Sync + 'static,
    ) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let log: Arc<Log> = Arc::default();
        let (manners, kept): (Arc<Manners>, _) = (Arc::new(manners), Arc::clone(&log));
        let task = tokio::spawn(async move {
            let mut sessions = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (manners, log) = (Arc::clone(&manners), Arc::clone(&kept));
                sessions.spawn(serve(stream, manners, log, true, Tls::No));
            }
        });
        Self { address: SocketAddr::from(([0, 0, 0, 0], 0)), log, task }
    }

    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.log.taken.lock().clone()
    }

    pub(crate) fn taken_count(&self) -> usize {
        self.log.taken.lock().len()
    }

    pub(crate) fn connections(&self) -> usize {
        self.log.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn clients(&self) -> Vec<IpAddr> {
        self.log.clients.lock().clone()
    }

    pub(crate) fn steps(&self) -> Vec<String> {
        self.log.steps.lock().clone()
    }

    /// Waits for so many messages.
    pub(crate) async fn until_taken(&self, count: usize) {
        let wait = async {
            while self.log.taken.lock().len() < count {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("the messages never arrived");
    }

    /// Waits for a step to be reached.
    pub(crate) async fn until_step(&self, step: &str) {
        let wait = async {
            while !self.log.steps.lock().iter().any(|at| at == step) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("the step was never reached");
    }
}

async fn serve(stream: impl Stream + 'static, manners: Arc<Manners>, log: Arc<Log>, is_lmtp: bool, tls: Tls) {
    let number = log.connections.fetch_add(1, Ordering::Relaxed);
    let open = log.open.fetch_add(1, Ordering::Relaxed) + 1;
    log.most_open.fetch_max(open, Ordering::Relaxed);
    let stream = Some(BufReader::new(Box::new(stream) as Box<dyn Stream>));
    let mut session = Session { stream, manners, log, number, is_lmtp, tls, is_secured: false };
    session.run().await;
    session.log.open.fetch_sub(1, Ordering::Relaxed);
}

struct Session {
    /// Gone when a handshake failed.
    stream: Option<BufReader<Box<dyn Stream>>>,
    manners: Arc<Manners>,
    log: Arc<Log>,
    number: usize,
    is_lmtp: bool,
    tls: Tls,
    is_secured: bool,
}

impl Session {
    async fn run(&mut self) -> Option<()> {
        if let Tls::AtOnce(acceptor) = self.tls.clone() {
            self.handshake(&acceptor).await?;
        }
        self.act("greeting", "", "220 peer.example ready\r\n").await?;
        let (mut mail, mut rcpts) = (String::new(), Vec::new());
        loop {
            let line = self.line().await?;
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let verb = line.split(' ').next().unwrap_or_default().to_uppercase();
            match verb.as_str() {
                "EHLO" | "LHLO" | "HELO" => {
                    let starttls = matches!(self.tls, Tls::Offered(_)) && !self.is_secured;
                    let starttls = if starttls { "250-STARTTLS\r\n" } else { "" };
                    let offers = "250-PIPELINING\r\n250-SIZE\r\n250 8BITMIME\r\n";
                    let offers = format!("250-peer.example\r\n{starttls}{offers}");
                    self.act("EHLO", &line, &offers).await?;
                }
                "STARTTLS" => self.starttls(&line).await?,
                "AUTH" => {
                    self.act("AUTH", &line, "235 2.7.0 welcome\r\n").await?;
                }
                "MAIL" => {
                    (mail, rcpts) = (String::new(), Vec::new());
                    if self.act("MAIL", &line, "250 ok\r\n").await? {
                        mail = line;
                    }
                }
                "RCPT" if mail.is_empty() => self.write("503 5.5.1 MAIL first\r\n").await?,
                "RCPT" => {
                    if self.act("RCPT", &line, "250 ok\r\n").await? {
                        rcpts.push(line);
                    }
                }
                "DATA" if rcpts.is_empty() => self.write("554 no valid recipients\r\n").await?,
                "DATA" => {
                    if self.act("DATA", &line, "354 go ahead\r\n").await? {
                        self.content(&mail, &rcpts).await?;
                    }
                }
                "QUIT" => {
                    self.act("QUIT", &line, "221 bye\r\n").await?;
                    return None;
                }
                _ => self.write("250 ok\r\n").await?,
            }
        }
    }

    async fn starttls(&mut self, line: &str) -> Option<()> {
        let Tls::Offered(acceptor) = self.tls.clone() else { return self.write("502 no\r\n").await };
        match self.act("STARTTLS", line, "220 go ahead\r\n").await? {
            true => self.handshake(&acceptor).await,
            false => Some(()),
        }
    }

    async fn handshake(&mut self, acceptor: &TlsAcceptor) -> Option<()> {
        let plain = self.stream.take()?.into_inner();
        let stream = acceptor.accept(plain).await.ok()?;
        self.stream = Some(BufReader::new(Box::new(stream)));
        self.is_secured = true;
        Some(())
    }

    async fn content(&mut self, mail: &str, rcpts: &[String]) -> Option<()> {
        let mut content = Vec::new();
        loop {
            let line = self.line().await?;
            if line == b".\r\n" {
                break;
            }
            content.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
        let (connection, secured) = (self.number, self.is_secured);
        let taken = Taken { connection, secured, mail: mail.to_owned(), rcpts: rcpts.to_vec(), content };
        let replies = if self.is_lmtp { rcpts } else { &rcpts[..1] };
        let mut is_taken = false;
        for rcpt in replies {
            is_taken |= self.act(".", rcpt, "250 2.0.0 taken\r\n").await?;
        }
        if is_taken {
            self.log.taken.lock().push(taken);
        }
        Some(())
    }

    async fn line(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        match self.stream.as_mut()?.read_until(b'\n', &mut line).await {
            Ok(count) if count > 0 && line.ends_with(b"\n") => Some(line),
            _ => None,
        }
    }

    async fn write(&mut self, text: &str) -> Option<()> {
        let stream = self.stream.as_mut()?;
        stream.write_all(text.as_bytes()).await.ok()?;
        stream.flush().await.ok()
    }

    /// Plays a step; true when what was said is a yes.
    async fn act(&mut self, step: &str, line: &str, usual: &str) -> Option<bool> {
        self.log.steps.lock().push(step.to_owned());
        match (self.manners)(step, line, self.number) {
            Act::Usual => self.write(usual).await?,
            Act::Say(text) => {
                self.write(&text).await?;
                return Some(text.starts_with(['2', '3']));
            }
            Act::SayAndClose(text) => {
                self.write(&text).await?;
                return None;
            }
            Act::SayInstead(text) => {
                self.write(usual).await?;
                self.write(&text).await?;
                return None;
            }
            Act::Close => return None,
            Act::Hang => {
                // Until the other side is gone.
                while self.line().await.is_some() {}
                return None;
            }
            Act::Wait(time) => {
                tokio::time::sleep(time).await;
                self.write(usual).await?;
            }
        }
        Some(true)
    }
}
