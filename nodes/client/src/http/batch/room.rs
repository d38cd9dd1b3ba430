//! Whether there is room for more messages of batches.
//!
//! The worker's steps have an input, so no bound of the engine stops them: it has to look by itself. Invariant: batches alone
//! never fill the gateway, so that single messages are still taken.

use crate::shared::Shared;
use smsgw_queue::{Amount, Bound};

/// Messages that may wait for the router before no more are made.
const AHEAD: u64 = 2_000;

/// The router keeps up, and single messages have their room: steps of this worker have an input, so no bound stops them.
pub(super) fn has_room(shared: &Shared) -> bool {
    let engine = &shared.engine;
    let accepted = engine.depth(&shared.accepted);
    if accepted.ready >= AHEAD {
        return false;
    }
    let bounds = engine.bounds();
    let nearly = |bound: Bound| Bound {
        records: bound.records / 10 * 8,
        octets: bound.octets / 10 * 8,
    };
    let amount = |depth: &smsgw_queue::Depth| Amount {
        records: depth
            .ready
            .saturating_add(depth.in_flight)
            .saturating_add(depth.deferred)
            .saturating_add(depth.held),
        octets: depth.octets,
    };
    let queue = bounds.of(&shared.accepted);
    if queue != Bound::NONE && nearly(queue).is_reached(amount(&accepted)) {
        return false;
    }
    if bounds.engine == Bound::NONE {
        return true;
    }
    let all = engine
        .queues()
        .iter()
        .fold(Amount::default(), |sum, (_, depth)| sum.plus(amount(depth)));
    !nearly(bounds.engine).is_reached(all)
}
