//! How far long work is: a bar on standard error, for a person who waits.
//!
//! ```text
//! exporting  [=================>            ] 312.40 MiB of 498.02 MiB, 5s left, 41.20 MiB/s
//! ```
//! Nothing at all where standard error is no terminal, and where the answer is for a program. Knows no engine and no gateway: who
//! works says how much is done. Invariants: a bar leaves nothing on the screen; no line reaches the edge of the terminal.
//!
//! # Limits
//! A total may be an estimate: when more is done than there was to be, the total grows with it.

mod load;

pub(super) use load::watched;

use super::top::terminal;
use indicatif::style::ProgressTracker;
use indicatif::{
    BinaryBytes, FormattedDuration, HumanCount, HumanDuration, HumanFloatCount, ProgressBar,
    ProgressDrawTarget, ProgressState, ProgressStyle,
};
use std::fmt::Write;
use std::io::{IsTerminal, stderr};
use std::time::Duration;

/// How often it moves while nothing is told.
const TICK: Duration = Duration::from_millis(200);
/// Before it, what is left cannot be told from how the work began.
const SETTLED: Duration = Duration::from_secs(1);
/// Columns of a bar at most and at least; with fewer there is a percentage.
const BAR: (usize, usize) = (30, 10);
/// Columns by which it grows.
const STEP: usize = 5;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Octets, shown as KiB, MiB, GiB.
    Octets,
    /// Records, parts, messages.
    Things,
    /// Seconds of a wait that ends by itself.
    Seconds,
}

/// A bar, or nothing.
#[derive(Debug)]
pub(crate) struct Bar {
    bar: ProgressBar,
    unit: Unit,
    what: &'static str,
    columns: fn() -> usize,
}

impl Bar {
    /// A bar where a person sees it. `quiet`: not even there.
    pub(crate) fn new(unit: Unit, quiet: bool) -> Self {
        Self::on(unit, target(quiet), columns)
    }

    fn on(unit: Unit, target: ProgressDrawTarget, columns: fn() -> usize) -> Self {
        let bar = ProgressBar::with_draw_target(None, target);
        let mut bar = Self {
            bar,
            unit,
            what: "",
            columns,
        };
        bar.restyle();
        tick(&bar.bar);
        bar
    }

    /// Another piece of work begins, unless it is the same still.
    pub(crate) fn begin(&mut self, what: &'static str) {
        if self.what == what {
            return;
        }
        self.what = what;
        self.restyle();
        self.bar.reset();
        self.bar.unset_length();
    }

    /// So much is done, of so much where somebody knows.
    pub(crate) fn show(&mut self, done: u64, of: Option<u64>) {
        if let Some(of) = of {
            self.bar.set_length(of.max(done));
        }
        self.bar.set_position(done);
    }

