//! The resolver against a name server in this process, over real UDP and TCP on the loopback address.
#![expect(clippy::unwrap_used, reason = "a test server that cannot serve is a failed test")]

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dns::{Current, DnsError, Hickory, Mx, Options, Resolver, confirmed_name};
use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, MX, PTR, SOA, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

/// A name server that lives as long as this value.
struct Server {
    address: SocketAddr,
    questions: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Server {
    async fn start() -> Self {
        // One port for both; another is taken when somebody has the TCP one.
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().unwrap();
        let questions = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(udp, questions.clone()));
        tasks.spawn(serve_tcp(tcp));
        Self { address, questions, _tasks: tasks }
    }

    fn resolver(&self) -> Hickory {
        Hickory::new(&Options { servers: vec![self.address], ..Options::default() }).unwrap()
    }
}

async fn serve_udp(socket: UdpSocket, questions: Arc<AtomicUsize>) {
    let mut buffer = [0; 4096];
    while let Ok((count, peer)) = socket.recv_from(&mut buffer).await {
        questions.fetch_add(1, Ordering::SeqCst);
        if let Some(reply) = answer(&buffer[..count], true) {
            socket.send_to(&reply, peer).await.unwrap();
        }
    }
}

async fn serve_tcp(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        while let Ok(length) = stream.read_u16().await {
            let mut question = vec![0; usize::from(length)];
            stream.read_exact(&mut question).await.unwrap();
            if let Some(reply) = answer(&question, false) {
                stream.write_u16(u16::try_from(reply.len()).unwrap()).await.unwrap();
                stream.write_all(&reply).await.unwrap();
            }
        }
    }
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn answer(question: &[u8], over_udp: bool) -> Option<Vec<u8>> {
    let mut message = Message::from_vec(question).unwrap();
    let query = message.queries[0].clone();
    let asked = query.name().to_ascii().to_ascii_lowercase();
    message.metadata.message_type = MessageType::Response;
    message.edns = None;
    let mut answers: Vec<(&str, u32, RData)> = Vec::new();
    match (asked.as_str(), query.query_type()) {
        ("example.org.", RecordType::MX) => {
            answers.push(("example.org.", 300, RData::MX(MX::new(20, name("B.example.org.")))));
            answers.push(("example.org.", 300, RData::MX(MX::new(10, name("a.example.org.")))));
        }
        ("null.example.", RecordType::MX) => {
            answers.push(("null.example.", 300, RData::MX(MX::new(0, Name::root()))))
        }
        ("brief.example.", RecordType::MX) => {
            answers.push(("brief.example.", 0, RData::MX(MX::new(10, name("a.example.org.")))));
        }
        ("alias.example.", kind @ (RecordType::A | RecordType::AAAA)) => {
            answers.push(("alias.example.", 300, RData::CNAME(CNAME(name("real.example.")))));
            answers.push((
                "real.example.",
                300,
                match kind {
                    RecordType::A => RData::A(A::new(192, 0, 2, 7)),
                    _ => RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7)),
                },
            ));
        }
        ("half.example.", RecordType::A) => {
            answers.push(("half.example.", 300, RData::A(A::new(192, 0, 2, 8))))
        }
        ("half.example." | "refused.example.", _) => message.metadata.response_code = ResponseCode::Refused,
        ("large.example.", RecordType::TXT) if over_udp => message.metadata.truncation = true,
        ("large.example.", RecordType::TXT) => {
            let strings = vec!["x".repeat(200); 20];
            answers.push(("large.example.", 300, RData::TXT(TXT::new(strings))));
        }
        ("xn--bcher-kva.example.", RecordType::TXT) => {
            let strings = vec!["v=spf1 ".to_owned(), "-all".to_owned()];
            answers.push(("xn--bcher-kva.example.", 300, RData::TXT(TXT::new(strings))));
        }
        ("1.2.0.192.in-addr.arpa.", RecordType::PTR) => {
            answers.push(("1.2.0.192.in-addr.arpa.", 300, RData::PTR(PTR(name("Mail.Example.org.")))));
        }
        ("mail.example.org.", RecordType::A) => {
            answers.push(("mail.example.org.", 300, RData::A(A::new(192, 0, 2, 1))));
        }
        ("silent.example.", _) => return None,
        (asked, _) if asked.ends_with(".example.org.") || asked == "example.org." => {
            message.add_authority(soa("example.org."));
        }
        _ => {
            message.metadata.response_code = ResponseCode::NXDomain;
            message.add_authority(soa("example."));
        }
    }
    for (owner, ttl, data) in answers {
        message.add_answer(Record::from_rdata(name(owner), ttl, data));
    }
    Some(message.to_vec().unwrap())
}

