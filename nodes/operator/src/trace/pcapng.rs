//! Writes packets as a pcapng file (IETF draft `opsawg-pcapng`) that Wireshark opens: what the links said, in TCP segments
//! with the headers that they might have had.
//!
//! ```text
//! SHB  section header: byte order, who wrote it
//! IDB  one interface: Ethernet, microseconds, named after the link
//! EPB  one a packet: Ethernet 14 │ IPv4 20 or IPv6 40 │ TCP 20 │ octets of one PDU
//! ISB  at the end: packets seen and left out
//! every block: type 4 │ length 4 │ body, padded to 4 │ length 4; all little endian
//! ```
//! Pure: time comes with each packet. Invariant PC-1: sequence numbers count the octets of the session from 1, so a PDU that
//! was left out is a gap; checksums of IP and TCP are right. Our own address is not known here: it is one of those kept for
//! documentation (RFC 5737, RFC 3849), MAC addresses are made up; the carrier's address and port are the real ones.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Most octets of a segment: with its headers below what an IP length can say.
const SEGMENT: usize = 32 * 1024;
/// Our address in the headers.
const OUR_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// Our address where the carrier's is IPv6.
const OUR_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xDB8, 0, 0, 0, 0, 0, 1);
/// First port of ours; each session has the next one.
const FIRST_PORT: u16 = 49_152;
const PORTS: u32 = 16_384;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

/// Which way something went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// To the carrier.
    Out,
    /// From the carrier.
    In,
}

impl Direction {
    /// The word in logs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::In => "in",
        }
    }
}

/// One session in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flow {
    /// Counted from 0: gives our port.
    pub(crate) session: u32,
    /// The carrier's end.
    pub(crate) peer: SocketAddr,
}

/// Where both directions of a session are: octets before this packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Offsets {
    /// In the packet's own direction.
    pub(crate) own: u64,
    /// In the other one.
    pub(crate) other: u64,
}

/// The head of a file: SHB and IDB.
pub(crate) fn head(interface: &str, out: &mut Vec<u8>) {
    block(out, 0x0A0D_0D0A, |body| {
        body.extend(0x1A2B_3C4D_u32.to_le_bytes());
        body.extend([1, 0, 0, 0]); // version 1.0
        body.extend(u64::MAX.to_le_bytes()); // length of the section: not told
        option(body, 4, concat!("smsgw ", env!("CARGO_PKG_VERSION")).as_bytes());
        option(body, 0, &[]);
    });
    block(out, 1, |body| {
        body.extend([1, 0, 0, 0]); // Ethernet
        body.extend(0_u32.to_le_bytes()); // no limit to a packet
        option(body, 2, interface.as_bytes());
        option(body, 9, &[6]); // microseconds
        option(body, 0, &[]);
    });
}

/// The end of a file: what was seen, and what was left out because the disk was slower than the link.
pub(crate) fn tail(at_micros: u64, seen: u64, left_out: u64, out: &mut Vec<u8>) {
    block(out, 5, |body| {
        body.extend(0_u32.to_le_bytes());
        stamp(body, at_micros);
        option(body, 4, &seen.to_le_bytes());
        option(body, 5, &left_out.to_le_bytes());
        option(body, 0, &[]);
    });
}

/// The handshake of a session that begins.
pub(crate) fn opened(at_micros: u64, flow: Flow, out: &mut Vec<u8>) {
    let zero = Offsets::default();
    packet(at_micros, flow, Direction::Out, SYN, zero, &[], out);
    packet(at_micros, flow, Direction::In, SYN | ACK, zero, &[], out);
    packet(at_micros, flow, Direction::Out, ACK, zero, &[], out);
}

/// The end of a session, as if we had closed first.
pub(crate) fn closed(at_micros: u64, flow: Flow, sent: u64, received: u64, out: &mut Vec<u8>) {
    let offsets = |own, other| Offsets { own, other };
    packet(
        at_micros,
        flow,
        Direction::Out,
        FIN | ACK,
        offsets(sent, received),
        &[],
        out,
    );
    let sent = sent.saturating_add(1);
    packet(
        at_micros,
        flow,
        Direction::In,
        FIN | ACK,
        offsets(received, sent),
        &[],
        out,
    );
    let received = received.saturating_add(1);
    packet(
        at_micros,
        flow,
        Direction::Out,
        ACK,
        offsets(sent, received),
        &[],
        out,
    );
}

