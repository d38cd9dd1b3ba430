//! How far a load or a benchmark is: figures that the work keeps, for whoever shows them.
//!
//! Knows no terminal and nobody who reads. One word goes the other way: that a load shall send no more. Invariant: a message costs relaxed additions, never a lock or a call of the
//! system; only the start of a phase takes a lock.
//!
//! # Limits
//! Figures are read one after the other while they move: they may miss each other by what happened in between.

use smsgw_message::Clock;
use smsgw_runtime::SystemClock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What is being done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Processes of a benchmark are started.
    #[default]
    Starting,
    /// A load binds.
    Binding,
    /// A load sends.
    Sending,
    /// Everything is sent, answers are missing.
    Answers,
    /// Everything is answered, receipts are waited for.
    Receipts,
    /// What a benchmark sends before it measures.
    WarmUp,
    /// It measures.
    Measuring,
    /// What was accepted is on its way.
    Arriving,
    /// Half of the rate that was found, for the latencies.
    HalfRate,
    /// Without the gateway: the load generator's own session, or the disk.
    Alone,
    /// Processes are ended.
    Stopping,
}

/// What is known of the time of a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// It lasts so long.
    Lasts(Duration),
    /// It is given up, or ends, after so long at the latest.
    AtMost(Duration),
}

/// Which case of a benchmark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseOf {
    /// As `--case` names it.
    pub name: String,
    /// From 1.
    pub number: usize,
    /// How many there are.
    pub of: usize,
}

#[derive(Debug, Clone, Default)]
struct Stage {
    phase: Phase,
    since: Option<Instant>,
    of: Option<u64>,
    span: Option<Span>,
    case: Option<CaseOf>,
}

impl Stage {
    fn begin(&mut self, phase: Phase, of: Option<u64>, span: Option<Span>) {
        *self = Self {
            phase,
            since: Some(SystemClock.instant()),
            of,
            span,
            case: self.case.take(),
        };
    }
}

/// Counts one by one.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The figures, shared by the work and by whoever shows them.
#[derive(Debug, Default)]
pub struct Progress {
    stage: Mutex<Stage>,
    is_stopped: AtomicBool,
    /// Of phases that a benchmark counts from outside.
    done: AtomicU64,
    pub(crate) bound: Count,
    /// Messages.
    pub(crate) sent: Count,
    accepted: Count,
    refused: Count,
    unanswered: Count,
    /// Requests sent again, connections made again.
    pub(crate) again: Count,
    /// Submits accepted: the parts of a message each.
    pub(crate) submits: Count,
    pub(crate) receipts: Count,
}

/// What the figures were at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// What is being done.
    pub phase: Phase,
    /// Of a benchmark.
    pub case: Option<CaseOf>,
    /// What the phase counts: binds, messages sent, answers, receipts, arrivals.
    pub done: u64,
    /// How many there will be, where it is known.
    pub of: Option<u64>,
    /// Since the phase began.
    pub elapsed: Duration,
    /// How long it takes, where it is known.
    pub span: Option<Span>,
    /// Messages that were accepted.
    pub accepted: u64,
    /// Messages that were answered otherwise.
    pub refused: u64,
    /// Messages of which nobody knows.
    pub unanswered: u64,
    /// Requests sent again, connections made again.
    pub again: u64,
    /// Receipts that came.
    pub receipts: u64,
}

impl Progress {
    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A phase begins.
    pub(crate) fn begin(&self, phase: Phase, of: Option<u64>, span: Option<Span>) {
        self.stage().begin(phase, of, span);
        self.set_done(0);
    }

    /// A phase of a load begins, unless another connection has said so or is further.
    pub(crate) fn advance(&self, phase: Phase, of: Option<u64>, span: Option<Span>) {
        let mut stage = self.stage();
        if stage.phase < phase {
            stage.begin(phase, of, span);
        }
    }

    /// A case of a benchmark begins.
    pub(crate) fn begin_case(&self, case: CaseOf) {
        self.stage().case = Some(case);
    }

    /// So much of the phase is done.
    pub(crate) fn set_done(&self, done: u64) {
        self.done.store(done, Ordering::Relaxed);
    }

    /// What became of a message.
    pub(crate) fn note_end(&self, is_accepted: bool, is_answered: bool) {
        match (is_accepted, is_answered) {
            (true, _) => self.accepted.add(),
            (false, true) => self.refused.add(),
            (false, false) => self.unanswered.add(),
        }
    }

    /// Submits accepted so far.
    pub(crate) fn submits(&self) -> u64 {
        self.submits.get()
    }

    /// A load sends no more, waits for what it has sent, and ends as if its plan were done.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    /// The figures now.
    pub fn view(&self, now: Instant) -> View {
        let Stage {
            phase,
            since,
            of,
            span,
            case,
        } = self.stage().clone();
        let (accepted, refused, unanswered) =
            (self.accepted.get(), self.refused.get(), self.unanswered.get());
        let (done, of) = match phase {
            Phase::Binding => (self.bound.get(), of),
            Phase::Sending => (self.sent.get(), of),
            Phase::Answers => {
                let answered = accepted.saturating_add(refused).saturating_add(unanswered);
                (answered, Some(self.sent.get()))
            }
            Phase::Receipts => (self.receipts.get(), of),
            Phase::Starting
            | Phase::WarmUp
            | Phase::Measuring
            | Phase::Arriving
            | Phase::HalfRate
            | Phase::Alone
            | Phase::Stopping => (self.done.load(Ordering::Relaxed), of),
        };
        View {
            phase,
            case,
            done,
            of,
            elapsed: since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since)),
            span,
            accepted,
            refused,
            unanswered,
            again: self.again.get(),
            receipts: self.receipts.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_goes_forward_and_counts_what_its_phase_is_about() {
        let progress = Progress::default();
        let second = Duration::from_secs(1);
        progress.begin(Phase::Sending, Some(3), Some(Span::Lasts(second)));
        for (is_accepted, is_answered) in [(true, true), (false, true), (false, false)] {
            progress.sent.add();
            progress.note_end(is_accepted, is_answered);
        }
        progress.sent.add();
        let later = SystemClock.instant() + second;
        let view = progress.view(later);
        assert_eq!((view.done, view.of), (4, Some(3)));
        assert_eq!((view.accepted, view.refused, view.unanswered), (1, 1, 1));
        assert!(view.elapsed >= second, "{view:?}");

        progress.advance(Phase::Answers, None, Some(Span::AtMost(second)));
        assert_eq!((progress.view(later).done, progress.view(later).of), (3, Some(4)));
        progress.advance(Phase::Receipts, Some(7), None);
        progress.advance(Phase::Answers, None, None);
        progress.receipts.add();
        let view = progress.view(later);
        assert_eq!((view.phase, view.done, view.of), (Phase::Receipts, 1, Some(7)));
    }

    #[test]
    fn a_benchmark_keeps_its_case_from_phase_to_phase() {
        let progress = Progress::default();
        let case = CaseOf {
            name: "mt".to_owned(),
            number: 1,
            of: 6,
        };
        progress.begin_case(case.clone());
        progress.begin(Phase::Arriving, Some(9), None);
        progress.set_done(4);
        let view = progress.view(SystemClock.instant());
        assert_eq!((view.case.as_ref(), view.done), (Some(&case), 4));
        progress.begin(Phase::WarmUp, None, None);
        let view = progress.view(SystemClock.instant());
        assert_eq!((view.case, view.done), (Some(case), 0));
    }
}
