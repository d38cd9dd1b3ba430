//! The operator node: links to carriers.
//!
//! ```text
//! supervisor operator (one for one, never gives up)
//!   keeper                 applies configuration changes: adds and removes links
//!   link-<operator>-<n>    one task per bind: connect, bind, traffic, again
//!   link-<operator>-<n>-tx, -rx   the two binds of a `transmitter+receiver` link, under one link id
//!   calls-<operator>       listens for the carrier, where it is the one that connects
//!   inbound-<operator>     listens for the requests of an HTTP carrier
//!
//! mt.operator.<id> ─▶ traffic ─submit_sm─▶ carrier ─deliver_sm─▶ traffic ─▶ up.<p>, events
//!                        └── answers: verdict ─▶ up.<p> (final), or msg/<id> and corr/* where nothing else follows,
//!                                              or back into the queue
//! ```
//! Knows no other node: what it takes stands in `mt.operator.<id>`, what it learns goes to `up.<p>` or into the life of the message
//! (`lives`). Invariants: a part is
//! submitted only with a window slot and a rate token; its answer and its removal from the queue are one step; what a
//! carrier delivers is answered OK only once it is durable; a change of one operator is not noticed by the links of
//! another.
//!
//! # Limits
//! An operator over HTTP without a section `http` has links in state `unsupported`. A link group is always the whole operator.

mod account;
mod again;
mod answers;
mod bind;
mod calls;
mod cancel;
mod commit;
mod dial;
mod doubt;
#[cfg(test)]
mod fixtures;
mod hop;
mod http;
mod incoming;
mod keeper;
mod late;
mod link;
mod lives;
mod load;
mod metric;
mod pdu_log;
mod prepared;
mod status;
mod submit;
#[cfg(test)]
mod tests;
mod tls;
mod together;
mod trace;
mod traffic;
mod tries;
mod ucp;
mod verdict;

pub use answers::LinkError;
pub use load::LinkLoad;
pub use status::{LinkState, LinkStatus, LinkTable};
pub use trace::{Capture, CaptureCounts, CaptureError};

use smsgw_config::ConfigHandle;
use smsgw_queue::Engine;
use smsgw_runtime::{ChildSpec, Clock, Intensity, Strategy, Supervisor};
use std::sync::Arc;

/// The operator node under supervision.
pub fn supervise(engine: Arc<dyn Engine>, config: ConfigHandle, clock: Arc<dyn Clock>) -> ChildSpec {
    supervise_watched(engine, config, clock).0
}

/// The operator node under supervision, and the table in which its links show how they are.
pub fn supervise_watched(
    engine: Arc<dyn Engine>,
    config: ConfigHandle,
    clock: Arc<dyn Clock>,
) -> (ChildSpec, LinkTable) {
    supervise_over(engine, config, clock, Arc::new(dial::Transport))
}

/// The node with connections of another kind.
fn supervise_over(
    engine: Arc<dyn Engine>,
    config: ConfigHandle,
    clock: Arc<dyn Clock>,
    dial: Arc<dyn dial::Dial>,
) -> (ChildSpec, LinkTable) {
    let table = LinkTable::default();
    let keeper = keeper::Keeper::new(engine, config, clock, dial, table.clone());
    let mut node = Supervisor::new("operator", Strategy::OneForOne).intensity(Intensity::UNLIMITED);
    for link in keeper.first_links() {
        node = node.child(link);
    }
    let links = node.handle();
    let node = node.child(
        ChildSpec::task("keeper", move |ctx| Arc::clone(&keeper).run(ctx, links.clone())).kind("keeper"),
    );
    (ChildSpec::supervisor(node), table)
}
