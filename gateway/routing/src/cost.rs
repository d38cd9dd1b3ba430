//! What a part costs at each operator: exact, by destination and time.
//!
//! ```text
//! [alpha, prefix 49]            0.052 EUR
//! [alpha, prefix 4917, 2027]    0.049 EUR     to 4917… from 2027 on: of one operator the longest prefix, then the one that
//! [beta]                        0.060 EUR     began last, then the first in the file
//! ```
//! Money is a whole number of millionths. Reads no clock: the time is an argument. Knows no route: least cost asks here.
//!
//! # Limits
//! Costs are compared as numbers: whoever builds the table sees to it that they are all in one currency.

use crate::prefix::PrefixTable;
use crate::price::{Currency, MicroUnits, Price, PriceError};
use rustc_hash::FxHashMap;
use smsgw_message::{OperatorId, Timestamp};

/// A cost as it is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostRow {
    /// At these operators.
    pub operators: Vec<OperatorId>,
    /// First digits of the recipient; none: any number.
    pub prefixes: Vec<String>,
    /// Of a part.
    pub cost: MicroUnits,
    /// In this currency.
    pub currency: Currency,
    /// Valid from then on; absent: always was.
    pub from: Option<Timestamp>,
    /// Not valid from then on; absent: for ever.
    pub until: Option<Timestamp>,
}

/// All costs.
#[derive(Debug, Default)]
pub struct CostTable {
    rows: Vec<CostRow>,
    by_operator: FxHashMap<OperatorId, PrefixTable>,
}

impl CostTable {
    /// Builds the table; costs stand in the order of the file.
    pub fn try_new(rows: Vec<CostRow>) -> Result<Self, PriceError> {
        for (row, number) in rows.iter().zip(1..) {
            let digits = |prefix: &String| prefix.bytes().all(|octet| octet.is_ascii_digit());
            if !row.prefixes.iter().all(digits) {
                return Err(PriceError::NotDigits(number));
            }
        }
        let mut rows = rows;
        // Of equal prefixes the first is taken: the one that began last comes first. The sort keeps the file's order else.
        rows.sort_by_key(|row| std::cmp::Reverse(row.from));
        u32::try_from(rows.len()).map_err(|_| PriceError::TooMany)?;
        let mut entries: FxHashMap<OperatorId, Vec<(&str, u32)>> = FxHashMap::default();
        for (row, number) in rows.iter().zip(0_u32..) {
            for operator in &row.operators {
                let any = row.prefixes.is_empty().then_some("");
                let prefixes = row.prefixes.iter().map(String::as_str).chain(any);
                let there = entries.entry(operator.clone()).or_default();
                there.extend(prefixes.map(|prefix| (prefix, number)));
            }
        }
        let by_operator = entries
            .into_iter()
            .map(|(operator, entries)| Ok((operator, PrefixTable::new(entries.into_iter())?)))
            .collect::<Result<_, crate::prefix::TooMany>>()
            .map_err(|_| PriceError::TooMany)?;
        Ok(Self { rows, by_operator })
    }

    /// What a part to these digits costs at this operator at this time; `None` when nothing says so.
    pub fn cost(&self, operator: &OperatorId, digits: &str, at: Timestamp) -> Option<Price> {
        let row = |number: u32| self.rows.get(usize::try_from(number).ok()?);
        let is_valid = |row: &CostRow| {
            row.from.is_none_or(|from| from <= at) && row.until.is_none_or(|until| at < until)
        };
        let takes = |number| row(number).is_some_and(is_valid);
        let row = row(self.by_operator.get(operator)?.first(digits, takes)?)?;
        Some(Price {
            per_part: row.cost,
            currency: row.currency,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_that_is_valid_counts_for_each_operator() {
        let operator = |name: &str| OperatorId::try_new(name).unwrap();
        let row = |name: &str, prefix: &str, cost: i64, from: Option<i64>, until: Option<i64>| CostRow {
            operators: vec![operator(name)],
            prefixes: (!prefix.is_empty())
                .then(|| prefix.to_owned())
                .into_iter()
                .collect(),
            cost: MicroUnits::new(cost),
            currency: Currency::EUR,
            from: from.map(Timestamp::from_millis),
            until: until.map(Timestamp::from_millis),
        };
        let table = CostTable::try_new(vec![
            row("alpha", "49", 52_000, None, None),
            row("alpha", "4917", 50_000, None, Some(200)),
            row("alpha", "4917", 49_000, Some(100), None),
            row("beta", "", 60_000, None, None),
        ])
        .unwrap();
        let cost = |name: &str, digits: &str, at: i64| {
            table
                .cost(&operator(name), digits, Timestamp::from_millis(at))
                .map(|cost| cost.per_part.as_i64())
        };
        assert_eq!(cost("alpha", "4915", 0), Some(52_000));
        assert_eq!(cost("alpha", "4917", 0), Some(50_000));
        assert_eq!(
            cost("alpha", "4917", 100),
            Some(49_000),
            "the one that began last"
        );
        assert_eq!(cost("beta", "1", 0), Some(60_000));
        assert_eq!((cost("alpha", "1", 0), cost("gamma", "49", 0)), (None, None));
    }
}
