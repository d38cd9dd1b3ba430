//! A carrier that is reached over HTTP: the machine's PDUs as requests and answers, and back.
//!
//! The machine judges, counts, delays and misbehaves in SMPP; this stands at the edge of one of its sessions. So every switch of
//! the SMPP carrier is one of this, as far as HTTP has words for it. Sessions are of two kinds:
//!
//! ```text
//! taker  (the gateway connects)       POST /messages ─▶ submit_sm       202, 4xx, 5xx ◀─ its answer
//! bringer (we connect to `inbound`)   POST receipt_path, mo_path ◀─ deliver_sm       2xx, 4xx, 5xx ─▶ its answer
//! ```
//! ```json
//! {"to":"491700000001","from":"12345","text":"hello","udh":"0500034d0201","data":"0aff","data_coding":4,"receipt":1}
//! {"id":"17952480000070000","status":"accepted"}
//! {"status":"refused","code":88}
//! {"id":"17952480000070000","status":"DELIVRD","to":"491700000001","from":"12345"}
//! {"from":"491700000001","to":"12345","text":"hello","udh":"0500034d0201"}
//! ```
//! `text` (or `data`, octets in hexadecimal) and `to` are needed, everything else may be absent. Reads no clock. Invariants: the
//! answers of a connection are in the order of its requests; a deliver_sm has one answer, or none when its connection ends.
//!
//! # Limits
//! Statuses of SMPP are told so: 0x58 is 429; 0x14, 0x64 and 0x04 are 503; 0x08 and 0x45 are 500; 0x0d to 0x0f are 401; 400 to
//! 599 stand for themselves; everything else is 400. What needs TLVs or SAR parameters has no words here and is left out; a
//! message from a phone in a coding without certain meaning is told as octets.

pub(super) mod wire;

use self::wire::{Cut, Message, basic, cut, put};
use super::gsm;
use super::options::HttpQuirks;
use super::wire::{self as smpp, ANSWER, Cut as Smpp, Head, Operation, Submission, id, tag};
use crate::ledger::{hex, unhex};
use bytes::{BufMut, BytesMut};
use serde_json::{Value, json};
use std::collections::VecDeque;

/// command_status of an answer that is told as one that says nothing, and of one that ends in the middle.
pub(super) const GARBLED: u32 = 0xFFFF_FF01;
pub(super) const HALF: u32 = 0xFFFF_FF02;

/// Largest short_message (SMPP 3.4 §5.2.22).
const SHORT: usize = 254;
/// The account where none is wanted.
pub(super) const ACCOUNT: &str = "http";
/// A request of nobody's making.
const UNKNOWN: u32 = 0x0001_0203;

/// The edge of one session.
#[derive(Debug)]
pub(super) enum Http {
    Taker(Taker),
    Bringer(Bringer),
}

impl Http {
    /// Octets of the peer as PDUs for the machine.
    pub(super) fn take(&mut self, octets: &[u8]) -> BytesMut {
        let mut out = BytesMut::new();
        match self {
            Self::Taker(taker) => taker.take(octets, &mut out),
            Self::Bringer(bringer) => bringer.take(octets, &mut out),
        }
        out
    }

    /// PDUs of the machine as octets for the peer. True: nothing comes behind them.
    pub(super) fn give(&mut self, mut stream: &[u8], quirks: &HttpQuirks, out: &mut BytesMut) -> bool {
        let mut closing = false;
        loop {
            match smpp::cut(stream) {
                Smpp::Pdu(head, body, length) => {
                    closing |= head.id == id::UNBIND;
                    match self {
                        Self::Taker(taker) => taker.give(head, body, quirks),
                        Self::Bringer(bringer) => bringer.give(head, body, out),
                    }
                    stream = stream.get(length..).unwrap_or_default();
                }
                Smpp::Partial => break,
                // A length that is wrong on purpose.
                Smpp::BadLength => {
                    out.extend_from_slice(b"\x16\x03\x01\x00\r\n\r\n");
                    break;
                }
            }
        }
        match self {
            Self::Taker(taker) => closing | taker.tell(out),
            Self::Bringer(_) => closing,
        }
    }
}

/// An answer, once it is there.
#[derive(Debug)]
struct Told {
    octets: BytesMut,
    is_last: bool,
}

