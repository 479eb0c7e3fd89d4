//! How a long queue for many destinations drains: `cargo run -p outbound --example drain DIR [ENTRIES [DOMAINS]]`, by default 100,000
//! entries over 10,000 domains, each with an MX of its own at a sink on the loopback.
//!
//! Both ends are in this process and have up to 500 connections: `ulimit -n` has to be 4,096 or so. The store in DIR is filled first, so that every entry is read from the disk again; then the engine starts. Said are the time, the
//! rate, the memory at its highest, and what the store takes on the disk before and after.

#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use dns::{BoxFuture, DnsError, Mx, Resolver};
use model::{Content, Envelope, Mailbox, ReversePath};
use outbound::{Engine, Options};
use queue::{Entry, Store};
use store::DiskStore;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const OCTETS: usize = 2 << 10;
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Every domain has an MX with its own name, and that is here.
#[derive(Debug)]
struct Everywhere;

impl Resolver for Everywhere {
    fn mx<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Mx>, DnsError>> {
        let exchange = format!("mx.{}", name.trim_end_matches('.'));
        Box::pin(async move { Ok(vec![Mx { preference: 10, exchange }]) })
    }

    fn addresses<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>> {
        Box::pin(async { Ok(vec![LOOPBACK]) })
    }

    fn txt<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<String>, DnsError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn ptr(&self, _: IpAddr) -> BoxFuture<'_, Result<Vec<String>, DnsError>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

#[tokio::main]
async fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().ok_or("name a directory")?);
    let entries: u64 = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    let domains: u64 = arguments.next().map_or(Ok(10_000), |text| text.parse())?;
    let store = Arc::new(DiskStore::open(store::Options::new(&dir))?);
    fill(&store, entries, domains).await?;
    // Until they have gone to the index and out of memory.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let totals = store.totals();
    let (disk, memory) = (totals.disk_octets >> 20, rss_mb());
    println!("filled: {} entries, {disk} MB on disk, {memory} MB of memory", totals.waiting);
    // A client whose connection did not fit into a shorter line would wait for a greeting that never comes.
    let socket = TcpSocket::new_v4()?;
    socket.bind((LOOPBACK, 0).into())?;
    let (listener, taken) = (socket.listen(4_096)?, Arc::new(AtomicU64::new(0)));
    let mut options = Options::new("mx.example.org");
    options.mx_port = listener.local_addr()?.port();
    let sink = tokio::spawn(sink(listener, Arc::clone(&taken)));
    let began = clock::now();
    let engine = Engine::start(Arc::new(options), Arc::clone(&store) as Arc<dyn Store>, Arc::new(Everywhere));
    let (mut highest_mb, mut said) = (0, 0);
    while store.totals().waiting > 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        highest_mb = highest_mb.max(rss_mb());
        if sink.is_finished() {
            return Err("the sink has ended".into());
        }
        let seconds = clock::now().duration_since(began).as_secs();
        if seconds >= said + 5 {
            said = seconds;
            let (view, stats, taken) = (store.census(1), engine.stats(), taken.load(Ordering::Relaxed));
            let reason = view.reasons.first().map_or("", |row| &row.name);
            let (waiting, active, deferred) = (view.waiting, stats.active, stats.deferred);
            println!(
                "  {seconds} s: {taken} taken, {active} active, {deferred} deferred, {waiting} wait: {reason}"
            );
        }
    }
    let took_s = clock::now().duration_since(began).as_secs_f64();
    let (stats, rate) = (engine.stats(), entries as f64 / took_s);
    println!("drained: {took_s:.1} s, {rate:.0} a second; at most {highest_mb} MB of memory");
    let taken = taken.load(Ordering::Relaxed);
    println!("{} delivered, {} deferred; {taken} taken by the sink", stats.delivered, stats.deferred);
    engine.shutdown(Duration::from_secs(5)).await;
    for seconds in [1, 5, 15, 30] {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        println!("  {} KB on disk", store.totals().disk_octets >> 10);
    }
    store.close();
    Ok(())
}

async fn fill(store: &Arc<DiskStore>, entries: u64, domains: u64) -> Outcome {
    let content = Bytes::from([&b"Subject: x\r\n\r\n"[..], &[b'x'; OCTETS], &b"\r\n"[..]].concat());
    let next = Arc::new(AtomicU64::new(0));
    let running = (0..128).map(|_| {
        let (store, next, content) = (Arc::clone(store), Arc::clone(&next), content.clone());
        tokio::spawn(async move {
            loop {
                let nth = next.fetch_add(1, Ordering::Relaxed);
                if nth >= entries {
                    return Outcome::Ok(());
                }
                let sender = ReversePath::Mailbox(Mailbox::parse("sender@example.org")?);
                let mut envelope = Envelope::new(sender, Vec::new());
                let mailbox = Mailbox::parse(&format!("user@d{}.example", nth % domains))?;
                envelope.add_recipient(mailbox.clone(), mailbox, Vec::new());
                let entry = Entry::new(store.new_id(), envelope, content.len() as u64, clock::wall(), None);
                store.commit(Arc::new(entry), Content::from(content.clone())).await?;
            }
        })
    });
    for task in running.collect::<Vec<_>>() {
        task.await??;
    }
    Ok(())
}

/// A server that takes everything.
async fn sink(listener: TcpListener, taken: Arc<AtomicU64>) {
    loop {
        let (stream, _) = listener.accept().await.expect("descriptors enough, see the top");
        let taken = Arc::clone(&taken);
        tokio::spawn(async move {
            // A client that hangs up ends its session.
            let _ = converse(stream, &taken).await;
        });
    }
}

async fn converse(stream: TcpStream, taken: &AtomicU64) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (read, mut write) = stream.into_split();
    let (mut read, mut line) = (BufReader::new(read), Vec::new());
    write.write_all(b"220 sink ESMTP\r\n").await?;
    loop {
        line.clear();
        if read.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let reply: &[u8] = match line.get(..4).unwrap_or_default() {
            b"EHLO" => b"250-sink\r\n250 PIPELINING\r\n",
            b"DATA" => {
                write.write_all(b"354 go on\r\n").await?;
                while line != b".\r\n" {
                    line.clear();
                    if read.read_until(b'\n', &mut line).await? == 0 {
                        return Ok(());
                    }
                }
                taken.fetch_add(1, Ordering::Relaxed);
                b"250 taken\r\n"
            }
            b"QUIT" => return write.write_all(b"221 bye\r\n").await,
            _ => b"250 yes\r\n",
        };
        write.write_all(reply).await?;
    }
}

fn rss_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}
