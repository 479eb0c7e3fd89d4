//! A clamd that does what a test says, over a Unix socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};

use super::*;

/// Longer than any scan of these tests takes.
const LONG: Duration = Duration::from_secs(60);

#[test]
fn answers_are_understood() {
    assert_eq!(understand(b"stream: OK\0"), Ok(None));
    assert_eq!(understand(b"stream: OK\n"), Ok(None));
    assert_eq!(understand(b"stream: Eicar-Test FOUND\0"), Ok(Some("Eicar-Test".to_owned())));
    assert_eq!(understand(b"INSTREAM size limit exceeded. ERROR\0"), Err(ScanError::TooLarge));
    for bad in [
        &b""[..],
        b"stream: Can't allocate memory ERROR\0",
        b"\xff\r\nOK",
        b"stream:  FOUND\0",
        b"stream: Eic",
    ] {
        assert!(matches!(understand(bad), Err(ScanError::Failed(_))), "{bad:?}");
    }
}

/// When the scripted clamd has heard enough.
#[derive(Clone, Copy)]
enum Hears {
    Everything,
    /// The command and no more.
    Command,
}

/// How it goes on then.
#[derive(Clone, Copy)]
enum Does {
    Says(&'static [u8]),
    /// Answers and keeps the connection.
    SaysAndStays(&'static [u8]),
    Closes,
    Hangs,
}

struct Scripted {
    folder: TempDir,
    task: tokio::task::JoinHandle<()>,
    octets: Arc<AtomicUsize>,
    most_at_once: Arc<AtomicUsize>,
}

impl Scripted {
    fn start(hears: Hears, does: Does) -> Self {
        let folder = TempDir::new().unwrap();
        let listener = UnixListener::bind(folder.path().join("clamd")).unwrap();
        let (octets, at_once, most_at_once) =
            (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (count, most) = (octets.clone(), most_at_once.clone());
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (count, at_once, most) = (count.clone(), at_once.clone(), most.clone());
                tokio::spawn(async move {
                    most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    converse(socket, hears, does, &count, &at_once).await;
                });
            }
        });
        Self { folder, task, octets, most_at_once }
    }

    fn address(&self) -> FilterAddress {
        FilterAddress::Unix(self.folder.path().join("clamd"))
    }