/// A connection of the gateway.
#[derive(Debug)]
pub(super) struct Taker {
    /// Whether the carrier asks for an account.
    asks: bool,
    input: BytesMut,
    is_bound: bool,
    next_sequence: u32,
    /// The request after whose answer the gateway wants the connection to end.
    closes: Option<u32>,
    /// Requests, in their order, and their answers.
    asked: VecDeque<(u32, Option<Told>)>,
}

impl Taker {
    pub(super) fn new(asks: bool) -> Self {
        Self {
            asks,
            input: BytesMut::new(),
            is_bound: false,
            next_sequence: 1,
            closes: None,
            asked: VecDeque::new(),
        }
    }

    fn take(&mut self, octets: &[u8], out: &mut BytesMut) {
        let mut stream = std::mem::take(&mut self.input);
        stream.extend_from_slice(octets);
        loop {
            match cut(&stream) {
                Cut::Message(request, taken) => {
                    self.take_request(&request, out);
                    drop(stream.split_to(taken));
                }
                Cut::Partial => break,
                Cut::Broken => {
                    let number = self.number();
                    self.asked.push_back((number, Some(refusal(400, 0, None, true))));
                    stream.clear();
                    break;
                }
            }
        }
        self.input = stream;
    }

    fn number(&mut self) -> u32 {
        let number = self.next_sequence;
        self.next_sequence = if number >= 0x0FFF_FFFF {
            1
        } else {
            number.saturating_add(1)
        };
        number
    }

    fn take_request(&mut self, request: &Message<'_>, out: &mut BytesMut) {
        let number = self.number();
        if request
            .header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
        {
            self.closes = Some(number);
        }
        let mut line = request.first.split(' ');
        let status = match (line.next(), line.next()) {
            (Some("POST"), Some("/messages")) => 400,
            (_, Some("/messages")) => 405,
            (_, _) => 404,
        };
        let message = (status == 400)
            .then(|| serde_json::from_slice(request.body).ok())
            .flatten();
        let Some(body) = message.and_then(|message: Value| submit(&message)) else {
            return self
                .asked
                .push_back((number, Some(refusal(status, 0, None, false))));
        };
        self.asked.push_back((number, None));
        if !self.is_bound {
            let named = request
                .header("authorization")
                .and_then(basic)
                .unwrap_or_default();
            let (user, password) = if self.asks {
                named
            } else {
                (ACCOUNT.as_bytes().to_vec(), named.1)
            };
            bind(out, id::BIND_TRANSMITTER, number, &user, &password);
            self.is_bound = true;
        }
        smpp::pdu(out, id::SUBMIT_SM, 0, number, |out| out.put_slice(&body));
    }

    fn give(&mut self, head: Head, body: &[u8], quirks: &HttpQuirks) {
        let is_bind = head.id == ANSWER | id::BIND_TRANSMITTER;
        let answers =
            [id::SUBMIT_SM, 0].map(|id| ANSWER | id).contains(&head.id) || (is_bind && head.status != 0);
        let Some((_, told)) = self
            .asked
            .iter_mut()
            .find(|(number, told)| answers && *number == head.sequence && told.is_none())
        else {
            return;
        };
        let given = smpp::Fields(body).string();
        let given = String::from_utf8_lossy(given);
        let accepted = json!({"id": given, "status": "accepted"}).to_string();
        *told = Some(match head.status {
            0 => answer("202 Accepted", "", accepted.as_bytes(), false),
            GARBLED if head.sequence.is_multiple_of(2) => Told {
                octets: BytesMut::from(&b"\x15\x03\x03\x00\x02\x02\x28 not what you think\r\n\r\n"[..]),
                is_last: true,
            },
            GARBLED => answer("202 Accepted", "", b"<html>thank you</html>", false),
            HALF => {
                let mut whole = answer("202 Accepted", "", accepted.as_bytes(), true);
                let half = whole.octets.len().saturating_sub(accepted.len() / 2);
                whole.octets.truncate(half);
                whole
            }
            status => {
                let after = (!quirks.retry_after.is_zero()).then(|| quirks.retry_after.as_secs().max(1));
                refusal(http_status(status), status, after, is_bind)
            }
        });
    }

    /// The answers whose turn it is. True: the last of them ends the connection.
    fn tell(&mut self, out: &mut BytesMut) -> bool {
        while let Some((number, told)) = self.asked.pop_front_if(|(_, told)| told.is_some()) {
            let Some(told) = told else { continue };
            out.extend_from_slice(&told.octets);
            if told.is_last || self.closes == Some(number) {
                self.asked.clear();
                return true;
            }
        }
        false
    }
}

