//! What a part costs a client: exact, by destination and time.
//!
//! ```text
//! [client acme, prefix 49] 0.062 EUR      acme to 4917…: 0.062, its own list comes first
//! [prefix 4917]            0.071 EUR      others to 4917…: 0.071
//! [prefix 4917, from 2027] 0.069 EUR      and from 2027 on: 0.069, the price that began last
//! ```
//! Money is a whole number of millionths: nothing is rounded, ever. Reads no clock: the time is an argument. Knows no
//! balance; whether a client can pay is asked elsewhere.
//!
//! Invariant PR-1: of the prices that are valid, a client's own come before those for all; then the longest prefix; then
//! the one that began last; then the first in the file.

use crate::by_client::ByClient;
use smsgw_message::{Address, ClientId, Timestamp};
use std::fmt;
use thiserror::Error;

/// Millionths of one unit of a currency: 75,000 is 0.075.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MicroUnits(i64);

impl MicroUnits {
    /// Digits behind the point.
    const PLACES: usize = 6;
    const ONE: i64 = 1_000_000;
    /// The largest price of a part: a million units. 65,535 parts of it still fit.
    const MOST: i64 = 1_000_000 * Self::ONE;

    /// So many millionths.
    pub const fn new(millionths: i64) -> Self {
        Self(millionths)
    }

    /// Reads a price such as `0.075` or `12`: no sign, at most six digits behind the point, at most 1,000,000.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::decimal(text)
            .filter(|millionths| *millionths <= Self::MOST)
            .map(Self)
    }

    fn decimal(text: &str) -> Option<i64> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > Self::PLACES {
            return None;
        }
        let fraction = format!("{fraction:0<width$}", width = Self::PLACES);
        whole
            .parse::<i64>()
            .ok()?
            .checked_mul(Self::ONE)?
            .checked_add(fraction.parse().ok()?)
    }

    /// Reads an amount of money such as `-250.5`: at most six digits behind the point, at most 1,000,000,000 either way.
    pub fn from_amount(text: &str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let amount = Self::decimal(digits).filter(|amount| *amount <= Self::MOST * 1_000)?;
        Some(Self(if negative { -amount } else { amount }))
    }

    /// The millionths.
    pub const fn as_i64(self) -> i64 {
        self.0
    }

    /// So many times as much; the most there is where that does not fit.
    #[must_use]
    pub fn times(self, parts: u16) -> Self {
        Self(self.0.saturating_mul(i64::from(parts)))
    }
}

/// A decimal number without trailing zeros: `0.075`, `12`.
impl fmt::Display for MicroUnits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let one = Self::ONE.unsigned_abs();
        let (whole, rest) = (self.0.unsigned_abs() / one, self.0.unsigned_abs() % one);
        write!(f, "{sign}{whole}")?;
        if rest > 0 {
            let places = format!("{rest:06}");
            write!(f, ".{}", places.trim_end_matches('0'))?;
        }
        Ok(())
    }
}

/// A currency by its code of three letters (ISO 4217), or a code of the operator's own such as `PTS`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The euro.
    pub const EUR: Self = Self(*b"EUR");

    /// Reads three capital letters.
    pub fn from_text(text: &str) -> Option<Self> {
        let code: [u8; 3] = text.as_bytes().try_into().ok()?;
        code.iter().all(u8::is_ascii_uppercase).then_some(Self(code))
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("three ASCII letters are UTF-8")
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A price as it is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceRow {
    /// For these clients; none: all.
    pub clients: Vec<ClientId>,
    /// First digits of the recipient; none: any number.
    pub prefixes: Vec<String>,
    /// Of a part.
    pub price: MicroUnits,
    /// In this currency.
    pub currency: Currency,
    /// Valid from then on; absent: always was.
    pub from: Option<Timestamp>,
    /// Not valid from then on; absent: for ever.
    pub until: Option<Timestamp>,
}

impl PriceRow {
    fn is_valid(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at < until)
    }
}

/// What a part costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// Of a part.
    pub per_part: MicroUnits,
    /// In this currency.
    pub currency: Currency,
}

/// Prices that cannot be looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PriceError {
    /// A prefix with something other than digits.
    #[error("price {0} has a prefix with something other than digits")]
    NotDigits(usize),
    /// More than can be numbered.
    #[error("there are more prices and prefixes than a table can hold")]
    TooMany,
}

/// All prices.
#[derive(Debug, Default)]
pub struct PriceTable {
    rows: Vec<PriceRow>,
    by_client: ByClient,
}

impl PriceTable {
    /// Builds the table; prices stand in the order of the file.
    pub fn try_new(rows: Vec<PriceRow>) -> Result<Self, PriceError> {
        for (row, number) in rows.iter().zip(1..) {
            let digits = |prefix: &String| prefix.bytes().all(|octet| octet.is_ascii_digit());
            if !row.prefixes.iter().all(digits) {
                return Err(PriceError::NotDigits(number));
            }
        }
        let mut rows = rows;
        // Of equal prefixes the first is taken: the one that began last comes first. The sort keeps the file's order else.
        rows.sort_by_key(|row| std::cmp::Reverse(row.from));
        let keys = rows.iter().map(|row| (&*row.clients, &*row.prefixes));
        let by_client = ByClient::new(keys).map_err(|_| PriceError::TooMany)?;
        Ok(Self { rows, by_client })
    }