    fn restyle(&mut self) {
        let (unit, what, columns) = (self.unit, self.what, self.columns);
        self.bar
            .set_style(style(move |state: &ProgressState, out: &mut dyn Write| {
                put(out, &drawn(unit, what, state, columns()));
            }));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Where a person looks, unless nobody wants it.
fn target(quiet: bool) -> ProgressDrawTarget {
    if !quiet && stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    }
}

fn columns() -> usize {
    terminal(stderr()).0
}

fn tick(bar: &ProgressBar) {
    if !bar.is_hidden() {
        bar.enable_steady_tick(TICK);
    }
}

fn style(line: impl ProgressTracker + 'static) -> ProgressStyle {
    let style = ProgressStyle::with_template("{line}").expect("the template is right: a test draws it");
    style.with_key("line", line)
}

fn put(out: &mut dyn Write, text: &str) {
    out.write_str(text).expect("memory takes all text");
}

fn drawn(unit: Unit, what: &str, state: &ProgressState, columns: usize) -> String {
    let done = state.pos();
    let amount = |count| match unit {
        Unit::Octets => BinaryBytes(count).to_string(),
        Unit::Things | Unit::Seconds => HumanCount(count).to_string(),
    };
    let rate = match unit {
        Unit::Octets => octets_a_second(state.per_sec()),
        Unit::Things | Unit::Seconds => a_second(state.per_sec()),
    };
    let so_far = format!("{} so far", clock(state.elapsed()));
    let mut share = None;
    let facts = match (unit, state.len()) {
        (Unit::Seconds, Some(most)) => vec![format!("{}, at most {most}s", clock(state.elapsed()))],
        (Unit::Octets | Unit::Things, Some(of)) => {
            share = Some((done, of));
            let mut facts = vec![format!("{} of {}", amount(done), amount(of))];
            if state.elapsed() >= SETTLED && state.per_sec() > 0.0 {
                facts.push(format!("{} left", about(state.eta())));
            }
            facts.push(rate);
            facts
        }
        (Unit::Octets | Unit::Things, None) if done > 0 => {
            vec![amount(done), so_far, rate]
        }
        (Unit::Octets | Unit::Things | Unit::Seconds, None) => vec![so_far],
    };
    line(columns, what, share, state.elapsed(), &facts)
}

/// What it is about, how far it is, and the facts for which there is room, the first ones first. A bar gives way to facts.
fn line(
    columns: usize,
    what: &str,
    share: Option<(u64, u64)>,
    elapsed: Duration,
    facts: &[String],
) -> String {
    let room = columns.saturating_sub(1);
    let what = format!("{what:<10} ");
    let head = match share {
        Some((done, of)) => {
            let used = what.len() + "[] ".len() + facts.join(", ").len();
            let cells = room.saturating_sub(used).min(BAR.0);
            // In steps: it must not twitch with each digit.
            let cells = cells - cells % STEP;
            if cells >= BAR.1 {
                format!("{what}[{}] ", filled(done, of, cells))
            } else {
                format!("{what}{:>3}% ", portion(done, of, 100))
            }
        }
        None => {
            let turns = ["|", "/", "-", "\\"];
            let turn = elapsed.as_millis() / TICK.as_millis();
            let turn = usize::try_from(turn % 4).unwrap_or(0);
            format!("{what}{} ", turns.get(turn).unwrap_or(&"|"))
        }
    };
    fitting(room, head, facts)
}

/// Without the facts for which there is no room.
fn fitting(room: usize, mut line: String, facts: &[String]) -> String {
    let mut comma = "";
    for fact in facts {
        if line.len() + comma.len() + fact.len() <= room {
            line.push_str(comma);
            line.push_str(fact);
            comma = ", ";
        }
    }
    line.chars().take(room).collect()
}

/// So many of `cells` are done; all of them only when everything is.
fn portion(done: u64, of: u64, cells: usize) -> usize {
    if done >= of {
        return cells;
    }
    let cells = u128::try_from(cells).unwrap_or(u128::MAX);
    let portion = u128::from(done).saturating_mul(cells) / u128::from(of);
    usize::try_from(portion).unwrap_or(usize::MAX)
}

fn filled(done: u64, of: u64, cells: usize) -> String {
    let full = portion(done, of, cells);
    let head = if full < cells { ">" } else { "" };
    format!("{:<cells$}", format!("{}{head}", "=".repeat(full)))
}

/// An estimate: in one unit.
fn about(time: Duration) -> String {
    format!("{:#}", HumanDuration(time))
}

/// What a clock showed: it moves every second.
fn clock(time: Duration) -> String {
    if time.as_secs() < 100 {
        about(time)
    } else {
        FormattedDuration(time).to_string()
    }
}

fn a_second(rate: f64) -> String {
    if rate < 10.0 {
        format!("{rate:.1}/s")
    } else {
        format!("{:.0}/s", HumanFloatCount(rate))
    }
}

fn octets_a_second(mut rate: f64) -> String {
    let mut unit = "B";
    for greater in ["KiB", "MiB", "GiB"] {
        if rate < 1024.0 {
            break;
        }
        rate /= 1024.0;
        unit = greater;
    }
    format!("{rate:.1} {unit}/s")
}

#[cfg(test)]
mod tests {
    use super::*;
    use indicatif::InMemoryTerm;

