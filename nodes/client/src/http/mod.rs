//! The HTTP face: API v1 for clients.
//!
//! ```text
//! connection ─▶ listener ─▶ api ─▶ auth ─▶ submit (parse, check, encode, cut) ─▶ accept ─▶ 202
//!                                   └────▶ view  (msg/<id>, told/<id>) ─▶ 200
//! ```
//! Knows HTTP and JSON; what makes a message durable is `accept`, the same for every face.

mod account;
pub(crate) mod answer;
mod api;
pub(crate) mod auth;
pub(crate) mod batch;
pub(crate) mod body;
pub(crate) mod call;
mod connection;
mod content;
mod fields;
mod idempotency;
pub(crate) mod inbox;
pub(crate) mod listener;
mod messages;
pub(crate) mod openapi;
pub(crate) mod optouts;
mod params;
mod preview;
pub(crate) mod problem;
mod receive;
pub(crate) mod router;
mod search;
pub(crate) mod slots;
mod stall;
pub(crate) mod submit;
mod view;
