//! The config node: reads the file, puts it in force, takes over changes while the gateway runs.
//!
//! A process starts with [`load`], which `smsgw check` uses as well; [`ConfigNode`] then owns the file and is the only
//! one that publishes to the [`ConfigHandle`](smsgw_config::ConfigHandle) the other nodes read. Instructions arrive at
//! [`ConfigNode::handle`], whoever sent them. Must not know any other node, nor how an instruction travels.
//!
//! Invariant CN-1: a file that is wrong in any way leaves the configuration in force as it is.
//! Invariant CN-2: nothing this crate logs or renders contains a secret.

mod file;
mod instructions;
mod lists;
pub mod metric;
mod node;
mod orders;
mod render;
mod watch;

pub use file::{LoadError, LoadWarning, Loaded, load};
pub use instructions::{instruct, instruct_operator, instruct_session, supervise};
pub use node::{ConfigNode, Instruction, Outcome};
pub use orders::{OperatorAct, RestoreError};
pub use render::{RenderStyle, render};
pub use watch::{FileStamp, Quiet, watch};
