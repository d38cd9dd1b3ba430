//! How every queue of the router is worked off: check out a batch, read the state it needs at once, decide each input,
//! commit all steps in one call.
//!
//! Inputs of one batch that touch the same key are decided one after the other in their order: the later one sees what
//! the earlier one is about to write, and its step goes through only if that was written. What cannot be chained so
//! (it changes nothing itself, or follows a deletion) is passed over, with all that shares a key with it, and decided in
//! the next wave.
//!
//! ```text
//! batch   S(m1) R(a)→m1 R(a)→m1 S(m2) R(c)→m2        R(c): its id was not answered before
//! wave 1  S(m1) R(a)            S(m2) R(c)           one read, one commit; R(a) expects what S(m1) wrote
//! wave 2                R(a)                         a duplicate: nothing to write, so it waited to be sure
//! ```
//! A key under which nothing stands as a rule ([`Keys::and_new`]) is not read: looking for what is not there is the dearest read of
//! all. It is taken for absent, the engine compares, and a step that finds it taken is decided again by what it reads.
//!
//! Knows no rule of routing or correlation: a [`Hop`] has them. Invariant WK-1: a delivery is kept until its step was
//! answered; one whose step did not go through goes back to its queue.
//!
//! # Limits
//! On an engine that may leave a prefix of a step (JetStream), a redelivered input finds its own state written and is
//! taken for a duplicate: its outputs must then be published again before this node runs there.

use crate::metric;
use crate::outcome::{Fate, Outcome, View};
use crate::plan::{Plan, Plans};
use rustc_hash::{FxBuildHasher, FxHashSet};
use smsgw_message::{Clock, RecordError, Timestamp};
use smsgw_queue::{
    CommitErrorKind, Cost, DeadReason, Delivery, Engine, EngineError, QueueName, ReleaseReason, StateKey,
    Step, StepId, Want,
};
use smsgw_runtime::{ChildContext, ChildError};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tracing::{error, warn};

/// Records of one checkout: enough to share its reads and its commit, few enough that the processor is soon somebody else's.
const BATCH: usize = 64;
/// How long one checkout waits; a drain ends the wait.
const WAIT: Duration = Duration::from_secs(10);
/// How often a contended input is decided before it goes back to its queue.
const TRIES: u32 = 8;
/// How long a contended input then waits.
const CONTENDED_FOR: Duration = Duration::from_millis(100);
/// How long a worker waits when the disk is full.
const NO_SPACE_PAUSE: Duration = Duration::from_secs(1);
/// Waves for which new keys are read after one was there.
const READ_FOR: u32 = 64;
/// A key may name further keys: parked receipts the forms of their ids, a correlation its message, a message of another phone
/// the other forms of the id, and those their messages; nothing names a sixth.
const READS: usize = 5;

/// The keys that a decision reads or writes.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    keys: Vec<StateKey>,
    /// What stands under them may name others.
    are_open: bool,
    /// The one of them under which nothing stands as a rule.
    new: Option<StateKey>,
}

impl Keys {
    /// These and no others, whatever stands under them.
    pub(crate) fn all(keys: impl IntoIterator<Item = StateKey>) -> Self {
        Self {
            keys: keys.into_iter().collect(),
            are_open: false,
            new: None,
        }
    }

    /// And this one, which every decision that finds it absent writes, and which hardly ever is there before.
    pub(crate) fn and_new(mut self, key: Option<StateKey>) -> Self {
        self.keys.extend(key.clone());
        self.new = key;
        self
    }

    /// Those that are known from the view so far.
    pub(crate) fn so_far(keys: impl IntoIterator<Item = StateKey>) -> Self {
        Self {
            are_open: true,
            ..Self::all(keys)
        }
    }

    fn iter(&self) -> std::slice::Iter<'_, StateKey> {
        self.keys.iter()
    }
}

impl IntoIterator for Keys {
    type Item = StateKey;
    type IntoIter = std::vec::IntoIter<StateKey>;
    fn into_iter(self) -> Self::IntoIter {
        self.keys.into_iter()
    }
}

/// One kind of input: how to read it, which state it needs, what to do.
pub(crate) trait Hop: Send + Sync {
    /// What a record of the queue holds.
    type Input: Send + Sync;

    /// Reads a record.
    fn decode(&self, record: &[u8]) -> Result<Self::Input, Unreadable>;

    /// The keys that the decision reads or writes, as far as they are known from the view so far.
    fn keys(&self, plan: &Plan, input: &Self::Input, view: &View) -> Keys;

    /// What is to be decided instead when the step of an input was refused by what it found: a record that it takes out of
    /// its queue is not there, a counter that it takes from has too little. `None` where no step does such things.
    fn refused(&self, _input: &Self::Input, _why: &CommitErrorKind) -> Option<Self::Input> {
        None
    }

    /// Decides. Pure: the same arguments give the same outcome.
    fn decide(&self, plan: &Plan, now: Timestamp, id: StepId, input: &Self::Input, view: &View) -> Outcome;
}

/// A record that cannot be taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("record is not the text of a key this node owns")]
    NotAKey,
    #[error("message has no parts")]
    NoParts,
}