fn answer(status: &str, headers: &str, body: &[u8], is_last: bool) -> Told {
    let mut octets = BytesMut::new();
    let headers = format!("Content-Type: application/json\r\n{headers}");
    put(&mut octets, &format!("HTTP/1.1 {status}"), &headers, body);
    Told { octets, is_last }
}

fn refusal(status: u16, code: u32, retry_after: Option<u64>, is_last: bool) -> Told {
    let after = retry_after
        .filter(|_| matches!(status, 429 | 503))
        .map(|seconds| format!("Retry-After: {seconds}\r\n"))
        .unwrap_or_default();
    let body = json!({"status": "refused", "code": code}).to_string();
    answer(&format!("{status} refused"), &after, body.as_bytes(), is_last)
}

/// The status of HTTP that stands for one of SMPP.
fn http_status(status: u32) -> u16 {
    match status {
        0x58 => 429,
        0x14 | 0x64 | 0x04 => 503,
        0x08 | 0x45 => 500,
        0x0d..=0x0f => 401,
        400..=599 => u16::try_from(status).unwrap_or(400),
        _ => 400,
    }
}

fn bind(out: &mut BytesMut, command: u32, sequence: u32, name: &[u8], password: &[u8]) {
    smpp::pdu(out, command, 0, sequence, |out| {
        smpp::put_string(out, name);
        smpp::put_string(out, password);
        smpp::put_string(out, b"");
        out.put_slice(&[0x34, 0, 0, 0]);
    });
}

/// The body of submit_sm for a message; `None` where something that is needed is absent or cannot be read.
fn submit(message: &Value) -> Option<BytesMut> {
    let text = |name: &str| message.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| match message.get(name) {
        None | Some(Value::Null) => None,
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(digits)) => digits.parse().ok(),
        Some(_) => None,
    };
    let to = text("to").trim_start_matches('+');
    let header = unhex(text("udh"))?;
    let (data_coding, body) = match message.get("data").and_then(Value::as_str) {
        Some(data) if !data.is_empty() => {
            let coding = number("data_coding").and_then(|coding| u8::try_from(coding).ok());
            (coding.unwrap_or(4), unhex(data)?)
        }
        _ => {
            let text = message.get("text")?.as_str()?;
            match gsm::encode(text) {
                Some(septets) => (0, septets),
                None => (8, text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
            }
        }
    };
    if to.is_empty() || !to.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let from = text("from");
    let ton = if from.bytes().any(|octet| octet.is_ascii_alphabetic()) {
        5
    } else {
        u8::from(from.starts_with('+'))
    };
    let user_data = [header.as_slice(), &body].concat();
    let short = u8::try_from(user_data.len())
        .ok()
        .filter(|length| usize::from(*length) <= SHORT);
    let mut out = BytesMut::new();
    smpp::put_string(&mut out, b"");
    smpp::put_address(
        &mut out,
        ton,
        u8::from(ton == 1),
        from.trim_start_matches('+').as_bytes(),
    );
    smpp::put_address(&mut out, 1, 1, to.as_bytes());
    out.put_slice(&[if header.is_empty() { 0 } else { 0x40 }, 0, 0]);
    smpp::put_string(&mut out, b"");
    smpp::put_string(&mut out, b"");
    let receipt = u8::from(number("receipt").unwrap_or(1) != 0);
    out.put_slice(&[receipt, 0, data_coding, 0, short.unwrap_or(0)]);
    match short {
        Some(_) => out.put_slice(&user_data),
        None => smpp::put_tlv(&mut out, tag::MESSAGE_PAYLOAD, &user_data),
    }
    Some(out)
}

/// A connection to the gateway.
#[derive(Debug)]
pub(super) struct Bringer {
    host: String,
    receipt_path: String,
    mo_path: String,
    header: String,
    input: BytesMut,
    /// Sequence numbers of deliveries without an answer, in their order; none for what is no delivery.
    asked: VecDeque<Option<u32>>,
}

impl Bringer {
    pub(super) fn new(quirks: &HttpQuirks) -> Self {
        Self {
            host: quirks.inbound.clone().unwrap_or_default(),
            receipt_path: quirks.receipt_path.clone(),
            mo_path: quirks.mo_path.clone(),
            header: quirks
                .inbound_header
                .as_ref()
                .map(|header| format!("{header}\r\n"))
                .unwrap_or_default(),
            input: BytesMut::new(),
            asked: VecDeque::new(),
        }
    }

