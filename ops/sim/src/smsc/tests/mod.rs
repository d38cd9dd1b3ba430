//! The machine, switch by switch, in octets: what a connection gives in, what it gets out, time as a number.
//!
//! Tests are named after the quirk (number of carrier-quirks) they show; `ops/docs/simulator.md` lists them.

mod answers;
mod binds;
mod chaos;
mod deliveries;
mod http;
mod owed;
mod phones;
mod receipts;
mod submits;
mod ucp;

use super::wire::{self, ANSWER, Cut, cut, id, pdu, put_address, put_string, put_tlv};
use super::*;
use crate::ledger::{CarrierRecord, Fate};
use bytes::{BufMut, BytesMut};
use smsgw_message::{Clock, Timestamp};
use smsgw_runtime::SystemClock;
use std::time::{Duration, Instant};

const TRANSCEIVER: u32 = id::BIND_TRANSCEIVER;

struct Rig {
    machine: Smsc,
    start: Instant,
    now: u64,
    lines: Vec<u8>,
}

/// A PDU that the carrier sent.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pdu {
    id: u32,
    status: u32,
    sequence: u32,
    body: Vec<u8>,
}

impl Pdu {
    /// Body of a deliver_sm: service_type, source, destination, esm_class, data_coding, text, TLVs.
    fn message(&self) -> wire::Submission<'_> {
        let operation = if self.id == id::DATA_SM {
            wire::Operation::DataSm
        } else {
            wire::Operation::SubmitSm
        };
        wire::Submission::read(operation, &self.body).unwrap().0
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(self.message().user_data()).into_owned()
    }

    /// The id of an answer.
    fn message_id(&self) -> String {
        String::from_utf8_lossy(wire::Fields(&self.body).string()).into_owned()
    }
}

fn options(changes: serde_json::Value) -> SmscOptions {
    SmscOptions::default().with(&changes).unwrap()
}

fn request(id: u32, sequence: u32, write: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
    let mut out = BytesMut::new();
    pdu(&mut out, id, 0, sequence, write);
    out.to_vec()
}

/// A submit_sm to that number; `change` may replace the fields after the addresses.
#[derive(Clone)]
struct Submit<'a> {
    service_type: &'a str,
    source: (u8, &'a str),
    to: (u8, &'a str),
    esm_class: u8,
    validity: &'a str,
    registered_delivery: u8,
    data_coding: u8,
    text: &'a [u8],
    tlvs: &'a [(u16, &'a [u8])],
}

impl Default for Submit<'_> {
    fn default() -> Self {
        Self {
            service_type: "",
            source: (3, "12345"),
            to: (1, "491700000001"),
            esm_class: 0,
            validity: "",
            registered_delivery: 1,
            data_coding: 0,
            text: b"hello",
            tlvs: &[],
        }
    }
}

impl Submit<'_> {
    fn body(&self, out: &mut BytesMut) {
        put_string(out, self.service_type.as_bytes());
        put_address(out, self.source.0, 0, self.source.1.as_bytes());
        put_address(out, self.to.0, 1, self.to.1.as_bytes());
        out.put_slice(&[self.esm_class, 0, 0, 0]);
        put_string(out, self.validity.as_bytes());
        out.put_slice(&[self.registered_delivery, 0, self.data_coding, 0]);
        out.put_u8(u8::try_from(self.text.len()).unwrap());
        out.put_slice(self.text);
        for (tag, value) in self.tlvs {
            put_tlv(out, *tag, value);
        }
    }
}

impl Rig {
    fn new(options: SmscOptions) -> Self {
        let start = SystemClock.instant();
        let options = SmscOptions {
            first_id: Some(100),
            ..options
        };
        let wall = Timestamp::from_millis(1_795_248_000_000);
        let now = Moment { instant: start, wall };
        Self {
            machine: Smsc::new(options, now, true),
            start,
            now: 0,
            lines: Vec::new(),
        }
    }

    /// With a transceiver bound as session 1.
    fn bound(options: SmscOptions) -> Self {
        let mut rig = Self::new(options);
        let answer = rig.bind(1, TRANSCEIVER);
        assert_eq!((answer[0].id, answer[0].status), (ANSWER | TRANSCEIVER, 0));
        rig
    }

    /// Bound, with the options of a table.
    fn with(changes: serde_json::Value) -> Self {
        Self::bound(options(changes))
    }

    fn moment(&self) -> Moment {
        let wall = Timestamp::from_millis(1_795_248_000_000 + i64::try_from(self.now).unwrap());
        Moment {
            instant: self.start + Duration::from_millis(self.now),
            wall,
        }
    }

