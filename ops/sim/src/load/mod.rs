//! Traffic: messages over HTTP, and over SMPP with what comes back.
//!
//! Knows the faces, not the inside, of what it loads. Invariant: the ledger says of every message what became of it.

pub(crate) mod delivered;
mod http;
mod mix;
mod options;
mod pace;
mod report;
mod smpp;

pub use http::{HttpLoad, LoadError, load_http, load_http_with};
pub use mix::{Kind, MixItem};
pub use options::{LoadBind, LongForm, SmppLoad};
pub use pace::Plan;
pub use report::{LoadReport, Quantiles};
pub use smpp::{SmppLoadError, SmppLoaded, load_smpp, load_smpp_with};
