//! One client at admission: what it is held to, in one place for all its sessions and both faces.
//!
//! Pure but for the rate, which is taken from memory. Knows neither engine nor clock.
//! Invariant: judging a message takes nothing; only [`Account::take`] does, and it is asked last.

use crate::admission::bucket::Bucket;
use crate::admission::content::{self, ContentRules};
use crate::admission::credit::{Credit, Reserve};
use crate::admission::destination::{self, Destinations, Lists};
use crate::admission::quota::{Quota, Spend};
use crate::admission::{Charge, Refused, Why};
use smsgw_config::{AdmissionSection, Client, LimitsSection};
use smsgw_message::{ClientId, MtMessage};
use smsgw_routing::{SenderPolicy, SenderTable};
use smsgw_telemetry::IntCounter;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::Semaphore;

/// Requests of an account at once that look something up, each of which may wait for a disk or another server.
const LOOKS: usize = 64;

/// What holds for all clients.
#[derive(Debug, Default)]
pub(crate) struct ForAll {
    destinations: Destinations,
    content: ContentRules,
    senders: SenderTable,
}

impl ForAll {
    pub(crate) fn of(section: &AdmissionSection, senders: SenderTable, lists: &Lists) -> Self {
        Self {
            destinations: Destinations::of(&section.deny_to, &section.allow_to, lists),
            content: ContentRules::of(&section.deny_text, section.max_chars, &section.encodings),
            senders,
        }
    }
}

/// What one client is held to.
#[derive(Debug)]
pub(crate) struct Account {
    max_parts: u8,
    senders: SenderPolicy,
    destinations: Destinations,
    content: ContentRules,
    quotas: [Option<Quota>; 2],
    credit: Option<Credit>,
    rate: Option<Rate>,
    /// Requests at once that look something up. Outlives an epoch like the rate: who is at work stays counted.
    pub(crate) looks: Arc<Semaphore>,
    pub(crate) opt_out: bool,
    refused: Refusals,
}

/// The rate is what outlives an epoch: a reload that leaves it alone gives nobody a new burst.
#[derive(Debug, Clone)]
struct Rate {
    rate: f64,
    burst: u32,
    bucket: Arc<Mutex<Bucket>>,
}

impl Rate {
    fn of(client: &Client, before: Option<&Self>) -> Option<Self> {
        let burst = client.burst.unwrap_or_else(|| one_second(client.rate));
        let bucket = Bucket::try_new(client.rate, burst)?;
        let kept = before.filter(|kept| kept.rate.to_bits() == client.rate.to_bits() && kept.burst == burst);
        Some(kept.cloned().unwrap_or_else(|| Self {
            rate: client.rate,
            burst,
            bucket: Arc::new(Mutex::new(bucket)),
        }))
    }

