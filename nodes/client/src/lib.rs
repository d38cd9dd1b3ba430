//! The client node: takes messages from clients over HTTP, checks them, and answers once they are durable.
//!
//! ```text
//! connection ─▶ api ─▶ auth ─▶ submit (parse, check, encode, cut) ─▶ one step: mt.accepted, msg/<id>, events, idem/… ─▶ 202
//!                       └────▶ view  (msg/<id>, told/<id>) ─▶ 200
//! ```
//! Knows no other node: what it leaves in `mt.accepted` is all that the router learns. Invariant: a 202 was durable
//! before its first octet was written, and its message is never answered 404 afterwards.
//!
//! # Limits
//! HTTP/1.1 without TLS; clients that bind by SMPP are not served yet (`[smpp] listen` is reported at start). Bodies may
//! take up to `http.max_connections` times `http.body_limit` of memory.

mod api;
mod auth;
mod body;
mod bucket;
mod idempotency;
mod listener;
mod metric;
mod problem;
mod receive;
mod stall;
mod submit;
mod tables;
mod view;

pub use listener::{Bound, supervise};