/// What the workers share.
#[derive(Debug, Clone)]
pub(crate) struct Shop {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) plans: Arc<Plans>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) presumption: Arc<Presumption>,
}

/// Whether new keys are taken for absent unread. Where one was not (a carrier whose receipts come before its answers), they are
/// read for a while.
#[derive(Debug, Default)]
pub(crate) struct Presumption {
    /// For so many waves.
    read: AtomicU32,
}

impl Presumption {
    /// Asked once for each wave.
    fn holds(&self) -> bool {
        let left = self
            .read
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.is_err()
    }

    fn failed(&self) {
        self.read.store(READ_FOR, Ordering::Relaxed);
    }
}

/// What is to be done with a delivery in the next wave it takes part in.
enum Task<I> {
    Decide(I),
    KeepAsCorrupt,
    GiveBack,
}

struct Item<I> {
    delivery: Delivery,
    task: Task<I>,
    tries: u32,
}

/// Works off a queue until told to drain; what is in hand is finished first.
pub(crate) async fn consume<H: Hop>(
    ctx: ChildContext,
    shop: Shop,
    queue: QueueName,
    hop: H,
) -> Result<(), ChildError> {
    ctx.ready();
    loop {
        let checkout = shop.engine.checkout(&queue, Want::new(BATCH, WAIT));
        let deliveries = tokio::select! {
            biased;
            () = ctx.draining() => return Ok(()),
            deliveries = checkout => deliveries,
        };
        let worked = match deliveries {
            Ok(deliveries) => work_off(&shop, &hop, &queue, deliveries).await,
            Err(error) => Err(error),
        };
        match worked {
            Ok(()) => {}
            Err(EngineError::NoSpace) => {
                warn!(%queue, "disk is full, waiting for room");
                tokio::select! {
                    () = ctx.draining() => return Ok(()),
                    () = tokio::time::sleep(NO_SPACE_PAUSE) => {}
                }
            }
            Err(EngineError::Closed) if ctx.is_draining() => return Ok(()),
            Err(error @ EngineError::Poisoned(_)) => return Err(ChildError::fatal(error)),
            Err(error @ (EngineError::Closed | EngineError::Read(_))) => return Err(error.into()),
        }
    }
}

/// Does one batch, wave by wave.
pub(crate) async fn work_off<H: Hop>(
    shop: &Shop,
    hop: &H,
    queue: &QueueName,
    deliveries: Vec<Delivery>,
) -> Result<(), EngineError> {
    let mut pending: Vec<Item<H::Input>> = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        let task = match hop.decode(delivery.record()) {
            Ok(input) => Task::Decide(input),
            Err(error) => {
                metric::CORRUPT_TOTAL.with(&[queue.as_str()]).inc();
                error!(%queue, record = delivery.id().as_u64(), %error, "record kept as corrupt");
                Task::KeepAsCorrupt
            }
        };
        pending.push(Item {
            delivery,
            task,
            tries: 0,
        });
    }
    while !pending.is_empty() {
        pending = wave(shop, hop, queue, pending).await?;
    }
    Ok(())
}

