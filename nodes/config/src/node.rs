//! Owns the configuration in force: start, reload, rollback.
//!
//! One instruction at a time. Must not know how an instruction travels, nor what other nodes do with a new epoch.
//! Invariant: what is in force has passed validation, but for keys that wait for a restart, which keep their old value.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use smsgw_config::{Change, Config, ConfigDiff, ConfigHandle, Problem};
use smsgw_message::OperatorOrders;
use tokio::sync::Mutex;
use tracing::{error, info, warn};

use crate::file::{LoadError, LoadWarning, Loaded, load, load_over};
use crate::lists::Lists;
use crate::metric::{CHANGES_TOTAL, EPOCH, RESTART_PENDING};
use crate::orders::Orders;

/// What an administrator, a signal or the watch asks of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instruction {
    /// Read the file again and take over what changed.
    Reload,
    /// Undo the last change that was taken over. The file stays as it is: the next reload takes it over again.
    Rollback,
}

impl Instruction {
    /// The word in queues and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reload => "reload",
            Self::Rollback => "rollback",
        }
    }

    /// The instruction of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "reload" => Some(Self::Reload),
            "rollback" => Some(Self::Rollback),
            _ => None,
        }
    }
}

/// What became of an instruction.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// A new epoch is in force.
    Applied {
        /// The epoch.
        epoch: u64,
        /// What changed.
        diff: ConfigDiff,
        /// Changes of the file that wait for a restart.
        waiting: Vec<Change>,
    },
    /// Nothing that can be taken over differs.
    Unchanged {
        /// The epoch in force.
        epoch: u64,
        /// Changes of the file that wait for a restart.
        waiting: Vec<Change>,
    },
    /// The file is wrong, and nothing changed.
    Refused {
        /// Everything that is wrong.
        problems: Vec<Problem>,
    },
}

impl Outcome {
    /// The word in logs and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Applied { .. } => "applied",
            Self::Unchanged { .. } => "unchanged",
            Self::Refused { .. } => "refused",
        }
    }
}

/// The owner of the configuration.
#[derive(Debug)]
pub struct ConfigNode {
    path: PathBuf,
    handle: ConfigHandle,
    /// The last change that was taken over; the lock makes instructions take turns.
    last: Mutex<Option<ConfigDiff>>,
    orders: Orders,
    /// What was read of lists, so that a reload reads what changed.
    lists: Arc<std::sync::Mutex<Lists>>,
}

impl ConfigNode {
    /// Loads the file and puts it in force as epoch 1. Blocks on the file system.
    ///
    /// # Errors
    /// Everything that is wrong with the file, at once.
    pub fn start(path: &Path) -> Result<Self, LoadError> {
        let Loaded { config, warnings } = load(path)?;
        log_warnings(&warnings);
        Ok(Self::with(path, config))
    }

    /// Puts a configuration in force that was loaded before from this path.
    pub fn with(path: &Path, config: Config) -> Self {
        let handle = ConfigHandle::new(config);
        set_gauge(&EPOCH, handle.current().epoch);
        set_gauge(&RESTART_PENDING, 0);
        Self {
            path: path.to_owned(),
            handle,
            last: Mutex::new(None),
            orders: Orders::default(),
            lists: Arc::default(),
        }
    }

