//! Traffic: messages over HTTP, and submits over SMPP to measure a simulator or an SMPP listener by itself.
//!
//! Knows the faces, not the inside, of what it loads. Invariant: the ledger says of every request what became of it.

mod http;
mod pace;
mod report;
mod smpp;

pub use http::{HttpLoad, LoadError, load_http};
pub use pace::Plan;
pub use report::{LoadReport, Quantiles};
pub use smpp::{SmppLoad, SmppLoadError, load_smpp};
