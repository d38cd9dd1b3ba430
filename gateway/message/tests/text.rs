//! Laws of encodings: the choice among them, reading them back, data_coding.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;
use smsgw_message::text::{ByteOrder, EncodeError, Encoded, Encoding, Requested, decode, encode};

fn chosen(text: &str, requested: Requested) -> Encoding {
    encode(text, requested).unwrap().encoding
}

#[test]
fn the_cheapest_encoding_is_chosen() {
    let cases = [
        ("", Encoding::Gsm7, Encoding::Gsm7),
        ("Hello", Encoding::Gsm7, Encoding::Gsm7),
        ("Grüße für 5 €", Encoding::Gsm7, Encoding::Gsm7),
        ("ça va", Encoding::Ucs2, Encoding::Latin1),
        ("tab\t", Encoding::Ucs2, Encoding::Latin1),
        ("Привет", Encoding::Ucs2, Encoding::Ucs2),
        ("ça 😀", Encoding::Ucs2, Encoding::Ucs2),
    ];
    for (text, auto, with_latin1) in cases {
        assert_eq!(chosen(text, Requested::Auto), auto, "{text}");
        assert_eq!(chosen(text, Requested::AutoOrLatin1), with_latin1, "{text}");
    }
}

#[test]
fn a_requested_encoding_is_used_or_refused() {
    let ucs2 = encode("Hi😀", Requested::Exactly(Encoding::Ucs2)).unwrap();
    assert_eq!(ucs2.bytes, [0, b'H', 0, b'i', 0xD8, 0x3D, 0xDE, 0x00]);
    assert_eq!(ucs2.units(), 4);
    let latin1 = encode("é", Requested::Exactly(Encoding::Latin1)).unwrap();
    assert_eq!(latin1.bytes, [0xE9]);
    for (encoding, text, character, position) in
        [(Encoding::Gsm7, "aç", 'ç', 1), (Encoding::Latin1, "é€", '€', 1)]
    {
        assert_eq!(
            encode(text, Requested::Exactly(encoding)),
            Err(EncodeError::Unmappable {
                encoding,
                character,
                position
            })
        );
    }
    assert_eq!(
        encode("a", Requested::Exactly(Encoding::Binary)),
        Err(EncodeError::TextAsBinary)
    );
}

#[test]
fn byte_order_is_detected_and_flagged() {
    let cases: [(&[u8], &str, bool, ByteOrder); 10] = [
        (&[], "", false, ByteOrder::Big),
        (&[0x04, 0x1F], "П", false, ByteOrder::Big),
        (&[0xFE, 0xFF, 0x04, 0x1F], "П", false, ByteOrder::BigMarked),
        (&[0xFF, 0xFE, 0x1F, 0x04], "П", false, ByteOrder::LittleMarked),
        (b"H\0i\0 \0!\0", "Hi !", false, ByteOrder::LittleGuessed),
        (b"\0H\0i\0 \0!", "Hi !", false, ByteOrder::Big),
        // Too short to guess: these are characters people send.
        (&[0x4E, 0x00, 0x4E, 0x00], "一一", false, ByteOrder::Big),
        (&[0x00, 0x41, 0x42], "A\u{FFFD}", true, ByteOrder::Big),
        (&[0xD8, 0x3D, 0x00, 0x41], "\u{FFFD}A", true, ByteOrder::Big),
        (&[0xDE, 0x00], "\u{FFFD}", true, ByteOrder::Big),
    ];
    for (bytes, text, lossy, order) in cases {
        let decoded = decode(Encoding::Ucs2, bytes);
        assert_eq!(decoded.text, text, "{bytes:02X?}");
        assert_eq!(decoded.lossy, lossy, "{bytes:02X?}");
        assert_eq!(decoded.byte_order, Some(order), "{bytes:02X?}");
    }
}

