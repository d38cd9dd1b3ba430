//! Septets packed into octets (3GPP TS 23.038 §6.1.2.1), behind a user data header of any length.
//!
//! Knows no alphabet: a septet is a number below 128.
//!
//! Invariant PK-1: [`unpack`] of what [`pack`] made gives the septets back, with the fill bits and the count they were
//! packed with.

use thiserror::Error;

/// An octet with the high bit set where a septet was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("octet 0x{octet:02X} at position {position} is not a septet")]
pub struct NotASeptet {
    /// The octet.
    pub octet: u8,
    /// Its place, counted in octets from 0.
    pub position: usize,
}

/// Bits between a user data header and the first septet, so that septets start on a septet
/// boundary counted from the start of the user data (3GPP TS 23.040 §9.2.3.24). 0 to 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FillBits(u8);

impl FillBits {
    /// No header in front.
    pub const NONE: Self = Self(0);

    /// Behind a header of this many octets, its length octet included.
    #[must_use]
    pub const fn after_header(octets: usize) -> Self {
        // octets * 8 is octets modulo 7.
        match octets % 7 {
            0 => Self(0),
            1 => Self(6),
            2 => Self(5),
            3 => Self(4),
            4 => Self(3),
            5 => Self(2),
            _ => Self(1),
        }
    }

    /// The number of bits.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }
}

/// Packs septets into octets, behind the fill bits (which are 0).
pub fn pack(septets: &[u8], fill: FillBits) -> Result<Vec<u8>, NotASeptet> {
    let mut octets = Vec::with_capacity(septets.len() - septets.len() / 8 + 1);
    if septets.is_empty() {
        return Ok(octets);
    }
    let mut waiting: u32 = 0;
    let mut bits = u32::from(fill.0);
    for (position, septet) in septets.iter().copied().enumerate() {
        if septet > 0x7F {
            return Err(NotASeptet {
                octet: septet,
                position,
            });
        }
        waiting |= u32::from(septet) << bits;
        bits += 7;
        // At most 7 + 7 bits wait, so one octet leaves per septet.
        if bits >= 8 {
            let [low, ..] = waiting.to_le_bytes();
            octets.push(low);
            waiting >>= 8;
            bits -= 8;
        }
    }
    if bits > 0 {
        let [low, ..] = waiting.to_le_bytes();
        octets.push(low);
    }
    Ok(octets)
}

/// How many whole septets are in that many octets behind the fill bits.
///
/// # Limits
/// Seven padding bits look like one more septet 0 (`@`): a caller that knows the number of septets
/// must give that number to [`unpack`] instead.
#[must_use]
pub const fn septets_in(octets: usize, fill: FillBits) -> usize {
    (octets * 8).saturating_sub(fill.0 as usize) / 7
}

/// Unpacks `count` septets, or as many as there are.
#[must_use]
pub fn unpack(octets: &[u8], fill: FillBits, count: usize) -> Vec<u8> {
    let count = count.min(septets_in(octets.len(), fill));
    let mut septets = Vec::with_capacity(count);
    let mut waiting: u32 = 0;
    let mut bits: u32 = 0;
    let mut skip = u32::from(fill.0);
    for octet in octets {
        waiting |= u32::from(*octet) << bits;
        bits += 8;
        if skip > 0 {
            // Fewer than 8, and this is the first octet.
            waiting >>= skip;
            bits -= skip;
            skip = 0;
        }
        while bits >= 7 && septets.len() < count {
            let [low, ..] = waiting.to_le_bytes();
            septets.push(low & 0x7F);
            waiting >>= 7;
            bits -= 7;
        }
        if septets.len() == count {
            break;
        }
    }
    septets
}
