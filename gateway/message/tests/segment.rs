//! Laws of segmentation: limits, pairs, headers, and that nothing of the body is lost.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "segment/carriage.rs"]
mod carriage;
#[path = "segment/udh.rs"]
mod udh;

use proptest::prelude::*;
use smsgw_message::segment::{
    Concat, Element, MAX_PARTS, Part, PartCount, SegmentError, Udh, UdhError, count_parts, room, split,
    split_units,
};
use smsgw_message::text::{EncodeError, Encoded, Encoding, Requested, decode, encode};

const ESC: u8 = 0x1B;

fn units_of_parts(text: &str, requested: Requested) -> Vec<usize> {
    let body = encode(text, requested).unwrap();
    let parts = split(&body, 7).unwrap();
    let count = count_parts(text, requested).unwrap();
    assert_eq!(
        count,
        PartCount {
            encoding: body.encoding,
            units: body.units(),
            parts: parts.len()
        }
    );
    parts
        .iter()
        .map(|part| part.data.len() / body.encoding.unit_octets())
        .collect()
}

fn auto(text: &str) -> Vec<usize> {
    units_of_parts(text, Requested::Auto)
}

fn join(parts: &[Part]) -> Vec<u8> {
    parts.iter().flat_map(|part| part.data.clone()).collect()
}

#[test]
fn septet_limits() {
    assert_eq!(auto(""), [0]);
    assert_eq!(auto("a"), [1]);
    assert_eq!(auto(&"a".repeat(160)), [160]);
    assert_eq!(auto(&"a".repeat(161)), [153, 8]);
    assert_eq!(auto(&"a".repeat(306)), [153, 153]);
    assert_eq!(auto(&"a".repeat(307)), [153, 153, 1]);
    assert_eq!(auto(&"a".repeat(320)), [153, 153, 14]);
}

#[test]
fn utf16_limits() {
    assert_eq!(auto(&"я".repeat(70)), [70]);
    assert_eq!(auto(&"я".repeat(71)), [67, 4]);
    assert_eq!(auto(&"я".repeat(134)), [67, 67]);
    assert_eq!(auto(&"я".repeat(135)), [67, 67, 1]);
}

#[test]
fn octet_limits() {
    let latin1 = Requested::Exactly(Encoding::Latin1);
    assert_eq!(units_of_parts(&"ÿ".repeat(140), latin1), [140]);
    assert_eq!(units_of_parts(&"ÿ".repeat(141), latin1), [134, 7]);
    assert_eq!(units_of_parts(&"ÿ".repeat(268), latin1), [134, 134]);
    for (octets, parts) in [(140, 1), (141, 2), (268, 2), (269, 3)] {
        let body = Encoded::binary(vec![ESC; octets]);
        assert_eq!(split(&body, 0).unwrap().len(), parts, "{octets}");
    }
}

#[test]
fn extension_characters_count_twice() {
    assert_eq!(auto("€"), [2]);
    assert_eq!(auto(&"€".repeat(80)), [160]);
    assert_eq!(auto(&"[]".repeat(40)), [160]);
    assert_eq!(auto(&format!("{}€", "a".repeat(158))), [160]);
    assert_eq!(auto(&format!("{}€", "a".repeat(159))), [153, 8]);
    // 81 pairs: 76 fit in 153 septets, one septet stays empty.
    assert_eq!(auto(&"€".repeat(81)), [152, 10]);
}

#[test]
fn an_escape_pair_is_not_cut_at_the_153_boundary() {
    let tail = "b".repeat(20);
    // The pair at 152 and 153 fits, the pair across the boundary moves.
    assert_eq!(auto(&format!("{}€{tail}", "a".repeat(151))), [153, 20]);
    assert_eq!(auto(&format!("{}€{tail}", "a".repeat(152))), [152, 22]);
    assert_eq!(auto(&format!("{}€{tail}", "a".repeat(153))), [153, 22]);
}

#[test]
fn a_surrogate_pair_is_not_cut_at_the_67_boundary() {
    let tail = "я".repeat(10);
    assert_eq!(auto(&format!("{}😀{tail}", "я".repeat(65))), [67, 10]);
    assert_eq!(auto(&format!("{}😀{tail}", "я".repeat(66))), [66, 12]);
    assert_eq!(auto(&format!("{}😀{tail}", "я".repeat(67))), [67, 12]);
    assert_eq!(auto(&"😀".repeat(35)), [70]);
    assert_eq!(auto(&"😀".repeat(36)), [66, 6]);
}

