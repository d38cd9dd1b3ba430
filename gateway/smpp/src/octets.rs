//! C-octet strings as they stand on the wire: bytes up to a NUL, in no particular character set.
//!
//! Knows nothing of SMPP fields or their lengths. Invariant: there is never a NUL inside, and the stored bytes always end
//! with one, so that the encoder hands them out without copying.

use std::fmt;
use thiserror::Error;

/// What fits without a heap allocation, NUL included: every address and every time of SMPP does.
const INLINE: usize = 22;

/// The bytes of a C-octet string, without assuming that they are text. Debug shows them escaped.
#[derive(Clone)]
pub struct COctets(Repr);

#[derive(Clone)]
enum Repr {
    /// `len` counts the bytes before the NUL; the rest of `buf` is zero.
    Inline { len: u8, buf: [u8; INLINE] },
    /// Ends with the NUL.
    Heap(Box<[u8]>),
}

/// A NUL inside a C-octet string: it would end the string early on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a C-octet string cannot hold a NUL (at byte {at})")]
pub struct NulInside {
    /// Where the first NUL is.
    pub at: usize,
}

impl COctets {
    /// The empty string.
    #[must_use]
    pub const fn new() -> Self {
        Self(Repr::Inline {
            len: 0,
            buf: [0; INLINE],
        })
    }

    /// Takes the bytes as they are.
    ///
    /// # Errors
    /// When there is a NUL among them.
    pub fn try_new(bytes: &[u8]) -> Result<Self, NulInside> {
        match bytes.iter().position(|byte| *byte == 0) {
            Some(at) => Err(NulInside { at }),
            None => Ok(Self::of(bytes)),
        }
    }

    /// Takes the bytes up to the first NUL, or all of them.
    #[must_use]
    pub fn until_nul(bytes: &[u8]) -> Self {
        match bytes.split(|byte| *byte == 0).next() {
            Some(head) => Self::of(head),
            None => Self::new(),
        }
    }

    fn of(bytes: &[u8]) -> Self {
        let mut buf = [0; INLINE];
        if let (true, Some(head), Ok(len)) = (
            bytes.len() < INLINE,
            buf.get_mut(..bytes.len()),
            u8::try_from(bytes.len()),
        ) {
            head.copy_from_slice(bytes);
            return Self(Repr::Inline { len, buf });
        }
        let mut owned = Vec::with_capacity(bytes.len().saturating_add(1));
        owned.extend_from_slice(bytes);
        owned.push(0);
        Self(Repr::Heap(owned.into_boxed_slice()))
    }

    /// The bytes without the NUL.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.as_bytes_with_nul()
            .split_last()
            .map_or(&[], |(_, head)| head)
    }

    /// The bytes with the NUL, as the wire wants them.
    #[must_use]
    pub fn as_bytes_with_nul(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { len, buf } => buf
                .get(..=usize::from(*len))
                .expect("an inline string is shorter than its buffer"),
            Repr::Heap(bytes) => bytes,
        }
    }

    /// Length without the NUL.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether there is nothing before the NUL.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The text, when it is UTF-8 (ASCII nearly always).
    #[must_use]
    pub fn to_str(&self) -> Option<&str> {
        std::str::from_utf8(self.as_bytes()).ok()
    }

    /// The text, with replacement characters for what is not UTF-8. For logs; an id that is
    /// stored is [`crate::message_id::canonical`].
    #[must_use]
    pub fn to_string_lossy(&self) -> String {
        String::from_utf8_lossy(self.as_bytes()).into_owned()
    }
}

impl Default for COctets {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for COctets {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for COctets {}

impl std::hash::Hash for COctets {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Debug for COctets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

impl fmt::Display for COctets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_bytes().escape_ascii())
    }
}

impl TryFrom<&str> for COctets {
    type Error = NulInside;

    fn try_from(text: &str) -> Result<Self, NulInside> {
        Self::try_new(text.as_bytes())
    }
}

impl TryFrom<String> for COctets {
    type Error = NulInside;

    fn try_from(text: String) -> Result<Self, NulInside> {
        Self::try_new(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_strings_keep_their_bytes_and_end_with_a_nul() {
        for len in [0usize, 1, 20, 21, 22, 23, 64, 300] {
            let bytes = vec![b'a'; len];
            let octets = COctets::try_new(&bytes).expect("no NUL");
            assert_eq!(octets.as_bytes(), bytes);
            assert_eq!(octets.as_bytes_with_nul().last(), Some(&0));
            assert_eq!(octets.as_bytes_with_nul().len(), len + 1);
            assert_eq!(octets.is_empty(), len == 0);
        }
    }

    #[test]
    fn a_nul_is_refused_or_ends_the_string() {
        assert_eq!(COctets::try_new(b"ab\0c"), Err(NulInside { at: 2 }));
        assert_eq!(COctets::until_nul(b"ab\0c").as_bytes(), b"ab");
        assert_eq!(COctets::until_nul(b"").as_bytes(), b"");
    }

    #[test]
    fn three_words_hold_a_string() {
        assert_eq!(std::mem::size_of::<COctets>(), 24);
    }
}
