//! The simulator's subcommands as a program of their own, to run them without building the gateway:
//! `cargo run -p smsgw-sim --example peers -- sim smsc --listen 127.0.0.1:2775`.

use clap::Parser;
use smsgw_sim::bench::BenchOptions;
use smsgw_sim::cli::{CliError, Compare, Load, Sim};
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Debug, Parser)]
#[command(about = "Simulated SMSC, callback sink and load generators")]
#[expect(clippy::large_enum_variant, reason = "there is one of it in a process")]
enum Command {
    /// Simulated peers.
    #[command(subcommand)]
    Sim(Sim),
    /// Load generators.
    #[command(subcommand)]
    Load(Load),
    /// Compares the ledgers of a run.
    Compare(Compare),
    /// Benchmarks of a gateway.
    Bench(BenchOptions),
}

fn main() -> ExitCode {
    let run = || -> Result<ExitCode, CliError> {
        match Command::parse() {
            Command::Sim(command) => command.run(),
            Command::Load(command) => command.run(&Arc::default())?.print(),
            Command::Compare(command) => command.run(),
            Command::Bench(command) => command.run(&Arc::default())?.print(),
        }
    };
    run().unwrap_or_else(|error| {
        eprintln!("error: {error}");
        let mut source = error.source();
        while let Some(cause) = source {
            eprintln!("  because {cause}");
            source = cause.source();
        }
        ExitCode::FAILURE
    })
}
