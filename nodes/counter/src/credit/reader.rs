//! Follows the events log and the orders of administrators, settles what messages cost and writes the ledger.
//!
//! Events of a batch are read first and then all orders: what paid for an accept stands in the book before it. What each of
//! them moves `book` says. Invariant: counters, books, lines and both positions change in one step; a book is written by
//! compare, so that two readers of one log cannot both go on.

use super::book::{Book, Open};
use crate::metric;
use crate::turns::{Reader, give_way};
use smsgw_config::{ConfigHandle, CreditKind};
use smsgw_message::{
    Charge, ClientId, CreditAccounts, CreditOrder, Event, LedgerPage, MessageId, Record, RecordError, names,
};
use smsgw_queue::{
    CommitErrorKind, Engine, EngineError, Entry, Expected, Expiry, LogName, Position, StateKey, Step, StepId,
    Versioned,
};
use smsgw_routing::MicroUnits;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, info, warn};

/// The name of this reader of the events log and of the orders.
pub const READER: &str = "credit";
/// Entries of one step.
const BATCH: usize = 2_048;
/// How long one read waits; a drain ends the wait.
const WAIT: Duration = Duration::from_secs(10);
/// Lines of one entry of a ledger.
const PAGE: usize = 256;

/// An account in a currency.
type Purse = (ClientId, String);

/// The reader, for `turns`.
pub(super) struct CreditReader {
    engine: Arc<dyn Engine>,
    config: ConfigHandle,
    logs: Logs,
    /// The gauges of accounts that do not move are set.
    shown: bool,
}

impl CreditReader {
    pub(super) fn new(engine: Arc<dyn Engine>, config: ConfigHandle) -> Self {
        metric::CREDIT_LINES_TOTAL.register();
        metric::CREDIT_SKIPPED_TOTAL.register();
        Self {
            engine,
            config,
            logs: Logs::new(),
            shown: false,
        }
    }
}

impl Reader for CreditReader {
    async fn hold(&self) -> Result<(), CommitErrorKind> {
        self.logs.hold(&*self.engine).await
    }

    async fn turn(&mut self) -> Result<bool, CommitErrorKind> {
        if !self.shown {
            show_all(&*self.engine, &self.config).await?;
            self.shown = true;
        }
        turn(&*self.engine, &self.logs, &self.config).await
    }
}

struct Logs {
    events: LogName,
    orders: LogName,
}

impl Logs {
    fn new() -> Self {
        Self {
            events: LogName::from(names::EVENTS),
            orders: LogName::from(names::CREDIT_ORDERS),
        }
    }

    /// Becomes a reader of both, where it stands.
    async fn hold(&self, engine: &dyn Engine) -> Result<(), CommitErrorKind> {
        let at = self.positions(engine).await?;
        self.advance(step_id(at, b'h'), at)
            .commit(engine)
            .await
            .map(drop)
            .map_err(|error| error.kind)
    }

    async fn positions(&self, engine: &dyn Engine) -> Result<[Position; 2], EngineError> {
        Ok([
            engine.position(&self.events, READER).await?,
            engine.position(&self.orders, READER).await?,
        ])
    }

    fn advance(&self, id: StepId, [events, orders]: [Position; 2]) -> Step {
        Step::new(id)
            .advance(self.events.clone(), READER, events)
            .advance(self.orders.clone(), READER, orders)
    }
}

/// Waits for something, and does one step. True: there may be more at once.
async fn turn(engine: &dyn Engine, logs: &Logs, config: &ConfigHandle) -> Result<bool, CommitErrorKind> {
    let from = logs.positions(engine).await?;
    let [events_from, orders_from] = from;
    tokio::select! {
        found = engine.read(&logs.events, events_from, 1, WAIT) => drop(found?),
        found = engine.read(&logs.orders, orders_from, 1, WAIT) => drop(found?),
    }
    let mut events = engine
        .read(&logs.events, events_from, BATCH, Duration::ZERO)
        .await?;
    let orders = engine
        .read(&logs.orders, orders_from, BATCH, Duration::ZERO)
        .await?;
    let full = events.len() == BATCH || orders.len() == BATCH;
    if orders.len() == BATCH {
        // More orders may follow that paid for what the events say.
        events.clear();
    }
    if !events.is_empty() || !orders.is_empty() {
        fold(engine, logs, config, from, &events, &orders).await?;
    }
    Ok(full)
}

