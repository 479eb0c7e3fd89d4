//! The PROXY protocol: a proxy in front of us says whose connection it hands on.
//!
//! Only networks that the listener trusts may say it, and they have to: their connection begins with a header of version 1 or 2.
//! What stands behind the header belongs to the session, so never an octet more than the header is taken from the socket.
//!
//! Standards: haproxy's proxy-protocol.txt (2.1 version 1, 2.2 version 2, 2.2.3 the checksum).
//! Limits: [`V1_OCTETS`], [`V2_OCTETS`]; the header has to be whole within `limits.proxy-timeout`.
//! Known gaps: of what a header says beyond the addresses (TLV fields) only the checksum is looked at.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use proxy_header::{ParseConfig, Protocol, ProxyHeader};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Octets of a header of version 1 with its line end (section 2.1).
const V1_OCTETS: usize = 107;
/// Octets of a header of version 2: its 16 first, addresses, and TLV fields up to the 536 octets that every path carries in one
/// piece (section 2.2).
const V2_OCTETS: usize = 536;
/// What a header of version 2 begins with.
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The octets of a header of version 2 that say how long the rest is.
const V2_HEAD: usize = 16;
/// The TLV field that has the header's CRC-32C.
const CHECKSUM: u8 = 3;
/// What a header of version 1 begins with.
const V1_SIGNATURE: &[u8] = b"PROXY ";

/// Why a connection from a trusted network is closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    #[error("no PROXY header came within {0:?}")]
    Late(Duration),
    #[error("the connection ended inside the PROXY header")]
    Ended,
    #[error("the connection does not begin with a PROXY header")]
    Missing,
    #[error("the PROXY header is malformed")]
    Malformed,
    #[error("the PROXY header is longer than {0} octets")]
    TooLong(usize),
    #[error("the PROXY header does not agree with its checksum")]
    Checksum,
    #[error("the PROXY header is about something other than TCP")]
    NotTcp,
    #[error("reading failed: {0}")]
    Io(#[from] io::Error),
}

/// Takes the header from the socket: whose connection it is, or nothing when it is the proxy's own (LOCAL, UNKNOWN).
pub(crate) async fn client(
    stream: &mut TcpStream,
    patience: Duration,
) -> Result<Option<SocketAddr>, ProxyError> {
    match tokio::time::timeout(patience, header(stream)).await {
        Ok(header) => parse(&header?),
        Err(_) => Err(ProxyError::Late(patience)),
    }
}

/// The octets of a header, and no more.
async fn header(stream: &mut TcpStream) -> Result<Vec<u8>, ProxyError> {
    let mut header = Vec::with_capacity(V1_OCTETS);
    loop {
        let wanted = wanted(&header)?;
        if wanted.octets == 0 {
            return Ok(header);
        }
        let mut next = [0; V2_OCTETS];
        let next = &mut next[..wanted.octets];
        // Looking first takes nothing that may not be ours.
        let seen = stream.peek(next).await?;
        let ours = wanted.ours(&next[..seen]);
        if ours == 0 {
            return Err(if header.is_empty() { ProxyError::Missing } else { ProxyError::Ended });
        }
        stream.read_exact(&mut next[..ours]).await?;
        header.extend_from_slice(&next[..ours]);
    }
}

/// What may be read next.
struct Wanted {
    /// 0 when the header is whole.
    octets: usize,
    /// A line end among them is the header's end.
    is_a_line: bool,
}

impl Wanted {
    /// How many of the octets that have come belong to the header.
    fn ours(&self, seen: &[u8]) -> usize {
        let line_end = seen.iter().position(|octet| *octet == b'\n').filter(|_| self.is_a_line);
        line_end.map_or(seen.len(), |at| at + 1)
    }
}

