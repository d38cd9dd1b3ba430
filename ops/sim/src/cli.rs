//! The simulator's subcommands: `sim smsc`, `sim ucp`, `sim http`, `sim sink`, `load http`, `load smpp`, `compare`, `bench`.
//!
//! Each command is a value that clap makes; `run` does it on a runtime of one thread and says how the process shall
//! exit. Invariant: standard output holds JSON lines only (tables of `bench` excepted), so that a program can start
//! these commands and read them.
//!
//! ```text
//! -> (start)                    <- {"listen":"127.0.0.1:40001"}
//! -> stats                      <- {"sessions":1,…}
//! -> mo {"total":100}           (smsc only; no answer)
//! -> cut                        (smsc only; no answer)
//! -> unbind                     (smsc only; no answer)
//! -> outbind 127.0.0.1:2776     (smsc only; answers only when it fails)
//! -> connect 127.0.0.1:3001     (ucp only; answers only when it fails)
//! -> set {"throttle":10,"receipt":{"text":"bare"}}   (smsc only; answers only when it is wrong)
//! -> options                    (smsc only)  <- {"name":"smsgw-sim",…}
//! -> (end of input, SIGTERM)    <- {"sessions":0,…} and exit
//! ```
//!
//! Commands are taken with `--control` only: a service has no standard input.

use crate::bench::{BenchError, BenchOptions};
use crate::compare::Comparer;
use crate::ledger::{self, Callback, CarrierRecord, LedgerError, LedgerOptions, Sent, Window};
use crate::load::{HttpLoad, LoadError, SmppLoad, SmppLoadError, load_http, load_smpp};
use crate::sink::{CallbackSink, SinkError, SinkOptions};
use crate::smsc::{ChaosArg, MoBatch, OptionsError, Protocol, ServerError, SmscOptions, SmscServer};
use serde::Serialize;
use std::io::{self, BufRead, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// A command failed.
#[derive(Debug, Error)]
pub enum CliError {
    /// Of the operating system: runtime, signals, standard output.
    #[error("failed to {doing}")]
    Io {
        /// What.
        doing: &'static str,
        /// Why.
        #[source]
        kind: io::Error,
    },
    /// The carrier.
    #[error(transparent)]
    Smsc(#[from] ServerError),
    /// Its options.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The sink.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The load over HTTP.
    #[error(transparent)]
    Http(#[from] LoadError),
    /// The load over SMPP.
    #[error(transparent)]
    Smpp(#[from] SmppLoadError),
    /// A ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A benchmark.
    #[error(transparent)]
    Bench(#[from] BenchError),
}

/// `sim`: simulated peers.
#[derive(Debug, Clone, PartialEq, clap::Subcommand)]
pub enum Sim {
    /// A simulated carrier (SMSC).
    Smsc(SmscArgs),
    /// The same carrier speaking UCP/EMI. Statuses of 1 to 38 are error codes as they stand, others are told as 04.
    Ucp(SmscArgs),
    /// The same carrier reached over HTTP: `POST /messages` with a JSON object (`to`, `from`, `text` or `data`, `udh`, `data_coding`,
    /// `receipt`); receipts and messages from phones are brought to `--inbound`. Accounts are those of HTTP Basic.
    Http(SmscArgs),
    /// An HTTP server that takes callbacks.
    Sink(SinkArgs),
}

/// `sim smsc`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct SmscArgs {
    /// Address and port; port 0: any free port.
    #[arg(long, default_value = "127.0.0.1:2775")]
    pub listen: SocketAddr,
    /// Ledger file, appended to before anything is answered.
    #[arg(long)]
    pub ledger: Option<PathBuf>,
    /// Take commands on standard input (stats, mo {…}, cut, unbind, outbind ADDRESS, set {…}, options) and end with it.
    #[arg(long)]
    pub control: bool,
    /// Options from a file (TOML, or JSON when it ends so); those of the command line count before it.
    #[arg(long = "options", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Behaviour that changes with time: a level from 1 to 5 (made up from the seed), or a file of phases.
    #[arg(long, value_name = "LEVEL|FILE")]
    pub chaos: Option<ChaosArg>,
    /// Connect to this ESME and ask it to bind (outbind).
    #[arg(long)]
    pub outbind: Option<SocketAddr>,
    /// Connect to this UCP client and deliver to it (`sim ucp`).
    #[arg(long, value_name = "ADDRESS", conflicts_with = "outbind")]
    pub connect: Option<SocketAddr>,
    /// Log in there with this name (operation 60); absent: deliver at once.
    #[arg(long, value_name = "NAME")]
    pub connect_login: Option<String>,
    /// Log in there with this password.
    #[arg(long, value_name = "PASSWORD", requires = "connect_login")]
    pub connect_password: Option<String>,
    /// Behaviour.
    #[command(flatten)]
    pub options: SmscOptions,
    /// Messages from phones.
    #[command(flatten)]
    pub mo: MoBatch,
}

/// `sim sink`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct SinkArgs {
    /// Address and port; port 0: any free port.
    #[arg(long, default_value = "127.0.0.1:9000")]
    pub listen: SocketAddr,
    /// Ledger file, appended to before anything is answered.
    #[arg(long)]
    pub ledger: Option<PathBuf>,
    /// Take commands on standard input (stats) and end with it.
    #[arg(long)]
    pub control: bool,
    /// Behaviour.
    #[command(flatten)]
    pub options: SinkOptions,
}

/// `load`: load generators. Each prints one JSON object.
#[derive(Debug, Clone, PartialEq, clap::Subcommand)]
pub enum Load {
    /// Messages to the HTTP API.
    Http(HttpArgs),
    /// Submits to an SMPP server.
    Smpp(SmppArgs),
}

/// `load http`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct HttpArgs {
    /// What.
    #[command(flatten)]
    pub load: HttpLoad,
    /// Ledger file.
    #[arg(long)]
    pub ledger: Option<PathBuf>,
}

/// `load smpp`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct SmppArgs {
    /// What.
    #[command(flatten)]
    pub load: SmppLoad,
    /// Ledger file.
    #[arg(long)]
    pub ledger: Option<PathBuf>,
    /// Ledger file of the receipts and messages that come back, for `compare --callbacks`.
    #[arg(long)]
    pub received: Option<PathBuf>,
}

/// `compare`: compares the ledgers of a run. Exit code 1 when something is missing, doubled, altered or from nowhere.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct Compare {
    /// Ledgers of `load http` and `load smpp`.
    #[arg(long)]
    pub sent: Vec<PathBuf>,
    /// Ledgers of `sim smsc`.
    #[arg(long)]
    pub carrier: Vec<PathBuf>,
    /// Ledgers of `sim sink`, and those of `load smpp --received`.
    #[arg(long)]
    pub callbacks: Vec<PathBuf>,
    /// Every message carried is to be reported.
    #[arg(long)]
    pub reports: bool,
    /// Files with times in which something was killed or cut, one `{"from":<ms>,"to":<ms>}` a line: what happened then
    /// may have happened twice.
    #[arg(long)]
    pub windows: Vec<PathBuf>,
}

