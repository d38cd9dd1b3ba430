//! Random operations against a list that is searched from end to end. Every change is undone once before it is
//! done for good.

use super::super::*;
use super::{FLOWS, at, new};
use crate::name::QueueName;
use proptest::prelude::*;
use smsgw_message::Class;

#[derive(Debug, Clone)]
enum Act {
    Publish {
        class: Class,
        flow: &'static str,
        at: Option<i64>,
    },
    Bury {
        flow: &'static str,
        corrupt: bool,
    },
    Checkout {
        max: usize,
        flows: Flows,
    },
    /// What becomes of the n-th lease ever given, whether it is still good or not.
    Settle(usize),
    Release(usize, u64, bool),
    Hold(usize),
    Dead(usize, bool),
    Abandon(usize),
    PutBack(usize),
    Requeue(u64),
    Discard(u64),
    Pass(i64),
    Reopen,
}

fn act() -> impl Strategy<Value = Act> {
    let flow = || prop::sample::select(&FLOWS[..]);
    let class = || prop::sample::select(&Class::ALL[..]);
    let flows = prop_oneof![
        3 => Just(Flows::All),
        1 => flow().prop_map(|flow| Flows::Only(flow.into())),
        1 => prop::collection::btree_set(flow().prop_map(crate::Flow::from), 0..3).prop_map(Flows::Except),
    ];
    prop_oneof![
        6 => (class(), flow(), prop::option::weighted(0.3, 0..200_i64))
            .prop_map(|(class, flow, at)| Act::Publish { class, flow, at }),
        1 => (flow(), any::<bool>()).prop_map(|(flow, corrupt)| Act::Bury { flow, corrupt }),
        4 => (0..6_usize, flows).prop_map(|(max, flows)| Act::Checkout { max, flows }),
        3 => (0..60_usize).prop_map(Act::Settle),
        2 => (0..60_usize, 0..50_u64, any::<bool>()).prop_map(|(n, after, cost)| Act::Release(n, after, cost)),
        1 => (0..60_usize).prop_map(Act::Hold),
        1 => (0..60_usize, any::<bool>()).prop_map(|(n, corrupt)| Act::Dead(n, corrupt)),
        1 => (0..60_usize).prop_map(Act::Abandon),
        1 => (0..60_usize).prop_map(Act::PutBack),
        1 => (0..80_u64).prop_map(Act::Requeue),
        1 => (0..80_u64).prop_map(Act::Discard),
        2 => (1..60_i64).prop_map(Act::Pass),
        1 => Just(Act::Reopen),
    ]
}

/// A record of the model, as the view should be.
#[derive(Debug, Clone, PartialEq)]
struct Model {
    view: View,
    token: Option<u64>,
}

#[derive(Default)]
struct Naive {
    records: BTreeMap<u64, Model>,
    leases: Vec<(u64, u64)>,
    now: i64,
    next: u64,
}

fn dead(corrupt: bool) -> DeadReason {
    if corrupt {
        DeadReason::Corrupt
    } else {
        DeadReason::NoRoute
    }
}

impl Naive {
    fn now(&self) -> Timestamp {
        at(self.now)
    }

    /// The record of the n-th lease, when that is still good; and the lease.
    fn leased(&mut self, n: usize) -> Option<(Lease, Option<&mut Model>)> {
        let (id, token) = *self.leases.get(n)?;
        let lease = Lease {
            queue: QueueName::from("q"),
            record: RecordId::from_u64(id),
            token,
        };
        Some((
            lease,
            self.records
                .get_mut(&id)
                .filter(|record| record.token == Some(token)),
        ))
    }

    fn enter(&mut self, class: Class, flow: &str, place: Place, reason: Reason) -> (NewRecord, &mut View) {
        let id = self.next;
        self.next += 1;
        let record = new(id, class, flow);
        let view = View {
            id: record.id,
            lane: record.lane.clone(),
            place,
            reason,
            attempt: 1,
            leased_before: false,
            published_at: at(0),
            due: None,
            since: None,
            size: 10,
        };
        let model = self.records.entry(id).or_insert(Model { view, token: None });
        (record, &mut model.view)
    }
}

