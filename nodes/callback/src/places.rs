//! Who has how many requests under way, who waits, and who is left alone until when.
//!
//! Pure: time is an argument; knows no queue and no HTTP, a job is whatever the caller gives. A *target* is scheme, host
//! and port for one client (what another client does to the same host is not its fault); a *flow* is a client. A flow is *closed*
//! while records of it wait for a place, while a probe of it is under way, while it has its whole share, or until the breaker of
//! its target lets a probe go (its *gate*); nothing is checked out for a closed flow.
//!
//! A target may have no more requests under way than a quarter of the places that are free, and one in any case. So those that are
//! slow get less the more of them there are, and however many of them take what they can get, some places stay free for those
//! that answer at once.
//!
//! Invariants:
//! - PL-1: at most `per_target` requests to a target are under way, and at most `per_flow` of a flow.
//! - PL-2: where a job waits for its target, a request to the same target is under way; where it waits for its flow, one of the
//!   same flow is. Or its [`Places::end`] was just told and the caller still owes it a [`Places::next`] and
//!   [`Places::next_of_flow`] that answer `None`. So no job waits for ever.
//! - PL-3: what a request took is given back by its [`Places::end`], however it ended.
//!
//! # Limits
//! More slow targets than there are places, each with one request under way, take all of them. Records for a dead target of a
//! client that has a live one as well are taken and given back once in each interval of probes.

#[cfg(test)]
mod tests;

use crate::breaker::{Admit, Breaker, BreakerPolicy};
use smsgw_queue::Flow;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

/// How much may be under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) per_target: usize,
    pub(crate) per_flow: usize,
    /// Of all flows.
    pub(crate) all: usize,
}

/// How long after a success a flow counts as alive, whatever its other targets do.
const LIVELY: Duration = Duration::from_secs(10);

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

#[derive(Debug)]
struct FlowState<J> {
    under_way: usize,
    probes: usize,
    /// Jobs that wait, here or at a target.
    waiting: usize,
    gate: Option<Instant>,
    per_flow: usize,
    /// Jobs that wait for a place of the flow, with their targets.
    queue: VecDeque<(String, J)>,
    /// The target that answered last, and until when that says something.
    lively: Option<(String, Instant)>,
}

impl<J> FlowState<J> {
    fn is_closed(&self) -> bool {
        self.gate.is_some() || self.is_busy()
    }

    fn is_busy(&self) -> bool {
        self.waiting > 0 || self.probes > 0 || self.under_way >= self.per_flow
    }

    /// Nothing is to be taken until then for the sake of this target, unless another one is well.
    fn shut(&mut self, origin: &str, now: Instant, until: Instant) {
        let other = self
            .lively
            .as_ref()
            .is_some_and(|(lively, end)| lively != origin && now < *end);
        if !other {
            self.gate = Some(until);
        }
    }
}

#[derive(Debug)]
pub(crate) struct Places<J> {
    targets: HashMap<String, TargetState<J>>,
    flows: HashMap<Flow, FlowState<J>>,
    under_way: usize,
}

impl<J> Places<J> {
    pub(crate) fn new() -> Self {
        Self {
            targets: HashMap::new(),
            flows: HashMap::new(),
            under_way: 0,
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
        self.flow(flow).per_flow = limits.per_flow;
        match self.try_begin(now, origin, flow, job, limits) {
            Tried::Start { job, probe } => Begin::Start { job, probe },
            Tried::NotBefore(job, until) => Begin::NotBefore(job, until),
            Tried::Full(job) => {
                self.flow(flow).waiting += 1;
                self.target(origin, now).waiting.push_back((flow.clone(), job));
                Begin::Waits
            }
            Tried::FlowFull(job) => {
                let state = self.flow(flow);
                state.waiting += 1;
                state.queue.push_back((origin.to_owned(), job));
                Begin::Waits
            }
        }
    }

    /// The next job that waits for a place of this flow, if one may go or must be given back. To be asked after each
    /// [`Places::end`] until it has none.
    pub(crate) fn next_of_flow(&mut self, now: Instant, flow: &Flow, limits: Limits) -> Option<Begin<J>> {
        while let Some((origin, job)) = self.flow(flow).queue.pop_front() {
            match self.try_begin(now, &origin, flow, job, limits) {
                Tried::Start { job, probe } => {
                    self.flow(flow).waiting -= 1;
                    return Some(Begin::Start { job, probe });
                }
                Tried::NotBefore(job, until) => {
                    self.flow(flow).waiting -= 1;
                    return Some(Begin::NotBefore(job, until));
                }
                // It waits on, for its target now.
                Tried::Full(job) => self.target(&origin, now).waiting.push_back((flow.clone(), job)),
                Tried::FlowFull(job) => {
                    self.flow(flow).queue.push_front((origin, job));
                    return None;
                }
            }
        }
        None
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
            // It waits on, for its flow now; those behind it are of the same flow.
            Tried::FlowFull(job) => {
                self.flow(&flow).queue.push_back((origin.to_owned(), job));
                self.next(now, origin, limits)
            }
        }
    }

