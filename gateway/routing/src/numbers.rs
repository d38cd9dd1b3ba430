//! Sets of numbers and prefixes, millions of them: which destinations are allowed or denied.
//!
//! ```text
//! 491701234567    this number          # a comment
//! 4990*           every number that begins so
//! *               every number
//! ```
//! A number is one key of 64 bits, its digits packed four bits each; prefixes have one table for each length that occurs,
//! as routes have. Opens no file: whoever reads one gives its lines to [`NumberSetBuilder::line`].
//!
//! Invariant NS-1: [`NumberSet::contains`] answers as a walk over all entries would.
//!
//! Measured by `examples/number_set.rs` (optimised build, two cores shared with compilers at work): 5 million numbers take
//! 72 MB (112 MB while they are made ready), are read in 0.6 s and made ready in 0.7 s; 150 to 490 ns a lookup.
//!
//! # Limits
//! Digits are compared as they stand: an entry is to be written with its country code, without `00`.

use rustc_hash::FxHashSet;
use std::fmt;
use thiserror::Error;

/// Most digits of an entry: E.164.
pub const MAX_DIGITS: usize = 15;

/// A line that is no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EntryError {
    /// Something that is no digit, behind so many octets of the line.
    #[error("octet {0} is no digit; an entry is a number or, with * at its end, a prefix")]
    NotADigit(usize),
    /// A sign and no digit.
    #[error("there is no digit")]
    NoDigits,
    /// More digits than a number has.
    #[error("{0} digits, more than the {MAX_DIGITS} of a number")]
    TooLong(usize),
}

/// Entries on their way into a set.
#[derive(Debug, Default)]
pub struct NumberSetBuilder {
    exact: Vec<u64>,
    /// By length.
    prefixes: [Vec<u64>; MAX_DIGITS],
    any: bool,
}

impl NumberSetBuilder {
    /// Takes a line of a list: an entry, or nothing but space and a comment behind `#`.
    pub fn line(&mut self, line: &[u8]) -> Result<(), EntryError> {
        let end = line.iter().position(|octet| *octet == b'#').unwrap_or(line.len());
        let (content, _comment) = line.split_at(end);
        let before = content.len() - content.trim_ascii_start().len();
        let entry = content.trim_ascii();
        if entry.is_empty() {
            return Ok(());
        }
        self.entry(entry).map_err(|error| match error {
            EntryError::NotADigit(at) => EntryError::NotADigit(before + at),
            EntryError::NoDigits | EntryError::TooLong(_) => error,
        })
    }

    /// Takes an entry: digits, with `+` before them or not, and `*` behind those of a prefix.
    pub fn entry(&mut self, entry: &[u8]) -> Result<(), EntryError> {
        let digits = entry.strip_prefix(b"+").unwrap_or(entry);
        let sign = entry.len() - digits.len();
        let prefix = digits.strip_suffix(b"*");
        let digits = prefix.unwrap_or(digits);
        if let Some(at) = digits.iter().position(|octet| !octet.is_ascii_digit()) {
            return Err(EntryError::NotADigit(sign + at));
        }
        if digits.len() > MAX_DIGITS {
            return Err(EntryError::TooLong(digits.len()));
        }
        let key = pack(digits);
        match (prefix, digits.len().checked_sub(1)) {
            (None, None) => return Err(EntryError::NoDigits),
            (Some(_), None) if sign > 0 => return Err(EntryError::NoDigits),
            (Some(_), None) => self.any = true,
            (None, Some(_)) => self.exact.push(key),
            (Some(_), Some(length)) => self
                .prefixes
                .get_mut(length)
                .expect("lengths up to the most have a place")
                .push(key),
        }
        Ok(())
    }

    /// How many entries it took.
    pub fn len(&self) -> usize {
        self.prefixes
            .iter()
            .map(Vec::len)
            .sum::<usize>()
            .saturating_add(self.exact.len())
            .saturating_add(usize::from(self.any))
    }

    /// Whether it took none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The set.
    #[must_use]
    pub fn build(self) -> NumberSet {
        let mut fingerprint = Fingerprint::default();
        let mut table = |mut keys: Vec<u64>| {
            keys.sort_unstable();
            keys.dedup();
            keys.iter().for_each(|key| fingerprint.add(*key));
            // Filled to the size it needs: a table that grows would hold half of it in vain.
            let mut set = FxHashSet::with_capacity_and_hasher(keys.len(), Default::default());
            set.extend(keys);
            set
        };
        let exact = table(self.exact);
        let prefixes = self
            .prefixes
            .into_iter()
            .zip(1..)
            .filter(|(keys, _)| !keys.is_empty())
            // The marker tells a prefix from the number with the same digits.
            .map(|(keys, length)| (length, table(keys.into_iter().map(|key| key | PREFIX).collect())))
            .collect();
        if self.any {
            fingerprint.add(PREFIX);
        }
        NumberSet {
            exact,
            prefixes,
            any: self.any,
            fingerprint,
        }
    }
}

/// A sum over all entries, so that two sets can be compared without walking through them. Not against somebody who wants
/// two sets to look the same: the lists are the operator's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Fingerprint(u64, u64);

impl Fingerprint {
    fn add(&mut self, key: u64) {
        self.0 = self.0.wrapping_add(mix(key ^ 0x9E37_79B9_7F4A_7C15));
        self.1 = self.1.wrapping_add(mix(key.wrapping_add(0xD1B5_4A32_D192_ED03)));
    }
}

