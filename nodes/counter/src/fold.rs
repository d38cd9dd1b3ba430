//! Folds events into totals. Pure: no engine, no clock.
//!
//! Invariant FD-1: folding is a sum: however a log is cut into batches, the totals are the same.

use jiff::tz::TimeZone;
use rustc_hash::FxHashMap;
use smsgw_message::{ClientId, Event, EventName, MessageState, OperatorId, Timestamp};
use smsgw_queue::StateKey;
use std::fmt;
use std::time::Duration;

const DAY: i64 = 86_400_000;
/// How long the totals of a day are kept.
const KEPT: Duration = Duration::from_secs(400 * 86_400);

/// A day of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i64);

impl Day {
    /// The day a point in time lies in.
    pub fn of(at: Timestamp) -> Self {
        Self(at.as_millis().div_euclid(DAY))
    }

    /// When the totals of this day go away.
    pub fn expires_at(self) -> Timestamp {
        Timestamp::from_millis(self.0.saturating_add(1).saturating_mul(DAY)).after(KEPT)
    }
}

impl fmt::Display for Day {
    /// `yyyymmdd`; a day beyond the calendar (a damaged clock) by its number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0.saturating_mul(DAY)) {
            Ok(start) => write!(f, "{}", start.to_zoned(TimeZone::UTC).strftime("%Y%m%d")),
            Err(_) => write!(f, "day{}", self.0),
        }
    }
}

/// Whose totals.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Who {
    /// A client's.
    Client(ClientId),
    /// An operator's.
    Operator(OperatorId),
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    /// How often this happened. Final states are counted by state, not here.
    Happened(EventName),
    /// Messages that ended in this state.
    Ended(MessageState),
    /// Parts of accepted messages.
    PartsAccepted,
}

impl What {
    /// Everything that is counted.
    pub fn all() -> impl Iterator<Item = Self> {
        let names = EVENTS
            .into_iter()
            .filter(|name| *name != EventName::MtFinal)
            .map(Self::Happened);
        let ends = MessageState::ALL
            .into_iter()
            .filter(|state| may_end(*state))
            .map(Self::Ended);
        names.chain(ends).chain([Self::PartsAccepted])
    }

    /// The word in keys, labels and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Happened(name) => name.as_str(),
            Self::Ended(MessageState::Sent) => "ended_sent",
            Self::Ended(state) => state.as_str(),
            Self::PartsAccepted => "parts_accepted",
        }
    }
}

const EVENTS: [EventName; 17] = [
    EventName::MtAccepted,
    EventName::MtRouted,
    EventName::MtUnroutable,
    EventName::MtSent,
    EventName::MtRefused,
    EventName::MtProgress,
    EventName::MtFinal,
    EventName::MoReceived,
    EventName::MoRouted,
    EventName::DrReceived,
    EventName::DeliveredToClient,
    EventName::ClientUnreachable,
    EventName::DrUnknown,
    EventName::MtInDoubt,
    EventName::MtRecut,
    EventName::MtRerouted,
    EventName::MtCancelRequested,
];

/// A message may end as `sent` where no receipt can come.
fn may_end(state: MessageState) -> bool {
    state.is_final() || state == MessageState::Sent
}

/// The key of a total.
pub(crate) fn key(day: Day, who: &Who, what: What) -> StateKey {
    let (kind, id) = match who {
        Who::Client(client) => ("client", client.as_str()),
        Who::Operator(operator) => ("operator", operator.as_str()),
    };
    StateKey::from(format!("count/{day}/{kind}/{id}/{}", what.as_str()))
}

/// What a batch of events adds.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Folded {
    /// For the totals.
    pub(crate) sums: FxHashMap<(Day, Who, What), i64>,
    /// For `/metrics`: by client and word.
    pub(crate) shown: FxHashMap<(Option<ClientId>, What), u64>,
    /// Ages of parts when they were sent.
    pub(crate) sent_after: Vec<Duration>,
    /// Ages of messages when they ended.
    pub(crate) ended_after: Vec<Duration>,
    /// How many events.
    pub(crate) events: u64,
}

impl Folded {
    /// Adds one event.
    pub(crate) fn fold(&mut self, event: &Event) {
        self.events += 1;
        let age = event.age_ms.map(Duration::from_millis);
        let what = match (event.name, event.state) {
            (EventName::MtFinal, Some(state)) => What::Ended(state),
            (name, _) => What::Happened(name),
        };
        match event.name {
            EventName::MtSent => self.sent_after.extend(age),
            EventName::MtFinal => self.ended_after.extend(age),
            EventName::MtAccepted
            | EventName::MtRouted
            | EventName::MtUnroutable
            | EventName::MtRefused
            | EventName::MtProgress
            | EventName::MoReceived
            | EventName::MoRouted
            | EventName::DrReceived
            | EventName::DeliveredToClient
            | EventName::ClientUnreachable
            | EventName::DrUnknown
            | EventName::MtInDoubt
            | EventName::MtRecut
            | EventName::MtRerouted
            | EventName::MtCancelRequested => {}
        }
        self.add(event, what, 1);
        if event.name == EventName::MtAccepted {
            self.add(event, What::PartsAccepted, event.parts);
        }
    }