/// Runs one change twice: once undone, which must leave no trace, once finished.
fn change(
    index: &mut QueueIndex,
    all: impl Fn(&QueueIndex) -> Vec<View>,
    mut op: impl FnMut(&mut QueueIndex) -> Result<Change, Refused>,
) -> bool {
    let before = (all(index), index.depth(), index.octets(), index.len());
    match op(index) {
        Err(_) => {
            assert_eq!(before, (all(index), index.depth(), index.octets(), index.len()));
            false
        }
        Ok(change) => {
            index.undo(change);
            assert_eq!(before, (all(index), index.depth(), index.octets(), index.len()));
            let change = op(index).unwrap();
            index.finish(change);
            true
        }
    }
}

fn all(index: &QueueIndex) -> Vec<View> {
    let mut all: Vec<_> = Place::ALL
        .into_iter()
        .flat_map(|place| index.browse(place, None, usize::MAX))
        .collect();
    all.sort_by_key(|view| view.id);
    all
}

fn run(index: &mut QueueIndex, model: &mut Naive, act: Act) {
    let now = model.now();
    match act {
        Act::Publish { class, flow, at: due } => {
            let due = due.map(at);
            let deferred = due.is_some_and(|due| due > now);
            let (record, view) = model.enter(class, flow, Place::Ready, Reason::None);
            if deferred {
                *view = View {
                    place: Place::Deferred,
                    reason: Reason::Scheduled,
                    due,
                    ..view.clone()
                };
            }
            assert!(change(index, all, |index| Ok(index.publish(
                record.clone(),
                due,
                now
            ))));
        }
        Act::Bury { flow, corrupt } => {
            let reason = dead(corrupt);
            let (record, view) = model.enter(Class::Otp, flow, reason.place(), Reason::Dead(reason));
            view.since = Some(now);
            assert!(change(index, all, |index| Ok(index.bury(
                record.clone(),
                reason,
                now
            ))));
        }
        Act::Checkout { max, flows } => {
            let open = |flow: &crate::Flow| match &flows {
                Flows::All => true,
                Flows::Only(only) => flow == only,
                Flows::Except(out) => !out.contains(flow),
            };
            let leased = index.checkout(max, &flows);
            let could = model
                .records
                .values()
                .filter(|record| record.view.place == Place::Ready && open(&record.view.lane.flow))
                .count();
            assert_eq!(leased.len(), could.min(max));
            for leased in leased {
                let oldest = model
                    .records
                    .values()
                    .find(|record| record.view.place == Place::Ready && record.view.lane == leased.lane);
                assert_eq!(
                    oldest.map(|record| record.view.id),
                    Some(leased.id),
                    "records of a flow in order"
                );
                assert!(open(&leased.lane.flow));
                let record = model.records.get_mut(&leased.id.as_u64()).unwrap();
                assert_eq!(
                    (leased.attempt, leased.leased_before, leased.size),
                    (record.view.attempt, record.view.leased_before, 10)
                );
                record.view.place = Place::InFlight;
                record.token = Some(leased.token);
                model.leases.push((leased.id.as_u64(), leased.token));
            }
        }
        Act::Settle(n) => {
            let Some((lease, record)) = model.leased(n) else {
                return;
            };
            let good = record.is_some();
            assert_eq!(change(index, all, |index| index.settle(&lease)), good);
            if good {
                model.records.remove(&lease.record.as_u64());
            }
        }
        Act::Release(n, after, counted) => {
            let after = Duration::from_millis(after);
            let cost = if counted { Cost::Counted } else { Cost::Free };
            let Some((lease, record)) = model.leased(n) else {
                return;
            };
            let went = change(index, all, |index| {
                index.release(&lease, after, ReleaseReason::Throttled, cost, now)
            });
            assert_eq!(went, record.is_some());
            let Some(record) = record else { return };
            record.token = None;
            record.view.attempt += u32::from(counted);
            record.view.leased_before = false;
            if after.is_zero() {
                record.view.place = Place::Ready;
            } else {
                record.view.place = Place::Deferred;
                record.view.reason = Reason::Released(ReleaseReason::Throttled);
                record.view.due = Some(now.after(after));
            }
        }
        Act::Hold(n) => {
            let Some((lease, record)) = model.leased(n) else {
                return;
            };
            let went = change(index, all, |index| index.hold(&lease, HoldReason::InDoubt, now));
            set_aside(record, went, Reason::Held(HoldReason::InDoubt), now);
        }
        Act::Dead(n, corrupt) => {
            let Some((lease, record)) = model.leased(n) else {
                return;
            };
            let went = change(index, all, |index| index.dead_letter(&lease, dead(corrupt), now));
            set_aside(record, went, Reason::Dead(dead(corrupt)), now);
        }
        Act::Abandon(n) => {
            let Some((lease, record)) = model.leased(n) else {
                return;
            };
            assert_eq!(index.abandon(&lease), record.is_some());
            if let Some(record) = record {
                record.token = None;
                record.view.place = Place::Ready;
                record.view.leased_before = true;
            }
        }
        Act::PutBack(n) => {
            let Some((lease, record)) = model.leased(n) else {
                return;
            };
            index.put_back(lease.record, lease.token);
            if let Some(record) = record {
                record.token = None;
                record.view.place = Place::Ready;
            }
        }
        Act::Requeue(id) => {
            let record = model
                .records
                .get_mut(&id)
                .filter(|record| matches!(record.view.place, Place::Held | Place::DeadLetter));
            assert_eq!(
                change(index, all, |index| index.requeue(RecordId::from_u64(id))),
                record.is_some()
            );
            if let Some(record) = record {
                record.view = View {
                    place: Place::Ready,
                    reason: Reason::None,
                    since: None,
                    ..record.view.clone()
                };
            }
        }
        Act::Discard(id) => {
            let there = model
                .records
                .get(&id)
                .is_some_and(|record| match record.view.place {
                    Place::Held | Place::DeadLetter | Place::Corrupt => true,
                    Place::Ready | Place::Deferred => !record.view.leased_before,
                    Place::InFlight => false,
                });
            assert_eq!(
                change(index, all, |index| index.discard(RecordId::from_u64(id))),
                there
            );
            if there {
                model.records.remove(&id);
            }
        }
        Act::Pass(millis) => {
            model.now += millis;
            let now = model.now();
            index.due(now);
            for record in model.records.values_mut() {
                if record.view.due.is_some_and(|due| due <= now) {
                    record.view = View {
                        place: Place::Ready,
                        reason: Reason::None,
                        due: None,
                        ..record.view.clone()
                    };
                }
            }
        }
        Act::Reopen => {
            let mut found = QueueIndex::new();
            for record in model.records.values_mut() {
                if record.token.take().is_some() {
                    record.view.place = Place::Ready;
                    record.view.leased_before = true;
                }
                let view = record.view.clone();
                let at = match (view.due, view.since) {
                    (Some(due), _) => At::Deferred {
                        due,
                        reason: view.reason,
                    },
                    (_, Some(since)) => At::Aside {
                        reason: view.reason,
                        since,
                    },
                    (None, None) => At::Ready,
                };
                let new = NewRecord {
                    id: view.id,
                    lane: view.lane,
                    published_at: at_zero(),
                    size: 10,
                };
                let stored = Stored {
                    record: new,
                    at,
                    attempt: view.attempt,
                    leased_before: view.leased_before,
                };
                found.restore(stored, now);
            }
            model.leases.clear();
            *index = found;
        }
    }
}

