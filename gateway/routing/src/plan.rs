//! Number plan: which country and which home network a number belongs to, by its first digits.
//!
//! ```text
//! 4915112345678 -> country DE (49, Germany), network 262-01 Telekom
//! ```
//! [`NumberPlan::builtin`] is compiled in; an operator with a plan of his own reads it with [`NumberPlan::try_new`] (format:
//! `read`). The module knows no route and no price, opens no file and asks nobody.
//!
//! Prefixes are flattened into ranges of numbers when the plan is built, each range with the country and the network of
//! the longest prefixes that cover it. A lookup is one binary search, shortened by a table over the first four digits.
//!
//! Invariant PL-1: [`NumberPlan::country`] and [`NumberPlan::network`] each answer with the longest prefix of their kind
//! that the number starts with; what a naive walk over all prefixes would answer is the reference.
//!
//! Measured by `examples/plan_lookup.rs` (optimised build, the built-in plan, random numbers of 12 digits, two cores shared
//! with compilers at work): 30 ns a lookup, 0.63 MB, read once in 23 ms.
//!
//! # Limits
//! - The network is the one the range was allocated to. A ported number has another one: ask the table of ported numbers
//!   first. Where the sources do not lead to one network code the network has a name only.
//! - The digits are those of an international number, without `+` and `00`. A number may be too short, too long or not
//!   allocated and still have a country: this is a plan, not a check of numbers.

mod read;
#[cfg(test)]
mod tests;

pub use read::{PlanError, PlanErrorKind, PlanErrors};

use std::mem::size_of;
use std::sync::LazyLock;

/// Digits that take part in a lookup: one more than E.164 allows.
const DIGITS: usize = 16;
/// Digits the bucket table is over.
const BUCKET_DIGITS: u32 = 4;
const BUCKETS: usize = 1 << (4 * BUCKET_DIGITS);
/// No country, no network.
const NONE: u16 = u16::MAX;

static BUILTIN: LazyLock<NumberPlan> = LazyLock::new(|| {
    NumberPlan::try_new(include_str!("plan/builtin.tsv")).expect("the built-in plan is read in the tests")
});

/// A country, or an international service with a calling code of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Country<'a> {
    /// ISO 3166-1 alpha-2; `XK` for Kosovo, `AC` and `TA` for Ascension and Tristan da Cunha, and `001` (the world of
    /// UN M.49) for codes of no country: satellites, +800, +882, …
    pub iso2: &'a str,
    /// Calling code (ITU-T E.164), 1 to 999. Countries that share one have the same.
    pub calling_code: u16,
    /// English name.
    pub name: &'a str,
}

/// Mobile country code and mobile network code (ITU-T E.212), as digits: `01` and `001` are two codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Plmn<'a> {
    /// Three digits.
    pub mcc: &'a str,
    /// Two or three digits.
    pub mnc: &'a str,
}

impl std::fmt::Display for Plmn<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.mcc, self.mnc)
    }
}

/// The network a range of numbers was allocated to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network<'a> {
    /// Its code, where the plan knows it. Of a network with several codes, its first.
    pub plmn: Option<Plmn<'a>>,
    /// Its name.
    pub name: &'a str,
    /// Its country.
    pub country: Country<'a>,
}

/// How much a plan holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanSize {
    /// Countries and international services.
    pub countries: usize,
    /// Networks.
    pub networks: usize,
    /// Networks whose code is known.
    pub networks_with_code: usize,
    /// Prefixes, as they were written.
    pub prefixes: usize,
    /// Memory of the tables, in octets.
    pub octets: usize,
}

#[derive(Debug)]
struct CountryRow {
    iso2: Box<str>,
    calling_code: u16,
    name: Box<str>,
}

#[derive(Debug)]
struct NetworkRow {
    country: u16,
    /// MCC and MNC.
    plmn: Option<(Box<str>, Box<str>)>,
    name: Box<str>,
}

/// What a prefix leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Country(u16),
    Network(u16),
}

/// Indices of country and network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Owner {
    country: u16,
    network: u16,
}

const NOBODY: Owner = Owner {
    country: NONE,
    network: NONE,
};

/// Countries and networks by prefix.
#[derive(Debug)]
pub struct NumberPlan {
    countries: Vec<CountryRow>,
    networks: Vec<NetworkRow>,
    /// First number of each range, packed; a range ends where the next one starts.
    starts: Vec<u64>,
    owners: Vec<Owner>,
    /// How many ranges start below each combination of the first four digits.
    buckets: Vec<u32>,
    prefixes: usize,
}

