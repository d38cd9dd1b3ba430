//! Our octets against those of implementations that are not ours: npm's `smpp` and PyPI's smpplib.
//!
//! `ops/peers/vectors.js` and `vectors.py` wrote their files from `ops/peers/vectors.json`; a test beside the peers' own
//! writes them again and compares. `ours.txt` is what we write, for the test that shows it to Wireshark's dissector.

use crate::{read, samples};
use bytes::BytesMut;
use rusmpp_core::{
    command::borrowed::Command,
    decode::borrowed::DecodeWithLength,
    encode::{Encode, Length},
};
use smsgw_smpp::{Body, CommandStatus, Pdu, ToleratedSet, Version, encode::encode};
use std::{collections::BTreeMap, fmt::Write, path::Path};

const SEQUENCE: u32 = 7;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn octets(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn vectors(file: &str) -> BTreeMap<String, Vec<u8>> {
    let lines = file.lines().map(|line| line.split_once(' ').unwrap());
    lines.map(|(name, hex)| (name.to_owned(), octets(hex))).collect()
}

fn ours(status: CommandStatus, body: &Body) -> Vec<u8> {
    let mut out = BytesMut::new();
    encode(status, SEQUENCE, body, &mut out).unwrap();
    out.to_vec()
}

#[test]
fn there_is_a_sample_of_every_operation_of_5_0() {
    let commands: std::collections::BTreeSet<u32> = samples::samples()
        .iter()
        .map(|(_, _, body)| body.command_id().into())
        .collect();
    // Of the ids in use, rusmpp names every one.
    let named = (0..=0x200)
        .flat_map(|id| [id, id | 0x8000_0000])
        .filter(|id| !matches!(smsgw_smpp::CommandId::from(*id), smsgw_smpp::CommandId::Other(_)))
        .collect();
    assert_eq!(commands, named);
    assert!(
        samples::samples()
            .iter()
            .all(|(_, _, body)| Version::V5_0.has(body))
    );
}

#[test]
fn other_implementations_write_the_same_octets_and_we_read_theirs() {
    for (package, file, count) in [
        ("npm smpp", include_str!("vectors/npm-smpp.txt"), 34),
        ("smpplib", include_str!("vectors/smpplib.txt"), 20),
    ] {
        let theirs = vectors(file);
        let mut seen = 0;
        for (name, status, body) in samples::samples() {
            let Some(theirs) = theirs.get(name) else { continue };
            seen += 1;
            assert_eq!(hex(&ours(status, &body)), hex(theirs), "{package} {name}");
            let (pdu, quirks) = read(theirs).unwrap();
            assert_eq!(pdu, Pdu::answer(SEQUENCE, status, body), "{package} {name}");
            assert_eq!(quirks, ToleratedSet::NONE, "{package} {name}");
        }
        assert_eq!(
            (seen, theirs.len()),
            (count, count),
            "{package}: every line was compared"
        );
    }
}

#[test]
fn rusmpp_reads_every_pdu_we_write_and_writes_the_same_again() {
    for (name, status, body) in samples::samples() {
        // Like Wireshark, rusmpp knows one of the two octets of broadcast_rep_num.
        if name == "broadcast_sm_repeated" {
            continue;
        }
        let octets = ours(status, &body);
        let rest = &octets[4..];
        let (command, size) =
            Command::<'_, 16>::decode(rest, rest.len()).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(size, rest.len(), "{name}");
        assert_eq!(command.id(), body.command_id(), "{name}");
        let mut again = vec![0; command.length()];
        command.encode(&mut again);
        assert_eq!(hex(&again), hex(rest), "{name}");
    }
}

#[test]
fn the_octets_shown_to_the_dissector_are_those_we_write() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/decode/vectors/ours.txt");
    // Wireshark reads one of the two octets of broadcast_rep_num; npm's smpp agrees with us on that PDU.
    let written: String = samples::samples()
        .iter()
        .filter(|(name, _, _)| *name != "broadcast_sm_repeated")
        .map(|(name, status, body)| format!("{name} {}\n", hex(&ours(*status, body))))
        .collect();
    if std::env::var_os("SMSGW_BLESS").is_some() {
        std::fs::write(&path, &written).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert_eq!(committed, written, "SMSGW_BLESS=1 writes it anew");
}