/// The finaliser of SplitMix64.
fn mix(key: u64) -> u64 {
    let key = (key ^ (key >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let key = (key ^ (key >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    key ^ (key >> 31)
}

/// Numbers and prefixes. Two sets are equal when they have the same entries.
#[derive(Clone, Default)]
pub struct NumberSet {
    exact: FxHashSet<u64>,
    /// By length, shortest first; only lengths that occur.
    prefixes: Vec<(usize, FxHashSet<u64>)>,
    any: bool,
    fingerprint: Fingerprint,
}

impl NumberSet {
    /// Whether an entry is this number, or a prefix of it. What is not a number is in a set only that has `*`.
    #[must_use]
    pub fn contains(&self, digits: &str) -> bool {
        if self.any {
            return true;
        }
        let digits = digits.as_bytes();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return false;
        }
        // More digits than a key holds can have prefixes in the set, but not be in it.
        let known = digits.get(..MAX_DIGITS).unwrap_or(digits);
        let key = pack(known);
        (known.len() == digits.len() && self.exact.contains(&key))
            || self.prefixes.iter().any(|(length, keys)| {
                known
                    .len()
                    .checked_sub(*length)
                    .is_some_and(|surplus| keys.contains(&(key >> (4 * surplus) | PREFIX)))
            })
    }

    /// How many entries it has; the same one twice counts once.
    #[must_use]
    pub fn len(&self) -> usize {
        let prefixes: usize = self.prefixes.iter().map(|(_, keys)| keys.len()).sum();
        prefixes
            .saturating_add(self.exact.len())
            .saturating_add(usize::from(self.any))
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl PartialEq for NumberSet {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.fingerprint == other.fingerprint
    }
}

impl Eq for NumberSet {}

impl fmt::Debug for NumberSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NumberSet({} entries)", self.len())
    }
}

/// In no key of digits: fifteen of them take 60 bits.
const PREFIX: u64 = 1 << 63;

/// Digits four bits each, the last one lowest: 1 for `0` to 10 for `9`, so that no number has the key of one with more
/// zeros in front. A prefix's key is that of the number shifted right.
fn pack(digits: &[u8]) -> u64 {
    digits
        .iter()
        .fold(0, |key, octet| (key << 4) | (u64::from(octet & 0x0F) + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(lines: &[&str]) -> NumberSet {
        let mut builder = NumberSetBuilder::default();
        for line in lines {
            builder.line(line.as_bytes()).unwrap();
        }
        builder.build()
    }

    #[test]
    fn lines_are_numbers_prefixes_comments_and_space() {
        let set = set(&[
            "# a list",
            "",
            "  491701234567 # one",
            "+4990*\r",
            "\t0*",
            "491701234567",
        ]);
        assert_eq!(set.len(), 3);
        for (number, there) in [
            ("491701234567", true),
            ("49170123456", false),
            ("4917012345678", false),
            ("4990", true),
            ("499", false),
            ("49901", true),
            ("0", true),
            ("00", true),
            ("", false),
            ("ACME", false),
            ("4990x", false),
            ("49901234567890123456", true),
        ] {
            assert_eq!(set.contains(number), there, "{number}");
        }
    }

    #[test]
    fn wrong_lines_say_where() {
        let mut builder = NumberSetBuilder::default();
        for (line, error) in [
            ("49x", EntryError::NotADigit(2)),
            ("  +49x", EntryError::NotADigit(5)),
            ("49**", EntryError::NotADigit(2)),
            ("4 9", EntryError::NotADigit(1)),
            ("+", EntryError::NoDigits),
            ("+*", EntryError::NoDigits),
            ("1234567890123456", EntryError::TooLong(16)),
            ("\u{661}", EntryError::NotADigit(0)),
        ] {
            assert_eq!(builder.line(line.as_bytes()), Err(error), "{line}");
        }
        assert!(builder.is_empty());
    }

    #[test]
    fn a_star_is_everybody() {
        assert!(set(&["*"]).contains("1") && set(&["*"]).contains("ACME"));
        assert!(set(&[]).is_empty() && !set(&[]).contains("1"));
    }

    #[test]
    fn sets_are_equal_by_their_entries() {
        assert_eq!(set(&["1", "2*", "3"]), set(&["3", "2*", "1", "1"]));
        assert_ne!(set(&["1"]), set(&["1*"]));
        assert_ne!(set(&["1"]), set(&["01"]));
        assert_ne!(set(&["1", "4"]), set(&["2", "3"]));
        assert_ne!(set(&["*"]), set(&[]));
    }

    fn digits(most: usize) -> impl Strategy<Value = String> {
        // Few digits, so that entries meet numbers.
        proptest::collection::vec(prop_oneof![4 => 0u8..3, 1 => 0u8..10], 1..=most)
            .prop_map(|digits| digits.iter().map(|digit| char::from(b'0' + digit)).collect())
    }

    proptest! {
        /// NS-1.
        #[test]
        fn the_set_answers_as_a_walk_over_all_entries(
            entries in proptest::collection::vec((digits(15), any::<bool>()), 0..40),
            numbers in proptest::collection::vec(digits(20), 1..20),
        ) {
            let mut builder = NumberSetBuilder::default();
            for (entry, prefix) in &entries {
                let line = if *prefix { format!("{entry}*") } else { entry.clone() };
                builder.line(line.as_bytes()).unwrap();
            }
            let set = builder.build();
            for number in numbers.iter().chain(entries.iter().map(|(entry, _)| entry)) {
                let naive = entries
                    .iter()
                    .any(|(entry, prefix)| entry == number || (*prefix && number.starts_with(entry)));
                prop_assert_eq!(set.contains(number), naive, "{}", number);
            }
        }

        #[test]
        fn whatever_octets_a_line_has_it_is_taken_or_refused(line in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut builder = NumberSetBuilder::default();
            let taken = builder.line(&line).is_ok();
            prop_assert!(taken || builder.is_empty());
        }
    }
}
