//! The simulator's subcommands: `sim smsc`, `sim ucp`, `sim http`, `sim sink`, `load http`, `load smpp`, `compare`, `bench`.
//!
//! Each command is a value that clap makes; `run` does it on a runtime of one thread and says how the process shall
//! exit, or, where a person may watch meanwhile, what is to be printed. Invariant: standard output holds JSON lines only (tables of `bench` excepted), so that a program can start
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

mod smsc;

pub use smsc::SmscArgs;

use crate::bench::{BenchError, BenchOptions};
use crate::compare::Comparer;
use crate::ledger::{self, Callback, CarrierRecord, LedgerError, LedgerOptions, Sent, Window};
use crate::load::{HttpLoad, LoadError, SmppLoad, SmppLoadError, load_http_with, load_smpp_with};
use crate::progress::Progress;
use crate::sink::{CallbackSink, SinkError, SinkOptions};
use crate::smsc::{OptionsError, Protocol, ServerError};
use serde::Serialize;
use smsgw_transport::TlsError;
use std::io::{self, BufRead, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
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
    /// Nobody wanted to wait for what was sent.
    #[error("interrupted before everything was answered")]
    Interrupted,
    /// The carrier.
    #[error(transparent)]
    Smsc(#[from] ServerError),
    /// Its options.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// A certificate or key.
    #[error("failed to read {}", .path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        kind: io::Error,
    },
    /// What is in them.
    #[error(transparent)]
    Tls(#[from] TlsError),
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
    /// Draw no progress on standard error.
    #[arg(long)]
    pub quiet: bool,
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
    /// Draw no progress on standard error.
    #[arg(long)]
    pub quiet: bool,
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

/// What a command has to say at its end.
#[derive(Debug)]
pub struct Answer(Vec<u8>);

impl Answer {
    /// On standard output.
    ///
    /// # Errors
    /// When that cannot be written to.
    pub fn print(&self) -> Result<ExitCode, CliError> {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(&self.0).and_then(|()| stdout.flush());
        written.map_err(output)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Load {
    /// Nobody wants to see how far it is.
    #[must_use]
    pub const fn is_quiet(&self) -> bool {
        match self {
            Self::Http(args) => args.quiet,
            Self::Smpp(args) => args.quiet,
        }
    }

    /// Runs until the plan is done, and says meanwhile how far that is. SIGINT ends the sending before; a second one ends
    /// everything.
    ///
    /// # Errors
    /// When the load cannot be generated.
    pub fn run(self, progress: &Arc<Progress>) -> Result<Answer, CliError> {
        block_on(async {
            let mut interrupt = signal(SignalKind::interrupt()).map_err(signals)?;
            let twice = async {
                interrupt.recv().await;
                progress.stop();
                interrupt.recv().await;
            };
            tokio::select! {
                answer = self.load(progress) => answer,
                () = twice => Err(CliError::Interrupted),
            }
        })
    }

    async fn load(self, progress: &Arc<Progress>) -> Result<Answer, CliError> {
        let file = |ledger: Option<PathBuf>| LedgerOptions {
            file: ledger,
            keep: 0,
        };
        let report = match self {
            Self::Http(args) => load_http_with(args.load, &file(args.ledger), progress).await?.0,
            Self::Smpp(args) => {
                let (ledger, received) = (file(args.ledger), file(args.received));
                load_smpp_with(args.load, &ledger, &received, progress)
                    .await?
                    .report
            }
        };
        Ok(Answer(line(&report)?))
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
    /// Runs the benchmarks, and says meanwhile how far they are; the answer is their table.
    ///
    /// # Errors
    /// When a process cannot be started or does not get done in time.
    pub fn run(self, progress: &Arc<Progress>) -> Result<Answer, CliError> {
        let table = block_on(async { Ok(crate::bench::run(&self, progress).await?) })?;
        Ok(Answer(if self.json {
            line(&table)?
        } else {
            table.to_string().into_bytes()
        }))
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
            interrupt: signal(SignalKind::interrupt()).map_err(signals)?,
            terminate: signal(SignalKind::terminate()).map_err(signals)?,
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

fn line(value: &impl Serialize) -> Result<Vec<u8>, CliError> {
    let mut line = serde_json::to_vec(value).map_err(|error| output(error.into()))?;
    line.push(b'\n');
    Ok(line)
}

fn print(value: &impl Serialize) -> Result<(), CliError> {
    Answer(line(value)?).print().map(|_| ())
}

const fn signals(kind: io::Error) -> CliError {
    CliError::Io {
        doing: "listen for signals",
        kind,
    }
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
    use crate::smsc::MoBatch;
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
            "bench --duration 5s --case mt --case window10",
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
