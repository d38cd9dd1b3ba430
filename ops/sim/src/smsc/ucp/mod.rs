//! A centre that speaks UCP: the machine's PDUs in the words of EMI-UCP 4.0, and back.
//!
//! The machine judges, counts, delays and misbehaves in SMPP; this stands at the edge of one of its sessions. So every
//! switch of the SMPP carrier is one of the UCP centre:
//!
//! ```text
//! O/60 ─▶ bind_transceiver        R/60 ◀─ its answer
//! R/60 ─▶ bind_transceiver        O/60 ◀─ outbind, on a connection of ours
//! O/51, O/30, O/01 ─▶ submit_sm   R/51 ◀─ its answer: AdC:SCTS stands for the id
//! O/31 ─▶ enquire_link            O/53 ◀─ deliver_sm with a receipt
//! R/52, R/53 ─▶ its answer        O/52 ◀─ deliver_sm with a message from a phone
//! ```
//! Reads no clock. Invariant: a receipt and the answer of its message give the same SCTS, whichever comes first.
//!
//! # Limits
//! An error is told as it stands when it is one of UCP (1 to 38), else as 04, operation not allowed. What needs TLVs or
//! SAR parameters has no words here and is left out. Times are UTC. A command of ours that is no UCP becomes operation 99.

pub(super) mod wire;

use self::wire::{Cut, Frame, hex, name, put, service, unhex};
use super::wire::{self as smpp, ANSWER, Address, Cut as Smpp, Head, Operation, Submission, id, tag};
use bytes::{BufMut, BytesMut};
use rustc_hash::FxHashMap;
use smsgw_message::Timestamp;
use std::collections::VecDeque;

/// Messages whose SCTS is remembered.
const REMEMBERED: usize = 100_000;
/// Deliveries that may wait for their answer: TRNs, less some for keep-alives.
pub(super) const WINDOW: usize = 90;
const NOT_ALLOWED: u32 = 4;

/// What the peer asked under one TRN.
#[derive(Debug, Clone)]
struct Asked {
    sequence: u32,
    ot: u8,
    adc: String,
    /// Refused with this, whatever the machine says.
    refused: Option<u32>,
}

/// The edge of one session.
#[derive(Debug)]
pub(super) struct Ucp {
    input: BytesMut,
    next_sequence: u32,
    asked: Vec<Option<Asked>>,
    /// Sequence numbers and operations of ours, by TRN.
    sent: Vec<Option<(u32, u8)>>,
    next_trn: u8,
    /// What the machine is told once the peer has taken our login.
    bind: BytesMut,
}

impl Ucp {
    pub(super) fn new() -> Self {
        Self {
            input: BytesMut::new(),
            next_sequence: 1,
            asked: vec![None; 100],
            sent: vec![None; 100],
            next_trn: 0,
            bind: BytesMut::new(),
        }
    }

    /// On a connection of ours: the outbind that comes is a login, and this the bind that it stands for.
    pub(super) fn once_logged_in(&mut self, bind: BytesMut) {
        self.bind = bind;
    }

    /// Octets of the peer as PDUs for the machine.
    pub(super) fn take(&mut self, octets: &[u8]) -> BytesMut {
        let mut stream = std::mem::take(&mut self.input);
        stream.extend_from_slice(octets);
        let mut out = BytesMut::new();
        loop {
            match wire::cut(&stream) {
                Cut::Frame(frame, taken) => {
                    self.take_frame(&frame, &mut out);
                    drop(stream.split_to(taken));
                }
                Cut::Noise(taken) => drop(stream.split_to(taken)),
                Cut::Partial => break,
            }
        }
        self.input = stream;
        out
    }

