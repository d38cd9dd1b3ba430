//! Laws of the carriages and of the choice among tables: what is cut is what is joined again.

use proptest::prelude::*;
use smsgw_message::gsm7::{Alphabet, FillBits, Language, Languages, Shifts, pack, unpack};
use smsgw_message::segment::{
    Body, Carriage, Choice, PART_OCTETS, PAYLOAD_OCTETS, PartCount, Plan, SarRoom, SegmentError, Segments,
    choose, count_parts, encode_cheapest, room, split, split_by,
};
use smsgw_message::text::{Encoded, Encoding, Requested, decode_shifted, encode, encode_shifted};
use smsgw_message::udh::Udh;
use smsgw_message::{Part, Sar};

const TURKISH: Languages = Languages::NONE.with(Language::Turkish);
const HINDI: Languages = Languages::NONE.with(Language::Hindi);

fn cut(body: &Encoded, plan: Plan) -> Segments {
    split_by(Body::from(body), plan).unwrap()
}

fn units(segments: &Segments, encoding: Encoding) -> Vec<usize> {
    segments
        .parts
        .iter()
        .map(|part| part.data.len() / encoding.unit_octets())
        .collect()
}

/// What a phone makes of the parts: each read by its own header.
fn shown(parts: &[Part], encoding: Encoding) -> String {
    let mut whole = Vec::new();
    for part in parts {
        assert_eq!(part.shifts(), parts[0].shifts());
        whole.extend_from_slice(&part.data);
    }
    let decoded = decode_shifted(encoding, parts[0].shifts(), &whole);
    assert!(!decoded.lossy);
    decoded.text
}

#[test]
fn carriages_have_their_words_and_limits() {
    for carriage in Carriage::ALL {
        assert_eq!(Carriage::from_word(carriage.as_str()), Some(carriage));
    }
    assert_eq!(Carriage::from_word("udh"), None);
    let gsm = encode(&"a".repeat(330), Requested::Auto).unwrap();
    let ucs2 = encode(&"я".repeat(150), Requested::Auto).unwrap();
    let binary = Encoded::binary(vec![0x1B; 300]);
    let full = Plan {
        sar_room: SarRoom::Full,
        ..Plan::of(Carriage::Sar, 1)
    };
    let cases = [
        (
            Plan::of(Carriage::Udh8, 1),
            [153, 153, 24],
            [67, 67, 16],
            [134, 134, 32],
        ),
        (
            Plan::of(Carriage::Udh16, 1),
            [152, 152, 26],
            [66, 66, 18],
            [133, 133, 34],
        ),
        (
            Plan::of(Carriage::Sar, 1),
            [153, 153, 24],
            [67, 67, 16],
            [134, 134, 32],
        ),
        (full, [160, 160, 10], [70, 70, 10], [140, 140, 20]),
    ];
    for (plan, septets, utf16, octets) in cases {
        assert_eq!(units(&cut(&gsm, plan), Encoding::Gsm7), septets, "{plan:?}");
        assert_eq!(units(&cut(&ucs2, plan), Encoding::Ucs2), utf16, "{plan:?}");
        assert_eq!(units(&cut(&binary, plan), Encoding::Binary), octets, "{plan:?}");
    }
    let payload = cut(&gsm, Plan::of(Carriage::Payload, 1));
    assert_eq!((payload.parts.len(), payload.messages), (1, 3));
    assert_eq!(
        (payload.parts[0].udh.len(), payload.parts[0].data.len()),
        (0, 330)
    );
}

