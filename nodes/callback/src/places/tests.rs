//! Places: limits, shares, gates, and that nothing waits for ever.

use super::*;
use proptest::prelude::*;

const POLICY: BreakerPolicy = BreakerPolicy {
    failures: 2,
    probe: Duration::from_secs(1),
    probe_max: Duration::from_secs(4),
};
const LIMITS: Limits = Limits {
    per_target: 2,
    per_flow: 4,
    all: 1_000,
};

#[expect(clippy::disallowed_methods, reason = "the origin of the test's time")]
fn origin() -> Instant {
    Instant::now()
}

fn ticket(origin: &str, flow: &Flow, probe: bool) -> Ticket {
    Ticket {
        origin: origin.to_owned(),
        flow: flow.clone(),
        probe,
    }
}

fn closed(places: &mut Places<u32>, now: Instant) -> Vec<String> {
    match places.ask(now) {
        Ask::Gated(flow) => vec![format!("gate of {flow}")],
        Ask::Open { closed, .. } => closed.iter().map(Flow::to_string).collect(),
    }
}

#[test]
fn a_full_target_closes_only_its_own_flow_until_its_waiting_jobs_are_started() {
    let now = origin();
    let (a, b) = (Flow::from("a"), Flow::from("b"));
    let mut places = Places::new();
    for job in 0..2 {
        assert_eq!(
            places.begin(now, "slow", &a, job, LIMITS),
            Begin::Start { job, probe: false }
        );
    }
    assert_eq!(closed(&mut places, now), Vec::<String>::new());
    assert_eq!(places.begin(now, "slow", &a, 2, LIMITS), Begin::Waits);
    assert_eq!(closed(&mut places, now), ["a"]);
    assert_eq!(
        places.begin(now, "fast", &b, 9, LIMITS),
        Begin::Start { job: 9, probe: false }
    );
    assert_eq!(places.next(now, "slow", LIMITS), None, "no room yet");
    assert_eq!(
        places.end(now, &ticket("slow", &a, false), true, None, &POLICY),
        Turned::Unchanged
    );
    let (begun, flow) = places.next(now, "slow", LIMITS).unwrap();
    assert_eq!((begun, flow), (Begin::Start { job: 2, probe: false }, a));
    assert_eq!(closed(&mut places, now), Vec::<String>::new());
}

#[test]
fn one_flow_with_many_targets_gets_no_more_than_its_share() {
    let now = origin();
    let a = Flow::from("a");
    let mut places = Places::new();
    for job in 0..4 {
        assert_eq!(closed(&mut places, now), Vec::<String>::new());
        places.begin(now, &format!("t{job}"), &a, job, LIMITS);
    }
    assert_eq!(closed(&mut places, now), ["a"]);
    places.end(now, &ticket("t0", &a, false), true, None, &POLICY);
    assert_eq!(closed(&mut places, now), Vec::<String>::new());
}

#[test]
fn however_many_slow_targets_there_are_some_places_stay_free() {
    let now = origin();
    let limits = Limits {
        per_target: 32,
        per_flow: 128,
        all: 256,
    };
    let mut places = Places::new();
    let mut started = 0;
    for slow in 0..20 {
        let flow = Flow::from(format!("slow{slow}"));
        for job in 0..64 {
            let begun = places.begin(now, &format!("slow{slow}"), &flow, job, limits);
            started += usize::from(matches!(begun, Begin::Start { .. }));
        }
    }
    assert!(
        (100..=252).contains(&started),
        "{started} of 256 places are taken by twenty slow targets"
    );
    let fast = Flow::from("fast");
    for job in 0..limits.all.saturating_sub(started) / 4 {
        let begun = places.begin(now, "fast", &fast, job, limits);
        assert_eq!(begun, Begin::Start { job, probe: false });
        places.end(now, &ticket("fast", &fast, false), true, None, &POLICY);
    }
}