#[test]
fn doubled_escapes_of_a_client_stay_together() {
    // ESC ESC is one pair (a space), so the last escape of an even run closes a pair.
    let mut units = vec![0x61; 151];
    units.extend([ESC, ESC, 0x62]);
    units.extend([0x63; 20]);
    let parts = split_units(Encoding::Gsm7, &units, &[], 0).unwrap();
    assert_eq!(parts[0].data.len(), 153);
    units.insert(0, 0x61);
    let parts = split_units(Encoding::Gsm7, &units, &[], 0).unwrap();
    assert_eq!(parts[0].data.len(), 152);
    assert_eq!(join(&parts), units);
}

#[test]
fn parts_carry_the_concatenation_header() {
    let body = encode(&"a".repeat(400), Requested::Auto).unwrap();
    let parts = split(&body, 0xAB).unwrap();
    let headers: Vec<_> = parts.iter().map(|part| part.udh.as_slice()).collect();
    assert_eq!(
        headers,
        [
            [5, 0, 3, 0xAB, 3, 1],
            [5, 0, 3, 0xAB, 3, 2],
            [5, 0, 3, 0xAB, 3, 3]
        ]
    );
    let user_data = parts[1].user_data();
    assert!(parts[1].has_udh());
    let (udh, rest) = Udh::parse(&user_data).unwrap();
    assert_eq!(
        udh.concat,
        Some(Concat {
            reference: 0xAB,
            wide: false,
            total: 3,
            sequence: 2
        })
    );
    assert_eq!(rest, &parts[1].data[..]);
    let single = split(&encode("a", Requested::Auto).unwrap(), 1).unwrap();
    assert!(!single[0].has_udh());
    assert_eq!(single[0].user_data(), [0x61]);
}

#[test]
fn at_most_255_parts() {
    let body = |septets| encode(&"a".repeat(septets), Requested::Auto).unwrap();
    let parts = split(&body(255 * 153), 0).unwrap();
    assert_eq!(parts.len(), usize::from(MAX_PARTS));
    assert_eq!(parts[254].udh, [5, 0, 3, 0, 255, 255]);
    assert_eq!(
        split(&body(255 * 153 + 1), 0),
        Err(SegmentError::TextTooLong { parts: 256, max: 255 })
    );
    assert_eq!(
        count_parts(&"a".repeat(255 * 153 + 1), Requested::Auto)
            .unwrap()
            .parts,
        256
    );
}

#[test]
fn a_header_of_the_client_is_kept_and_room_is_computed() {
    // Port addressing, 16 bits: 6 elements octets, 7 with the length.
    let ports = [6, 5, 4, 0x0B, 0x84, 0x23, 0xF0];
    let fits = vec![0x55; 133];
    let parts = split_units(Encoding::Binary, &fits, &ports, 9).unwrap();
    assert_eq!(
        parts,
        [Part {
            udh: ports.to_vec(),
            data: fits.clone()
        }]
    );

    let parts = split_units(Encoding::Binary, &[0x55; 134], &ports, 9).unwrap();
    assert_eq!(parts.len(), 2);
    assert_eq!(parts[0].udh, [11, 0, 3, 9, 2, 1, 5, 4, 0x0B, 0x84, 0x23, 0xF0]);
    assert_eq!(parts[0].user_data().len(), 140);
    assert_eq!(parts[1].data.len(), 134 - 128);
    let (udh, _) = Udh::parse(&parts[1].udh).unwrap();
    assert_eq!(
        udh.others,
        [Element {
            id: 5,
            data: vec![0x0B, 0x84, 0x23, 0xF0]
        }]
    );
}

#[test]
fn broken_headers_of_the_client_are_refused() {
    let refuse = |units: &[u8], udh: &[u8]| split_units(Encoding::Binary, units, udh, 0);
    assert_eq!(
        refuse(&[1], &[5, 0, 3]),
        Err(SegmentError::BrokenUdh(UdhError::Truncated {
            announced: 5,
            present: 2
        }))
    );
    assert_eq!(
        refuse(&[1], &[2, 1, 0, 9]),
        Err(SegmentError::UdhTrailing { octets: 1 })
    );
    let concat = [5, 0, 3, 1, 2, 1];
    assert!(refuse(&[1; 134], &concat).is_ok());
    assert_eq!(
        refuse(&[1; 135], &concat),
        Err(SegmentError::AlreadyConcatenated { parts: 2 })
    );
    let mut long = vec![139, 0x70, 137];
    long.extend([0; 137]);
    assert!(refuse(&[], &long).is_ok());
    assert_eq!(refuse(&[1], &long), Err(SegmentError::NoRoom { octets: 145 }));
    let mut too_long = vec![140, 0x70, 138];
    too_long.extend([0; 138]);
    assert_eq!(refuse(&[], &too_long), Err(SegmentError::NoRoom { octets: 141 }));
    assert_eq!(
        split_units(Encoding::Ucs2, &[0, 0x41, 0], &[], 0),
        Err(SegmentError::HalfUnit { octets: 3 })
    );
}

