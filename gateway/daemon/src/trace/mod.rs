//! What the administrator's listener knows of single links and messages: `/trace/link`, `/trace/message`.
//!
//! `serve` answers, `capture` writes what goes over a link into a file, `message` finds all of a message, `past` what of it the history knows, `schema` is the
//! shape of both answers, `draw` what `smsgw trace` makes of them. Reads only, but for the files of captures. Invariant: no
//! text of a message leaves over the listener; what has texts in it, a capture, is a file that only the gateway's own user
//! can read.

pub(crate) mod capture;
pub(crate) mod draw;
mod message;
mod past;
pub(crate) mod query;
pub(crate) mod schema;
pub(crate) mod serve;

pub(crate) use capture::Captures;
