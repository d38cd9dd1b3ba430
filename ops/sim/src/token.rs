//! The first word of every generated text: what ties a submit at the carrier, or a callback, to the message accepted.
//!
//! 17 characters that every alphabet writes alike: `t` (towards the phone) or `m` (from the phone), 8 hex digits of the
//! run, 8 of the number. Invariant: [`Token::find`] takes nothing else for a token.

use std::fmt;

/// Length of a token in characters.
pub const LENGTH: usize = 17;

/// Which way the message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Way {
    /// To the phone.
    Mt,
    /// From the phone.
    Mo,
}

/// One message of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token {
    /// Which way.
    pub way: Way,
    /// Tells runs apart.
    pub run: u32,
    /// Counts messages of the run.
    pub number: u32,
}

impl Token {
    /// Reads a whole token.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (way, digits) = text.split_first()?;
        let way = match way {
            b't' => Way::Mt,
            b'm' => Way::Mo,
            _ => return None,
        };
        let digits: &[u8; 16] = digits.try_into().ok()?;
        let (run, number) = digits.split_at_checked(8)?;
        Some(Self {
            way,
            run: hex(run)?,
            number: hex(number)?,
        })
    }

    /// Writes its characters.
    pub fn write(self, out: &mut [u8; LENGTH]) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let (way, digits) = out.split_at_mut(1);
        way.fill(match self.way {
            Way::Mt => b't',
            Way::Mo => b'm',
        });
        let value = u64::from(self.run).wrapping_shl(32) | u64::from(self.number);
        for (place, digit) in digits.iter_mut().rev().enumerate() {
            let shift = u32::try_from(place).unwrap_or(0).wrapping_mul(4);
            let nibble = usize::try_from(value.wrapping_shr(shift) & 15).unwrap_or(0);
            *digit = DIGITS.get(nibble).copied().unwrap_or(b'0');
        }
    }

    /// The token that user data begins with, after a user data header if there is one; of UCS-2 the low octets count.
    #[must_use]
    pub fn find(user_data: &[u8], has_header: bool, data_coding: u8) -> Option<Self> {
        let text = if has_header {
            let header = usize::from(*user_data.first()?).checked_add(1)?;
            user_data.get(header..)?
        } else {
            user_data
        };
        let wide = data_coding & 0x0C == 0x08;
        let mut head = [0_u8; LENGTH];
        if wide {
            let (pairs, _) = text.as_chunks::<2>();
            for (at, pair) in head.iter_mut().zip(pairs.get(..LENGTH)?) {
                *at = match pair {
                    [0, low] => *low,
                    _ => return None,
                };
            }
        } else {
            head.copy_from_slice(text.get(..LENGTH)?);
        }
        Self::parse(&head)
    }
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit.wrapping_sub(b'0'),
            b'a'..=b'f' => digit.wrapping_sub(b'a').wrapping_add(10),
            _ => return None,
        };
        Some(value.wrapping_shl(4) | u32::from(digit))
    })
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = match self.way {
            Way::Mt => 't',
            Way::Mo => 'm',
        };
        write!(f, "{way}{:08x}{:08x}", self.run, self.number)
    }
}

impl serde::Serialize for Token {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Token {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(text.as_bytes()).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no token")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: Token = Token {
        way: Way::Mt,
        run: 0x00c0_ffee,
        number: 0xfedc_ba98,
    };

    #[test]
    fn what_is_written_is_found_again() {
        let text = format!("{TOKEN} and more");
        assert_eq!(text.find(' '), Some(LENGTH));
        let mut written = [0; LENGTH];
        TOKEN.write(&mut written);
        assert!(text.as_bytes().starts_with(&written));
        assert_eq!(Token::find(text.as_bytes(), false, 0), Some(TOKEN));
        let mut with_header = vec![5, 0, 3, 7, 2, 1];
        with_header.extend_from_slice(text.as_bytes());
        assert_eq!(Token::find(&with_header, true, 0), Some(TOKEN));
        let wide: Vec<u8> = text.bytes().flat_map(|byte| [0, byte]).collect();
        assert_eq!(Token::find(&wide, false, 8), Some(TOKEN));
    }

    #[test]
    fn other_text_holds_no_token() {
        for text in [
            &b""[..],
            b"t",
            b"x00c0ffee00000001",
            b"t00C0FFEE00000001",
            b"second part of a long text",
        ] {
            assert_eq!(Token::find(text, false, 0), None);
            assert_eq!(Token::find(text, true, 0), None);
        }
    }
}