impl Sim {
    /// Runs until told to end.
    ///
    /// # Errors
    /// When the port or ledger cannot be opened, or writing fails.
    pub fn run(self) -> Result<ExitCode, CliError> {
        block_on(async {
            match self {
                Self::Smsc(args) => args.run().await,
                Self::Ucp(mut args) => {
                    args.options.protocol = Protocol::Ucp;
                    args.run().await
                }
                Self::Http(mut args) => {
                    args.options.protocol = Protocol::Http;
                    args.run().await
                }
                Self::Sink(args) => args.run().await,
            }
        })
    }
}

impl Load {
    /// Runs until the plan is done.
    ///
    /// # Errors
    /// When the load cannot be generated.
    pub fn run(self) -> Result<ExitCode, CliError> {
        block_on(async {
            let file = |ledger: Option<PathBuf>| LedgerOptions {
                file: ledger,
                keep: 0,
            };
            let report = match self {
                Self::Http(args) => load_http(args.load, &file(args.ledger)).await?.0,
                Self::Smpp(args) => {
                    let (ledger, received) = (file(args.ledger), file(args.received));
                    load_smpp(args.load, &ledger, &received).await?.report
                }
            };
            print(&report)?;
            Ok(ExitCode::SUCCESS)
        })
    }
}

impl Compare {
    /// Compares and prints.
    ///
    /// # Errors
    /// When a ledger cannot be read.
    pub fn run(self) -> Result<ExitCode, CliError> {
        let mut windows = Vec::new();
        for path in &self.windows {
            ledger::each(path, |window: Window| windows.push(window))?;
        }
        let mut comparer = Comparer::new(windows, self.reports);
        for path in &self.sent {
            ledger::each(path, |sent: Sent| comparer.sent(&sent))?;
        }
        // Twice, so that nothing has to be kept: what was lost is told after what it is about.
        for path in &self.carrier {
            ledger::each(path, |record: CarrierRecord| comparer.note_lost(&record))?;
        }
        for path in &self.carrier {
            ledger::each(path, |record: CarrierRecord| comparer.carrier(&record))?;
        }
        for path in &self.callbacks {
            ledger::each(path, |callback: Callback| comparer.callback(&callback))?;
        }
        let mut found = comparer.finish(!self.callbacks.is_empty());
        if !(found.nothing_lost() && found.nothing_invented()) {
            for path in &self.sent {
                ledger::each(path, |sent: Sent| found.name_id(&sent))?;
            }
        }
        print(&found)?;
        Ok(if found.nothing_lost() && found.nothing_invented() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

impl BenchOptions {
    /// Runs the benchmarks and prints their table.
    ///
    /// # Errors
    /// When a process cannot be started or does not get done in time.
    pub fn run(self) -> Result<ExitCode, CliError> {
        let json = self.json;
        let table = block_on(async { Ok(crate::bench::run(&self).await?) })?;
        if json {
            print(&table)?;
        } else {
            write!(io::stdout().lock(), "{table}").map_err(output)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl SmscArgs {
    async fn run(self) -> Result<ExitCode, CliError> {
        let ledger = LedgerOptions {
            file: self.ledger,
            keep: 0,
        };
        let options = match &self.file {
            Some(file) => SmscOptions::read(file)?.with(&self.options.differences()?)?,
            None => self.options,
        };
        let server = SmscServer::start_with(options, self.chaos.as_ref(), self.listen, &ledger).await?;
        print(&Listens {
            listen: server.local_addr(),
        })?;
        if self.mo.total > 0 {
            server.inject_mo(self.mo);
        }
        let password = server.options().password.unwrap_or_default();
        if let Some(to) = self.outbind {
            server.outbind(to, &password).await?;
        }
        let secret = self.connect_password.unwrap_or_default();
        let login = self.connect_login.as_deref().map(|name| (name, secret.as_str()));
        if let Some(to) = self.connect {
            server.connect(to, login).await?;
        }
        let mut input = Input::open(self.control)?;
        while let Some(line) = input.next().await {
            match line.split_once(' ').unwrap_or((&line, "")) {
                ("stats", "") => print(&server.stats())?,
                ("cut", "") => server.cut_all(),
                ("unbind", "") => server.unbind_all(),
                ("options", "") => print(&server.options())?,
                ("mo", batch) => match serde_json::from_str(batch) {
                    Ok(batch) => server.inject_mo(batch),
                    Err(error) => refuse(&error)?,
                },
                ("set", changes) => match serde_json::from_str(changes) {
                    Ok(changes) => {
                        if let Err(error) = server.change_options(&changes) {
                            refuse(&error.kind)?;
                        }
                    }
                    Err(error) => refuse(&error)?,
                },
                ("outbind", to) => match to.parse() {
                    Ok(to) => {
                        if let Err(error) = server.outbind(to, &password).await {
                            refuse(&error)?;
                        }
                    }
                    Err(error) => refuse(&error)?,
                },
                ("connect", to) => match to.parse() {
                    Ok(to) => {
                        if let Err(error) = server.connect(to, login).await {
                            refuse(&error)?;
                        }
                    }
                    Err(error) => refuse(&error)?,
                },
                _ => print(&Refused {
                    error: format!("unknown command `{line}`"),
                })?,
            }
        }
        print(&server.stop().await?.stats)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl SinkArgs {
    async fn run(self) -> Result<ExitCode, CliError> {
        let ledger = LedgerOptions {
            file: self.ledger,
            keep: 0,
        };
        let sink = CallbackSink::start(self.options, self.listen, &ledger).await?;
        print(&Listens {
            listen: sink.local_addr(),
        })?;
        let mut input = Input::open(self.control)?;
        while let Some(line) = input.next().await {
            match line.as_str() {
                "stats" => print(&sink.stats())?,
                _ => print(&Refused {
                    error: format!("unknown command `{line}`"),
                })?,
            }
        }
        print(&sink.stop().await?.stats)?;
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Serialize)]
struct Listens {
    listen: SocketAddr,
}

#[derive(Serialize)]
struct Refused {
    error: String,
}

/// Lines of standard input, until it ends or a signal comes.
struct Input {
    lines: Option<mpsc::Receiver<String>>,
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Input {
    fn open(control: bool) -> Result<Self, CliError> {
        let failed = |kind| CliError::Io {
            doing: "listen for signals",
            kind,
        };
        let lines = control.then(|| {
            let (told, lines) = mpsc::channel(16);
            // A thread of its own: it may wait for input when the process ends, and must not hold it up.
            std::thread::spawn(move || {
                for line in io::stdin().lock().lines() {
                    let Ok(line) = line else { return };
                    if told.blocking_send(line).is_err() {
                        return;
                    }
                }
            });
            lines
        });
        Ok(Self {
            lines,
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
        })
    }

    async fn next(&mut self) -> Option<String> {
        let line = async {
            match &mut self.lines {
                Some(lines) => lines.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            line = line => line,
            _ = self.interrupt.recv() => None,
            _ = self.terminate.recv() => None,
        }
    }
}

fn block_on<T>(command: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime
        .map_err(|kind| CliError::Io {
            doing: "start a runtime",
            kind,
        })?
        .block_on(command)
}

fn refuse(error: &impl std::fmt::Display) -> Result<(), CliError> {
    print(&Refused {
        error: error.to_string(),
    })
}

fn print(value: &impl Serialize) -> Result<(), CliError> {
    let mut line = serde_json::to_vec(value).map_err(|error| output(error.into()))?;
    line.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(&line)
        .and_then(|()| stdout.flush())
        .map_err(output)
}

const fn output(kind: io::Error) -> CliError {
    CliError::Io {
        doing: "write to standard output",
        kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    #[derive(Parser)]
    #[expect(clippy::large_enum_variant, reason = "a test")]
    enum Line {
        #[command(subcommand)]
        Sim(Sim),
        #[command(subcommand)]
        Load(Load),
        Compare(Compare),
        Bench(BenchOptions),
    }

    #[test]
    fn no_two_options_of_a_command_share_a_name() {
        Line::command().debug_assert();
    }

    #[test]
    fn the_lines_that_the_benchmarks_use_are_understood() {
        let parse = |line: &str| Line::try_parse_from(std::iter::once("smsgw").chain(line.split(' ')));
        for line in [
            "sim smsc --listen 127.0.0.1:0 --control --answer-delay 50ms",
            "sim sink --listen 127.0.0.1:0 --control",
            "load http --url http://127.0.0.1:1 --api-key k --report none --connections 64 --total 2000",
            "load http --url http://127.0.0.1:1 --api-key k --report final --callback http://x/ --duration 5000ms --rate 99",
            "load smpp --host 127.0.0.1:1 --window 10 --duration 10000ms",
            "compare --sent a --carrier b --callbacks c --reports --windows d",
            "sim smsc --options a.toml --chaos 3 --outbind 127.0.0.1:2776 --mo-encoding ucs2-le-bom",
            "load smpp --host h --clients 3 --system-id c* --bind-as pair --mix gsm:100=7,ucs2:400=3 --received r",
            "load http --url http://h --api-key a,b --class otp=1,bulk=9 --retries 5 --rate 10",
            "bench --gateway-bin smsgw --duration 5s --case mt --case window10",
        ] {
            assert!(parse(line).is_ok(), "{line}: {:?}", parse(line).err());
        }
        let mut mo = SmscArgs::clone(match &parse("sim smsc --mo 5 --mo-rate 2.5").unwrap() {
            Line::Sim(Sim::Smsc(args)) => args,
            _ => panic!("another command"),
        });
        assert_eq!((mo.mo.total, mo.mo.rate), (5, 2.5));
        (mo.mo.total, mo.mo.rate) = (0, 0.0);
        assert_eq!(mo.mo, MoBatch::default());
    }

    #[test]
    fn defaults_of_command_line_and_values_are_the_same() {
        let Ok(Line::Load(Load::Http(http))) =
            Line::try_parse_from(["smsgw", "load", "http", "--url", "u", "--api-key", "k"])
        else {
            panic!("not understood");
        };
        let plan = http.load.plan;
        assert_eq!(http.load, HttpLoad::new("u", "k", plan));
        let Ok(Line::Load(Load::Smpp(smpp))) = Line::try_parse_from(["smsgw", "load", "smpp", "--host", "h"])
        else {
            panic!("not understood");
        };
        assert_eq!(smpp.load, SmppLoad::new("h", plan));
        let Ok(Line::Sim(Sim::Sink(sink))) = Line::try_parse_from(["smsgw", "sim", "sink"]) else {
            panic!("not understood");
        };
        assert_eq!(sink.options, SinkOptions::default());
        let Ok(Line::Bench(bench)) = Line::try_parse_from(["smsgw", "bench", "--gateway-bin", "g"]) else {
            panic!("not understood");
        };
        assert_eq!(bench, BenchOptions::new("g"));
    }
}
