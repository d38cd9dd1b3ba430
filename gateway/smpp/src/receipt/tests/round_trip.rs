//! What is written is read back, in every form, through the wire.

use super::*;
use crate::{
    CommandStatus,
    decode::decode_as,
    encode::encode_as,
    framer::Framer,
    pdu::{Body, DeliverSm},
};
use bytes::BytesMut;

fn states() -> impl Strategy<Value = ReceiptState> {
    (0..=9_u8).prop_map(ReceiptState::from_number)
}

fn dates() -> impl Strategy<Value = LocalTime> {
    (2000..2100_u16, 1..=12_u8, 1..=28_u8, 0..24_u8, 0..60_u8).prop_map(|(year, month, day, hour, minute)| {
        LocalTime {
            year,
            month,
            day,
            hour,
            minute,
            second: 0,
        }
    })
}

fn receipts() -> impl Strategy<Value = ReceiptText> {
    (
        "[A-Za-z0-9-]{1,64}",
        0..=999_u16,
        0..=999_u16,
        dates(),
        dates(),
        states(),
        "[0-9A-Za-z]{3,4}",
        prop::collection::vec(any::<u8>(), 0..30),
    )
        .prop_map(
            |(id, sub, dlvrd, submitted, done, state, err, text)| ReceiptText {
                id,
                sub,
                dlvrd,
                submitted,
                done,
                state,
                err,
                text,
            },
        )
}

fn over_the_wire(version: Version, message: DeliverSm) -> ShortMessage {
    let mut out = BytesMut::new();
    let adapted =
        encode_as(version, CommandStatus::OK, 1, &Body::DeliverSm(message), &mut out).expect("fits");
    // 3.4 has no numbers for the states of 5.0.
    assert!(adapted.dropped.is_empty(), "{adapted:?}");
    let mut framer = Framer::new(100_000);
    framer.push(&out);
    let (pdu, quirks) =
        decode_as(version, &framer.next_frame().expect("in step").expect("whole")).expect("decodes");
    assert!(quirks.is_empty(), "{quirks:?}");
    match pdu.body {
        Body::DeliverSm(message) => message,
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn every_form_is_read_back_by_a_client_of_its_version(written in receipts(), version in prop::sample::select(Version::ALL.to_vec()), tlvs_only in any::<bool>()) {
        let form = match ReceiptForm::of(version) {
            ReceiptForm::Both if tlvs_only => ReceiptForm::Tlvs,
            form => form,
        };
        let (from, to) = (Address::international("491700000001"), Address::short_code("12345"));
        let message = written
            .to_deliver_sm_as(form, from.expect("no NUL"), to.expect("no NUL"))
            .expect("fits");
        let message = over_the_wire(version, message);
        let Reading::Receipt(read) = Receipt::read(&message, &ReceiptProfile::default()) else {
            panic!("{message:?}")
        };
        prop_assert_eq!(read.tolerated, ToleratedSet::NONE);
        prop_assert_eq!(&read.id, &written.id);
        if form != ReceiptForm::Text && version == Version::V5_0 {
            prop_assert_eq!(read.state, written.state);
        }
        prop_assert_eq!(read.state.word(), written.state.word());
        if form == ReceiptForm::Tlvs {
            prop_assert_eq!((read.err, read.text), (None, None));
        } else {
            prop_assert_eq!(read.sub, Some(format!("{:03}", written.sub)));
            prop_assert_eq!(read.dlvrd, Some(format!("{:03}", written.dlvrd)));
            prop_assert_eq!((read.submit_time, read.done_time), (Some(written.submitted), Some(written.done)));
            prop_assert_eq!(read.err, Some(written.err));
            let beginning = written.text.get(..written.text.len().min(20)).map(<[u8]>::to_vec);
            prop_assert_eq!(read.text, beginning);
        }
    }
}

#[test]
fn a_client_of_3_3_gets_text_alone_in_one_form() {
    assert_eq!(
        Version::ALL.map(ReceiptForm::of),
        [ReceiptForm::Text, ReceiptForm::Both, ReceiptForm::Both]
    );
    let message = written()
        .to_deliver_sm_as(ReceiptForm::Text, Address::default(), Address::default())
        .expect("fits");
    assert!(message.tlvs.is_empty());
    assert_eq!(message.short_message, written().to_bytes());
}
