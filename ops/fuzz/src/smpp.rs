//! The SMPP parsers below the sessions: framer, decoder, receipts.

use bytes::{Bytes, BytesMut};
use smsgw_smpp::framer::{DEFAULT_MAX_PDU, Frame, Framer};
use smsgw_smpp::pdu::{Bind, BindResp, MessageResp, Pdu, QuerySm};
use smsgw_smpp::receipt::ReceiptText;
use smsgw_smpp::time::LocalTime;
use smsgw_smpp::{
    Address, BindKind, Body, COctets, CommandStatus, Receipt, ReceiptState, ShortMessage, Tlvs, decode,
    encode,
};

fn message(text: &[u8]) -> ShortMessage {
    ShortMessage {
        source: Address::alphanumeric("Acme").expect("short"),
        destination: Address::international("491700000001").expect("digits"),
        short_message: Bytes::copy_from_slice(text),
        registered_delivery: 1,
        ..ShortMessage::default()
    }
}

fn text(octets: &[u8]) -> COctets {
    COctets::until_nul(octets)
}

fn receipt_text() -> ReceiptText {
    let at = LocalTime::parse("2611210800").expect("a date");
    ReceiptText {
        id: "0123456789".to_owned(),
        sub: 1,
        dlvrd: 1,
        submitted: at,
        done: at,
        state: ReceiptState::Delivered,
        err: "000".to_owned(),
        text: b"Hello".to_vec(),
    }
}

/// PDUs of most kinds, some of which only a carrier sends and some only a client.
fn bodies() -> Vec<Body> {
    let mut with_tlvs = message(b"");
    for (tag, value) in [
        (0x0424, b"a payload".as_slice()),
        (0x020C, &[0, 7]),
        (0x1400, b"vendor"),
    ] {
        with_tlvs.tlvs.push(tag, value).expect("short");
    }
    let receipt = receipt_text()
        .to_deliver_sm(Address::default(), Address::default())
        .expect("a short id");
    let bind = Bind {
        system_id: text(b"test"),
        ..Bind::default()
    };
    vec![
        Body::Bind(BindKind::Transceiver, bind),
        Body::BindResp(BindKind::Transceiver, BindResp::default()),
        Body::SubmitSm(message(b"Hello")),
        Body::SubmitSm(with_tlvs),
        Body::SubmitSmResp(MessageResp {
            message_id: text(b"0123456789"),
            tlvs: Tlvs::new(),
        }),
        Body::DeliverSm(receipt),
        Body::DeliverSmResp(MessageResp::default()),
        Body::DataSm(message(b"")),
        Body::QuerySm(QuerySm {
            message_id: text(b"17"),
            source: Address::default(),
        }),
        Body::EnquireLink,
        Body::EnquireLinkResp(smsgw_smpp::Tlvs::new()),
        Body::Unbind,
        Body::GenericNack,
    ]
}

/// One PDU each.
pub(crate) fn frames() -> Vec<Vec<u8>> {
    let encoded = (1..).zip(bodies()).map(|(sequence, body)| {
        let mut out = BytesMut::new();
        encode::encode(CommandStatus::OK, sequence, &body, &mut out).expect("a sound PDU");
        out.to_vec()
    });
    encoded.collect()
}

/// PDUs one after the other.
pub(crate) fn streams() -> Vec<Vec<u8>> {
    let frames = frames();
    let mut seeds = vec![frames.concat()];
    seeds.extend(frames.windows(2).map(<[_]>::concat));
    seeds
}

/// Everything cut from the octets, and whether the stream broke.
fn cut(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, bool) {
    let mut framer = Framer::new(DEFAULT_MAX_PDU);
    let (mut pdus, mut given, mut taken) = (Vec::new(), 0, 0);
    for piece in pieces {
        framer.push(piece);
        given += piece.len();
        loop {
            match framer.next_frame() {
                Ok(Some(frame)) => {
                    taken += frame.raw.len();
                    pdus.push(frame.raw.to_vec());
                }
                Ok(None) => break,
                Err(_) => return (pdus, true),
            }
        }
        assert_eq!(
            framer.pending(),
            given - taken,
            "the framer holds what was not cut, no more and no less"
        );
    }
    (pdus, false)
}

