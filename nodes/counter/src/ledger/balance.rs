//! Proves that the ledger balances, and names what breaks it.
//!
//! ```text
//! accepted = delivered + failed + expired + rejected + cancelled + ended as sent + open      of each client, in messages
//! given    = sent + refused + taken back + waiting in its queue                              of each operator, in parts
//! ```
//! *Open* is counted twice: by the totals (accepted less ended), and by going through the ids of the minutes that do not
//! balance and looking at the record of each message (`msg/<id>`). *Waiting* is what the engine says of the queue. A doubt
//! that may come from events that are not counted yet is looked at again once the counter has passed them.
//!
//! Reads only. Invariant BL-1: what is reported as broken is so at a position of the events log; what only may be is not.
//!
//! # Limits
//! While messages flow, totals and queues are never seen at the same moment: then operators are not compared, which the
//! answer says (`settled`), nor the open messages of each client; ids are checked all the same.

use super::{Ids, ids_key, is_other, minute_of, minutes, open};
use crate::dimension::Dimension;
use crate::period::Period;
use crate::reader::READER;
use crate::row::{Count, Row};
use crate::sheet::{ReadError, listing, row_key, rows};
use smsgw_message::{MessageId, MessageLife, OperatorId, Record, names};
use smsgw_queue::{Engine, LogName, Place, Position, QueueName, StateKey};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// Records of messages that are read at once.
const CHUNK: usize = 512;
/// Most ids that are named.
const NAMED: usize = 1_000;
/// How often the counter is looked at while it catches up.
const LOOK: Duration = Duration::from_millis(50);

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// It was accepted and has not ended, and there is no record of it.
    Lost,
    /// Its record says that it has ended; no end was counted.
    EndNotCounted,
    /// More than one end was counted.
    EndedTwice,
    /// An end was counted and no accept.
    EndedUnknown,
    /// More than one accept was counted.
    AcceptedTwice,
    /// Its record cannot be decoded.
    Unreadable,
}

impl Fault {
    /// The word in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::EndNotCounted => "end_not_counted",
            Self::EndedTwice => "ended_twice",
            Self::EndedUnknown => "ended_unknown",
            Self::AcceptedTwice => "accepted_twice",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A message that breaks the balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Broken {
    /// Which.
    pub message: MessageId,
    /// How.
    pub fault: Fault,
}

/// The ledger of one client, in messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientBalance {
    /// Its name.
    pub client: String,
    /// Its totals.
    pub totals: Row,
    /// Open messages by their records; `None`: they were not all looked at, or at no one moment.
    pub found_open: Option<u64>,
}

impl ClientBalance {
    /// Open by the totals: accepted less ended. Below zero, more have ended than were accepted.
    pub fn open(&self) -> i128 {
        i128::from(self.totals.get(Count::Accepted)) - i128::from(self.totals.ended())
    }

    /// By how much the two disagree; 0 where they were not compared.
    pub fn difference(&self) -> i128 {
        match self.found_open {
            Some(found) => self.open() - i128::from(found),
            None => self.open().min(0),
        }
    }
}

/// The ledger of one operator, in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorBalance {
    /// Its name.
    pub operator: String,
    /// Its totals.
    pub totals: Row,
    /// Parts in its queue, those that are held or set aside among them.
    pub waiting: u64,
    /// Totals and queue were seen at the same moment.
    pub settled: bool,
}

impl OperatorBalance {
    /// Open by the totals: given less sent, refused and taken back.
    pub fn open(&self) -> i128 {
        let of = |count| i128::from(self.totals.get(count));
        of(Count::PartsGiven) - of(Count::Sent) - of(Count::Refused) - of(Count::PartsTakenBack)
    }

    /// By how much the two disagree; 0 where they were not compared.
    pub fn difference(&self) -> i128 {
        if self.settled {
            self.open() - i128::from(self.waiting)
        } else {
            0
        }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    /// The position of the events log up to which it is.
    pub position: Position,
    /// Events that were not counted yet.
    pub lag: u64,
    /// Each client that ever had a message.
    pub clients: Vec<ClientBalance>,
    /// Each operator that ever had a part.
    pub operators: Vec<OperatorBalance>,
    /// Messages that are open by the minutes of the ledger.
    pub open: u64,
    /// How many of them were looked at, oldest first.
    pub checked: u64,
    /// By how much the totals of all clients and the minutes disagree; 0 when they are right.
    pub totals_differ: i128,
    /// What breaks it, at most a thousand.
    pub broken: Vec<Broken>,
    /// There are more.
    pub more_broken: bool,
}

impl Balance {
    /// Nothing is broken.
    pub fn holds(&self) -> bool {
        self.broken.is_empty()
            && self.totals_differ == 0
            && self.clients.iter().all(|client| client.difference() == 0)
            && self.operators.iter().all(|operator| operator.difference() == 0)
    }

