//! cancel_sm through the whole gateway: what waits for its time, and what waits at an operator, ends as DELETED and never
//! reaches the carrier. The client's octets are written here by hand, so that no code of ours judges itself.

use crate::harness::{Carrier, Gateway, Receiver, usual};
use crate::smpp_clients::{smpp_port, with_smpp};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(15);
const SUBMIT_SM: u32 = 0x04;
const DELIVER_SM: u32 = 0x05;
const CANCEL_SM: u32 = 0x08;
const BIND_TRANSCEIVER: u32 = 0x09;
const ANSWER: u32 = 0x8000_0000;
const RCANCELFAIL: u32 = 0x11;

struct Esme {
    stream: TcpStream,
    sequence: u32,
    /// Texts of receipts that came meanwhile.
    receipts: VecDeque<String>,
}

impl Esme {
    async fn bind(port: u16) -> Self {
        let mut esme = Self {
            stream: TcpStream::connect(("127.0.0.1", port)).await.unwrap(),
            sequence: 0,
            receipts: VecDeque::new(),
        };
        let (status, _) = esme.ask(BIND_TRANSCEIVER, b"python\0secret\0\0\x34\0\0\0").await;
        assert_eq!(status, 0);
        esme
    }

    async fn send(&mut self, id: u32, sequence: u32, body: &[u8]) {
        let length = u32::try_from(16 + body.len()).unwrap();
        let mut pdu = Vec::new();
        for field in [length, id, 0, sequence] {
            pdu.extend(field.to_be_bytes());
        }
        pdu.extend(body);
        self.stream.write_all(&pdu).await.unwrap();
    }

    /// The next PDU: id, status, sequence, body. Receipts are answered and kept.
    async fn next(&mut self) -> (u32, u32, Vec<u8>) {
        let mut header = [0; 16];
        timeout(SOON, self.stream.read_exact(&mut header))
            .await
            .expect("a PDU in time")
            .unwrap();
        let field = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().unwrap());
        let mut body = vec![0; field(0) as usize - 16];
        self.stream.read_exact(&mut body).await.unwrap();
        if field(4) == DELIVER_SM {
            self.receipts
                .push_back(String::from_utf8_lossy(&body).into_owned());
            self.send(DELIVER_SM | ANSWER, field(12), b"\0").await;
        }
        (field(4), field(8), body)
    }

    async fn ask(&mut self, id: u32, body: &[u8]) -> (u32, Vec<u8>) {
        self.sequence += 1;
        self.send(id, self.sequence, body).await;
        loop {
            let (answered, status, body) = self.next().await;
            if answered == id | ANSWER {
                return (status, body);
            }
        }
    }

    /// Submits; the message's id.
    async fn submit(&mut self, to: &str, schedule: &str) -> String {
        let mut body = b"\0\x03\0".to_vec();
        body.extend(b"12345\0\x01\x01");
        body.extend(to.as_bytes());
        body.extend(b"\0\0\0\0");
        body.extend(schedule.as_bytes());
        body.extend(b"\0\0\x01\0\0\0\x05Hello");
        let (status, id) = self.ask(SUBMIT_SM, &body).await;
        assert_eq!(status, 0);
        String::from_utf8(id).unwrap().trim_end_matches('\0').to_owned()
    }

    async fn cancel(&mut self, id: &str) -> u32 {
        let body = format!("\0{id}\0\u{3}\0{}\0\0\0\0", "12345");
        self.ask(CANCEL_SM, body.as_bytes()).await.0
    }

    /// Waits for the receipt of a message.
    async fn receipt(&mut self, id: &str) -> String {
        let id = format!("id:{id} ");
        loop {
            if let Some(at) = self.receipts.iter().position(|text| text.contains(&id)) {
                return self.receipts.remove(at).unwrap();
            }
            self.next().await;
        }
    }
}

#[tokio::test]
async fn what_is_cancelled_over_smpp_is_reported_as_deleted_and_never_sent() {
    let receiver = Receiver::start().await;
    let carrier = Carrier::start(&["--receipt-delay", "5"]).await;
    let dir = tempfile::tempdir().unwrap();
    with_smpp(usual(carrier.port, &receiver.url()))
        .line("operator.alpha", "rate = 2")
        .write(dir.path());
    let mut gateway = Gateway::start(dir.path()).await;
    let mut esme = Esme::bind(smpp_port(&gateway.process).await).await;

    let later = esme.submit("491700000001", "000000010000000R").await;
    assert_eq!(esme.cancel(&later).await, 0);
    let receipt = esme.receipt(&later).await;
    assert!(receipt.contains("stat:DELETED"), "{receipt}");
    assert_eq!(esme.cancel(&later).await, RCANCELFAIL, "it has come to its end");

    // The operator takes two a second: the last of them waits there.
    let mut ids = Vec::new();
    for n in 0..10 {
        ids.push(esme.submit(&format!("49170000010{n}"), "").await);
    }
    let last = ids.pop().unwrap();
    assert_eq!(esme.cancel(&last).await, 0);
    let receipt = esme.receipt(&last).await;
    assert!(receipt.contains("stat:DELETED"), "{receipt}");
    for id in &ids {
        let receipt = esme.receipt(id).await;
        assert!(receipt.contains("stat:DELIVRD"), "{receipt}");
    }
    let mut sent: Vec<String> = carrier
        .submits()
        .iter()
        .map(|submit| submit["dest"].as_str().unwrap().to_owned())
        .collect();
    sent.sort();
    let expected: Vec<String> = (0..9).map(|n| format!("49170000010{n}")).collect();
    assert_eq!(sent, expected);
    gateway.stop().await;
}
