//! Turns: how many requests are worked on at once, and whose is next, so that whoever has a thousand under way does not
//! stand with all of them before a neighbour who has one.
//!
//! Between a request that was read and its answer lie the processors and the engine's commits, and both take what comes in
//! the order in which it comes: what is in there is what everybody waits for. So there are few turns, as many as keep the
//! engine busy ([`Pace`]); all others wait outside, cost nothing there, and are let in by start-time fair queueing: each
//! class of each account is a row, an OTP counts for a quarter of a transactional message and a sixteenth of bulk. Knows no
//! face. Invariant: a turn is given back when it is dropped, and nobody waits while there are turns for what is next.
//!
//! # Limits
//! A turn is for what ends soon: who holds one and waits for something slow holds up everybody. Uploads of batches and
//! requests that look something up have bounds of their own.

use crate::metric;
use smsgw_message::{Class, ClientId};
use smsgw_telemetry::{HistogramHandle, IntGauge};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Requests at once at least, while several rows ask: what everybody waits for when it is full, some two milliseconds. The price
/// is paid by floods of many connections, which had a tenth to a half more with 64, where everybody waited twice as long; a flood
/// of one bind or of 64 connections has as much.
const LEAST: usize = 24;
/// And while one row asks alone.
const ALONE: usize = 128;
/// And at most, however slow the disk.
const MOST: usize = 512;
/// Requests of a batch that have their turn together while others wait.
const SLICE: usize = 8;
/// How often it is looked how many are needed.
const LOOK: Duration = Duration::from_millis(250);

/// What a request of this class counts for.
const fn weight(class: Class) -> u64 {
    match class {
        Class::Otp => 1,
        Class::Transactional => 4,
        Class::Bulk => 16,
    }
}

/// How many turns there are: two and a half times what comes during the shortest commit of a while, which had not to wait
/// (one commit under way, the next one, and some to grow by). On a fast disk that is less than [`LEAST`].
#[derive(Debug)]
struct Pace {
    needed: usize,
    since: Instant,
    stored: usize,
    shortest: Duration,
    /// The row that asked last, and whether another one did before, in this while and in the last one.
    row: Option<(Class, ClientId)>,
    is_mixed: bool,
    was_mixed: bool,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self {
            needed: 0,
            since: now,
            stored: 0,
            shortest: Duration::MAX,
            row: None,
            is_mixed: false,
            was_mixed: false,
        }
    }

    fn turns(&self) -> usize {
        let is_mixed = self.is_mixed || self.was_mixed;
        let least = if is_mixed { LEAST } else { ALONE };
        self.needed.clamp(least, MOST)
    }

    /// One of this row asks for a turn.
    fn asked(&mut self, class: Class, client: &ClientId) {
        match &self.row {
            None => self.row = Some((class, client.clone())),
            Some(row) => self.is_mixed |= row.0 != class || row.1 != *client,
        }
    }

    /// So many were stored in that time. True once in a while: then it is known how many turns are needed.
    fn stored(&mut self, now: Instant, count: usize, took: Duration) -> bool {
        self.stored = self.stored.saturating_add(count);
        self.shortest = self.shortest.min(took);
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed < LOOK {
            return false;
        }
        let stored = u128::try_from(self.stored).unwrap_or(u128::MAX);
        let needed = stored.saturating_mul(5 * self.shortest.as_nanos() / 2) / elapsed.as_nanos();
        *self = Self {
            needed: usize::try_from(needed).unwrap_or(MOST),
            was_mixed: self.is_mixed,
            ..Self::new(now)
        };
        true
    }
}

/// Whose turn it is.
#[derive(Debug)]
struct Rows {
    taken: usize,
    /// Where the last one that was let in stood.
    passed: u64,
    /// By place, then in order.
    waiting: BTreeMap<(u64, u64), Waiting>,
    /// Those that somebody waits in, or has waited since nobody waited.
    rows: HashMap<(Class, ClientId), Row>,
    numbers: u64,
    pace: Pace,
}

#[derive(Debug)]
struct Waiting {
    requests: usize,
    row: (Class, ClientId),
    admitted: oneshot::Sender<Turn>,
}

#[derive(Debug, Default)]
struct Row {
    /// Where the next one stands.
    end: u64,
    waiting: usize,
}

impl Rows {
    fn free(&self) -> usize {
        self.pace.turns().saturating_sub(self.taken)
    }

