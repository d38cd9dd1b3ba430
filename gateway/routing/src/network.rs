//! Codes of mobile networks and countries, and which network a ported number belongs to.
//!
//! ```text
//! 491701234567 26202     number and network, with a space, tab, comma or semicolon between     # a comment
//! ```
//! Ten million numbers are kept in 4 octets each: numbers are sorted and cut into blocks that share all but their last 16
//! bits, and a block keeps those 16 bits and the number of the network. Opens no file: whoever reads one gives its lines to
//! [`PortedBuilder::line`].
//!
//! Invariant NW-1: [`PortedNumbers::network`] answers as a walk over all lines would.
//!
//! # Limits
//! A number has 1 to 15 digits and begins with its country code, so with no 0. At most 16,384 networks.

use crate::plan::Plmn;
use rustc_hash::FxHashMap;
use std::fmt;
use thiserror::Error;

/// Most digits of a number: E.164.
const MAX_DIGITS: usize = 15;
/// Bits of a number of a network while the table is made.
const NETWORK_BITS: u32 = 14;

/// A mobile country code, with a mobile network code or without (ITU-T E.212): `262`, `262-01`, `310-004`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkCode {
    mcc: u16,
    /// Its value and how many digits it has: `01` and `001` are two codes. None: the whole country.
    mnc: Option<(u16, u8)>,
}

impl NetworkCode {
    /// Reads `262`, `26201` or `262-01`.
    pub fn from_text(text: &str) -> Option<Self> {
        let (mcc, mnc) = match text.split_once('-') {
            Some((mcc, mnc)) if !mnc.is_empty() => (mcc, mnc),
            Some(_) => return None,
            None => text.split_at_checked(3)?,
        };
        let digits = |text: &str| text.bytes().all(|octet| octet.is_ascii_digit());
        if mcc.len() != 3 || !digits(mcc) || !digits(mnc) {
            return None;
        }
        let length = u8::try_from(mnc.len()).ok()?;
        let mnc = match length {
            0 => None,
            2 | 3 => Some((mnc.parse().ok()?, length)),
            _ => return None,
        };
        Some(Self {
            mcc: mcc.parse().ok()?,
            mnc,
        })
    }

    /// The code of a network of the number plan.
    pub fn of(plmn: Plmn<'_>) -> Option<Self> {
        let mnc = (plmn.mnc.parse().ok()?, u8::try_from(plmn.mnc.len()).ok()?);
        Some(Self {
            mcc: plmn.mcc.parse().ok()?,
            mnc: Some(mnc),
        })
    }

    /// The country code alone.
    #[must_use]
    pub fn country(self) -> Self {
        Self { mnc: None, ..self }
    }

    /// Whether a network is meant: the same one, or any of the country.
    pub fn contains(self, network: Self) -> bool {
        self == network || (self.mnc.is_none() && self.mcc == network.mcc)
    }

    /// Whether it names one network.
    pub fn is_network(self) -> bool {
        self.mnc.is_some()
    }
}

impl fmt::Display for NetworkCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}", self.mcc)?;
        match self.mnc {
            Some((mnc, length)) => write!(f, "-{mnc:0width$}", width = usize::from(length)),
            None => Ok(()),
        }
    }
}

/// A country as the number plan names it: ISO 3166-1 alpha-2, or `001` for codes of no country.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CountryCode([u8; 3]);

impl CountryCode {
    /// Reads two capital letters, or `001`.
    pub fn from_text(text: &str) -> Option<Self> {
        match text.as_bytes() {
            [a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase() => Some(Self([*a, *b, 0])),
            b"001" => Some(Self(*b"001")),
            _other => None,
        }
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0)
            .expect("made of ASCII")
            .trim_end_matches('\0')
    }
}

impl fmt::Display for CountryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A line that is no entry, or a table that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PortedError {
    /// A number and nothing else, or more than two fields.
    #[error("a line has a number and a network code such as 26201")]
    NotTwo,
    /// The first field is no number.
    #[error("the number is not 1 to {MAX_DIGITS} digits that begin with a country code")]
    Number,
    /// The second field is no network.
    #[error("the network is not an MCC of three digits and an MNC of two or three")]
    Network,
    /// More networks than can be numbered.
    #[error("there are more than {} networks", 1 << NETWORK_BITS)]
    TooManyNetworks,
    /// Two lines contradict each other.
    #[error("{0} numbers stand there twice with different networks")]
    Contradictions(usize),
    /// More numbers than can be counted.
    #[error("there are more than 4,294,967,295 numbers")]
    TooMany,
}

