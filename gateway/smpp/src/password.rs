//! The secret of a bind. Knows no rule about its length. Invariant: no formatting shows it.

use crate::octets::{COctets, NulInside};
use std::fmt;

/// A password that neither Debug nor Display shows.
#[derive(Clone, Default)]
pub struct Password(COctets);

impl Password {
    /// Takes the bytes as they are.
    ///
    /// # Errors
    /// When there is a NUL among them.
    pub fn try_new(bytes: &[u8]) -> Result<Self, NulInside> {
        COctets::try_new(bytes).map(Self)
    }

    pub(crate) const fn from_octets(octets: COctets) -> Self {
        Self(octets)
    }

    pub(crate) const fn octets(&self) -> &COctets {
        &self.0
    }

    /// The secret itself, for whoever must check it.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Takes the same time wherever the first difference is; the length is not hidden.
impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (self.expose(), other.expose());
        a.len() == b.len() && a.iter().zip(b).fold(0, |seen, (x, y)| seen | (x ^ y)) == 0
    }
}

impl Eq for Password {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_compared_but_not_shown() {
        let secret = Password::try_new(b"secret08").expect("no NUL");
        assert_eq!(format!("{secret:?}"), "[redacted]");
        assert_eq!(secret, Password::try_new(b"secret08").expect("no NUL"));
        assert_ne!(secret, Password::try_new(b"secret09").expect("no NUL"));
        assert_ne!(secret, Password::try_new(b"secret").expect("no NUL"));
        assert!(Password::try_new(b"a\0b").is_err());
    }
}