#[test]
fn a_reference_is_written_in_its_width() {
    let body = encode(&"a".repeat(200), Requested::Auto).unwrap();
    let wide = cut(&body, Plan::of(Carriage::Udh16, 0x1234));
    assert_eq!(wide.parts[1].udh, [6, 8, 4, 0x12, 0x34, 2, 2]);
    let narrow = cut(&body, Plan::of(Carriage::Udh8, 0x1234));
    assert_eq!(narrow.parts[0].udh, [5, 0, 3, 0x34, 2, 1]);
    assert_eq!(narrow.sar(1), None);
    let sar = cut(&body, Plan::of(Carriage::Sar, 0x1234));
    assert!(sar.parts.iter().all(|part| !part.has_udh()));
    assert_eq!(
        sar.sar(2),
        Some(Sar {
            reference: 0x1234,
            total: 2,
            number: 2
        })
    );
    assert_eq!((sar.sar(0), sar.sar(3)), (None, None));
    // One that fits needs nothing, whatever the carriage.
    let short = encode("a", Requested::Auto).unwrap();
    for carriage in Carriage::ALL {
        let segments = cut(&short, Plan::of(carriage, 7));
        assert_eq!((segments.parts.len(), segments.messages), (1, 1));
        assert!(!segments.parts[0].has_udh() && segments.sar(1).is_none());
    }
}

#[test]
fn limits_are_kept() {
    let body = encode(&"a".repeat(400), Requested::Auto).unwrap();
    for carriage in Carriage::ALL {
        let plan = Plan {
            max_parts: 2,
            ..Plan::of(carriage, 1)
        };
        assert_eq!(
            split_by(Body::from(&body), plan),
            Err(SegmentError::TextTooLong { parts: 3, max: 2 })
        );
    }
    // 255 parts of 153 septets are less than a payload can hold; of 140 with a larger header, too.
    let most = encode(&"a".repeat(255 * 153), Requested::Auto).unwrap();
    let payload = cut(&most, Plan::of(Carriage::Payload, 1));
    assert_eq!(payload.messages, 255);
    assert!(payload.parts[0].user_data().len() < PAYLOAD_OCTETS);
}

#[test]
fn shifts_are_in_every_part_and_cost_septets() {
    let shifts = Shifts {
        locking: Some(Language::Hindi),
        single: Some(Language::Hindi),
    };
    let single = Shifts {
        locking: None,
        ..shifts
    };
    // Room beside a header with one and two tables, alone and with a concatenation.
    assert_eq!(
        [4, 7, 9, 12].map(|udh| room(Encoding::Gsm7, udh)),
        [155, 152, 149, 146]
    );
    let text = "क".repeat(152);
    let body = encode_shifted(&text, shifts).unwrap();
    let parts = split(&body, 9).unwrap();
    assert_eq!(parts.len(), 1);
    assert_eq!(parts[0].udh, [6, 0x24, 1, 6, 0x25, 1, 6]);
    let body = encode_shifted(&format!("{text}क"), shifts).unwrap();
    let parts = split(&body, 9).unwrap();
    assert_eq!(parts[1].udh, [11, 0, 3, 9, 2, 2, 0x24, 1, 6, 0x25, 1, 6]);
    assert_eq!((parts[0].data.len(), parts[1].data.len()), (146, 7));
    assert_eq!(parts[1].shifts(), shifts);
    let body = encode_shifted(&"x".repeat(156), single).unwrap();
    assert_eq!(split(&body, 9).unwrap()[0].data.len(), 149);
    // Sar and payload have them too: they are no concatenation.
    let body = encode_shifted(&text.repeat(3), shifts).unwrap();
    for carriage in [Carriage::Sar, Carriage::Payload] {
        for part in cut(&body, Plan::of(carriage, 1)).parts {
            assert_eq!(part.udh, [6, 0x24, 1, 6, 0x25, 1, 6]);
        }
    }
    // Not twice.
    let twice = Body {
        udh: &[3, 0x24, 1, 1],
        ..Body::from(&body)
    };
    assert_eq!(
        split_by(twice, Plan::of(Carriage::Udh8, 1)),
        Err(SegmentError::ShiftsTwice)
    );
}

