//! Reads a number plan from text, and names everything that is wrong with it by line.
//!
//! One entry a line, fields parted by tabs, UTF-8; lines that are empty or start with `#` say nothing:
//!
//! ```text
//! country <tab> DE <tab> 49 <tab> Germany                   ISO 3166 code, calling code, name
//! country <tab> 001/870 <tab> 870 <tab> Inmarsat            a calling code of no country
//! network <tab> de-telekom <tab> DE <tab> 262-01 <tab> Telekom   key, country, MCC-MNC or -, name
//! 49 <tab> DE                                               prefix, key of a country
//! 4915112 <tab> de-telekom                                  prefix, key of a network
//! ```
//! Declarations may stand anywhere. Keys of networks are any word without a capital letter. A prefix may lead to a country
//! and to a network, on two lines. Invariant: a plan is read whole or not at all.

use super::{CountryRow, NONE, NetworkRow, NumberPlan, Target};
use rustc_hash::FxHashMap;
use std::fmt;
use thiserror::Error;

/// Digits in a number (ITU-T E.164).
const PREFIX_DIGITS: usize = 15;

/// What is wrong with one line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {kind}")]
pub struct PlanError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    #[source]
    pub kind: PlanErrorKind,
}

/// What can be wrong with a line of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanErrorKind {
    /// Neither `country`, `network` nor digits in front.
    #[error("starts with neither country, network nor a prefix of 1 to 15 digits")]
    UnknownEntry,
    /// Too few or too many fields.
    #[error("has {found} fields instead of {expected}")]
    Fields {
        /// As the format wants.
        expected: usize,
        /// As the line has.
        found: usize,
    },
    /// Neither two capital letters nor `001/` and a calling code.
    #[error("{0:?} is no key of a country")]
    CountryKey(String),
    /// Not 1 to 999.
    #[error("{0:?} is no calling code")]
    CallingCode(String),
    /// Empty, or with a capital letter or a space.
    #[error("{0:?} is no key of a network")]
    NetworkKey(String),
    /// Neither `-` nor three digits, a dash and two or three digits.
    #[error("{0:?} is no network code, which is written 262-01, or - when it is not known")]
    Plmn(String),
    /// A name without a character.
    #[error("the name is empty")]
    NoName,
    /// The same key is declared, or the same prefix leads to something of that kind, on an earlier line.
    #[error("says {what:?} again, which line {first} says")]
    Twice {
        /// Key or prefix.
        what: String,
        /// The earlier line.
        first: usize,
    },
    /// A key that is not declared.
    #[error("names {0:?}, which no line declares")]
    Unknown(String),
    /// More countries or networks than a plan can number.
    #[error("there are more than 65535 countries or networks")]
    TooMany,
}

/// Everything that is wrong with a plan, in the order of its lines. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct PlanErrors(pub Vec<PlanError>);

impl fmt::Display for PlanErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed to read the number plan")?;
        self.0.iter().try_for_each(|error| write!(f, "\n{error}"))
    }
}

impl NumberPlan {
    /// Reads a plan; see the module `plan::read` in the source for its format, and `builtin.tsv` for a large one.
    ///
    /// # Errors
    /// Everything that is wrong, by line.
    pub fn try_new(text: &str) -> Result<Self, PlanErrors> {
        let mut reader = Reader::default();
        let entries: Vec<(usize, Vec<&str>)> = text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
            .map(|(index, line)| (index + 1, line.split('\t').collect()))
            .collect();
        // Countries, then what names them, then what names both.
        for pass in [Reader::country, Reader::network, Reader::prefix] {
            for (line, fields) in &entries {
                if let Err(kind) = pass(&mut reader, *line, fields) {
                    reader.errors.push(PlanError { line: *line, kind });
                }
            }
        }
        if reader.errors.is_empty() {
            Ok(Self::build(reader.countries, reader.networks, &reader.prefixes))
        } else {
            reader.errors.sort_by_key(|error| error.line);
            Err(PlanErrors(reader.errors))
        }
    }
}

/// A declared key: its line, and what it stands for. A declaration with an error still makes its key known.
type Known<'a> = FxHashMap<&'a str, (usize, Option<u16>)>;

