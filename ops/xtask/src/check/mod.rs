//! `cargo xtask test`: every check and every test, in one command, on a fresh machine as on a used one.
//!
//! Steps run in a fixed order, cheap ones first, their output streamed. A failed step does not hide the others, but
//! nothing is tested that does not build. The last line counts the tests: `tests: N passed, N failed, N skipped`.
//!
//! It must not know what a test does. What a test needs from outside is installed by `install`, and a test finds it
//! through `SMSGW_PEERS`; a test that misses its peer fails, it never skips.

mod command;
mod install;
mod tally;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::{Args, ValueEnum};

use crate::cargo::target_directory;
use command::Tool;
use tally::Tally;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Install nothing: say what is missing and stop.
    #[arg(long)]
    no_install: bool,
    /// Run this step alone (may be repeated). `install` runs only when named or when no step is.
    #[arg(long, value_enum, value_name = "STEP")]
    only: Vec<Step>,
}

/// The steps, in the order they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Step {
    /// Debian packages, test peers and cargo tools.
    Install,
    /// Formatting.
    Fmt,
    /// The project's own rules.
    Tidy,
    /// Lints, with warnings refused.
    Clippy,
    /// Everything, tests included.
    Build,
    /// Unit, integration and end-to-end tests.
    Test,
    /// The examples in the documentation.
    Doc,
    /// Bans, licences and sources of dependencies.
    Deny,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Install => "install",
            Self::Fmt => "fmt",
            Self::Tidy => "tidy",
            Self::Clippy => "clippy",
            Self::Build => "build",
            Self::Test => "test",
            Self::Doc => "doc",
            Self::Deny => "deny",
        })
    }
}

/// How a step ended.
#[derive(Debug)]
enum Ended {
    Passed,
    Failed(anyhow::Error),
    /// What it stands on had failed.
    NotRun(Step),
}

/// What every step knows.
#[derive(Debug)]
struct Place {
    root: PathBuf,
    peers: PathBuf,
}

impl Place {
    /// A cargo call in the root, with the peers named in its environment.
    fn cargo(&self, args: &[&str]) -> Tool {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        Tool::new(cargo)
            .args(args)
            .directory(&self.root)
            .env("SMSGW_PEERS", &self.peers)
    }
}

pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let place = Place {
        root: root.to_owned(),
        peers: target_directory(root).join("peers"),
    };
    let mut tally = Tally::default();
    let mut report: Vec<(Step, Ended, Duration)> = Vec::new();
    let chosen = |step: &&Step| options.only.is_empty() || options.only.contains(step);

    for &step in Step::value_variants().iter().filter(chosen) {
        let ended = match stands_on(step).iter().find(|base| failed(&report, **base)) {
            Some(&base) => (Ended::NotRun(base), Duration::ZERO),
            None => {
                println!("==> {step}");
                timed(|| perform(step, &place, options, &mut tally))
            }
        };
        match &ended.0 {
            Ended::Passed => println!("==> {step}: ok in {:.1} s", ended.1.as_secs_f64()),
            Ended::Failed(error) => {
                println!("==> {step}: FAILED in {:.1} s: {error:#}", ended.1.as_secs_f64())
            }
            Ended::NotRun(base) => println!("==> {step}: not run, {base} failed"),
        }
        report.push((step, ended.0, ended.1));
    }
    close(&report, &tally, options)
}

/// The steps whose failure makes this one meaningless.
fn stands_on(step: Step) -> &'static [Step] {
    match step {
        Step::Install => &[],
        Step::Fmt | Step::Tidy | Step::Clippy | Step::Build | Step::Deny => &[Step::Install],
        Step::Test | Step::Doc => &[Step::Install, Step::Build],
    }
}

fn failed(report: &[(Step, Ended, Duration)], step: Step) -> bool {
    report
        .iter()
        .any(|(done, ended, _)| *done == step && !matches!(ended, Ended::Passed))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a tool that times its steps; no gateway code"
)]
fn timed(act: impl FnOnce() -> anyhow::Result<()>) -> (Ended, Duration) {
    let start = Instant::now();
    let ended = act().map_or_else(Ended::Failed, |()| Ended::Passed);
    (ended, start.elapsed())
}

fn perform(step: Step, place: &Place, options: &Options, tally: &mut Tally) -> anyhow::Result<()> {
    match step {
        Step::Install => install::run(place, options.no_install),
        Step::Fmt => place.cargo(&["fmt", "--all", "--check"]).stream(),
        Step::Tidy => crate::tidy::run(&place.root),
        Step::Clippy => place
            .cargo(&[
                "clippy",
                "--locked",
                "--workspace",
                "--all-targets",
                "--all-features",
                "--",
                "-D",
                "warnings",
            ])
            .stream(),
        Step::Build => place
            .cargo(&[
                "build",
                "--locked",
                "--workspace",
                "--all-targets",
                "--all-features",
            ])
            .stream(),
        Step::Test => place
            .cargo(&[
                "nextest",
                "run",
                "--locked",
                "--workspace",
                "--all-features",
                "--profile",
                "ci",
            ])
            .env("CARGO_TERM_COLOR", "never")
            .stream_lines(|line| tally.read(line)),
        Step::Doc => place
            .cargo(&["test", "--locked", "--workspace", "--all-features", "--doc"])
            .env("CARGO_TERM_COLOR", "never")
            .stream_lines(|line| tally.read(line)),
        // No advisories: their database is not in a package registry.
        Step::Deny => place
            .cargo(&[
                "deny",
                "--locked",
                "check",
                "--hide-inclusion-graph",
                "bans",
                "licenses",
                "sources",
            ])
            .stream(),
    }
}

/// The summary. Fails when a step failed, and when tests were asked for and none ran.
fn close(report: &[(Step, Ended, Duration)], tally: &Tally, options: &Options) -> anyhow::Result<()> {
    println!();
    let mut broken = Vec::new();
    for (step, ended, took) in report {
        let word = match ended {
            Ended::Passed => "ok",
            Ended::Failed(_) => "FAILED",
            Ended::NotRun(_) => "not run",
        };
        println!("{step:8} {word:8} {:7.1} s", took.as_secs_f64());
        if !matches!(ended, Ended::Passed) {
            broken.push(step.to_string());
        }
    }
    let wanted_tests = options.only.is_empty() || options.only.contains(&Step::Test);
    if wanted_tests {
        println!("{tally}");
    }
    if !broken.is_empty() {
        bail!("failed: {}", broken.join(", "));
    }
    if wanted_tests && tally.passed == 0 {
        bail!("no test ran");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_tested_that_does_not_build() {
        let report = vec![(Step::Build, Ended::Failed(anyhow::anyhow!("no")), Duration::ZERO)];
        assert!(stands_on(Step::Test).iter().any(|base| failed(&report, *base)));
        assert!(!stands_on(Step::Deny).iter().any(|base| failed(&report, *base)));
    }

    #[test]
    fn a_run_without_any_test_fails() {
        let options = Options {
            no_install: true,
            only: vec![],
        };
        let report = vec![(Step::Test, Ended::Passed, Duration::ZERO)];
        assert!(close(&report, &Tally::default(), &options).is_err());
        let tally = Tally {
            passed: 1,
            ..Tally::default()
        };
        assert!(close(&report, &tally, &options).is_ok());
    }

    #[test]
    fn a_failed_step_fails_the_run() {
        let options = Options {
            no_install: true,
            only: vec![Step::Fmt],
        };
        let report = vec![(Step::Fmt, Ended::NotRun(Step::Install), Duration::ZERO)];
        assert!(close(&report, &Tally::default(), &options).is_err());
    }
}