    /// What the other nodes read.
    pub fn config(&self) -> ConfigHandle {
        self.handle.clone()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Does what an instruction asks: the only way a running configuration changes.
    pub async fn handle(&self, instruction: Instruction) -> Outcome {
        let mut last = self.last.lock().await;
        let outcome = match instruction {
            Instruction::Reload => self.reload(&mut last).await,
            Instruction::Rollback => self.rollback(&mut last),
        };
        CHANGES_TOTAL.with(&[outcome.as_str()]).inc();
        log_outcome(instruction, &self.path, &outcome);
        outcome
    }

    async fn reload(&self, last: &mut Option<ConfigDiff>) -> Outcome {
        let (path, lists, current) = (self.path.clone(), Arc::clone(&self.lists), self.handle.config());
        let loading = move || {
            // Reloads take turns already; after one that panicked everything is read anew.
            let mut lists = lists.lock().unwrap_or_else(|poisoned| {
                let mut lists = poisoned.into_inner();
                *lists = Lists::default();
                lists
            });
            load_over(&path, &current, &mut lists)
        };
        let loaded = match tokio::task::spawn_blocking(loading).await {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(error)) => {
                return Outcome::Refused {
                    problems: error.problems,
                };
            }
            Err(error) => {
                let file = self.path.display().to_string();
                let problem = Problem::unreadable(&file, format!("the reader ended: {error}"));
                return Outcome::Refused {
                    problems: vec![problem],
                };
            }
        };
        log_warnings(&loaded.warnings);
        let current = self.handle.config();
        let diff = ConfigDiff::between(&current, &self.orders.over(loaded.config));
        let waiting: Vec<Change> = diff.needs_restart().cloned().collect();
        set_gauge(&RESTART_PENDING, u64::try_from(waiting.len()).unwrap_or(u64::MAX));
        let reachable = diff.without_restart();
        if reachable.is_empty() {
            return Outcome::Unchanged {
                epoch: self.handle.current().epoch,
                waiting,
            };
        }
        let epoch = self.put_in_force(&current, &reachable);
        *last = Some(reachable.clone());
        Outcome::Applied {
            epoch,
            diff: reachable,
            waiting,
        }
    }

    fn rollback(&self, last: &mut Option<ConfigDiff>) -> Outcome {
        let Some(diff) = last.take().map(|diff| diff.flipped()) else {
            return Outcome::Unchanged {
                epoch: self.handle.current().epoch,
                waiting: Vec::new(),
            };
        };
        let current = self.handle.config();
        let epoch = self.put_in_force(&current, &diff);
        Outcome::Applied {
            epoch,
            diff,
            waiting: Vec::new(),
        }
    }

    /// What administrators ordered.
    pub(crate) fn orders(&self) -> &Orders {
        &self.orders
    }

    /// Takes orders over: operators that are to be open or closed are so from now on. True when that changed anything.
    pub(crate) async fn take_orders(&self, orders: OperatorOrders) -> bool {
        let _turn = self.last.lock().await;
        self.orders.set(orders);
        let current = self.handle.config();
        let ordered = self.orders.over(Config::clone(&current));
        let diff = ConfigDiff::between(&current, &ordered);
        for change in diff.changes() {
            info!(key = %change.path, %change, "operator changed by order");
        }
        if !diff.is_empty() {
            self.put_in_force(&current, &diff);
        }
        !diff.is_empty()
    }

    fn put_in_force(&self, current: &Arc<Config>, diff: &ConfigDiff) -> u64 {
        let epoch = self.handle.publish(diff.apply(current));
        set_gauge(&EPOCH, epoch);
        epoch
    }
}

fn set_gauge(gauge: &smsgw_telemetry::Gauge, value: u64) {
    gauge.with(&[]).set(i64::try_from(value).unwrap_or(i64::MAX));
}

fn log_warnings(warnings: &[LoadWarning]) {
    for warning in warnings {
        warn!(%warning, "configuration warning");
    }
}

fn log_outcome(instruction: Instruction, path: &Path, outcome: &Outcome) {
    let (file, instruction) = (path.display(), instruction.as_str());
    let waiting = match outcome {
        Outcome::Applied { epoch, diff, waiting } => {
            for change in diff.changes() {
                info!(epoch, key = %change.path, impact = %change.impact, %change, "configuration change");
            }
            info!(%file, instruction, epoch, changes = diff.changes().len(), "configuration applied");
            waiting
        }
        Outcome::Unchanged { epoch, waiting } => {
            info!(%file, instruction, epoch, "configuration unchanged");
            waiting
        }
        Outcome::Refused { problems } => {
            for problem in problems {
                error!(code = %problem.code, line = problem.line, column = problem.column, %problem, "configuration refused");
            }
            return;
        }
    };
    for change in waiting {
        error!(key = %change.path, %change, "change needs a restart, the old value stays in force");
    }
}
