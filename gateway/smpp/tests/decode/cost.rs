//! What a round trip costs.

use bytes::BytesMut;
use smsgw_smpp::{
    Address, Body, COctets, CommandStatus, ShortMessage, decode::decode, encode::encode, framer::Framer,
    pdu::MessageResp, tlv::tag,
};
use std::time::{Duration, Instant};

/// Prints what a round trip costs; `cargo test --release -p smsgw-smpp --test decode -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn cost_of_a_round_trip() {
    let mut sm = ShortMessage {
        source: Address::alphanumeric("Acme").unwrap(),
        destination: Address::international("491700000001").unwrap(),
        short_message: bytes::Bytes::from(vec![b'x'; 120]),
        validity_period: COctets::try_new(b"261121080000000+").unwrap(),
        registered_delivery: 1,
        ..ShortMessage::default()
    };
    let mut receipt = sm.clone();
    receipt
        .tlvs
        .push(tag::RECEIPTED_MESSAGE_ID, b"0198aabbccdd\0")
        .unwrap();
    receipt.tlvs.push(tag::MESSAGE_STATE, &[2]).unwrap();
    sm.esm_class = 3;
    for (name, body) in [
        ("submit_sm", Body::SubmitSm(sm)),
        ("deliver_sm", Body::DeliverSm(receipt)),
        (
            "submit_sm_resp",
            Body::SubmitSmResp(MessageResp {
                message_id: COctets::try_new(b"0198aabbccdd").unwrap(),
                ..MessageResp::default()
            }),
        ),
        ("deliver_sm_resp", Body::DeliverSmResp(MessageResp::default())),
    ] {
        // The best of many short batches: what else the machine does only ever adds.
        const ROUNDS: u32 = 20_000;
        let mut out = BytesMut::with_capacity(1 << 16);
        let mut framer = Framer::new(65_536);
        let (mut encoded, mut decoded) = (Duration::MAX, Duration::MAX);
        for _ in 0..100 {
            let start = Instant::now();
            for sequence in 0..ROUNDS {
                out.clear();
                encode(CommandStatus::OK, sequence, &body, &mut out).unwrap();
                std::hint::black_box(&out);
            }
            encoded = encoded.min(start.elapsed() / ROUNDS);
            let start = Instant::now();
            for _ in 0..ROUNDS {
                framer.push(&out);
                std::hint::black_box(decode(&framer.next_frame().unwrap().unwrap()).unwrap());
            }
            decoded = decoded.min(start.elapsed() / ROUNDS);
        }
        println!("{name}: encode {encoded:?}, frame and decode {decoded:?}");
    }
}
