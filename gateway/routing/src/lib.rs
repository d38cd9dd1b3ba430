//! Which operators a message to a phone may take, and which client gets a message from one.
//!
//! Three nodes' worth of callers use the same two functions: the router decides with them, the client node refuses
//! with them what has no route, the daemon explains with them. A [`RouteTable`] is built from plain values, so this
//! crate knows neither the configuration nor any node, and it reads no clock: the same table and the same question
//! give the same answer for ever.
//!
//! Beside them stands what a client is held to at its accept: [`NumberSet`] (destinations), [`SenderTable`], [`PriceTable`].
//!
//! Invariant RT-1: among the routes whose criteria all hold, the one with the highest priority is taken; of these the one
//! with the longest matching prefix (a route without prefixes has the empty one); of equal ones the first in the file. What a
//! naive walk over all routes would answer is the reference.
//!
//! # Limits
//! Prefixes are compared with the digits of an address as they stand: a national number matches only a prefix written
//! as national digits. Routes are found by client, prefix, network and country; those that differ in nothing else are tried one
//! after the other (10,000 routes for one client and any number, told apart by sender, cost 10,000 comparisons).

mod by_client;
mod cost;
mod decide;
mod explain;
mod facts;
mod mo;
mod network;
mod numbers;
mod order;
mod plan;
mod prefix;
mod price;
mod rewrite;
mod route;
mod sender;
mod table;
mod text;
mod window;

pub use cost::{CostRow, CostTable};
pub use decide::{Decision, NoRoute, Refusal, decide_mt};
pub use explain::{Explained, Explanation, RouteVerdict, explain_mt};
pub use facts::{Content, Criterion, Question};
pub use mo::{
    AutoReply, KeywordScope, KeywordSet, KeywordTable, Language, MoCriterion, MoDecision, MoExplanation,
    MoMet, MoMode, MoQuestion, MoRoute, MoSeen, MoVerdict, Spoken, SpokenBy, decide_mo, explain_mo,
    first_word, whole_text,
};
pub use network::{CountryCode, NetworkCode, PortedBuilder, PortedError, PortedNumbers};
pub use numbers::{EntryError, MAX_DIGITS, NumberSet, NumberSetBuilder};
pub use plan::{Country, Network, NumberPlan, PlanError, PlanErrorKind, PlanErrors, PlanSize, Plmn};
pub use price::{Currency, MicroUnits, Price, PriceError, PriceRow, PriceTable};
pub use rewrite::Rewrite;
pub use route::{Action, MtRoute, RejectCode, RouteError, RouteErrorKind, Strategy};
pub use sender::{SenderDenied, SenderError, SenderPattern, SenderPolicy, SenderRule, SenderTable};
pub use table::RouteTable;
pub use text::{TextPattern, text_of};
pub use window::{TimeWindow, WallTime};
