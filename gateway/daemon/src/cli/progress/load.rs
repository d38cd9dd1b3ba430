//! How far a load or a benchmark is, in two lines.
//!
//! ```text
//! sending    [=================>            ] 312,345 of 500,000, 26s left, 7,103/s
//!            312,281 accepted, 12 refused
//! measuring  [============>                 ] 4s of 10s
//!            case report, 2 of 6, 41s so far
//! ```
//! Looks at the figures of the work five times a second and costs it nothing else. Knows no socket and no gateway.

use super::{TICK, a_second, about, clock, line, put, style, target, tick};
use indicatif::style::ProgressTracker;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState};
use smsgw_sim::progress::{Phase, Progress, Span, View};
use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the present rate is a mean of.
const PRESENT: Duration = Duration::from_secs(5);

/// Does the work, and shows how far it is where a person looks. `quiet`: not even there.
pub(crate) fn watched<T>(quiet: bool, work: impl FnOnce(&Arc<Progress>) -> T) -> T {
    let progress = Arc::new(Progress::default());
    let bar = bar(target(quiet), &progress, super::columns);
    tick(&bar);
    let done = work(&progress);
    bar.finish_and_clear();
    done
}

fn bar(target: ProgressDrawTarget, progress: &Arc<Progress>, columns: fn() -> usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, target);
    bar.set_style(style(Lines {
        progress: Arc::clone(progress),
        view: View::default(),
        pulse: Pulse::default(),
        columns,
    }));
    bar
}

/// What is drawn.
#[derive(Clone)]
struct Lines {
    progress: Arc<Progress>,
    view: View,
    pulse: Pulse,
    columns: fn() -> usize,
}

impl ProgressTracker for Lines {
    fn clone_box(&self) -> Box<dyn ProgressTracker> {
        Box::new(self.clone())
    }

    fn tick(&mut self, _: &ProgressState, now: Instant) {
        self.view = self.progress.view(now);
        self.pulse.note(now, self.view.phase, self.view.done);
    }

    fn reset(&mut self, _: &ProgressState, _: Instant) {
        self.pulse = Pulse::default();
    }

    fn write(&self, state: &ProgressState, out: &mut dyn Write) {
        let text = drawn(
            (self.columns)(),
            &self.view,
            self.pulse.a_second(),
            state.elapsed(),
        );
        put(out, &text);
    }
}

/// How many a second, of late.
#[derive(Debug, Clone, Default)]
struct Pulse {
    phase: Phase,
    seen: VecDeque<(Instant, u64)>,
}

impl Pulse {
    fn note(&mut self, now: Instant, phase: Phase, count: u64) {
        if self.phase != phase {
            self.phase = phase;
            self.seen.clear();
        }
        // One beyond the present stays, so that they span all of it.
        while self
            .seen
            .get(1)
            .is_some_and(|(at, _)| now.saturating_duration_since(*at) >= PRESENT)
        {
            self.seen.pop_front();
        }
        self.seen.push_back((now, count));
    }

    /// Nothing before two looks have some time between them.
    fn a_second(&self) -> Option<f64> {
        let ((since, before), (now, count)) = (self.seen.front()?, self.seen.back()?);
        let took = now.saturating_duration_since(*since);
        let more = u32::try_from(count.saturating_sub(*before)).unwrap_or(u32::MAX);
        (took >= 2 * TICK).then(|| f64::from(more) / took.as_secs_f64())
    }
}

fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Binding => "binding",
        Phase::Sending => "sending",
        Phase::Answers => "answers",
        Phase::Receipts => "receipts",
        Phase::WarmUp => "warm up",
        Phase::Measuring => "measuring",
        Phase::Arriving => "arriving",
        Phase::HalfRate => "half rate",
        Phase::Alone => "alone",
        Phase::Stopping => "stopping",
    }
}

fn drawn(columns: usize, view: &View, rate: Option<f64>, elapsed: Duration) -> String {
    let share = match (view.of, view.span) {
        (Some(of), Some(Span::Lasts(whole))) => Some(further((view.done, of), millis(view.elapsed, whole))),
        (Some(of), Some(Span::AtMost(_)) | None) => Some((view.done, of)),
        (None, Some(Span::Lasts(whole))) => Some(millis(view.elapsed, whole)),
        (None, Some(Span::AtMost(_)) | None) => None,
    };
    let above = line(columns, word(view.phase), share, view.elapsed, &first(view, rate));
    let second = second(view, elapsed);
    if second.is_empty() {
        return above;
    }
    // Under the words where there is room for that.
    let indent = if columns >= 60 { 11 } else { 2 };
    let below = super::fitting(columns.saturating_sub(1), " ".repeat(indent), &second);
    format!("{above}\n{below}")
}

