//! A client's parts of the day and of the month: counted where nothing is forgotten, in the step of the accept itself.
//!
//! ```text
//! accept: publish, msg/<id>, event,
//!         add(quota/acme/day/2026-11-21, -parts, floor -quota_day)       one step: all of it, or nothing
//!         add(quota/acme/month/2026-11,  -parts, floor -quota_month)
//! ```
//! A counter begins at 0 and counts down, and the engine refuses a sum below the floor: so the quota holds for all faces and
//! sessions, over restarts, and whatever else fails, and a quota that a reload changes holds from the next message on. No
//! allotments are taken for this: they would save two small writes of the step, and lose the exactness. Reads no clock.
//!
//! Invariant QU-1: the parts of all accepted messages of a period are never more than its quota (as it was at each accept).
//!
//! # Limits
//! The period is the one of the message's `accepted_at`: a clock that jumps takes the quota with it. A quota that is made
//! smaller than what was used admits nothing until the period ends. Counters are kept for two days after their period.

use crate::accept::Refusal;
use crate::admission::{Refused, Why};
use crate::shared::Shared;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use smsgw_config::Client;
use smsgw_message::{ClientId, Timestamp, names};
use smsgw_queue::{CommitErrorKind, Expiry, Op, StateKey, Step};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tracing::debug;

/// How long a counter is kept after its period: for accepts whose clock is behind, and for people.
const KEPT: Duration = Duration::from_secs(2 * 24 * 3600);
/// For how long a quota is known to be used up without asking the engine: a client that goes on sending costs no step for
/// each message, and a quota that was made larger by other means is found soon.
const KNOWN: Duration = Duration::from_secs(1);

/// What a quota is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Period {
    /// A day of the account's zone.
    Day,
    /// A calendar month of the account's zone.
    Month,
}

impl Period {
    /// The word in keys and in the API.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        [Self::Day, Self::Month]
            .into_iter()
            .find(|period| period.as_str() == word)
    }
}

/// One period: its counter, and when it is.
#[derive(Debug, Clone)]
struct Window {
    key: StateKey,
    from: Timestamp,
    until: Timestamp,
    /// The fewest parts that were refused, and until when that is believed.
    used_up: Option<(u16, Timestamp)>,
}

/// The quota of a client for one kind of period.
#[derive(Debug)]
pub(crate) struct Quota {
    period: Period,
    /// In parts, at least 1.
    limit: i64,
    zone: TimeZone,
    client: ClientId,
    /// The period that was asked for last; nearly always that of the next message.
    window: Mutex<Option<Window>>,
}

/// A quota does not hold the parts of a message any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UsedUp {
    pub(crate) period: Period,
    /// When the next period begins.
    pub(crate) retry_after: Duration,
}

impl UsedUp {
    /// What a client is told.
    pub(crate) fn words(self) -> &'static str {
        match self.period {
            Period::Day => {
                "the account's parts of this day are used up, or fewer are left than the message has"
            }
            Period::Month => {
                "the account's parts of this month are used up, or fewer are left than the message has"
            }
        }
    }
}

impl From<UsedUp> for Refused {
    fn from(used_up: UsedUp) -> Self {
        Self {
            why: Why::QuotaExceeded,
            detail: used_up.words().to_owned(),
            retry_after: Some(used_up.retry_after),
        }
    }
}

/// What the accept of a message has to add to a counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spend {
    key: StateKey,
    parts: u16,
    limit: i64,
    expires: Timestamp,
}

impl Spend {
    pub(crate) fn add_to(self, step: Step) -> Step {
        step.add(
            self.key,
            -i64::from(self.parts),
            Some(-self.limit),
            Expiry::At(self.expires),
        )
    }
}

/// One of the counters that a step takes from.
#[derive(Debug)]
struct Taken {
    key: StateKey,
    parts: u16,
    /// When the period ends.
    until: Timestamp,
}

/// The counters that a step takes from: kept beside a step that is committed, to tell a refusal of one of them. Of a step
/// without quotas it is empty and costs nothing.
#[derive(Debug, Default)]
pub(crate) struct Spent(Vec<Taken>);

impl Spent {
    pub(crate) fn of(step: &Step) -> Self {
        let taken = step.ops().iter().filter_map(|op| {
            let Op::Add(key, parts, Some(_), Expiry::At(expires)) = op else {
                return None;
            };
            (key.space() == names::QUOTA).then(|| Taken {
                key: key.clone(),
                parts: u16::try_from(parts.saturating_neg()).unwrap_or(u16::MAX),
                until: expires.before(KEPT),
            })
        });
        Self(taken.collect())
    }

