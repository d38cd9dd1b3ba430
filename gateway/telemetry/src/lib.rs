//! What smsgw says about itself: metric definitions and the stable error codes of its faces.
//!
//! Knows no node and no protocol. A metric is a `static` of the crate that counts (its `metric.rs`); this crate gives
//! it a type and puts it on `/metrics`. This crate does not read the clock.

mod code;
mod metric;

pub use code::ApiCode;
pub use metric::{Counter, Gauge, Histogram, LATENCY_SECONDS, exposition};
pub use prometheus::{Histogram as HistogramHandle, IntCounter, IntGauge};
