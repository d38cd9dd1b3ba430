//! Laws of fairness under load, and of what is left in the end.
//!
//! The windows are those of the trait's documentation: a class gets its weight in every 21 records of a backlog, flows
//! of a class as many turns as each other, give or take one. The index has the same laws over random backlogs.

use super::*;
use crate::{Cost, DeadReason, Expiry, ReleaseReason};
use std::collections::BTreeMap;

/// Records that a class gets in 21.
fn weight(class: Class) -> usize {
    match class {
        Class::Otp => 16,
        Class::Transactional => 4,
        Class::Bulk => 1,
    }
}

fn lanes(deliveries: &[Delivery]) -> Vec<Lane> {
    deliveries
        .iter()
        .map(|delivery| delivery.lane().clone())
        .collect()
}

/// In every window of 21 each class has its weight, and in every window at all flows of a class differ by one at most.
/// All lanes had records all the time.
fn fair(served: &[Lane], flows: &[&str]) {
    for window in served.windows(21) {
        for class in Class::ALL {
            let count = window.iter().filter(|lane| lane.class == class).count();
            assert_eq!(count, weight(class), "{class:?}");
        }
    }
    for class in Class::ALL {
        let of_class: Vec<&str> = served
            .iter()
            .filter(|lane| lane.class == class)
            .map(|lane| lane.flow.as_str())
            .collect();
        for size in 1..=of_class.len() {
            for window in of_class.windows(size) {
                let turns = flows
                    .iter()
                    .map(|flow| window.iter().filter(|there| *there == flow).count());
                let (least, most) = turns.fold((usize::MAX, 0), |(l, m), n| (l.min(n), m.max(n)));
                assert!(most - least <= 1, "{class:?}: {least} to {most} turns in {size}");
            }
        }
    }
}

const FLOWS: [&str; 3] = ["a", "b", "c"];

async fn backlog(engine: &Arc<dyn Engine>, each: usize) {
    let mut steps = Vec::new();
    for n in 0..each {
        for class in Class::ALL {
            // In uneven portions, so that arrival is not fair by itself.
            for flow in FLOWS.iter().cycle().skip(n % 2).take(3) {
                steps.push(step().publish("q", Lane::new(class, *flow), octets(format!("{n}"))));
            }
        }
    }
    assert!(engine.commit(steps).await.iter().all(Result::is_ok));
}

pub async fn classes_and_flows_get_their_turns_in_every_window<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    backlog(&engine, 100).await;
    drop(engine);
    for _round in 0..2 {
        let engine = harness.engine();
        let mut served = Vec::new();
        let mut kept = Vec::new();
        // In portions that divide nothing.
        for max in [1, 5, 13, 2, 21, 34, 8, 3, 40] {
            let more = take(&engine, "q", max).await;
            served.extend(lanes(&more));
            kept.extend(more);
        }
        fair(&served, &FLOWS);
        // Each flow alone gets its classes by weight; the others are not disturbed by more than their turns.
        let want = Want::new(21, Duration::ZERO).flows(Flows::Only("b".into()));
        let alone = engine.checkout(&"q".into(), want).await.unwrap();
        for class in Class::ALL {
            let count = alone
                .iter()
                .filter(|delivery| delivery.lane().class == class)
                .count();
            assert_eq!(count, weight(class));
        }
        let mut served = Vec::new();
        for max in [4, 1, 17, 20, 9] {
            let want = Want::new(max, Duration::ZERO).flows(Flows::Except(["c".into()].into()));
            let more = engine.checkout(&"q".into(), want).await.unwrap();
            assert_eq!(more.len(), max);
            served.extend(lanes(&more));
            kept.extend(more);
        }
        // The first turns may belong to whoever was passed over before.
        fair(&served[2..], &["a", "b"]);
        drop((kept, alone, engine));
        harness.crash_and_reopen().await;
    }
    // Order within each lane, after all of that.
    let engine = harness.engine();
    let all = take(&engine, "q", 900).await;
    let mut last = BTreeMap::new();
    for delivery in &all {
        let lane = (delivery.lane().class, delivery.lane().flow.clone());
        let n: usize = text(delivery.record()).parse().unwrap();
        let before = last.insert(lane, n);
        assert_eq!(n, before.map_or(0, |before| before + 1));
    }
}