#[test]
fn a_client_has_no_more_requests_than_its_share_and_keeps_their_order() {
    let now = origin();
    let a = Flow::from("a");
    let limits = Limits {
        per_flow: 1,
        ..LIMITS
    };
    let mut places = Places::new();
    assert_eq!(
        places.begin(now, "t0", &a, 0, limits),
        Begin::Start { job: 0, probe: false }
    );
    for job in 1..5 {
        assert_eq!(
            places.begin(now, &format!("t{}", job % 2), &a, job, limits),
            Begin::Waits
        );
    }
    for job in 1..5 {
        let origin = format!("t{}", (job - 1) % 2);
        places.end(now, &ticket(&origin, &a, false), true, None, &POLICY);
        assert_eq!(places.next(now, &origin, limits), None);
        assert_eq!(
            places.next_of_flow(now, &a, limits),
            Some(Begin::Start { job, probe: false })
        );
        assert_eq!(places.next_of_flow(now, &a, limits), None);
    }
}

#[test]
fn a_dead_target_of_a_client_gates_its_live_one_no_longer_than_that_is_unknown() {
    let start = origin();
    let a = Flow::from("a");
    let mut places = Places::new();
    places.begin(start, "live", &a, 0, LIMITS);
    places.end(start, &ticket("live", &a, false), true, None, &POLICY);
    for job in 1..3 {
        places.begin(start, "dead", &a, job, LIMITS);
        places.end(start, &ticket("dead", &a, false), false, None, &POLICY);
    }
    assert_eq!(
        closed(&mut places, start),
        Vec::<String>::new(),
        "the other one is well"
    );
    let until = start + Duration::from_secs(1);
    assert_eq!(
        places.begin(start, "dead", &a, 3, LIMITS),
        Begin::NotBefore(3, until)
    );
    assert_eq!(closed(&mut places, start), Vec::<String>::new());
    let later = start + LIVELY;
    let Begin::Start { probe: true, .. } = places.begin(later, "dead", &a, 4, LIMITS) else {
        panic!("no probe")
    };
    places.end(later, &ticket("dead", &a, true), false, None, &POLICY);
    assert_eq!(
        closed(&mut places, later),
        ["a"],
        "nothing is known of the other one any more"
    );
}

#[test]
fn a_target_that_asks_for_a_rest_gets_it_and_is_probed_then() {
    let start = origin();
    let at = |seconds| start + Duration::from_secs(seconds);
    let a = Flow::from("a");
    let mut places = Places::new();
    places.begin(start, "t", &a, 0, LIMITS);
    let rest = Some(Duration::from_secs(30));
    assert_eq!(
        places.end(start, &ticket("t", &a, false), false, rest, &POLICY),
        Turned::Opened
    );
    assert_eq!(
        places.begin(at(29), "t", &a, 1, LIMITS),
        Begin::NotBefore(1, at(30))
    );
    assert_eq!(
        places.begin(at(30), "t", &a, 2, LIMITS),
        Begin::Start { job: 2, probe: true }
    );
}

#[test]
fn while_a_probe_is_under_way_others_wait_and_go_when_it_succeeds_or_back_when_it_fails() {
    let start = origin();
    let at = |ms| start + Duration::from_millis(ms);
    let a = Flow::from("a");
    let mut places = Places::new();
    for job in 0..2 {
        places.begin(start, "t", &a, job, LIMITS);
    }
    assert_eq!(
        places.end(start, &ticket("t", &a, false), false, None, &POLICY),
        Turned::Unchanged
    );
    assert_eq!(
        places.end(start, &ticket("t", &a, false), false, None, &POLICY),
        Turned::Opened
    );
    assert_eq!(closed(&mut places, start), ["a"]);
    assert_eq!(
        places.begin(at(10), "t", &a, 2, LIMITS),
        Begin::NotBefore(2, at(1000))
    );
    assert_eq!(closed(&mut places, at(1000)), ["gate of a"]);
    places.opened(&a);
    assert_eq!(
        places.begin(at(1000), "t", &a, 3, LIMITS),
        Begin::Start { job: 3, probe: true }
    );
    assert_eq!(closed(&mut places, at(1000)), ["a"]);
    assert_eq!(places.begin(at(1001), "t", &a, 4, LIMITS), Begin::Waits);
    assert_eq!(
        places.end(at(1100), &ticket("t", &a, true), false, None, &POLICY),
        Turned::Unchanged
    );
    let (begun, _) = places.next(at(1100), "t", LIMITS).unwrap();
    assert_eq!(begun, Begin::NotBefore(4, at(3100)), "the interval doubled");
    assert_eq!(places.next(at(1100), "t", LIMITS), None);
    assert_eq!(
        places.begin(at(3100), "t", &a, 5, LIMITS),
        Begin::Start { job: 5, probe: true }
    );
    assert_eq!(places.begin(at(3100), "t", &a, 6, LIMITS), Begin::Waits);
    assert_eq!(
        places.end(at(3200), &ticket("t", &a, true), true, None, &POLICY),
        Turned::Closed
    );
    let (begun, _) = places.next(at(3200), "t", LIMITS).unwrap();
    assert_eq!(begun, Begin::Start { job: 6, probe: false });
    assert_eq!(closed(&mut places, at(3200)), Vec::<String>::new());
}

