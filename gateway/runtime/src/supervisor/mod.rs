//! A small supervisor on ractor: what a tree is made of and how it is held from outside.
//!
//! `spec` says what to run, `context` is what a child sees, `table` is the desired set of children with their states,
//! `live` a child that runs, `mailbox` the counted way to a supervisor's actor, `channels` a child's channels worth
//! watching, `ward` decides, `actor` is the thin ractor shell around it, `handle` is the owner's side, `status` and
//! `gauges` show it all.
//!
//! Invariant: the desired set of children lives in the table, not in the actor: a supervisor that is restarted starts
//! what is wanted now, including children that were added while it ran.
//!
//! # Limits
//! A child that blocks its thread cannot be killed; after the grace time it is abandoned, with an error in the log.
//! Each change walks the whole table: thousands of children below one supervisor are fine, a hundred thousand are not.

mod actor;
mod channels;
mod context;
mod gauges;
mod handle;
mod live;
mod mailbox;
mod spec;
mod status;
mod table;
mod ward;

pub use channels::ChannelStatus;
pub use context::ChildContext;
pub use gauges::TreeGauges;
pub use handle::{AddError, Exit, RemoveError, Supervisor, SupervisorHandle, Tree};
pub use spec::{ChildError, ChildSpec, Escalation, Intensity, RestartBackoff, RestartPolicy, Strategy};
pub use status::{ChildState, TreeStatus};
