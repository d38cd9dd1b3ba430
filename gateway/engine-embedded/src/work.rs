//! The committer: the one thread that changes anything. It takes of what came in while the last sync ran as much as makes a
//! group (inbox.rs, pace.rs), applies it (apply.rs), writes and syncs it (commit.rs), and between groups does what time asks for.
//!
//! ```text
//! commit() ─▶ inbox ─▶ apply each step ─▶ one batch, one fdatasync ─▶ publish to memory ─▶ answers
//!                          ▲ expiry, alarms, dead letters, log trimming: parts of the next group
//! ```
//! Invariants: an answer goes out only after the sync of its group; after a failed write or sync nothing is written or
//! answered with success any more (poisoned); all that is done for time is bounded for each group.

use crate::config::EmbeddedConfig;
use crate::families::Families;
use crate::format::decode_expiry_key;
use crate::group::{Group, Write};
use crate::inbox::{Request, Taken};
use crate::lock;
use crate::logs::RecentBlocks;
use crate::metric;
use crate::pace::{GroupSize, pause};
use crate::queues::QueueCell;
use crate::recover::Recovered;
use crate::release::Release;
use crate::shared::{Shared, explained};
use crate::space::{Space, SpaceProbe};
use crate::store::Store;
use crate::turnover::Turnover;
use crate::young::Young;
use rustc_hash::{FxHashMap, FxHashSet};
use smsgw_message::Timestamp;
use smsgw_queue::{
    Amount, Bounds, CommitError, CommitErrorKind, Committed, EngineError, Expiry, Full, Health, LogName,
    QueueName, StateKey,
};
use smsgw_telemetry::{HistogramHandle, IntCounter, IntGauge};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{error, info, warn};

/// Longest sleep of an idle committer: how late an alarm can be when the clock is set.
const TICK: Duration = Duration::from_millis(100);
/// What is swept of values, and trimmed of blocks, in one group.
const SWEEP: usize = 64;

/// Metric handles that the hot path needs.
#[derive(Debug)]
pub(crate) struct Handles {
    pub(crate) commit_seconds: HistogramHandle,
    pub(crate) sync_seconds: HistogramHandle,
    pub(crate) group_steps: HistogramHandle,
    pub(crate) syncs: IntCounter,
    pub(crate) state_hits: IntCounter,
    pub(crate) state_misses: IntCounter,
    pub(crate) young_octets: IntGauge,
}

impl Handles {
    fn new() -> Self {
        Self {
            commit_seconds: metric::COMMIT_SECONDS.with(&[]),
            sync_seconds: metric::SYNC_SECONDS.with(&[]),
            group_steps: metric::GROUP_STEPS.with(&[]),
            syncs: metric::SYNCS_TOTAL.with(&[]),
            state_hits: metric::CACHE_HITS_TOTAL.with(&["state"]),
            state_misses: metric::CACHE_MISSES_TOTAL.with(&["state"]),
            young_octets: metric::YOUNG_OCTETS.with(&[]),
        }
    }
}

/// What the committer works with.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) shared: Arc<Shared>,
    pub(crate) store: Arc<Store>,
    pub(crate) metrics: Handles,
    pub(crate) next_record: u64,
    pub(crate) next_version: u64,
    pub(crate) next_number: u32,
    /// Records that have an entry in `moves`.
    pub(crate) moved: FxHashSet<u64>,
    /// Records that are elsewhere than their entry in `records` says.
    pub(crate) elsewhere: FxHashSet<u64>,
    /// What waits in all queues.
    pub(crate) waiting: Amount,
    /// What this group may let in.
    pub(crate) bounds: Arc<Bounds>,
    /// Queues that lose dead letters to their bound, and since when none more.
    pub(crate) bursts: FxHashMap<QueueName, Instant>,
    /// Queues without records that still have a number, and since when.
    pub(crate) idle: FxHashMap<u32, Instant>,
    /// Oldest block on the disk of each log.
    pub(crate) floors: FxHashMap<u32, u64>,
    pub(crate) recent: RecentBlocks,
    /// What is in `state`, at most.
    pub(crate) families: Families,
    /// No value is due before this. `None`: no value is ever due.
    pub(crate) next_due: Option<Timestamp>,
    /// Kept between steps for its memory.
    pub(crate) writes: Vec<Write>,
    pub(crate) cells: FxHashMap<QueueName, Arc<QueueCell>>,
    pub(crate) turnover: Turnover,
    pub(crate) young: Young,
    pub(crate) group_size: GroupSize,
    release: Release,
    config: EmbeddedConfig,
    probe: SpaceProbe,
    pub(crate) space: Space,
    looked: Option<Instant>,
    tidied: Option<Instant>,
}

