//! The simulated carrier.
//!
//! [`Smsc`] decides, [`Director`] changes its behaviour with time, and [`SmscServer`] puts both on sockets.
//! `ops/docs/simulator.md` names every switch. Invariant: one [`SmscOptions`] value and one seed make one behaviour, up
//! to the order in which the network brings things.

mod account;
mod agenda;
mod chaos;
pub(crate) mod gsm;
mod http;
mod id;
mod machine;
mod mo;
mod options;
mod owed;
mod receipt;
mod rule;
mod server;
mod session;
mod stats;
mod store;
mod ucp;
pub(crate) mod wire;

pub use chaos::{Act, ChaosArg, Director, Order, Phase, Script};
pub use id::IdFormat;
pub use machine::{Flow, Moment, SessionId, Smsc};
pub use mo::{MoBatch, MoConcat, MoEncoding, MoOrder};
pub use options::{
    AnswerQuirks, AnswerStrings, BindQuirks, DateForm, DeliverQuirks, Disagreement, ErrorAnswer, HttpQuirks,
    NetworkError, OptionsError, OptionsErrorKind, Protocol, ReceiptBind, ReceiptForm, ReceiptQuirks,
    ReceiptText, ReceiptWhen, ReceiptedPart, Sequences, SmscOptions, SubmitQuirks, Tail, ValidityForm,
};
pub use rule::{RejectRule, RuleError, StateShare, StateWord};
pub use server::{ServerError, SmscReport, SmscServer, WaitError};
pub use stats::SmscStats;

#[cfg(test)]
mod tests;
