//! Which operators a message to a phone may take, and which client gets a message from one.
//!
//! Three nodes' worth of callers use the same two functions: the router decides with them, the client node refuses
//! with them what has no route, the daemon explains with them. A [`RouteTable`] is built from plain values, so this
//! crate knows neither the configuration nor any node, and it reads no clock: the same table and the same question
//! give the same answer for ever.
//!
//! Beside them stands what a client is held to at its accept: [`NumberSet`] (destinations), [`SenderTable`], [`PriceTable`].
//!
//! Invariant RT-1: among the routes that apply to a client and a class, the one with the longest matching prefix is
//! taken, and of equal ones the first in the file. What a naive walk over all routes would answer is the reference.
//!
//! # Limits
//! Prefixes are compared with the digits of an address as they stand: a national number matches only a prefix written
//! as national digits.

mod by_client;
mod decide;
mod numbers;
mod plan;
mod prefix;
mod price;
mod sender;
mod table;

pub use decide::{Decision, MoDecision, NoRoute, decide_mo, decide_mt};
pub use numbers::{EntryError, MAX_DIGITS, NumberSet, NumberSetBuilder};
pub use plan::{Country, Network, NumberPlan, PlanError, PlanErrorKind, PlanErrors, PlanSize, Plmn};
pub use price::{Currency, MicroUnits, Price, PriceError, PriceRow, PriceTable};
pub use sender::{SenderDenied, SenderError, SenderPattern, SenderPolicy, SenderRule, SenderTable};
pub use table::{MoRoute, MtRoute, RouteError, RouteErrorKind, RouteTable, Strategy};
