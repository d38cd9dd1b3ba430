//! Routes as plain values, and the table built from them.
//!
//! Must not know where routes are written down: whoever has a configuration turns it into [`MtRoute`] and [`MoRoute`].
//! Invariant RT-2: a table holds only routes that can be taken: prefixes of digits, at least one operator each.

use crate::prefix::PrefixTable;
use rustc_hash::FxHashMap;
use smsgw_message::{Class, ClientId, OperatorId};
use thiserror::Error;

/// In which order the operators of a route are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Strategy {
    /// The first; the next ones stand by.
    #[default]
    Failover,
}

/// A route to phones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MtRoute {
    /// First digits of the recipient; none: any number.
    pub prefixes: Vec<String>,
    /// Only for these clients; none: all.
    pub clients: Vec<ClientId>,
    /// Only for these classes; none: all.
    pub classes: Vec<Class>,
    /// Operators, first choice first.
    pub operators: Vec<OperatorId>,
    /// How the operators are used.
    pub strategy: Strategy,
}

/// A route from phones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoRoute {
    /// Numbers the phone wrote to; none: any.
    pub to: Vec<String>,
    /// Only from this operator.
    pub operator: Option<OperatorId>,
    /// Only texts whose first word is this one, in any case.
    pub keyword: Option<String>,
    /// Who gets the message.
    pub client: ClientId,
}

/// A route that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("failed to build the route table at {direction} route {route}")]
pub struct RouteError {
    /// `mt` or `mo`.
    pub direction: &'static str,
    /// Which route, counted from 1 as in the file.
    pub route: usize,
    /// What is wrong with it.
    #[source]
    pub kind: RouteErrorKind,
}

/// Why a route cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RouteErrorKind {
    /// A prefix with something other than digits.
    #[error("a prefix holds something other than digits")]
    NotDigits,
    /// An empty list of operators.
    #[error("no operator is named")]
    NoOperator,
    /// More prefixes than the table can number.
    #[error("there are more routes and prefixes than a table can hold")]
    TooMany,
}

/// Everything a decision needs.
#[derive(Debug, Default)]
pub struct RouteTable {
    pub(crate) mt: Vec<MtRoute>,
    pub(crate) prefixes: PrefixTable,
    pub(crate) mo: Vec<MoRoute>,
    /// Routes of a number the phone wrote to, in the order of the file.
    pub(crate) mo_by_number: FxHashMap<Box<str>, Vec<usize>>,
    /// Routes for any number, in the order of the file.
    pub(crate) mo_any: Vec<usize>,
}

impl RouteTable {
    /// Builds the table; routes stand in the order of the file.
    pub fn try_new(mt: Vec<MtRoute>, mo: Vec<MoRoute>) -> Result<Self, RouteError> {
        for (index, route) in mt.iter().enumerate() {
            let wrong = |kind| RouteError {
                direction: "mt",
                route: index + 1,
                kind,
            };
            if route.operators.is_empty() {
                return Err(wrong(RouteErrorKind::NoOperator));
            }
            if route
                .prefixes
                .iter()
                .any(|prefix| !prefix.bytes().all(|octet| octet.is_ascii_digit()))
            {
                return Err(wrong(RouteErrorKind::NotDigits));
            }
        }
        let too_many = |_| RouteError {
            direction: "mt",
            route: mt.len(),
            kind: RouteErrorKind::TooMany,
        };
        u32::try_from(mt.len()).map_err(|_| too_many(crate::prefix::TooMany))?;
        let entries: Vec<(&str, u32)> = mt
            .iter()
            .zip(0u32..)
            .flat_map(|(route, number)| of(route, number))
            .collect();
        let prefixes = PrefixTable::new(entries.into_iter()).map_err(too_many)?;

        let mut mo_by_number: FxHashMap<Box<str>, Vec<usize>> = FxHashMap::default();
        let mut mo_any = Vec::new();
        for (index, route) in mo.iter().enumerate() {
            if route.to.is_empty() {
                mo_any.push(index);
            }
            for number in &route.to {
                mo_by_number
                    .entry(number.as_str().into())
                    .or_default()
                    .push(index);
            }
        }
        Ok(Self {
            mt,
            prefixes,
            mo,
            mo_by_number,
            mo_any,
        })
    }

    /// How many routes there are, to phones and from them.
    pub fn route_counts(&self) -> (usize, usize) {
        (self.mt.len(), self.mo.len())
    }
}

/// The prefixes of one route; a route without any has the empty one.
fn of(route: &MtRoute, number: u32) -> impl Iterator<Item = (&str, u32)> {
    let any = route.prefixes.is_empty().then_some("");
    route
        .prefixes
        .iter()
        .map(String::as_str)
        .chain(any)
        .map(move |prefix| (prefix, number))
}