/// What of a recovery only the committer needs.
#[derive(Debug)]
pub(crate) struct Continue {
    pub(crate) next_record: u64,
    pub(crate) next_version: u64,
    pub(crate) next_number: u32,
    pub(crate) moved: FxHashSet<u64>,
    pub(crate) elsewhere: FxHashSet<u64>,
    pub(crate) waiting: Amount,
    pub(crate) floors: FxHashMap<u32, u64>,
    pub(crate) next_due: Option<Timestamp>,
    pub(crate) families: Families,
    pub(crate) next_young: u64,
}

impl Continue {
    pub(crate) fn of(recovered: &mut Recovered, next_young: u64) -> Self {
        Self {
            next_young,
            next_record: recovered.next_record,
            next_version: recovered.next_version,
            next_number: recovered.next_number,
            moved: std::mem::take(&mut recovered.moved),
            elsewhere: std::mem::take(&mut recovered.elsewhere),
            waiting: recovered.waiting,
            floors: std::mem::take(&mut recovered.floors),
            next_due: recovered.next_due,
            families: std::mem::take(&mut recovered.families),
        }
    }
}

impl Work {
    pub(crate) fn new(
        shared: Arc<Shared>,
        store: Arc<Store>,
        config: EmbeddedConfig,
        probe: SpaceProbe,
        from: Continue,
        turnover: Turnover,
        release: Release,
    ) -> Self {
        // With little room for generations, what fills them must not lie in `young`.
        let young = config.write_buffer.min(config.generation / 4);
        Self {
            shared,
            store,
            metrics: Handles::new(),
            next_record: from.next_record,
            next_version: from.next_version,
            next_number: from.next_number,
            moved: from.moved,
            elsewhere: from.elsewhere,
            waiting: from.waiting,
            bounds: Arc::default(),
            bursts: FxHashMap::default(),
            idle: FxHashMap::default(),
            floors: from.floors,
            recent: RecentBlocks::new(config.log_cache),
            next_due: from.next_due,
            families: from.families,
            writes: Vec::new(),
            cells: FxHashMap::default(),
            turnover,
            young: Young::new(from.next_young, young),
            group_size: GroupSize::new(),
            release,
            config,
            probe,
            space: Space::Enough,
            looked: None,
            tidied: None,
        }
    }

