//! Who has how many requests under way, who waits, and who is left alone until when.
//!
//! Pure: time is an argument; knows no queue and no HTTP, a job is whatever the caller gives. A *target* is scheme, host
//! and port; a *flow* is a client. A flow is *closed* while records of it wait for a place, while a probe of it is
//! under way, while it has its whole share, or until the breaker of its target lets a probe go (its *gate*); nothing is
//! checked out for a closed flow.
//!
//! Invariants:
//! - PL-1: at most `per_target` requests to a target are under way.
//! - PL-2: where a job waits, a request to the same target is under way, or its [`Places::end`] was just told and the caller
//!   still owes the target a [`Places::next`] that answers `None`. So no job waits for ever.
//! - PL-3: what a request took is given back by its [`Places::end`], however it ended.
//!
//! # Limits
//! A client with a dead target and a live one is gated by the dead one until a request to the live one succeeds.

use crate::breaker::{Admit, Breaker, BreakerPolicy};
use smsgw_queue::{Flow, Flows};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

/// How much may be under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) per_target: usize,
    pub(crate) per_flow: usize,
}

/// What becomes of a job.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Begin<J> {
    /// Its request goes now; [`Places::end`] must follow.
    Start { job: J, probe: bool },
    /// It was kept until its target has room, or until the probe of its target has ended.
    Waits,
    /// The breaker is open until then.
    NotBefore(J, Instant),
}

/// Whose request it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) origin: String,
    pub(crate) flow: Flow,
    pub(crate) probe: bool,
}

/// What the end of a request did to its target's breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turned {
    Opened,
    Closed,
    Unchanged,
}

/// What to check out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// One record of this flow, whose gate opens.
    Gated(Flow),
    /// Any flow but the closed ones, until the next gate opens.
    Open {
        closed: BTreeSet<Flow>,
        until: Option<Instant>,
    },
}

#[derive(Debug)]
struct TargetState<J> {
    breaker: Breaker,
    under_way: usize,
    waiting: VecDeque<(Flow, J)>,
    used: Instant,
}

#[derive(Debug, Default)]
struct FlowState {
    under_way: usize,
    probes: usize,
    waiting: usize,
    gate: Option<Instant>,
}

impl FlowState {
    fn is_busy(&self, per_flow: usize) -> bool {
        self.waiting > 0 || self.probes > 0 || self.under_way >= per_flow
    }
}

#[derive(Debug)]
pub(crate) struct Places<J> {
    targets: HashMap<String, TargetState<J>>,
    flows: HashMap<Flow, FlowState>,
}

impl<J> Places<J> {
    pub(crate) fn new() -> Self {
        Self {
            targets: HashMap::new(),
            flows: HashMap::new(),
        }
    }

    /// A place for this job's request.
    pub(crate) fn begin(
        &mut self,
        now: Instant,
        origin: &str,
        flow: &Flow,
        job: J,
        limits: Limits,
    ) -> Begin<J> {
        let begun = self.try_begin(now, origin, flow, job, limits);
        match begun {
            Tried::Start { job, probe } => Begin::Start { job, probe },
            Tried::NotBefore(job, until) => Begin::NotBefore(job, until),
            Tried::Full(job) => {
                self.flow(flow).waiting += 1;
                self.target(origin, now).waiting.push_back((flow.clone(), job));
                Begin::Waits
            }
        }
    }

    /// The next job that waits at this target, if one may go or must be given back. To be asked after each
    /// [`Places::end`] until it has none.
    pub(crate) fn next(&mut self, now: Instant, origin: &str, limits: Limits) -> Option<(Begin<J>, Flow)> {
        let (flow, job) = self.targets.get_mut(origin)?.waiting.pop_front()?;
        match self.try_begin(now, origin, &flow, job, limits) {
            Tried::Start { job, probe } => {
                self.flow(&flow).waiting -= 1;
                Some((Begin::Start { job, probe }, flow))
            }
            Tried::NotBefore(job, until) => {
                self.flow(&flow).waiting -= 1;
                Some((Begin::NotBefore(job, until), flow))
            }
            Tried::Full(job) => {
                self.target(origin, now).waiting.push_front((flow, job));
                None
            }
        }
    }