pub async fn turns_hold_while_others_publish_settle_and_release<H: Harness>() {
    let engine = H::open().await.engine();
    backlog(&engine, 260).await;
    let publisher = tokio::spawn({
        let engine = Arc::clone(&engine);
        async move {
            for n in 0..150 {
                let flow = FLOWS[n % 3];
                let steps =
                    Class::ALL.map(|class| step().publish("q", Lane::new(class, flow), octets("new")));
                assert!(engine.commit(steps.to_vec()).await.iter().all(Result::is_ok));
            }
        }
    });
    let (hand_over, mut taken) = tokio::sync::mpsc::channel::<Vec<Delivery>>(16);
    let settler = tokio::spawn({
        let engine = Arc::clone(&engine);
        async move {
            let mut n = 0;
            while let Some(deliveries) = taken.recv().await {
                let steps = deliveries.iter().map(|delivery| {
                    n += 1;
                    let own = Step::from(delivery);
                    match n % 3 {
                        0 => own.settle(delivery),
                        1 => own.release(delivery, Duration::ZERO, ReleaseReason::Throttled, Cost::Counted),
                        _ => own.release(
                            delivery,
                            Duration::from_secs(3600),
                            ReleaseReason::Temporary,
                            Cost::Free,
                        ),
                    }
                });
                assert!(engine.commit(steps.collect()).await.iter().all(Result::is_ok));
            }
        }
    });
    let mut served = Vec::new();
    for max in (1..24).chain(1..24) {
        let more = take(&engine, "q", max).await;
        served.extend(lanes(&more));
        hand_over.send(more).await.unwrap();
    }
    drop(hand_over);
    settler.await.unwrap();
    publisher.await.unwrap();
    fair(&served[..300], &FLOWS);
    for window in served.windows(21) {
        for class in Class::ALL {
            let count = window.iter().filter(|lane| lane.class == class).count();
            assert_eq!(count, weight(class), "{class:?}");
        }
    }
}

pub async fn nothing_is_left_when_all_has_expired<H: Harness>() {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let mut harness = H::open().await;
    let engine = harness.engine();
    let soon = harness.now().after(Duration::from_secs(60));
    for n in 0..300 {
        let key = format!("k/{n}");
        let step = step()
            .put(key.as_str(), octets("v"), Expiry::At(soon))
            .add(format!("n/{n}"), 1, None, Expiry::At(soon.after(DAY)))
            .bury(
                format!("dead/{}", n % 7),
                lane(),
                octets("x"),
                DeadReason::NoRoute,
            )
            .append("log", octets("e"));
        ok(&engine, step).await;
        if n % 3 == 0 {
            // Written anew with another time: the old one must not count.
            ok(
                &engine,
                super::step().put(key.as_str(), octets("w"), Expiry::At(soon.after(DAY))),
            )
            .await;
        }
    }
    ok(&engine, step().advance("log", "reader", Position(300))).await;
    drop(engine);
    harness.advance(DAY / 2).await;
    harness.crash_and_reopen().await;
    for _ in 0..9 {
        // In portions: what is done for time is bounded for each look.
        harness.advance(DAY).await;
    }
    let engine = harness.engine();
    assert_eq!(engine.queues(), []);
    assert!(entries(&engine, "log").await.is_empty());
    assert_eq!(engine.log_end(&"log".into()), Position(300));
    let keys = (0..300).flat_map(|n| [format!("k/{n}"), format!("n/{n}")]);
    let found = engine.get(keys.map(StateKey::from).collect()).await.unwrap();
    assert!(found.iter().all(Option::is_none));
}
