//! The HTTP face: API v1 for clients.
//!
//! ```text
//! connection ─▶ listener ─▶ api ─▶ auth ─▶ submit (parse, check, encode, cut) ─▶ accept ─▶ 202
//!                                   └────▶ view  (msg/<id>, told/<id>) ─▶ 200
//! ```
//! Knows HTTP and JSON; what makes a message durable is `accept`, the same for every face.

mod api;
pub(crate) mod auth;
mod body;
mod idempotency;
pub(crate) mod listener;
mod problem;
mod receive;
mod stall;
mod submit;
mod view;
