//! Dead letters and corrupt records: which are meant, and replaying or dropping them a bounded number at a time.
//!
//! ```text
//! who asks ─▶ Selection (filter, where to go on) ─▶ instruction dead-replay | dead-drop of one queue
//!          ◀─ Acted: how many, where the next one goes on ◀──────────────────┘ looks through at most STRIDE records
//! ```
//! One instruction never looks through more than [`STRIDE`] records, so that others have their turn and whoever asks sees how far it
//! is. Every record is a step of its own: one that somebody took meanwhile stops no other, and an instruction that is done again after
//! a crash finds what it did no longer there. Knows no other node; what it reads of a record is what every node may read.

use serde::{Deserialize, Serialize};
use smsgw_message::{Clock, Down, Record, Timestamp};
use smsgw_queue::{
    Browsed, CommitErrorKind, DeadReason, Engine, EngineError, Look, Place, QueueName, RecordId, Step, StepId,
};
use std::time::Duration;
use tracing::info;

/// Records that one instruction looks through at most.
pub const STRIDE: usize = 2_000;
/// Records of one page, and steps of one commit.
const PAGE: usize = 256;

/// What is done with dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadLetterAct {
    /// They are ready again.
    Replay,
    /// They are deleted.
    Drop,
}

impl DeadLetterAct {
    /// The word in queues, logs and the audit.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replay => "dead-replay",
            Self::Drop => "dead-drop",
        }
    }

    /// The act of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Replay, Self::Drop]
            .into_iter()
            .find(|act| act.as_str() == word)
    }
}

/// Which dead letters of a queue are meant: those for which everything that is there holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeadLetterFilter {
    /// The record with this number.
    pub id: Option<u64>,
    /// Of this flow: the client, where flows are clients.
    pub client: Option<String>,
    /// With this reason.
    pub reason: Option<String>,
    /// For a callback target whose URL has this text in its host.
    pub target: Option<String>,
    /// Dead since before this time (milliseconds since 1970).
    pub before: Option<i64>,
    /// Dead since this time or later.
    pub from: Option<i64>,
}

/// A filter and where to go on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Selection {
    /// Which ones.
    pub filter: DeadLetterFilter,
    /// `dead_letter` when true, else `corrupt`, which can only be dropped.
    pub corrupt: bool,
    /// Behind this record.
    pub after: Option<u64>,
}

/// What one instruction did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acted {
    /// Records that were replayed or dropped.
    pub done: u64,
    /// Records that were meant, and that somebody took meanwhile.
    pub passed_over: u64,
    /// Records that were looked at.
    pub seen: u64,
    /// Where the next instruction goes on; absent at the end.
    pub next: Option<u64>,
}

impl DeadLetterFilter {
    /// Whether nothing is asked: every dead letter is meant.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a reason is one that there is.
    pub fn knows_reason(&self) -> bool {
        self.reason
            .as_deref()
            .is_none_or(|word| DeadReason::ALL.iter().any(|reason| reason.as_str() == word))
    }

    /// Whether a record is meant.
    pub fn matches(&self, seen: &Browsed) -> bool {
        let since = seen.since.map(Timestamp::as_millis);
        self.id.is_none_or(|id| seen.id.as_u64() == id)
            && self
                .client
                .as_deref()
                .is_none_or(|client| seen.lane.flow.as_str() == client)
            && self.reason.as_deref().is_none_or(|reason| seen.reason == reason)
            && self
                .before
                .is_none_or(|before| since.is_some_and(|since| since < before))
            && self
                .from
                .is_none_or(|from| since.is_some_and(|since| since >= from))
            && self
                .target
                .as_deref()
                .is_none_or(|target| leads_to(&seen.record, target))
    }
}

fn leads_to(record: &[u8], target: &str) -> bool {
    let down = Down::from_record(record).ok();
    let url = down.and_then(|down| down.url);
    url.as_deref()
        .and_then(host_of)
        .is_some_and(|host| host.contains(target))
}

/// Host and port of a URL, without what may be secret in it.
pub fn host_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    Some(authority.rsplit_once('@').map_or(authority, |(_, host)| host))
}

