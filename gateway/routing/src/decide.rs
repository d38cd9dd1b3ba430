//! The decision where a message to a phone goes.
//!
//! Pure: table and question in, answer out. Must not know links, rates or what is up: a route that is down still is
//! the route, and its queue waits.

use crate::facts::{Facts, Question};
use crate::order::order;
use crate::rewrite;
use crate::route::{Action, RejectCode, Strategy};
use crate::table::RouteTable;
use smsgw_message::{OperatorId, Routed, SentAs};
use std::cmp::Reverse;
use thiserror::Error;

/// No route applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no route applies")]
pub struct NoRoute;

/// Why a message to a phone goes nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// No route applies.
    #[error("no route leads to this destination")]
    NoRoute,
    /// The route that applies refuses it.
    #[error("route {route} refuses the message")]
    Rejected {
        /// Counted from 1 as in the file.
        route: usize,
        /// What the client is told.
        code: RejectCode,
    },
    /// The route that applies makes an address that is none.
    #[error("route {route} makes an address that cannot be sent")]
    NoAddress {
        /// Counted from 1 as in the file.
        route: usize,
    },
}

impl Refusal {
    /// The error word of a message that ends by it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoRoute => RejectCode::NoRoute.as_str(),
            Self::Rejected { code, .. } => code.as_str(),
            Self::NoAddress { .. } => "invalid_number",
        }
    }

    /// The route that refuses, where there is one.
    pub fn route(self) -> Option<usize> {
        match self {
            Self::NoRoute => None,
            Self::Rejected { route, .. } | Self::NoAddress { route } => Some(route),
        }
    }
}

/// Where a message to a phone goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision<'a> {
    /// The route that was taken, counted from 1 as in the file.
    pub route: usize,
    /// By which rule its operators stand in their order.
    pub strategy: Strategy,
    /// Addresses as they go out, where they are others than the client gave.
    pub sent_as: Option<SentAs>,
    /// Operators, in the order they are to be tried; at least one (RT-2).
    operators: Vec<&'a OperatorId>,
}

impl<'a> Decision<'a> {
    /// The operator to use.
    pub fn operator(&self) -> &'a OperatorId {
        self.operators
            .first()
            .expect("RT-2: a route names at least one operator")
    }

    /// The first operator that is not out (tried already, say); `None` when none is left.
    pub fn operator_but(&self, is_out: impl Fn(&OperatorId) -> bool) -> Option<&'a OperatorId> {
        self.operators.iter().copied().find(|operator| !is_out(operator))
    }

    /// What it makes of a message.
    pub fn routed(&self) -> Routed {
        Routed {
            operator: self.operator().clone(),
            route: u32::try_from(self.route).ok(),
            sent_as: self.sent_as.clone(),
        }
    }

    /// All operators, in the order they are to be tried.
    pub fn operators(&self) -> &[&'a OperatorId] {
        &self.operators
    }
}

/// How a route that holds stands among the others: the greatest is taken (RT-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    pub(crate) priority: u32,
    /// Length of its prefix.
    pub(crate) length: usize,
    number: Reverse<u32>,
}

impl Rank {
    pub(crate) fn number(self) -> u32 {
        self.number.0
    }
}

/// Finds the route to take.
pub(crate) fn find(table: &RouteTable, facts: &Facts<'_>) -> Option<Rank> {
    let mut best: Option<Rank> = None;
    for places in table.places(facts.question.client) {
        for (length, candidates) in places.chains(facts) {
            if best.is_some_and(|best| best.priority == table.top && best.length > length) {
                break; // No candidate of a shorter prefix has a higher priority.
            }
            for number in candidates {
                let Some(entry) = table.entry(number) else {
                    continue;
                };
                let rank = Rank {
                    priority: entry.route.priority,
                    length,
                    number: Reverse(number),
                };
                if best.is_some_and(|best| best > rank) {
                    break; // Candidates of one place fall in rank.
                }
                if facts.mismatch(entry, true).is_none() {
                    best = Some(rank);
                    break;
                }
            }
        }
    }
    best
}

/// Chooses the operators for a message to a phone.
pub fn decide_mt<'a>(table: &'a RouteTable, question: Question<'_>) -> Result<Decision<'a>, Refusal> {
    let facts = Facts::new(table, question);
    act(table, &question, find(table, &facts))
}

/// What the route that was found does.
pub(crate) fn act<'a>(
    table: &'a RouteTable,
    question: &Question<'_>,
    found: Option<Rank>,
) -> Result<Decision<'a>, Refusal> {
    let number = found.ok_or(Refusal::NoRoute)?.number();
    let entry = table.entry(number).ok_or(Refusal::NoRoute)?;
    let route = usize::try_from(number).unwrap_or(usize::MAX).saturating_add(1);
    match &entry.route.action {
        Action::Reject(code) => Err(Refusal::Rejected { route, code: *code }),
        Action::Send {
            operators,
            strategy,
            weights,
        } => {
            let no_address = |_| Refusal::NoAddress { route };
            let from = rewrite::sender(&entry.route.rewrite_from, question.from).map_err(no_address)?;
            let to = rewrite::destination(&entry.route.rewrite_to, question.to).map_err(no_address)?;
            let is_changed = from.is_some() || to.is_some();
            Ok(Decision {
                route,
                strategy: *strategy,
                sent_as: is_changed.then_some(SentAs { from, to }),
                operators: order(operators, *strategy, weights, &table.costs, question),
            })
        }
    }
}