#[test]
fn unused_targets_are_forgotten_and_busy_ones_are_not() {
    let start = origin();
    let a = Flow::from("a");
    let mut places: Places<u32> = Places::new();
    for target in 0..1000 {
        places.begin(start, &format!("t{target}"), &a, 0, LIMITS);
    }
    for target in 1..1000 {
        for _ in 0..2 {
            places.end(
                start,
                &ticket(&format!("t{target}"), &a, false),
                false,
                None,
                &POLICY,
            );
        }
    }
    assert_eq!(
        places.forget(start + Duration::from_secs(60), Duration::from_secs(60)),
        999
    );
    assert_eq!(places.targets.keys().collect::<Vec<_>>(), ["t0"]);
}

proptest! {
    /// Whatever happens in whatever order: limits are kept, and once everything under way has ended nothing waits.
    #[test]
    fn nothing_waits_for_ever(steps in prop::collection::vec((0..3_usize, 0..2_usize, any::<bool>(), 0..1500_u64), 1..200)) {
        let start = origin();
        let flows = [Flow::from("a"), Flow::from("b")];
        let mut now = start;
        let mut places: Places<usize> = Places::new();
        let mut under_way: Vec<Ticket> = Vec::new();
        // A job is the number of its target.
        let drive = |places: &mut Places<usize>, under_way: &mut Vec<Ticket>, ended: &Ticket, now| {
            while let Some((begun, flow)) = places.next(now, &ended.origin, LIMITS) {
                if let Begin::Start { probe, .. } = begun {
                    under_way.push(ticket(&ended.origin, &flow, probe));
                }
            }
            while let Some(begun) = places.next_of_flow(now, &ended.flow, LIMITS) {
                if let Begin::Start { job, probe } = begun {
                    under_way.push(ticket(&format!("t{job}"), &ended.flow, probe));
                }
            }
        };
        for (job, (target, flow, good, wait)) in steps.into_iter().enumerate() {
            let origin = format!("t{target}");
            let flow = &flows[flow];
            if let Begin::Start { probe, .. } = places.begin(now, &origin, flow, target, LIMITS) {
                under_way.push(ticket(&origin, flow, probe));
            }
            for target in 0..3 {
                let origin = format!("t{target}");
                let most = under_way.iter().filter(|ticket| ticket.origin == origin).count();
                prop_assert!(most <= LIMITS.per_target);
            }
            for flow in &flows {
                let most = under_way.iter().filter(|ticket| ticket.flow == *flow).count();
                prop_assert!(most <= LIMITS.per_flow);
            }
            if wait % 3 != 0 && !under_way.is_empty() {
                let ended = under_way.remove(job % under_way.len());
                places.end(now, &ended, good, None, &POLICY);
                drive(&mut places, &mut under_way, &ended, now);
            }
            now += Duration::from_millis(wait);
        }
        while let Some(ended) = under_way.pop() {
            places.end(now, &ended, true, None, &POLICY);
            drive(&mut places, &mut under_way, &ended, now);
        }
        for target in 0..3 {
            let origin = format!("t{target}");
            prop_assert!(!places.has_waiting(&origin));
        }
        for flow in &flows {
            prop_assert!(!places.flow_has_waiting(flow));
        }
        prop_assert_eq!(places.under_way, 0);
        now += Duration::from_secs(10);
        // Every gate opens in its time.
        while let Ask::Gated(flow) = places.ask(now) {
            places.opened(&flow);
        }
        prop_assert_eq!(places.ask(now), Ask::Open { closed: BTreeSet::new(), until: None });
    }
}
