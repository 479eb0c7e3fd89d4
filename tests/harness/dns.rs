//! An authoritative name server in the test process, over UDP and TCP.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, MX, SOA, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::wait_for;

#[derive(Default)]
struct Zone {
    /// By name in lower case, without the last dot.
    records: HashMap<String, Vec<RData>>,
    failing: HashSet<String>,
    silent: HashSet<String>,
}

/// The server; dropping it closes its port. What nobody told it of is NXDOMAIN.
pub(crate) struct Dns {
    pub(crate) address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Dns {
    pub(crate) fn start() -> Self {
        // UDP and TCP must have the same number, and either may be taken.
        let (udp, tcp) = wait_for("a port for DNS", || {
            let udp = UdpSocket::bind("127.0.0.1:0").ok()?;
            let tcp = TcpListener::bind(udp.local_addr().ok()?).ok()?;
            Some((udp, tcp))
        });
        udp.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
        tcp.set_nonblocking(true).expect("non-blocking");
        let address = udp.local_addr().expect("an address");
        let (zone, stop) = (Arc::new(Mutex::new(Zone::default())), Arc::new(AtomicBool::new(false)));
        let (z, s) = (Arc::clone(&zone), Arc::clone(&stop));
        let over_udp = std::thread::spawn(move || serve_udp(&udp, &z, &s));
        let (z, s) = (Arc::clone(&zone), Arc::clone(&stop));
        let over_tcp = std::thread::spawn(move || serve_tcp(&tcp, &z, &s));
        Self { address, zone, stop, threads: vec![over_udp, over_tcp] }
    }

    fn add(&self, name: &str, data: RData) {
        self.zone.lock().expect("the zone").records.entry(name.to_ascii_lowercase()).or_default().push(data);
    }

    pub(crate) fn mx(&self, domain: &str, preference: u16, host: &str) {
        self.add(domain, RData::MX(MX::new(preference, fqdn(host))));
    }

    pub(crate) fn address_of(&self, host: &str, ip: &str) {
        self.add(
            host,
            match ip.parse().expect("an address") {
                IpAddr::V4(v4) => RData::A(A(v4)),
                IpAddr::V6(v6) => RData::AAAA(AAAA(v6)),
            },
        );
    }

    /// A text in ASCII, in pieces of 255 octets as zones have it.
    pub(crate) fn txt(&self, name: &str, text: &str) {
        let pieces = text.as_bytes().chunks(255).map(|piece| String::from_utf8_lossy(piece).into_owned());
        self.add(name, RData::TXT(TXT::new(pieces.collect())));
    }

    /// SERVFAIL for this name.
    pub(crate) fn fails(&self, name: &str) {
        self.zone.lock().expect("the zone").failing.insert(name.to_owned());
    }

    /// No answer at all for this name.
    pub(crate) fn is_silent(&self, name: &str) {
        self.zone.lock().expect("the zone").silent.insert(name.to_owned());
    }

    /// SERVFAIL and silence are over.
    pub(crate) fn recovers(&self) {
        let mut zone = self.zone.lock().expect("the zone");
        zone.failing.clear();
        zone.silent.clear();
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            thread.join().expect("the name server ends");
        }
    }
}

fn fqdn(name: &str) -> Name {
    let mut name = Name::from_ascii(name).expect("a name");
    name.set_fqdn(true);
    name
}

fn serve_udp(socket: &UdpSocket, zone: &Mutex<Zone>, stop: &AtomicBool) {
    let mut buffer = [0; 4096];
    while !stop.load(Ordering::SeqCst) {
        let Ok((len, peer)) = socket.recv_from(&mut buffer) else { continue };
        if let Some(answer) = answer(&buffer[..len], zone) {
            // A resolver that went away asks no more.
            let _ = socket.send_to(&answer, peer);
        }
    }
}

fn serve_tcp(listener: &TcpListener, zone: &Mutex<Zone>, stop: &AtomicBool) {
    while !stop.load(Ordering::SeqCst) {
        match listener.accept() {
            Ok((stream, _)) => drop(serve_stream(stream, zone)),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// One question a connection: enough for answers that did not fit a datagram.
fn serve_stream(mut stream: TcpStream, zone: &Mutex<Zone>) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut len = [0; 2];
    stream.read_exact(&mut len)?;
    let mut question = vec![0; usize::from(u16::from_be_bytes(len))];
    stream.read_exact(&mut question)?;
    if let Some(answer) = answer(&question, zone) {
        let len = u16::try_from(answer.len()).expect("a short answer").to_be_bytes();
        stream.write_all(&[&len[..], &answer[..]].concat())?;
    }
    Ok(())
}

/// The answer; nothing when there is to be silence.
fn answer(question: &[u8], zone: &Mutex<Zone>) -> Option<Vec<u8>> {
    let question = Message::from_vec(question).ok()?;
    let query = question.queries.first()?.clone();
    let name = query.name().to_ascii().trim_end_matches('.').to_ascii_lowercase();
    let zone = zone.lock().expect("the zone");
    if zone.silent.contains(&name) {
        return None;
    }
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.metadata.authoritative = true;
    answer.metadata.recursion_desired = question.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    answer.add_query(query.clone());
    let below = format!(".{name}");
    let has_children = zone.records.keys().any(|known| known.ends_with(&below));
    match zone.records.get(&name) {
        _ if zone.failing.contains(&name) => answer.metadata.response_code = ResponseCode::ServFail,
        None if !has_children => answer.metadata.response_code = ResponseCode::NXDomain,
        found => {
            let wanted = |data: &&RData| {
                data.record_type() == query.query_type() || query.query_type() == RecordType::ANY
            };
            for data in found.into_iter().flatten().filter(wanted) {
                answer.add_answer(Record::from_rdata(query.name().clone(), 60, data.clone()));
            }
        }
    }
    if answer.answers.is_empty() && answer.metadata.response_code != ResponseCode::ServFail {
        // A negative answer without SOA would not be believed (RFC 2308).
        let soa = SOA::new(fqdn("ns.test"), fqdn("root.test"), 1, 60, 60, 60, 1);
        answer.add_authority(Record::from_rdata(Name::root(), 1, RData::SOA(soa)));
    }
    answer.to_vec().ok()
}