    fn try_begin(&mut self, now: Instant, origin: &str, flow: &Flow, job: J, limits: Limits) -> Tried<J> {
        let target = self.target(origin, now);
        if target.under_way >= limits.per_target {
            return Tried::Full(job);
        }
        let probe = match target.breaker.admit(now) {
            Admit::Yes => false,
            Admit::Probe => true,
            Admit::AfterProbe => return Tried::Full(job),
            Admit::NotBefore(until) => {
                self.flow(flow).gate = Some(until);
                return Tried::NotBefore(job, until);
            }
        };
        target.under_way += 1;
        let flow = self.flow(flow);
        flow.under_way += 1;
        flow.probes += usize::from(probe);
        Tried::Start { job, probe }
    }

    /// A request ended, answered 2xx or not.
    pub(crate) fn end(
        &mut self,
        now: Instant,
        ticket: &Ticket,
        answered: bool,
        policy: &BreakerPolicy,
    ) -> Turned {
        let target = self.target(&ticket.origin, now);
        target.under_way = target.under_way.saturating_sub(1);
        let was_open = target.breaker.is_open();
        if answered {
            target.breaker.succeeded();
        } else {
            target.breaker.failed(now, policy, ticket.probe);
        }
        let is_open = target.breaker.is_open();
        let until = target.breaker.open_until();
        let flow = self.flow(&ticket.flow);
        flow.under_way = flow.under_way.saturating_sub(1);
        flow.probes = flow.probes.saturating_sub(usize::from(ticket.probe));
        if answered {
            flow.gate = None;
        } else if until.is_some() {
            flow.gate = until;
        }
        match (was_open, is_open) {
            (false, true) => Turned::Opened,
            (true, false) => Turned::Closed,
            (true, true) | (false, false) => Turned::Unchanged,
        }
    }

    /// What to check out now. Forgets flows of which there is nothing to know.
    pub(crate) fn ask(&mut self, now: Instant, limits: Limits) -> Ask {
        self.flows
            .retain(|_, flow| flow.under_way > 0 || flow.waiting > 0 || flow.gate.is_some());
        let gated = self
            .flows
            .iter()
            .filter(|(_, state)| !state.is_busy(limits.per_flow))
            .filter_map(|(flow, state)| state.gate.map(|until| (until, flow)));
        let next = gated.min();
        match next {
            Some((until, flow)) if until <= now => Ask::Gated(flow.clone()),
            Some(_) | None => Ask::Open {
                until: next.map(|(until, _)| until),
                closed: self
                    .flows
                    .iter()
                    .filter(|(_, state)| state.gate.is_some() || state.is_busy(limits.per_flow))
                    .map(|(flow, _)| flow.clone())
                    .collect(),
            },
        }
    }

    /// The record that a gate opened for has come, or there was none.
    pub(crate) fn opened(&mut self, flow: &Flow) {
        self.flow(flow).gate = None;
    }

    /// Whether one of these flows may be checked out again.
    pub(crate) fn any_open(&self, flows: &Flows, limits: Limits) -> bool {
        match flows {
            Flows::All | Flows::Only(_) => false,
            Flows::Except(closed) => closed.iter().any(|flow| {
                self.flows
                    .get(flow)
                    .is_none_or(|state| state.gate.is_none() && !state.is_busy(limits.per_flow))
            }),
        }
    }

    /// Whether jobs wait at this target.
    pub(crate) fn has_waiting(&self, origin: &str) -> bool {
        self.targets
            .get(origin)
            .is_some_and(|target| !target.waiting.is_empty())
    }

    /// Takes out every job that waits.
    pub(crate) fn take_waiting(&mut self) -> Vec<J> {
        self.flows.values_mut().for_each(|flow| flow.waiting = 0);
        self.targets
            .values_mut()
            .flat_map(|target| target.waiting.drain(..))
            .map(|(_, job)| job)
            .collect()
    }

