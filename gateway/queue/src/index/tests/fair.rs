//! Turns over random backlogs: classes by weight and flows in turn, whatever comes in between.

use super::super::lanes::weight;
use super::super::*;
use super::{FLOWS, add};
use proptest::prelude::*;
use smsgw_message::Class;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum Act {
    Publish(usize, usize, u8),
    Checkout(usize),
    /// What was taken goes: settled, or released to come back at once or never.
    Settle(usize),
    Release(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (0..3_usize, 0..4_usize, 1..12_u8).prop_map(|(class, flow, count)| Act::Publish(class, flow, count)),
        6 => (1..15_usize).prop_map(Act::Checkout),
        2 => (0..50_usize).prop_map(Act::Settle),
        2 => (0..50_usize).prop_map(Act::Release),
    ];
    prop::collection::vec(act, 1..120)
}

/// One record that was served, and which lanes had records just before it.
struct Served {
    class: Class,
    flow: String,
    ready: BTreeMap<(Class, String), usize>,
}

/// Runs acts; checkouts one record at a time, so that what was ready before each is known. Returns what was served.
fn run(acts: &[Act], flows: &Flows) -> Vec<Served> {
    let mut index = QueueIndex::new();
    let mut taken: Vec<Leased> = Vec::new();
    let (mut next, mut served) = (1, Vec::new());
    let mut ready: BTreeMap<(Class, String), usize> = BTreeMap::new();
    let open = |flow: &str| match flows {
        Flows::All => true,
        Flows::Only(only) => only.as_str() == flow,
        Flows::Except(out) => !out.contains(&flow.into()),
    };
    for act in acts {
        match act {
            Act::Publish(class, flow, count) => {
                for _ in 0..*count {
                    add(&mut index, next, Class::ALL[*class], FLOWS[*flow]);
                    next += 1;
                    if open(FLOWS[*flow]) {
                        *ready
                            .entry((Class::ALL[*class], FLOWS[*flow].to_owned()))
                            .or_default() += 1;
                    }
                }
            }
            Act::Checkout(count) => {
                for _ in 0..*count {
                    let Some(leased) = index.checkout(1, flows).pop() else {
                        assert!(ready.is_empty(), "nobody is left out");
                        break;
                    };
                    let lane = (leased.lane.class, leased.lane.flow.as_str().to_owned());
                    served.push(Served {
                        class: lane.0,
                        flow: lane.1.clone(),
                        ready: ready.clone(),
                    });
                    let left = ready.get_mut(&lane).unwrap();
                    *left -= 1;
                    if *left == 0 {
                        ready.remove(&lane);
                    }
                    taken.push(leased);
                }
            }
            Act::Settle(n) if !taken.is_empty() => {
                let leased = taken.swap_remove(n % taken.len());
                let change = index.settle(&super::lease(&leased)).unwrap();
                index.finish(change);
            }
            Act::Release(n) if !taken.is_empty() => {
                let leased = taken.swap_remove(n % taken.len());
                let lane = (leased.lane.class, leased.lane.flow.as_str().to_owned());
                let now = super::at(0);
                let free = crate::step::Cost::Free;
                let change = index
                    .release(
                        &super::lease(&leased),
                        Duration::ZERO,
                        ReleaseReason::Throttled,
                        free,
                        now,
                    )
                    .unwrap();
                index.finish(change);
                *ready.entry(lane).or_default() += 1;
            }
            Act::Settle(_) | Act::Release(_) => {}
        }
    }
    served
}

/// The laws of turns, over every window of what was served.
fn check(served: &[Served]) -> Result<(), TestCaseError> {
    for begin in 0..served.len() {
        // A class with records all the time has its weight within two rounds, however the others come and go.
        for class in Class::ALL {
            let waiting = served[begin..]
                .iter()
                .take(42)
                .take_while(|one| one.ready.keys().any(|(there, _)| *there == class))
                .collect::<Vec<_>>();
            if waiting.len() == 42 {
                let count = waiting.iter().filter(|one| one.class == class).count();
                prop_assert!(
                    count >= usize::try_from(weight(class)).unwrap(),
                    "{class:?}: {count} of 42"
                );
            }
        }
        // Two flows of a class that both have records all the time differ by one turn at most.
        for class in Class::ALL {
            for (a, b) in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)] {
                let lanes = [a, b].map(|flow: usize| (class, FLOWS[flow].to_owned()));
                let mut turns = [0_i32; 2];
                for one in &served[begin..] {
                    if !lanes.iter().all(|lane| one.ready.contains_key(lane)) {
                        break;
                    }
                    for (turns, lane) in turns.iter_mut().zip(&lanes) {
                        *turns += i32::from((one.class, &one.flow) == (lane.0, &lane.1));
                    }
                    prop_assert!(turns[0].abs_diff(turns[1]) <= 1, "{lanes:?} had {turns:?} turns");
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn turns_are_fair_while_records_come_and_go(acts in acts()) {
        check(&run(&acts, &Flows::All))?;
    }

    #[test]
    fn turns_are_fair_among_the_flows_that_are_asked_for(acts in acts(), out in 0..4_usize) {
        check(&run(&acts, &Flows::Except([FLOWS[out].into()].into())))?;
        check(&run(&acts, &Flows::Only(FLOWS[out].into())))?;
    }

    /// Nothing comes in any more: 21 records in a row give every class that lasts as many its weight.
    #[test]
    fn over_any_backlog_each_class_has_its_weight_in_every_window(
        mix in prop::collection::vec((0..3_usize, 0..4_usize), 1..400),
        max in 1..40_usize,
    ) {
        let mut index = QueueIndex::new();
        let mut left = BTreeMap::<Class, usize>::new();
        for (id, (class, flow)) in (1..).zip(&mix) {
            add(&mut index, id, Class::ALL[*class], FLOWS[*flow]);
            *left.entry(Class::ALL[*class]).or_default() += 1;
        }
        let mut served = Vec::new();
        while served.len() < mix.len() {
            served.extend(index.checkout(max, &Flows::All).into_iter().map(|leased| leased.lane.class));
        }
        for window in served.windows(21) {
            for class in Class::ALL {
                let there = left.get(&class).copied().unwrap_or(0);
                let count = window.iter().filter(|served| **served == class).count();
                // It had records until the end of the window.
                prop_assert!(there <= count || count >= usize::try_from(weight(class)).unwrap());
            }
            *left.get_mut(&window[0]).unwrap() -= 1;
        }
    }
}
