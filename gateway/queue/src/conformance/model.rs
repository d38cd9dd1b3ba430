//! Random steps, checkouts, drops, passing time and crashes, against a model so plain that it can be checked by
//! reading: after every act each place of each queue, the log, its readers and all state are compared.
//!
//! The model is in `plain`; this file makes the acts, runs them on both, and compares.
//!
//! # Limits
//! Acts come one after the other: what tasks do to each other is for the other laws. Which lane is served next is not
//! predicted, only that it is one with records, and its oldest.

mod plain;

use super::*;
use crate::{
    Bound, Bounds, CommitErrorKind, Cost, DeadReason, Expected, Expiry, HoldReason, HoldScope, Look,
    RecordId, ReleaseReason,
};
use plain::{Plain, Written};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

const QUEUES: [&str; 2] = ["q0", "q1"];
const FLOWS: [&str; 2] = ["f0", "f1"];
const KEYS: [&str; 3] = ["k/0", "k/1", "n/2"];
const READERS: [&str; 2] = ["r0", "r1"];
const LOG: &str = "log";
const DAY: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Clone)]
enum Act {
    Commit(Vec<Draft>),
    Checkout {
        queue: usize,
        max: usize,
        max_octets: u64,
        flows: Flows,
    },
    Drop(usize),
    Pass(Duration),
    /// So many records may wait in all queues, and in each.
    Bound([usize; 2]),
    Reopen,
}

/// A step before it is known which deliveries, records and versions there are.
#[derive(Debug, Clone)]
struct Draft {
    /// Steps with the same number have the same identity; `None` is a new one.
    id: Option<u8>,
    changes: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Settle(usize),
    Release(usize, u64, Cost),
    Hold(usize),
    Dead(usize, DeadReason),
    Publish {
        queue: usize,
        class: Class,
        flow: usize,
        after: Option<u64>,
    },
    Bury(usize, DeadReason),
    Requeue(usize),
    Discard(usize),
    HoldRecord(usize),
    Move {
        record: usize,
        queue: usize,
        class: Class,
        flow: usize,
    },
    HoldAll(usize, Option<usize>),
    ReleaseAll(usize, Option<usize>),
    Append,
    Advance(usize, u64),
    Put(usize, Expect, Lasts),
    Delete(usize, Expect),
    Add(usize, i64, Option<i64>, Lasts),
}

#[derive(Debug, Clone, Copy)]
enum Expect {
    Any,
    Absent,
    /// What was there before the call.
    Current,
    Wrong,
}

#[derive(Debug, Clone, Copy)]
enum Lasts {
    Owner,
    At(u64),
    Alarm(u64),
}

