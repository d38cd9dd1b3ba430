//! The GSM 7-bit default alphabet and its extension (3GPP TS 23.038 §6.2.1), to write and to check texts.
//!
//! A table of its own: the gateway's must agree with it, not be it. Invariant: what [`encode`] writes, [`decode`] reads.
//!
//! # Limits
//! No national language tables.

/// Code 0x1b is the escape; here a character that nothing is encoded as.
const PLAIN: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\u{1b}ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
const EXTENSION: [(u8, char); 10] = [
    (0x0A, '\u{c}'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2F, '\\'),
    (0x3C, '['),
    (0x3D, '~'),
    (0x3E, ']'),
    (0x40, '|'),
    (0x65, '€'),
];
const ESCAPE: u8 = 0x1B;

/// Septets, one an octet; `None` when a character has none.
pub(crate) fn encode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    for character in text.chars() {
        if let Some((code, _)) = EXTENSION.iter().find(|(_, known)| *known == character) {
            out.extend_from_slice(&[ESCAPE, *code]);
        } else {
            let at = PLAIN.chars().position(|known| known == character)?;
            out.push(u8::try_from(at).ok().filter(|code| *code != ESCAPE)?);
        }
    }
    Some(out)
}

/// The text of unpacked septets; what has no meaning becomes U+FFFD.
pub(crate) fn decode(septets: &[u8]) -> String {
    let mut text = String::with_capacity(septets.len());
    let mut rest = septets.iter();
    while let Some(septet) = rest.next() {
        let character = match *septet {
            // Where both tables agree with ASCII: nearly everything.
            b' '..=b'#' | b'%'..=b'?' | b'A'..=b'Z' | b'a'..=b'z' => Some(char::from(*septet)),
            ESCAPE => rest
                .next()
                .and_then(|code| EXTENSION.iter().find(|(known, _)| known == code))
                .map(|(_, character)| *character),
            other => PLAIN.chars().nth(usize::from(other)),
        };
        text.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    text
}

/// Packs septets behind so many fill bits (3GPP TS 23.038 §6.1.2.1).
pub(crate) fn pack(septets: &[u8], fill: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(septets.len());
    let (mut held, mut bits) = (0_u32, fill);
    for septet in septets {
        held |= u32::from(septet & 0x7F).wrapping_shl(bits);
        bits = bits.saturating_add(7);
        if bits >= 8 {
            out.push(held.to_le_bytes()[0]);
            held = held.wrapping_shr(8);
            bits = bits.saturating_sub(8);
        }
    }
    if bits > 0 {
        out.push(held.to_le_bytes()[0]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_is_read_as_it_was_written() {
        assert_eq!(PLAIN.chars().count(), 128);
        let text: String = PLAIN
            .chars()
            .filter(|character| *character != '\u{1b}')
            .chain(EXTENSION.iter().map(|(_, character)| *character))
            .collect();
        assert_eq!(decode(&encode(&text).unwrap()), text);
        assert_eq!(encode("a@_$é€").unwrap(), [0x61, 0, 0x11, 2, 5, 0x1b, 0x65]);
        assert_eq!(encode("ç"), None);
    }

    #[test]
    fn septets_are_packed_as_the_standard_shows() {
        // The example that every implementation is checked with.
        assert_eq!(
            pack(&encode("hellohello").unwrap(), 0),
            [0xE8, 0x32, 0x9B, 0xFD, 0x46, 0x97, 0xD9, 0xEC, 0x37]
        );
        assert_eq!(pack(b"a", 1), [0xC2]);
    }
}
