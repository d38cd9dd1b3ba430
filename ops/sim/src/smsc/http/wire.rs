//! HTTP/1.1 as the carrier reads and writes it: octets, by hand (RFC 9112).
//!
//! Shares no code with the gateway's client and server: what one misunderstands the other does not confirm, and octets can be
//! wrong on purpose. Knows no session. Invariant: reading never leaves the slice it was given; a message written states its
//! length.
//!
//! # Limits
//! Bodies are told by Content-Length; a message with Transfer-Encoding is not read.

use bytes::BytesMut;
use std::fmt::Write;

/// Octets of a head at most.
const HEAD: usize = 16 * 1024;
/// Octets of a body at most.
const BODY: usize = 1 << 20;

/// A request or an answer.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::smsc) struct Message<'a> {
    /// Request line or status line.
    pub(in crate::smsc) first: &'a str,
    headers: &'a str,
    pub(in crate::smsc) body: &'a [u8],
}

impl<'a> Message<'a> {
    /// The value of a header.
    pub(in crate::smsc) fn header(&self, wanted: &str) -> Option<&'a str> {
        find(self.headers, wanted)
    }

    /// The status of an answer.
    pub(in crate::smsc) fn status(&self) -> Option<u16> {
        let rest = self.first.strip_prefix("HTTP/1.")?;
        rest.split(' ').nth(1)?.parse().ok()
    }
}

fn find<'a>(headers: &'a str, wanted: &str) -> Option<&'a str> {
    headers
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
        .map(|(_, value)| value.trim())
}

/// What stands at the front of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::smsc) enum Cut<'a> {
    /// A message, and how many octets it took.
    Message(Message<'a>, usize),
    /// Not all of it yet.
    Partial,
    /// What cannot be followed: the connection is of no use any more.
    Broken,
}

pub(in crate::smsc) fn cut(stream: &[u8]) -> Cut<'_> {
    let searched = stream.get(..HEAD).unwrap_or(stream);
    let Some(end) = searched.windows(4).position(|octets| octets == b"\r\n\r\n") else {
        return if stream.len() > HEAD {
            Cut::Broken
        } else {
            Cut::Partial
        };
    };
    let Some(head) = stream.get(..end).and_then(|head| std::str::from_utf8(head).ok()) else {
        return Cut::Broken;
    };
    let (first, headers) = head.split_once("\r\n").unwrap_or((head, ""));
    if !first.contains("HTTP/1.") || find(headers, "transfer-encoding").is_some() {
        return Cut::Broken;
    }
    let length = match find(headers, "content-length").map(str::parse::<usize>) {
        None => 0,
        Some(Ok(length)) if length <= BODY => length,
        Some(Ok(_) | Err(_)) => return Cut::Broken,
    };
    let begin = end.saturating_add(4);
    let taken = begin.saturating_add(length);
    match stream.get(begin..taken) {
        Some(body) => {
            let message = Message { first, headers, body };
            Cut::Message(message, taken)
        }
        None => Cut::Partial,
    }
}

/// Appends a message: its first line, headers (each with its end of line) and its body.
pub(in crate::smsc) fn put(out: &mut BytesMut, first: &str, headers: &str, body: &[u8]) {
    let length = body.len();
    write!(out, "{first}\r\nContent-Length: {length}\r\n{headers}\r\n").expect("memory takes all text");
    out.extend_from_slice(body);
}

/// User and password of `Authorization: Basic` (RFC 7617).
pub(in crate::smsc) fn basic(value: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let (scheme, digits) = value.split_once(' ')?;
    let octets = scheme
        .eq_ignore_ascii_case("basic")
        .then(|| unbase64(digits.trim()))??;
    let at = octets.iter().position(|octet| *octet == b':')?;
    let (user, password) = octets.split_at_checked(at)?;
    Some((user.to_vec(), password.get(1..)?.to_vec()))
}

/// Base64 (RFC 4648 section 4).
fn unbase64(text: &str) -> Option<Vec<u8>> {
    let (mut out, mut held, mut bits) = (Vec::new(), 0_u32, 0_u32);
    for digit in text.trim_end_matches('=').bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit.wrapping_sub(b'A'),
            b'a'..=b'z' => digit.wrapping_sub(b'a').wrapping_add(26),
            b'0'..=b'9' => digit.wrapping_sub(b'0').wrapping_add(52),
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        held = held.wrapping_shl(6) | u32::from(value);
        bits = bits.wrapping_add(6);
        if bits >= 8 {
            bits = bits.wrapping_sub(8);
            out.push(u8::try_from(held.wrapping_shr(bits) & 0xFF).ok()?);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_cut_where_its_length_says() {
        let stream = b"POST /messages HTTP/1.1\r\ncontent-length: 5\r\nX-A:  b \r\n\r\nhelloPOST";
        let Cut::Message(message, taken) = cut(stream) else {
            panic!()
        };
        assert_eq!(
            (message.first, message.body),
            ("POST /messages HTTP/1.1", &b"hello"[..])
        );
        assert_eq!((message.header("x-a"), message.header("x-b")), (Some("b"), None));
        assert_eq!(&stream[taken..], b"POST");
        for length in 0..taken {
            assert_eq!(cut(&stream[..length]), Cut::Partial, "{length}");
        }
        let answer = b"HTTP/1.1 503 Service Unavailable\r\n\r\n";
        assert!(
            matches!(cut(answer), Cut::Message(message, taken) if message.status() == Some(503) && taken == answer.len())
        );
    }

    #[test]
    fn what_cannot_be_followed_is_broken() {
        for stream in [
            &b"nonsense\r\n\r\n"[..],
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
            b"\xff\xff\r\n\r\n",
            &[b'a'; HEAD + 1],
        ] {
            assert_eq!(cut(stream), Cut::Broken);
        }
    }

    #[test]
    fn what_is_written_is_read_and_names_are_found() {
        let mut out = BytesMut::new();
        put(&mut out, "HTTP/1.1 202 Accepted", "X-A: b\r\n", b"{}");
        let Cut::Message(message, taken) = cut(&out) else {
            panic!()
        };
        assert_eq!(
            (message.status(), message.body, taken),
            (Some(202), &b"{}"[..], out.len())
        );
        let pair =
            |user: &str, password: &str| Some((user.as_bytes().to_vec(), password.as_bytes().to_vec()));
        assert_eq!(basic("Basic QUMxOmFwaS1zZWNyZXQ="), pair("AC1", "api-secret"));
        assert_eq!(basic("basic dGVzdDp0OmU/"), pair("test", "t:e?"));
        assert_eq!((basic("Bearer x"), basic("Basic ?")), (None, None));
    }
}