#[test]
fn the_default_alphabet_comes_first_then_the_cheapest_table_then_ucs2() {
    let choice = |text: &str, allowed| {
        let Choice { count, shifts } = choose(text, allowed);
        (count.encoding, shifts, count.parts)
    };
    let gsm = Encoding::Gsm7;
    let locking = |language| Shifts {
        locking: Some(language),
        single: None,
    };
    let single = |language| Shifts {
        locking: None,
        single: Some(language),
    };
    // The default alphabet, even where a table would be cheaper: euro signs are one septet in Turkish.
    let euros = "€".repeat(90);
    assert_eq!(choice(&euros, Languages::all()), (gsm, Shifts::NONE, 2));
    // Not asked for.
    let text = format!("{}ş", "a".repeat(100));
    assert_eq!(choice(&text, Languages::NONE), (Encoding::Ucs2, Shifts::NONE, 2));
    // Few letters of the language: the single shift. One part fewer than UCS-2.
    assert_eq!(choice(&text, TURKISH), (gsm, single(Language::Turkish), 1));
    assert_eq!(choice(&text, HINDI), (Encoding::Ucs2, Shifts::NONE, 2));
    // Many: the locking shift.
    let text = "şğıİç".repeat(29);
    assert_eq!(choice(&text, TURKISH), (gsm, locking(Language::Turkish), 1));
    // The same price as UCS-2: UCS-2, which every phone reads.
    assert_eq!(choice("şarkı", TURKISH), (Encoding::Ucs2, Shifts::NONE, 1));
    // Digits of Hindi are behind the escape, letters are not.
    let both = Shifts {
        single: Some(Language::Hindi),
        ..locking(Language::Hindi)
    };
    assert_eq!(choice(&"नमस्ते १ ".repeat(14), Languages::all()), (gsm, both, 1));
    assert_eq!(
        choice(&"नमस्ते ".repeat(20), Languages::all()),
        (gsm, locking(Language::Hindi), 1)
    );
    // A character that no table has.
    let text = format!("{}😀", "ş".repeat(100));
    assert_eq!(choice(&text, Languages::all()), (Encoding::Ucs2, Shifts::NONE, 2));
    // ç alone is in three single tables: the one with the lowest identifier among equals.
    let text = format!("{}ç", "a".repeat(100));
    assert_eq!(
        choice(&text, Languages::all()),
        (gsm, single(Language::Turkish), 1)
    );
    let iberian: Languages = [Language::Portuguese, Language::Spanish].into_iter().collect();
    assert_eq!(choice(&text, iberian), (gsm, single(Language::Spanish), 1));
}

/// A text of a language's characters, or of several.
fn national_text() -> impl Strategy<Value = String> {
    let alphabet = |language| {
        let alphabet = Alphabet::of(Shifts {
            locking: Some(language),
            single: Some(language),
        });
        let units: Vec<u8> = (0..0x80).filter(|code| *code != 0x1B).collect();
        let escaped: Vec<u8> = units.iter().flat_map(|code| [0x1B, *code]).collect();
        let text = alphabet.decode(&units).0 + &alphabet.decode(&escaped).0;
        text.chars().filter(|c| *c != '\u{FFFD}').collect::<Vec<_>>()
    };
    let languages = proptest::sample::select(Language::ALL.to_vec());
    languages.prop_flat_map(move |language| {
        let national = proptest::sample::select(alphabet(language));
        let any = prop_oneof![20 => national, 6 => proptest::char::range('a', 'z'), 1 => Just('€')];
        proptest::collection::vec(any, 0..500).prop_map(String::from_iter)
    })
}

fn any_text() -> impl Strategy<Value = String> {
    let rare = proptest::collection::vec(any::<char>(), 0..120).prop_map(String::from_iter);
    prop_oneof![3 => national_text(), 1 => super::text(), 1 => rare]
}