/// Ported numbers on their way into a table.
#[derive(Debug, Default)]
pub struct PortedBuilder {
    /// Number, then the number of its network.
    rows: Vec<u64>,
    networks: Vec<NetworkCode>,
    known: FxHashMap<NetworkCode, u64>,
}

impl PortedBuilder {
    /// Takes a line: an entry, or nothing but space and a comment behind `#`.
    pub fn line(&mut self, line: &[u8]) -> Result<(), PortedError> {
        let content = line.split(|octet| *octet == b'#').next().unwrap_or_default();
        let is_space = |octet: &u8| octet.is_ascii_whitespace() || b",;".contains(octet);
        let mut fields = content.split(is_space).filter(|field| !field.is_empty());
        let (number, network) = match (fields.next(), fields.next(), fields.next()) {
            (None, ..) => return Ok(()),
            (Some(number), Some(network), None) => (number, network),
            (Some(_), ..) => return Err(PortedError::NotTwo),
        };
        let number = number.strip_prefix(b"+").unwrap_or(number);
        let number = std::str::from_utf8(number)
            .ok()
            .and_then(value)
            .ok_or(PortedError::Number)?;
        let network = std::str::from_utf8(network)
            .ok()
            .and_then(NetworkCode::from_text)
            .filter(|network| network.is_network())
            .ok_or(PortedError::Network)?;
        let index = match self.known.get(&network) {
            Some(index) => *index,
            None => {
                let index = u64::try_from(self.networks.len()).unwrap_or(u64::MAX);
                if index >> NETWORK_BITS != 0 {
                    return Err(PortedError::TooManyNetworks);
                }
                self.networks.push(network);
                self.known.insert(network, index);
                index
            }
        };
        self.rows.push(number << NETWORK_BITS | index);
        Ok(())
    }

    /// The table.
    pub fn build(self) -> Result<PortedNumbers, PortedError> {
        let Self {
            mut rows, networks, ..
        } = self;
        rows.sort_unstable();
        rows.dedup();
        let contradictions = rows
            .windows(2)
            .filter(|pair| matches!(pair, [one, next] if one >> NETWORK_BITS == next >> NETWORK_BITS))
            .count();
        if contradictions > 0 {
            return Err(PortedError::Contradictions(contradictions));
        }
        u32::try_from(rows.len()).map_err(|_| PortedError::TooMany)?;
        let mut table = PortedNumbers {
            networks,
            lows: Vec::with_capacity(rows.len()),
            owners: Vec::with_capacity(rows.len()),
            ..PortedNumbers::default()
        };
        for (row, at) in rows.into_iter().zip(0_u32..) {
            let number = row >> NETWORK_BITS;
            let high = number >> 16;
            if table.highs.last() != Some(&high) {
                table.highs.push(high);
                table.starts.push(at);
            }
            table.lows.push(low(number));
            let owner = row & ((1 << NETWORK_BITS) - 1);
            table
                .owners
                .push(u16::try_from(owner).expect("fourteen bits fit"));
        }
        table.highs.shrink_to_fit();
        table.starts.shrink_to_fit();
        Ok(table)
    }
}

/// Which network each ported number belongs to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PortedNumbers {
    networks: Vec<NetworkCode>,
    /// The numbers of blocks without their last 16 bits, ascending.
    highs: Vec<u64>,
    /// Where each block begins.
    starts: Vec<u32>,
    /// The last 16 bits, ascending within a block.
    lows: Vec<u16>,
    /// Indices of networks.
    owners: Vec<u16>,
}

impl PortedNumbers {
    /// The network of a number that was ported.
    pub fn network(&self, digits: &str) -> Option<NetworkCode> {
        let number = value(digits)?;
        let block = self.highs.binary_search(&(number >> 16)).ok()?;
        let start = usize::try_from(*self.starts.get(block)?).ok()?;
        let end = match self.starts.get(block + 1) {
            Some(end) => usize::try_from(*end).ok()?,
            None => self.lows.len(),
        };
        let within = self.lows.get(start..end)?.binary_search(&low(number)).ok()?;
        let owner = self.owners.get(start + within)?;
        self.networks.get(usize::from(*owner)).copied()
    }