    /// What a part of a message of this client to this phone costs at this time; `None` when nothing says so.
    pub fn price(&self, client: &ClientId, to: &Address, at: Timestamp) -> Option<Price> {
        let row = |number: u32| self.rows.get(usize::try_from(number).ok()?);
        let takes = |number| row(number).is_some_and(|row| row.is_valid(at));
        let row = row(self.by_client.first(client, to.as_str(), takes)?)?;
        Some(Price {
            per_part: row.price,
            currency: row.currency,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prices_are_read_and_shown_exactly() {
        for (text, millionths, shown) in [
            ("0", 0, "0"),
            ("0.075", 75_000, "0.075"),
            ("12", 12_000_000, "12"),
            ("1.000001", 1_000_001, "1.000001"),
            ("0.10", 100_000, "0.1"),
            ("1000000", 1_000_000_000_000, "1000000"),
        ] {
            let price = MicroUnits::from_text(text).unwrap();
            assert_eq!(
                (price.as_i64(), price.to_string()),
                (millionths, shown.to_owned()),
                "{text}"
            );
        }
        for wrong in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "0.0000001",
            "1000000.1",
            "1,5",
            " 1",
        ] {
            assert_eq!(MicroUnits::from_text(wrong), None, "{wrong}");
        }
        for (text, millionths) in [
            ("-250.5", -250_500_000),
            ("1000000000", 1_000_000_000_000_000),
            ("-0", 0),
        ] {
            assert_eq!(
                MicroUnits::from_amount(text),
                Some(MicroUnits::new(millionths)),
                "{text}"
            );
        }
        for wrong in ["", "-", "--1", "1000000000.1", "+1", "1.0000000"] {
            assert_eq!(MicroUnits::from_amount(wrong), None, "{wrong}");
        }
        assert_eq!(MicroUnits::new(-1_500_000).to_string(), "-1.5");
        assert_eq!(MicroUnits::new(75_000).times(3), MicroUnits::new(225_000));
        for wrong in ["", "eur", "EURO", "E1R"] {
            assert_eq!(Currency::from_text(wrong), None, "{wrong}");
        }
    }

    fn row(
        client: Option<&str>,
        prefix: &str,
        millionths: i64,
        from: Option<i64>,
        until: Option<i64>,
    ) -> PriceRow {
        PriceRow {
            clients: client
                .map(|id| ClientId::try_new(id).unwrap())
                .into_iter()
                .collect(),
            prefixes: Some(prefix.to_owned())
                .into_iter()
                .filter(|prefix| !prefix.is_empty())
                .collect(),
            price: MicroUnits::new(millionths),
            currency: Currency::EUR,
            from: from.map(Timestamp::from_millis),
            until: until.map(Timestamp::from_millis),
        }
    }

    fn asked(table: &PriceTable, client: &str, to: &str, at: i64) -> Option<i64> {
        table
            .price(
                &ClientId::try_new(client).unwrap(),
                &Address::msisdn(to).unwrap(),
                Timestamp::from_millis(at),
            )
            .map(|price| price.per_part.as_i64())
    }

    #[test]
    fn own_prices_then_the_longest_prefix_then_the_last_to_begin() {
        let table = PriceTable::try_new(vec![
            row(Some("acme"), "49", 62, None, None),
            row(None, "4917", 71, None, None),
            row(None, "4917", 69, Some(100), None),
            row(None, "4917", 68, Some(100), Some(200)),
            row(None, "44", 50, None, Some(10)),
        ])
        .unwrap();
        for (client, to, at, price) in [
            ("acme", "491700000001", 0, Some(62)),
            ("other", "491700000001", 99, Some(71)),
            ("other", "491700000001", 100, Some(69)),
            ("other", "491800000001", 0, None),
            ("acme", "447000000001", 9, Some(50)),
            ("acme", "447000000001", 10, None),
        ] {
            assert_eq!(asked(&table, client, to, at), price, "{client} {to} {at}");
        }
    }

    #[test]
    fn a_prefix_of_letters_is_refused() {
        let rows = vec![row(None, "4", 1, None, None), row(None, "4x", 1, None, None)];
        assert_eq!(
            PriceTable::try_new(rows).map(|_| ()),
            Err(PriceError::NotDigits(2))
        );
    }

    proptest! {
        /// PR-1 against a walk over all rows.
        #[test]
        fn the_price_is_that_of_a_naive_walk(
            rows in proptest::collection::vec(
                (proptest::option::of(0..2_usize), "[1-3]{0,4}", proptest::option::of(0..4_i64), proptest::option::of(0..6_i64)),
                0..12,
            ),
            to in "[1-3]{6,8}",
            at in 0..6_i64,
        ) {
            let clients = ["acme", "other"];
            let rows: Vec<PriceRow> = rows
                .iter()
                .zip(0..)
                .map(|((client, prefix, from, until), number)| {
                    row(client.map(|index| clients[index]), prefix, number, *from, *until)
                })
                .collect();
            let acme = ClientId::try_new("acme").unwrap();
            let now = Timestamp::from_millis(at);
            let naive = rows
                .iter()
                .enumerate()
                .filter(|(_, row)| row.clients.is_empty() || row.clients.contains(&acme))
                .filter(|(_, row)| row.prefixes.is_empty() || row.prefixes.iter().any(|prefix| to.starts_with(prefix.as_str())))
                .filter(|(_, row)| row.from.is_none_or(|from| from <= now) && row.until.is_none_or(|until| now < until))
                .max_by_key(|(index, row)| {
                    let length = row.prefixes.first().map_or(0, String::len);
                    (!row.clients.is_empty(), length, row.from, std::cmp::Reverse(*index))
                })
                .map(|(_, row)| row.price.as_i64());
            let table = PriceTable::try_new(rows).unwrap();
            prop_assert_eq!(asked(&table, "acme", &to, at), naive);
        }
    }
}
