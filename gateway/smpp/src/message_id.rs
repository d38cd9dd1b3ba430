//! Ids of messages as carriers and clients write them, as text that can be stored, compared and written again.
//!
//! A message_id is a C-octet string in no particular character set; ours are text everywhere above the codec. The
//! *canonical form* is the id's text without the blanks around it (some pad ids to a width, and receipts are read word by
//! word), with a backslash doubled and every octet that is no printable UTF-8 written as `\xNN` in lower case. It says
//! the same of the same octets wherever they stood (answer, TLV, text of a receipt), and [`octets`] gives them back.
//! Knows nothing of hexadecimal and decimal: that two ids mean one number is the profile's to say.
//!
//! Invariant: different ids (blanks around them apart) have different canonical forms.

use crate::octets::COctets;

/// Longest id taken from a peer; SMPP 3.4 and 5.0 allow 64, carriers exceed it.
pub const MAX: usize = 255;

/// The canonical form of an id's octets. Empty when there is nothing but blanks.
#[must_use]
pub fn canonical(octets: &[u8]) -> String {
    let octets = octets.trim_ascii();
    let is_plain = |octet: &u8| octet.is_ascii_graphic() && *octet != b'\\';
    if octets.iter().all(is_plain)
        && let Ok(text) = str::from_utf8(octets)
    {
        // Nearly always.
        return text.to_owned();
    }
    let mut text = String::with_capacity(octets.len());
    for chunk in octets.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '\\' => text.push_str("\\\\"),
                char if char.is_control() => {
                    let mut buffer = [0; 4];
                    for octet in char.encode_utf8(&mut buffer).bytes() {
                        escape(&mut text, octet);
                    }
                }
                char => text.push(char),
            }
        }
        for octet in chunk.invalid() {
            escape(&mut text, *octet);
        }
    }
    text
}

fn escape(text: &mut String, octet: u8) {
    text.push_str("\\x");
    for nibble in [octet >> 4, octet & 0x0F] {
        text.extend(char::from_digit(u32::from(nibble), 16));
    }
}

/// The octets behind a canonical form, to be written to the carrier that gave the id. `None` when it is none: a lone
/// backslash, a NUL.
#[must_use]
pub fn octets(canonical: &str) -> Option<COctets> {
    if !canonical.contains('\\') {
        return COctets::try_new(canonical.as_bytes()).ok();
    }
    let mut octets = Vec::with_capacity(canonical.len());
    let mut rest = canonical.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = match (first, tail) {
            (b'\\', [b'\\', tail @ ..]) => {
                octets.push(b'\\');
                tail
            }
            (b'\\', [b'x', high, low, tail @ ..]) => {
                octets.push(nibble(*high)? << 4 | nibble(*low)?);
                tail
            }
            (b'\\', _) => return None,
            (octet, tail) => {
                octets.push(*octet);
                tail
            }
        };
    }
    COctets::try_new(&octets).ok()
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(digit.wrapping_sub(b'a').wrapping_add(10)),
        _ => None,
    }
}

/// An id that SMPP 3.3 can carry: eight hexadecimal digits (its message_id has room for no more).
#[must_use]
pub fn hex(number: u32) -> COctets {
    COctets::until_nul(format!("{number:08X}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn usual_ids_are_their_own_canonical_form() {
        for id in [
            "0A7",
            "04062581461565934000241",
            "0198-ab",
            "0e999f21-1c5e-4a55-9a3a-0a3f0c1f7c11",
            "id/7+x=",
            "Zürich",
        ] {
            assert_eq!(canonical(id.as_bytes()), id);
            assert_eq!(
                octets(id).map(|octets| octets.as_bytes().to_vec()),
                Some(id.into())
            );
        }
    }

    #[test]
    fn blanks_around_an_id_do_not_count_and_blanks_inside_do() {
        assert_eq!(canonical(b"  0A7 \r\n"), "0A7");
        assert_eq!(canonical(b"0 A7"), "0 A7");
        assert_eq!(canonical(b" \t "), "");
    }

    #[test]
    fn octets_that_are_no_text_are_escaped_and_stay_distinct() {
        assert_eq!(canonical(b"\xff\x01A\\x"), "\\xff\\x01A\\\\x");
        assert_ne!(canonical(b"\xff"), canonical(b"\xfe"));
        assert_ne!(canonical(b"\\xff"), canonical(b"\xff"));
        for broken in ["\\", "a\\", "\\xF0", "\\x1", "\\y", "\\x00"] {
            assert_eq!(octets(broken), None, "{broken}");
        }
    }

    #[test]
    fn ids_of_3_3_have_eight_hexadecimal_digits() {
        assert_eq!(hex(0x1D6_A811).as_bytes(), b"01D6A811");
        assert_eq!(hex(u32::MAX).as_bytes(), b"FFFFFFFF");
    }

    proptest! {
        #[test]
        fn the_canonical_form_gives_the_octets_back(id in prop::collection::vec(1u8.., 0..80)) {
            let text = canonical(&id);
            prop_assert_eq!(octets(&text).map(|octets| octets.as_bytes().to_vec()), Some(id.trim_ascii().to_vec()));
            prop_assert!(!text.chars().any(char::is_control));
        }
    }
}
