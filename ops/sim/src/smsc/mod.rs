//! The simulated carrier.
//!
//! [`Smsc`] decides, [`SimSession`] is one connection's protocol with the faults that lie below messages, and
//! [`SmscServer`] puts both on sockets. Invariant: one [`SmscOptions`] value and one seed make one behaviour, up to the
//! order in which the network brings things.

mod account;
mod agenda;
mod id;
mod machine;
mod mo;
mod options;
mod receipt;
mod rule;
mod server;
mod session;
mod stats;

pub use id::IdFormat;
pub use machine::{Action, Moment, SessionId, Smsc};
pub use mo::MoBatch;
pub use options::{ReceiptForm, ReceiptWhen, SmscOptions};
pub use rule::{RejectRule, RuleError, StateShare};
pub use server::{ServerError, SmscReport, SmscServer, WaitError};
pub use session::{SimCommand, SimEvent, SimSession};
pub use stats::SmscStats;

#[cfg(test)]
mod tests;