fn soa(zone: &str) -> Record {
    let data = SOA::new(name("ns.example."), name("hostmaster.example."), 1, 3600, 600, 86400, 300);
    Record::from_rdata(name(zone), 300, RData::SOA(data))
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[tokio::test]
async fn mail_exchangers_come_as_the_server_gives_them() {
    let server = Server::start().await;
    let resolver = server.resolver();
    let mut found = resolver.mx("Example.ORG").await.unwrap();
    found.sort_by_key(|mx| mx.preference);
    let mx = |preference, exchange: &str| Mx { preference, exchange: exchange.to_owned() };
    assert_eq!(found, [mx(10, "a.example.org"), mx(20, "b.example.org")]);
    assert_eq!(resolver.mx("null.example").await.unwrap(), [mx(0, "")]);
}

#[tokio::test]
async fn addresses_of_both_families_are_found_behind_an_alias() {
    let server = Server::start().await;
    let resolver = server.resolver();
    assert_eq!(resolver.addresses("alias.example").await.unwrap(), [ip("2001:db8::7"), ip("192.0.2.7")]);
    assert_eq!(
        resolver.addresses("half.example.").await.unwrap(),
        [ip("192.0.2.8")],
        "the other family fails"
    );
}

#[tokio::test]
async fn what_does_not_fit_a_datagram_is_asked_again_over_tcp() {
    let server = Server::start().await;
    assert_eq!(server.resolver().txt("large.example").await.unwrap(), ["x".repeat(4000)]);
}

#[tokio::test]
async fn u_labels_are_asked_for_as_a_labels_and_strings_are_joined() {
    let server = Server::start().await;
    assert_eq!(server.resolver().txt("bücher.example").await.unwrap(), ["v=spf1 -all"]);
}

#[tokio::test]
async fn a_reverse_name_is_confirmed() {
    let server = Server::start().await;
    let resolver = server.resolver();
    assert_eq!(resolver.ptr(ip("192.0.2.1")).await.unwrap(), ["mail.example.org"]);
    assert_eq!(confirmed_name(&resolver, ip("192.0.2.1")).await, Ok(Some("mail.example.org".to_owned())));
    assert_eq!(confirmed_name(&resolver, ip("192.0.2.2")).await, Ok(None));
}

#[tokio::test]
async fn failures_say_whether_asking_again_may_help() {
    let server = Server::start().await;
    let resolver = server.resolver();
    assert_eq!(resolver.mx("nobody.example").await, Err(DnsError::NxDomain));
    assert_eq!(resolver.txt("example.org").await, Err(DnsError::NoData));
    assert_eq!(resolver.addresses("nobody.example").await, Err(DnsError::NxDomain));
    assert!(matches!(resolver.mx("refused.example").await, Err(DnsError::ServFail(_))));
    assert_eq!(resolver.mx("not a name").await, Err(DnsError::BadName));
}

#[tokio::test]
async fn a_silent_server_is_given_up_in_time() {
    let server = Server::start().await;
    let options = Options {
        servers: vec![server.address],
        timeout: Duration::from_millis(100),
        retries: 1,
        ..Options::default()
    };
    let resolver = Hickory::new(&options).unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(10), resolver.mx("silent.example")).await;
    assert_eq!(answer.expect("the question ends"), Err(DnsError::TimedOut));
}

#[tokio::test]
async fn answers_are_remembered_for_as_long_as_they_live() {
    let server = Server::start().await;
    let resolver = server.resolver();
    let asked = async |name: &str| {
        let before = server.questions.load(Ordering::SeqCst);
        let _ = resolver.mx(name).await;
        server.questions.load(Ordering::SeqCst) - before
    };
    assert_eq!((asked("example.org").await, asked("EXAMPLE.org.").await), (1, 0));
    assert_eq!(
        (asked("nobody.example").await, asked("nobody.example").await),
        (1, 0),
        "what is not there, too"
    );
    assert_eq!((asked("brief.example").await, asked("brief.example").await), (1, 1), "a lifetime of 0");
}

#[tokio::test]
async fn another_resolver_takes_the_place_and_the_same_one_keeps_what_it_remembers() {
    let (first, second) = (Server::start().await, Server::start().await);
    let options = |server: &Server| Options { servers: vec![server.address], ..Options::default() };
    let current = Current::new(first.resolver());
    let asked = |server: &Server| server.questions.load(Ordering::SeqCst);
    assert_eq!(current.ptr(ip("192.0.2.1")).await.unwrap(), ["mail.example.org"]);
    assert!(asked(&first) > 0 && asked(&second) == 0);
    assert!(current.prepare(&options(&first)).unwrap().is_none());
    let next = current.prepare(&options(&second)).unwrap();
    let before = asked(&first);
    current.replace(next.expect("other servers"));
    assert_eq!(current.ptr(ip("192.0.2.1")).await.unwrap(), ["mail.example.org"]);
    assert!(asked(&first) == before && asked(&second) > 0);
    let nowhere = Options { trust_anchor_file: Some("/no/such/file".into()), ..options(&second) };
    assert!(current.prepare(&nowhere).is_err());
}
