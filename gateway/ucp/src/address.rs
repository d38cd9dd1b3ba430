//! Addresses: AdC, and OAdC with its OTOA (EMI-UCP 4.0 section 5.2.1).
//!
//! A name is written as packed septets in hexadecimal digits behind their number of semi-octets, under OTOA 5039; an
//! international number under OTOA 1139; anything else as it is dialled. Invariant: what [`sender`] writes,
//! [`read_sender`] reads.
//!
//! # Limits
//! A name of a peer with septets that say nothing in the default alphabet comes back with U+FFFD. Some peers count whole
//! octets, which makes a name of seven characters one of eight that ends in `@`: so that `@` is left out.

use crate::text::Text;
use smsgw_message::gsm7::{self, FillBits};
use smsgw_message::{Address, Npi, Ton};

/// Digits of AdC at most.
const MAX_ADC: usize = 16;
/// Characters of OAdC at most.
const MAX_OADC: usize = 22;
const ALPHANUMERIC: &str = "5039";
const INTERNATIONAL: &str = "1139";

/// How international numbers are written in AdC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NumberFormat {
    /// `0049…`.
    #[default]
    DoubleZero,
    /// `49…`.
    Plain,
    /// `+49…`, which few centres take.
    Plus,
}

/// AdC of a recipient. `None` where it does not fit.
#[must_use]
pub fn recipient(to: &Address, format: NumberFormat) -> Option<Text> {
    let prefix = match format {
        NumberFormat::DoubleZero => "00",
        NumberFormat::Plain => "",
        NumberFormat::Plus => "+",
    };
    let prefix = if to.ton() == Ton::INTERNATIONAL {
        prefix
    } else {
        ""
    };
    let digits = format!("{prefix}{to}");
    // The prefix is beyond the count of digits that the standard has in mind: 15 digits go with it.
    (to.is_numeric() && digits.len() <= MAX_ADC.saturating_add(1)).then(|| Text::new(&digits))?
}

/// The address of a number of a peer: AdC, and OAdC without OTOA.
#[must_use]
pub fn read_number(text: &Text) -> Address {
    Address::from_wire(Ton::UNKNOWN, Npi::ISDN, text.as_str())
}

/// OAdC and OTOA of a sender. `None` where it does not fit.
#[must_use]
pub fn sender(from: &Address) -> Option<(Text, Text)> {
    if from.as_str().is_empty() {
        return Some((Text::default(), Text::default()));
    }
    if from.is_numeric() {
        let otoa = if from.ton() == Ton::INTERNATIONAL {
            INTERNATIONAL
        } else {
            ""
        };
        let fits = from.as_str().len() <= MAX_OADC;
        return fits.then(|| Some((Text::new(from.as_str())?, Text::new(otoa)?)))?;
    }
    let septets = gsm7::DEFAULT.encode(from.as_str()).ok()?;
    let packed = gsm7::pack(&septets, FillBits::NONE).ok()?;
    let semi_octets = septets.len().saturating_mul(7).div_ceil(4);
    let mut octets = vec![u8::try_from(semi_octets).ok()?];
    octets.extend(packed);
    let text = Text::hex(&octets);
    (text.as_str().len() <= MAX_OADC).then(|| Some((text, Text::new(ALPHANUMERIC)?)))?
}

/// Who a message of a peer is from. A name that cannot be read counts as it stands.
#[must_use]
pub fn read_sender(oadc: &Text, otoa: &Text) -> Address {
    match otoa.as_str() {
        ALPHANUMERIC => {
            let name = read_name(oadc).unwrap_or_else(|| oadc.to_string());
            Address::from_wire(Ton::ALPHANUMERIC, Npi::UNKNOWN, &name)
        }
        INTERNATIONAL => Address::from_wire(Ton::INTERNATIONAL, Npi::ISDN, oadc.as_str()),
        _ => read_number(oadc),
    }
}

fn read_name(oadc: &Text) -> Option<String> {
    let octets = oadc.octets()?;
    let (semi_octets, packed) = octets.split_first()?;
    let septets = usize::from(*semi_octets).saturating_mul(4) / 7;
    let mut septets = gsm7::unpack(packed, FillBits::NONE, septets);
    if septets.len().is_multiple_of(8) && septets.last() == Some(&0) {
        septets.pop();
    }
    Some(gsm7::DEFAULT.decode(&septets).0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_the_standard_is_written_and_read() {
        let from = Address::sender("ALPHA@NUM").unwrap();
        let (oadc, otoa) = sender(&from).unwrap();
        assert_eq!((oadc.as_str(), otoa.as_str()), ("10412614190438AB4D", "5039"));
        assert_eq!(read_sender(&oadc, &otoa), from);
    }

    #[test]
    fn numbers_are_written_in_each_format() {
        let to = Address::msisdn("+491700000001").unwrap();
        let written = |format| recipient(&to, format).unwrap().to_string();
        assert_eq!(written(NumberFormat::DoubleZero), "00491700000001");
        assert_eq!(written(NumberFormat::Plain), "491700000001");
        assert_eq!(written(NumberFormat::Plus), "+491700000001");
        assert_eq!(read_number(&Text::new("00491700000001").unwrap()), to);
        assert_eq!(
            recipient(&Address::sender("ACME").unwrap(), NumberFormat::Plain),
            None
        );
        let pair = |from: &str| {
            let (oadc, otoa) = sender(&Address::sender(from).unwrap()).unwrap();
            (oadc.to_string(), otoa.to_string())
        };
        assert_eq!(pair("12345"), ("12345".to_owned(), String::new()));
        assert_eq!(
            pair("491700000001"),
            ("491700000001".to_owned(), "1139".to_owned())
        );
        assert_eq!(
            sender(&Address::default()),
            Some((Text::default(), Text::default()))
        );
    }

    #[test]
    fn a_name_of_seven_characters_is_one_however_it_is_counted() {
        let from = Address::sender("SEVENUP").unwrap();
        let (oadc, otoa) = sender(&from).unwrap();
        assert!(oadc.as_str().starts_with("0D"), "{oadc}");
        let whole_octets = Text::new(&oadc.as_str().replacen("0D", "0E", 1)).unwrap();
        assert_eq!(read_sender(&oadc, &otoa), from);
        assert_eq!(read_sender(&whole_octets, &otoa), from);
    }

    #[test]
    fn a_name_that_is_none_stands_as_it_is() {
        let otoa = Text::new("5039").unwrap();
        for broken in ["ACME", "1", "ZZ"] {
            assert_eq!(read_sender(&Text::new(broken).unwrap(), &otoa).as_str(), broken);
        }
    }

    proptest! {
        #[test]
        fn names_of_up_to_11_characters_come_back(name in "[A-Za-z0-9@_ ]{0,9}[A-Za-z][A-Za-z0-9]{0,1}") {
            prop_assume!(name.trim() == name && !(name.len() == 8 && name.ends_with('@')));
            let from = Address::sender(&name).unwrap();
            let (oadc, otoa) = sender(&from).unwrap();
            prop_assert_eq!(read_sender(&oadc, &otoa), from);
        }
    }
}