    /// Runs until the engine is closed or poisoned.
    pub(crate) fn run(mut self) {
        // A panic here is a defect; the engine must not go on half changed.
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.run_groups()));
        let why = match ran {
            Ok(Ok(())) => EngineError::Closed,
            Ok(Err(cause)) => self.shared.poison(explained(&self.config.dir, &cause)),
            Err(panic) => {
                let cause = format!(
                    "the committer panicked: {}",
                    crate::store::panic_text(panic.as_ref())
                );
                self.shared.poison(cause)
            }
        };
        // Whoever still waits is told.
        self.shared.inbox.close(why.clone());
        while let Taken::Requests(requests) = self.shared.inbox.take(Duration::ZERO, usize::MAX) {
            for request in requests {
                refuse(request, &why);
            }
        }
    }

    fn run_groups(&mut self) -> Result<(), String> {
        loop {
            self.look_after_space();
            let timeout = self.timeout();
            let requests = match self.shared.inbox.take(timeout, self.group_size.most()) {
                Taken::Requests(requests) => requests,
                // So that the next start has nothing to put to its place.
                Taken::Closed => return self.end_youth(),
            };
            if !requests.is_empty() {
                self.keep_pace();
            }
            let mut group = Group::new(self.shared.clock.now());
            self.bounds = self.shared.bounds();
            self.do_what_is_due(&mut group)?;
            let answers = self.apply_all(requests, &mut group);
            self.commit(group)?;
            for (request, answer) in answers {
                let took = self
                    .shared
                    .clock
                    .instant()
                    .saturating_duration_since(request.since);
                self.metrics.commit_seconds.observe(took.as_secs_f64());
                // Who no longer waits does not want to know.
                request.answer.send(answer).ok();
            }
        }
    }

    /// Waits a little when the store is behind with its tables; what comes in meanwhile joins the next group.
    fn keep_pace(&self) {
        let debt = self.release.debt().get().unwrap_or_else(|| self.store.debt());
        let pause = pause(debt);
        if !pause.is_zero() {
            metric::PACED_GROUPS_TOTAL.with(&[]).inc();
            std::thread::sleep(pause);
        }
    }

    fn timeout(&self) -> Duration {
        let now = self.shared.clock.now();
        match self.next_due {
            Some(due) if due <= now => Duration::ZERO,
            Some(due) => due.since(now).min(TICK),
            None => TICK,
        }
    }

    fn apply_all(
        &mut self,
        requests: Vec<Request>,
        group: &mut Group,
    ) -> Vec<(Request, Vec<Result<Committed, CommitError>>)> {
        let mut answers = Vec::with_capacity(requests.len());
        for mut request in requests {
            let mut answer = Vec::with_capacity(request.steps.len());
            for step in std::mem::take(&mut request.steps) {
                let result = self.apply(&step, self.space, group);
                answer.push(result.map_err(|kind| {
                    metric::REFUSED_TOTAL.with(&[word(&kind)]).inc();
                    CommitError {
                        step: step.id(),
                        kind,
                    }
                }));
                if answer.last().is_some_and(Result::is_ok) {
                    group.done.push(step);
                }
            }
            answers.push((request, answer));
        }
        answers
    }

    pub(crate) fn cell(&mut self, name: &QueueName) -> Arc<QueueCell> {
        if let Some(cell) = self.cells.get(name) {
            return cell.clone();
        }
        let cell = self.shared.queues.cell(name);
        self.cells.insert(name.clone(), cell.clone());
        cell
    }

    /// Once a second: free space, dead letters' retention, the store's own health, lease marks.
    fn look_after_space(&mut self) {
        let now = self.shared.clock.instant();
        if self
            .looked
            .is_some_and(|looked| now.saturating_duration_since(looked) < Duration::from_secs(1))
        {
            return;
        }
        self.looked = Some(now);
        let free = match self.probe.free(&self.config.dir) {
            Ok(free) => free,
            Err(error) => return warn!(%error, "free disk space not known"),
        };
        metric::DISK_FREE
            .with(&[])
            .set(i64::try_from(free).unwrap_or(i64::MAX));
        let space = Space::of(free, self.config.min_free_disk);
        if space != self.space {
            match space {
                Space::Enough => info!(free, "disk space is enough again"),
                Space::Low | Space::Critical => {
                    error!(free, min_free = self.config.min_free_disk, "disk space is low");
                }
            }
            self.space = space;
            self.shared.set_health(match space {
                Space::Enough => Health::Ready,
                Space::Low | Space::Critical => Health::LowSpace,
            });
        }
    }

    /// Everything that time asks for, as part of this group.
    fn do_what_is_due(&mut self, group: &mut Group) -> Result<(), String> {
        let now = self.shared.clock.instant();
        let lately = |tidied| now.saturating_duration_since(tidied) < TICK / 2;
        let tidy = !self.tidied.is_some_and(lately);
        let due = |due: &Timestamp| *due <= group.now;
        if self.next_due.as_ref().is_some_and(due) && self.young.is_due(group.now) {
            self.end_youth()?;
        }
        if tidy {
            // A generation begins before alarms are published into it.
            self.turn_over(group)?;
        }
        if self.next_due.is_some_and(|due| due <= group.now) {
            self.sweep_values(group)?;
        }
        if !tidy {
            return Ok(());
        }
        // Not urgent, and looks at every queue and log.
        self.tidied = Some(now);
        let before = group.now.before(self.config.dead_letter_retention);
        for cell in self.shared.queues.all() {
            self.trim_dead_letters(&cell, before, group);
            self.retire(&cell, now, group);
        }
        self.trim_logs(group)
    }

    /// Values whose time has come are deleted, or publish their alarm. Entries of values that were written anew since
    /// are deleted alone.
    fn sweep_values(&mut self, group: &mut Group) -> Result<(), String> {
        let from = self.next_due.unwrap_or_default();
        let due = self.store.due(from, group.now, SWEEP)?;
        let all = due.len() < SWEEP;
        for entry in due {
            let (at, number, key) = decode_expiry_key(&entry).map_err(|broken| broken.0.to_owned())?;
            let key = StateKey::from(key);
            // Earlier steps of this group do not exist yet: sweeping comes first.
            let value = self
                .stored(&key)?
                .filter(|value| value.entry == number && value.due() == Some(at));
            if let Some(value) = value {
                match &value.expiry {
                    Expiry::At(_) => {
                        group.state.insert(key, None);
                    }
                    Expiry::Alarm(..) => self.alarm(&key, &value, group),
                    Expiry::Owner => {}
                }
            }
            self.next_due = Some(at);
            group.swept.push(entry);
        }
        if all {
            // Nothing up to now is left; the next entry says when to look again.
            let later = group.now.after(Duration::from_millis(1));
            let next = self.store.first_due(later)?;
            let next = next
                .map(|entry| decode_expiry_key(&entry).map(|(at, _, _)| at))
                .transpose();
            self.next_due = next.map_err(|broken| broken.0.to_owned())?;
        }
        Ok(())
    }

    /// Blocks that every reader has passed.
    fn trim_logs(&mut self, group: &mut Group) -> Result<(), String> {
        for cell in self.shared.logs.all() {
            let (first, next) = {
                let state = lock(&cell.state);
                (state.first, state.next)
            };
            let Some(floor) = self.floors.get(&cell.number).copied() else {
                continue;
            };
            if floor >= first {
                continue;
            }
            let blocks = self.store.blocks(cell.number, floor, next, SWEEP + 1)?;
            let ends = blocks.iter().skip(1).copied();
            let last = (blocks.len() <= SWEEP).then_some(next);
            let mut floor = if blocks.is_empty() { first } else { floor };
            for (block, end) in blocks.iter().zip(ends.chain(last)) {
                if end > first {
                    floor = *block;
                    break;
                }
                group.trimmed.push((cell.number, *block));
                floor = end;
            }
            self.floors.insert(cell.number, floor);
        }
        Ok(())
    }

    /// A new log gets its number.
    pub(crate) fn begin_log(&mut self, name: &LogName) -> Arc<crate::logs::LogCell> {
        if let Some(cell) = self.shared.logs.find(name) {
            return cell;
        }
        let number = self.next_number;
        self.next_number = number.saturating_add(1);
        self.floors.insert(number, 0);
        self.shared
            .logs
            .begin(name.clone(), number, crate::logs::LogState::default())
    }
}