/// A charge that moved, as an event says.
struct Charged {
    event: Event,
    id: MessageId,
    client: ClientId,
    charge: Charge,
}

async fn fold(
    engine: &dyn Engine,
    logs: &Logs,
    config: &ConfigHandle,
    from: [Position; 2],
    events: &[Entry],
    orders: &[Entry],
) -> Result<(), CommitErrorKind> {
    let after = |entries: &[Entry], from| entries.last().map_or(from, |entry| entry.position.next());
    let to = [after(events, from[0]), after(orders, from[1])];
    let mut moved: Vec<Charged> = Vec::new();
    for entry in events {
        give_way(entry.position).await;
        moved.extend(charged(entry));
    }
    let charged = moved;
    let orders: Vec<CreditOrder> = orders.iter().filter_map(decoded).collect();
    let mut books = Books::read(engine, &charged, &orders).await?;
    for order in &orders {
        if let Some(open) = books.open(&order.client, &order.currency) {
            open.handle_order(order);
        }
    }
    for charged in &charged {
        if let Some(open) = books.open(&charged.client, &charged.charge.currency) {
            open.handle_event(&charged.event, charged.id, &charged.charge);
        }
    }
    let step = books.write(logs.advance(step_id(to, b'f'), to));
    step.commit(engine).await.map_err(|error| error.kind)?;
    books.show(config);
    Ok(())
}

/// What an event says of money, when it does.
fn charged(entry: &Entry) -> Option<Charged> {
    if !Event::may_be_charged(&entry.record) {
        return None;
    }
    let mut event: Event = decoded(entry)?;
    let charge = event.charge.take()?;
    Some(Charged {
        id: event.message?,
        client: event.client.clone()?,
        charge,
        event,
    })
}

fn decoded<R: Record>(entry: &Entry) -> Option<R> {
    R::from_record(&entry.record)
        .inspect_err(|error| {
            metric::CREDIT_SKIPPED_TOTAL.with(&[]).inc();
            error!(position = entry.position.0, %error, "a record that may move money cannot be decoded and is passed over");
        })
        .ok()
}

/// The books of a batch.
struct Books {
    books: BTreeMap<Purse, (Expected, Book, Open)>,
    /// With who is new in it, if anybody is.
    accounts: Option<(Expected, CreditAccounts)>,
}

impl Books {
    async fn read(
        engine: &dyn Engine,
        charged: &[Charged],
        orders: &[CreditOrder],
    ) -> Result<Self, CommitErrorKind> {
        let mut purses: Vec<Purse> = charged
            .iter()
            .map(|charged| (charged.client.clone(), charged.charge.currency.clone()))
            .chain(
                orders
                    .iter()
                    .map(|order| (order.client.clone(), order.currency.clone())),
            )
            .collect();
        purses.sort_unstable();
        purses.dedup();
        if purses.is_empty() {
            return Ok(Self {
                books: BTreeMap::new(),
                accounts: None,
            });
        }
        let keys = purses.iter().map(book_key);
        let keys = std::iter::once(StateKey::from(names::CREDIT)).chain(keys);
        let mut found = engine.get(keys.collect()).await?.into_iter();
        let (expected, mut accounts) = read::<CreditAccounts>(found.next().flatten())?;
        let before = accounts.accounts.len();
        let mut books = BTreeMap::new();
        for (purse, there) in purses.into_iter().zip(found) {
            let (expected, book) = read::<Book>(there)?;
            if !accounts.accounts.contains(&purse) {
                accounts.accounts.push(purse.clone());
            }
            books.insert(purse, (expected, book, Open::of(book)));
        }
        let accounts = (accounts.accounts.len() > before).then_some((expected, accounts));
        Ok(Self { books, accounts })
    }

    fn open(&mut self, client: &ClientId, currency: &str) -> Option<&mut Open> {
        let purse = (client.clone(), currency.to_owned());
        self.books.get_mut(&purse).map(|(_, _, open)| open)
    }

