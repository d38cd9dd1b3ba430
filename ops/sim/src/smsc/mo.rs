//! Messages from phones: how many, how fast, what they say, and in how strange a form.
//!
//! Reads no clock. Invariant: a batch gives exactly `total` messages, and never more than its rate allows.

use super::gsm;
use super::options::DeliverQuirks;
use super::receipt::{DeliverHead, put_tail};
use super::wire::{self, put_tlv, tag};
use crate::ledger::{Sum, sum};
use crate::span;
use crate::token::{Token, Way};
use bytes::{BufMut, Bytes, BytesMut};
use rand::Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How text stands in octets (quirks 34 to 37).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MoEncoding {
    /// Unpacked GSM 7-bit, data_coding 0.
    #[default]
    Gsm,
    /// Unpacked GSM 7-bit, data_coding 241 (0xf1).
    Gsm241,
    /// Packed GSM 7-bit, data_coding 0; with fill bits behind a UDH.
    Packed,
    /// Latin-1, data_coding 3.
    Latin1,
    /// Latin-1, data_coding 0.
    Latin1As0,
    /// UTF-8, data_coding 0.
    Utf8As0,
    /// UTF-16 in network order, data_coding 8.
    Ucs2,
    /// The same behind a byte order mark.
    Ucs2Bom,
    /// UTF-16 in little-endian order behind a byte order mark, data_coding 8.
    Ucs2LeBom,
    /// UTF-16 in little-endian order without a mark, data_coding 8.
    Ucs2Le,
    /// Octets, data_coding 4.
    Binary,
}

/// How parts tell that they belong together (quirk 38).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MoConcat {
    /// UDH with an 8-bit reference.
    #[default]
    Udh,
    /// UDH with a 16-bit reference.
    Udh16,
    /// SAR parameters.
    Sar,
    /// UDH and SAR parameters.
    UdhAndSar,
    /// UDH, but esm_class does not say so.
    NoUdhi,
    /// UDH with 16-bit ports before the reference.
    Ports,
    /// UDH with ports in the first part only.
    PortsInFirst,
    /// No parts: all of it in message_payload.
    Payload,
}

/// In which order parts are sent (quirk 38).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MoOrder {
    /// First to last.
    #[default]
    Proper,
    /// Last to first.
    Reversed,
    /// By chance.
    Shuffled,
}

/// Messages from phones to be sent to the ESME. With several binds, deliveries take turns over them.
#[derive(Debug, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MoBatch {
    /// How many messages from phones are sent once an ESME is bound.
    #[arg(id = "mo", long = "mo", default_value_t = 0)]
    pub total: u64,
    /// How many of them a second; 0: as fast as the window allows.
    #[arg(id = "mo-rate", long = "mo-rate", default_value_t = 0.0)]
    pub rate: f64,
    /// From which number; `*` stands for the number of the message in eight digits. `0049*`, `+49*`, letters: quirk 41.
    #[arg(id = "mo-from", long = "mo-from", default_value = "49170*")]
    pub from: String,
    /// Type of that number (quirks 39 and 41).
    #[arg(id = "mo-from-ton", long = "mo-from-ton", default_value_t = 1, value_parser = span::octet)]
    pub from_ton: u8,
    /// Its plan.
    #[arg(id = "mo-from-npi", long = "mo-from-npi", default_value_t = 1, value_parser = span::octet)]
    pub from_npi: u8,
    /// To which number.
    #[arg(id = "mo-to", long = "mo-to", default_value = "12345")]
    pub to: String,
    /// Type of that number (quirk 39).
    #[arg(id = "mo-to-ton", long = "mo-to-ton", default_value_t = 0, value_parser = span::octet)]
    pub to_ton: u8,
    /// Its plan.
    #[arg(id = "mo-to-npi", long = "mo-to-npi", default_value_t = 0, value_parser = span::octet)]
    pub to_npi: u8,
    /// What they say after their token.
    #[arg(id = "mo-text", long = "mo-text", default_value = "hello")]
    pub text: String,
    /// Parts of each; the text is repeated to fill them.
    #[arg(id = "mo-parts", long = "mo-parts", default_value_t = 1)]
    pub parts: u8,
    /// How text stands in octets (quirks 34 to 37).
    #[arg(id = "mo-encoding", long = "mo-encoding", value_enum, default_value_t = MoEncoding::Gsm)]
    pub encoding: MoEncoding,
    /// How parts tell that they belong together (quirk 38).
    #[arg(id = "mo-concat", long = "mo-concat", value_enum, default_value_t = MoConcat::Udh)]
    pub concat: MoConcat,
    /// In which order parts are sent (quirk 38).
    #[arg(id = "mo-order", long = "mo-order", value_enum, default_value_t = MoOrder::Proper)]
    pub order: MoOrder,
    /// Send every part twice (quirk 38).
    #[arg(id = "mo-twice", long = "mo-twice")]
    pub twice: bool,
    /// service_type of the deliveries (quirk 42).
    #[arg(id = "mo-service-type", long = "mo-service-type", default_value = "")]
    pub service_type: String,
    /// In data_sm instead of deliver_sm.
    #[arg(id = "mo-data-sm", long = "mo-data-sm")]
    pub data_sm: bool,
}