/// How much of what comes next belongs to a header that begins like this.
fn wanted(header: &[u8]) -> Result<Wanted, ProxyError> {
    let begins = |signature: &[u8]| {
        let common = header.len().min(signature.len());
        header[..common] == signature[..common]
    };
    if begins(V2_SIGNATURE) {
        let whole = match header.get(14..V2_HEAD) {
            Some(length) => V2_HEAD + usize::from(length[0]) * 256 + usize::from(length[1]),
            // The two versions have no first octet in common: only before it is everything open.
            None if header.is_empty() => 1,
            None => V2_HEAD,
        };
        if whole > V2_OCTETS {
            return Err(ProxyError::TooLong(V2_OCTETS));
        }
        return Ok(Wanted { octets: whole - header.len(), is_a_line: false });
    }
    if !begins(V1_SIGNATURE) {
        return Err(ProxyError::Missing);
    }
    match header.last() {
        Some(b'\n') => Ok(Wanted { octets: 0, is_a_line: true }),
        _ if header.len() >= V1_OCTETS => Err(ProxyError::TooLong(V1_OCTETS)),
        _ => Ok(Wanted { octets: V1_OCTETS - header.len(), is_a_line: true }),
    }
}

fn parse(octets: &[u8]) -> Result<Option<SocketAddr>, ProxyError> {
    if octets.starts_with(V2_SIGNATURE) {
        verify(octets)?;
    }
    let config = ParseConfig { include_tlvs: false, ..ParseConfig::default() };
    let (header, length) = ProxyHeader::parse(octets, config).map_err(|_| ProxyError::Malformed)?;
    if length != octets.len() {
        return Err(ProxyError::Malformed);
    }
    match header.proxied_address() {
        None => Ok(None),
        Some(address) if address.protocol != Protocol::Stream => Err(ProxyError::NotTcp),
        Some(address) => {
            let source = address.source;
            Ok(Some(SocketAddr::new(source.ip().to_canonical(), source.port())))
        }
    }
}