    fn add(&mut self, event: &Event, what: What, times: u16) {
        let day = Day::of(event.at);
        let client = event.client.clone().map(Who::Client);
        let operator = event.operator.clone().map(Who::Operator);
        for who in client.into_iter().chain(operator) {
            *self.sums.entry((day, who, what)).or_default() += i64::from(times);
        }
        *self.shown.entry((event.client.clone(), what)).or_default() += u64::from(times);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(name: EventName, millis: i64, client: Option<&str>, operator: Option<&str>) -> Event {
        Event {
            client: client.map(|id| ClientId::try_new(id).unwrap()),
            operator: operator.map(|id| OperatorId::try_new(id).unwrap()),
            ..Event::new(Timestamp::from_millis(millis), name)
        }
    }

    #[test]
    fn a_day_begins_at_midnight_utc_and_is_kept_400_days() {
        assert_eq!(Day::of(Timestamp::from_millis(0)).to_string(), "19700101");
        assert_eq!(Day::of(Timestamp::from_millis(-1)).to_string(), "19691231");
        // 2024-02-29T23:59:59.999Z and a millisecond later.
        let leap = Timestamp::from_millis(1_709_251_199_999);
        assert_eq!(Day::of(leap).to_string(), "20240229");
        assert_eq!(
            Day::of(leap.after(Duration::from_millis(1))).to_string(),
            "20240301"
        );
        assert_eq!(
            Day::of(Timestamp::from_millis(0)).expires_at().as_millis(),
            401 * DAY
        );
        assert!(
            Day::of(Timestamp::from_millis(i64::MAX))
                .to_string()
                .starts_with("day")
        );
    }

    #[test]
    fn every_event_has_one_word_and_every_word_one_key() {
        let mut words: Vec<&str> = What::all().map(What::as_str).collect();
        let many = words.len();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), many);
        let day = Day::of(Timestamp::from_millis(0));
        let who = Who::Operator(OperatorId::try_new("alpha").unwrap());
        assert_eq!(
            key(day, &who, What::Ended(MessageState::Delivered)).as_str(),
            "count/19700101/operator/alpha/delivered"
        );
    }

    #[test]
    fn a_final_event_counts_its_state_for_client_and_operator() {
        let mut folded = Folded::default();
        let mut end = event(EventName::MtFinal, 5, Some("acme"), Some("alpha"));
        end.state = Some(MessageState::Failed);
        end.age_ms = Some(1_500);
        folded.fold(&end);
        let day = Day::of(end.at);
        let failed = What::Ended(MessageState::Failed);
        assert_eq!(folded.sums.len(), 2);
        assert_eq!(
            folded.sums[&(day, Who::Client(end.client.clone().unwrap()), failed)],
            1
        );
        assert_eq!(
            folded.sums[&(day, Who::Operator(end.operator.clone().unwrap()), failed)],
            1
        );
        assert_eq!(folded.ended_after, [Duration::from_millis(1_500)]);
        assert!(
            What::all().any(|what| what == failed),
            "what is counted can be asked for"
        );
    }

    #[test]
    fn an_accept_counts_its_parts() {
        let mut folded = Folded::default();
        let mut accept = event(EventName::MtAccepted, 5, Some("acme"), None);
        accept.parts = 3;
        folded.fold(&accept);
        let client = accept.client.clone();
        assert_eq!(folded.shown[&(client.clone(), What::PartsAccepted)], 3);
        assert_eq!(folded.shown[&(client, What::Happened(EventName::MtAccepted))], 1);
    }

    proptest! {
        /// FD-1.
        #[test]
        fn cutting_the_log_elsewhere_changes_no_total(
            log in proptest::collection::vec((0usize..13, 0i64..200_000_000, 0usize..3, 0usize..3), 0..60),
            cut in 0usize..60,
        ) {
            let ids = [None, Some("a"), Some("b")];
            let log: Vec<Event> =
                log.into_iter().map(|(name, at, c, o)| event(EVENTS[name], at, ids[c], ids[o])).collect();
            let fold = |events: &[Event]| {
                let mut folded = Folded::default();
                events.iter().for_each(|event| folded.fold(event));
                folded.sums
            };
            let (left, right) = log.split_at(cut.min(log.len()));
            let mut sum = fold(left);
            for (key, more) in fold(right) {
                *sum.entry(key).or_default() += more;
            }
            prop_assert_eq!(sum, fold(&log));
        }
    }
}