/// A page of a queue's dead letters or corrupt records that a selection means, oldest first, and where the next one begins. Looks
/// through at most [`STRIDE`] records: a page may be short, even empty, and have a next one.
///
/// # Errors
/// When the engine cannot be read.
pub async fn select(
    engine: &dyn Engine,
    queue: &QueueName,
    selection: &Selection,
    most: usize,
) -> Result<(Vec<Browsed>, Option<RecordId>), EngineError> {
    let mut found = Vec::new();
    let mut left = STRIDE;
    let mut look = look_of(selection);
    while left > 0 {
        look.max = PAGE.min(left);
        let page = engine.look(queue, look.clone()).await?;
        left = left.saturating_sub(page.records.len().max(1));
        for seen in page.records {
            let id = seen.id;
            if selection.filter.matches(&seen) {
                found.push(seen);
            }
            if found.len() >= most {
                return Ok((found, Some(id)));
            }
        }
        look.after = page.next;
        if look.after.is_none() {
            return Ok((found, None));
        }
    }
    Ok((found, look.after))
}

fn look_of(selection: &Selection) -> Look {
    let place = if selection.corrupt {
        Place::Corrupt
    } else {
        Place::DeadLetter
    };
    let after = selection.after.or_else(|| selection.filter.id?.checked_sub(1));
    let look = Look::at(place, PAGE).behind(after.map(RecordId::from_u64));
    match &selection.filter.client {
        None => look,
        Some(client) => look.of(client.as_str()),
    }
}

/// Replays or drops what is meant, as far as one instruction goes.
///
/// # Errors
/// The engine's refusal; what was done before stays done.
pub(crate) async fn act(
    engine: &dyn Engine,
    queue: &QueueName,
    act: DeadLetterAct,
    selection: &Selection,
) -> Result<Acted, CommitErrorKind> {
    let mut acted = Acted::default();
    let source = QueueName::from(format!("{} {queue}", act.as_str()));
    let mut look = look_of(selection);
    let mut left = STRIDE;
    loop {
        look.max = PAGE.min(left);
        let page = engine
            .look(queue, look.clone())
            .await
            .map_err(CommitErrorKind::Engine)?;
        let seen = page.records.len();
        acted.seen = acted.seen.saturating_add(u64::try_from(seen).unwrap_or(u64::MAX));
        let steps: Vec<Step> = page
            .records
            .iter()
            .filter(|seen| selection.filter.matches(seen))
            .map(|seen| {
                let step = Step::new(StepId::of_record(&source, seen.id));
                match act {
                    DeadLetterAct::Replay => step.requeue(queue.clone(), seen.id),
                    DeadLetterAct::Drop => step.discard(queue.clone(), seen.id),
                }
            })
            .collect();
        for answer in engine.commit(steps).await {
            match answer.map_err(|error| error.kind) {
                Ok(_) => acted.done = acted.done.saturating_add(1),
                Err(
                    CommitErrorKind::NoRecord { .. }
                    | CommitErrorKind::Leased { .. }
                    | CommitErrorKind::Stale { .. },
                ) => acted.passed_over = acted.passed_over.saturating_add(1),
                Err(
                    kind @ (CommitErrorKind::Conflict { .. }
                    | CommitErrorKind::Floor { .. }
                    | CommitErrorKind::NotACounter { .. }
                    | CommitErrorKind::Full(_)
                    | CommitErrorKind::Invalid(_)
                    | CommitErrorKind::Engine(_)),
                ) => return Err(kind),
            }
        }
        left = left.saturating_sub(seen.max(1));
        let alone = selection.filter.id.is_some();
        acted.next = page.next.map(RecordId::as_u64).filter(|_| !alone);
        if acted.next.is_none() || left == 0 {
            return Ok(acted);
        }
        look.after = page.next;
    }
}

