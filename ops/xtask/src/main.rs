//! Development tasks: `cargo xtask tidy` proves the project's own rules, `cargo xtask test` runs everything CI runs.
//!
//! It is the only place that knows how the project is checked; CI calls it and adds nothing.

mod check;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

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
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = root().and_then(|root| match cli.task {
        Task::Tidy => tidy::run(&root),
        Task::Test(options) => check::run(&root, &options),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the project this tool was built in, wherever it is called.
fn root() -> anyhow::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize()
        .with_context(|| format!("the project is no longer at {}", root.display()))
}