/// Decides and commits what does not stand in each other's way; gives back what is left, in order.
async fn wave<H: Hop>(
    shop: &Shop,
    hop: &H,
    queue: &QueueName,
    pending: Vec<Item<H::Input>>,
) -> Result<Vec<Item<H::Input>>, EngineError> {
    let plan = shop.plans.current().await;
    let mut view = View::default();
    let mut keys: Vec<Keys> = pending.iter().map(|_| Keys::default()).collect();
    let presumes = shop.presumption.holds();
    // Whose keys may name further ones.
    let mut open: Vec<usize> = (0..pending.len()).collect();
    for _ in 0..READS {
        let mut missing: Vec<StateKey> = Vec::new();
        let mut asked = FxHashSet::with_capacity_and_hasher(open.len(), FxBuildHasher);
        open.retain(|at| {
            let (Some(item), Some(keys)) = (pending.get(*at), keys.get_mut(*at)) else {
                return false;
            };
            *keys = keys_of(hop, &plan, item, &view);
            let mut lacks = false;
            for key in keys.iter().filter(|key| !view.has(key)) {
                if presumes && item.tries == 0 && keys.new.as_ref() == Some(key) {
                    continue;
                }
                lacks = true;
                if asked.insert(key.clone()) {
                    missing.push(key.clone());
                }
            }
            lacks && keys.are_open
        });
        if missing.is_empty() {
            break;
        }
        let values = shop.engine.get(missing.clone()).await?;
        view.reserve(missing.len());
        for (key, value) in missing.into_iter().zip(values) {
            view.insert(key, value);
        }
    }

    let mut presumed = Vec::with_capacity(pending.len());
    // Only whoever compares such a key may decide by it; who comes to name it later waits until it is read.
    let mut unread_keys = FxHashSet::default();
    for keys in &keys {
        let unread = keys.new.as_ref().filter(|key| !view.has(key));
        presumed.push(unread.is_some());
        if let Some(key) = unread {
            unread_keys.insert(key.clone());
            view.insert(key.clone(), None);
        }
    }

    let now = shop.clock.now();
    let mut steps = Vec::with_capacity(pending.len());
    let mut notes = Vec::with_capacity(pending.len());
    let mut chosen = Vec::with_capacity(pending.len());
    // Keys of inputs that were passed over: what comes behind them must wait too.
    let mut passed_over = FxHashSet::default();
    for (item, mut keys) in pending.iter().zip(keys) {
        // Promised since, or never read: it may name others now.
        if keys.are_open && !keys.iter().all(|key| view.is_as_read(key)) {
            keys = keys_of(hop, &plan, item, &view);
        }
        let id = StepId::of(&item.delivery);
        let (step, said) = match &item.task {
            Task::Decide(input) => {
                let is_unread =
                    |key: &StateKey| keys.are_open && unread_keys.contains(key) && view.is_as_read(key);
                let known = keys
                    .iter()
                    .all(|key| view.has(key) && !passed_over.contains(key) && !is_unread(key));
                let outcome = known.then(|| hop.decide(&plan, now, id, input, &view));
                match outcome.filter(|outcome| view.stands_or_falls(&outcome.step, &keys.keys)) {
                    Some(outcome) => (finish(outcome.step, outcome.fate, &item.delivery), outcome.notes),
                    None => {
                        passed_over.extend(keys);
                        chosen.push(false);
                        continue;
                    }
                }
            }
            Task::KeepAsCorrupt => (
                Step::new(id).dead_letter(&item.delivery, DeadReason::Corrupt),
                Vec::new(),
            ),
            Task::GiveBack => {
                let step = Step::new(id);
                let step = step.release(
                    &item.delivery,
                    CONTENDED_FOR,
                    ReleaseReason::Contended,
                    Cost::Free,
                );
                (step, Vec::new())
            }
        };
        view.promise(&step);
        steps.push(step);
        notes.push(said);
        chosen.push(true);
    }

    let mut answers = shop.engine.commit(steps).await.into_iter().zip(notes);
    let mut left = Vec::new();
    let mut refused = None;
    for ((mut item, chosen), presumed) in pending.into_iter().zip(chosen).zip(presumed) {
        if !chosen {
            left.push(item);
            continue;
        }
        let (answer, notes) = answers.next().expect("the contract: one answer for each step");
        match answer.map_err(|error| error.kind) {
            Ok(_) => notes.iter().for_each(|note| note.say(&plan, queue.as_str())),
            Err(CommitErrorKind::Stale { .. }) => metric::STALE_TOTAL.with(&[queue.as_str()]).inc(),
            Err(CommitErrorKind::Conflict { .. }) => {
                metric::CONTENDED_TOTAL.with(&[queue.as_str()]).inc();
                if presumed {
                    shop.presumption.failed();
                }
                left.extend(again(item));
            }
            Err(CommitErrorKind::Engine(error)) => refused = Some(error),
            Err(
                kind @ (CommitErrorKind::Floor { .. }
                | CommitErrorKind::NotACounter { .. }
                | CommitErrorKind::NoRecord { .. }
                | CommitErrorKind::Leased { .. }
                | CommitErrorKind::Full(_)),
            ) => {
                let instead = match &item.task {
                    Task::Decide(input) => hop.refused(input, &kind),
                    Task::KeepAsCorrupt | Task::GiveBack => None,
                };
                if let Some(instead) = instead {
                    item.task = Task::Decide(instead);
                    left.push(item);
                    continue;
                }
                // Nothing else adds or moves records, and each step has an input, which bounds do not refuse: whatever it
                // is, the input is not lost.
                error!(%queue, error = %kind, "step refused in a way that none of its changes explains");
                item.tries = TRIES;
                left.extend(again(item));
            }
            Err(CommitErrorKind::Invalid(error)) => {
                metric::CORRUPT_TOTAL.with(&[queue.as_str()]).inc();
                error!(%queue, record = item.delivery.id().as_u64(), %error, "what follows from this record cannot be stored, kept as corrupt");
                item.task = Task::KeepAsCorrupt;
                left.push(item);
            }
        }
    }
    refused.map_or(Ok(left), Err)
}

/// A contended input is decided once more, or goes back to its queue. One that cannot even go back is dropped here,
/// which gives its lease back.
fn again<I>(mut item: Item<I>) -> Option<Item<I>> {
    item.tries += 1;
    if item.tries > TRIES {
        if matches!(item.task, Task::GiveBack) {
            return None;
        }
        item.task = Task::GiveBack;
    }
    Some(item)
}

fn finish(step: Step, fate: Fate, delivery: &Delivery) -> Step {
    match fate {
        Fate::Settle => step.settle(delivery),
        Fate::Dead(reason) => step.dead_letter(delivery, reason),
    }
}

fn keys_of<H: Hop>(hop: &H, plan: &Plan, item: &Item<H::Input>, view: &View) -> Keys {
    match &item.task {
        Task::Decide(input) => hop.keys(plan, input, view),
        Task::KeepAsCorrupt | Task::GiveBack => Keys::default(),
    }
}
