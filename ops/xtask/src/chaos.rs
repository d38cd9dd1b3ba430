//! `cargo xtask chaos`: the gateway between carriers that misbehave at random, round after round, each with its own seed.
//!
//! A round is the end-to-end scenario `chaos`, with `SMSGW_MESSAGES`, `SMSGW_LEVEL` and `SMSGW_SEED`; this only builds it
//! once, starts it from a copy (what is built meanwhile does not disturb it), bounds its time and adds its figures up. It
//! must not know how a round is judged: the scenario fails, and says why.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use cargo_metadata::Message;
use clap::{Args, ValueEnum};

use crate::cargo::{cargo, target_directory};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Messages of clients in each round.
    #[arg(long, default_value_t = 10_000)]
    messages: u64,
    /// How badly carriers behave, 1 to 5; absent: 1 to 5 in turn.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=5))]
    level: Option<u64>,
    /// Seed of the first round, the next ones count up from it; absent: from the time.
    #[arg(long)]
    seed: Option<u32>,
    /// How many rounds, of each protocol.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// What carriers speak; absent: all in turn.
    #[arg(long, value_enum)]
    protocol: Option<Protocol>,
    /// Build with --release: faster carriers and gateway, but no checks of arithmetic.
    #[arg(long)]
    release: bool,
}

/// What the carriers of a round speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Protocol {
    Smpp,
    Ucp,
    Http,
}

impl Protocol {
    const ALL: [Self; 3] = [Self::Smpp, Self::Ucp, Self::Http];

    const fn word(self) -> &'static str {
        match self {
            Self::Smpp => "smpp",
            Self::Ucp => "ucp",
            Self::Http => "http",
        }
    }

    /// The scenario.
    const fn scenario(self) -> &'static str {
        match self {
            Self::Smpp => "chaos::whatever_carriers_do_every_message_is_sent_and_reported_once",
            Self::Ucp => "chaos::whatever_centres_of_ucp_do_every_message_is_sent_and_reported_once",
            Self::Http => "chaos::whatever_carriers_over_http_do_every_message_is_sent_and_reported_once",
        }
    }
}

/// The column of the protocol.
const PROTOCOL: &str = "protocol";
/// What begins the line of figures that a scenario prints.
const SUMMARY: &str = "round ";
/// Figures of a round, in the order they are shown and with the width of their column.
const COLUMNS: &[(&str, usize)] = &[
    ("seed", 10),
    ("level", 5),
    ("messages", 8),
    ("phones", 6),
    ("seconds", 7),
    ("phases", 6),
    ("lost", 5),
    ("wrong", 5),
    ("unexplained", 11),
    ("duplicates", 10),
    ("sent_again_in_doubt", 19),
    ("in_doubt", 8),
    ("garbled", 7),
    ("corrupt", 7),
];
/// Those that add up.
const NO_SUM: [&str; 2] = ["seed", "level"];

pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    ensure!(options.rounds > 0 && options.messages > 0, "nothing to do");
    let target = target_directory(root);
    let place = target.join("chaos");
    std::fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
    let (executable, binary) = build(root, &place, options.release)?;
    let first = options.seed.map_or_else(seed_of_now, Ok)?;
    let head: Vec<String> = COLUMNS
        .iter()
        .map(|(name, width)| format!("{name:>width$}"))
        .collect();
    println!("{PROTOCOL:>8} {}", head.join(" "));
    let mut sums = vec![0_u64; COLUMNS.len()];
    let mut failed = Vec::new();
    let protocols = match &options.protocol {
        Some(one) => std::slice::from_ref(one),
        None => &Protocol::ALL[..],
    };
    let rounds = protocols
        .iter()
        .flat_map(|protocol| (0..options.rounds).map(move |round| (*protocol, round)));
    for (protocol, round) in rounds {
        let (seed, level) = (
            u64::from(first) + u64::from(round),
            options.level.unwrap_or(u64::from(round % 5) + 1),
        );
        let word = protocol.word();
        let log = place.join(format!("round-{word}-{seed}-{level}.log"));
        let command = RoundCommand {
            root,
            executable: &executable,
            scenario: protocol.scenario(),
            binary: &binary,
            log: &log,
        };
        let (passed, said) = command.run(seed, level, options.messages)?;
        let figures: Vec<Option<u64>> = COLUMNS.iter().map(|(name, _)| figure(&said, name)).collect();
        show(word, &figures, if passed { "" } else { " FAILED" });
        for (sum, figure) in sums.iter_mut().zip(&figures) {
            *sum += figure.unwrap_or(0);
        }
        if !passed {
            failed.push(format!(
                "cargo xtask chaos --protocol {word} --rounds 1 --messages {} --level {level} --seed {seed}  # {}",
                options.messages,
                log.display()
            ));
        }
    }
    let sums: Vec<Option<u64>> = COLUMNS
        .iter()
        .zip(sums)
        .map(|((name, _), sum)| (!NO_SUM.contains(name)).then_some(sum))
        .collect();
    show("", &sums, " in all");
    if !failed.is_empty() {
        bail!(
            "{} rounds failed; each again by\n{}",
            failed.len(),
            failed.join("\n")
        );
    }
    Ok(())
}