    fn on(term: &InMemoryTerm, unit: Unit) -> Bar {
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(term.clone()), 255);
        let mut bar = Bar::on(unit, target, || 100);
        bar.bar.disable_steady_tick();
        bar.begin("exporting");
        bar
    }

    #[test]
    fn it_shows_how_much_of_how_much_and_leaves_nothing_behind() {
        let term = InMemoryTerm::new(4, 100);
        let mut bar = on(&term, Unit::Octets);
        bar.show(512 * 1024, Some(1024 * 1024));
        bar.bar.force_draw();
        let shown = term.contents();
        assert!(
            shown.starts_with("exporting  [===============>              ] 512.00 KiB of 1.00 MiB, "),
            "{shown}"
        );
        bar.show(3 * 1024 * 1024, Some(1024 * 1024));
        assert_eq!(
            (bar.bar.position(), bar.bar.length()),
            (3 << 20, Some(3 << 20)),
            "an estimate grows"
        );
        drop(bar);
        assert_eq!(term.contents(), "");
    }

    #[test]
    fn each_unit_is_drawn_before_and_with_a_count_and_a_total() {
        for unit in [Unit::Octets, Unit::Things, Unit::Seconds] {
            let term = InMemoryTerm::new(4, 100);
            let mut bar = on(&term, unit);
            for (of, words) in [(None, "so far"), (None, "so far"), (Some(70), "7")] {
                bar.bar.force_draw();
                let shown = term.contents();
                assert!(shown.starts_with("exporting ") && shown.contains("0s"), "{shown}");
                bar.show(7, of);
                bar.bar.force_draw();
                let shown = term.contents();
                assert!(shown.contains(words), "{shown}");
            }
        }
    }

    #[test]
    fn no_line_reaches_the_edge_and_the_first_facts_are_kept() {
        let facts = ["312.40 MiB of 498.02 MiB", "5s left", "41.2 MiB/s"].map(str::to_owned);
        let at = |columns| line(columns, "exporting", Some((3, 5)), Duration::ZERO, &facts);
        assert_eq!(
            at(120),
            "exporting  [==================>           ] 312.40 MiB of 498.02 MiB, 5s left, 41.2 MiB/s"
        );
        assert_eq!(
            at(80),
            "exporting  [============>       ] 312.40 MiB of 498.02 MiB, 5s left, 41.2 MiB/s"
        );
        assert_eq!(at(52), "exporting   60% 312.40 MiB of 498.02 MiB, 5s left");
        assert_eq!(at(41), "exporting   60% 312.40 MiB of 498.02 MiB");
        assert_eq!(at(40), "exporting   60% 5s left, 41.2 MiB/s");
        for columns in 0..120 {
            assert!(at(columns).len() <= columns.saturating_sub(1), "{columns}");
        }
    }

    #[test]
    fn it_is_full_only_when_everything_is_done() {
        assert_eq!(filled(0, 10, 4), ">   ");
        assert_eq!(filled(999_999, 1_000_000, 4), "===>");
        assert_eq!(filled(10, 10, 4), "====");
        assert_eq!(
            (portion(0, 0, 100), portion(u64::MAX - 1, u64::MAX, 100)),
            (100, 99)
        );
    }

    #[test]
    fn rates_have_the_digits_that_matter() {
        assert_eq!([0.0, 3.24, 7_103.4].map(a_second), ["0.0/s", "3.2/s", "7,103/s"]);
        assert_eq!(
            [100.0, 41.2 * 1_048_576.0].map(octets_a_second),
            ["100.0 B/s", "41.2 MiB/s"]
        );
    }

    #[test]
    fn what_has_passed_is_told_to_the_second_and_what_is_left_is_not() {
        let times = [0, 89, 100, 3_725].map(Duration::from_secs);
        assert_eq!(times.map(clock), ["0s", "89s", "00:01:40", "01:02:05"]);
        assert_eq!(times.map(about), ["0s", "89s", "2m", "62m"]);
    }

    #[test]
    fn where_nobody_looks_there_is_none() {
        let mut bar = Bar::new(Unit::Things, true);
        assert!(bar.bar.is_hidden());
        bar.show(3, Some(9));
        assert_eq!(bar.bar.position(), 3);
    }
}
