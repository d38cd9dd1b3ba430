//! The callback node: tells the clients' URLs of reports and MO until each is answered well or given up.
//!
//! ```text
//! down.callback ─▶ dispatch ─▶ take: policy, pace, order, batch ─▶ attempt (guard: resolve, check, connect) ─▶ ends
//!                   │  ▲                 places: breaker and limit per target, share per client                 │
//!                   └──┘                 settle: told/<id>, events, client.requests ◀───────────────────────────┤
//!                                        release by the ladder, or dead letter      ◀───────────────────────────┘
//! ```
//! Knows no other node. Invariant: a record leaves `down.callback` only after its target answered as the client's policy wants
//! it, or into a dead letter with its reason; a target that fails or is slow delays no other client; the states of one
//! message never arrive reversed.
//!
//! # Limits
//! See `places` and `order`. A GET is signed like a POST without a body: its parameters are not covered. TLS files of clients are
//! read when the configuration is.

mod answer;
mod attempt;
mod batch;
mod breaker;
mod dispatch;
mod ends;
#[cfg(test)]
mod fixtures;
mod guard;
mod metric;
mod order;
mod pace;
mod places;
mod policy;
mod request;
mod settle;
mod sign;
mod take;

pub use dispatch::supervise;
