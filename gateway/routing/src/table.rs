//! The table built from routes: which of them may hold for a message, found without a walk over all.
//!
//! ```text
//! client acme ─▶ its own routes ─┬─ by prefix: 4917, 49, 4, any number
//! every client ─▶ routes for all ┼─ by network: 262-01, 262
//!                                └─ by country: DE
//! ```
//! A route stands under its prefixes; without any, under its networks; else under its countries; else under any number.
//! Invariant RT-2: a table holds only routes that can be taken: prefixes of digits, at least one operator each.

use crate::cost::CostTable;
use crate::facts::Facts;
use crate::mo::{MoRoute, MoTable};
use crate::network::{CountryCode, NetworkCode, PortedNumbers};
use crate::prefix::PrefixTable;
use crate::route::{Action, MtRoute, RouteError, RouteErrorKind, Strategy};
use rustc_hash::FxHashMap;
use smsgw_message::ClientId;
use std::cmp::Reverse;
use std::sync::Arc;

/// Everything a decision needs.
#[derive(Debug, Default)]
pub struct RouteTable {
    pub(crate) mt: Vec<Entry>,
    own: FxHashMap<ClientId, Places>,
    all: Places,
    /// The highest priority there is.
    pub(crate) top: u32,
    pub(crate) costs: CostTable,
    pub(crate) ported: Vec<Arc<PortedNumbers>>,
    pub(crate) mo: MoTable,
}

/// A route of the table; its prefixes stand in the index alone.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) route: MtRoute,
    pub(crate) has_prefix: bool,
}

/// Where routes stand. Candidates of one place are in the order of their priority, then of the file.
#[derive(Debug, Default)]
pub(crate) struct Places {
    prefixes: PrefixTable,
    networks: FxHashMap<NetworkCode, Vec<u32>>,
    countries: FxHashMap<CountryCode, Vec<u32>>,
}

impl Places {
    /// Builds from routes in the order of their priority.
    fn new(routes: &[(u32, &MtRoute)]) -> Result<Self, crate::prefix::TooMany> {
        let mut places = Self::default();
        let mut entries = Vec::new();
        for (number, route) in routes {
            if !route.prefixes.is_empty() {
                entries.extend(route.prefixes.iter().map(|prefix| (prefix.as_str(), *number)));
            } else if !route.networks.is_empty() {
                for network in &route.networks {
                    places.networks.entry(*network).or_default().push(*number);
                }
            } else if !route.countries.is_empty() {
                for country in &route.countries {
                    places.countries.entry(*country).or_default().push(*number);
                }
            } else {
                entries.push(("", *number));
            }
        }
        places.prefixes = PrefixTable::new(entries.into_iter())?;
        Ok(places)
    }

    /// The candidates of each place that the destination leads to, with the length of the prefix; the longest first.
    pub(crate) fn chains<'a>(
        &'a self,
        facts: &'a Facts<'_>,
    ) -> impl Iterator<Item = (usize, Candidates<'a>)> {
        let by_network = || {
            let network = (!self.networks.is_empty()).then(|| facts.network()).flatten()?;
            Some(
                [network, network.country()]
                    .into_iter()
                    .filter_map(|code| self.networks.get(&code)),
            )
        };
        let by_country = || {
            let country = (!self.countries.is_empty()).then(|| facts.country()).flatten()?;
            self.countries.get(&country)
        };
        let others = std::iter::once_with(by_network)
            .flatten()
            .flatten()
            .chain(std::iter::once_with(by_country).flatten())
            .map(|routes| (0, Candidates::Listed(routes.iter())));
        self.prefixes
            .chains(facts.digits())
            .map(|(length, chain)| (length, Candidates::Chained(chain)))
            .chain(others)
    }
}

/// The routes of one place.
#[derive(Debug, Clone)]
pub(crate) enum Candidates<'a> {
    Chained(crate::prefix::Chain<'a>),
    Listed(std::slice::Iter<'a, u32>),
}

impl Iterator for Candidates<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        match self {
            Self::Chained(chain) => chain.next(),
            Self::Listed(routes) => routes.next().copied(),
        }
    }
}

