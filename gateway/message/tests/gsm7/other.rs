//! Against an implementation of others, the crate `gsm7`: the same septets, packed the same way.
//!
//! Its writer is not asked where the septets end one bit short of an octet (one more than a multiple of eight): it writes
//! a bit of a carriage return into the padding there.

use proptest::prelude::*;
use smsgw_message::gsm7::{DEFAULT, FillBits, pack};

use super::gsm_text;

fn read(packed: &[u8], fill: FillBits, characters: usize) -> String {
    gsm7::Gsm7Reader::new_with_bit_offset(packed, u32::from(fill.bits()))
        .unwrap()
        .take(characters)
        .collect::<Result<_, _>>()
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn another_implementation_reads_what_we_pack(text in gsm_text(), header in 0usize..14) {
        let fill = FillBits::after_header(header);
        let packed = pack(&DEFAULT.encode(&text).unwrap(), fill).unwrap();
        if !text.is_empty() {
            prop_assert_eq!(read(&packed, fill, text.chars().count()), text);
        }
    }

    #[test]
    fn another_implementation_packs_the_same_octets(text in gsm_text()) {
        let units = DEFAULT.encode(&text).unwrap();
        if units.len() % 8 != 1 {
            let mut writer = gsm7::Gsm7Writer::new(Vec::new());
            writer.write_str(&text).unwrap();
            prop_assert_eq!(writer.into_writer().unwrap(), pack(&units, FillBits::NONE).unwrap());
        }
    }
}