    fn with<T>(&self, ask: impl FnOnce(&mut Bucket) -> T) -> T {
        // A bucket is one time: whatever a panic left in it is still a bucket.
        ask(&mut self.bucket.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Refusals by reason: handles, so that a flood of refused messages looks nothing up.
#[derive(Debug)]
struct Refusals([IntCounter; Why::ALL.len()]);

impl Refusals {
    fn of(client: &ClientId) -> Self {
        Self(
            Why::ALL.map(|why| crate::metric::ADMISSION_REFUSED_TOTAL.with(&[client.as_str(), why.as_str()])),
        )
    }

    fn count(&self, why: Why) {
        let all = Why::ALL.iter().zip(&self.0);
        all.filter(|(one, _)| **one == why)
            .for_each(|(_, counter)| counter.inc());
    }
}

/// What is left of a client's rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct RateLeft {
    /// Parts per second.
    pub(crate) rate: f64,
    /// Parts at once after a pause.
    pub(crate) burst: u32,
    /// Parts that would go at once now.
    pub(crate) left: u32,
}

impl Account {
    pub(crate) fn of(
        id: &ClientId,
        client: &Client,
        limits: &LimitsSection,
        lists: &Lists,
        before: Option<&Self>,
    ) -> Self {
        Self {
            max_parts: client.max_parts.unwrap_or(limits.max_parts),
            senders: client.sender_policy(),
            destinations: Destinations::of(&client.deny_to, &client.allow_to, lists),
            content: ContentRules::of(&client.deny_text, client.max_chars, &client.encodings),
            quotas: Quota::of(id, client),
            credit: Credit::of(id, client),
            rate: Rate::of(client, before.and_then(|before| before.rate.as_ref())),
            looks: before.map_or_else(
                || Arc::new(Semaphore::new(LOOKS)),
                |before| Arc::clone(&before.looks),
            ),
            opt_out: client.opt_out,
            refused: Refusals::of(id),
        }
    }

    /// Judges what the message itself says, and gives it its sender.
    pub(crate) fn judge(&self, for_all: &ForAll, message: &mut MtMessage) -> Result<(), Refused> {
        if message.part_count() > u16::from(self.max_parts) {
            let detail = format!(
                "the message takes {} parts, at most {} are allowed",
                message.part_count(),
                self.max_parts
            );
            return Err(Refused::of(Why::TooManyParts, detail));
        }
        let to = message.to.as_str();
        for destinations in [&for_all.destinations, &self.destinations] {
            destinations.judge(to).map_err(|denied| {
                let detail = match denied {
                    destination::Denied::Listed => "messages to this destination are not allowed",
                    destination::Denied::NotListed => {
                        "the destination is not among those that the account may send to"
                    }
                };
                Refused::of(Why::DestinationDenied, detail)
            })?;
        }
        let asked = message.from.take();
        message.from = for_all
            .senders
            .judge(&self.senders, &message.client, &message.to, asked)
            .map_err(|denied| Refused::of(Why::SenderDenied, denied.to_string()))?;
        ContentRules::judge_all(&[&for_all.content, &self.content], message).map_err(|denied| {
            let detail = match denied {
                content::Denied::Pattern => "the text holds what the account may not send".to_owned(),
                content::Denied::TooLong(most) => format!("the text has more than {most} characters"),
                content::Denied::Encoding => format!("the account may not send {}", message.encoding),
            };
            Refused::of(Why::ContentDenied, detail)
        })
    }

    /// What the accept has to add to the counters of the quotas.
    pub(crate) fn spend(&self, message: &MtMessage) -> Result<[Option<Spend>; 2], Refused> {
        let [day, month] = &self.quotas;
        let spend = |quota: &Option<Quota>| {
            let spent = quota
                .as_ref()
                .map(|quota| quota.spend(message.accepted_at, message.part_count()));
            spent.transpose()
        };
        Ok([spend(day)?, spend(month)?])
    }

    /// Writes into the message what it costs, and says what its accept has to put aside. The price that holds comes back with
    /// it: of a prepaid account only one that is in its currency.
    pub(crate) fn charge(
        &self,
        message: &mut MtMessage,
        price: Option<Charge>,
    ) -> Result<(Option<Charge>, Option<Reserve>), Refused> {
        let Some(credit) = &self.credit else {
            return Ok((price, None));
        };
        let reserve = credit.charge(message, price)?;
        let price = price.filter(|price| price.currency == credit.currency());
        Ok((price, reserve))
    }

    /// The credit, of a prepaid account.
    pub(crate) fn credit(&self) -> Option<&Credit> {
        self.credit.as_ref()
    }

    /// Takes parts from the rate.
    pub(crate) fn take(&self, parts: u16, now: Instant) -> Result<(), Refused> {
        let Some(rate) = &self.rate else { return Ok(()) };
        rate.with(|bucket| bucket.take(now, parts))
            .map_err(|wait| Refused {
                why: Why::RateLimited,
                detail: "the account sends faster than it may".to_owned(),
                retry_after: Some(wait),
            })
    }

    /// The quotas there are.
    pub(crate) fn quotas(&self) -> impl Iterator<Item = &Quota> {
        self.quotas.iter().flatten()
    }

    /// What is left of the rate; `None` when there is no limit.
    pub(crate) fn rate_left(&self, now: Instant) -> Option<RateLeft> {
        self.rate.as_ref().map(|rate| RateLeft {
            rate: rate.rate,
            burst: rate.burst,
            left: rate.with(|bucket| bucket.left(now)),
        })
    }

    pub(crate) fn count(&self, why: Why) {
        self.refused.count(why);
    }

    /// How many messages were refused since the process began, by reason.
    pub(crate) fn refusals(&self) -> impl Iterator<Item = (Why, u64)> {
        Why::ALL
            .into_iter()
            .zip(self.refused.0.iter().map(IntCounter::get))
    }
}

/// The parts that fit in one second at this rate, at least one.
fn one_second(rate: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "configuration keeps it in 0..=1e6"
    )]
    let whole = rate.ceil() as u32;
    whole.max(1)
}
