//! Layouts against the standard, and whatever fields come.

use super::*;
use crate::frame::Framer;
use proptest::prelude::*;

/// How many fields each operation has, by the standard.
const LAYOUTS: [(u8, usize); 11] = [
    (1, 5),
    (30, 10),
    (31, 2),
    (51, 33),
    (52, 33),
    (53, 33),
    (54, 33),
    (55, 33),
    (56, 33),
    (57, 33),
    (58, 33),
];

fn framed(trn: u8, is_operation: bool, ot: u8, fields: &[String]) -> Vec<u8> {
    let mut out = Vec::new();
    let head = Head {
        trn: Trn::new(trn).unwrap(),
        is_operation,
        ot: OperationType(ot),
    };
    write(head, fields.iter().map(String::as_str), &mut out);
    out
}

fn read(octets: &[u8]) -> Result<(Pdu, Tolerated), SyntaxError> {
    let mut framer = Framer::default();
    framer.push(octets);
    Pdu::read(&Frame::read(framer.next_frame().unwrap()).unwrap())
}

fn written(pdu: &Pdu) -> Vec<u8> {
    let mut out = Vec::new();
    pdu.write(&mut out);
    out
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn each_layout_has_the_fields_of_the_standard() {
    for (ot, count) in LAYOUTS.into_iter().chain([(60, 12), (61, 12)]) {
        let (pdu, tolerated) = read(&framed(5, true, ot, &[])).unwrap();
        // One empty field stands between header and checksum of a frame without data.
        assert_eq!(
            tolerated,
            Tolerated {
                missing: count,
                surplus: 0
            },
            "{ot}"
        );
        assert_eq!(read(&written(&pdu)).unwrap(), (pdu, Tolerated::default()), "{ot}");
    }
}

#[test]
fn lists_of_addresses_are_counted_and_bounded() {
    let two = strings(&["2", "0123", "0456", "12345", "", "3", "48"]);
    let (pdu, tolerated) = read(&framed(1, true, 2, &two)).unwrap();
    let Body::Operation(Operation::Multiple { recipients, rest }) = &pdu.body else {
        panic!("{pdu:?}")
    };
    assert_eq!(
        (recipients.len(), rest.oadc.as_str(), tolerated),
        (2, "12345", Tolerated::default())
    );
    for count in ["", "x", "21", "-1"] {
        let error = read(&framed(1, true, 2, &strings(&[count, "0123"]))).unwrap_err();
        assert_eq!(error, SyntaxError::Addresses, "{count:?}");
    }
    let none = strings(&[
        "0123", "", "", "", "", "", "", "", "", "", "", "", "", "", "3", "48",
    ]);
    let (pdu, tolerated) = read(&framed(1, true, 3, &none)).unwrap();
    let Body::Operation(Operation::Services { addresses, rest, .. }) = &pdu.body else {
        panic!("{pdu:?}")
    };
    assert_eq!(
        (addresses.len(), rest.msg.as_str(), tolerated),
        (0, "48", Tolerated::default())
    );
    assert_eq!(written(&pdu), framed(1, true, 3, &none));
}

#[test]
fn results_are_read_with_and_without_a_modified_validity() {
    let outcome = |ot, fields: &[&str]| match read(&framed(9, false, ot, &strings(fields))).unwrap().0.body {
        Body::Result(_, outcome) => outcome,
        Body::Operation(operation) => panic!("{operation:?}"),
    };
    let key = Some(("0123", "211126120000"));
    assert_eq!(outcome(51, &["A", "2111261200", "0123:211126120000"]).key(), key);
    assert_eq!(outcome(51, &["A", "0123:211126120000"]).key(), key);
    assert_eq!(outcome(1, &["A", "0123:211126120000"]).key(), key);
    assert_eq!(outcome(60, &["A"]), Outcome::ack());
    assert_eq!(
        outcome(51, &["N", "04", ""]),
        Outcome::Nack {
            code: ErrorCode(4),
            sm: Text::default()
        }
    );
    let error = |fields: &[&str]| read(&framed(9, false, 51, &strings(fields))).unwrap_err();
    assert_eq!(error(&["X"]), SyntaxError::NoResult);
    assert_eq!(error(&["N", "999"]), SyntaxError::NoErrorCode);
    assert_eq!(error(&["N", ""]), SyntaxError::NoErrorCode);
}

proptest! {
    #[test]
    fn every_operation_is_written_as_it_was_read(
        layout in prop::sample::select(LAYOUTS.to_vec()), trn in 0u8..100,
        fields in prop::collection::vec("[ -.0-~]{0,12}", 33),
    ) {
        let (ot, count) = layout;
        let octets = framed(trn, true, ot, &fields[..count]);
        let (pdu, tolerated) = read(&octets).unwrap();
        prop_assert!(tolerated.is_none());
        prop_assert_eq!(written(&pdu), octets);
    }

    #[test]
    fn missing_and_surplus_fields_are_counted(count in 0usize..40, trn in 0u8..100) {
        let fields = vec!["1".to_owned(); count];
        let (_, tolerated) = read(&framed(trn, true, 51, &fields)).unwrap();
        prop_assert_eq!(tolerated, Tolerated { missing: 33usize.saturating_sub(count), surplus: count.saturating_sub(33) });
    }

    #[test]
    fn whatever_fields_come_reading_does_not_panic(
        ot in 0u8..100, operation: bool, fields in prop::collection::vec("[ -.0-~]{0,4}", 0..40),
    ) {
        if let Ok((pdu, _)) = read(&framed(0, operation, ot, &fields)) {
            prop_assert_eq!(read(&written(&pdu)).unwrap().0, pdu);
        }
    }
}