fn show(protocol: &str, figures: &[Option<u64>], note: &str) {
    let shown: Vec<String> = COLUMNS
        .iter()
        .zip(figures)
        .map(|((_, width), figure)| match figure {
            Some(figure) => format!("{figure:>width$}"),
            None => format!("{:>width$}", "-"),
        })
        .collect();
    println!("{protocol:>8} {}{note}", shown.join(" "));
}

#[expect(clippy::disallowed_methods, reason = "a seed by chance; nothing is measured")]
fn seed_of_now() -> anyhow::Result<u32> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(since.subsec_nanos())
}

/// Builds scenario and binary, and copies both.
fn build(root: &Path, place: &Path, release: bool) -> anyhow::Result<(PathBuf, PathBuf)> {
    let mut command = cargo();
    command.current_dir(root).args([
        "test",
        "--locked",
        "--package",
        "smsgw-daemon",
        "--test",
        "e2e",
        "--no-run",
        "--message-format=json-render-diagnostics",
    ]);
    if release {
        command.arg("--release");
    }
    let built = command
        .stderr(Stdio::inherit())
        .output()
        .context("cargo cannot be started")?;
    ensure!(built.status.success(), "the build failed");
    let mut found = [None, None];
    for message in Message::parse_stream(built.stdout.as_slice()) {
        if let Message::CompilerArtifact(artifact) = message?
            && let Some(executable) = artifact.executable
        {
            match artifact.target.name.as_str() {
                "e2e" => found[0] = Some(executable),
                "smsgw" => found[1] = Some(executable),
                _ => {}
            }
        }
    }
    let copy = |from: Option<cargo_metadata::camino::Utf8PathBuf>, name: &str| {
        let from = from.with_context(|| format!("cargo did not say where {name} is"))?;
        let to = place.join(name);
        // A copy that runs cannot be written over, but another can take its name.
        let fresh = place.join(format!("{name}.new"));
        std::fs::copy(&from, &fresh).with_context(|| from.to_string())?;
        std::fs::rename(&fresh, &to).with_context(|| to.display().to_string())?;
        Ok::<_, anyhow::Error>(to)
    };
    let [scenario, binary] = found;
    Ok((copy(scenario, "e2e")?, copy(binary, "smsgw")?))
}

struct RoundCommand<'a> {
    root: &'a Path,
    executable: &'a Path,
    scenario: &'a str,
    binary: &'a Path,
    log: &'a Path,
}

impl RoundCommand<'_> {
    /// Runs one round; whether it passed, and its line of figures.
    #[expect(
        clippy::disallowed_methods,
        reason = "a bound of real time for a real process"
    )]
    fn run(&self, seed: u64, level: u64, messages: u64) -> anyhow::Result<(bool, String)> {
        let log = std::fs::File::create(self.log).with_context(|| self.log.display().to_string())?;
        let mut child = Command::new(self.executable)
            .current_dir(self.root)
            .args(["--exact", self.scenario, "--nocapture"])
            .env("SMSGW_BIN", self.binary)
            .env("SMSGW_SEED", seed.to_string())
            .env("SMSGW_LEVEL", level.to_string())
            .env("SMSGW_MESSAGES", messages.to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("the scenario cannot be started")?;
        // Its own patience is a minute and 20 ms a message; this is for the case that it hangs.
        let deadline =
            Instant::now() + Duration::from_secs(180) + Duration::from_millis(messages.saturating_mul(25));
        let passed = loop {
            if let Some(status) = child.try_wait()? {
                break status.success();
            }
            if Instant::now() > deadline {
                child.kill()?;
                child.wait()?;
                let mut log = std::fs::OpenOptions::new().append(true).open(self.log)?;
                writeln!(log, "killed: it did not end in time")?;
                break false;
            }
            std::thread::sleep(Duration::from_millis(200));
        };
        let said = std::fs::read(self.log)?;
        let said = String::from_utf8_lossy(&said);
        let ran = said.contains("1 passed") || said.contains("1 failed");
        ensure!(ran || !passed, "no scenario {}", self.scenario);
        let line = said
            .lines()
            .filter_map(|line| line.strip_prefix(SUMMARY))
            .next_back();
        Ok((passed, line.unwrap_or_default().to_owned()))
    }
}

/// One number of the line of figures.
fn figure(line: &str, name: &str) -> Option<u64> {
    let at = line.split_once(&format!("\"{name}\":"))?.1;
    let digits = at.split(|other: char| !other.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_by_their_name() {
        let line = r#"{"corrupt":3,"duplicates":12,"in_doubt":40,"passed":true}"#;
        assert_eq!(figure(line, "duplicates"), Some(12));
        assert_eq!(figure(line, "in_doubt"), Some(40));
        assert_eq!(figure(line, "doubt"), None);
        assert_eq!(figure(line, "passed"), None);
    }

    #[test]
    fn the_scenario_is_there_and_says_every_figure() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../gateway/daemon/tests/e2e/chaos");
        let scenario = std::fs::read_to_string(root.join("mod.rs")).unwrap();
        for protocol in Protocol::ALL {
            let name = protocol.scenario().rsplit("::").next().unwrap();
            assert!(scenario.contains(&format!("async fn {name}()")));
        }
        let verdict = std::fs::read_to_string(root.join("verdict.rs")).unwrap();
        for (name, _) in COLUMNS {
            assert!(verdict.contains(&format!("\"{name}\":")), "{name}");
        }
    }
}
