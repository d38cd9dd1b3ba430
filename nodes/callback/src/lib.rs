//! The callback node: posts reports and MO to the clients' URLs until each is answered 2xx or given up.
//!
//! ```text
//! down.callback ─▶ dispatch ─▶ attempt (guard: resolve, check, connect) ─▶ settle: told/<id>, events
//!                   │  ▲  places: breaker and limit per target, share per client  └▶ release by the ladder, or dead letter
//!                   └──┘
//! ```
//! Knows no other node. Invariant: a record leaves `down.callback` only after its target answered 2xx, or into a dead
//! letter with its reason; a target that fails or is slow delays no other client.
//!
//! # Limits
//! Two reports of one message may be under way at once, so a client that asks for `report = "all"` can see them out of
//! order; each carries its time in `at`. Requests are not signed; who must know that they are ours puts a secret into
//! the URL. Eight targets that answer slowly but well, each of another client, can take all of `max_in_flight`.

mod attempt;
mod breaker;
mod dispatch;
mod guard;
mod metric;
mod places;
mod settle;

pub use dispatch::supervise;