    /// How many numbers it has.
    pub fn len(&self) -> usize {
        self.lows.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.lows.is_empty()
    }

    /// Memory of the table, in octets.
    pub fn octets(&self) -> usize {
        self.networks.len() * size_of::<NetworkCode>()
            + self.highs.len() * (size_of::<u64>() + size_of::<u32>())
            + self.lows.len() * 2 * size_of::<u16>()
    }
}

fn low(number: u64) -> u16 {
    u16::try_from(number & 0xFFFF).expect("sixteen bits fit")
}

/// The number that digits are; those that begin with 0 are none.
fn value(digits: &str) -> Option<u64> {
    let right = (1..=MAX_DIGITS).contains(&digits.len())
        && !digits.starts_with('0')
        && digits.bytes().all(|octet| octet.is_ascii_digit());
    right.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::collections::btree_map::Entry;

    #[test]
    fn codes_are_read_and_shown() {
        for (text, shown) in [
            ("262", "262"),
            ("26201", "262-01"),
            ("262-01", "262-01"),
            ("310004", "310-004"),
            ("001-01", "001-01"),
        ] {
            assert_eq!(NetworkCode::from_text(text).unwrap().to_string(), shown);
        }
        for wrong in [
            "", "26", "2620", "2620001", "262-", "262-1", "26a", "26-201", "é62",
        ] {
            assert_eq!(NetworkCode::from_text(wrong), None, "{wrong}");
        }
        let code = |text| NetworkCode::from_text(text).unwrap();
        assert_ne!(code("31001"), code("310001"), "01 and 001 are two codes");
        assert!(code("262").contains(code("26201")) && !code("26202").contains(code("26201")));
        assert!(CountryCode::from_text("DE").is_some() && CountryCode::from_text("001").is_some());
        assert_eq!(CountryCode::from_text("de"), None);
    }

    #[test]
    fn lines_are_read_with_any_separator_and_wrong_ones_are_named() {
        let mut builder = PortedBuilder::default();
        for line in [
            "491701234567 26202",
            "+491701234568;262-03 # x",
            "# none",
            "",
            "4917,26202\r",
        ] {
            builder.line(line.as_bytes()).unwrap();
        }
        for (line, error) in [
            ("49170", PortedError::NotTwo),
            ("49170 26202 1", PortedError::NotTwo),
            ("049170 26202", PortedError::Number),
            ("4917012345678901 26202", PortedError::Number),
            ("49170 262", PortedError::Network),
        ] {
            assert_eq!(builder.line(line.as_bytes()), Err(error), "{line}");
        }
        let table = builder.build().unwrap();
        let network = |digits| table.network(digits).map(|code| code.to_string());
        assert_eq!(network("491701234568").as_deref(), Some("262-03"));
        assert_eq!(network("4917").as_deref(), Some("262-02"));
        assert_eq!(
            (network("491701234569"), network("x"), network("")),
            (None, None, None)
        );
        assert_eq!(table.len(), 3);
    }

    #[test]
    fn a_number_with_two_networks_refuses_the_table() {
        let mut builder = PortedBuilder::default();
        for line in ["4917 26202", "4917 26202", "4918 26201", "4918 26202"] {
            builder.line(line.as_bytes()).unwrap();
        }
        assert_eq!(builder.build(), Err(PortedError::Contradictions(1)));
    }

    proptest! {
        /// NW-1, over numbers near the ends of blocks and of every length.
        #[test]
        fn the_table_answers_as_a_walk_over_all_lines(
            rows in proptest::collection::vec((1_u64..999_999_999_999_999, 0_u64..70_000, 0_usize..3), 0..60),
        ) {
            let mut builder = PortedBuilder::default();
            let mut naive = BTreeMap::new();
            for (base, near, network) in rows {
                let number = (base >> 20 << 16 | near).max(1).to_string();
                let network = ["26201", "26202", "310004"][network];
                if let Entry::Vacant(place) = naive.entry(number) {
                    builder.line(format!("{} {network}", place.key()).as_bytes()).unwrap();
                    place.insert(NetworkCode::from_text(network).unwrap());
                }
            }
            let table = builder.build().unwrap();
            for (number, network) in &naive {
                prop_assert_eq!(table.network(number), Some(*network));
                let next = (number.parse::<u64>().unwrap() + 1).to_string();
                prop_assert_eq!(table.network(&next), naive.get(&next).copied());
            }
        }
    }
}
