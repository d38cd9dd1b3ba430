//! Simulated SMSC, callback sink, load generators, and the comparison of their ledgers: what the tests, the
//! benchmarks and `smsgw demo` put around a gateway.
//!
//! Protocol behaviour is in pure machines ([`smsc::Smsc`], [`smsc::SimSession`]): events and time go in, actions come
//! out, and randomness comes from a seed. Runners put them on sockets. Knows nothing of the gateway's inside: it meets
//! it over SMPP and HTTP only. Invariant: what a simulated peer took over stands in its ledger before the peer says so.
//!
//! | module | for |
//! |---|---|
//! | [`smsc`] | the carrier: machine, options, server |
//! | [`sink`] | the client's end of callbacks |
//! | [`load`] | traffic over HTTP and SMPP |
//! | [`compare`], [`ledger`], [`token`] | nothing lost, nothing doubled |
//! | [`bench`] | the figures of the performance budget |
//! | [`progress`] | how far a load or benchmark is |
//! | [`cli`] | all of it as subcommands |

pub mod bench;
pub mod cli;
pub mod compare;
pub mod histogram;
pub mod ledger;
pub(crate) mod line;
pub mod load;
pub mod process;
pub mod progress;
pub mod sink;
pub mod smsc;
pub mod span;
pub mod token;