fn change() -> impl Strategy<Value = Change> {
    let delivery = || 0..64_usize;
    let queue = || 0..QUEUES.len();
    let dead = || {
        prop::sample::select(vec![
            DeadReason::NoRoute,
            DeadReason::Refused,
            DeadReason::Corrupt,
        ])
    };
    let expect = || {
        prop::sample::select(vec![
            Expect::Any,
            Expect::Any,
            Expect::Absent,
            Expect::Current,
            Expect::Wrong,
        ])
    };
    let lasts = || prop_oneof![2 => Just(Lasts::Owner), 1 => (1..90_u64).prop_map(Lasts::At), 1 => (1..90_u64).prop_map(Lasts::Alarm)];
    let cost = prop::sample::select(vec![Cost::Free, Cost::Counted]);
    prop_oneof![
        6 => (queue(), prop::sample::select(&Class::ALL[..]), 0..FLOWS.len(), prop::option::weighted(0.3, 0..90_u64))
            .prop_map(|(queue, class, flow, after)| Change::Publish { queue, class, flow, after }),
        4 => delivery().prop_map(Change::Settle),
        3 => (delivery(), 0..60_u64, cost).prop_map(|(n, after, cost)| Change::Release(n, after, cost)),
        2 => delivery().prop_map(Change::Hold),
        2 => (delivery(), dead()).prop_map(|(n, reason)| Change::Dead(n, reason)),
        1 => (queue(), dead()).prop_map(|(queue, reason)| Change::Bury(queue, reason)),
        2 => (0..64_usize).prop_map(Change::Requeue),
        2 => (0..64_usize).prop_map(Change::Discard),
        3 => (0..64_usize).prop_map(Change::HoldRecord),
        3 => (0..64_usize, queue(), prop::sample::select(&Class::ALL[..]), 0..FLOWS.len())
            .prop_map(|(record, queue, class, flow)| Change::Move { record, queue, class, flow }),
        1 => (queue(), prop::option::of(0..FLOWS.len())).prop_map(|(queue, flow)| Change::HoldAll(queue, flow)),
        2 => (queue(), prop::option::of(0..FLOWS.len())).prop_map(|(queue, flow)| Change::ReleaseAll(queue, flow)),
        2 => Just(Change::Append),
        1 => (0..READERS.len(), 0..20_u64).prop_map(|(reader, to)| Change::Advance(reader, to)),
        4 => (0..KEYS.len(), expect(), lasts()).prop_map(|(key, expect, lasts)| Change::Put(key, expect, lasts)),
        1 => (0..KEYS.len(), expect()).prop_map(|(key, expect)| Change::Delete(key, expect)),
        2 => (0..KEYS.len(), -4..6_i64, prop::option::of(Just(0)), lasts())
            .prop_map(|(key, delta, floor, lasts)| Change::Add(key, delta, floor, lasts)),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let id = prop_oneof![5 => Just(None), 1 => (0..3_u8).prop_map(Some)];
    let draft = (id, prop::collection::vec(change(), 1..4)).prop_map(|(id, changes)| Draft { id, changes });
    let flow = || (0..FLOWS.len()).prop_map(|flow| crate::Flow::from(FLOWS[flow]));
    let flows = prop_oneof![
        3 => Just(Flows::All),
        1 => flow().prop_map(Flows::Only),
        1 => flow().prop_map(|flow| Flows::Except([flow].into())),
    ];
    let span = prop_oneof![9 => (1..80_u64).prop_map(Duration::from_millis), 1 => Just(DAY * 4)];
    prop_oneof![
        8 => prop::collection::vec(draft, 1..4).prop_map(Act::Commit),
        5 => (0..QUEUES.len(), 0..5_usize, prop_oneof![4 => Just(u64::MAX), 1 => 0..40_u64], flows)
            .prop_map(|(queue, max, max_octets, flows)| Act::Checkout { queue, max, max_octets, flows }),
        1 => prop::array::uniform2(prop_oneof![2 => Just(usize::MAX), 1 => 0..9_usize]).prop_map(Act::Bound),
        1 => (0..64_usize).prop_map(Act::Drop),
        2 => span.prop_map(Act::Pass),
        1 => Just(Act::Reopen),
    ]
}

/// Runs so many random sequences of at most so many acts.
///
/// # Panics
/// When the engine and the model differ: with the shortest sequence that shows it.
pub fn run<H: Harness>(cases: u32, acts: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .expect("a runtime for tests starts");
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 400,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&prop::collection::vec(act(), 1..=acts), |acts| {
        runtime.block_on(async {
            let mut pair = Pair::<H>::open().await;
            for act in acts {
                pair.act(act).await;
                pair.compare().await;
            }
        });
        Ok(())
    });
    if let Err(difference) = outcome {
        panic!("the engine and the model differ: {difference}");
    }
}

/// The engine, the model, and what was checked out.
struct Pair<H> {
    harness: H,
    plain: Plain,
    deliveries: Vec<Option<Delivery>>,
    last_id: Option<RecordId>,
    last_version: u64,
}