#[test]
fn headers_are_read() {
    let wide = [6, 8, 4, 0x12, 0x34, 3, 2, b'x'];
    let (udh, body) = Udh::parse(&wide).unwrap();
    assert_eq!(
        udh.concat,
        Some(Concat {
            reference: 0x1234,
            wide: true,
            total: 3,
            sequence: 2
        })
    );
    assert_eq!(body, b"x");
    assert_eq!(Udh::parse(&[0, 1]).unwrap(), (Udh::default(), &[1][..]));
    // The last one of several counts.
    let (udh, _) = Udh::parse(&[10, 0, 3, 1, 2, 1, 0, 3, 9, 4, 4]).unwrap();
    assert_eq!(
        udh.concat.map(|concat| (concat.reference, concat.sequence)),
        Some((9, 4))
    );
    // Impossible values are kept, told, and are no concatenation.
    for values in [[1, 0, 0], [1, 2, 0], [1, 2, 3]] {
        let [reference, total, sequence] = values;
        let (udh, _) = Udh::parse(&[5, 0, 3, reference, total, sequence]).unwrap();
        assert_eq!(udh.concat, None);
        assert_eq!(udh.tolerated.broken_concats, 1);
        assert_eq!(
            udh.others,
            [Element {
                id: 0,
                data: values.to_vec()
            }]
        );
    }
}

#[test]
fn broken_headers_are_reported() {
    assert_eq!(Udh::parse(&[]), Err(UdhError::Missing));
    assert_eq!(
        Udh::parse(&[5, 0, 3, 1]),
        Err(UdhError::Truncated {
            announced: 5,
            present: 3
        })
    );
    assert_eq!(
        Udh::parse(&[4, 0, 3, 1, 2, 1]),
        Err(UdhError::ElementTooLong { id: 0 })
    );
    assert_eq!(Udh::parse(&[1, 0x24]), Err(UdhError::ElementTooLong { id: 0x24 }));
}

#[test]
fn counting_refuses_what_encoding_refuses() {
    assert_eq!(
        count_parts("aç", Requested::Exactly(Encoding::Gsm7)),
        Err(EncodeError::Unmappable {
            encoding: Encoding::Gsm7,
            character: 'ç',
            position: 1
        })
    );
    assert_eq!(
        count_parts("a", Requested::Exactly(Encoding::Binary)),
        Err(EncodeError::TextAsBinary)
    );
}

#[test]
fn room_is_what_the_standard_gives() {
    let table = Encoding::ALL.map(|encoding| (room(encoding, 0), room(encoding, 6)));
    assert_eq!(table, [(160, 153), (140, 134), (70, 67), (140, 134)]);
    assert_eq!(room(Encoding::Ucs2, 7), 66);
    assert_eq!(room(Encoding::Gsm7, 7), 152);
    assert_eq!(room(Encoding::Gsm7, 500), 0);
}

#[test]
fn record_format_of_parts_is_two_byte_strings_and_debug_hides_the_body() {
    let part = Part {
        udh: vec![5, 0, 3, 1, 2, 1],
        data: vec![0x41, 0x42],
    };
    let octets = minicbor::to_vec(&part).unwrap();
    assert_eq!(octets, [0x82, 0x46, 5, 0, 3, 1, 2, 1, 0x42, 0x41, 0x42]);
    assert_eq!(minicbor::decode::<Part>(&octets).unwrap(), part);
    assert_eq!(
        format!("{part:?}"),
        "Part { udh: [5, 0, 3, 1, 2, 1], data_octets: 2 }"
    );
}

/// Texts that are long enough for several parts and dense in pairs.
fn text() -> impl Strategy<Value = String> {
    let gsm = proptest::sample::select(vec!['a', '€', '[', '@', 'Ω', '~', '\n', 'z']);
    let wide = proptest::sample::select(vec!['a', 'я', '😀', '\u{4E00}', '\u{10FFFF}', '\u{FEFF}']);
    let latin = proptest::sample::select(vec!['a', 'ç', 'ÿ', '[']);
    prop_oneof![
        proptest::collection::vec(gsm, 0..1000).prop_map(String::from_iter),
        proptest::collection::vec(wide, 0..500).prop_map(String::from_iter),
        proptest::collection::vec(latin, 0..500).prop_map(String::from_iter),
        proptest::collection::vec(any::<char>(), 0..300).prop_map(String::from_iter),
    ]
}

/// Pairs are seen from the start of the body: where each character begins.
fn pair_tails(encoding: Encoding, bytes: &[u8]) -> Vec<usize> {
    let mut tails = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let pair = match encoding {
            Encoding::Gsm7 => bytes[at] == ESC && at + 1 < bytes.len(),
            Encoding::Ucs2 => {
                matches!(bytes[at], 0xD8..=0xDB) && matches!(bytes.get(at + 2), Some(0xDC..=0xDF))
            }
            Encoding::Latin1 | Encoding::Binary => false,
        };
        at += encoding.unit_octets();
        if pair {
            tails.push(at);
            at += encoding.unit_octets();
        }
    }
    tails
}

