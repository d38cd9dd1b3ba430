//! What hostile peers say to the HTTP listener: octets and the status they may be answered with.

use super::peer::{Peer, SOON};
use std::time::Duration;

/// One case: its name, what is sent, and the answers that are right; an end without an answer where `may_close`.
pub(super) struct Case {
    pub(super) name: String,
    octets: Vec<u8>,
    statuses: &'static [u16],
    may_close: bool,
    /// After the answer nothing of this request may be taken for another one.
    one_answer: bool,
}

const POST: &str = "POST /v1/messages HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer acme-key\r\n";
const GOOD: &str = r#"{"to":"491700000003","text":"a"}"#;

fn case(name: &str, octets: impl Into<Vec<u8>>, statuses: &'static [u16]) -> Case {
    Case {
        name: name.to_owned(),
        octets: octets.into(),
        statuses,
        may_close: false,
        one_answer: false,
    }
}

impl Case {
    fn or_closed(mut self) -> Self {
        self.may_close = true;
        self
    }

    fn once(mut self) -> Self {
        self.one_answer = true;
        self
    }

    /// Runs it against the listener.
    pub(super) async fn run(&self, port: u16) -> Result<(), String> {
        let mut peer = Peer::connect(port).await;
        peer.say(&self.octets).await;
        match peer.http_status(SOON).await? {
            None if self.may_close => return Ok(()),
            None => return Err("closed without an answer".to_owned()),
            Some(status) if self.statuses.contains(&status) => {}
            Some(status) => return Err(format!("answered {status}, not one of {:?}", self.statuses)),
        }
        if self.one_answer {
            // An end of ours at this point tells the listener that nothing follows.
            tokio::io::AsyncWriteExt::shutdown(&mut peer.stream).await.ok();
            let rest = peer.closed(SOON).await?;
            let answers = String::from_utf8_lossy(&rest).matches("HTTP/1.1 ").count();
            if answers > 1 {
                return Err(format!("{answers} answers to one request"));
            }
        }
        Ok(())
    }
}

