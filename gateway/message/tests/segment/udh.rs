//! Laws of the user data header: nothing lost, everything odd counted, nothing believed that cannot be.

use proptest::prelude::*;
use smsgw_message::gsm7::{Language, Shifts};
use smsgw_message::udh::{
    Concat, Element, ElementKind, Indication, Ports, Tolerated, Udh, UdhError, Waiting, id,
};

fn element(id: u8, data: &[u8]) -> Element {
    Element {
        id,
        data: data.to_vec(),
    }
}

fn read(octets: &[u8]) -> Udh {
    Udh::read(octets).unwrap().0
}

#[test]
fn elements_have_a_meaning() {
    let octets = [
        &[0x1B][..],
        &[0x05, 4, 0x0B, 0x84, 0x23, 0xF0],
        &[0x00, 3, 7, 2, 1],
        &[0x01, 2, 0x80, 3],
        &[0x24, 1, 0x06],
        &[0x25, 1, 0x0D],
        &[0x70, 0],
        &[0x01, 2, 0x47, 0],
    ]
    .concat();
    let (udh, rest) = Udh::parse(&octets).unwrap();
    assert_eq!(rest, []);
    assert!(udh.tolerated.is_none());
    assert_eq!(
        udh.concat,
        Some(Concat {
            reference: 7,
            wide: false,
            total: 2,
            sequence: 1
        })
    );
    assert_eq!(
        udh.ports(),
        Some(Ports::Wide {
            destination: 2948,
            source: 9200
        })
    );
    assert_eq!(
        udh.shifts(),
        Shifts {
            locking: Some(Language::Urdu),
            single: Some(Language::Hindi)
        }
    );
    let indications: Vec<_> = udh.indications().collect();
    assert_eq!(
        indications,
        [
            Indication {
                store: true,
                profile: 0,
                waiting: Waiting::Voice,
                count: 3
            },
            Indication {
                store: false,
                profile: 2,
                waiting: Waiting::Extended(1),
                count: 0
            }
        ]
    );
    // Written again: the concatenation first, the others as they came.
    let written = udh.to_octets().unwrap();
    assert_eq!(written[..8], [0x1B, 0x00, 3, 7, 2, 1, 0x05, 4]);
    assert_eq!(Udh::parse(&written).unwrap().0, udh);
}

#[test]
fn what_excludes_another_counts_last() {
    let ports = [10, 4, 2, 240, 250, 5, 4, 0, 80, 0, 81];
    assert_eq!(
        read(&ports).ports(),
        Some(Ports::Wide {
            destination: 80,
            source: 81
        })
    );
    assert_eq!(
        read(&[6, 0x24, 1, 1, 0x24, 1, 3]).shifts().single,
        Some(Language::Portuguese)
    );
    // A reserved language is ignored, and leaves what stands before it out of force too.
    assert_eq!(read(&[6, 0x24, 1, 1, 0x24, 1, 99]).shifts(), Shifts::NONE);
}

#[test]
fn typed_elements_are_read_as_they_were_written() {
    for ports in [
        Ports::Narrow {
            destination: 255,
            source: 240,
        },
        Ports::Wide {
            destination: 16_001,
            source: 0,
        },
    ] {
        assert_eq!(Element::of_ports(ports).ports(), Some(ports));
        assert_eq!(Element::of_ports(ports).kind(), ElementKind::Ports);
    }
    for octet in 0..=0xFF {
        let indication = element(id::INDICATION, &[octet, 9]).indication().unwrap();
        assert_eq!(Element::of_indication(indication).data, [octet, 9]);
    }
}

#[test]
fn every_identifier_has_a_kind() {
    let kinds = [
        (0x00, ElementKind::Concat),
        (0x01, ElementKind::Indication),
        (0x03, ElementKind::Reserved),
        (0x04, ElementKind::Ports),
        (0x06, ElementKind::SmscControl),
        (0x07, ElementKind::UdhSource),
        (0x08, ElementKind::Concat),
        (0x09, ElementKind::WirelessControl),
        (0x0C, ElementKind::Enhanced),
        (0x20, ElementKind::EmailHeader),
        (0x21, ElementKind::Hyperlink),
        (0x22, ElementKind::ReplyAddress),
        (0x23, ElementKind::EnhancedVoiceMail),
        (0x24, ElementKind::SingleShift),
        (0x25, ElementKind::LockingShift),
        (0x26, ElementKind::Reserved),
        (0x7F, ElementKind::SimToolkit),
        (0x80, ElementKind::Private),
        (0xC0, ElementKind::SmscSpecific),
        (0xFF, ElementKind::Reserved),
    ];
    for (id, kind) in kinds {
        assert_eq!(ElementKind::of(id), kind, "0x{id:02X}");
    }
}