pub(crate) fn framer(octets: &[u8]) {
    let whole = cut(&[octets]);
    let middle = octets.len() / 2;
    let (left, right) = octets.split_at(middle);
    assert_eq!(cut(&[left, right]), whole, "cut in two at {middle}");
    let single: Vec<&[u8]> = octets.chunks(1).collect();
    assert_eq!(cut(&single), whole, "octet by octet");
    let joined = whole.0.concat();
    assert_eq!(
        octets.get(..joined.len()),
        Some(joined.as_slice()),
        "PDUs are the stream in its order"
    );
}

pub(crate) fn pdu(octets: &[u8]) {
    with_frame(octets, |frame| {
        let Ok((first, _)) = decode::decode(frame) else {
            return;
        };
        let mut out = BytesMut::new();
        // What no peer may write can be read: it is refused with words.
        if let Err(error) = encode::encode(first.status, first.sequence, &first.body, &mut out) {
            assert!(out.is_empty() && !error.to_string().is_empty());
            return;
        }
        if is_ambiguous(&first) {
            return;
        }
        with_frame(&out, |frame| {
            let (second, _) = decode::decode(frame).expect("what we write, we read");
            let mut again = BytesMut::new();
            encode::encode(second.status, second.sequence, &second.body, &mut again)
                .expect("written once before");
            assert_eq!(out, again, "{first:?}");
        });
    });
}

/// Whether the octets of a PDU have two readings, of which the decoder takes the likelier. Four NULs behind a body are
/// filling rather than a TLV of the reserved tag 0; behind an error, an id and TLVs without one may look the same.
fn is_ambiguous(pdu: &Pdu) -> bool {
    let reserved = pdu.body.tlvs().is_some_and(|tlvs| tlvs.get(0).is_some());
    reserved || (pdu.body.message_id().is_some() && !pdu.status.is_ok())
}

/// The first PDU of the octets; its length field is put right, so that mutations reach the body.
fn with_frame(octets: &[u8], act: impl FnOnce(&Frame<'_>)) {
    let Ok(length) = u32::try_from(octets.len()) else {
        return;
    };
    let mut stream = length.to_be_bytes().to_vec();
    stream.extend(octets.iter().skip(4));
    let mut framer = Framer::new(DEFAULT_MAX_PDU);
    framer.push(&stream);
    if let Ok(Some(frame)) = framer.next_frame() {
        act(&frame);
    }
}

/// One octet of esm_class, one of the length of the text, the text, then octets of TLVs.
pub(crate) fn receipts() -> Vec<Vec<u8>> {
    let sound = receipt_text().to_bytes();
    let texts: [&[u8]; 4] = [
        &sound,
        b"id:7 sub:001 dlvrd:001 submit date:180903120816 done date:180903120816 DELIVRD err:nul",
        b"ID: 000024 stat:delivrd err: 042 Text:\0\xff",
        b"",
    ];
    let tlvs: &[u8] = b"\x00\x1e\x00\x03ab\0\x04\x27\x00\x01\x02\x04\x23\x00\x03042";
    texts
        .iter()
        .map(|text| {
            let length = u8::try_from(text.len()).expect("short");
            [&[0x04, length], *text, tlvs].concat()
        })
        .collect()
}

pub(crate) fn receipt(octets: &[u8]) {
    let Some((&[esm_class, length], rest)) = octets.split_first_chunk::<2>() else {
        return;
    };
    let (text, mut tail) = rest.split_at(usize::from(length).min(rest.len()));
    let mut tlvs = Tlvs::new();
    while let Some((&[t1, t0, l1, l0], after)) = tail.split_first_chunk::<4>() {
        let (value, after) = after.split_at(usize::from(u16::from_be_bytes([l1, l0])).min(after.len()));
        tlvs.push(u16::from_be_bytes([t1, t0]), value)
            .expect("the length came out of 16 bits");
        tail = after;
    }
    let message = ShortMessage {
        esm_class,
        short_message: Bytes::copy_from_slice(text),
        tlvs,
        ..ShortMessage::default()
    };
    let Some(read) = Receipt::parse(&message) else {
        return;
    };
    assert!(!read.id.is_empty(), "a receipt without an id is none");
    // The id as it stands in a text of ours comes back, unless it holds what separates the fields.
    if read.id.bytes().all(|octet| octet.is_ascii_alphanumeric()) {
        let written = ReceiptText {
            id: read.id.clone(),
            state: read.state,
            ..receipt_text()
        };
        let message = ShortMessage {
            esm_class: 0x04,
            short_message: Bytes::from(written.to_bytes()),
            ..ShortMessage::default()
        };
        let again = Receipt::parse(&message).expect("Appendix B");
        assert_eq!(again.id, read.id);
    }
}
