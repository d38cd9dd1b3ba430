//! The two decisions: where a message to a phone goes, and whose a message from a phone is.
//!
//! Pure: table and question in, answer out. Must not know links, rates or what is up: a route that is down still is
//! the route, and its queue waits.

use crate::table::{MoRoute, RouteTable, Strategy};
use smsgw_message::{Address, Class, ClientId, OperatorId};
use thiserror::Error;

/// No route applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no route applies")]
pub struct NoRoute;

/// Where a message to a phone goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision<'a> {
    /// The route that was taken, counted from 1 as in the file.
    pub route: usize,
    /// Operators, in the order they are to be tried.
    operators: &'a [OperatorId],
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
        self.operators.iter().find(|operator| !is_out(operator))
    }

    /// All operators, in the order they are to be tried.
    pub fn operators(&self) -> &'a [OperatorId] {
        self.operators
    }
}

/// Whose a message from a phone is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MoDecision<'a> {
    /// The route that was taken, counted from 1 as in the file.
    pub route: usize,
    /// Who gets the message.
    pub client: &'a ClientId,
}

/// Chooses the operators for a message of a client to a phone.
pub fn decide_mt<'a>(
    table: &'a RouteTable,
    client: &ClientId,
    class: Class,
    to: &Address,
) -> Result<Decision<'a>, NoRoute> {
    let mt = |number: u32| {
        usize::try_from(number)
            .ok()
            .and_then(|index| Some((index, table.mt.get(index)?)))
    };
    let applies = |number| {
        mt(number).is_some_and(|(_, route)| {
            (route.clients.is_empty() || route.clients.contains(client))
                && (route.classes.is_empty() || route.classes.contains(&class))
        })
    };
    let (index, route) = table
        .prefixes
        .first(to.as_str(), applies)
        .and_then(mt)
        .ok_or(NoRoute)?;
    match route.strategy {
        Strategy::Failover => Ok(Decision {
            route: index + 1,
            operators: &route.operators,
        }),
    }
}

/// Chooses the client for a message from a phone: the first route in the file that applies. `text` is absent for
/// binary content, which has no keyword.
pub fn decide_mo<'a>(
    table: &'a RouteTable,
    operator: &OperatorId,
    to: &Address,
    text: Option<&str>,
) -> Result<MoDecision<'a>, NoRoute> {
    let word = text
        .and_then(|text| text.split_whitespace().next())
        .map(str::to_lowercase);
    let applies = |route: &MoRoute| {
        let keyword = route
            .keyword
            .as_ref()
            .is_none_or(|keyword| Some(keyword.trim().to_lowercase()) == word);
        keyword && route.operator.as_ref().is_none_or(|only| only == operator)
    };
    let first = |routes: &[usize]| {
        routes
            .iter()
            .copied()
            .find(|index| table.mo.get(*index).is_some_and(applies))
    };
    let by_number = table
        .mo_by_number
        .get(to.as_str())
        .and_then(|routes| first(routes));
    let index = by_number
        .into_iter()
        .chain(first(&table.mo_any))
        .min()
        .ok_or(NoRoute)?;
    let route = table.mo.get(index).ok_or(NoRoute)?;
    Ok(MoDecision {
        route: index + 1,
        client: &route.client,
    })
}