    /// Forgets targets that nothing was sent to for this long, and with them their breakers: clients may name any
    /// number of targets. Gives the number of breakers that were open.
    pub(crate) fn forget(&mut self, now: Instant, unused: Duration) -> usize {
        let mut open = 0;
        self.targets.retain(|_, target| {
            let busy = target.under_way > 0 || !target.waiting.is_empty();
            let keep = busy || now.saturating_duration_since(target.used) < unused;
            open += usize::from(!keep && target.breaker.is_open());
            keep
        });
        open
    }

    fn target(&mut self, origin: &str, now: Instant) -> &mut TargetState<J> {
        // Looked up twice, so that the name is only copied for a new target.
        if !self.targets.contains_key(origin) {
            let fresh = TargetState {
                breaker: Breaker::new(),
                under_way: 0,
                waiting: VecDeque::new(),
                used: now,
            };
            self.targets.insert(origin.to_owned(), fresh);
        }
        let target = self.targets.get_mut(origin).expect("put there above");
        target.used = now;
        target
    }

    fn flow(&mut self, flow: &Flow) -> &mut FlowState {
        self.flows.entry(flow.clone()).or_default()
    }
}

enum Tried<J> {
    Start { job: J, probe: bool },
    Full(J),
    NotBefore(J, Instant),
}

#[cfg(test)]
mod tests {
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
        match places.ask(now, LIMITS) {
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
            places.end(now, &ticket("slow", &a, false), true, &POLICY),
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
        places.end(now, &ticket("t0", &a, false), true, &POLICY);
        assert_eq!(closed(&mut places, now), Vec::<String>::new());
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
            places.end(start, &ticket("t", &a, false), false, &POLICY),
            Turned::Unchanged
        );
        assert_eq!(
            places.end(start, &ticket("t", &a, false), false, &POLICY),
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
            places.end(at(1100), &ticket("t", &a, true), false, &POLICY),
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
            places.end(at(3200), &ticket("t", &a, true), true, &POLICY),
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
                places.end(start, &ticket(&format!("t{target}"), &a, false), false, &POLICY);
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
            let drive = |places: &mut Places<usize>, under_way: &mut Vec<Ticket>, origin: &str, now| {
                while let Some((begun, flow)) = places.next(now, origin, LIMITS) {
                    if let Begin::Start { probe, .. } = begun {
                        under_way.push(ticket(origin, &flow, probe));
                    }
                }
            };
            for (job, (target, flow, good, wait)) in steps.into_iter().enumerate() {
                let origin = format!("t{target}");
                let flow = &flows[flow];
                if let Begin::Start { probe, .. } = places.begin(now, &origin, flow, job, LIMITS) {
                    under_way.push(ticket(&origin, flow, probe));
                }
                for target in 0..3 {
                    let origin = format!("t{target}");
                    let most = under_way.iter().filter(|ticket| ticket.origin == origin).count();
                    prop_assert!(most <= LIMITS.per_target);
                }
                if wait % 3 != 0 && !under_way.is_empty() {
                    let ended = under_way.remove(job % under_way.len());
                    places.end(now, &ended, good, &POLICY);
                    drive(&mut places, &mut under_way, &ended.origin, now);
                }
                now += Duration::from_millis(wait);
            }
            while let Some(ended) = under_way.pop() {
                places.end(now, &ended, true, &POLICY);
                drive(&mut places, &mut under_way, &ended.origin, now);
            }
            for target in 0..3 {
                let origin = format!("t{target}");
                prop_assert!(!places.has_waiting(&origin));
            }
            now += Duration::from_secs(10);
            // Every gate opens in its time.
            while let Ask::Gated(flow) = places.ask(now, LIMITS) {
                places.opened(&flow);
            }
            prop_assert_eq!(places.ask(now, LIMITS), Ask::Open { closed: BTreeSet::new(), until: None });
        }
    }
}