impl NumberPlan {
    /// The plan that is compiled in; read on the first call (23 ms), the same for ever after.
    #[must_use]
    pub fn builtin() -> &'static Self {
        &BUILTIN
    }

    /// The country these digits start with.
    #[must_use]
    pub fn country(&self, digits: &str) -> Option<Country<'_>> {
        self.country_at(self.owner(digits)?.country)
    }

    /// The network these digits were allocated to.
    #[must_use]
    pub fn network(&self, digits: &str) -> Option<Network<'_>> {
        let row = self.networks.get(usize::from(self.owner(digits)?.network))?;
        Some(Network {
            plmn: row.plmn.as_ref().map(|(mcc, mnc)| Plmn { mcc, mnc }),
            name: &row.name,
            country: self.country_at(row.country)?,
        })
    }

    /// How much it holds.
    #[must_use]
    pub fn size(&self) -> PlanSize {
        let of_country = |row: &CountryRow| size_of::<CountryRow>() + row.iso2.len() + row.name.len();
        let of_network = |row: &NetworkRow| {
            let plmn = row.plmn.as_ref().map_or(0, |(mcc, mnc)| mcc.len() + mnc.len());
            size_of::<NetworkRow>() + plmn + row.name.len()
        };
        PlanSize {
            countries: self.countries.len(),
            networks: self.networks.len(),
            networks_with_code: self.networks.iter().filter(|row| row.plmn.is_some()).count(),
            prefixes: self.prefixes,
            octets: self.countries.iter().map(of_country).sum::<usize>()
                + self.networks.iter().map(of_network).sum::<usize>()
                + self.starts.len() * (size_of::<u64>() + size_of::<Owner>())
                + self.buckets.len() * size_of::<u32>(),
        }
    }

    fn country_at(&self, index: u16) -> Option<Country<'_>> {
        self.countries.get(usize::from(index)).map(|row| Country {
            iso2: &row.iso2,
            calling_code: row.calling_code,
            name: &row.name,
        })
    }

    fn owner(&self, digits: &str) -> Option<Owner> {
        let key = pack(digits)?;
        let bucket = bucket(key);
        let from = usize::try_from(*self.buckets.get(bucket)?).ok()?;
        let to = usize::try_from(*self.buckets.get(bucket + 1)?).ok()?;
        let within = self.starts.get(from..to)?.partition_point(|start| *start <= key);
        self.owners.get((from + within).checked_sub(1)?).copied()
    }

    /// Flattens prefixes into ranges. Each holds 1 to 15 digits, and none occurs twice with the same kind of target.
    fn build(countries: Vec<CountryRow>, networks: Vec<NetworkRow>, prefixes: &[(&str, Target)]) -> Self {
        // Shorter prefixes in front of the ones within them.
        let mut sorted: Vec<(u64, usize, Target)> = prefixes
            .iter()
            .filter_map(|(prefix, target)| Some((pack(prefix)?, prefix.len(), *target)))
            .collect();
        sorted.sort_unstable();
        let mut ranges = Ranges::default();
        let mut open: Vec<(u64, Owner)> = Vec::new();
        for (start, length, target) in sorted {
            close(&mut open, start, &mut ranges);
            let around = open.last().map_or(NOBODY, |(_, owner)| *owner);
            let owner = match target {
                Target::Country(country) => Owner { country, ..around },
                Target::Network(network) => Owner { network, ..around },
            };
            let span = u32::try_from(4 * (DIGITS - length.min(DIGITS)))
                .ok()
                .and_then(|shift| 1_u64.checked_shl(shift))
                .unwrap_or(1);
            open.push((start.saturating_add(span), owner));
            ranges.begin(start, owner);
        }
        close(&mut open, u64::MAX, &mut ranges);
        let Ranges { starts, owners } = ranges;
        let buckets = (0..=BUCKETS)
            .map(|number| {
                let below = starts.partition_point(|start| bucket(*start) < number);
                u32::try_from(below).expect("a plan has fewer than 2^32 prefixes")
            })
            .collect();
        Self {
            countries,
            networks,
            starts,
            owners,
            buckets,
            prefixes: prefixes.len(),
        }
    }
}

/// Ranges as they are found, in order; neighbours with the same owner are one.
#[derive(Default)]
struct Ranges {
    starts: Vec<u64>,
    owners: Vec<Owner>,
}

impl Ranges {
    fn begin(&mut self, start: u64, owner: Owner) {
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.owners.pop();
        }
        if self.owners.last() != Some(&owner) {
            self.starts.push(start);
            self.owners.push(owner);
        }
    }
}

/// Ends the prefixes that end at or before `start`: behind each goes on what is around it.
fn close(open: &mut Vec<(u64, Owner)>, start: u64, ranges: &mut Ranges) {
    while let Some((end, _)) = open.pop_if(|(end, _)| *end <= start) {
        ranges.begin(end, open.last().map_or(NOBODY, |(_, owner)| *owner));
    }
}

/// Up to sixteen digits, four bits each, the first one highest: 1 for `0` to 10 for `9`, and 0 behind the end, so that a
/// number that is shorter than a prefix stands in front of its range. `None` for what is no number.
fn pack(digits: &str) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let (known, more) = digits.as_bytes().split_at(digits.len().min(DIGITS));
    let digit = |octet: u8| octet.is_ascii_digit().then_some(u64::from(octet & 0x0F) + 1);
    let key = known
        .iter()
        .try_fold(0, |key, octet| Some(key << 4 | digit(*octet)?))?;
    let behind = 4 * (DIGITS - known.len());
    more.iter().all(u8::is_ascii_digit).then_some(key << behind)
}

fn bucket(key: u64) -> usize {
    usize::try_from(key >> (64 - 4 * BUCKET_DIGITS)).expect("sixteen bits fit")
}