/// Octets of a session.
pub(crate) fn octets(
    at_micros: u64,
    flow: Flow,
    direction: Direction,
    offsets: Offsets,
    octets: &[u8],
    out: &mut Vec<u8>,
) {
    let mut offsets = offsets;
    for piece in octets.chunks(SEGMENT) {
        packet(at_micros, flow, direction, PSH | ACK, offsets, piece, out);
        offsets.own = offsets
            .own
            .saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
    }
}

fn packet(
    at_micros: u64,
    flow: Flow,
    direction: Direction,
    flags: u8,
    offsets: Offsets,
    payload: &[u8],
    out: &mut Vec<u8>,
) {
    let ip = flow.peer.ip().to_canonical();
    let us = match ip {
        IpAddr::V4(_) => IpAddr::V4(OUR_V4),
        IpAddr::V6(_) => IpAddr::V6(OUR_V6),
    };
    let port = u16::try_from(flow.session % PORTS).map_or(FIRST_PORT, |n| FIRST_PORT.saturating_add(n));
    let ends = match direction {
        Direction::Out => ((us, port), (ip, flow.peer.port())),
        Direction::In => ((ip, flow.peer.port()), (us, port)),
    };
    let frame = frame(direction, ends, flags, offsets, payload);
    block(out, 6, |body| {
        body.extend(0_u32.to_le_bytes());
        stamp(body, at_micros);
        let length = u32::try_from(frame.len()).expect("a segment is bounded");
        body.extend(length.to_le_bytes());
        body.extend(length.to_le_bytes());
        body.extend(&frame);
        pad(body);
    });
}

type End = (IpAddr, u16);

fn frame(
    direction: Direction,
    (from, to): (End, End),
    flags: u8,
    offsets: Offsets,
    payload: &[u8],
) -> Vec<u8> {
    let tcp = tcp((from, to), flags, offsets, payload);
    let mut frame = Vec::with_capacity(54 + tcp.len());
    // Locally administered addresses: ours ends with 1, the carrier's with 2.
    let (to_mac, from_mac) = match direction {
        Direction::Out => (2, 1),
        Direction::In => (1, 2),
    };
    frame.extend([2, 0, 0, 0, 0, to_mac, 2, 0, 0, 0, 0, from_mac]);
    let length = u16::try_from(tcp.len()).expect("a segment is bounded");
    match (from.0, to.0) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            frame.extend([0x08, 0x00]);
            let mut header = vec![0x45, 0];
            header.extend(length.saturating_add(20).to_be_bytes());
            header.extend([0, 0, 0x40, 0, 64, 6, 0, 0]); // not fragmented, TTL 64, TCP
            header.extend(from.octets());
            header.extend(to.octets());
            let sum = checksum(&[&header]);
            header.splice(10..12, sum.to_be_bytes());
            frame.extend(header);
        }
        (from, to) => {
            frame.extend([0x86, 0xDD, 0x60, 0, 0, 0]);
            frame.extend(length.to_be_bytes());
            frame.extend([6, 64]);
            frame.extend(six(from).octets());
            frame.extend(six(to).octets());
        }
    }
    frame.extend(tcp);
    frame
}

fn tcp((from, to): (End, End), flags: u8, offsets: Offsets, payload: &[u8]) -> Vec<u8> {
    // The SYN is octet 0, so what is sent first has number 1. Numbers wrap, as they do in TCP.
    let number = |offset: u64| {
        let low = offset.wrapping_add(u64::from(flags & SYN == 0)) & u64::from(u32::MAX);
        u32::try_from(low).expect("masked")
    };
    let ack = match (flags & ACK != 0, flags & SYN != 0) {
        (false, _) => 0,
        (true, true) => 1,
        (true, false) => number(offsets.other),
    };
    let mut tcp = Vec::with_capacity(20 + payload.len());
    tcp.extend(from.1.to_be_bytes());
    tcp.extend(to.1.to_be_bytes());
    tcp.extend(number(offsets.own).to_be_bytes());
    tcp.extend(ack.to_be_bytes());
    tcp.extend([0x50, flags, 0xFF, 0xFF, 0, 0, 0, 0]);
    tcp.extend(payload);
    let length = u32::try_from(tcp.len())
        .expect("a segment is bounded")
        .to_be_bytes();
    let sum = match (from.0, to.0) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let [_, _, high, low] = length;
            checksum(&[&from.octets(), &to.octets(), &[0, 6, high, low], &tcp])
        }
        (from, to) => checksum(&[
            &six(from).octets(),
            &six(to).octets(),
            &length,
            &[0, 0, 0, 6],
            &tcp,
        ]),
    };
    tcp.splice(16..18, sum.to_be_bytes());
    tcp
}

fn six(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(four) => four.to_ipv6_mapped(),
        IpAddr::V6(six) => six,
    }
}

