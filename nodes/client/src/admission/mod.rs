//! Admission: what a client may hand in, the same for both faces.
//!
//! A face makes a message of a request and asks [`Tables::admit`](crate::tables::Tables::admit); what comes back goes into
//! the step of the accept. Knows neither HTTP nor SMPP: a refusal has a reason, and each face says it in its own words.
//! Invariant: a refused message has changed nothing but the count of refusals.

pub(crate) mod bucket;

use smsgw_queue::Step;
use std::time::Duration;

/// Why a message is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// Over the account's rate.
    RateLimited,
    /// No route leads to the destination.
    NoRoute,
}

/// A message that is not admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) why: Why,
    /// For the client; never another client's affairs.
    pub(crate) detail: String,
    /// After how long it may come again, where that is known.
    pub(crate) retry_after: Option<Duration>,
}

/// A message that is admitted, with what its accept has to carry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Admitted {}

impl Admitted {
    /// Puts what was spent into the step of the accept.
    pub(crate) fn add_to(self, step: Step) -> Step {
        step
    }
}
