//! The benchmarks of the performance budget: the real gateway between simulated peers, each a process of its own, so
//! that CPU is counted by process.
//!
//! Prints figures and judges none: a figure that is worse than yesterday's fails no build. Invariants: every case is
//! bounded in count and time; a case that lost or doubled a message is an error, not a fast result.
//!
//! # Limits
//! Absolute figures move by 20 % from run to run on a shared machine: compare side by side, in one run.

mod case;
mod child;
mod disk;
mod rig;
mod table;

pub use case::Case;
pub use disk::{Disk, DiskAlone, DiskFigures};
pub use table::{LinkRow, Row, Table};

use crate::process::UsageError;
use crate::progress::{CaseOf, Progress};
use crate::span;
use clap::ValueEnum;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// What is measured, and with what.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct BenchOptions {
    /// The gateway's binary, built with --release; it is also started as simulated carrier, sink and load generator.
    /// Absent: this one.
    #[arg(long, value_name = "FILE")]
    pub gateway_bin: Option<PathBuf>,
    /// How long each case is loaded.
    #[arg(long, value_parser = span::parse, default_value = "10s")]
    pub duration: Duration,
    /// HTTP connections.
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// Window of the bind, in the cases that are not about windows.
    #[arg(long, default_value_t = 100)]
    pub window: usize,
    /// Cases to run; all of them when none is named.
    #[arg(long = "case", value_enum)]
    pub cases: Vec<Case>,
    /// The counter of syncs on the gateway's `/metrics`.
    #[arg(long, default_value = "smsgw_engine_syncs_total")]
    pub syncs_metric: String,
    /// Lines added to the gateway's configuration, such as another engine.
    #[arg(long, default_value = "")]
    pub extra_config: String,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

impl BenchOptions {
    /// All cases with that binary.
    pub fn new(gateway_bin: impl Into<PathBuf>) -> Self {
        Self {
            gateway_bin: Some(gateway_bin.into()),
            duration: Duration::from_secs(10),
            connections: 64,
            window: 100,
            cases: Vec::new(),
            syncs_metric: "smsgw_engine_syncs_total".into(),
            extra_config: String::new(),
            json: false,
        }
    }
}

/// A benchmark could not be run to its end.
#[derive(Debug, Error)]
pub enum BenchError {
    /// A process, a file or a connection.
    #[error("failed to {doing}")]
    Io {
        /// What.
        doing: String,
        /// Why.
        #[source]
        kind: io::Error,
    },
    /// A process said something else than expected.
    #[error("{who} said {line:?} instead of {expected}")]
    Unexpected {
        /// Which process.
        who: &'static str,
        /// What it said.
        line: String,
        /// What it should have.
        expected: &'static str,
    },
    /// A process ended, or was not done, in time.
    #[error("{what} within {within:?}; {state}")]
    NotDone {
        /// What did not happen.
        what: &'static str,
        /// How long it had.
        within: Duration,
        /// What was there instead.
        state: String,
    },
    /// More arrived than was sent.
    #[error("{what}: {found} for {expected}")]
    Wrong {
        /// What.
        what: &'static str,
        /// How many there were.
        found: u64,
        /// How many there should be.
        expected: u64,
    },
    /// Figures of a process.
    #[error(transparent)]
    Usage(#[from] UsageError),
}

impl BenchError {
    fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |kind| Self::Io { doing, kind }
    }
}

/// Runs the cases one after the other, and says all the time how far it is.
///
/// # Errors
/// When a process cannot be started, ends early, or does not get done in time.
pub async fn run(options: &BenchOptions, progress: &Arc<Progress>) -> Result<Table, BenchError> {
    let cases = if options.cases.is_empty() {
        Case::ALL.to_vec()
    } else {
        options.cases.clone()
    };
    let bin = match &options.gateway_bin {
        Some(bin) => bin.clone(),
        None => std::env::current_exe().map_err(BenchError::io("find this binary"))?,
    };
    let mut table = Table::default();
    for (number, case) in (1..).zip(&cases) {
        progress.begin_case(CaseOf {
            name: case
                .to_possible_value()
                .expect("every case can be named")
                .get_name()
                .to_owned(),
            number,
            of: cases.len(),
        });
        let setup = case.setup(options, progress, &bin);
        case.run(setup, &mut table).await?;
    }
    Ok(table)
}