/// RFC 1071. Every piece but the last has an even length.
fn checksum(pieces: &[&[u8]]) -> u16 {
    let mut sum = 0_u64;
    for piece in pieces {
        for pair in piece.chunks(2) {
            let word = match pair {
                [high, low] => u16::from_be_bytes([*high, *low]),
                [high] => u16::from_be_bytes([*high, 0]),
                _ => 0,
            };
            sum = sum.saturating_add(u64::from(word));
        }
    }
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded")
}

fn stamp(body: &mut Vec<u8>, at_micros: u64) {
    let [a, b, c, d, e, f, g, h] = at_micros.to_le_bytes();
    body.extend([e, f, g, h, a, b, c, d]); // the upper half first
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    // Names of links have at most 70 characters.
    let length = u16::try_from(value.len()).expect("options are short");
    body.extend(code.to_le_bytes());
    body.extend(length.to_le_bytes());
    body.extend(value);
    pad(body);
}

fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}

fn block(out: &mut Vec<u8>, kind: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut body = Vec::with_capacity(128);
    fill(&mut body);
    let length = u32::try_from(body.len().saturating_add(12)).expect("a segment is bounded");
    out.extend(kind.to_le_bytes());
    out.extend(length.to_le_bytes());
    out.extend(body);
    out.extend(length.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(mut file: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let mut blocks = Vec::new();
        while !file.is_empty() {
            let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
            let length = usize::try_from(word(4)).unwrap();
            assert_eq!(length % 4, 0);
            assert_eq!(word(length - 4), word(4), "both lengths agree");
            blocks.push((word(0), file[8..length - 4].to_vec()));
            file = &file[length..];
        }
        blocks
    }

    fn flow(peer: &str) -> Flow {
        Flow {
            session: 3,
            peer: peer.parse().unwrap(),
        }
    }

    #[test]
    fn headers_have_addresses_numbers_and_right_checksums() {
        for (peer, ip, ethertype) in [
            ("198.51.100.7:2775", 20, [8, 0]),
            ("[::ffff:198.51.100.7]:2775", 20, [8, 0]),
            ("[2001:db8::7]:2775", 40, [0x86, 0xDD]),
        ] {
            let mut file = Vec::new();
            head("alpha-1", &mut file);
            let offsets = Offsets { own: 99, other: 7 };
            octets(
                1_795_248_000_000_123,
                flow(peer),
                Direction::In,
                offsets,
                b"odd",
                &mut file,
            );
            tail(1, 1, 0, &mut file);
            let blocks = blocks(&file);
            let kinds: Vec<u32> = blocks.iter().map(|(kind, _)| *kind).collect();
            assert_eq!(kinds, [0x0A0D_0D0A, 1, 6, 5]);
            let body = &blocks[2].1;
            let half = |at: usize| u64::from(u32::from_le_bytes(body[at..at + 4].try_into().unwrap()));
            assert_eq!((half(4) << 32) | half(8), 1_795_248_000_000_123);
            let frame = &body[20..20 + 14 + ip + 20 + 3];
            assert_eq!(frame[12..14], ethertype);
            let tcp = &frame[14 + ip..];
            assert_eq!(tcp[..4], [10, 215, 192, 3], "2775 to 49155");
            assert_eq!(tcp[4..12], [0, 0, 0, 100, 0, 0, 0, 8]);
            assert_eq!(&tcp[20..], b"odd");
            let addresses = match ip {
                20 => &frame[26..34],
                _ => &frame[22..54],
            };
            let length = u16::try_from(tcp.len()).unwrap().to_be_bytes();
            assert_eq!(
                checksum(&[addresses, &[0, 6], &length, tcp]),
                0,
                "TCP's checksum of {peer}"
            );
            if ip == 20 {
                assert_eq!(checksum(&[&frame[14..34]]), 0, "IP's checksum");
            }
        }
    }

    #[test]
    fn a_large_pdu_is_cut_into_segments_that_follow_each_other_and_numbers_wrap() {
        let mut file = Vec::new();
        let near_end = Offsets {
            own: u64::from(u32::MAX) - 1,
            other: 0,
        };
        octets(
            0,
            flow("10.0.0.1:1"),
            Direction::Out,
            near_end,
            &vec![7; 65_536],
            &mut file,
        );
        let numbers: Vec<u32> = blocks(&file)
            .iter()
            .map(|(_, body)| u32::from_be_bytes(body[58..62].try_into().unwrap()))
            .collect();
        assert_eq!(numbers, [u32::MAX, 32_767]);
    }
}