    /// The bind of the session.
    pub(super) fn bind(name: &[u8], password: &[u8]) -> BytesMut {
        let mut out = BytesMut::new();
        bind(&mut out, id::BIND_RECEIVER, 1, name, password);
        out
    }

    fn take(&mut self, octets: &[u8], out: &mut BytesMut) {
        let mut stream = std::mem::take(&mut self.input);
        stream.extend_from_slice(octets);
        loop {
            match cut(&stream) {
                Cut::Message(answer, taken) => {
                    let status = match answer.status() {
                        Some(200..=299) => 0,
                        Some(100..=199) => {
                            drop(stream.split_to(taken));
                            continue;
                        }
                        Some(408 | 429 | 500..=599) => 0x64,
                        Some(_) | None => 0x65,
                    };
                    if let Some(Some(sequence)) = self.asked.pop_front() {
                        smpp::pdu(out, ANSWER | id::DELIVER_SM, status, sequence, |_| {});
                    }
                    drop(stream.split_to(taken));
                }
                Cut::Partial => break,
                Cut::Broken => {
                    // Which answer is whose cannot be told any more: the session ends.
                    smpp::pdu(out, ANSWER | id::UNBIND, 0, 1, |_| {});
                    stream.clear();
                    break;
                }
            }
        }
        self.input = stream;
    }

    fn give(&mut self, head: Head, body: &[u8], out: &mut BytesMut) {
        let operation = match head.id {
            id::DELIVER_SM => Operation::SubmitSm,
            id::DATA_SM => Operation::DataSm,
            UNKNOWN => {
                self.asked.push_back(None);
                return self.request(out, "/nobody-has-this", b"{}");
            }
            _ => return,
        };
        self.asked.push_back(Some(head.sequence));
        let Ok((message, _)) = Submission::read(operation, body) else {
            let path = self.mo_path.clone();
            return self.request(out, &path, b"{\"spoiled\":");
        };
        let name = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let (from, to) = (name(message.source.value), name(message.destination.value));
        if let Some(known) = message.tlv(tag::RECEIPTED_MESSAGE_ID) {
            let known = known.strip_suffix(&[0]).unwrap_or(known);
            let state = message.tlv(tag::MESSAGE_STATE).and_then(|state| state.first());
            let brought = json!({
                "id": name(known), "status": word(state.copied()), "to": from, "from": to,
            });
            let path = self.receipt_path.clone();
            return self.request(out, &path, brought.to_string().as_bytes());
        }
        let mut brought = json!({"from": from, "to": to});
        let user_data = message.user_data();
        let header = if message.has_udh() {
            usize::from(user_data.first().copied().unwrap_or(0)).saturating_add(1)
        } else {
            0
        };
        let (header, octets) = user_data.split_at_checked(header).unwrap_or((&[], user_data));
        let text = match message.data_coding {
            0 | 0xF0..=0xF3 => Some(gsm::decode(octets)),
            8 => {
                let (pairs, _) = octets.as_chunks::<2>();
                let units: Vec<u16> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
                String::from_utf16(&units).ok()
            }
            _ => None,
        };
        if let Some(brought) = brought.as_object_mut() {
            match text {
                Some(text) => brought.insert("text".into(), text.into()),
                None => brought.insert("data".into(), hex(octets).into()),
            };
            if !header.is_empty() {
                brought.insert("udh".into(), hex(header).into());
            }
        }
        let path = self.mo_path.clone();
        self.request(out, &path, brought.to_string().as_bytes());
    }

    fn request(&self, out: &mut BytesMut, path: &str, body: &[u8]) {
        let headers = format!(
            "Host: {}\r\nContent-Type: application/json\r\n{}",
            self.host, self.header
        );
        put(out, &format!("POST {path} HTTP/1.1"), &headers, body);
    }
}

/// message_state in words (SMPP 3.4 §5.2.28).
const fn word(state: Option<u8>) -> &'static str {
    match state {
        Some(1) => "ENROUTE",
        Some(2) => "DELIVRD",
        Some(3) => "EXPIRED",
        Some(4) => "DELETED",
        Some(5) => "UNDELIV",
        Some(6) => "ACCEPTD",
        Some(8) => "REJECTD",
        Some(_) | None => "UNKNOWN",
    }
}
