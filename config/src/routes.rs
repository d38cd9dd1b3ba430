//! The routes of a configuration as the table that decides: the router routes by it, the client node refuses by it.
//!
//! The one edge between two crates of this layer: without it every node would carry its own copy of this conversion.

use crate::{Config, Strategy};
use smsgw_routing::{MoRoute, MtRoute, RouteError, RouteTable};

impl Config {
    /// Builds the table: some 100 ms for a million prefixes, so once for each epoch and not for each message.
    pub fn route_table(&self) -> Result<RouteTable, RouteError> {
        let mt = self.route.mt.iter().map(|route| MtRoute {
            prefixes: route
                .prefix
                .iter()
                .map(|digits| digits.as_str().to_owned())
                .collect(),
            clients: route.client.clone(),
            classes: route.class.clone(),
            operators: route.operators.clone(),
            strategy: match route.strategy {
                Strategy::Failover => smsgw_routing::Strategy::Failover,
            },
        });
        let mo = self.route.mo.iter().map(|route| MoRoute {
            to: route.to.iter().map(|digits| digits.as_str().to_owned()).collect(),
            operator: route.operator.clone(),
            keyword: route.keyword.clone(),
            client: route.client.clone(),
        });
        RouteTable::try_new(mt.collect(), mo.collect())
    }
}
