//! Admission: what a client may hand in, the same for both faces.
//!
//! ```text
//! message ─▶ judge: parts, route, destination, sender, content, quota known to be used up     from memory
//!         ─▶ opted out?                                                          only accounts with opt_out
//!         ─▶ rate                                                               from memory, taken last
//!         ─▶ Admitted ─▶ add_to(step of the accept): quotas and credit ─▶ commit ─▶ OverQuota, InsufficientCredit, or accepted
//! ```
//! A face makes a message of a request and awaits [`check`]; what comes back goes into the step of the accept, and
//! [`accept::commit`](crate::accept::commit) says [`Refusal::OverQuota`](crate::accept::Refusal::OverQuota) when a quota does
//! not hold the message. A face leaves `from` absent where the client named no sender, and gives an empty address where it
//! wants none: defaults are filled in here. For what is only asked about (a preview) there is
//! [`Tables::judge`](crate::tables::Tables::judge), which takes nothing.
//!
//! What is in memory takes 0.2 microseconds for a client with nothing on, and 1 for one with everything on (optimised build,
//! a text of 150 characters, two patterns, two cores shared with compilers at work; `admission_costs` measures it).
//!
//! Knows neither HTTP nor SMPP: a refusal has a reason, and each face says it in its own words. Invariant: a refused
//! message has changed nothing but the count of refusals.
//!
//! # Limits
//! Parts that were taken from the rate are not given back when the accept fails afterwards (a quota, a full or failed
//! engine): whoever hammers a gateway that refuses is slowed down as if it had accepted. Rates are of one process: with
//! several client nodes each of them admits the rate. Quotas and opt-outs are of the engine, so of the whole cluster.

mod account;
pub(crate) mod bucket;
pub(crate) mod content;
pub(crate) mod credit;
mod destination;
pub(crate) mod limits;
pub(crate) mod optout;
pub(crate) mod quota;
#[cfg(test)]
mod tests;
pub(crate) mod turn;

pub(crate) use account::{Account, ForAll, RateLeft};

use crate::admission::credit::Reserve;
use crate::admission::quota::Spend;
use crate::shared::Shared;
use crate::tables::Tables;
use smsgw_message::{MtMessage, Routed};
use smsgw_queue::Step;
use smsgw_routing::{Currency, MicroUnits, Price};
use std::time::Duration;
use tracing::debug;

/// After how long to come again when something could not be looked up.
const RETRY: Duration = Duration::from_secs(2);

/// Why a message is not admitted; in about the order in which it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// More parts than one message of the account may have. For good.
    TooManyParts,
    /// No route leads to the destination. For good.
    NoRoute,
    /// A list denies the destination, or the lists that allow some do not have it. For good.
    DestinationDenied,
    /// The account may not use the sender, here or anywhere. For good.
    SenderDenied,
    /// A pattern, a length or an encoding that is not allowed. For good.
    ContentDenied,
    /// Who has the phone does not want messages of this client or sender. For good.
    OptedOut,
    /// Over the account's rate; `retry_after` says for how long.
    RateLimited,
    /// The account's parts of the day or month are used up; `retry_after` says when the next one begins.
    QuotaExceeded,
    /// The account's prepaid credit does not pay for the message.
    InsufficientCredit,
    /// The gateway could not look something up; `retry_after` says when to come again.
    Unavailable,
}

impl Why {
    /// All of them.
    pub(crate) const ALL: [Self; 10] = [
        Self::TooManyParts,
        Self::NoRoute,
        Self::DestinationDenied,
        Self::SenderDenied,
        Self::ContentDenied,
        Self::OptedOut,
        Self::RateLimited,
        Self::QuotaExceeded,
        Self::InsufficientCredit,
        Self::Unavailable,
    ];

    /// The word in logs and metrics: that of the HTTP API where it has one.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::TooManyParts => "text_too_long",
            Self::NoRoute => "no_route",
            Self::DestinationDenied => "destination_denied",
            Self::SenderDenied => "sender_denied",
            Self::ContentDenied => "content_denied",
            Self::OptedOut => "opted_out",
            Self::RateLimited => "rate_limited",
            Self::QuotaExceeded => "quota_exceeded",
            Self::InsufficientCredit => "insufficient_credit",
            Self::Unavailable => "unavailable",
        }
    }
}

