//! The client node: takes messages from clients over HTTP, checks them, and answers once they are durable.
//!
//! ```text
//! http/  request ─▶ who ─▶ message ─┐
//!                                    ├─▶ admission ─▶ accept: one step mt.accepted, msg/<id>, events ─▶ answer
//! smpp/  submit  ─▶ who ─▶ message ─┘
//! ```
//! Knows no other node: what it leaves in `mt.accepted` is all that the router learns. Invariant: a 202 was durable
//! before its first octet was written, and its message is never answered 404 afterwards.
//!
//! # Limits
//! HTTP/1.1 without TLS; clients that bind by SMPP are not served yet (`[smpp] listen` is reported at start). Bodies may
//! take up to `http.max_connections` times `http.body_limit` of memory.

mod accept;
mod admission;
mod http;
mod metric;
mod node;
mod shared;
mod tables;

pub use http::listener::Bound;
pub use node::supervise;