impl<H: Harness> Pair<H> {
    async fn open() -> Self {
        let harness = H::open().await;
        let plain = Plain::new(harness.now());
        Self {
            harness,
            plain,
            deliveries: Vec::new(),
            last_id: None,
            last_version: 0,
        }
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::Commit(drafts) => self.commit(drafts).await,
            Act::Checkout {
                queue,
                max,
                max_octets,
                flows,
            } => {
                let want = Want::new(max, Duration::ZERO).flows(flows).octets(max_octets);
                self.checkout(QUEUES[queue], want).await;
            }
            Act::Bound(most) => {
                self.plain.bound(most);
                self.set_bounds();
            }
            Act::Drop(n) => {
                let Some(n) = self.delivery(n) else { return };
                self.deliveries[n] = None;
                self.plain.abandon(n);
            }
            Act::Pass(span) => {
                self.harness.advance(span).await;
                self.plain.pass(self.harness.now());
            }
            Act::Reopen => {
                self.harness.crash_and_reopen().await;
                self.deliveries.clear();
                self.plain.crash();
                // They are not state: whoever opens an engine says how much it takes in.
                self.set_bounds();
            }
        }
    }

    fn set_bounds(&self) {
        let bound = |records: usize| Bound {
            records: u64::try_from(records).unwrap(),
            octets: u64::MAX,
        };
        let [engine, queue] = self.plain.most().map(bound);
        self.harness.engine().set_bounds(Bounds {
            engine,
            queue,
            ..Bounds::NONE
        });
    }

    /// A living delivery, by any number.
    fn delivery(&self, n: usize) -> Option<usize> {
        let living: Vec<_> = (0..self.deliveries.len())
            .filter(|n| self.deliveries[*n].is_some())
            .collect();
        (!living.is_empty()).then(|| living[n % living.len()])
    }

    async fn commit(&mut self, drafts: Vec<Draft>) {
        let steps: Vec<Step> = drafts.into_iter().map(|draft| self.step(draft)).collect();
        let answers = self.harness.engine().commit(steps.clone()).await;
        assert_eq!(answers.len(), steps.len());
        let leases: Vec<_> = self
            .deliveries
            .iter()
            .map(|d| d.as_ref().map(Delivery::lease))
            .collect();
        for (number, (step, answer)) in steps.iter().zip(answers).enumerate() {
            let predicted = self.plain.commit(step, number, &leases);
            if let (Ok((_, sums)), Ok(committed)) = (&predicted, &answer) {
                assert_eq!(*sums, committed.sums, "{step:?}");
            }
            match (predicted.map(|(written, _)| written), answer) {
                (Ok(Written::New), Ok(committed)) => {
                    assert!(committed.version > self.last_version, "versions grow");
                    self.last_version = committed.version;
                    self.plain.learn_version(number, committed.version);
                }
                (Ok(Written::Before(version)), Ok(committed)) => {
                    assert_eq!(committed.version, self.plain.resolve(version));
                }
                (Ok(Written::Nothing), Ok(_)) => {}
                (Err(kind), Err(error)) => assert_eq!((step.id(), kind), (error.step, error.kind)),
                (predicted, answer) => panic!("{answer:?} instead of {predicted:?} for {step:?}"),
            }
        }
    }

    fn step(&mut self, draft: Draft) -> Step {
        let id = draft.id.map_or_else(fresh, |id| StepId::from_bytes([id; 16]));
        draft
            .changes
            .into_iter()
            .fold(Step::new(id), |step, change| self.change(step, change))
    }

    fn change(&mut self, step: Step, change: Change) -> Step {
        let now = self.harness.now();
        let later = |millis| now.after(Duration::from_millis(millis));
        let lasts = |lasts| match lasts {
            Lasts::Owner => Expiry::Owner,
            Lasts::At(after) => Expiry::At(later(after)),
            Lasts::Alarm(after) => {
                Expiry::Alarm(later(after), QUEUES[1].into(), Lane::new(Class::Otp, FLOWS[0]))
            }
        };
        let lane = |class, flow: usize| Lane::new(class, FLOWS[flow]);
        let scope =
            |flow: Option<usize>| flow.map_or(HoldScope::Queue, |flow| HoldScope::Flow(FLOWS[flow].into()));
        match change {
            Change::Settle(n) => self.of(n, step, |step, delivery| step.settle(delivery)),
            Change::Release(n, after, cost) => self.of(n, step, |step, delivery| {
                step.release(
                    delivery,
                    Duration::from_millis(after),
                    ReleaseReason::Throttled,
                    cost,
                )
            }),
            Change::Hold(n) => self.of(n, step, |step, delivery| {
                step.hold(delivery, HoldReason::Instructed)
            }),
            Change::Dead(n, reason) => self.of(n, step, |step, delivery| step.dead_letter(delivery, reason)),
            Change::Publish {
                queue,
                class,
                flow,
                after,
            } => {
                let record = octets(self.plain.unique());
                match after {
                    Some(after) => step.publish_at(QUEUES[queue], lane(class, flow), record, later(after)),
                    None => step.publish(QUEUES[queue], lane(class, flow), record),
                }
            }
            Change::Bury(queue, reason) => step.bury(
                QUEUES[queue],
                lane(Class::Bulk, 0),
                octets(self.plain.unique()),
                reason,
            ),
            Change::Requeue(n) => match self.plain.any_record(n) {
                Some((queue, id)) => step.requeue(queue, id),
                None => step,
            },
            Change::Discard(n) => match self.plain.any_record(n) {
                Some((queue, id)) => step.discard(queue, id),
                None => step,
            },
            Change::HoldRecord(n) => match self.plain.any_record(n) {
                Some((queue, id)) => step.hold_record(queue, id, HoldReason::Instructed),
                None => step,
            },
            Change::Move {
                record,
                queue,
                class,
                flow,
            } => match self.plain.any_record(record) {
                Some((from, id)) => step.move_record(from, id, QUEUES[queue], lane(class, flow)),
                None => step,
            },
            Change::HoldAll(queue, flow) => step.hold_all(QUEUES[queue], scope(flow), HoldReason::Instructed),
            Change::ReleaseAll(queue, flow) => step.release_all(QUEUES[queue], scope(flow)),
            Change::Append => step.append(LOG, octets(self.plain.unique())),
            Change::Advance(reader, to) => step.advance(LOG, READERS[reader], Position(to)),
            Change::Put(key, expect, expiry) => {
                let expected = self.expected(KEYS[key], expect);
                step.compare_and_put(KEYS[key], expected, octets(self.plain.unique()), lasts(expiry))
            }
            Change::Delete(key, expect) => step.delete(KEYS[key], self.expected(KEYS[key], expect)),
            Change::Add(key, delta, floor, expiry) => step.add(KEYS[key], delta, floor, lasts(expiry)),
        }
    }

    /// A change of a living delivery, when there is one.
    fn of(&self, n: usize, step: Step, change: impl FnOnce(Step, &Delivery) -> Step) -> Step {
        match self.delivery(n).and_then(|n| self.deliveries[n].as_ref()) {
            Some(delivery) => change(step, delivery),
            None => step,
        }
    }

    fn expected(&self, key: &str, expect: Expect) -> Expected {
        match expect {
            Expect::Any => Expected::Any,
            Expect::Absent => Expected::Absent,
            Expect::Current => self
                .plain
                .version(key)
                .map_or(Expected::Absent, Expected::Version),
            Expect::Wrong => Expected::Version(u64::MAX),
        }
    }

    async fn checkout(&mut self, queue: &str, want: Want) {
        let Want {
            max,
            max_octets,
            flows,
            ..
        } = want.clone();
        let taken = self.harness.engine().checkout(&queue.into(), want).await.unwrap();
        let could = self.plain.could_take(queue, &flows).min(max);
        let octets: usize = taken.iter().map(|delivery| delivery.record().len()).sum();
        if max_octets == u64::MAX {
            assert_eq!(taken.len(), could);
        } else {
            assert!((could.min(1)..=could).contains(&taken.len()));
            assert!(u64::try_from(octets).unwrap() <= max_octets || taken.len() == 1);
        }
        for delivery in taken {
            self.plain.lease(&delivery, &flows, self.deliveries.len());
            self.deliveries.push(Some(delivery));
        }
    }

    async fn compare(&mut self) {
        let engine = self.harness.engine();
        self.plain.resolve_versions();
        for queue in QUEUES {
            let mut found = Vec::new();
            for place in Place::ALL {
                let browsed = browse(&engine, queue, place).await;
                let count = u64::try_from(browsed.len()).unwrap();
                assert_eq!(engine.depth(&queue.into()).at(place), count, "{queue} {place:?}");
                assert!(browsed.iter().is_sorted_by_key(|seen| seen.id), "oldest first");
                found.extend(browsed);
            }
            self.last_id = self.plain.learn_ids(queue, &found, self.last_id);
            for flow in FLOWS {
                let look = Look::at(Place::Ready, 3).of(flow);
                let page = engine.look(&queue.into(), look).await.unwrap();
                let of_flow = |seen: &&Browsed| seen.place == Place::Ready && seen.lane.flow.as_str() == flow;
                let expected: Vec<_> = found.iter().filter(of_flow).take(3).cloned().collect();
                assert_eq!(page.records, expected, "a page of {flow}");
            }
            self.plain.compare_queue(queue, found);
            let held: Vec<_> = engine
                .holds(&queue.into())
                .into_iter()
                .map(|held| held.scope)
                .collect();
            assert_eq!(held, self.plain.holds(queue), "holds of {queue}");
            assert_eq!(
                engine.depth(&queue.into()).holds,
                u64::try_from(held.len()).unwrap()
            );
        }
        self.last_id = self.plain.newest().max(self.last_id);
        let mut listed: Vec<_> = engine
            .queues()
            .into_iter()
            .map(|(name, _)| name.to_string())
            .collect();
        listed.sort();
        assert_eq!(listed, self.plain.queues());
        self.plain.compare_log(&entries(&engine, LOG).await);
        assert_eq!(engine.log_end(&LOG.into()), self.plain.log_end());
        for (reader, position) in self.plain.readers() {
            assert_eq!(
                engine.position(&LOG.into(), reader).await.unwrap(),
                position,
                "{reader}"
            );
        }
        for key in KEYS {
            self.plain.compare_state(key, get(&engine, key).await);
        }
    }
}

/// The kind of error of a record that is not where it should be.
fn stale(queue: &QueueName, id: RecordId) -> CommitErrorKind {
    CommitErrorKind::Stale {
        queue: queue.clone(),
        record: id.as_u64(),
    }
}