    fn try_begin(&mut self, now: Instant, origin: &str, flow: &Flow, job: J, limits: Limits) -> Tried<J> {
        let share = (limits.all.saturating_sub(self.under_way) / 4).max(1);
        if self.flow(flow).under_way >= limits.per_flow.max(1) {
            return Tried::FlowFull(job);
        }
        let target = self.target(origin, now);
        if target.under_way >= limits.per_target.min(share) {
            return Tried::Full(job);
        }
        let probe = match target.breaker.admit(now) {
            Admit::Yes => false,
            Admit::Probe => true,
            Admit::AfterProbe => return Tried::Full(job),
            Admit::NotBefore(until) => {
                self.flow(flow).shut(origin, now, until);
                return Tried::NotBefore(job, until);
            }
        };
        target.under_way += 1;
        self.under_way += 1;
        let flow = self.flow(flow);
        flow.under_way += 1;
        flow.probes += usize::from(probe);
        Tried::Start { job, probe }
    }

    /// A request ended, answered well or not; the target may ask for a rest.
    pub(crate) fn end(
        &mut self,
        now: Instant,
        ticket: &Ticket,
        answered: bool,
        rest: Option<Duration>,
        policy: &BreakerPolicy,
    ) -> Turned {
        self.under_way = self.under_way.saturating_sub(1);
        let target = self.target(&ticket.origin, now);
        target.under_way = target.under_way.saturating_sub(1);
        let was_open = target.breaker.is_open();
        if answered {
            target.breaker.succeeded();
        } else {
            target.breaker.failed(now, policy, ticket.probe);
            if let Some(span) = rest.filter(|span| !span.is_zero()) {
                target.breaker.rest(now, span, policy);
            }
        }
        let is_open = target.breaker.is_open();
        let until = target.breaker.open_until();
        let flow = self.flow(&ticket.flow);
        flow.under_way = flow.under_way.saturating_sub(1);
        flow.probes = flow.probes.saturating_sub(usize::from(ticket.probe));
        if answered {
            flow.gate = None;
            match &mut flow.lively {
                Some((lively, end)) if *lively == ticket.origin => *end = now + LIVELY,
                lively => *lively = Some((ticket.origin.clone(), now + LIVELY)),
            }
        } else if let Some(until) = until {
            flow.shut(&ticket.origin, now, until);
        }
        match (was_open, is_open) {
            (false, true) => Turned::Opened,
            (true, false) => Turned::Closed,
            (true, true) | (false, false) => Turned::Unchanged,
        }
    }

    /// What to check out now. Forgets flows of which there is nothing to know.
    pub(crate) fn ask(&mut self, now: Instant) -> Ask {
        self.flows.retain(|_, flow| {
            let lively = flow.lively.as_ref().is_some_and(|(_, end)| now < *end);
            flow.under_way > 0 || flow.waiting > 0 || flow.gate.is_some() || lively
        });
        let gated = self
            .flows
            .iter()
            .filter(|(_, state)| !state.is_busy())
            .filter_map(|(flow, state)| state.gate.map(|until| (until, flow)));
        let next = gated.min();
        match next {
            Some((until, flow)) if until <= now => Ask::Gated(flow.clone()),
            Some(_) | None => Ask::Open {
                until: next.map(|(until, _)| until),
                closed: self
                    .flows
                    .iter()
                    .filter(|(_, state)| state.is_closed())
                    .map(|(flow, _)| flow.clone())
                    .collect(),
            },
        }
    }

    /// The record that a gate opened for has come, or there was none.
    pub(crate) fn opened(&mut self, flow: &Flow) {
        self.flow(flow).gate = None;
    }

    /// Whether this flow may be checked out.
    pub(crate) fn is_open(&self, flow: &Flow) -> bool {
        self.flows.get(flow).is_none_or(|state| !state.is_closed())
    }

    /// Whether jobs wait at this target.
    pub(crate) fn has_waiting(&self, origin: &str) -> bool {
        self.targets
            .get(origin)
            .is_some_and(|target| !target.waiting.is_empty())
    }

    /// Whether jobs wait for a place of this flow.
    pub(crate) fn flow_has_waiting(&self, flow: &Flow) -> bool {
        self.flows.get(flow).is_some_and(|state| !state.queue.is_empty())
    }

    /// Takes out every job that waits.
    pub(crate) fn take_waiting(&mut self) -> Vec<J> {
        let mut jobs = Vec::new();
        for flow in self.flows.values_mut() {
            flow.waiting = 0;
            jobs.extend(flow.queue.drain(..).map(|(_, job)| job));
        }
        for target in self.targets.values_mut() {
            jobs.extend(target.waiting.drain(..).map(|(_, job)| job));
        }
        jobs
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

    fn flow(&mut self, flow: &Flow) -> &mut FlowState<J> {
        self.flows.entry(flow.clone()).or_insert_with(|| FlowState {
            under_way: 0,
            probes: 0,
            waiting: 0,
            gate: None,
            per_flow: usize::MAX,
            queue: VecDeque::new(),
            lively: None,
        })
    }
}

enum Tried<J> {
    Start { job: J, probe: bool },
    Full(J),
    FlowFull(J),
    NotBefore(J, Instant),
}