/// Holds a header of version 2 against its checksum, where it has one.
fn verify(octets: &[u8]) -> Result<(), ProxyError> {
    let addresses = match octets.get(13).map(|family| family >> 4) {
        Some(1) => 12,
        Some(2) => 36,
        Some(3) => 216,
        _ => 0,
    };
    let mut at = V2_HEAD + addresses;
    while let Some(&[kind, high, low]) = octets.get(at..at + 3) {
        let value = at + 3..at + 3 + usize::from(high) * 256 + usize::from(low);
        let said = octets.get(value.clone()).ok_or(ProxyError::Malformed)?;
        if kind == CHECKSUM {
            let said: [u8; 4] = said.try_into().map_err(|_| ProxyError::Malformed)?;
            //= proxy-protocol.txt section 2.2.3: it is computed with zeros in its place; where it differs, the connection fails.
            let crc = crc32c::crc32c(&octets[..value.start]);
            let crc = crc32c::crc32c_append(crc32c::crc32c_append(crc, &[0; 4]), &octets[value.end..]);
            if crc != u32::from_be_bytes(said) {
                return Err(ProxyError::Checksum);
            }
        }
        at = value.end;
    }
    if at < octets.len() { Err(ProxyError::Malformed) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds octets as `header` does, and says what was made of them and what is left for the session.
    fn read(octets: &[u8]) -> (Result<Option<SocketAddr>, ProxyError>, &[u8]) {
        let (mut header, mut rest) = (Vec::new(), octets);
        loop {
            let wanted = match wanted(&header) {
                Ok(wanted) => wanted,
                Err(error) => return (Err(error), rest),
            };
            if wanted.octets == 0 {
                return (parse(&header), rest);
            }
            let ours = wanted.ours(&rest[..wanted.octets.min(rest.len())]);
            if ours == 0 {
                return (Err(ProxyError::Ended), rest);
            }
            header.extend_from_slice(&rest[..ours]);
            rest = &rest[ours..];
        }
    }

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [V2_SIGNATURE.as_slice(), &[command, family], &length, body].concat()
    }

    #[test]
    fn both_versions_name_the_client_and_leave_the_rest_to_the_session() {
        let v4 = [192, 0, 2, 7, 127, 0, 0, 1, 0xc0, 0, 0, 25];
        let mut v6 = [0; 36];
        v6[..2].copy_from_slice(&[0x20, 0x01]);
        v6[15] = 9;
        v6[33] = 77;
        let tlv = [v4.as_slice(), &[4, 0, 2, 0, 0]].concat();
        for (header, client) in [
            (b"PROXY TCP4 192.0.2.7 127.0.0.1 49152 25\r\n".to_vec(), "192.0.2.7:49152"),
            (b"PROXY TCP6 2001:db8::7 ::1 77 25\r\n".to_vec(), "[2001:db8::7]:77"),
            (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 77 25\r\n".to_vec(), "192.0.2.7:77"),
            (v2(0x21, 0x11, &v4), "192.0.2.7:49152"),
            (v2(0x21, 0x21, &v6), "[2001::9]:77"),
            (v2(0x21, 0x11, &tlv), "192.0.2.7:49152"),
        ] {
            let octets = [header.as_slice(), b"EHLO client\r\n"].concat();
            let (said, rest) = read(&octets);
            assert_eq!(said.unwrap(), Some(client.parse().unwrap()), "{header:?}");
            assert_eq!(rest, b"EHLO client\r\n", "{header:?}");
        }
    }

    #[test]
    fn a_header_that_does_not_agree_with_its_checksum_is_refused() {
        let v4 = [192, 0, 2, 7, 127, 0, 0, 1, 0xc0, 0, 0, 25];
        let noop = [4, 0, 1, 0];
        let with = |crc: [u8; 4]| v2(0x21, 0x11, &[&v4[..], &noop, &[3, 0, 4], &crc, &noop].concat());
        let crc = crc32c::crc32c(&with([0; 4])).to_be_bytes();
        assert_eq!(read(&with(crc)).0.unwrap(), Some("192.0.2.7:49152".parse().unwrap()));
        let mut flipped = with(crc);
        flipped[19] ^= 1;
        for header in [flipped, with([0; 4])] {
            assert!(matches!(read(&header).0, Err(ProxyError::Checksum)), "{header:?}");
        }
        let short = v2(0x21, 0x11, &[&v4[..], &[3, 0, 2, 0, 0]].concat());
        assert!(matches!(read(&short).0, Err(ProxyError::Malformed)));
        let cut = v2(0x21, 0x11, &[&v4[..], &[4, 0, 9, 0]].concat());
        assert!(matches!(read(&cut).0, Err(ProxyError::Malformed)));
    }

    #[test]
    fn a_proxy_that_speaks_for_itself_names_nobody() {
        for header in [
            b"PROXY UNKNOWN\r\n".to_vec(),
            b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(),
            v2(0x20, 0, b""),
            v2(0x20, 0x11, &[0; 12]),
            v2(0x21, 0, b""),
        ] {
            let (said, rest) = read(&header);
            assert_eq!((said.unwrap(), rest), (None, &b""[..]), "{header:?}");
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        use ProxyError::{Ended, Malformed, Missing, NotTcp, TooLong};
        let long = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
        for (octets, why) in [
            (b"EHLO client\r\n".to_vec(), Missing),
            (b"P".to_vec(), Ended),
            (b"PROXYTCP4 192.0.2.7 127.0.0.1 1 2\r\n".to_vec(), Missing),
            (b"PROXY TCP4 192.0.2.7 127.0.0.1 1 2\n".to_vec(), Malformed),
            (b"PROXY TCP4 192.0.2.7 127.0.0.1 1 65536\r\n".to_vec(), Malformed),
            (b"PROXY TCP4 ::1 ::1 1 2\r\n".to_vec(), Malformed),
            (b"PROXY\r\n".to_vec(), Missing),
            (long, TooLong(V1_OCTETS)),
            (v2(0x21, 0x11, &[0; 11]), Malformed),
            (v2(0x31, 0x11, &[0; 12]), Malformed),
            (v2(0x21, 0x12, &[0; 12]), NotTcp),
            (v2(0x21, 0x11, &[0; 600]), TooLong(V2_OCTETS)),
            (v2(0x21, 0x11, &[0; 12])[..20].to_vec(), Ended),
        ] {
            let (said, _) = read(&octets);
            let error = said.expect_err(&format!("{octets:?}"));
            assert_eq!(error.to_string(), why.to_string(), "{octets:?}");
        }
    }
}
