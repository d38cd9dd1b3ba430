//! `cargo xtask fuzz`: the targets of `ops/fuzz` under libFuzzer, on the stable toolchain.
//!
//! Coverage comes from the compiler's own instrumentation pass, which stable accepts; the sanitizers, which it does not,
//! would find little in code without `unsafe`. Corpora are kept under `target/fuzz/corpus`, so that a later run goes on where
//! this one ended; what breaks a target is written to `target/fuzz/artifacts` and belongs, made small, into
//! `ops/fuzz/regressions`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};
use clap::Args;

use crate::cargo::{Rustc, cargo, target_directory};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Targets to run; none: all of them.
    targets: Vec<String>,
    /// Executions of each target.
    #[arg(long, default_value_t = 1_000_000)]
    runs: u64,
    /// Longest input in octets.
    #[arg(long, default_value_t = 4096)]
    max_len: u32,
    /// Print the targets and what each one promises.
    #[arg(long)]
    list: bool,
}

/// What the instrumented code is built with: edge counters and the operands of comparisons.
const COVERAGE: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "-Cdebug-assertions=yes",
    "-Coverflow-checks=yes",
];

pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let place = target_directory(root).join("fuzz");
    let binary = build(root, &place)?;
    let listed = Command::new(&binary)
        .env("SMSGW_FUZZ_TARGET", "list")
        .output()
        .context("the fuzzer cannot be started")?;
    let listed = String::from_utf8(listed.stdout).context("the list of targets")?;
    if options.list {
        print!("{listed}");
        return Ok(());
    }
    let known: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    ensure!(!known.is_empty(), "the fuzzer names no targets");
    if let Some(unknown) = options
        .targets
        .iter()
        .find(|name| !known.contains(&name.as_str()))
    {
        bail!("no target {unknown}; there are {}", known.join(", "));
    }
    let mut broken = Vec::new();
    for name in known {
        if !options.targets.is_empty() && !options.targets.iter().any(|wanted| wanted == name) {
            continue;
        }
        println!("==> {name}: {} executions", options.runs);
        if !fuzz(&binary, &place, root, name, options)? {
            broken.push(name);
        }
    }
    ensure!(
        broken.is_empty(),
        "broken: {}; the inputs are under {}",
        broken.join(", "),
        place.join("artifacts").display()
    );
    Ok(())
}

fn build(root: &Path, place: &Path) -> anyhow::Result<PathBuf> {
    // With a named target, the flags stay away from build scripts and macros, which could not be linked with them.
    let Rustc { host, .. } = Rustc::ask(root)?;
    let built = cargo()
        .current_dir(root)
        .args([
            "build",
            "--release",
            "--locked",
            "--package",
            "smsgw-fuzz",
            "--features",
            "libfuzzer",
        ])
        .args([
            "--target",
            &host,
            "--config",
            "profile.release.lto=false",
            "--target-dir",
        ])
        .arg(place.join("build"))
        .env("CARGO_ENCODED_RUSTFLAGS", COVERAGE.join("\u{1f}"))
        .status()
        .context("cargo cannot be started")?;
    ensure!(built.success(), "the instrumented build failed");
    Ok(place.join("build").join(host).join("release/smsgw-fuzz"))
}

/// Runs one target; false when it broke.
fn fuzz(binary: &Path, place: &Path, root: &Path, name: &str, options: &Options) -> anyhow::Result<bool> {
    let corpus = place.join("corpus").join(name);
    let artifacts = place.join("artifacts").join(name);
    for folder in [&corpus, &artifacts] {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let mut command = Command::new(binary);
    command
        .env("SMSGW_FUZZ_TARGET", name)
        .env("SMSGW_FUZZ_SEEDS", &corpus)
        .arg(format!("-runs={}", options.runs))
        .arg(format!("-max_len={}", options.max_len))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args([
            "-print_final_stats=1",
            "-timeout=10",
            "-rss_limit_mb=2048",
            "-verbosity=1",
        ])
        .arg(&corpus);
    let regressions = root.join("ops/fuzz/regressions").join(name);
    if regressions.is_dir() {
        command.arg(regressions);
    }
    Ok(command
        .status()
        .context("the fuzzer cannot be started")?
        .success())
}
