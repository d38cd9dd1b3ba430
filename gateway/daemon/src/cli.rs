//! The command line: verbs, options, and what each verb returns to the shell.

mod judge;
mod offline;
mod operator;
mod session;
mod trace;
mod transfer;
mod verify;

use crate::{check, demo, exit::Exit, run, status};
use clap::{Parser, Subcommand};
use smsgw_sim::bench::BenchOptions;
use smsgw_sim::cli::{CliError, Compare, Load, Sim};
use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// SMS gateway: carries messages, replies and delivery reports between clients and carriers, durably.
#[derive(Debug, Parser)]
#[command(name = "smsgw", version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one of it in a process")]
enum Verb {
    /// Run the gateway until SIGTERM; SIGHUP reads the configuration again.
    Run {
        /// The configuration file (TOML).
        #[arg(long, short, value_name = "FILE")]
        config: PathBuf,
    },
    /// Check a configuration file and show everything that is wrong with it.
    Check {
        /// The configuration file (TOML).
        file: PathBuf,
    },
    /// Show how a running gateway is: alarms, links, queues, or the supervision tree.
    Status(status::StatusOptions),
    Trace(trace::TraceOptions),
    Operator(operator::OperatorOptions),
    Session(session::SessionOptions),
    Verify(verify::VerifyOptions),
    Export(transfer::ExportOptions),
    Import(transfer::ImportOptions),
    /// Start a gateway with a simulated carrier and a callback receiver, and send one message through it.
    Demo {
        /// End after the message has made its trip instead of staying up.
        #[arg(long)]
        once: bool,
    },
    /// Simulated peers for tests and load.
    #[command(subcommand)]
    Sim(Sim),
    /// Put load on a gateway or on a simulated carrier.
    #[command(subcommand)]
    Load(Load),
    /// Compare the ledgers of a run: nothing missing, doubled or unknown.
    Compare(Compare),
    /// Measure this binary: the table of `ops/bench/README.md`.
    Bench(BenchOptions),
}

impl Cli {
    /// Does what was asked.
    pub(crate) fn execute(self) -> ExitCode {
        match self.verb {
            Verb::Run { config } => on_runtime(async { Ok(run::run(&config).await) }),
            Verb::Check { file } => check::check(&file).into(),
            Verb::Status(options) => on_runtime(async { Ok(status::status(&options).await) }),
            Verb::Trace(options) => on_runtime(trace::run(options)),
            Verb::Operator(options) => on_runtime(operator::run(options)),
            Verb::Session(options) => on_runtime(session::run(options)),
            Verb::Verify(options) => verify::run(options).into(),
            Verb::Export(options) => transfer::run_export(&options).into(),
            Verb::Import(options) => transfer::run_import(&options).into(),
            Verb::Demo { once } => on_runtime(demo::demo(once)),
            Verb::Sim(sim) => tool(sim.run()),
            Verb::Load(load) => tool(load.run()),
            Verb::Compare(compare) => tool(compare.run()),
            Verb::Bench(bench) => tool(bench.run()),
        }
    }
}

fn on_runtime(verb: impl Future<Output = anyhow::Result<Exit>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("smsgw: failed to start the runtime: {error}");
            return Exit::Failed.into();
        }
    };
    let ended = runtime.block_on(verb);
    // Blocking reads of the engine may still be on their way; nothing durable waits for them.
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
        .unwrap_or_else(|error| {
            eprintln!("smsgw: {error:#}");
            Exit::Failed
        })
        .into()
}

fn tool(ended: Result<ExitCode, CliError>) -> ExitCode {
    ended.unwrap_or_else(|error| {
        eprintln!("smsgw: {:#}", anyhow::Error::from(error));
        Exit::Failed.into()
    })
}
