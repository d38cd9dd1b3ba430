//! The codec from outside: every PDU and TLV there and back, what the field sends (quirks by their number in the notes on
//! carriers), random bytes, and what implementations that are not ours write.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod cost;
mod every_pdu;
mod quirks;
mod random;
mod samples;
mod vectors;
mod versions;

use smsgw_smpp::{
    Body, Pdu, ShortMessage, ToleratedSet, Version,
    decode::{DecodeError, decode, decode_as},
    framer::Framer,
};

fn frame(id: u32, status: u32, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [body.len() as u32 + 16, id, status, sequence] {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    bytes.extend_from_slice(body);
    bytes
}

fn read(bytes: &[u8]) -> Result<(Pdu, ToleratedSet), DecodeError> {
    let mut framer = Framer::new(100_000);
    framer.push(bytes);
    let decoded = decode(&framer.next_frame().unwrap().unwrap());
    assert_eq!(framer.pending(), 0, "in step");
    decoded
}

fn read_as(version: Version, bytes: &[u8]) -> Result<(Pdu, ToleratedSet), DecodeError> {
    let mut framer = Framer::new(100_000);
    framer.push(bytes);
    let decoded = decode_as(version, &framer.next_frame().unwrap().unwrap());
    assert_eq!(framer.pending(), 0, "in step");
    decoded
}

const SUBMIT: u32 = 4;
const DELIVER: u32 = 5;
const SUBMIT_RESP: u32 = 0x8000_0004;

/// Body of a deliver_sm or submit_sm up to sm_length.
fn head() -> Vec<u8> {
    let mut body = b"\0\x01\x01491700000001\0\x03\x0012345\0".to_vec();
    body.extend([4, 0, 0, 0, 0, 0, 0, 0, 0]);
    body
}

fn body(parts: &[&[u8]]) -> Vec<u8> {
    let mut body = head();
    for part in parts {
        body.extend_from_slice(part);
    }
    body
}

fn message(decoded: &Pdu) -> &ShortMessage {
    match &decoded.body {
        Body::SubmitSm(message) | Body::DeliverSm(message) | Body::DataSm(message) => message,
        other => panic!("{other:?}"),
    }
}
