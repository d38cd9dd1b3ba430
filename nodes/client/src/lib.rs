//! The client node: takes messages from clients over HTTP and SMPP, checks them, and answers once they are durable; hands
//! reports and MO to the clients that bind.
//!
//! ```text
//! http/  request ─▶ who ─▶ message ─┐
//!                                    ├─▶ admission ─▶ accept: one step, see below ─▶ answer
//! smpp/  submit  ─▶ who ─▶ message ─┘
//! ```
//! The step writes `msg/<id>` and events, and publishes to `mt.operator.<id>` what the route found by admission is enough for, else
//! to `mt.accepted`. Knows no other node: what it leaves there is all that they learn. Invariant: a 202 was durable before its
//! first octet was written, and its message is never answered 404 afterwards.
//!
//! # Limits
//! HTTP/2 only inside TLS. Bodies may take up to
//! `http.max_connections` times `http.body_limit` of memory; those of batches are read as streams.

mod accept;
mod admission;
mod cancel;
mod explain;
mod guard;
mod http;
mod metric;
mod node;
mod password;
mod refusals;
mod replace;
mod requests;
mod sessions;
mod shared;
mod smpp;
mod tables;
mod tls;

pub use explain::{Amount, Asked, Explained, RouteSeen, Way, explain};
pub use http::listener::Bound;
pub use node::{Faces, supervise, supervise_watched, supervise_with_history};
pub use requests::auto_replies_key;
pub use sessions::{SessionStatus, Sessions};