/// A request with a body and its length.
fn post(body: &str) -> Vec<u8> {
    format!("{POST}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// A request with these further header lines and this body as it is.
fn with(headers: &str, body: &str) -> Vec<u8> {
    format!("{POST}{headers}\r\n{body}").into_bytes()
}

pub(super) fn cases() -> Vec<Case> {
    let length = GOOD.len();
    vec![
        // Bodies that are no message.
        case("a body of nothing", post(""), &[400]),
        case("brackets nested 100,000 deep", post(&"[".repeat(100_000)), &[400]),
        case("an object nested 20,000 deep", post(&"{\"to\":".repeat(20_000)), &[400]),
        case("a number of 60,000 digits", post(&format!("{{\"max_parts\":{}}}", "9".repeat(60_000))), &[400]),
        case("a field name of 200,000 characters", post(&format!("{{\"{}\":1}}", "x".repeat(200_000))), &[422]),
        case("10,000 unknown fields", post(&many_fields()), &[422]),
        case("a field twice", post(r#"{"to":"491700000003","to":"491700000004","text":"a"}"#), &[400]),
        case("a lone surrogate", post(r#"{"to":"491700000003","text":"\ud800"}"#), &[400, 422]),
        case("octets that are no UTF-8", [with("Content-Length: 4\r\n", ""), vec![b'"', 0xFF, 0xFE, b'"']].concat(), &[400]),
        case("a NUL in the text", post(r#"{"to":"491700000003","text":"a\u0000b"}"#), &[202, 422]),
        case("a text of 900,000 characters", post(&format!(r#"{{"to":"491700000003","text":"{}"}}"#, "x".repeat(900_000))), &[422]),
        case("a body over the limit", post(&"x".repeat(2_000_000)), &[413]).or_closed(),
        case("a length over the limit and no body", with("Content-Length: 99999999999\r\n", ""), &[413]).or_closed(),
        case("a compressed body", with("Content-Encoding: gzip\r\nContent-Length: 3\r\n", "\x1f\x1f\x1f"), &[400, 415]),
        // Two readings of where a request ends.
        case("two lengths that differ", with(&format!("Content-Length: {length}\r\nContent-Length: 5\r\n"), GOOD), &[400]).once(),
        case("a length and chunks", with(&format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"), "0\r\n\r\nGET /v1/messages/x HTTP/1.1\r\nHost: h\r\n\r\n"), &[400]).or_closed().once(),
        case("chunks said twice", with("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"), &[400, 501]).or_closed().once(),
        case("a transfer coding nobody knows", with("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), &[400, 501]).or_closed().once(),
        case("a length with a sign", with(&format!("Content-Length: +{length}\r\n"), GOOD), &[400]).once(),
        case("a length below zero", with("Content-Length: -1\r\n", GOOD), &[400]).once(),
        case("a length in hexadecimal", with("Content-Length: 0x20\r\n", GOOD), &[400]).once(),
        case("a blank before the colon", with(&format!("Content-Length : {length}\r\n"), GOOD), &[400]).once(),
        case("a header folded over two lines", with(&format!("X-A: a\r\n b\r\nContent-Length: {length}\r\n"), GOOD), &[400]).or_closed().once(),
        case("a NUL in a header", with("X-A: a\0b\r\nContent-Length: 0\r\n", ""), &[400]).or_closed(),
        case("a carriage return in a header", with("X-A: a\rb\r\nContent-Length: 0\r\n", ""), &[400]).or_closed(),
        case("a chunk of 2^63 octets", with("Transfer-Encoding: chunked\r\n", "8000000000000000\r\nx"), &[400, 413]).or_closed(),
        case("a chunk size of 70 digits", with("Transfer-Encoding: chunked\r\n", &format!("{}\r\n", "1".repeat(70))), &[400, 413]).or_closed(),
        case("a chunk size that is none", with("Transfer-Encoding: chunked\r\n", "zz\r\n\r\n"), &[400]).or_closed(),
        case("a chunk extension of 100,000 octets", with("Transfer-Encoding: chunked\r\n", &format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(100_000))), &[400, 413, 431]).or_closed(),
        // Heads.
        case("a header of 1 MiB", with(&format!("X-A: {}\r\n", "a".repeat(1 << 20)), ""), &[431, 400]).or_closed(),
        case("10,000 headers", with(&"X-A: a\r\n".repeat(10_000), ""), &[431, 400]).or_closed(),
        case("a path of 200,000 characters", format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(200_000)), &[414, 404, 400, 431]).or_closed(),
        case("a method of 10,000 letters", format!("{} / HTTP/1.1\r\nHost: h\r\n\r\n", "A".repeat(10_000)), &[400, 401, 404, 405, 501]).or_closed(),
        case("two keys", with("Authorization: Bearer other\r\nContent-Length: 0\r\n", ""), &[401]),
        case("a key of 60,000 octets", format!("POST /v1/messages HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {}\r\nContent-Length: 0\r\n\r\n", "k".repeat(60_000)), &[401, 431]),
        case("a key that is no text", [b"POST /v1/messages HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer \xff\xfe\r\nContent-Length: 0\r\n\r\n".to_vec()].concat(), &[401, 400]),
        case("an Idempotency-Key of 10,000 octets", with(&format!("Idempotency-Key: {}\r\nContent-Length: {length}\r\n", "k".repeat(10_000)), GOOD), &[422]),
        // Other protocols and methods.
        case("HTTP/0.9", "GET /v1/messages\r\n", &[400, 505]).or_closed(),
        case("HTTP/3.7", "GET / HTTP/3.7\r\nHost: h\r\n\r\n", &[400, 505]).or_closed(),
        case("CONNECT", "CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", &[400, 401, 404, 405]).or_closed(),
        case("OPTIONS of everything", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", &[401, 404, 405]),
        case("an upgrade", with("Upgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n", ""), &[400]),
        case("another host's absolute target", "GET http://169.254.169.254/latest HTTP/1.1\r\nHost: h\r\n\r\n", &[401, 404]),
        case("the beginning of TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(20), &[400]).or_closed(),
        case("a PDU of SMPP", super::peer::pdu(0x09, 1, &super::peer::bind("a", "b")).repeat(3), &[400]).or_closed(),
        case("noise", (0..4096_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<_>>(), &[400]).or_closed(),
        // Ways out of the path.
        case("a path with dots", "GET /v1/messages/../../etc/passwd HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer acme-key\r\n\r\n", &[400, 404]),
        case("a path with an escaped slash", "GET /v1/messages/%2e%2e%2fx HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer acme-key\r\n\r\n", &[400, 404]),
        case("a cursor that is none", "GET /v1/messages?cursor=%00%ff&limit=99999999999999999999 HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer acme-key\r\n\r\n", &[400, 404, 405, 422]),
    ]
}

fn many_fields() -> String {
    let fields: Vec<String> = (0..10_000).map(|n| format!("\"f{n}\":{n}")).collect();
    format!("{{{}}}", fields.join(","))
}

/// A thousand requests in one go, none of the answers read for a while: each is answered, in order.
pub(super) async fn pipelined(port: u16) -> Result<(), String> {
    let mut peer = Peer::connect(port).await;
    let one = b"GET /v1/messages/01980000-0000-7000-8000-000000000000 HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer acme-key\r\n\r\n";
    let mut all = one.repeat(999);
    all.extend(b"GET /v1/messages/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Bearer acme-key\r\n\r\n");
    peer.say(&all).await;
    let answers = peer.closed(2 * SOON).await?;
    let count = String::from_utf8_lossy(&answers).matches("HTTP/1.1 404").count();
    if count == 1000 {
        Ok(())
    } else {
        Err(format!("{count} answers to 1000 requests"))
    }
}

/// Heads that come an octet at a time, and bodies that never end: given up by the listener's timeouts.
pub(super) async fn slow(port: u16, patience: Duration) -> Result<(), String> {
    let mut peers = Vec::new();
    for n in 0..200 {
        let mut peer = Peer::connect(port).await;
        let text = if n % 2 == 0 {
            "POST /v1/messages HTTP/1.1\r\nHos".to_owned()
        } else {
            format!("{POST}Content-Length: 1000\r\n\r\n{{")
        };
        peer.say(text.as_bytes()).await;
        peers.push(peer);
    }
    for mut peer in peers {
        peer.closed(patience).await?;
    }
    Ok(())
}

/// Peers that ask and never read: their answers do not pile up in memory, and they are cut off in the end.
pub(super) async fn never_reading(port: u16) -> Result<(), String> {
    let mut peers = Vec::new();
    let ask =
        b"GET /v1/openapi.json HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer acme-key\r\n\r\n".repeat(200);
    for _ in 0..20 {
        let mut peer = Peer::connect(port).await;
        // Not awaited to its end: the listener stops reading when nobody takes its answers.
        tokio::time::timeout(Duration::from_millis(200), peer.say(&ask))
            .await
            .ok();
        peers.push(peer);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok(())
}

/// Connections that say nothing at all.
pub(super) async fn idle(port: u16, count: usize) -> Vec<Peer> {
    let mut peers = Vec::new();
    for _ in 0..count {
        peers.push(Peer::connect(port).await);
    }
    peers
}