fn check_parts(encoding: Encoding, bytes: &[u8], client_udh: &[u8], parts: &[Part]) {
    assert_eq!(join(parts), bytes);
    let tails = pair_tails(encoding, bytes);
    let mut begin = 0;
    for (index, part) in parts.iter().enumerate() {
        assert!(!tails.contains(&begin), "part {index} begins within a character");
        let units = part.data.len() / encoding.unit_octets();
        assert!(units <= room(encoding, part.udh.len()));
        assert!(parts.len() == 1 || !part.data.is_empty());
        // As full as pairs allow.
        if index + 1 < parts.len() {
            assert!(units + 1 >= room(encoding, part.udh.len()));
        }
        if parts.len() == 1 {
            assert_eq!(part.udh, client_udh);
        } else {
            let (udh, rest) = Udh::parse(&part.udh).unwrap();
            assert_eq!(rest, []);
            let concat = udh.concat.unwrap();
            assert_eq!(
                (usize::from(concat.total), usize::from(concat.sequence)),
                (parts.len(), index + 1)
            );
            assert!(part.udh.ends_with(client_udh.get(1..).unwrap_or_default()));
        }
        begin += part.data.len();
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_and_no_character_is_cut(text in text(), reference: u8) {
        for requested in [
            Requested::Auto,
            Requested::AutoOrLatin1,
            Requested::Exactly(Encoding::Gsm7),
            Requested::Exactly(Encoding::Latin1),
            Requested::Exactly(Encoding::Ucs2),
        ] {
            let count = count_parts(&text, requested);
            match encode(&text, requested) {
                Err(error) => prop_assert_eq!(count, Err(error)),
                Ok(body) => {
                    let parts = split(&body, reference).unwrap();
                    check_parts(body.encoding, &body.bytes, &[], &parts);
                    prop_assert_eq!(count, Ok(PartCount {
                        encoding: body.encoding,
                        units: body.units(),
                        parts: parts.len(),
                    }));
                    prop_assert_eq!(&decode(body.encoding, &join(&parts)).text, &text);
                    // No part is lossy on its own either: each holds whole characters.
                    if body.encoding == Encoding::Gsm7 {
                        for part in &parts {
                            prop_assert!(!decode(body.encoding, &part.data).lossy);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn any_units_and_header_are_cut_or_refused(
        units in proptest::collection::vec(prop_oneof![any::<u8>(), Just(ESC), 0xD8u8..=0xDF], 0..1200),
        element in proptest::collection::vec(any::<u8>(), 0..150),
        with_udh: bool,
        reference: u8,
    ) {
        let mut udh = Vec::new();
        if with_udh {
            udh.push(u8::try_from(element.len() + 2).unwrap());
            udh.push(0x70);
            udh.push(u8::try_from(element.len()).unwrap());
            udh.extend(&element);
        }
        for encoding in Encoding::ALL {
            match split_units(encoding, &units, &udh, reference) {
                Ok(parts) => check_parts(encoding, &units, &udh, &parts),
                Err(SegmentError::HalfUnit { .. }) => {
                    prop_assert_eq!((encoding, units.len() % 2), (Encoding::Ucs2, 1));
                }
                Err(SegmentError::NoRoom { .. }) => prop_assert!(udh.len() > 130),
                Err(SegmentError::TextTooLong { parts, .. }) => prop_assert!(parts > 255),
                Err(error) => prop_assert!(false, "{}", error),
            }
        }
    }

    #[test]
    fn any_octets_are_read_as_a_header_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok((udh, body)) = Udh::parse(&octets) {
            let length = usize::from(octets[0]);
            prop_assert_eq!(body, &octets[1 + length..]);
            let kept: usize = udh.others.iter().map(|element| 2 + element.data.len()).sum();
            prop_assert!(kept <= length);
        }
    }

    #[test]
    fn elements_are_kept_in_order(elements in proptest::collection::vec((1u8..8, proptest::collection::vec(any::<u8>(), 0..10)), 0..15)) {
        let mut octets = vec![0];
        for (id, data) in &elements {
            octets.push(*id);
            octets.push(u8::try_from(data.len()).unwrap());
            octets.extend(data);
        }
        octets[0] = u8::try_from(octets.len() - 1).unwrap();
        let (udh, rest) = Udh::parse(&octets).unwrap();
        prop_assert_eq!(rest, &[] as &[u8]);
        prop_assert_eq!(udh.tolerated.broken_concats, 0);
        let kept: Vec<_> = udh.others.into_iter().map(|element| (element.id, element.data)).collect();
        prop_assert_eq!(kept, elements);
    }
}
