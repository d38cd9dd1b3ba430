//! The table against itself and against rusmpp's list of tags, and how TLVs are judged.

use super::*;
use rusmpp_core::tlvs::TlvTag;

#[test]
fn the_table_is_in_order_and_fits_the_bits_that_count_repetitions() {
    assert!(TABLE.is_sorted_by(|a, b| a.tag < b.tag));
    assert!(TABLE.len() <= 128);
    let names: std::collections::BTreeSet<_> = TABLE.iter().map(|known| known.name).collect();
    assert_eq!(names.len(), TABLE.len());
    assert!(
        TABLE
            .iter()
            .all(|known| known.min <= known.max && known.pdus != NOWHERE)
    );
}

#[test]
fn the_tags_are_those_that_rusmpp_names() {
    for tag in 0..=u16::MAX {
        let theirs = !matches!(TlvTag::from(tag), TlvTag::Other(_));
        assert_eq!(definition(tag).is_some(), theirs, "{tag:#06x}");
    }
}

#[test]
fn tags_are_known_vendors_or_reserved() {
    assert!(matches!(class(tag::MESSAGE_STATE), TagClass::Known(known) if known.name == "message_state"));
    for (tag, expected) in [
        (0x0000, TagClass::Reserved),
        (0x13FF, TagClass::Reserved),
        (0x1400, TagClass::Vendor),
        (0x3FFF, TagClass::Vendor),
        (0x4000, TagClass::Reserved),
    ] {
        assert_eq!(class(tag), expected, "{tag:#06x}");
    }
}

#[test]
fn every_length_outside_the_rule_is_noted_and_every_one_inside_is_not() {
    let commands = (0..=0x200)
        .flat_map(|id| [id, id | 0x8000_0000])
        .map(CommandId::from);
    let commands: Vec<_> = commands.collect();
    for known in TABLE {
        let home = *commands
            .iter()
            .find(|command| known.stands_in(**command))
            .expect("every TLV stands somewhere");
        let around = [
            known.min.saturating_sub(1),
            known.min,
            known.max,
            known.max.saturating_add(1),
        ];
        for len in around {
            let mut tlvs = Tlvs::new();
            tlvs.push(known.tag, &vec![0; usize::from(len)]).expect("fits");
            let quirks = check(&tlvs, home, Version::V5_0);
            let wrong = len < known.min || len > known.max;
            assert_eq!(
                quirks.contains(Tolerated::TlvLength),
                wrong,
                "{} {len}",
                known.name
            );
            assert!(!quirks.contains(Tolerated::TlvMisplaced));
        }
    }
}

#[test]
fn a_pdu_full_of_tlvs_is_judged_once_through() {
    let mut tlvs = Tlvs::new();
    for _ in 0..16_000 {
        tlvs.push(tag::MESSAGE_STATE, &[2]).expect("fits");
    }
    let quirks = check(&tlvs, CommandId::DeliverSm, Version::V3_4);
    assert_eq!(quirks.iter().collect::<Vec<_>>(), [Tolerated::TlvRepeated]);
}