fn at_zero() -> Timestamp {
    at(0)
}

fn set_aside(record: Option<&mut Model>, went: bool, reason: Reason, now: Timestamp) {
    assert_eq!(went, record.is_some());
    if let Some(record) = record {
        record.token = None;
        let view = record.view.clone();
        record.view = View {
            place: reason.place(),
            reason,
            since: Some(now),
            leased_before: false,
            ..view
        };
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_operations_do_what_a_plain_list_does(acts in prop::collection::vec(act(), 1..120)) {
        let mut index = QueueIndex::new();
        let mut model = Naive::default();
        for act in acts {
            run(&mut index, &mut model, act);
            let views: Vec<_> = model.records.values().map(|record| record.view.clone()).collect();
            prop_assert_eq!(all(&index), views.clone());
            for place in Place::ALL {
                let recount = views.iter().filter(|view| view.place == place).count();
                prop_assert_eq!(index.depth().at(place), u64::try_from(recount).unwrap());
            }
            prop_assert_eq!(index.octets(), 10 * u64::try_from(views.len()).unwrap());
            prop_assert_eq!(index.next_due(), views.iter().filter_map(|view| view.due).min());
            let flows: BTreeSet<_> = views.iter().map(|view| view.lane.flow.clone()).collect();
            prop_assert_eq!(index.lanes.members(), flows.len());
        }
    }
}
