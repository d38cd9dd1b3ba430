//! A peer made of octets: it connects, says whatever a case wants, and reads what comes back within bounds of time.

use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

/// How long an answer, or the end of a connection, may take.
pub(super) const SOON: Duration = Duration::from_secs(15);

pub(super) const BIND_TRANSCEIVER: u32 = 0x09;
pub(super) const SUBMIT_SM: u32 = 0x04;
pub(super) const ENQUIRE_LINK: u32 = 0x15;
pub(super) const UNBIND: u32 = 0x06;
pub(super) const NACK: u32 = 0x8000_0000;
pub(super) const ANSWER: u32 = 0x8000_0000;

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) stream: TcpStream,
    got: Vec<u8>,
    sequence: u32,
}

/// The head of a PDU that came, and its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) id: u32,
    pub(super) status: u32,
    pub(super) sequence: u32,
    pub(super) body: Vec<u8>,
}

impl Peer {
    pub(super) async fn connect(port: u16) -> Self {
        let stream = timeout(SOON, TcpStream::connect(("127.0.0.1", port)))
            .await
            .expect("a connection in time")
            .unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            got: Vec::new(),
            sequence: 0,
        }
    }

    /// Sends octets; a peer that was cut off meanwhile learns it when it reads.
    pub(super) async fn say(&mut self, octets: &[u8]) -> bool {
        matches!(timeout(SOON, self.stream.write_all(octets)).await, Ok(Ok(())))
    }

    /// Reads once; `false` at the end of the connection.
    async fn more(&mut self, until: Instant) -> Result<bool, String> {
        match timeout_at(until, self.stream.read_buf(&mut self.got)).await {
            Err(_) => Err("nothing came in time".to_owned()),
            Ok(Ok(0) | Err(_)) => Ok(false),
            Ok(Ok(_)) => Ok(true),
        }
    }

    /// Reads on until the gateway closes the connection; everything that was not taken yet.
    pub(super) async fn closed(&mut self, within: Duration) -> Result<Vec<u8>, String> {
        let until = Instant::now() + within;
        while self
            .more(until)
            .await
            .map_err(|_| format!("still open after {within:?}"))?
        {}
        Ok(std::mem::take(&mut self.got))
    }

    /// The status line's code of the next answer; `None` when the connection ends without one.
    pub(super) async fn http_status(&mut self, within: Duration) -> Result<Option<u16>, String> {
        let until = Instant::now() + within;
        loop {
            let text = String::from_utf8_lossy(&self.got).into_owned();
            if text.contains("\r\n\r\n") {
                let code = text.split(' ').nth(1).and_then(|code| code.parse().ok());
                return code
                    .map(Some)
                    .ok_or_else(|| format!("no status line in {text:?}"));
            }
            if !self.more(until).await? {
                return Ok(None);
            }
        }
    }

    /// The next PDU; `None` at the end of the connection.
    pub(super) async fn pdu(&mut self, within: Duration) -> Result<Option<Answer>, String> {
        let until = Instant::now() + within;
        loop {
            if let Some(length) = self.got.first_chunk::<4>() {
                let length = u32::from_be_bytes(*length) as usize;
                if !(16..=64 * 1024).contains(&length) {
                    return Err(format!("a PDU of {length} octets"));
                }
                if self.got.len() >= length {
                    let pdu: Vec<u8> = self.got.drain(..length).collect();
                    let word = |at: usize| u32::from_be_bytes(pdu[at..at + 4].try_into().unwrap());
                    return Ok(Some(Answer {
                        id: word(4),
                        status: word(8),
                        sequence: word(12),
                        body: pdu[16..].to_vec(),
                    }));
                }
            }
            if !self.more(until).await? {
                return Ok(None);
            }
        }
    }

    /// The answer to the request with this number; whatever else comes is passed over.
    pub(super) async fn answer(&mut self, sequence: u32) -> Result<Option<Answer>, String> {
        loop {
            match self.pdu(SOON).await? {
                Some(pdu) if pdu.id & ANSWER != 0 && pdu.sequence == sequence => return Ok(Some(pdu)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    pub(super) fn number(&mut self) -> u32 {
        self.sequence += 1;
        self.sequence
    }

    /// Sends a request and waits for its answer.
    pub(super) async fn ask(&mut self, id: u32, body: &[u8]) -> Result<Option<Answer>, String> {
        let sequence = self.number();
        self.say(&pdu(id, sequence, body)).await;
        self.answer(sequence).await
    }

    /// Binds as transceiver with the account of the suite; must be taken.
    pub(super) async fn bound(port: u16) -> Self {
        let mut peer = Self::connect(port).await;
        let answer = peer.ask(BIND_TRANSCEIVER, &bind("hostile", "hostile-pw")).await;
        assert_eq!(answer.unwrap().expect("an answer to the bind").status, 0);
        peer
    }
}

/// A whole PDU.
pub(super) fn pdu(id: u32, sequence: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + body.len()).unwrap();
    raw(length, id, sequence, body)
}

/// A PDU whose command_length says what it likes.
pub(super) fn raw(length: u32, id: u32, sequence: u32, body: &[u8]) -> Vec<u8> {
    [length, id, 0, sequence]
        .iter()
        .flat_map(|word| word.to_be_bytes())
        .chain(body.iter().copied())
        .collect()
}

/// The body of a bind (SMPP 3.4 section 4.1.1).
pub(super) fn bind(system_id: &str, password: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for text in [system_id, password, ""] {
        body.extend(text.bytes().chain([0]));
    }
    body.extend([0x34, 0, 0, 0]);
    body
}

/// The body of a submit_sm (SMPP 3.4 section 4.4.1) up to short_message.
pub(super) fn submit(to: &str, esm_class: u8, sm_length: u8, text: &[u8]) -> Vec<u8> {
    let mut body = vec![0, 3, 0];
    body.extend(b"12345\0");
    body.extend([1, 1]);
    body.extend(to.bytes().chain([0]));
    body.extend([esm_class, 0, 0, 0, 0, 0, 0, 0, 0, sm_length]);
    body.extend(text);
    body
}

/// A submit_sm that is right.
pub(super) fn good_submit() -> Vec<u8> {
    submit("491700000001", 0, 5, b"hello")
}

/// An optional parameter (SMPP 3.4 section 3.2.4.1) whose length says what it likes.
pub(super) fn tlv(tag: u16, length: u16, value: &[u8]) -> Vec<u8> {
    let mut octets = tag.to_be_bytes().to_vec();
    octets.extend(length.to_be_bytes());
    octets.extend(value);
    octets
}
