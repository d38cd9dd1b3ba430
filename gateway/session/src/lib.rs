//! Sans-IO parts shared by the protocol sessions.
//!
//! A session is a value: bytes, commands and time go in; bytes, events and the next deadline come out. Nothing here
//! opens a socket, reads a clock or names a runtime. `smsgw-transport` drives any [`Session`] on a socket.

pub mod backoff;
pub mod congestion;
mod deadlines;
pub mod keys;
pub mod rate;
pub mod timer;
pub mod window;

pub use backoff::Backoff;
pub use congestion::{CongestionBand, CongestionSettings, CongestionWindow, Narrowed};
pub use keys::Keys;
pub use rate::{Rate, RateLimiter};
pub use timer::TimerTable;
pub use window::{Tombstones, Window, WindowError};

use bytes::BytesMut;
use std::time::Instant;

/// One end of a protocol session, driven from outside.
///
/// After every `handle_*` call the driver drains [`Session::poll_transmit`] and [`Session::poll_event`] and re-arms its
/// timer with [`Session::poll_timeout`]. Times must not go backwards.
pub trait Session {
    /// What the owner asks of the session: submit, answer, unbind, …
    type Command;
    /// What the session tells its owner: bound, answered, closed, …
    type Event;

    /// Bytes arrived from the peer, cut anywhere.
    fn handle_bytes(&mut self, now: Instant, bytes: &[u8]);
    /// The owner wants something done.
    fn handle_command(&mut self, now: Instant, command: Self::Command);
    /// A deadline of [`Session::poll_timeout`] has passed.
    fn handle_timeout(&mut self, now: Instant);
    /// The peer closed its side, or the transport failed.
    fn handle_eof(&mut self, now: Instant);
    /// Appends bytes for the peer; returns whether there were any.
    fn poll_transmit(&mut self, out: &mut BytesMut) -> bool;
    /// The next event for the owner.
    fn poll_event(&mut self) -> Option<Self::Event>;
    /// When [`Session::handle_timeout`] must be called next.
    fn poll_timeout(&self) -> Option<Instant>;
    /// The session is over: the driver flushes what is left and closes the socket.
    fn is_closed(&self) -> bool;
}
