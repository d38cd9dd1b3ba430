//! The router node: decides where messages go, matches receipts with messages, joins and routes messages from phones.
//!
//! ```text
//! mt.accepted ──▶ mt ──▶ mt.operator.<id>            msg/<id>, events
//! up.<p> ───────▶ up ──▶ down.callback               msg/<id>, corr/<group>/<id>, mo/<key>, events
//! alarms ───────▶ alarms ──▶ down.callback, up.<p> (dead letters)
//! instructions.router ▶ moving ──▶ mt.operator.<id>, from that of another  msg/<id>, events
//! ```
//! Pure machines (`life`, `correlate`, `assemble`) under hops that bring them together (`mt`, `up`, `alarms`) under one
//! loop that talks to the engine (`work`). Knows no other node, no engine and no protocol.
//!
//! Invariant: each input is one step; this node alone writes `mo/*` and, but for answers of carriers that say all there is to say
//! (ADR 0018), `corr/*` and, after the accept, `msg/*`. Text and numbers are never logged.

mod alarms;
mod assemble;
mod cancel;
mod carrier_id;
mod claim;
mod correlate;
mod explain;
mod failover;
#[cfg(test)]
mod fixtures;
mod ids;
mod keywords;
mod life;
pub mod lookup;
pub mod metric;
mod mo;
mod moving;
mod mt;
mod outcome;
mod plan;
mod receipt;
mod record;
mod recut;
mod replace;
mod reply;
mod report;
mod reroute;
mod ruling;
mod schedule;
#[cfg(test)]
mod tests;
mod up;
mod work;

pub use explain::{
    MoAsked, MoExplained, MoHeld, MoReplied, MoRouteSeen, MoSaid, MoTaker, explain as explain_mo,
};
pub use ids::{CarrierIds, IdTable};
pub use moving::{COUNTED, MoveOrder, Moved};
use plan::Plans;
use smsgw_config::ConfigHandle;
use smsgw_message::{Clock, names};
use smsgw_queue::{Engine, QueueName};
pub use smsgw_routing::RouteError;
use smsgw_runtime::{ChildSpec, Strategy, Supervisor};
use std::sync::Arc;
use work::{Shop, consume};

/// Batches of `mt.accepted` that are worked off at once: while one waits for its sync the next is decided.
const MT_WORKERS: usize = 4;

/// The router node as a child of the daemon's tree: a supervisor `router` with a worker for each queue. Refuses routes
/// that no table can be built from.
pub fn supervise(
    engine: Arc<dyn Engine>,
    config: ConfigHandle,
    clock: Arc<dyn Clock>,
) -> Result<ChildSpec, RouteError> {
    Ok(supervise_watched(engine, config, clock)?.0)
}

/// The same, and where it can be seen how carriers write their ids.
pub fn supervise_watched(
    engine: Arc<dyn Engine>,
    config: ConfigHandle,
    clock: Arc<dyn Clock>,
) -> Result<(ChildSpec, IdTable), RouteError> {
    let plans = Arc::new(Plans::try_new(config)?);
    let ids = plans.ids();
    let shop = Shop {
        engine,
        plans: Arc::clone(&plans),
        clock,
        presumption: Arc::default(),
    };
    let mut node = Supervisor::new("router", Strategy::OneForOne).child(
        ChildSpec::task("routes", move |ctx| plan::watch(ctx, Arc::clone(&plans))).kind("router-routes"),
    );
    for n in 1..=MT_WORKERS {
        let (shop, queue) = (shop.clone(), QueueName::from(names::MT_ACCEPTED));
        let spec = ChildSpec::task(format!("mt-{n}"), move |ctx| {
            consume(ctx, shop.clone(), queue.clone(), mt::Mt)
        });
        node = node.child(spec.kind("router-mt"));
    }
    for partition in 0..names::UP_PARTITIONS {
        let (shop, queue) = (shop.clone(), QueueName::from(names::up_partition(partition)));
        let spec = ChildSpec::task(format!("up-{partition}"), move |ctx| {
            consume(ctx, shop.clone(), queue.clone(), up::Up)
        });
        node = node.child(spec.kind("router-up"));
    }
    let moving_shop = shop.clone();
    let moves = ChildSpec::task("moves", move |ctx| moving::run(ctx, moving_shop.clone()));
    node = node.child(moves.kind("router-moves"));
    let (alarm_shop, queue) = (shop, QueueName::from(names::ALARMS));
    let alarms = ChildSpec::task("alarms", move |ctx| {
        consume(ctx, alarm_shop.clone(), queue.clone(), alarms::Alarms)
    });
    let node = node.child(alarms.kind("router-alarms"));
    Ok((ChildSpec::supervisor(node), ids))
}
