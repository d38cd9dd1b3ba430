//! Supervision on ractor, ordered drain and stop, the clock.
//!
//! The nodes describe what runs as a tree of [`Supervisor`]s and [`ChildSpec`]s; this crate starts, restarts and stops
//! it. It is the only kernel crate that names ractor for the nodes, and it knows no node, no queue and no protocol.
//!
//! Invariants: one child's panic or error ends that child only, until its supervisor's intensity is exceeded; a wait
//! has a deadline and names whom it waits for; no payload passes through a mailbox.

mod clock;
mod metric;
mod supervisor;

pub use clock::SystemClock;
pub use metric::{
    ACTOR_CHANNEL_DEPTH, ACTOR_MAILBOX_DEPTH, ACTOR_RESTARTS, ACTOR_STATE, CHILD_KILLS_TOTAL,
    CHILD_RESTARTS_TOTAL, ESCALATIONS_TOTAL,
};
pub use smsgw_message::Clock;
pub use supervisor::{
    AddError, ChannelStatus, ChildContext, ChildError, ChildSpec, ChildState, Escalation, Exit, Intensity,
    RemoveError, RestartBackoff, RestartPolicy, Strategy, Supervisor, SupervisorHandle, Tree, TreeGauges,
    TreeStatus,
};