impl Default for MoBatch {
    fn default() -> Self {
        Self {
            total: 0,
            rate: 0.0,
            from: "49170*".into(),
            from_ton: 1,
            from_npi: 1,
            to: "12345".into(),
            to_ton: 0,
            to_npi: 0,
            text: "hello".into(),
            parts: 1,
            encoding: MoEncoding::Gsm,
            concat: MoConcat::Udh,
            order: MoOrder::Proper,
            twice: false,
            service_type: String::new(),
            data_sm: false,
        }
    }
}

/// One part of a message from a phone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MoPart {
    pub(super) token: Token,
    pub(super) part: u16,
    pub(super) parts: u16,
    pub(super) source: Box<str>,
    pub(super) destination: Box<str>,
    /// Of the whole text.
    pub(super) text: Option<Sum>,
}

/// A part with the octets that carry it.
#[derive(Debug)]
pub(super) struct MoReady {
    pub(super) part: MoPart,
    pub(super) command: u32,
    pub(super) body: Bytes,
}

/// A batch being sent.
#[derive(Debug)]
pub(super) struct MoSource {
    batch: MoBatch,
    run: u32,
    since: Instant,
    made: u64,
    /// Parts of the message begun.
    ready: VecDeque<MoReady>,
}

impl MoSource {
    pub(super) fn new(batch: MoBatch, run: u32, now: Instant) -> Self {
        Self {
            batch,
            run,
            since: now,
            made: 0,
            ready: VecDeque::new(),
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.made >= self.batch.total && self.ready.is_empty()
    }

    /// When the next one is due.
    pub(super) fn next_at(&self) -> Instant {
        if self.batch.rate <= 0.0 || !self.ready.is_empty() {
            return self.since;
        }
        // Numbers of messages are far below 2^32.
        let made = f64::from(u32::try_from(self.made).unwrap_or(u32::MAX));
        let after = Duration::try_from_secs_f64(made / self.batch.rate).unwrap_or(Duration::MAX);
        self.since.checked_add(after).unwrap_or(self.since)
    }

    /// The next part, if it is due.
    pub(super) fn take(
        &mut self,
        now: Instant,
        quirks: &DeliverQuirks,
        rng: &mut impl Rng,
    ) -> Option<MoReady> {
        if self.is_finished() || self.next_at() > now {
            return None;
        }
        if self.ready.is_empty() {
            let number = u32::try_from(self.made % (1 << 32)).unwrap_or(0);
            self.made = self.made.saturating_add(1);
            self.ready = parts(&self.batch, self.run, number, quirks, rng).into();
        }
        self.ready.pop_front()
    }
}

/// All parts of one message, in the order in which they are sent.
fn parts(batch: &MoBatch, run: u32, number: u32, quirks: &DeliverQuirks, rng: &mut impl Rng) -> Vec<MoReady> {
    let token = Token {
        way: Way::Mo,
        run,
        number,
    };
    let from: Box<str> = batch
        .from
        .replace('*', &format!("{:08}", number % 100_000_000))
        .into();
    let to: Box<str> = batch.to.as_str().into();
    let concat = batch.concat;
    let parts = usize::from(batch.parts.max(1));
    let text = text(batch, token, parts);
    let units = units(&text, batch.encoding);
    let whole = [units.mark.as_slice(), &units.octets].concat();
    let pieces: Vec<&[u8]> = if parts == 1 || concat == MoConcat::Payload {
        vec![&whole]
    } else {
        whole.chunks(units.per_part).collect()
    };
    let total = u16::try_from(pieces.len()).unwrap_or(u16::MAX);
    let known = match batch.encoding {
        MoEncoding::Gsm
        | MoEncoding::Gsm241
        | MoEncoding::Latin1
        | MoEncoding::Ucs2
        | MoEncoding::Ucs2Bom
        | MoEncoding::Ucs2LeBom => Some(sum(text.as_bytes())),
        // What they mean is the account's secret, or nobody's.
        MoEncoding::Packed
        | MoEncoding::Latin1As0
        | MoEncoding::Utf8As0
        | MoEncoding::Ucs2Le
        | MoEncoding::Binary => None,
    };
    let mut ready: Vec<MoReady> = pieces
        .iter()
        .zip(1_u16..)
        .map(|(piece, at)| {
            let part = MoPart {
                token,
                part: at,
                parts: total,
                source: from.clone(),
                destination: to.clone(),
                text: known,
            };
            let (command, body) = encode(batch, &part, piece, units.data_coding, quirks);
            MoReady { part, command, body }
        })
        .collect();
    match batch.order {
        MoOrder::Proper => {}
        MoOrder::Reversed => ready.reverse(),
        MoOrder::Shuffled => ready.shuffle(rng),
    }
    if batch.twice {
        ready = ready
            .into_iter()
            .flat_map(|MoReady { part, command, body }| {
                let again = MoReady {
                    part: part.clone(),
                    command,
                    body: body.clone(),
                };
                [MoReady { part, command, body }, again]
            })
            .collect();
    }
    ready
}

/// Token and text, long enough for the parts wanted.
fn text(batch: &MoBatch, token: Token, parts: usize) -> String {
    let mut text = format!("{token} {}", batch.text);
    if parts > 1 && !batch.text.is_empty() {
        let per_part = units("", batch.encoding).per_part;
        let least = per_part.saturating_mul(parts.saturating_sub(1));
        while units(&text, batch.encoding).octets.len() <= least {
            text.push(' ');
            // Never beyond the parts wanted.
            text.extend(batch.text.chars().take(100));
        }
    }
    text
}

struct Units {
    /// Before everything else.
    mark: Vec<u8>,
    octets: Vec<u8>,
    data_coding: u8,
    /// Units of one part of several, as octets here.
    per_part: usize,
}

fn units(text: &str, encoding: MoEncoding) -> Units {
    let gsm = || gsm::encode(text).unwrap_or_else(|| text.bytes().map(|octet| octet & 0x7F).collect());
    let latin1 = || text.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect();
    let wide = |order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect();
    let (mark, octets, data_coding, per_part): (&[u8], Vec<u8>, u8, usize) = match encoding {
        // Room for the longest header of ours.
        MoEncoding::Gsm => (b"", gsm(), 0, 140),
        MoEncoding::Gsm241 => (b"", gsm(), 0xF1, 140),
        MoEncoding::Packed => (b"", gsm(), 0, 140),
        MoEncoding::Latin1 => (b"", latin1(), 3, 120),
        MoEncoding::Latin1As0 => (b"", latin1(), 0, 120),
        MoEncoding::Utf8As0 => (b"", text.as_bytes().to_vec(), 0, 120),
        MoEncoding::Ucs2 => (b"", wide(u16::to_be_bytes), 8, 120),
        MoEncoding::Ucs2Bom => (b"\xfe\xff", wide(u16::to_be_bytes), 8, 120),
        MoEncoding::Ucs2LeBom => (b"\xff\xfe", wide(u16::to_le_bytes), 8, 120),
        MoEncoding::Ucs2Le => (b"", wide(u16::to_le_bytes), 8, 120),
        MoEncoding::Binary => (b"", text.as_bytes().to_vec(), 4, 120),
    };
    Units {
        mark: mark.to_vec(),
        octets,
        data_coding,
        per_part,
    }
}

/// UDH of the part, if it has one.
fn header(concat: MoConcat, part: &MoPart) -> Vec<u8> {
    let low = |value: u16| value.to_be_bytes()[1];
    let reference = u16::try_from(part.token.number & 0xFFFF).unwrap_or(0);
    let [high, short] = reference.to_be_bytes();
    let (total, number) = (low(part.parts), low(part.part));
    // Port 2948 (WAP push) to 9200.
    let ports = [5, 4, 0x0B, 0x84, 0x23, 0xF0];
    let elements: Vec<u8> = match concat {
        MoConcat::Udh | MoConcat::NoUdhi | MoConcat::UdhAndSar => vec![0, 3, short, total, number],
        MoConcat::Udh16 => vec![8, 4, high, short, total, number],
        MoConcat::PortsInFirst if part.part > 1 => vec![0, 3, short, total, number],
        MoConcat::Ports | MoConcat::PortsInFirst => [&ports[..], &[0, 3, short, total, number]].concat(),
        MoConcat::Sar | MoConcat::Payload => return Vec::new(),
    };
    let length = u8::try_from(elements.len()).unwrap_or(u8::MAX);
    [&[length], elements.as_slice()].concat()
}

fn encode(
    batch: &MoBatch,
    part: &MoPart,
    piece: &[u8],
    data_coding: u8,
    quirks: &DeliverQuirks,
) -> (u32, Bytes) {
    let several = part.parts > 1;
    let header = if several {
        header(batch.concat, part)
    } else {
        Vec::new()
    };
    let udhi = !header.is_empty() && batch.concat != MoConcat::NoUdhi;
    let user_data = if batch.encoding == MoEncoding::Packed {
        // Septets begin at a multiple of 7 bits from the start of the user data.
        let used = u32::try_from(header.len().saturating_mul(8)).unwrap_or(0);
        [header.as_slice(), &gsm::pack(piece, (7 - used % 7) % 7)].concat()
    } else {
        [header.as_slice(), piece].concat()
    };
    let head = DeliverHead {
        source: (batch.from_ton, batch.from_npi, part.source.as_bytes()),
        destination: (batch.to_ton, batch.to_npi, part.destination.as_bytes()),
        esm_class: if udhi { 0x40 } else { 0 },
        data_coding,
        service_type: batch.service_type.as_bytes(),
    };
    let mut out = BytesMut::with_capacity(user_data.len().saturating_add(80));
    // 254 octets are what SMPP 3.4 allows in short_message (§5.2.21).
    let in_payload = batch.data_sm || batch.concat == MoConcat::Payload || user_data.len() > 254;
    let command = if batch.data_sm {
        head.write_data_sm(&mut out, quirks);
        wire::id::DATA_SM
    } else {
        head.write(&mut out, if in_payload { &[] } else { &user_data }, quirks);
        wire::id::DELIVER_SM
    };
    if in_payload {
        put_tlv(&mut out, tag::MESSAGE_PAYLOAD, &user_data);
    }
    if several && matches!(batch.concat, MoConcat::Sar | MoConcat::UdhAndSar) {
        let [_, total] = part.parts.to_be_bytes();
        let [_, number] = part.part.to_be_bytes();
        let reference = part.token.number.to_be_bytes();
        put_tlv(
            &mut out,
            tag::SAR_MSG_REF_NUM,
            reference.get(2..).unwrap_or(&[0, 0]),
        );
        put_tlv(&mut out, tag::SAR_TOTAL_SEGMENTS, &[total]);
        put_tlv(&mut out, tag::SAR_SEGMENT_SEQNUM, &[number]);
    }
    if batch.concat == MoConcat::Ports && !several {
        let mut port = |tag, value: u16| {
            out.put_u16(tag);
            out.put_u16(2);
            out.put_u16(value);
        };
        port(tag::SOURCE_PORT, 9200);
        port(tag::DESTINATION_PORT, 2948);
    }
    put_tail(&mut out, quirks.tail);
    (command, out.freeze())
}
