//! The command line: verbs, options, and what each verb returns to the shell.

mod balance;
mod completions;
mod config;
mod counters;
mod credit;
mod dead_letters;
mod explain;
mod explain_mo;
mod judge;
mod links;
mod moves;
mod offline;
mod operator;
mod progress;
mod queues;
mod send;
mod session;
mod sessions_list;
mod table;
mod top;
mod trace;
mod transfer;
mod verify;

use crate::{check, demo, exit::Exit, reach, run, status};
use clap::{Parser, Subcommand};
use smsgw_sim::bench::BenchOptions;
use smsgw_sim::cli::{CliError, Compare, Load, Sim};
use smsgw_sim::load::LoadError;
use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// SMS gateway: carries messages, replies and delivery reports between clients and carriers, durably.
#[derive(Debug, Parser)]
#[command(name = "smsgw", version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    credentials: reach::Credentials,
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
    Top(top::TopOptions),
    Queues(queues::QueuesOptions),
    Links(links::LinksOptions),
    Sessions(sessions_list::SessionsOptions),
    Send(send::SendOptions),
    Explain(explain::ExplainOptions),
    Trace(trace::TraceOptions),
    Plan(config::PlanOptions),
    Apply(config::ApplyOptions),
    Rollback(config::RollbackOptions),
    Reload(config::ReloadOptions),
    Set(config::SetOptions),
    History(config::HistoryOptions),
    Operator(operator::OperatorOptions),
    Client(config::ClientOptions),
    Session(session::SessionOptions),
    Credit(credit::CreditOptions),
    Counters(counters::CountersOptions),
    Balance(balance::BalanceOptions),
    DeadLetters(dead_letters::DeadLettersOptions),
    Verify(verify::VerifyOptions),
    Export(transfer::ExportOptions),
    Import(transfer::ImportOptions),
    Completions(completions::CompletionsOptions),
    Man(completions::ManOptions),
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
        if let Err(error) = self.credentials.put_in_use() {
            eprintln!("smsgw: {error:#}");
            return Exit::Config.into();
        }
        match self.verb {
            Verb::Run { config } => on_runtime(async { Ok(run::run(&config).await) }),
            Verb::Check { file } => check::check(&file).into(),
            Verb::Status(options) => on_runtime(async { Ok(status::status(&options).await) }),
            Verb::Top(options) => on_runtime(top::run(options)),
            Verb::Queues(options) => on_runtime(queues::run(options)),
            Verb::Links(options) => on_runtime(links::run(options)),
            Verb::Sessions(options) => on_runtime(sessions_list::run(options)),
            Verb::Send(options) => on_runtime(send::run(options)),
            Verb::Completions(options) => completions::run(&options).into(),
            Verb::Man(options) => completions::run_man(&options).into(),
            Verb::Explain(options) => on_runtime(explain::run(options)),
            Verb::Trace(options) => on_runtime(trace::run(options)),
            Verb::Plan(options) => on_runtime(config::plan(options)),
            Verb::Apply(options) => on_runtime(config::apply(options)),
            Verb::Rollback(options) => on_runtime(config::rollback(options)),
            Verb::Reload(options) => on_runtime(config::reload(options)),
            Verb::Set(options) => on_runtime(config::set(options)),
            Verb::History(options) => on_runtime(config::history(options)),
            Verb::Client(options) => on_runtime(config::client(options)),
            Verb::Operator(options) => on_runtime(operator::run(options)),
            Verb::Session(options) => on_runtime(session::run(options)),
            Verb::Credit(options) => on_runtime(credit::run(options)),
            Verb::Counters(options) => on_runtime(counters::run(options)),
            Verb::Balance(options) => on_runtime(balance::run(options)),
            Verb::DeadLetters(options) => on_runtime(dead_letters::run(options)),
            Verb::Verify(options) => verify::run(options).into(),
            Verb::Export(options) => transfer::run_export(&options).into(),
            Verb::Import(options) => transfer::run_import(&options).into(),
            Verb::Demo { once } => on_runtime(demo::demo(once)),
            Verb::Sim(sim) => tool(sim.run()),
            Verb::Load(load) => tool(
                progress::watched(load.is_quiet(), |progress| load.run(progress))
                    .and_then(|answer| answer.print()),
            ),
            Verb::Compare(compare) => tool(compare.run()),
            Verb::Bench(bench) => tool(
                progress::watched(bench.json, |progress| bench.run(progress))
                    .and_then(|answer| answer.print()),
            ),
        }
    }
}

/// Tasks that a worker runs before it looks at its sockets, and before it looks for tasks that the engine's threads woke. As tokio
/// has them, at 61, a busy worker looks every two milliseconds: as long as all the rest of an accept takes.
const LOOK_AT_SOCKETS: u32 = 8;
const LOOK_AT_WOKEN: u32 = 4;

fn on_runtime(verb: impl Future<Output = anyhow::Result<Exit>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .event_interval(LOOK_AT_SOCKETS)
        .global_queue_interval(LOOK_AT_WOKEN)
        .build();
    let runtime = match runtime {
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
        let is_usage = matches!(
            error,
            CliError::Options(_) | CliError::Http(LoadError::Url(_) | LoadError::Class(_) | LoadError::Key)
        );
        let exit = if is_usage { Exit::Config } else { Exit::Failed };
        eprintln!("smsgw: {:#}", anyhow::Error::from(error));
        exit.into()
    })
}