impl RouteTable {
    /// Builds the table; routes stand in the order of the file.
    pub fn try_new(mt: Vec<MtRoute>, mo: Vec<MoRoute>) -> Result<Self, RouteError> {
        for (index, route) in mt.iter().enumerate() {
            check(route).map_err(|kind| RouteError {
                direction: "mt",
                route: index + 1,
                kind,
            })?;
        }
        let too_many = |_| RouteError {
            direction: "mt",
            route: mt.len(),
            kind: RouteErrorKind::TooMany,
        };
        u32::try_from(mt.len()).map_err(|_| too_many(crate::prefix::TooMany))?;
        let mut ordered: Vec<(u32, &MtRoute)> = (0..).zip(&mt).collect();
        ordered.sort_by_key(|(_, route)| Reverse(route.priority));
        let mut of_all = Vec::new();
        let mut of_clients: FxHashMap<ClientId, Vec<(u32, &MtRoute)>> = FxHashMap::default();
        for (number, route) in ordered {
            if route.clients.is_empty() {
                of_all.push((number, route));
            }
            for client in &route.clients {
                of_clients
                    .entry(client.clone())
                    .or_default()
                    .push((number, route));
            }
        }
        let all = Places::new(&of_all).map_err(too_many)?;
        let own = of_clients
            .into_iter()
            .map(|(client, routes)| Ok((client, Places::new(&routes)?)))
            .collect::<Result<_, _>>()
            .map_err(too_many)?;
        let top = mt.iter().map(|route| route.priority).max().unwrap_or_default();

        let mo = MoTable::try_new(mo).map_err(|route| RouteError {
            direction: "mo",
            route,
            kind: RouteErrorKind::NoClient,
        })?;
        let entry = |mut route: MtRoute| {
            let has_prefix = !route.prefixes.is_empty();
            // A million of them would stand here in vain.
            route.prefixes = Vec::new();
            Entry { route, has_prefix }
        };
        Ok(Self {
            mt: mt.into_iter().map(entry).collect(),
            own,
            all,
            top,
            costs: CostTable::default(),
            ported: Vec::new(),
            mo,
        })
    }

    /// What the operators cost, for [`Strategy::LeastCost`].
    #[must_use]
    pub fn with_costs(self, costs: CostTable) -> Self {
        Self { costs, ..self }
    }

    /// Tables of ported numbers; of a number that stands in several, the first counts.
    #[must_use]
    pub fn with_ported(self, ported: Vec<Arc<PortedNumbers>>) -> Self {
        Self { ported, ..self }
    }

    /// How many routes there are, to phones and from them.
    pub fn route_counts(&self) -> (usize, usize) {
        (self.mt.len(), self.mo.len())
    }

    /// What the operators cost.
    pub fn costs(&self) -> &CostTable {
        &self.costs
    }

    /// A route by its number in the table, from 0.
    pub(crate) fn entry(&self, number: u32) -> Option<&Entry> {
        self.mt.get(usize::try_from(number).ok()?)
    }

    /// Where the routes of a client stand, its own and those for all.
    pub(crate) fn places(&self, client: &ClientId) -> impl Iterator<Item = &Places> {
        self.own.get(client).into_iter().chain([&self.all])
    }
}

fn check(route: &MtRoute) -> Result<(), RouteErrorKind> {
    let digits = |prefix: &String| prefix.bytes().all(|octet| octet.is_ascii_digit());
    if !route.prefixes.iter().all(digits) {
        return Err(RouteErrorKind::NotDigits);
    }
    match &route.action {
        Action::Send { operators, .. } if operators.is_empty() => Err(RouteErrorKind::NoOperator),
        Action::Send {
            operators,
            weights,
            strategy: Strategy::Failover | Strategy::Weighted | Strategy::LeastCost | Strategy::Sticky,
        } if !weights.is_empty() && weights.len() != operators.len() => Err(RouteErrorKind::Weights),
        Action::Send { .. } | Action::Reject(_) => Ok(()),
    }
}