/// Does an instruction; gives outcome and detail of its result. The detail is [`Acted`] as JSON.
pub(crate) async fn obey(
    engine: &dyn Engine,
    clock: &dyn Clock,
    verb: DeadLetterAct,
    queue: Option<&str>,
    argument: Option<&str>,
    by: &str,
) -> Result<(&'static str, String), CommitErrorKind> {
    let (Some(queue), Some(argument)) = (queue, argument) else {
        return Ok(("refused", "the queue or the selection is missing".to_owned()));
    };
    let selection: Selection = match serde_json::from_str(argument) {
        Ok(selection) => selection,
        Err(error) => return Ok(("refused", format!("the selection cannot be read: {error}"))),
    };
    if selection.corrupt && verb == DeadLetterAct::Replay {
        return Ok((
            "refused",
            "corrupt records cannot be replayed: nobody can read them".to_owned(),
        ));
    }
    let started = clock.instant();
    let acted = act(engine, &QueueName::from(queue), verb, &selection).await?;
    let took: Duration = clock.instant().saturating_duration_since(started);
    info!(
        queue,
        instruction = verb.as_str(),
        by,
        done = acted.done,
        seen = acted.seen,
        ?took,
        "order for dead letters"
    );
    let outcome = if acted.done > 0 { "applied" } else { "unchanged" };
    let detail = serde_json::to_string(&acted).expect("numbers are valid JSON");
    Ok((outcome, detail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use smsgw_message::Class;
    use smsgw_queue::{Depth, Lane, MemoryEngine};
    use smsgw_runtime::SystemClock;
    use std::sync::Arc;

    const QUEUE: &str = "q";

    async fn engine_with(letters: &[(&str, DeadReason, usize)]) -> Arc<MemoryEngine> {
        let engine = MemoryEngine::new(Arc::new(SystemClock));
        let mut n = 0_u128;
        for (flow, reason, count) in letters {
            let mut steps = Vec::new();
            for _ in 0..*count {
                n += 1;
                let step = Step::new(StepId::from_bytes(n.to_be_bytes()));
                steps.push(step.bury(QUEUE, Lane::new(Class::Bulk, *flow), vec![1, 2].into(), *reason));
            }
            for answer in engine.commit(steps).await {
                answer.unwrap();
            }
        }
        engine
    }

    async fn all(engine: &MemoryEngine, verb: DeadLetterAct, mut selection: Selection) -> (u64, u32) {
        let (mut done, mut rounds) = (0, 0);
        loop {
            let acted = act(engine, &QUEUE.into(), verb, &selection).await.unwrap();
            assert!(acted.seen <= STRIDE as u64, "{acted:?}");
            done += acted.done;
            rounds += 1;
            selection.after = acted.next;
            if acted.next.is_none() {
                return (done, rounds);
            }
        }
    }

    fn filter(change: impl FnOnce(&mut DeadLetterFilter)) -> Selection {
        let mut selection = Selection::default();
        change(&mut selection.filter);
        selection
    }

    #[tokio::test]
    async fn what_is_meant_is_done_in_bounded_strides_and_the_rest_stays() {
        let engine = engine_with(&[
            ("a", DeadReason::Refused, 3_000),
            ("b", DeadReason::AttemptsExhausted, 1_500),
            ("c", DeadReason::Corrupt, 5),
        ])
        .await;
        let refused = filter(|filter| filter.reason = Some("refused".to_owned()));
        let (done, rounds) = all(&engine, DeadLetterAct::Replay, refused.clone()).await;
        assert_eq!(done, 3_000);
        assert!(rounds >= 2, "{rounds}");
        let depth = |engine: &MemoryEngine| engine.depth(&QUEUE.into());
        assert_eq!((depth(&engine).ready, depth(&engine).dead_letter), (3_000, 1_500));
        assert_eq!(
            all(&engine, DeadLetterAct::Replay, refused).await.0,
            0,
            "done again: nothing"
        );
        let one = select(engine.as_ref(), &QUEUE.into(), &Selection::default(), 1)
            .await
            .unwrap()
            .0;
        let id = one[0].id.as_u64();
        assert_eq!(
            all(
                &engine,
                DeadLetterAct::Drop,
                filter(|filter| filter.id = Some(id))
            )
            .await
            .0,
            1
        );
        let by_client = filter(|filter| filter.client = Some("b".to_owned()));
        assert_eq!(all(&engine, DeadLetterAct::Drop, by_client).await.0, 1_499);
        let corrupt = Selection {
            corrupt: true,
            ..Selection::default()
        };
        assert_eq!(all(&engine, DeadLetterAct::Drop, corrupt).await.0, 5);
        assert_eq!(
            depth(&engine),
            Depth {
                ready: 3_000,
                octets: 6_000,
                ..Depth::default()
            }
        );
    }

    #[tokio::test]
    async fn pages_hold_what_is_meant_by_age_too() {
        let engine = engine_with(&[("a", DeadReason::Refused, 600)]).await;
        let now = SystemClock.now();
        let older = filter(|filter| filter.before = Some(now.before(Duration::from_secs(60)).as_millis()));
        assert_eq!(
            select(engine.as_ref(), &QUEUE.into(), &older, 10)
                .await
                .unwrap()
                .0
                .len(),
            0
        );
        let newer = filter(|filter| filter.from = Some(now.before(Duration::from_secs(60)).as_millis()));
        let (page, next) = select(engine.as_ref(), &QUEUE.into(), &newer, 10).await.unwrap();
        assert_eq!((page.len(), next), (10, Some(page[9].id)));
    }

    #[test]
    fn hosts_show_no_credentials() {
        assert_eq!(
            host_of("https://u:p@hooks.test:8443/x?token=t"),
            Some("hooks.test:8443")
        );
        assert_eq!(host_of("http://hooks.test?x@y"), Some("hooks.test"));
        assert_eq!(host_of("nonsense"), None);
    }
}
