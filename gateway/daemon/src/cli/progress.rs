//! How far long work is: a bar on standard error, for a person who waits.
//!
//! ```text
//! exporting  [=================>            ] 312.4 MiB of 498.0 MiB, 41.2 MiB/s, 5s left
//! ```
//! Nothing at all where standard error is no terminal, and where the answer is for a program. Knows no engine and no gateway: who
//! works says how much is done. Invariant: a bar leaves nothing on the screen.
//!
//! # Limits
//! A total may be an estimate: when more is done than there was to be, the total grows with it.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

/// How often it moves while nothing is told.
const TICK: Duration = Duration::from_millis(200);

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
    /// How it is drawn.
    form: Form,
}

/// How a bar is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Nothing is done that is counted.
    Waits,
    /// Nobody knows of how much.
    Counts,
    /// Of so much.
    Fills,
}

impl Bar {
    /// A bar where a person sees it. `quiet`: not even there.
    pub(crate) fn new(unit: Unit, quiet: bool) -> Self {
        let is_seen = !quiet && std::io::stderr().is_terminal();
        Self::on(
            unit,
            if is_seen {
                ProgressDrawTarget::stderr()
            } else {
                ProgressDrawTarget::hidden()
            },
        )
    }

    fn on(unit: Unit, target: ProgressDrawTarget) -> Self {
        let bar = ProgressBar::with_draw_target(None, target);
        if !bar.is_hidden() {
            bar.enable_steady_tick(TICK);
        }
        let form = Form::Waits;
        bar.set_style(style(unit, form));
        Self {
            bar,
            unit,
            what: "",
            form,
        }
    }

    /// Another piece of work begins, unless it is the same still.
    pub(crate) fn begin(&mut self, what: &'static str) {
        if self.what == what {
            return;
        }
        self.what = what;
        self.bar.reset();
        self.bar.unset_length();
        self.draw_as(Form::Waits);
        self.bar.set_message(what);
    }

    /// So much is done, of so much where somebody knows.
    pub(crate) fn show(&mut self, done: u64, of: Option<u64>) {
        if let Some(of) = of {
            self.bar.set_length(of.max(done));
        }
        self.draw_as(if of.is_some() { Form::Fills } else { Form::Counts });
        self.bar.set_position(done);
    }

    fn draw_as(&mut self, form: Form) {
        if self.form != form {
            self.form = form;
            self.bar.set_style(style(self.unit, form));
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn style(unit: Unit, form: Form) -> ProgressStyle {
    let template = match (unit, form) {
        (Unit::Octets | Unit::Things, Form::Waits) => "{msg:<10} {spinner} {elapsed} so far",
        (Unit::Octets, Form::Fills) => {
            "{msg:<10} [{bar:30}] {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left"
        }
        (Unit::Octets, Form::Counts) => {
            "{msg:<10} {spinner} {binary_bytes}, {binary_bytes_per_sec}, {elapsed} so far"
        }
        (Unit::Things, Form::Fills) => {
            "{msg:<10} [{bar:30}] {human_pos} of {human_len}, {per_sec}, {eta} left"
        }
        (Unit::Things, Form::Counts) => "{msg:<10} {spinner} {human_pos}, {per_sec}, {elapsed} so far",
        (Unit::Seconds, _) => "{msg:<10} {spinner} {elapsed}, at most {len} s",
    };
    let style = ProgressStyle::with_template(template).expect("the templates are right: a test draws each");
    style.progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use indicatif::InMemoryTerm;

    fn on(term: &InMemoryTerm, unit: Unit) -> Bar {
        let mut bar = Bar::on(
            unit,
            ProgressDrawTarget::term_like_with_hz(Box::new(term.clone()), 255),
        );
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
        assert!(shown.starts_with("exporting  [==============="), "{shown}");
        assert!(shown.contains("512.00 KiB of 1.00 MiB"), "{shown}");
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
    fn each_template_can_be_drawn() {
        for unit in [Unit::Octets, Unit::Things, Unit::Seconds] {
            let term = InMemoryTerm::new(4, 100);
            let mut bar = on(&term, unit);
            bar.bar.force_draw();
            assert!(term.contents().starts_with("exporting "), "{}", term.contents());
            bar.show(7, None);
            bar.bar.force_draw();
            assert!(term.contents().starts_with("exporting "), "{}", term.contents());
            bar.begin("importing");
            bar.show(7, Some(70));
            bar.bar.force_draw();
            let shown = term.contents();
            assert!(shown.starts_with("importing "), "{shown}");
            assert!(!shown.contains('{'), "{shown}");
        }
    }

    #[test]
    fn where_nobody_looks_there_is_none() {
        let mut bar = Bar::new(Unit::Things, true);
        assert!(bar.bar.is_hidden());
        bar.show(3, Some(9));
        assert_eq!(bar.bar.position(), 3);
    }
}