    fn take_frame(&mut self, frame: &Frame<'_>, out: &mut BytesMut) {
        let trn = usize::from(frame.trn);
        if !frame.is_operation {
            // A result that is spoiled is none: the delivery times out.
            let sent = self.sent.get_mut(trn).and_then(Option::take);
            if let Some((_, 60)) = sent {
                if frame.is_sound && frame.field(0) == "A" {
                    out.extend_from_slice(&std::mem::take(&mut self.bind));
                }
            } else if let Some((sequence, ot)) = sent.filter(|_| frame.is_sound) {
                let command = if ot == 31 {
                    id::ENQUIRE_LINK
                } else {
                    id::DELIVER_SM
                };
                let status = match (frame.field(0), frame.field(1).parse::<u32>()) {
                    ("A", _) => 0,
                    (_, Ok(NOT_ALLOWED)) => 0x64,
                    _ => 0x65,
                };
                smpp::pdu(out, ANSWER | command, status, sequence, |_| {});
            }
            return;
        }
        let sequence = self.next_sequence;
        self.next_sequence = if sequence >= 0x0FFF_FFFF {
            1
        } else {
            sequence.saturating_add(1)
        };
        let message = self.message(frame);
        let refused = match frame.ot {
            _ if !frame.is_sound => Some(if frame.fields.is_empty() { 2 } else { 1 }),
            1 | 30 | 51 if message.is_none() => Some(2),
            60 if frame.field(3) != "1" => Some(3),
            1 | 30 | 31 | 51 | 60 => None,
            _ => Some(3),
        };
        let adc = frame.field(0).to_owned();
        if let Some(place) = self.asked.get_mut(trn) {
            *place = Some(Asked {
                sequence,
                ot: frame.ot,
                adc,
                refused,
            });
        }
        match (frame.ot, message) {
            _ if refused.is_some() => smpp::pdu(out, 0x0001_0000, 0, sequence, |_| {}),
            (60, _) => smpp::pdu(out, id::BIND_TRANSCEIVER, 0, sequence, |out| {
                smpp::put_string(out, frame.field(0).as_bytes());
                smpp::put_string(out, &unhex(frame.field(4)).unwrap_or_default());
                smpp::put_string(out, b"");
                out.put_slice(&[0x34, 0, 0, 0]);
            }),
            (_, Some(body)) => smpp::pdu(out, id::SUBMIT_SM, 0, sequence, |out| out.put_slice(&body)),
            _ => smpp::pdu(out, id::ENQUIRE_LINK, 0, sequence, |_| {}),
        }
    }

    /// The body of submit_sm for operation 01, 30 or 51.
    fn message(&self, frame: &Frame<'_>) -> Option<BytesMut> {
        let (mt, msg, nrq, nt, vp, mcls, otoa, xser) = match frame.ot {
            1 => (3, 4, None, None, None, None, None, None),
            30 => (99, 9, Some(3), None, Some(8), None, None, None),
            51 => (18, 20, Some(3), Some(5), Some(12), Some(24), Some(28), Some(30)),
            _ => return None,
        };
        let of = |at: Option<usize>| at.map_or("", |at| frame.field(at));
        let mt = if frame.ot == 30 { "3" } else { frame.field(mt) };
        let (text, mut data_coding) = match mt {
            "2" => (frame.field(msg).as_bytes().to_vec(), 0),
            "3" => (unhex(frame.field(msg))?, 0),
            "4" => (unhex(frame.field(msg))?, 4),
            _ => return None,
        };
        if let Ok(class @ 0..=3) = of(mcls).parse::<u8>() {
            data_coding |= 0xF0 | class;
        }
        if let Some(&[dcs]) = service(of(xser), 2).as_deref() {
            data_coding = dcs;
        }
        let header = service(of(xser), 1).unwrap_or_default();
        let registered = match (of(nrq), of(nt).parse::<u8>().unwrap_or(3) & 3) {
            ("1", 3) => 1,
            ("1", 2) => 2,
            ("1", 1) => 3,
            _ => 0,
        };
        let (ton, from) = match of(otoa) {
            "5039" => (5, name(frame.field(1))?),
            "1139" => (1, frame.field(1).to_owned()),
            _ => (0, frame.field(1).to_owned()),
        };
        let to = frame.field(0);
        let user_data = [header.as_slice(), &text].concat();
        let length = u8::try_from(user_data.len()).ok()?;
        let mut out = BytesMut::new();
        smpp::put_string(&mut out, b"");
        smpp::put_address(&mut out, ton, u8::from(ton == 1), from.as_bytes());
        smpp::put_address(&mut out, 1, 1, to.strip_prefix("00").unwrap_or(to).as_bytes());
        out.put_slice(&[if header.is_empty() { 0 } else { 0x40 }, 0, 0]);
        smpp::put_string(&mut out, b"");
        smpp::put_string(&mut out, validity(of(vp)).as_bytes());
        out.put_slice(&[registered, 0, data_coding, 0, length]);
        out.put_slice(&user_data);
        Some(out)
    }