fn refuse(request: Request, why: &EngineError) {
    let refuse = |step: &smsgw_queue::Step| CommitError {
        step: step.id(),
        kind: why.clone().into(),
    };
    let answer = request.steps.iter().map(|step| Err(refuse(step))).collect();
    // Who no longer waits does not want to know.
    request.answer.send(answer).ok();
}

/// The metric label of a refusal.
fn word(kind: &CommitErrorKind) -> &'static str {
    match kind {
        CommitErrorKind::Stale { .. } => "stale",
        CommitErrorKind::Conflict { .. } => "conflict",
        CommitErrorKind::Floor { .. } => "floor",
        CommitErrorKind::NotACounter { .. } => "not_a_counter",
        CommitErrorKind::NoRecord { .. } => "no_record",
        CommitErrorKind::Leased { .. } => "leased",
        CommitErrorKind::Full(Full::Engine) => "engine_full",
        CommitErrorKind::Full(Full::Queue(_)) => "queue_full",
        CommitErrorKind::Invalid(_) => "invalid",
        CommitErrorKind::Engine(EngineError::NoSpace) => "no_space",
        CommitErrorKind::Engine(EngineError::Poisoned(_)) => "poisoned",
        CommitErrorKind::Engine(EngineError::Closed) => "closed",
        CommitErrorKind::Engine(EngineError::Read(_)) => "read",
    }
}
