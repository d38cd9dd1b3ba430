//! What a text must be like to be stored, and what of a number may be.
//!
//! Pure. PostgreSQL takes no NUL in a text, whoever sent it; both databases get the same.

use smsgw_message::Address;

/// Longest text of a column, in octets; what peers send as ids and errors is shorter.
const LONGEST: usize = 16 * 1024;

/// A text that both databases take.
pub(crate) fn text(text: String) -> String {
    let mut text = match text.contains('\0') {
        true => text.replace('\0', "\u{FFFD}"),
        false => text,
    };
    if text.len() > LONGEST {
        let cut = (0..=LONGEST).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(cut.unwrap_or(0));
    }
    text
}

/// An address as it is stored: digits without a plus, the last `mask` of a number replaced. Names are no numbers.
pub(crate) fn address(address: &Address, mask: u8) -> String {
    masked(address.as_str(), address.is_numeric(), mask)
}

/// What somebody looks for, made as [`address`] makes what is stored.
pub(crate) fn wanted(number: &str, mask: u8) -> String {
    let digits = number.strip_prefix('+').unwrap_or(number);
    let numeric = !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit());
    match numeric {
        true => masked(digits, true, mask),
        false => text(number.to_owned()),
    }
}

fn masked(address: &str, numeric: bool, mask: u8) -> String {
    let address = text(address.to_owned());
    if mask == 0 || !numeric {
        return address;
    }
    let kept = address.len().saturating_sub(usize::from(mask));
    let head = address.get(..kept).unwrap_or_default();
    format!("{head}{}", "x".repeat(address.len().saturating_sub(kept)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_for_is_written_like_what_is_stored() {
        let number = Address::msisdn("+491700000001").unwrap();
        assert_eq!(address(&number, 0), "491700000001");
        assert_eq!(address(&number, 4), "49170000xxxx");
        assert_eq!(address(&number, 200), "x".repeat(12));
        for mask in [0, 4, 200] {
            assert_eq!(wanted("+491700000001", mask), address(&number, mask));
            assert_eq!(wanted("491700000001", mask), address(&number, mask));
            assert_eq!(wanted("Example", mask), "Example");
        }
    }

    #[test]
    fn no_nul_and_no_half_character() {
        assert_eq!(text("a\0b".to_owned()), "a\u{FFFD}b");
        let long = text("ä".repeat(10_000));
        assert_eq!(long.len(), LONGEST);
    }
}
