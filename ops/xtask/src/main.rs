//! Development tasks: `cargo xtask tidy` proves the project's own rules, `cargo xtask test` runs everything CI runs.
//!
//! It is the only place that knows how the project is checked; CI calls it and adds nothing.

mod cargo;
mod chaos;
mod check;
mod dist;
mod fuzz;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::Context;
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Development tasks of the project")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Check what no compiler knows: layers and edges, pure crates, file headers and lengths, names and places.
    Tidy,
    /// Install what the tests need, then run every check and every test, as CI does.
    Test(check::Options),
    /// Build with --release and measure: prints the table of ops/bench/README.md. Arguments go to `smsgw bench`.
    Bench {
        /// As in `cargo xtask bench -- --case report --duration 20s`.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Build the binary that is shipped, with a profile of the gateway under load: target/dist/smsgw. Takes 18 to 25 minutes on two
    /// cores.
    Dist(dist::Options),
    /// Run the fuzz targets of ops/fuzz, guided by coverage, on the stable toolchain.
    Fuzz(fuzz::Options),
    /// Run the gateway between carriers that misbehave at random: nothing lost, nothing reported wrongly, every duplicate
    /// explained. Logs are under target/chaos.
    Chaos(chaos::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = root().and_then(|root| match cli.task {
        Task::Tidy => tidy::run(&root),
        Task::Test(options) => check::run(&root, &options),
        Task::Bench { arguments } => bench(&root, &arguments),
        Task::Dist(options) => dist::run(&root, &options),
        Task::Fuzz(options) => fuzz::run(&root, &options),
        Task::Chaos(options) => chaos::run(&root, &options),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The binary measures itself: it is gateway, simulated carrier, sink and load in one.
fn bench(root: &Path, arguments: &[String]) -> anyhow::Result<()> {
    let build = ["build", "--release", "--locked", "--package", "smsgw-daemon"];
    let built = cargo::cargo()
        .current_dir(root)
        .args(build)
        .status()
        .context("cargo cannot be started")?;
    anyhow::ensure!(built.success(), "the release build failed");
    let binary = cargo::target_directory(root).join("release/smsgw");
    let ran = Command::new(&binary)
        .arg("bench")
        .arg("--gateway-bin")
        .arg(&binary)
        .args(arguments)
        .status();
    anyhow::ensure!(
        ran.with_context(|| binary.display().to_string())?.success(),
        "the benchmark failed"
    );
    Ok(())
}

/// The root of the project this tool was built in, wherever it is called.
fn root() -> anyhow::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize()
        .with_context(|| format!("the project is no longer at {}", root.display()))
}