    async fn scan(&self, octets: usize, time: Duration) -> Result<Option<String>, ScanError> {
        let content = Content::from(Bytes::from(vec![b'x'; octets]));
        Clamd::new(10).scan(&self.address(), &content, time).await
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn converse(
    mut socket: UnixStream,
    hears: Hears,
    does: Does,
    octets: &AtomicUsize,
    at_once: &AtomicUsize,
) {
    // The client may be gone at any moment; then nobody hears the answer.
    let _ = hear(&mut socket, hears, octets).await;
    at_once.fetch_sub(1, Ordering::SeqCst);
    match does {
        Does::Says(answer) => drop(socket.write_all(answer).await),
        Does::SaysAndStays(answer) => {
            let _ = socket.write_all(answer).await;
            std::future::pending::<()>().await;
        }
        Does::Closes => {}
        Does::Hangs => std::future::pending::<()>().await,
    }
}

async fn hear(socket: &mut UnixStream, hears: Hears, octets: &AtomicUsize) -> io::Result<()> {
    let mut command = [0; 10];
    socket.read_exact(&mut command).await?;
    assert_eq!(&command, b"zINSTREAM\0");
    while let Hears::Everything = hears {
        let len = socket.read_u32().await? as usize;
        if len == 0 {
            break;
        }
        assert!(len <= PIECE_OCTETS);
        let mut piece = vec![0; len];
        socket.read_exact(&mut piece).await?;
        octets.fetch_add(len, Ordering::SeqCst);
    }
    Ok(())
}

#[tokio::test]
async fn a_message_goes_over_in_pieces_and_whole() {
    let clamd = Scripted::start(Hears::Everything, Does::Says(b"stream: Some.Thing-1 FOUND\0"));
    assert_eq!(clamd.scan(200_000, LONG).await, Ok(Some("Some.Thing-1".to_owned())));
    assert_eq!(clamd.octets.load(Ordering::SeqCst), 200_000);
    let clamd = Scripted::start(Hears::Everything, Does::Says(b"stream: OK\0"));
    assert_eq!(clamd.scan(0, LONG).await, Ok(None));
    assert_eq!(clamd.scan(5 << 20, LONG).await, Ok(None));
    assert_eq!(clamd.octets.load(Ordering::SeqCst), 5 << 20);
}

#[tokio::test]
async fn an_answer_ends_the_scan_also_when_clamd_keeps_the_connection() {
    let clamd = Scripted::start(Hears::Everything, Does::SaysAndStays(b"stream: OK\0"));
    assert_eq!(clamd.scan(10, LONG).await, Ok(None));
}

#[tokio::test]
async fn what_clamd_takes_no_more_of_is_too_large_and_not_sent_on() {
    for does in [Does::Says, Does::SaysAndStays] {
        let clamd = Scripted::start(Hears::Command, does(b"INSTREAM size limit exceeded. ERROR\0"));
        // More than a socket's buffers hold.
        assert_eq!(clamd.scan(16 << 20, LONG).await, Err(ScanError::TooLarge));
    }
}

#[tokio::test]
async fn a_message_that_clamd_did_not_read_is_never_clean() {
    let clamd = Scripted::start(Hears::Command, Does::SaysAndStays(b"stream: OK\0"));
    let Err(ScanError::Failed(why)) = clamd.scan(16 << 20, LONG).await else { panic!("it is no answer") };
    assert!(why.contains("before it had the message"), "{why}");
}

#[tokio::test]
async fn what_is_no_answer_is_an_error_that_names_it() {
    for (does, expected) in [
        (Does::Says(b"stream: Can't open file or directory ERROR\0"), "Can't open file"),
        (Does::Says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "HTTP/1.1 400"),
        (Does::Says(b"\0"), "closed the connection"),
        (Does::Says(&[b'x'; 100_000]), "xxxx"),
        (Does::Closes, "closed the connection"),
    ] {
        let clamd = Scripted::start(Hears::Everything, does);
        let Err(ScanError::Failed(why)) = clamd.scan(10, LONG).await else { panic!("{expected}") };
        assert!(why.contains(expected) && why.len() < 300, "{why}");
    }
}

#[tokio::test]
async fn a_clamd_that_closes_early_is_an_error() {
    let clamd = Scripted::start(Hears::Command, Does::Closes);
    assert!(matches!(clamd.scan(16 << 20, LONG).await, Err(ScanError::Failed(_))));
}

#[tokio::test]
async fn a_clamd_that_hangs_or_is_not_there_is_not_waited_for() {
    let soon = Duration::from_millis(20);
    for (hears, octets) in [(Hears::Everything, 10), (Hears::Command, 16 << 20)] {
        let clamd = Scripted::start(hears, Does::Hangs);
        assert_eq!(clamd.scan(octets, soon).await, Err(ScanError::TimedOut(soon)));
    }
    let folder = TempDir::new().unwrap();
    let address = FilterAddress::Unix(folder.path().join("none"));
    let content = Content::from(Bytes::from_static(b"x"));
    let outcome = Clamd::new(1).scan(&address, &content, LONG).await;
    assert!(matches!(outcome, Err(ScanError::Connect(_))));
}

#[tokio::test]
async fn no_more_scans_are_made_at_once_than_there_may_be() {
    let clamd = Scripted::start(Hears::Everything, Does::Says(b"stream: OK\0"));
    let scanner = Arc::new(Clamd::new(2));
    let scans: Vec<_> = (0..12)
        .map(|_| {
            let (scanner, address) = (scanner.clone(), clamd.address());
            tokio::spawn(async move {
                let content = Content::from(Bytes::from(vec![b'x'; 300_000]));
                scanner.scan(&address, &content, LONG).await
            })
        })
        .collect();
    for scan in scans {
        assert_eq!(scan.await.unwrap(), Ok(None));
    }
    assert!(clamd.most_at_once.load(Ordering::SeqCst) <= 2);
}
