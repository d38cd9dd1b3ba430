//! The config node: reads the file, puts it in force, takes over changes while the gateway runs.
//!
//! A process starts with [`load`], which `smsgw check` uses as well; [`ConfigNode`] then owns the file and is the only
//! one that publishes to the [`ConfigHandle`](smsgw_config::ConfigHandle) the other nodes read. Instructions arrive at
//! [`ConfigNode::handle`], whoever sent them. Must not know any other node, nor how an instruction travels.
//!
//! Invariant CN-1: a file that is wrong in any way leaves the configuration in force as it is.
//! Invariant CN-2: nothing this crate logs or renders contains a secret.

mod audit;
mod dead_letters;
mod disk;
mod edit;
mod file;
mod instructions;
mod journal;
mod lists;
pub mod metric;
mod node;
mod orders;
mod proposal;
mod render;
mod verb;
mod versions;
mod watch;

pub use audit::{AuditRow, audit};
pub use dead_letters::{
    Acted, DeadLetterAct, DeadLetterFilter, STRIDE, Selection, host_of, select as select_dead_letters,
};
pub use edit::{Edit, EditAct, EditError};
pub use file::{LoadError, LoadWarning, Loaded, admin_files, load};
pub use instructions::{Wanted, give, instruct, instruct_operator, instruct_session, supervise};
pub use journal::finish;
pub use node::{ConfigNode, Instruction, Outcome};
pub use orders::{OperatorAct, RestoreError};
pub use proposal::{Author, Done, Plan, PlannedChange, Proposal};
pub use render::{RenderStyle, render};
pub use verb::{CORRECT, DISCONNECT, FORWARDED, Forwarded, MOVE, TOP_UP, Verb};
pub use versions::{FileHead, VersionHead};
pub use watch::{FileStamp, Quiet, watch};