#[test]
fn texts_that_look_like_a_mark_get_one() {
    for text in ["\u{FEFF}a", "\u{FFFE}a", "\u{FEFF}\u{FEFF}", "一一一一"] {
        let body = encode(text, Requested::Exactly(Encoding::Ucs2)).unwrap();
        let decoded = decode(Encoding::Ucs2, &body.bytes);
        assert_eq!((decoded.text.as_str(), decoded.lossy), (text, false));
    }
    assert_eq!(encode("一一", Requested::Auto).unwrap().units(), 2);
}

#[test]
fn other_encodings_are_read_as_they_are() {
    let latin1 = decode(Encoding::Latin1, &[0x41, 0xE9, 0x80]);
    assert_eq!(
        (latin1.text.as_str(), latin1.lossy, latin1.byte_order),
        ("Aé\u{80}", false, None)
    );
    let gsm = decode(Encoding::Gsm7, &[0x05, 0x1B, 0x65]);
    assert_eq!((gsm.text.as_str(), gsm.lossy), ("é€", false));
    let binary = decode(Encoding::Binary, &[0x41]);
    assert_eq!((binary.text.as_str(), binary.lossy), ("", true));
    assert!(!decode(Encoding::Binary, &[]).lossy);
}

#[test]
fn bodies_do_not_show_in_debug() {
    let body = encode("secret 1234", Requested::Auto).unwrap();
    assert_eq!(format!("{body:?}"), "Encoded { encoding: Gsm7, units: 11 }");
    let text = format!("{:?}", decode(Encoding::Gsm7, &body.bytes));
    assert_eq!(
        text,
        "Decoded { text_octets: 11, lossy: false, byte_order: None }"
    );
    assert_eq!(Encoded::binary(vec![1, 2]).encoding, Encoding::Binary);
}

#[test]
fn words_name_encodings() {
    for encoding in Encoding::ALL {
        assert_eq!(Encoding::from_word(encoding.as_str()), Some(encoding));
    }
    assert_eq!(Encoding::from_word("utf8"), None);
}

#[test]
fn record_format_of_encodings_is_their_number() {
    for (number, encoding) in (0u8..).zip(Encoding::ALL) {
        assert_eq!(minicbor::to_vec(encoding).unwrap(), [number]);
        assert_eq!(minicbor::decode::<Encoding>(&[number]).unwrap(), encoding);
    }
    assert!(minicbor::decode::<Encoding>(&[4]).is_err());
}

proptest! {
    #[test]
    fn any_text_survives(text in proptest::collection::vec(any::<char>(), 0..120).prop_map(String::from_iter)) {
        for requested in [Requested::Auto, Requested::AutoOrLatin1, Requested::Exactly(Encoding::Ucs2)] {
            let body = encode(&text, requested).unwrap();
            let decoded = decode(body.encoding, &body.bytes);
            prop_assert_eq!(&decoded.text, &text);
            prop_assert!(!decoded.lossy);
        }
    }

    #[test]
    fn texts_of_awkward_characters_survive(
        text in proptest::collection::vec(
            proptest::sample::select(vec!['\u{FEFF}', '\u{FFFE}', '\u{2000}', '\u{4E00}', '\u{0A00}', '😀']),
            0..8,
        ).prop_map(String::from_iter)
    ) {
        let body = encode(&text, Requested::Exactly(Encoding::Ucs2)).unwrap();
        prop_assert_eq!(decode(Encoding::Ucs2, &body.bytes).text, text);
    }

    #[test]
    fn any_octets_decode(octets in proptest::collection::vec(any::<u8>(), 0..300), data_coding: u8) {
        let encoding = Encoding::from_data_coding(data_coding);
        let decoded = decode(encoding, &octets);
        prop_assert!(decoded.text.len() <= octets.len() * 3);
        if encoding == Encoding::Ucs2 && octets.len() % 2 == 1 {
            prop_assert!(decoded.lossy);
        }
    }
}
