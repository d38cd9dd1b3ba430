//! What a text must be like to be stored, and what of a number may be.
//!
//! Pure. PostgreSQL takes no NUL in a text, whoever sent it; both databases get the same.

use std::borrow::Cow;

/// Longest text of a column, in octets; what peers send as ids and errors is shorter.
const LONGEST: usize = 16 * 1024;

/// A text that both databases take.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    match text.contains('\0') {
        true => Cow::Owned(head(&text.replace('\0', "\u{FFFD}")).to_owned()),
        false => Cow::Borrowed(head(text)),
    }
}

fn head(text: &str) -> &str {
    text.split_at(text.floor_char_boundary(LONGEST)).0
}

/// An address as it is stored: digits without a plus, the last `mask` of a number replaced. Names are no numbers.
pub(crate) fn address(address: &str, mask: u8) -> Cow<'_, str> {
    if mask == 0 || !is_number(address) {
        return text(address);
    }
    let kept = address.len().saturating_sub(usize::from(mask));
    let hidden = address.len().saturating_sub(kept);
    let head = address.get(..kept).unwrap_or_default();
    Cow::Owned(format!("{head}{}", "x".repeat(hidden)))
}

/// What somebody looks for, made as [`address`] makes what is stored.
pub(crate) fn wanted(number: &str, mask: u8) -> String {
    let digits = number.strip_prefix('+').unwrap_or(number);
    let wanted = match is_number(digits) {
        true => address(digits, mask),
        false => text(number),
    };
    wanted.into_owned()
}

fn is_number(address: &str) -> bool {
    !address.is_empty() && address.bytes().all(|octet| octet.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_for_is_written_like_what_is_stored() {
        let number = "491700000001";
        assert_eq!(address(number, 0), number);
        assert_eq!(address(number, 4), "49170000xxxx");
        assert_eq!(address(number, 200), "x".repeat(12));
        for mask in [0, 4, 200] {
            assert_eq!(wanted("+491700000001", mask), address(number, mask));
            assert_eq!(wanted(number, mask), address(number, mask));
            assert_eq!(wanted("Example", mask), "Example");
        }
    }

    #[test]
    fn no_nul_and_no_half_character() {
        assert_eq!(text("a\0b"), "a\u{FFFD}b");
        let long = text(&"ä".repeat(10_000)).into_owned();
        assert_eq!(long.len(), LONGEST);
    }
}