fn millis(done: Duration, of: Duration) -> (u64, u64) {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    (millis(done), millis(of))
}

/// The one of which more is done.
fn further(one: (u64, u64), other: (u64, u64)) -> (u64, u64) {
    let product = |a: u64, b: u64| u128::from(a).saturating_mul(u128::from(b));
    if product(one.0, other.1) >= product(other.0, one.1) {
        one
    } else {
        other
    }
}

/// How much of how much, what is left, and how fast.
fn first(view: &View, rate: Option<f64>) -> Vec<String> {
    let count = |count| HumanCount(count).to_string();
    let mut facts = Vec::new();
    match (view.of, view.span) {
        (Some(of), _) => facts.push(format!("{} of {}", count(view.done), count(of))),
        (None, Some(Span::Lasts(whole))) => {
            facts.push(format!("{} of {}", clock(view.elapsed), clock(whole)));
        }
        (None, Some(Span::AtMost(_)) | None) => facts.push(format!("{} so far", clock(view.elapsed))),
    }
    let counted = match view.phase {
        Phase::Sending => Some("sent"),
        Phase::Starting
        | Phase::Binding
        | Phase::Answers
        | Phase::Receipts
        | Phase::WarmUp
        | Phase::Measuring
        | Phase::Arriving
        | Phase::HalfRate
        | Phase::Alone
        | Phase::Stopping => None,
    };
    if view.of.is_none()
        && let Some(counted) = counted
    {
        facts.push(format!("{} {counted}", count(view.done)));
    }
    facts.extend(left(view, rate));
    if view.of.is_some() || counted.is_some() {
        facts.extend(rate.map(a_second));
    }
    facts
}

/// What is left, or how long that may take at most.
fn left(view: &View, rate: Option<f64>) -> Option<String> {
    let by_count = view.of.zip(rate).and_then(|(of, rate)| {
        let more = u32::try_from(of.saturating_sub(view.done)).unwrap_or(u32::MAX);
        // Nothing a second is no estimate.
        Duration::try_from_secs_f64(f64::from(more) / rate).ok()
    });
    match (by_count, view.span) {
        (None, None) => None,
        (Some(left), None) => Some(format!("{} left", about(left))),
        // Without a total, how long of how long says it.
        (_, Some(Span::Lasts(whole))) => {
            let left = whole.saturating_sub(view.elapsed);
            let left = by_count.map_or(left, |by_count| by_count.min(left));
            view.of.map(|_| format!("{} left", about(left)))
        }
        (by_count, Some(Span::AtMost(whole))) => {
            let most = whole.saturating_sub(view.elapsed);
            Some(match by_count.filter(|left| *left < most) {
                Some(left) => format!("{} left", about(left)),
                None => format!("at most {}", about(most)),
            })
        }
    }
}