    /// What session `of` was sent since the last time.
    fn out(&mut self, of: u64) -> Vec<Pdu> {
        let octets = self.raw(of);
        let mut rest = &octets[..];
        let mut pdus = Vec::new();
        while let Cut::Pdu(head, body, length) = cut(rest) {
            pdus.push(Pdu {
                id: head.id,
                status: head.status,
                sequence: head.sequence,
                body: body.to_vec(),
            });
            rest = &rest[length..];
        }
        assert!(rest.is_empty(), "{rest:?}");
        pdus
    }

    fn raw(&mut self, of: u64) -> Vec<u8> {
        if let Some(lines) = self.machine.records() {
            self.lines.append(lines);
        }
        while self.machine.poll_dirty().is_some() {}
        let mut octets = BytesMut::new();
        self.machine.poll_transmit(SessionId(of), &mut octets);
        octets.to_vec()
    }

    fn flow(&mut self, of: u64) -> Flow {
        self.machine.poll_transmit(SessionId(of), &mut BytesMut::new())
    }

    fn at(&mut self, millis: u64) -> Vec<Pdu> {
        self.pass(millis);
        self.out(1)
    }

    fn pass(&mut self, millis: u64) {
        self.now = millis;
        let now = self.moment();
        self.machine.handle_timeout(now);
    }

    fn feed(&mut self, session: u64, octets: &[u8]) -> Vec<Pdu> {
        let now = self.moment();
        self.machine.handle_bytes(now, SessionId(session), octets);
        self.out(session)
    }

    fn open(&mut self, session: u64) -> Vec<Pdu> {
        let now = self.moment();
        self.machine.handle_opened(now, SessionId(session));
        self.out(session)
    }

    fn bind(&mut self, session: u64, kind: u32) -> Vec<Pdu> {
        self.bind_as(session, kind, "test", "secret")
    }

    fn bind_as(&mut self, session: u64, kind: u32, name: &str, password: &str) -> Vec<Pdu> {
        self.open(session);
        self.feed(session, &bind_pdu(kind, name, password, 0x34))
    }

    fn submit(&mut self, sequence: u32, to: &str) -> Vec<Pdu> {
        self.submit_on(
            1,
            sequence,
            &Submit {
                to: (1, to),
                ..Submit::default()
            },
        )
    }

    fn submit_on(&mut self, session: u64, sequence: u32, submit: &Submit<'_>) -> Vec<Pdu> {
        self.feed(session, &request(id::SUBMIT_SM, sequence, |out| submit.body(out)))
    }

    /// Answers a delivery.
    fn delivered(&mut self, session: u64, sequence: u32, status: u32) -> Vec<Pdu> {
        let mut out = BytesMut::new();
        pdu(&mut out, ANSWER | id::DELIVER_SM, status, sequence, |out| {
            out.put_u8(0)
        });
        self.feed(session, &out)
    }

    fn lose(&mut self, session: u64) {
        let now = self.moment();
        self.machine.handle_ended(now, SessionId(session));
    }

    fn records(&mut self) -> Vec<CarrierRecord> {
        self.lines
            .split(|octet| *octet == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    fn fates(&mut self) -> Vec<(Fate, u32)> {
        self.records()
            .iter()
            .filter_map(|record| match record {
                CarrierRecord::Submit(submit) => Some((submit.fate, submit.status)),
                CarrierRecord::MoTaken(_) | CarrierRecord::AnswerLost(_) | CarrierRecord::Replaced(_) => None,
            })
            .collect()
    }
}

fn bind_pdu(kind: u32, name: &str, password: &str, version: u8) -> Vec<u8> {
    request(kind, 1, |out| {
        put_string(out, name.as_bytes());
        put_string(out, password.as_bytes());
        put_string(out, b"");
        out.put_u8(version);
        put_address(out, 0, 0, b"");
    })
}

fn ids(pdus: &[Pdu]) -> Vec<u32> {
    pdus.iter().map(|pdu| pdu.id).collect()
}

fn receipts(pdus: &[Pdu]) -> Vec<&Pdu> {
    pdus.iter()
        .filter(|pdu| matches!(pdu.id, id::DELIVER_SM | id::DATA_SM))
        .collect()
}

/// The answers among them: sequence, status, id.
fn answers(pdus: &[Pdu]) -> Vec<(u32, u32, String)> {
    pdus.iter()
        .filter(|pdu| pdu.id == ANSWER | id::SUBMIT_SM)
        .map(|pdu| (pdu.sequence, pdu.status, pdu.message_id()))
        .collect()
}