#[derive(Default)]
struct Reader<'a> {
    countries: Vec<CountryRow>,
    networks: Vec<NetworkRow>,
    prefixes: Vec<(&'a str, Target)>,
    country_keys: Known<'a>,
    network_keys: Known<'a>,
    /// Prefixes by whether they lead to a network, with their line.
    seen: FxHashMap<(&'a str, bool), usize>,
    errors: Vec<PlanError>,
}

impl<'a> Reader<'a> {
    fn country(&mut self, line: usize, fields: &[&'a str]) -> Result<(), PlanErrorKind> {
        if fields.first() != Some(&"country") {
            return Ok(());
        }
        let [_, key, code, name] = counted(fields)?;
        declare(&mut self.country_keys, key, line)?;
        if !is_country_key(key) {
            return Err(PlanErrorKind::CountryKey(key.to_owned()));
        }
        let calling_code = digits(code, 1..=3)
            .and_then(|code| code.parse().ok())
            .filter(|code| *code > 0)
            .ok_or_else(|| PlanErrorKind::CallingCode(code.to_owned()))?;
        let row = CountryRow {
            iso2: key.split('/').next().unwrap_or(key).into(),
            calling_code,
            name: named(name)?,
        };
        let index = number(self.countries.len())?;
        self.countries.push(row);
        self.country_keys.insert(key, (line, Some(index)));
        Ok(())
    }

    fn network(&mut self, line: usize, fields: &[&'a str]) -> Result<(), PlanErrorKind> {
        if fields.first() != Some(&"network") {
            return Ok(());
        }
        let [_, key, country, plmn, name] = counted(fields)?;
        declare(&mut self.network_keys, key, line)?;
        let plain = |c: char| !c.is_whitespace() && !c.is_uppercase();
        if key.is_empty() || !key.chars().all(plain) {
            return Err(PlanErrorKind::NetworkKey(key.to_owned()));
        }
        let plmn = match plmn {
            "-" => None,
            code => Some(read_plmn(code).ok_or_else(|| PlanErrorKind::Plmn(code.to_owned()))?),
        };
        let name = named(name)?;
        let Some(country) = resolve(&self.country_keys, country)? else {
            return Ok(());
        };
        let index = number(self.networks.len())?;
        self.networks.push(NetworkRow { country, plmn, name });
        self.network_keys.insert(key, (line, Some(index)));
        Ok(())
    }

    fn prefix(&mut self, line: usize, fields: &[&'a str]) -> Result<(), PlanErrorKind> {
        let Some(first) = fields
            .first()
            .copied()
            .filter(|first| !["country", "network"].contains(first))
        else {
            return Ok(());
        };
        let prefix = digits(first, 1..=PREFIX_DIGITS).ok_or(PlanErrorKind::UnknownEntry)?;
        let [_, key] = counted(fields)?;
        let to_network = self.network_keys.contains_key(key);
        let before = self.seen.insert((prefix, to_network), line);
        if let Some(first) = before {
            return Err(PlanErrorKind::Twice {
                what: prefix.to_owned(),
                first,
            });
        }
        let target = if to_network {
            resolve(&self.network_keys, key)?.map(Target::Network)
        } else {
            resolve(&self.country_keys, key)?.map(Target::Country)
        };
        self.prefixes.extend(target.map(|target| (prefix, target)));
        Ok(())
    }
}

fn counted<'a, const N: usize>(fields: &[&'a str]) -> Result<[&'a str; N], PlanErrorKind> {
    fields.try_into().map_err(|_| PlanErrorKind::Fields {
        expected: N,
        found: fields.len(),
    })
}

fn declare<'a>(known: &mut Known<'a>, key: &'a str, line: usize) -> Result<(), PlanErrorKind> {
    if let Some((first, _)) = known.get(key) {
        return Err(PlanErrorKind::Twice {
            what: key.to_owned(),
            first: *first,
        });
    }
    known.insert(key, (line, None));
    Ok(())
}

/// `None` for a key whose declaration has an error of its own.
fn resolve(known: &Known<'_>, key: &str) -> Result<Option<u16>, PlanErrorKind> {
    known
        .get(key)
        .map(|(_, index)| *index)
        .ok_or_else(|| PlanErrorKind::Unknown(key.to_owned()))
}

fn number(index: usize) -> Result<u16, PlanErrorKind> {
    u16::try_from(index)
        .ok()
        .filter(|index| *index != NONE)
        .ok_or(PlanErrorKind::TooMany)
}

fn named(name: &str) -> Result<Box<str>, PlanErrorKind> {
    if name.trim().is_empty() {
        return Err(PlanErrorKind::NoName);
    }
    Ok(name.trim().into())
}

fn is_country_key(key: &str) -> bool {
    match key.strip_prefix("001/") {
        Some(code) => digits(code, 1..=3).is_some(),
        None => key.len() == 2 && key.bytes().all(|octet| octet.is_ascii_uppercase()),
    }
}

fn read_plmn(code: &str) -> Option<(Box<str>, Box<str>)> {
    let (mcc, mnc) = code.split_once('-')?;
    Some((digits(mcc, 3..=3)?.into(), digits(mnc, 2..=3)?.into()))
}

fn digits(text: &str, length: std::ops::RangeInclusive<usize>) -> Option<&str> {
    (length.contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_digit())).then_some(text)
}