    /// What to tell of a step that was refused because a quota does not hold it; counted as a refusal of its client, which
    /// knows for a moment that it is used up.
    pub(crate) fn over_quota(&self, shared: &Shared, error: &CommitErrorKind) -> Option<Refusal> {
        let CommitErrorKind::Floor { key } = error else {
            return None;
        };
        let taken = self.0.iter().find(|taken| taken.key == *key)?;
        let mut words = key.as_str().split('/').skip(1);
        let client = words.next()?.parse().ok()?;
        let period = words.next().and_then(Period::from_word)?;
        let now = shared.clock.now();
        let tables = shared.tables.current();
        // A reload may have taken the account away, or midnight the window: the refusal stands.
        if let Some(account) = tables.account(&client) {
            account
                .quotas()
                .for_each(|quota| quota.is_used_up(key, now, taken.parts));
            account.count(Why::QuotaExceeded);
        }
        debug!(%client, period = period.as_str(), "message not admitted: its quota is used up");
        Some(Refusal::OverQuota(UsedUp {
            period,
            retry_after: taken.until.since(now),
        }))
    }
}

/// What is left of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QuotaLeft {
    /// Parts of the whole period.
    pub(crate) limit: u64,
    /// Parts that were accepted in it.
    pub(crate) used: u64,
    /// When the next period begins.
    pub(crate) resets_at: Timestamp,
}

impl QuotaLeft {
    /// Parts that can still be accepted.
    pub(crate) fn left(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }
}

impl Quota {
    /// The quotas of a client, day and month; `None` where there is none.
    pub(crate) fn of(id: &ClientId, client: &Client) -> [Option<Self>; 2] {
        let quota = |period, limit: u64| {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            (limit > 0).then(|| Self {
                period,
                limit,
                zone: client.zone(),
                client: id.clone(),
                window: Mutex::new(None),
            })
        };
        [
            quota(Period::Day, client.quota_day),
            quota(Period::Month, client.quota_month),
        ]
    }

    /// What a message of this time has to spend; refused without asking anybody when the quota was found used up a moment
    /// ago, or could never hold so many parts.
    pub(crate) fn spend(&self, at: Timestamp, parts: u16) -> Result<Spend, Refused> {
        self.with(at, |window| {
            let used_up = window
                .used_up
                .is_some_and(|(least, until)| parts >= least && at < until);
            if used_up || i64::from(parts) > self.limit {
                return Err(Refused::from(UsedUp {
                    period: self.period,
                    retry_after: window.until.since(at),
                }));
            }
            Ok(Spend {
                key: window.key.clone(),
                parts,
                limit: self.limit,
                expires: window.until.after(KEPT),
            })
        })
    }

    /// The engine refused so many parts at this time; nothing happens when the counter is not ours.
    fn is_used_up(&self, key: &StateKey, at: Timestamp, parts: u16) {
        self.with(at, |window| {
            if window.key == *key {
                let least = match window.used_up {
                    Some((least, until)) if at < until => least.min(parts),
                    Some(_) | None => parts,
                };
                window.used_up = Some((least, at.after(KNOWN)));
            }
        });
    }

    /// The counter at this time.
    pub(crate) fn counter(&self, at: Timestamp) -> StateKey {
        self.with(at, |window| window.key.clone())
    }

    /// What is left at this time, with what the counter says.
    pub(crate) fn left(&self, at: Timestamp, counter: i64) -> QuotaLeft {
        QuotaLeft {
            limit: self.limit.unsigned_abs(),
            used: counter.min(0).unsigned_abs(),
            resets_at: self.with(at, |window| window.until),
        }
    }

    pub(crate) fn period(&self) -> Period {
        self.period
    }

    fn with<T>(&self, at: Timestamp, ask: impl FnOnce(&mut Window) -> T) -> T {
        // A window is right or it is made anew: whatever a panic left, its times say whether it fits.
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = window
            .as_ref()
            .is_some_and(|window| window.from <= at && at < window.until);
        if !fits {
            *window = None;
        }
        ask(window.get_or_insert_with(|| self.window_at(at)))
    }