    /// Whoever is next, as long as there is a turn.
    fn let_in(&mut self) -> Vec<(oneshot::Sender<Turn>, usize)> {
        let mut admitted = Vec::new();
        loop {
            let free = self.free();
            let Some(first) = self.waiting.first_entry() else {
                break;
            };
            if self.taken > 0 && first.get().requests > free {
                break;
            }
            let ((place, _), next) = first.remove_entry();
            self.passed = place;
            self.taken = self.taken.saturating_add(next.requests);
            self.left(&next.row);
            admitted.push((next.admitted, next.requests));
        }
        admitted
    }

    /// One of a row waits no more.
    fn left(&mut self, row: &(Class, ClientId)) {
        if let Some(row) = self.rows.get_mut(row) {
            row.waiting = row.waiting.saturating_sub(1);
        }
        if self.waiting.is_empty() {
            self.rows.clear();
            self.passed = 0;
        }
    }
}

/// The turns of all accounts.
#[derive(Debug)]
pub(crate) struct Turns {
    rows: Mutex<Rows>,
    waits: [HistogramHandle; Class::ALL.len()],
    shown: IntGauge,
}

/// One or several of them.
#[derive(Debug)]
#[must_use = "a turn is given back when it is dropped"]
pub(crate) struct Turn {
    turns: Arc<Turns>,
    requests: usize,
}

impl Turn {
    /// How many requests have their turn.
    pub(crate) fn requests(&self) -> usize {
        self.requests
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut rows = self.turns.lock();
        rows.taken = rows.taken.saturating_sub(self.requests);
        let admitted = rows.let_in();
        drop(rows);
        self.turns.tell(admitted);
    }
}

/// A wait that may be given up.
struct Wait<'a> {
    turns: &'a Arc<Turns>,
    place: (u64, u64),
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let mut rows = self.turns.lock();
        let Some(waiting) = rows.waiting.remove(&self.place) else {
            return;
        };
        rows.left(&waiting.row);
        // Who is behind it may need fewer.
        let admitted = rows.let_in();
        drop(rows);
        self.turns.tell(admitted);
    }
}

