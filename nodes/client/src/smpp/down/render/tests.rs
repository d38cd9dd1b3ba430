//! MO as an ESME reads them.

use super::*;
use smsgw_message::{ClientId, MessageId, OperatorId, Timestamp};

fn mo(text: &str, encoding: Encoding, data: impl Into<Vec<u8>>, headers: Option<Vec<u8>>) -> Down {
    let id = MessageId::from_bytes([7; 16]);
    Down {
        event: id,
        client: ClientId::try_new("acme").unwrap(),
        url: None,
        at: Timestamp::from_millis(0),
        what: DownKind::Mo(MoDown {
            message: id,
            from: Address::msisdn("491700000001").unwrap(),
            to: Address::sender("12345").unwrap(),
            text: (encoding != Encoding::Binary || !text.is_empty()).then(|| text.to_owned()),
            data: data.into().into(),
            encoding,
            data_coding: 0xF5,
            operator: OperatorId::try_new("alpha").unwrap(),
            incomplete: false,
            charset: (encoding == Encoding::Binary && !text.is_empty()).then_some(Charset::Cyrillic),
            raw: None,
            headers: headers.map(|header| vec![header.into()]),
            missing: None,
            byte_order: None,
            keyword: None,
        }),
        for_bind: None,
    }
}

fn account(alphabet: Alphabet, long: LongDeliveries) -> Client {
    let mut account = Client::default();
    account.smpp.alphabet = alphabet;
    account.smpp.long_deliveries = long;
    account
}

#[test]
fn septets_go_as_what_the_client_means_by_zero() {
    let euro = b"\x1b\x65".to_vec();
    for (alphabet, coding, octets) in [
        (Alphabet::Gsm7, 0, euro.clone()),
        (Alphabet::Gsm7Packed, 0, vec![0x9B, 0x32]),
        (Alphabet::Utf8, 0, "€".as_bytes().to_vec()),
        (Alphabet::Latin1, 8, vec![0x20, 0xAC]),
        (Alphabet::Ascii, 8, vec![0x20, 0xAC]),
    ] {
        let down = mo("€", Encoding::Gsm7, euro.clone(), None);
        let pdus = render(&down, &account(alphabet, LongDeliveries::Udh), Version::V3_4).unwrap();
        assert_eq!(
            (pdus[0].data_coding, pdus[0].payload()),
            (coding, octets.as_slice()),
            "{alphabet}"
        );
        assert_eq!(pdus[0].destination.value.to_string_lossy(), "12345");
    }
}

#[test]
fn other_encodings_go_as_the_standards_have_them() {
    let plain = account(Alphabet::Gsm7, LongDeliveries::Udh);
    for (text, encoding, data, coding, octets) in [
        ("Hi", Encoding::Latin1, b"Hi".to_vec(), 3, b"Hi".to_vec()),
        // As it came from a little-endian carrier.
        ("Hi", Encoding::Ucs2, b"H\0i\0".to_vec(), 8, b"\0H\0i".to_vec()),
        ("", Encoding::Binary, vec![0, 255], 0xF5, vec![0, 255]),
        ("П", Encoding::Binary, vec![0xBF], 8, vec![0x04, 0x1F]),
    ] {
        let pdus = render(&mo(text, encoding, data, None), &plain, Version::V3_4).unwrap();
        assert_eq!(
            (pdus.len(), pdus[0].data_coding, pdus[0].payload()),
            (1, coding, octets.as_slice()),
            "{text} {encoding}"
        );
    }
    let ports = vec![6, 5, 4, 0x0B, 0x84, 0x23, 0xF0];
    let pdus = render(
        &mo("", Encoding::Binary, vec![1, 2], Some(ports.clone())),
        &plain,
        Version::V3_4,
    )
    .unwrap();
    assert_eq!(
        (pdus[0].esm_class, pdus[0].payload()),
        (0x40, [ports, vec![1, 2]].concat().as_slice())
    );
}

#[test]
fn parts_hold_all_of_a_long_text_and_nothing_is_longer_than_a_pdu() {
    let long = "€".repeat(400);
    let septets = b"\x1b\x65".repeat(400);
    for form in [LongDeliveries::Udh, LongDeliveries::Sar, LongDeliveries::Payload] {
        for (version, alphabet) in [
            (Version::V3_3, Alphabet::Gsm7),
            (Version::V3_4, Alphabet::Utf8),
            (Version::V5_0, Alphabet::Latin1),
        ] {
            let down = mo(&long, Encoding::Gsm7, septets.clone(), None);
            let pdus = render(&down, &account(alphabet, form), version).unwrap();
            let mut characters = 0;
            for pdu in &pdus {
                assert!(pdu.short_message.len() <= SHORT_MESSAGE);
                assert!(version != Version::V3_3 || pdu.tlvs.is_empty());
                let header = if pdu.esm_class == 0x40 { 6 } else { 0 };
                let body = &pdu.payload()[header..];
                characters += match (alphabet, pdu.data_coding) {
                    (Alphabet::Utf8, 0) => body.len() / 3,
                    (_, _) => body.len() / 2,
                };
            }
            assert_eq!(characters, 400, "{form} {version:?}");
        }
    }
}