/// What became of messages, or which case it is.
fn second(view: &View, elapsed: Duration) -> Vec<String> {
    if let Some(case) = &view.case {
        return vec![
            format!("case {}, {} of {}", case.name, case.number, case.of),
            format!("{} so far", clock(elapsed)),
        ];
    }
    if view.phase < Phase::Sending {
        return Vec::new();
    }
    let counts = [
        (view.accepted, "accepted"),
        (view.refused, "refused"),
        (view.unanswered, "unanswered"),
        (view.again, "tried again"),
        (view.receipts, "receipts"),
    ];
    let counts = counts
        .into_iter()
        .filter(|(count, what)| *count > 0 || *what == "accepted");
    counts
        .map(|(count, what)| format!("{} {what}", HumanCount(count)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use indicatif::InMemoryTerm;
    use smsgw_message::Clock;
    use smsgw_sim::progress::CaseOf;

    const SECOND: Duration = Duration::from_secs(1);

    fn sending() -> View {
        View {
            phase: Phase::Sending,
            done: 28_412,
            elapsed: 4 * SECOND,
            span: Some(Span::Lasts(10 * SECOND)),
            accepted: 28_348,
            ..View::default()
        }
    }

    fn at_80(view: &View, rate: Option<f64>) -> String {
        drawn(80, view, rate, 61 * SECOND)
    }

    #[test]
    fn a_load_shows_how_long_or_how_many_and_what_became_of_them() {
        assert_eq!(
            at_80(&sending(), Some(7_103.0)),
            "sending    [============>                 ] 4s of 10s, 28,412 sent, 7,103/s\n           28,348 accepted"
        );
        let counted = View {
            of: Some(100_000),
            span: None,
            refused: 12,
            unanswered: 3,
            again: 1,
            ..sending()
        };
        assert_eq!(
            at_80(&counted, Some(7_103.0)),
            "sending    [=======>                 ] 28,412 of 100,000, 10s left, 7,103/s\n           28,348 accepted, 12 refused, 3 unanswered, 1 tried again"
        );
        assert_eq!(
            drawn(40, &counted, Some(7_103.0), SECOND),
            "sending     28% 28,412 of 100,000\n  28,348 accepted, 12 refused"
        );
        // Whichever comes first ends it.
        let both = View {
            of: Some(100_000),
            ..sending()
        };
        assert!(
            at_80(&both, Some(7_103.0)).contains(" ] 28,412 of 100,000, 6s left"),
            "{}",
            at_80(&both, None)
        );
        assert!(
            at_80(&both, Some(0.0)).contains(", 6s left, 0.0/s\n"),
            "{}",
            at_80(&both, Some(0.0))
        );
        assert!(
            !at_80(&counted, Some(0.0)).contains("left"),
            "nothing moves: no estimate"
        );
    }

    #[test]
    fn a_wait_says_how_long_it_may_take_unless_it_ends_before() {
        let receipts = View {
            phase: Phase::Receipts,
            done: 200,
            of: Some(1_000),
            elapsed: 5 * SECOND,
            span: Some(Span::AtMost(60 * SECOND)),
            accepted: 1_000,
            receipts: 200,
            ..View::default()
        };
        assert_eq!(
            at_80(&receipts, Some(1.0)),
            "receipts   [======>                       ] 200 of 1,000, at most 55s, 1.0/s\n           1,000 accepted, 200 receipts"
        );
        assert!(at_80(&receipts, Some(100.0)).contains("200 of 1,000, 8s left, 100/s"));
        let unasked = View { of: None, ..receipts };
        assert_eq!(
            at_80(&unasked, None),
            "receipts   / 5s so far, at most 55s\n           1,000 accepted, 200 receipts"
        );
    }

    #[test]
    fn a_benchmark_says_which_case_of_how_many() {
        let view = View {
            phase: Phase::Measuring,
            case: Some(CaseOf {
                name: "report".to_owned(),
                number: 2,
                of: 6,
            }),
            span: Some(Span::Lasts(10 * SECOND)),
            elapsed: 12 * SECOND,
            ..View::default()
        };
        assert_eq!(
            at_80(&view, Some(0.0)),
            "measuring  [==============================] 12s of 10s\n           case report, 2 of 6, 61s so far"
        );
    }

    #[test]
    fn the_rate_is_that_of_late_and_begins_anew_with_each_phase() {
        let start = smsgw_runtime::SystemClock.instant();
        let mut pulse = Pulse::default();
        pulse.note(start, Phase::Sending, 0);
        assert_eq!(pulse.a_second(), None);
        for second in 1..=20_u32 {
            let count = u64::from(second.min(10)) * 100;
            pulse.note(start + second * SECOND, Phase::Sending, count);
            let expected = match second {
                ..=10 => 100.0,
                11..15 => f64::from(15 - second) * 20.0,
                15.. => 0.0,
            };
            assert_eq!(pulse.a_second(), Some(expected), "{second}");
        }
        pulse.note(start + 21 * SECOND, Phase::Receipts, 5);
        assert_eq!(pulse.a_second(), None);
    }

    #[test]
    fn the_lines_are_taken_away_at_the_end() {
        let term = InMemoryTerm::new(4, 80);
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(term.clone()), 255);
        let progress = Arc::new(Progress::default());
        let bar = bar(target, &progress, || 80);
        bar.tick();
        bar.force_draw();
        assert_eq!(term.contents(), "starting   | 0s so far");
        bar.finish_and_clear();
        assert_eq!(term.contents(), "");
    }
}