    /// Everything could be compared: nothing moved meanwhile, and every open message was looked at.
    pub fn is_settled(&self) -> bool {
        self.checked >= self.open
            && self.clients.iter().all(|client| client.found_open.is_some())
            && self.operators.iter().all(|operator| operator.settled)
    }
}

/// How far to go.
#[derive(Debug, Clone, Copy)]
pub struct Scope {
    /// Most open messages whose records are looked at.
    pub at_most: u64,
    /// How long to wait for the counter to catch up, and for a moment at which nothing moves.
    pub patience: Duration,
}

/// Looks whether the ledger balances.
pub async fn balance(engine: &dyn Engine, scope: Scope) -> Result<Balance, ReadError> {
    let log = LogName::from(smsgw_message::names::EVENTS);
    let deadline = Instant::now() + scope.patience;
    loop {
        let before = engine.position(&log, READER).await?;
        let end = engine.log_end(&log);
        let mut found = look(engine, scope, before).await?;
        found.lag = end.0.saturating_sub(before.0);
        confirm(engine, &log, &mut found, deadline).await?;
        let after = engine.position(&log, READER).await?;
        let still = before == after && end == engine.log_end(&log) && before == end;
        if before != after {
            // Totals and minutes may be of two positions.
            found.totals_differ = 0;
        }
        if !still {
            found
                .clients
                .iter_mut()
                .for_each(|client| client.found_open = None);
            found
                .operators
                .iter_mut()
                .for_each(|operator| operator.settled = false);
        }
        if (still && found.holds()) || Instant::now() >= deadline {
            return Ok(found);
        }
        // A step may have been committed between looking at its queue and at the log: only what stays is broken.
        tokio::time::sleep(LOOK).await;
        if still && same(engine, &log, end).await? {
            return Ok(found);
        }
    }
}

async fn same(engine: &dyn Engine, log: &LogName, end: Position) -> Result<bool, ReadError> {
    Ok(engine.log_end(log) == end && engine.position(log, READER).await? == end)
}

async fn totals(engine: &dyn Engine, dimension: Dimension) -> Result<Vec<(String, Row)>, ReadError> {
    let names = listing(engine, Period::Ever, dimension).await?.values;
    let mut all = Vec::with_capacity(names.len());
    for names in names.chunks(CHUNK) {
        let keys = names.iter().map(|name| row_key(Period::Ever, dimension, name));
        let found = rows(engine, keys.collect()).await?;
        all.extend(names.iter().cloned().zip(found));
    }
    Ok(all)
}

async fn look(engine: &dyn Engine, scope: Scope, position: Position) -> Result<Balance, ReadError> {
    let clients = totals(engine, Dimension::Client).await?;
    let operators = totals(engine, Dimension::Operator).await?;
    let at = open(engine).await?;
    let known = minutes(engine, &at).await?;
    let mut of_minutes = 0_i128;
    let (mut open_by_minutes, mut walk) = (0, Walk::default());
    for minute in known.iter().flatten() {
        of_minutes += i128::from(minute.accepted) - i128::from(minute.ended);
        open_by_minutes += minute.accepted.saturating_sub(minute.ended);
    }
    for (at, minute) in at.iter().zip(&known) {
        let Some(minute) = minute else { continue };
        if walk.checked >= scope.at_most {
            break;
        }
        if !minute.balances() {
            walk.minute(engine, *at, minute.entries, scope.at_most).await?;
        }
    }
    let walked_all = walk.checked >= open_by_minutes;
    let of_totals: i128 = clients
        .iter()
        .map(|(_, row)| i128::from(row.get(Count::Accepted)) - i128::from(row.ended()))
        .sum();
    let operators = operators.into_iter().map(|(operator, totals)| OperatorBalance {
        waiting: waiting(engine, &operator),
        // What has no totals of its own has no queue of its own either.
        settled: !is_other(&operator),
        operator,
        totals,
    });
    let operators = operators.collect();
    Ok(Balance {
        position,
        lag: 0,
        clients: clients
            .into_iter()
            .map(|(client, totals)| ClientBalance {
                found_open: (walked_all && !is_other(&client))
                    .then(|| walk.open.get(&client).copied().unwrap_or(0)),
                client,
                totals,
            })
            .collect(),
        operators,
        open: open_by_minutes,
        checked: walk.checked,
        totals_differ: of_totals - of_minutes,
        more_broken: walk.broken.len() > NAMED,
        broken: walk.broken.into_iter().take(NAMED).collect(),
    })
}

fn waiting(engine: &dyn Engine, operator: &str) -> u64 {
    let Ok(operator) = OperatorId::try_new(operator) else {
        return 0;
    };
    let depth = engine.depth(&QueueName::from(names::mt_operator(&operator)));
    Place::ALL.into_iter().map(|place| depth.at(place)).sum()
}

/// Goes through the ids of minutes.
#[derive(Debug, Default)]
struct Walk {
    checked: u64,
    /// Open messages by client.
    open: BTreeMap<String, u64>,
    broken: BTreeSet<Broken>,
}

impl Walk {
    async fn minute(
        &mut self,
        engine: &dyn Engine,
        at: i64,
        entries: u32,
        at_most: u64,
    ) -> Result<(), ReadError> {
        let mut sides: BTreeMap<[u8; 16], (u32, u32)> = BTreeMap::new();
        for n in 0..entries {
            let key = ids_key(at, n);
            let found = engine.get(vec![key.clone()]).await?;
            // Gone meanwhile: the minute balances by now.
            let Some(there) = found.into_iter().next().flatten() else {
                return Ok(());
            };
            let ids = Ids::from_record(&there.value).map_err(|error| ReadError::Broken { key, error })?;
            for id in ids.accepted.as_chunks::<16>().0 {
                sides.entry(*id).or_default().0 += 1;
            }
            for id in ids.ended.as_chunks::<16>().0 {
                sides.entry(*id).or_default().1 += 1;
            }
        }
        let mut still_open = Vec::new();
        for (id, (accepted, ended)) in sides {
            let message = MessageId::from_bytes(id);
            let fault = match (accepted, ended) {
                (1, 1) => continue,
                (1, 0) => {
                    still_open.push(message);
                    continue;
                }
                (0, _) => Fault::EndedUnknown,
                (1, _) => Fault::EndedTwice,
                (_, _) => Fault::AcceptedTwice,
            };
            self.broken.insert(Broken { message, fault });
        }
        let room = usize::try_from(at_most.saturating_sub(self.checked)).unwrap_or(usize::MAX);
        still_open.truncate(room);
        for messages in still_open.chunks(CHUNK) {
            self.records(engine, messages).await?;
        }
        Ok(())
    }

