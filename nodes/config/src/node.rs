//! Owns the configuration in force: start, reload, rollback.
//!
//! One instruction at a time. Must not know how an instruction travels, nor what other nodes do with a new epoch.
//! Invariant: what is in force has passed validation, but for keys that wait for a restart, which keep their old value.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use smsgw_config::{Change, Config, ConfigDiff, ConfigHandle, Problem, Sources};
use smsgw_message::OperatorOrders;
use tokio::sync::{Mutex, MutexGuard};
use tracing::{error, info, warn};

use crate::disk::Overlay;
use crate::file::{LoadError, LoadWarning, Loaded, load, load_over};
use crate::lists::Lists;
use crate::metric::{CHANGES_TOTAL, EPOCH, RESTART_PENDING};
use crate::orders::Orders;
use crate::proposal::Author;
use crate::versions::{self, Versions};

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

/// What one instruction at a time has.
#[derive(Debug)]
pub(crate) struct Turn {
    /// The last change that was taken over.
    last: Option<ConfigDiff>,
    /// The files as they were loaded.
    pub(crate) sources: Sources,
}

/// The owner of the configuration.
#[derive(Debug)]
pub struct ConfigNode {
    path: PathBuf,
    handle: ConfigHandle,
    /// What belongs to the change that is under way; the lock makes instructions take turns.
    turn: Mutex<Turn>,
    /// The files in force, for the watch.
    files: RwLock<Vec<PathBuf>>,
    /// Why there are none, where they cannot be kept.
    versions: Result<Versions, String>,
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
        let loaded = load(path)?;
        log_warnings(&loaded.warnings);
        Ok(Self::with(path, loaded))
    }

    /// Puts a configuration in force that was loaded before from this path. Blocks on the file system.
    pub fn with(path: &Path, loaded: Loaded) -> Self {
        let Loaded { config, sources, .. } = loaded;
        let versions = Versions::open(&config.node.data_dir).and_then(|versions| {
            begin(&versions, path, &sources, config.node.config_versions)?;
            Ok(versions)
        });
        let versions = versions.map_err(|error| {
            error!(%error, "versions of the configuration cannot be kept: no change by instruction until they can");
            error.to_string()
        });
        let handle = ConfigHandle::new(config);
        set_gauge(&EPOCH, handle.current().epoch);
        set_gauge(&RESTART_PENDING, 0);
        Self {
            path: path.to_owned(),
            handle,
            files: RwLock::new(paths(&sources)),
            turn: Mutex::new(Turn { last: None, sources }),
            versions,
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

    /// The files of the configuration that is in force, the main one first.
    pub fn files(&self) -> Vec<PathBuf> {
        self.files.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) async fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().await
    }

    pub(crate) fn versions(&self) -> io::Result<&Versions> {
        self.versions
            .as_ref()
            .map_err(|why| io::Error::other(why.clone()))
    }

    /// Does what an instruction asks of the configuration as a whole.
    pub async fn handle(self: &Arc<Self>, instruction: Instruction) -> Outcome {
        self.handle_by(instruction, &Author::own(instruction.as_str()))
            .await
    }

    /// The same for somebody.
    pub(crate) async fn handle_by(self: &Arc<Self>, instruction: Instruction, author: &Author) -> Outcome {
        let mut turn = self.turn.lock().await;
        let outcome = match instruction {
            Instruction::Reload => self.reload(&mut turn, author).await,
            Instruction::Rollback => self.rollback(&mut turn.last),
        };
        CHANGES_TOTAL.with(&[outcome.as_str()]).inc();
        log_outcome(instruction, &self.path, &outcome);
        outcome
    }

    /// Reads the files as an overlay has them. Blocks on the file system.
    pub(crate) fn load(&self, overlay: &Overlay) -> Result<Loaded, LoadError> {
        // Changes take turns already; after one that panicked everything is read anew.
        let mut lists = self.lists.lock().unwrap_or_else(|poisoned| {
            let mut lists = poisoned.into_inner();
            *lists = Lists::default();
            lists
        });
        load_over(&self.path, overlay, &self.handle.config(), &mut lists)
    }

    async fn reload(self: &Arc<Self>, turn: &mut Turn, author: &Author) -> Outcome {
        let node = Arc::clone(self);
        let loaded = match tokio::task::spawn_blocking(move || node.load(&Overlay::new())).await {
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
        let diff = self.diff_to(loaded.config.clone());
        let waiting: Vec<Change> = diff.needs_restart().cloned().collect();
        let reachable = diff.without_restart();
        let (node, head) = (Arc::clone(self), author.head(Some(&diff), true));
        let (files, keep) = (
            versions::named(&self.path, &loaded.sources),
            loaded.config.node.config_versions,
        );
        let (epoch, _) = self.take(turn, loaded, diff);
        let keeping = tokio::task::spawn_blocking(move || node.keep(head, files, keep)).await;
        // The file is in force all the same: it was written by a person, who has it.
        match keeping {
            Ok(Ok(())) => {}
            Ok(Err(error)) => error!(%error, "this version of the configuration is not kept"),
            Err(error) => error!(%error, "this version of the configuration is not kept"),
        }
        match reachable.is_empty() {
            true => Outcome::Unchanged { epoch, waiting },
            false => Outcome::Applied {
                epoch,
                diff: reachable,
                waiting,
            },
        }
    }

    /// Takes over what was loaded, and what of its changes a running process can; gives the epoch in force, and how many
    /// changes wait for a restart.
    pub(crate) fn take(&self, turn: &mut Turn, loaded: Loaded, diff: ConfigDiff) -> (u64, usize) {
        let waiting = diff.needs_restart().count();
        set_gauge(&RESTART_PENDING, u64::try_from(waiting).unwrap_or(u64::MAX));
        *self.files.write().unwrap_or_else(PoisonError::into_inner) = paths(&loaded.sources);
        turn.sources = loaded.sources;
        let reachable = diff.without_restart();
        if reachable.is_empty() {
            return (self.handle.current().epoch, waiting);
        }
        let epoch = self.put_in_force(&self.handle.config(), &reachable);
        turn.last = Some(reachable);
        (epoch, waiting)
    }

    /// Keeps a version of files that were read, unless it is the newest already.
    fn keep(&self, head: versions::VersionHead, files: Vec<(String, String)>, keep: u32) -> io::Result<()> {
        let versions = self.versions()?;
        if versions.latest()?.is_none_or(|latest| !latest.is_of(&files)) {
            versions.record(head, files, usize::try_from(keep).unwrap_or(usize::MAX))?;
        }
        Ok(())
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
        let _turn = self.turn.lock().await;
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

fn paths(sources: &Sources) -> Vec<PathBuf> {
    sources
        .files()
        .iter()
        .map(|file| PathBuf::from(&file.name))
        .collect()
}

/// Notes the version that a start finds: a new one where the files are others than those of the newest, which may itself
/// have been prepared and never written.
fn begin(versions: &Versions, path: &Path, sources: &Sources, keep: u32) -> io::Result<()> {
    let files = versions::named(path, sources);
    match versions.latest()? {
        Some(latest) if latest.is_of(&files) && latest.head.in_force => return Ok(()),
        Some(latest) if latest.is_of(&files) => return versions.put_in_force(latest),
        Some(latest) if !latest.head.in_force => {
            versions.withdraw(latest.head.version)?;
            return begin(versions, path, sources, keep);
        }
        Some(_) | None => {}
    }
    let head = Author::own("start").head(None, true);
    versions.record(head, files, usize::try_from(keep).unwrap_or(usize::MAX))?;
    Ok(())
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