    /// PDUs of the machine as octets for the peer. True: the machine unbinds, which UCP says by closing.
    pub(super) fn give(
        &mut self,
        mut stream: &[u8],
        keys: &mut Keys,
        now: Timestamp,
        out: &mut BytesMut,
    ) -> bool {
        let mut closing = false;
        loop {
            match smpp::cut(stream) {
                Smpp::Pdu(head, body, length) => {
                    closing |= head.id == id::UNBIND;
                    self.give_pdu(head, body, keys, now, out);
                    stream = stream.get(length..).unwrap_or_default();
                }
                Smpp::Partial => return closing,
                // A length that is wrong on purpose: a frame that never ends, and the next one.
                Smpp::BadLength => {
                    out.extend_from_slice(b"\x0200/00001/O/52/");
                    return closing;
                }
            }
        }
    }

    fn give_pdu(&mut self, head: Head, body: &[u8], keys: &mut Keys, now: Timestamp, out: &mut BytesMut) {
        match head.id {
            answer if answer & ANSWER != 0 => self.give_answer(head, body, keys, now, out),
            id::DELIVER_SM | id::DATA_SM => self.give_delivery(head, body, keys, now, out),
            id::ENQUIRE_LINK | id::ALERT_NOTIFICATION => {
                self.ask(out, head.sequence, 31, &["0", "0539"], 0);
            }
            id::OUTBIND if !self.bind.is_empty() => {
                let mut fields = smpp::Fields(body);
                let (name, password) = (fields.string(), hex(fields.string()));
                let name = String::from_utf8_lossy(name);
                let fields = [&name, "6", "5", "1", &password, "", "0100", "", "", "", "", ""];
                self.ask(out, head.sequence, 60, &fields, 0);
            }
            id::OUTBIND | id::UNBIND => {}
            _ => {
                self.ask(out, head.sequence, 99, &["vendor"], 0);
            }
        }
    }

    fn give_answer(&mut self, head: Head, body: &[u8], keys: &mut Keys, now: Timestamp, out: &mut BytesMut) {
        let its = |asked: &Asked| asked.sequence == head.sequence;
        let Some((trn, asked)) = self
            .asked
            .iter()
            .zip(0_u8..)
            .find_map(|(asked, trn)| asked.clone().filter(its).map(|asked| (trn, asked)))
        else {
            return;
        };
        // It stays: an answer may be given twice.
        let refused = match (head.id, head.status, asked.refused) {
            (_, _, Some(code)) => Some(code),
            (_, 0, None) if head.id != id::GENERIC_NACK => None,
            (answer, 0x0d..=0x0f, None) if answer == ANSWER | id::BIND_TRANSCEIVER => Some(7),
            (_, status, None) => Some(status),
        };
        if let Some(code) = refused {
            let code = if (1..=38).contains(&code) {
                code
            } else {
                NOT_ALLOWED
            };
            return put(
                out,
                trn,
                false,
                asked.ot,
                &["N", &format!("{code:02}"), "refused"],
                0,
            );
        }
        match asked.ot {
            1 | 30 | 51 => {
                let given = smpp::Fields(body).string();
                let scts = keys.scts(given, now);
                let sm = format!("{}:{scts}", asked.adc);
                let fields: &[&str] = if asked.ot == 1 {
                    &["A", &sm]
                } else {
                    &["A", "", &sm]
                };
                put(out, trn, false, asked.ot, fields, 0);
            }
            _ => put(out, trn, false, asked.ot, &["A", ""], 0),
        }
    }