    async fn records(&mut self, engine: &dyn Engine, messages: &[MessageId]) -> Result<(), ReadError> {
        let keys: Vec<StateKey> = messages.iter().map(|id| names::message(*id).into()).collect();
        for (message, there) in messages.iter().zip(engine.get(keys).await?) {
            self.checked += 1;
            let fault = match there.map(|there| MessageLife::from_record(&there.value)) {
                None => Fault::Lost,
                Some(Err(_)) => Fault::Unreadable,
                Some(Ok(life)) if life.is_final => Fault::EndNotCounted,
                Some(Ok(life)) => {
                    *self.open.entry(life.message.client.to_string()).or_default() += 1;
                    continue;
                }
            };
            self.broken.insert(Broken {
                message: *message,
                fault,
            });
        }
        Ok(())
    }
}

/// Looks again at what may only be late: once the counter has passed what was written until now.
async fn confirm(
    engine: &dyn Engine,
    log: &LogName,
    found: &mut Balance,
    deadline: Instant,
) -> Result<(), ReadError> {
    let may_be_late = |broken: &Broken| match broken.fault {
        Fault::Lost | Fault::EndNotCounted | Fault::EndedUnknown => true,
        Fault::EndedTwice | Fault::AcceptedTwice | Fault::Unreadable => false,
    };
    let doubts: BTreeSet<i64> = found
        .broken
        .iter()
        .filter(|broken| may_be_late(broken))
        .map(|broken| minute_of(broken.message))
        .collect();
    if doubts.is_empty() {
        return Ok(());
    }
    let end = engine.log_end(log);
    while engine.position(log, READER).await? < end {
        if Instant::now() >= deadline {
            // Nobody knows: it is not called broken.
            found.broken.retain(|broken| !may_be_late(broken));
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    let at: Vec<i64> = doubts.into_iter().collect();
    let mut again = Walk::default();
    for (at, minute) in at.iter().zip(minutes(engine, &at).await?) {
        if let Some(minute) = minute.filter(|minute| !minute.balances()) {
            again.minute(engine, *at, minute.entries, u64::MAX).await?;
        }
    }
    // What is new now may be late in its turn: only what was seen both times stays.
    found
        .broken
        .retain(|broken| !may_be_late(broken) || again.broken.contains(broken));
    Ok(())
}