impl Turns {
    pub(crate) fn new(now: Instant) -> Arc<Self> {
        let rows = Mutex::new(Rows {
            taken: 0,
            passed: 0,
            waiting: BTreeMap::new(),
            rows: HashMap::new(),
            numbers: 0,
            pace: Pace::new(now),
        });
        let waits = Class::ALL.map(|class| metric::TURN_WAIT_SECONDS.with(&[class.as_str()]));
        let shown = metric::TURNS.with(&[]);
        Arc::new(Self { rows, waits, shown })
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        // Every change is whole before anything that could panic.
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn of requests that come as one; `None` at once when `most` of the row wait already. Where others
    /// wait a batch has the turn of its first [`SLICE`] alone, and takes another one for the rest.
    pub(crate) async fn take(
        self: &Arc<Self>,
        row: (Class, &ClientId),
        requests: usize,
        most: u32,
    ) -> Option<Turn> {
        let slice = requests.min(SLICE);
        let (wait, admitted) = {
            let mut rows = self.lock();
            rows.pace.asked(row.0, row.1);
            let free = rows.free();
            if rows.waiting.is_empty() && (slice <= free || rows.taken == 0) {
                let requests = requests.min(free.max(slice));
                rows.taken = rows.taken.saturating_add(requests);
                return Some(Turn {
                    turns: Arc::clone(self),
                    requests,
                });
            }
            let passed = rows.passed;
            let name = (row.0, row.1.clone());
            let own = rows.rows.entry(name.clone()).or_default();
            if own.waiting >= usize::try_from(most).unwrap_or(usize::MAX) {
                return None;
            }
            let start = own.end.max(passed);
            let count = u64::try_from(slice).unwrap_or(u64::MAX);
            own.end = start.saturating_add(count.saturating_mul(weight(row.0)));
            own.waiting = own.waiting.saturating_add(1);
            rows.numbers = rows.numbers.wrapping_add(1);
            let place = (start, rows.numbers);
            let (sender, admitted) = oneshot::channel();
            let waiting = Waiting {
                requests: slice,
                row: name,
                admitted: sender,
            };
            rows.waiting.insert(place, waiting);
            (Wait { turns: self, place }, admitted)
        };
        let since = tokio::time::Instant::now();
        let turn = admitted.await;
        drop(wait);
        let waits = Class::ALL.iter().zip(&self.waits);
        let own = waits.filter(|(class, _)| **class == row.0);
        own.for_each(|(_, waits)| waits.observe(since.elapsed().as_secs_f64()));
        Some(turn.expect("who waits is let in, or gives the wait up itself"))
    }

    /// So many messages were stored by one commit in that time.
    pub(crate) fn stored(self: &Arc<Self>, now: Instant, count: usize, took: Duration) {
        let mut rows = self.lock();
        if rows.pace.stored(now, count, took) {
            let turns = rows.pace.turns();
            self.shown.set(i64::try_from(turns).unwrap_or(i64::MAX));
        }
        let admitted = rows.let_in();
        drop(rows);
        self.tell(admitted);
    }

    fn tell(self: &Arc<Self>, admitted: Vec<(oneshot::Sender<Turn>, usize)>) {
        for (waiting, requests) in admitted {
            let turn = Turn {
                turns: Arc::clone(self),
                requests,
            };
            // Who has given up drops the turn, and so gives it back.
            waiting.send(turn).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::task::{Context, Poll, Waker};
    use tokio::time::timeout;

    const MANY: u32 = 1_000_000;

    fn client(name: &str) -> ClientId {
        ClientId::try_new(name).unwrap()
    }

    fn start() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    /// As many turns as there are when several rows ask, all taken.
    fn full(turns: &Arc<Turns>) -> Vec<Turn> {
        turns.lock().pace.is_mixed = true;
        (0..LEAST)
            .map(|_| now(turns, Class::Bulk, "flood", 1).unwrap())
            .collect()
    }

    /// A turn that is there at once.
    fn now(turns: &Arc<Turns>, class: Class, name: &str, requests: usize) -> Option<Turn> {
        let client = client(name);
        let mut taken = Box::pin(turns.take((class, &client), requests, MANY));
        match taken.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => turn,
            Poll::Pending => None,
        }
    }

    /// Waits for a turn, and says so.
    fn wait(
        turns: &Arc<Turns>,
        (class, name, requests): (Class, &'static str, usize),
        seen: &Arc<Mutex<Vec<(Class, &'static str)>>>,
    ) -> tokio::task::JoinHandle<Turn> {
        let (turns, seen) = (Arc::clone(turns), Arc::clone(seen));
        tokio::spawn(async move {
            let turn = turns.take((class, &client(name)), requests, MANY).await.unwrap();
            seen.lock().unwrap().push((class, name));
            turn
        })
    }

    /// Every task comes as far as it can.
    async fn settle() {
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn who_has_one_request_is_next_however_many_another_one_has() {
        let turns = Turns::new(start());
        let mut taken = full(&turns);
        let seen = Arc::default();
        let mut waits = Vec::new();
        for _ in 0..1000 {
            waits.push(wait(&turns, (Class::Bulk, "flood", 1), &seen));
        }
        settle().await;
        waits.push(wait(&turns, (Class::Bulk, "calm", 1), &seen));
        waits.push(wait(&turns, (Class::Otp, "flood", 1), &seen));
        settle().await;
        assert!(seen.lock().unwrap().is_empty());
        for _ in 0..3 {
            taken.pop();
            settle().await;
        }
        let seen = seen.lock().unwrap().clone();
        assert_eq!(seen.len(), 3, "one for each that was given back");
        for one in [(Class::Bulk, "calm"), (Class::Otp, "flood")] {
            assert!(seen.contains(&one), "{one:?} is among the first three: {seen:?}");
        }
    }

    #[tokio::test]
    async fn rows_share_by_the_weights_of_their_classes() {
        let turns = Turns::new(start());
        let mut taken = full(&turns);
        let seen = Arc::default();
        let mut waits = Vec::new();
        for _ in 0..100 {
            for class in Class::ALL {
                waits.push(wait(&turns, (class, "acme", 1), &seen));
            }
        }
        settle().await;
        for _ in 0..LEAST - 1 {
            taken.pop();
        }
        settle().await;
        let seen = seen.lock().unwrap().clone();
        // Behind the first of each row: they all stand at the beginning.
        let of = |class| seen.iter().filter(|(one, _)| *one == class).skip(1).count();
        assert_eq!(seen.len(), LEAST - 1);
        assert!(
            of(Class::Otp) >= 3 * of(Class::Transactional) && of(Class::Transactional) >= 3 * of(Class::Bulk),
            "{seen:?}"
        );
        assert!(of(Class::Bulk) > 0, "nobody waits for ever");
    }

    #[tokio::test]
    async fn a_batch_has_all_its_turns_alone_and_few_of_them_beside_others() {
        let turns = Turns::new(start());
        let all = now(&turns, Class::Bulk, "acme", 100).unwrap();
        assert_eq!(all.requests(), 100);
        let rest = now(&turns, Class::Bulk, "acme", 1000).unwrap();
        assert_eq!(rest.requests(), ALONE - 100, "what is left");
        assert!(now(&turns, Class::Bulk, "acme", 1).is_none());
        let seen = Arc::default();
        let batch = wait(&turns, (Class::Bulk, "acme", 1000), &seen);
        let other = wait(&turns, (Class::Bulk, "other", 1), &seen);
        settle().await;
        drop((all, rest));
        assert_eq!(
            (batch.await.unwrap().requests(), other.await.unwrap().requests()),
            (SLICE, 1)
        );
        assert_eq!(turns.lock().taken, 0);
    }

    #[tokio::test]
    async fn who_gives_up_waits_no_more_and_holds_up_nobody() {
        let turns = Turns::new(start());
        let mut taken = full(&turns);
        let acme = client("acme");
        assert!(
            turns.take((Class::Otp, &acme), 1, 0).await.is_none(),
            "nobody of the row may wait"
        );
        let gives_up = timeout(
            Duration::from_millis(10),
            turns.take((Class::Otp, &acme), SLICE, 1),
        );
        let seen = Arc::default();
        let (given_up, ()) = tokio::join!(gives_up, async {
            tokio::task::yield_now().await;
            assert!(
                turns.take((Class::Otp, &acme), 1, 1).await.is_none(),
                "one waits already"
            );
            taken.pop();
        });
        assert!(given_up.is_err(), "one turn is not enough for a batch");
        let behind = wait(&turns, (Class::Bulk, "flood", 1), &seen);
        assert_eq!(
            behind.await.unwrap().requests(),
            1,
            "the one that it left is there"
        );
        drop(taken);
        let rows = turns.lock();
        assert_eq!((rows.taken, rows.waiting.len(), rows.rows.len()), (0, 0, 0));
    }

    #[test]
    fn there_are_as_many_turns_as_the_disk_needs() {
        let start = start();
        let (acme, other) = (client("acme"), client("other"));
        // Commits of so many milliseconds, so many messages a second, several rows.
        for (took, rate, mixed, turns) in [
            (0.2, 20_000, true, LEAST),
            (0.2, 20_000, false, ALONE),
            (1.0, 30_000, true, 75),
            (10.0, 5_000, true, 125),
            (10.0, 8_000, false, 200),
            (100.0, 20_000, true, MOST),
            (10.0, 0, true, LEAST),
        ] {
            let mut pace = Pace::new(start);
            assert_eq!(pace.turns(), ALONE);
            pace.asked(Class::Bulk, &acme);
            if mixed {
                pace.asked(Class::Bulk, &other);
                assert_eq!(pace.turns(), LEAST, "at once");
            }
            let took = Duration::from_secs_f64(took / 1000.0);
            pace.stored(start + LOOK / 2, rate / 4, took);
            pace.stored(start + LOOK, 0, took * 3);
            assert_eq!(pace.turns(), turns, "{took:?} {rate} {mixed}");
            pace.stored(start + LOOK * 2, 0, took);
            pace.stored(start + LOOK * 3, 0, took);
            assert_eq!(pace.turns(), ALONE, "a while after the last one");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_and_goes_every_turn_is_given_back_and_nobody_is_left_waiting(
            asks in prop::collection::vec((0_usize..3, 0_usize..4, 1_usize..40, any::<bool>()), 1..200),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(async {
                let turns = Turns::new(start());
                let mut waits = Vec::new();
                for (class, name, requests, gives_up) in asks {
                    let turns = Arc::clone(&turns);
                    let task = tokio::spawn(async move {
                        let client = client(["a", "b", "c", "d"][name]);
                        let turn = turns.take((Class::ALL[class], &client), requests, MANY).await.unwrap();
                        assert!((1..=requests).contains(&turn.requests()));
                        tokio::task::yield_now().await;
                    });
                    if gives_up {
                        tokio::task::yield_now().await;
                        task.abort();
                    } else {
                        waits.push(task);
                    }
                }
                for wait in waits {
                    timeout(Duration::from_secs(5), wait).await.expect("nobody waits for ever").unwrap();
                }
                settle().await;
                let rows = turns.lock();
                assert_eq!((rows.taken, rows.waiting.len(), rows.rows.len()), (0, 0, 0));
            });
        }
    }
}