/// A message that is not admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) why: Why,
    /// For the client; never another client's affairs, never content.
    pub(crate) detail: String,
    /// After how long it may come again, where that is known.
    pub(crate) retry_after: Option<Duration>,
}

impl Refused {
    pub(crate) fn of(why: Why, detail: impl Into<String>) -> Self {
        Self {
            why,
            detail: detail.into(),
            retry_after: None,
        }
    }

    /// Something could not be looked up, and may be found a moment later.
    pub(crate) fn unavailable(detail: &'static str) -> Self {
        Self {
            retry_after: Some(RETRY),
            ..Self::of(Why::Unavailable, detail)
        }
    }
}

/// What a message costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Charge {
    pub(crate) per_part: MicroUnits,
    pub(crate) total: MicroUnits,
    pub(crate) currency: Currency,
}

impl Charge {
    pub(crate) fn of(price: Price, parts: u16) -> Self {
        Self {
            per_part: price.per_part,
            total: price.per_part.times(parts),
            currency: price.currency,
        }
    }
}

/// A message that is admitted, with what its accept has to carry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use = "what was spent belongs into the step of the accept"]
pub(crate) struct Admitted {
    /// What it costs; `None` where no price is set.
    pub(crate) charge: Option<Charge>,
    /// Where its accept sends it; `None` where the router has to decide.
    pub(crate) routed: Option<Routed>,
    quotas: [Option<Spend>; 2],
    credit: Option<Reserve>,
}

impl Admitted {
    pub(crate) fn new(charge: Option<Charge>, quotas: [Option<Spend>; 2], credit: Option<Reserve>) -> Self {
        Self {
            charge,
            routed: None,
            quotas,
            credit,
        }
    }

    /// With the route by which its accept sends it.
    pub(crate) fn routed_to(self, routed: Option<Routed>) -> Self {
        Self { routed, ..self }
    }

    /// Puts what is spent into the step of the accept: behind what the step compares, so that a step which was done before
    /// spends nothing again.
    pub(crate) fn add_to(self, step: Step) -> Step {
        let step = self
            .quotas
            .into_iter()
            .flatten()
            .fold(step, |step, spend| spend.add_to(step));
        match self.credit {
            None => step,
            Some(reserve) => reserve.add_to(step),
        }
    }
}

/// Checks a message that is about to be accepted, gives it its sender, and takes its parts from the rate. Asks the engine
/// only for accounts with `opt_out`. A refusal is counted here, and said by the face.
pub(crate) async fn check(
    shared: &Shared,
    tables: &Tables,
    message: &mut MtMessage,
) -> Result<Admitted, Refused> {
    let outcome = check_uncounted(shared, tables, message).await;
    if let Err(refused) = &outcome {
        count(tables, message, refused.why);
    }
    outcome
}

/// The same, for who waits where a face refuses: whoever makes a refusal of it in the end says so with [`count`].
pub(crate) async fn check_uncounted(
    shared: &Shared,
    tables: &Tables,
    message: &mut MtMessage,
) -> Result<Admitted, Refused> {
    check_opted(shared, tables, message, false).await
}

/// The same; `confirms` is whether the message tells a phone that it gets no more of them.
pub(crate) async fn check_opted(
    shared: &Shared,
    tables: &Tables,
    message: &mut MtMessage,
    confirms: bool,
) -> Result<Admitted, Refused> {
    let admitted = tables.judge(message)?;
    let account = tables.account(&message.client).ok_or_else(no_account)?;
    if account.opt_out && !confirms {
        optout::check(shared.engine.as_ref(), message).await?;
    }
    account.take(message.part_count(), shared.clock.instant())?;
    Ok(admitted)
}

/// Counts a refusal, and says so in the log.
pub(crate) fn count(tables: &Tables, message: &MtMessage, why: Why) {
    debug!(message_id = %message.id, client = %message.client, why = why.as_str(), "message not admitted");
    if let Some(account) = tables.account(&message.client) {
        account.count(why);
    }
}

/// A client whose account a reload has taken away, on a session that is not closed yet.
pub(crate) fn no_account() -> Refused {
    Refused::unavailable("the account no longer exists")
}