fn languages() -> impl Strategy<Value = Languages> {
    prop_oneof![
        Just(Languages::all()),
        proptest::collection::vec(proptest::sample::select(Language::ALL.to_vec()), 0..4)
            .prop_map(|languages| languages.into_iter().collect()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_is_cut_is_joined_again_by_every_carriage(
        text in any_text(),
        allowed in languages(),
        reference: u16,
        ports: bool,
        full: bool,
    ) {
        let Choice { count, shifts } = choose(&text, allowed);
        let body = encode_cheapest(&text, allowed);
        prop_assert_eq!((count.encoding, count.units, shifts), (body.encoding, body.units(), body.shifts));
        prop_assert_eq!(count.parts, split(&body, 1).unwrap().len());
        prop_assert!(count.parts <= count_parts(&text, Requested::Auto).unwrap().parts);

        let udh: &[u8] = if ports { &[6, 5, 4, 0x3E, 0x81, 0, 0] } else { &[] };
        for carriage in Carriage::ALL {
            let sar_room = if full { SarRoom::Full } else { SarRoom::BesideConcat };
            let plan = Plan { sar_room, ..Plan::of(carriage, reference) };
            let segments = split_by(Body { udh, ..Body::from(&body) }, plan).unwrap();
            let parts = &segments.parts;
            prop_assert_eq!(&shown(parts, body.encoding), &text);
            let total = u8::try_from(parts.len()).unwrap();
            for (number, part) in (1..).zip(parts) {
                // It fits in one SMS, packed, with fill bits.
                if carriage != Carriage::Payload {
                    let octets = if body.encoding == Encoding::Gsm7 {
                        let fill = FillBits::after_header(part.udh.len());
                        let packed = pack(&part.data, fill).unwrap();
                        prop_assert_eq!(unpack(&packed, fill, part.data.len()), &part.data[..]);
                        packed.len()
                    } else {
                        part.data.len()
                    };
                    prop_assert!(part.udh.len() + octets <= PART_OCTETS);
                    // Each part alone has whole characters.
                    if body.encoding == Encoding::Gsm7 {
                        prop_assert!(!decode_shifted(body.encoding, shifts, &part.data).lossy);
                    }
                }
                prop_assert_eq!(part.shifts(), body.shifts);
                let header = Udh::parse(&part.udh).map(|(udh, _)| udh).unwrap_or_default();
                prop_assert!(header.tolerated.is_none());
                prop_assert_eq!(header.ports().is_some(), ports);
                let by_header = matches!(carriage, Carriage::Udh8 | Carriage::Udh16) && total > 1;
                prop_assert_eq!(
                    header.concat.map(|concat| (concat.wide, concat.total, concat.sequence)),
                    by_header.then_some((carriage == Carriage::Udh16, total, number))
                );
                let by_sar = carriage == Carriage::Sar && total > 1;
                prop_assert_eq!(segments.sar(number), by_sar.then_some(Sar { reference, total, number }));
            }
        }
    }

    #[test]
    fn a_choice_is_never_beaten(text in national_text()) {
        let Choice { count, shifts } = choose(&text, Languages::all());
        let ucs2 = count_parts(&text, Requested::Exactly(Encoding::Ucs2)).unwrap();
        prop_assert!(count.parts <= ucs2.parts);
        if count_parts(&text, Requested::Exactly(Encoding::Gsm7)).is_ok() {
            prop_assert_eq!((count.encoding, shifts), (Encoding::Gsm7, Shifts::NONE));
            return Ok(());
        }
        // Every pair tried the long way.
        let tables = || std::iter::once(None).chain(Language::ALL.into_iter().map(Some));
        let cheapest = tables()
            .flat_map(|locking| tables().map(move |single| Shifts { locking, single }))
            .filter_map(|shifts| encode_shifted(&text, shifts).ok())
            .map(|body| split(&body, 0).unwrap().len())
            .min();
        match cheapest {
            Some(parts) if parts < ucs2.parts => prop_assert_eq!((count.encoding, count.parts), (Encoding::Gsm7, parts)),
            Some(_) | None => prop_assert_eq!(count, PartCount { parts: ucs2.parts, ..ucs2 }),
        }
    }
}