    fn give_delivery(
        &mut self,
        head: Head,
        body: &[u8],
        keys: &mut Keys,
        now: Timestamp,
        out: &mut BytesMut,
    ) {
        let operation = if head.id == id::DATA_SM {
            Operation::DataSm
        } else {
            Operation::SubmitSm
        };
        let Ok((message, _)) = Submission::read(operation, body) else {
            return self.ask(out, head.sequence, 52, &["spoiled"], 1);
        };
        let mut fields = [const { String::new() }; 33];
        let mut set = |at: usize, value: String| {
            if let Some(field) = fields.get_mut(at) {
                *field = value;
            }
        };
        set(0, digits(message.destination.value));
        set(1, from(message.source));
        let is_receipt = message.tlv(tag::RECEIPTED_MESSAGE_ID).is_some();
        let ot = if is_receipt { 53 } else { 52 };
        if is_receipt {
            let known = message.tlv(tag::RECEIPTED_MESSAGE_ID).unwrap_or_default();
            let known = known.strip_suffix(&[0]).unwrap_or(known);
            let state = message
                .tlv(tag::MESSAGE_STATE)
                .and_then(|state| state.first().copied());
            let (dst, rsn) = match state {
                Some(2) => ("0", "000"),
                Some(1 | 6) => ("1", "000"),
                Some(3) => ("2", "107"),
                Some(4) => ("2", "104"),
                Some(5) => ("2", "101"),
                Some(8) => ("2", "103"),
                _ => ("2", "127"),
            };
            let (scts, done) = (keys.scts(known, now), stamp(now));
            let word = if dst == "0" { "delivered" } else { "not delivered" };
            let text = format!(
                "Message for {}, with identification {scts} has been {word}.",
                digits(message.source.value)
            );
            for (at, value) in [
                (14, scts.as_str()),
                (15, dst),
                (16, rsn),
                (17, done.as_str()),
                (18, "3"),
            ] {
                set(at, value.to_owned());
            }
            set(20, hex(text.as_bytes()));
        } else {
            let user_data = message.user_data();
            let header = if message.has_udh() {
                usize::from(user_data.first().copied().unwrap_or(0)).saturating_add(1)
            } else {
                0
            };
            let (header, text) = user_data.split_at_checked(header).unwrap_or((&[], user_data));
            let is_text =
                matches!(message.data_coding, 0 | 0xF0..=0xF3) && text.iter().all(|octet| *octet < 0x80);
            let mut xser = String::new();
            if !header.is_empty() {
                xser = format!("01{:02X}{}", header.len(), hex(header));
            }
            if !is_text {
                xser.push_str(&format!("0201{:02X}", message.data_coding));
                set(19, format!("{:04}", text.len().saturating_mul(8)));
            }
            set(14, stamp(now));
            set(18, if is_text { "3" } else { "4" }.to_owned());
            set(20, hex(text));
            set(30, xser);
        }
        if message.source.ton == 5 {
            set(28, "5039".to_owned());
        }
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        self.ask(out, head.sequence, ot, &fields, 0);
    }

    /// An operation under the next TRN that is free. A TRN is taken until its answer comes, also where the machine waits no
    /// longer: an answer that is late would count for another. With none free it is not sent, and the machine's time runs out.
    fn ask(&mut self, out: &mut BytesMut, sequence: u32, ot: u8, fields: &[&str], spoil: u8) {
        let mut trns = (0..100).map(|step| self.next_trn.wrapping_add(step) % 100);
        let is_free = |trn: &u8| self.sent.get(usize::from(*trn)).is_some_and(Option::is_none);
        let Some(trn) = trns.find(is_free) else { return };
        self.next_trn = trn.wrapping_add(1) % 100;
        if let Some(place) = self.sent.get_mut(usize::from(trn)) {
            *place = Some((sequence, ot));
        }
        put(out, trn, true, ot, fields, spoil);
    }
}

/// SCTS of messages by the machine's id; the latest [`REMEMBERED`].
#[derive(Debug, Default)]
pub(super) struct Keys {
    known: FxHashMap<Box<[u8]>, Timestamp>,
    order: VecDeque<Box<[u8]>>,
}

impl Keys {
    /// A message came then, unless another time is known.
    pub(super) fn note(&mut self, id: &[u8], at: Timestamp) {
        if self.known.contains_key(id) {
            return;
        }
        self.known.insert(id.into(), at);
        self.order.push_back(id.into());
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    fn scts(&mut self, id: &[u8], now: Timestamp) -> String {
        self.note(id, now);
        stamp(self.known.get(id).copied().unwrap_or(now))
    }
}

/// DDMMYYHHmmss.
fn stamp(at: Timestamp) -> String {
    // yyyy-mm-ddThh:mm:ss
    let text = at.to_string();
    let part = |from: usize| text.get(from..from.saturating_add(2)).unwrap_or("00");
    [8, 5, 2, 11, 14, 17].map(part).concat()
}

/// DDMMYYHHmm as SMPP has it; nothing where it is nothing.
fn validity(vp: &str) -> String {
    let part = |from: usize| vp.get(from..from.saturating_add(2)).unwrap_or("00");
    if vp.len() < 10 {
        return String::new();
    }
    format!("{}00000+", [4, 2, 0, 6, 8].map(part).concat())
}

fn digits(value: &[u8]) -> String {
    String::from_utf8_lossy(value)
        .chars()
        .filter(|character| character.is_ascii_digit())
        .collect()
}

/// OAdC; a name in packed septets.
fn from(source: Address<'_>) -> String {
    if source.ton != 5 {
        return digits(source.value);
    }
    let septets = super::gsm::encode(&String::from_utf8_lossy(source.value)).unwrap_or_default();
    let packed = super::gsm::pack(&septets, 0);
    let semi_octets = septets.len().saturating_mul(7).div_ceil(4);
    format!("{semi_octets:02X}{}", hex(&packed))
}
