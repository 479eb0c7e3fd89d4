//! Servers that say what a test tells them to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use rcgen::{CertifiedKey, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// What a server does with a connection.
#[derive(Clone)]
struct Script {
    said: Vec<u8>,
    /// Said again and again behind it, until nobody listens.
    repeated: Vec<u8>,
    /// Keeps the connection open until the client closes it.
    waits: bool,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    open: AtomicUsize,
    most_open: AtomicUsize,
}

pub(crate) struct Peer {
    address: SocketAddr,
    seen: Arc<Seen>,
    heard: watch::Receiver<Vec<u8>>,
    open: watch::Receiver<(usize, usize)>,
}

impl Peer {
    /// Says this behind the request, and closes.
    pub(crate) async fn says(said: &str) -> Self {
        Self::start(Script { said: said.into(), repeated: Vec::new(), waits: false }, None).await
    }

    /// The same over TLS.
    pub(crate) async fn over_tls(said: &str, certificate: &CertificateDer<'static>, key: &KeyPair) -> Self {
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = builder.with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
        let script = Script { said: said.into(), repeated: Vec::new(), waits: false };
        Self::start(script, Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    /// Says this, and no more.
    pub(crate) async fn says_and_waits(said: &str) -> Self {
        Self::start(Script { said: said.into(), repeated: Vec::new(), waits: true }, None).await
    }

    /// Says the second without end behind the first.
    pub(crate) async fn repeats(said: &str, repeated: &str) -> Self {
        let script =
            Script { said: said.into(), repeated: repeated.repeat(1_000).into_bytes(), waits: false };
        Self::start(script, None).await
    }

    async fn start(script: Script, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (heard_now, heard) = watch::channel(Vec::new());
        let (open_now, open) = watch::channel((0, 0));
        let seen = Arc::new(Seen::default());
        let (heard_now, open_now) = (Arc::new(heard_now), Arc::new(open_now));
        let counted = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.connections.fetch_add(1, SeqCst);
                let open = counted.open.fetch_add(1, SeqCst) + 1;
                counted.most_open.fetch_max(open, SeqCst);
                open_now.send_modify(|(opened, _)| *opened += 1);
                let (script, tls, counted) = (script.clone(), tls.clone(), counted.clone());
                let (heard_now, open_now) = (heard_now.clone(), open_now.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &script, &heard_now, &counted).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, &script, &heard_now, &counted).await,
                            Err(_) => _ = counted.open.fetch_sub(1, SeqCst),
                        },
                    }
                    open_now.send_modify(|(_, closed)| *closed += 1);
                });
            }
        });
        Self { address, seen, heard, open }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(SeqCst)
    }

    pub(crate) fn most_at_once(&self) -> usize {
        self.seen.most_open.load(SeqCst)
    }

    /// What it was asked, once that is there.
    pub(crate) async fn heard(&self) -> String {
        let mut heard = self.heard.clone();
        let heard = heard.wait_for(|heard| !heard.is_empty()).await.unwrap();
        String::from_utf8_lossy(&heard).into_owned()
    }

    pub(crate) fn heard_so_far(&self) -> String {
        String::from_utf8_lossy(&self.heard.borrow()).into_owned()
    }

    pub(crate) async fn until_connected(&self) {
        self.open.clone().wait_for(|(opened, _)| *opened > 0).await.unwrap();
    }

    pub(crate) async fn until_closed(&self) {
        self.open.clone().wait_for(|(_, closed)| *closed > 0).await.unwrap();
    }
}

async fn serve<S>(mut stream: S, script: &Script, heard: &watch::Sender<Vec<u8>>, counted: &Seen)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = hear(&mut stream).await;
    heard.send_replace(request);
    // Whoever has heard all may open its next connection at once.
    counted.open.fetch_sub(1, SeqCst);
    let mut said = stream.write_all(&script.said).await.is_ok() && stream.flush().await.is_ok();
    while said && !script.repeated.is_empty() {
        said = stream.write_all(&script.repeated).await.is_ok();
    }
    if script.waits {
        let mut rest = [0; 64];
        while stream.read(&mut rest).await.is_ok_and(|count| count > 0) {}
    }
    // The client may be gone.
    let _ = stream.shutdown().await;
}

/// A request with its body, as far as its length says.
async fn hear(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let (mut heard, mut piece) = (Vec::new(), [0; 4_096]);
    loop {
        let text = String::from_utf8_lossy(&heard).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return heard;
            }
        }
        match stream.read(&mut piece).await {
            Ok(count) if count > 0 => heard.extend_from_slice(&piece[..count]),
            _ => return heard,
        }
    }
}

/// A certificate for a name, which is its own authority.
pub(crate) fn authority(name: &str) -> (CertificateDer<'static>, KeyPair) {
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    (cert.der().clone(), signing_key)
}

pub(crate) fn believing(certificate: &CertificateDer<'static>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    config(roots)
}

/// Believes nobody.
pub(crate) fn nobody() -> Arc<ClientConfig> {
    config(RootCertStore::empty())
}

fn config(roots: RootCertStore) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}
