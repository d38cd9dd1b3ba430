//! Random and damaged octets: nothing panics, the stream stays in step, answers always decode.

use crate::{DELIVER, SUBMIT, body, frame, read, read_as};
use bytes::BytesMut;
use proptest::prelude::*;
use smsgw_smpp::{
    Body, Pdu, Tolerated, ToleratedSet, Version,
    decode::decode,
    encode::{encode, encode_as},
    framer::Framer,
};

/// Command ids of all versions, and some that nobody has.
const IDS: [u32; 36] = [
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    0xB,
    0x15,
    0x21,
    0x23,
    0x102,
    0x103,
    0x111,
    0x112,
    0x113,
    0x8000_0000,
    0x8000_0001,
    0x8000_0002,
    0x8000_0003,
    0x8000_0004,
    0x8000_0005,
    0x8000_0006,
    0x8000_0007,
    0x8000_0008,
    0x8000_0009,
    0x8000_0015,
    0x8000_0021,
    0x8000_0023,
    0x8000_0103,
    0x8000_0111,
    0x8000_0112,
    0x8000_0113,
    0x8000_0BAD,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bodies_never_panic_and_answers_always_decode(
        id in prop_oneof![prop::sample::select(IDS.to_vec()), any::<u32>()],
        status in prop_oneof![Just(0u32), any::<u32>()], sequence in any::<u32>(),
        body in prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..120),
    ) {
        let bytes = frame(id, status, sequence, &body);
        match read(&bytes) {
            Ok((pdu, quirks)) => {
                prop_assert_eq!(pdu.sequence, sequence);
                prop_assert_eq!(u32::from(pdu.body.command_id()), id);
                // What was taken can be sent on, and is the same then.
                let mut out = BytesMut::new();
                // An error answer is ambiguous by nature: its body may begin with the id or with TLVs.
                let whole = !quirks.contains(Tolerated::TruncatedTlv) && (id < 0x8000_0000 || status == 0);
                if whole && encode(pdu.status, sequence, &pdu.body, &mut out).is_ok() {
                    prop_assert_eq!(read(&out).unwrap().0, pdu);
                }
            }
            Err(error) => prop_assert!(id < 0x8000_0000, "{error}: answers always decode"),
        }
    }

    #[test]
    fn every_version_reads_the_same_pdu_and_writes_only_what_it_knows(
        id in prop::sample::select(IDS.to_vec()), status in prop_oneof![3 => Just(0u32), 1 => any::<u32>()],
        body in prop::collection::vec(prop_oneof![Just(0u8), Just(1u8), any::<u8>()], 0..120),
    ) {
        let bytes = frame(id, status, 1, &body);
        let [old, usual, new] = Version::ALL.map(|version| read_as(version, &bytes).map(|(pdu, _)| pdu));
        prop_assert_eq!(&old, &usual);
        prop_assert_eq!(&new, &usual);
        let Ok(pdu) = usual else { return Ok(()) };
        for version in Version::ALL {
            let mut out = BytesMut::new();
            if encode_as(version, pdu.status, 1, &pdu.body, &mut out).is_err() {
                prop_assert!(out.is_empty());
                continue;
            }
            let (again, quirks) = read_as(version, &out).expect("we read what we write");
            prop_assert_eq!(again.body.command_id(), pdu.body.command_id());
            // An error answer is ambiguous by nature: its body may begin with the id or with TLVs.
            prop_assert!(status != 0 || !quirks.contains(Tolerated::TlvFromOldVersion));
        }
    }

    #[test]
    fn any_chunking_of_damaged_pdus_stays_in_step(
        bodies in prop::collection::vec((prop::sample::select(IDS.to_vec()), prop::collection::vec(any::<u8>(), 0..60)), 1..12),
        size in 1usize..50,
    ) {
        let stream: Vec<u8> = (1..).zip(&bodies).flat_map(|(sequence, (id, body))| frame(*id, 0, sequence, body)).collect();
        let (mut framer, mut seen) = (Framer::new(100_000), 0);
        for chunk in stream.chunks(size) {
            framer.push(chunk);
            while let Some(cut) = framer.next_frame().unwrap() {
                seen += 1;
                prop_assert_eq!(cut.sequence, seen);
                let _ = decode(&cut);
            }
        }
        prop_assert_eq!((seen as usize, framer.pending()), (bodies.len(), 0));
    }

    #[test]
    fn a_valid_pdu_cut_anywhere_or_with_a_byte_changed_never_panics(cut in 0usize..200, at in 0usize..200, to in any::<u8>()) {
        let whole = body(&[b"\x14id:7 stat:DELIVRD e:", b"\x00\x1E\x00\x03A7\0\x04\x27\x00\x01\x02"]);
        let mut changed = whole[..cut.min(whole.len())].to_vec();
        if let Some(byte) = changed.get_mut(at) {
            *byte = to;
        }
        let _ = read(&frame(DELIVER, 0, 1, &changed));
        let _ = read(&frame(SUBMIT, 0, 1, &changed));
        let _ = read(&frame(0x103, 0, 1, &changed));
    }
}

#[test]
fn a_garbage_body_leaves_the_next_pdu_alone() {
    let mut framer = Framer::new(100_000);
    framer.push(&frame(SUBMIT, 0, 1, &[0xFF; 40]));
    framer.push(&frame(0x15, 0, 2, b""));
    assert!(decode(&framer.next_frame().unwrap().unwrap()).is_err());
    let (pdu, quirks) = decode(&framer.next_frame().unwrap().unwrap()).unwrap();
    assert_eq!(
        (pdu, quirks),
        (Pdu::new(2, Body::EnquireLink), ToleratedSet::NONE)
    );
}