#[test]
fn what_is_odd_is_counted_and_kept() {
    let concat = |sequence| Concat {
        reference: 9,
        wide: false,
        total: 3,
        sequence,
    };
    // Two concatenations: the last one counts.
    let udh = read(&[10, 0, 3, 1, 2, 1, 0, 3, 9, 3, 2]);
    assert_eq!((udh.concat, udh.tolerated.replaced_concats), (Some(concat(2)), 1));
    // One that cannot be: kept, not believed, whatever stands before it.
    for broken in [
        &[0, 3, 9, 0, 0][..],
        &[0, 3, 9, 3, 0],
        &[0, 3, 9, 3, 4],
        &[0, 2, 9, 3],
        &[8, 3, 9, 3, 1],
    ] {
        let mut octets = vec![0, 0, 3, 9, 3, 1];
        octets.extend(broken);
        octets[0] = u8::try_from(octets.len() - 1).unwrap();
        let udh = read(&octets);
        assert_eq!((udh.concat, udh.tolerated.broken_concats), (Some(concat(1)), 1));
        assert_eq!(udh.others, [element(broken[0], &broken[2..])]);
        assert_eq!(udh.to_octets().unwrap(), octets);
    }
    // Lengths that do not fit their identifier.
    let udh = read(&[7, 5, 2, 1, 2, 0x24, 1, 1]);
    assert_eq!((udh.ports(), udh.tolerated.broken_elements), (None, 1));
    assert_eq!(udh.shifts().single, Some(Language::Turkish));
    // An element that reaches over the end: what stands before it counts.
    let cut = [8, 0, 3, 9, 3, 1, 5, 4, 1, b'x'];
    assert_eq!(Udh::parse(&cut), Err(UdhError::ElementTooLong { id: 5 }));
    let (udh, body) = Udh::read(&cut).unwrap();
    assert_eq!((udh.concat, body), (Some(concat(1)), &b"x"[..]));
    assert_eq!(udh.tolerated.cut_octets, 3);
    // A header that reaches over the end.
    let (udh, body) = Udh::read(&[200, 0, 3, 9, 3, 1]).unwrap();
    assert_eq!((udh.concat, body), (Some(concat(1)), &[][..]));
    assert_eq!(
        udh.tolerated,
        Tolerated {
            missing_octets: 195,
            ..Tolerated::default()
        }
    );
    assert_eq!(Udh::read(&[]), None);
    assert_eq!(Shifts::of_header(&[]), Shifts::NONE);
}

#[test]
fn a_header_that_cannot_be_written_is_refused() {
    assert_eq!(Udh::default().to_octets().unwrap(), [] as [u8; 0]);
    let with = |lengths: &[usize]| Udh {
        others: lengths
            .iter()
            .map(|length| element(0x70, &vec![0; *length]))
            .collect(),
        ..Udh::default()
    };
    assert_eq!(with(&[253]).to_octets().unwrap().len(), 256);
    assert_eq!(with(&[254]).to_octets(), Err(UdhError::TooLong { octets: 256 }));
    assert_eq!(with(&[256]).to_octets(), Err(UdhError::TooLong { octets: 258 }));
    assert_eq!(
        with(&[100, 160]).to_octets(),
        Err(UdhError::TooLong { octets: 264 })
    );
}

/// Octets as hostile and confused peers make them: lengths near the truth, identifiers that mean something.
fn header() -> impl Strategy<Value = Vec<u8>> {
    let element = (
        prop_oneof![
            proptest::sample::select(vec![0u8, 1, 4, 5, 8, 0x24, 0x25]),
            any::<u8>()
        ],
        prop_oneof![9 => Just(0i8), 1 => any::<i8>()],
        proptest::collection::vec(prop_oneof![0u8..5, any::<u8>()], 0..6),
    );
    (
        proptest::collection::vec(element, 0..20),
        prop_oneof![9 => Just(0i8), 1 => any::<i8>()],
        proptest::collection::vec(any::<u8>(), 0..20),
    )
        .prop_map(|(elements, lie, body)| {
            let mut octets = vec![0];
            for (id, lie, data) in elements {
                octets.push(id);
                octets.push(u8::try_from(data.len()).unwrap().wrapping_add_signed(lie));
                octets.extend(data);
            }
            octets[0] = u8::try_from(octets.len() - 1).unwrap().wrapping_add_signed(lie);
            octets.extend(body);
            octets
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn hostile_octets_are_read_within_bounds(octets in prop_oneof![header(), proptest::collection::vec(any::<u8>(), 0..300)]) {
        let Some((udh, body)) = Udh::read(&octets) else {
            prop_assert!(octets.is_empty());
            return Ok(());
        };
        let header = octets.len() - body.len();
        prop_assert!(header <= 256 && udh.others.len() <= 127);
        // Every octet of the header is accounted for.
        let concats = usize::from(udh.tolerated.replaced_concats) + usize::from(udh.concat.is_some());
        let kept: usize = udh.others.iter().map(|element| 2 + element.data.len()).sum();
        let left = header - 1 - kept - usize::from(udh.tolerated.cut_octets);
        prop_assert!((concats * 5..=concats * 6).contains(&left));
        prop_assert_eq!(usize::from(octets[0]), header - 1 + usize::from(udh.tolerated.missing_octets));
        if let Some(concat) = udh.concat {
            prop_assert!((1..=concat.total).contains(&concat.sequence));
        }
        // Strict and tolerant reading agree where the standard lets it be read.
        match Udh::parse(&octets) {
            Ok(strict) => prop_assert_eq!(strict, (udh.clone(), body)),
            Err(UdhError::Truncated { .. }) => prop_assert!(udh.tolerated.missing_octets > 0),
            Err(UdhError::ElementTooLong { .. }) => prop_assert!(udh.tolerated.cut_octets > 0),
            Err(error) => prop_assert!(false, "{}", error),
        }
        // Written and read again, it is the same but for what was tolerated.
        let written = udh.to_octets().unwrap();
        if written.is_empty() {
            prop_assert!(udh.concat.is_none() && udh.others.is_empty());
        } else {
            let (again, rest) = Udh::parse(&written).unwrap();
            prop_assert_eq!(rest, &[] as &[u8]);
            prop_assert_eq!((again.concat, &again.others), (udh.concat, &udh.others));
            prop_assert_eq!((again.ports(), again.shifts()), (udh.ports(), udh.shifts()));
        }
    }
}
