//! A carrier made of octets: binds and answers properly, and says besides whatever a scenario wants it to say.
//!
//! Written by hand so that nothing of ours stands on both sides of the wire (SMPP 3.4 section 3.2: 16 octets of header,
//! command_length, command_id, command_status, sequence_number, then the body).

use super::ledger::Ledger;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

pub(crate) const GENERIC_NACK: u32 = 0x8000_0000;
pub(crate) const SUBMIT_SM: u32 = 0x0000_0004;
pub(crate) const DELIVER_SM: u32 = 0x0000_0005;
pub(crate) const DELIVER_SM_RESP: u32 = 0x8000_0005;
const BINDS: [u32; 3] = [0x0000_0001, 0x0000_0002, 0x0000_0009];
const UNBIND: u32 = 0x0000_0006;
const ENQUIRE_LINK: u32 = 0x0000_0015;
const RESPONSE: u32 = 0x8000_0000;

/// One PDU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pdu {
    pub(crate) id: u32,
    pub(crate) status: u32,
    pub(crate) sequence: u32,
    pub(crate) body: Vec<u8>,
}

impl Pdu {
    pub(crate) fn new(id: u32, sequence: u32, body: impl Into<Vec<u8>>) -> Self {
        Self {
            id,
            status: 0,
            sequence,
            body: body.into(),
        }
    }

    pub(crate) fn octets(&self) -> Vec<u8> {
        let length = u32::try_from(16 + self.body.len()).unwrap();
        let head = [length, self.id, self.status, self.sequence];
        head.iter()
            .flat_map(|word| word.to_be_bytes())
            .chain(self.body.iter().copied())
            .collect()
    }

    async fn read(stream: &mut OwnedReadHalf) -> std::io::Result<Self> {
        let mut head = [0; 16];
        stream.read_exact(&mut head).await?;
        let word = |at: usize| u32::from_be_bytes(head[at..at + 4].try_into().unwrap());
        let mut body = vec![0; usize::try_from(word(0)).unwrap() - 16];
        stream.read_exact(&mut body).await?;
        Ok(Self {
            id: word(4),
            status: word(8),
            sequence: word(12),
            body,
        })
    }
}

/// The body of a deliver_sm from a phone or, with `esm_class` 4, a receipt. `sm_length` as told, not as it is.
pub(crate) fn deliver_sm(
    from: &str,
    to: &str,
    esm_class: u8,
    sm_length: u8,
    short_message: &[u8],
) -> Vec<u8> {
    let mut body = vec![0]; // service_type
    body.extend([1, 1]);
    body.extend(from.bytes().chain([0]));
    body.extend([0, 1]);
    body.extend(to.bytes().chain([0]));
    body.extend([esm_class, 0, 0, 0, 0, 0, 0, 0, 0, sm_length]);
    body.extend(short_message);
    body
}

#[derive(Debug)]
pub(crate) struct FakeCarrier {
    pub(crate) port: u16,
    /// Everything that came over any connection but what was answered by itself: binds, enquire_link, unbind.
    pub(crate) received: Arc<Ledger<Pdu>>,
    /// One entry a bind.
    pub(crate) binds: Arc<Ledger<u32>>,
    writer: Arc<Mutex<Option<OwnedWriteHalf>>>,
    server: JoinHandle<()>,
}

impl FakeCarrier {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (received, binds) = (Ledger::new("fake carrier"), Ledger::new("binds"));
        let writer = Arc::new(Mutex::new(None));
        let (taken, bound, current) = (Arc::clone(&received), Arc::clone(&binds), Arc::clone(&writer));
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                if let Err(error) = serve(stream, &taken, &bound, &current).await {
                    eprintln!("fake carrier: {error}");
                }
            }
        });
        Self {
            port,
            received,
            binds,
            writer,
            server,
        }
    }

    /// Says these octets on the connection that is bound.
    pub(crate) async fn say(&self, octets: &[u8]) {
        let mut writer = self.writer.lock().await;
        writer
            .as_mut()
            .expect("a connection")
            .write_all(octets)
            .await
            .unwrap();
    }

    /// Waits for a PDU.
    pub(crate) async fn pdu(&self, what: &str, judge: impl Fn(&Pdu) -> bool) -> Pdu {
        self.received
            .wait(what, |pdus| pdus.iter().find(|pdu| judge(pdu)).cloned())
            .await
    }

    /// Waits for whatever answers a request of ours.
    pub(crate) async fn answer_to(&self, what: &str, sequence: u32) -> Pdu {
        self.pdu(what, |pdu| pdu.id & RESPONSE != 0 && pdu.sequence == sequence)
            .await
    }
}

impl Drop for FakeCarrier {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(
    stream: TcpStream,
    received: &Ledger<Pdu>,
    binds: &Ledger<u32>,
    current: &Mutex<Option<OwnedWriteHalf>>,
) -> std::io::Result<()> {
    let (mut reader, writer) = stream.into_split();
    *current.lock().await = Some(writer);
    loop {
        let pdu = Pdu::read(&mut reader).await?;
        let body: &[u8] = match pdu.id {
            id if BINDS.contains(&id) => b"fake\0",
            ENQUIRE_LINK | UNBIND => b"",
            _ => {
                received.push(pdu);
                continue;
            }
        };
        let answer = Pdu::new(pdu.id | RESPONSE, pdu.sequence, body);
        current
            .lock()
            .await
            .as_mut()
            .expect("a connection")
            .write_all(&answer.octets())
            .await?;
        if BINDS.contains(&pdu.id) {
            binds.push(pdu.id);
        }
    }
}