    fn write(&self, mut step: Step) -> Step {
        if let Some((expected, accounts)) = &self.accounts {
            step = step.compare_and_put(names::CREDIT, *expected, accounts.to_record(), Expiry::Owner);
        }
        for (purse, (expected, _, open)) in &self.books {
            let (client, currency) = purse;
            step = step.compare_and_put(book_key(purse), *expected, open.book.to_record(), Expiry::Owner);
            for (what, amount) in [
                (names::CREDIT_BALANCE, open.moves.balance),
                (names::CREDIT_RESERVED, open.moves.reserved),
                (names::CREDIT_CHARGED, open.moves.charged),
            ] {
                if amount != 0 {
                    step = step.add(names::credit(client, currency, what), amount, None, Expiry::Owner);
                }
            }
            for lines in open.moves.lines.chunks(PAGE) {
                let page = LedgerPage {
                    currency: currency.clone(),
                    lines: lines.to_vec(),
                };
                step = step.append(names::ledger(client), page.to_record());
            }
        }
        step
    }

    /// After the commit: metrics, and alarms of balances that went below their level.
    fn show(&self, config: &ConfigHandle) {
        for ((client, currency), (_, before, open)) in &self.books {
            for line in &open.moves.lines {
                let labels = [client.as_str(), line.movement.as_str()];
                metric::CREDIT_LINES_TOTAL.with(&labels).inc();
            }
            let now = open.book.balance;
            let Some(low) = show(config, client, currency, now) else {
                continue;
            };
            let balance = MicroUnits::new(now);
            match (before.balance < low, now < low) {
                (false, true) => warn!(%client, %balance, currency, "the balance of an account is low"),
                (true, false) => {
                    info!(%client, %balance, currency, "the balance of an account is no longer low")
                }
                (false, false) | (true, true) => {}
            }
        }
    }
}

/// Sets the gauges of an account; gives the level below which its balance is low.
fn show(config: &ConfigHandle, client: &ClientId, currency: &str, balance: i64) -> Option<i64> {
    let config = config.config();
    let credit = &config.client.get(client)?.credit;
    if credit.kind == CreditKind::None || credit.currency.as_str() != currency {
        return None;
    }
    metric::CREDIT_BALANCE_MICRO
        .with(&[client.as_str(), currency])
        .set(balance);
    let low = credit.low_balance?.as_i64();
    metric::CREDIT_LOW
        .with(&[client.as_str()])
        .set(i64::from(balance < low));
    Some(low)
}

/// The gauges of all prepaid accounts, as their books stand.
async fn show_all(engine: &dyn Engine, config: &ConfigHandle) -> Result<(), CommitErrorKind> {
    let now = config.config();
    let prepaid = now
        .client
        .iter()
        .filter(|(_, client)| client.credit.kind == CreditKind::Prepaid);
    let purses: Vec<Purse> = prepaid
        .map(|(id, client)| (id.clone(), client.credit.currency.to_string()))
        .collect();
    if purses.is_empty() {
        return Ok(());
    }
    let found = engine.get(purses.iter().map(book_key).collect()).await?;
    for (purse, there) in purses.iter().zip(found) {
        let (_, book) = read::<Book>(there)?;
        show(config, &purse.0, &purse.1, book.balance);
    }
    Ok(())
}

fn book_key((client, currency): &Purse) -> StateKey {
    StateKey::from(names::credit(client, currency, "book"))
}

/// A record of state, and what is to be expected there when it is written.
fn read<R: Record + Default>(there: Option<Versioned>) -> Result<(Expected, R), CommitErrorKind> {
    let Some(there) = there else {
        return Ok((Expected::Absent, R::default()));
    };
    let record = R::from_record(&there.value).map_err(|error: RecordError| {
        // Money must not be counted from zero again: nothing moves until a person has looked.
        EngineError::Read(format!("a record of credit cannot be decoded: {error}"))
    })?;
    Ok((Expected::Version(there.version), record))
}

/// The positions say which batch it is; the first letters keep these ids apart from those of records.
fn step_id([events, orders]: [Position; 2], kind: u8) -> StepId {
    // 40 bits of orders: a million a day for three thousand years.
    let [_, _, _, a, b, c, d, e] = orders.0.to_be_bytes();
    let mut id = [0; 16];
    let (head, tail) = id.split_at_mut(8);
    head.copy_from_slice(&[b'c', b'r', kind, a, b, c, d, e]);
    tail.copy_from_slice(&events.0.to_be_bytes());
    StepId::from_bytes(id)
}