    fn window_at(&self, at: Timestamp) -> Window {
        let date = jiff::Timestamp::from_millisecond(at.as_millis())
            .unwrap_or(jiff::Timestamp::MAX)
            .to_zoned(self.zone.clone())
            .date();
        let (first, next, name) = match self.period {
            Period::Day => (date, date.tomorrow(), date.to_string()),
            Period::Month => (
                date.first_of_month(),
                date.last_of_month().tomorrow(),
                format!("{:04}-{:02}", date.year(), date.month()),
            ),
        };
        Window {
            key: StateKey::from(names::quota(&self.client, self.period.as_str(), &name)),
            from: self.begin(first).unwrap_or(at),
            // At the end of the calendar there is no next period.
            until: next
                .ok()
                .and_then(|next| self.begin(next))
                .unwrap_or(Timestamp::from_millis(i64::MAX)),
            used_up: None,
        }
    }

    /// When a day begins: at midnight, or later where a zone skips midnight.
    fn begin(&self, date: Date) -> Option<Timestamp> {
        let begin = date.to_zoned(self.zone.clone()).ok()?.start_of_day().ok()?;
        Some(Timestamp::from_millis(begin.timestamp().as_millisecond()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotas(zone: &str) -> [Quota; 2] {
        let client = Client {
            quota_day: 100,
            quota_month: 1_000,
            time_zone: Some(zone.to_owned()),
            ..Client::default()
        };
        Quota::of(&ClientId::try_new("acme").unwrap(), &client).map(Option::unwrap)
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::from_rfc3339(text).unwrap()
    }

    #[test]
    fn a_day_is_the_day_of_the_zone_and_a_month_the_month() {
        for (zone, time, day, day_ends, month, month_ends) in [
            (
                "UTC",
                "2026-11-21T23:59:59.999Z",
                "2026-11-21",
                "2026-11-22T00:00:00Z",
                "2026-11",
                "2026-12-01T00:00:00Z",
            ),
            (
                "Europe/Vienna",
                "2026-11-30T23:00:00Z",
                "2026-12-01",
                "2026-12-01T23:00:00Z",
                "2026-12",
                "2026-12-31T23:00:00Z",
            ),
            // The day of the change of clocks has 25 hours.
            (
                "Europe/Vienna",
                "2026-10-25T12:00:00Z",
                "2026-10-25",
                "2026-10-25T23:00:00Z",
                "2026-10",
                "2026-10-31T23:00:00Z",
            ),
            // Midnight is skipped: the day begins at one.
            (
                "America/Santiago",
                "2026-09-06T04:00:00Z",
                "2026-09-06",
                "2026-09-07T03:00:00Z",
                "2026-09",
                "2026-10-01T03:00:00Z",
            ),
        ] {
            let [of_day, of_month] = quotas(zone);
            let now = at(time);
            assert_eq!(
                of_day.counter(now).as_str(),
                format!("quota/acme/day/{day}"),
                "{zone}"
            );
            assert_eq!(of_day.left(now, -7).resets_at, at(day_ends), "{zone} {time}");
            assert_eq!(
                of_month.counter(now).as_str(),
                format!("quota/acme/month/{month}"),
                "{zone}"
            );
            assert_eq!(of_month.left(now, 0).resets_at, at(month_ends), "{zone} {time}");
        }
    }

    #[test]
    fn what_was_refused_is_known_for_a_while_and_forgotten_with_its_period() {
        let [day, _] = quotas("UTC");
        let now = at("2026-11-21T12:00:00Z");
        let spend = day.spend(now, 10).unwrap();
        day.is_used_up(&StateKey::from("quota/acme/day/2026-11-20"), now, 10);
        assert!(day.spend(now, 10).is_ok(), "that was another day");
        day.is_used_up(&spend.key, now, 10);
        let refused = day.spend(now, 11).unwrap_err();
        assert_eq!(
            (refused.why, refused.retry_after),
            (Why::QuotaExceeded, Some(Duration::from_secs(12 * 3600)))
        );
        assert!(day.spend(now, 9).is_ok(), "fewer parts may still fit");
        assert!(
            day.spend(now.after(KNOWN), 10).is_ok(),
            "the engine is asked again"
        );
        assert!(day.spend(at("2026-11-22T00:00:00Z"), 10).is_ok());
        assert!(
            day.spend(now, 101).is_err(),
            "more than the quota of the whole day"
        );
    }

    #[test]
    fn what_is_left_is_what_the_counter_says() {
        let [day, _] = quotas("UTC");
        let now = at("2026-11-21T12:00:00Z");
        let left = day.left(now, -30);
        assert_eq!((left.limit, left.used, left.left()), (100, 30, 70));
        // A quota that was made smaller than what was used.
        assert_eq!(day.left(now, -130).left(), 0);
    }
}
