//! The totals of one period as they stand in state, held in memory while they are added to.
//!
//! ```text
//! count/<period>/<dimension>          which values there are (Listing)
//! count/<period>/<dimension>/<value>  the totals of one (StoredRow)
//! ```
//! Invariant SH-1: a row that was not read is not written: what stands in state is never replaced by less.

use crate::dimension::{Dimension, SENDERS_OF_CLIENT};
use crate::period::Period;
use crate::row::{OTHER, Row, StoredRow};
use minicbor::{Decode, Encode};
use rustc_hash::FxHashMap;
use smsgw_message::{Record, RecordError, Timestamp};
use smsgw_queue::{Engine, EngineError, Expiry, StateKey, Step};
use thiserror::Error;

/// The values of a dimension in a period, in the order in which they came.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub(crate) struct Listing {
    #[n(0)]
    pub(crate) values: Vec<String>,
}

impl Record for Listing {
    const KIND: u8 = 61;
    const VERSION: u8 = 1;
}

/// Why totals cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The engine refuses.
    #[error("failed to read totals")]
    Engine(#[from] EngineError),
    /// Something else stands where totals belong.
    #[error("what stands under {key} cannot be decoded")]
    Broken {
        /// Where.
        key: StateKey,
        /// What is wrong with it.
        #[source]
        error: RecordError,
    },
}

pub(crate) fn listing_key(period: Period, dimension: Dimension) -> StateKey {
    StateKey::from(format!("count/{period}/{}", dimension.as_str()))
}

pub(crate) fn row_key(period: Period, dimension: Dimension, value: &str) -> StateKey {
    StateKey::from(format!("count/{period}/{}/{value}", dimension.as_str()))
}

/// The values of a dimension in a period.
pub(crate) async fn listing(
    engine: &dyn Engine,
    period: Period,
    dimension: Dimension,
) -> Result<Listing, ReadError> {
    let key = listing_key(period, dimension);
    let found = engine.get(vec![key.clone()]).await?;
    match found.into_iter().next().flatten() {
        None => Ok(Listing::default()),
        Some(there) => Listing::from_record(&there.value).map_err(|error| ReadError::Broken { key, error }),
    }
}

/// Rows under these keys; an absent one is empty.
pub(crate) async fn rows(engine: &dyn Engine, keys: Vec<StateKey>) -> Result<Vec<Row>, ReadError> {
    let found = engine.get(keys.clone()).await?;
    let read = keys.into_iter().zip(found).map(|(key, there)| match there {
        None => Ok(Row::default()),
        Some(there) => Row::from_stored(&there.value).map_err(|error| ReadError::Broken { key, error }),
    });
    read.collect()
}

#[derive(Debug)]
struct Held {
    key: StateKey,
    /// `None`: it stands in state and was not read yet.
    row: Option<Row>,
    dirty: bool,
}

#[derive(Debug, Default)]
struct Column {
    known: FxHashMap<Box<str>, usize>,
    held: Vec<Held>,
    /// Values by client, for senders.
    of_client: FxHashMap<Box<str>, u32>,
    grown: bool,
    dirty: Vec<usize>,
}

impl Column {
    fn insert(&mut self, key: StateKey, value: &str, row: Option<Row>) -> usize {
        if let Some((client, sender)) = value.split_once('/')
            && sender != OTHER
        {
            *self.of_client.entry(client.into()).or_default() += 1;
        }
        let place = self.held.len();
        self.held.push(Held {
            key,
            row,
            dirty: false,
        });
        self.known.insert(value.into(), place);
        place
    }
}

/// The totals of one period.
#[derive(Debug)]
pub(crate) struct Sheet {
    pub(crate) period: Period,
    columns: [Column; 6],
    last: Timestamp,
}

impl Sheet {
    /// What stands in state: which values there are. Their rows are read when they are needed.
    pub(crate) async fn load(engine: &dyn Engine, period: Period) -> Result<Self, ReadError> {
        let mut columns: [Column; 6] = Default::default();
        for (dimension, column) in Dimension::ALL.into_iter().zip(&mut columns) {
            if period == Period::Ever && !dimension.has_ever() {
                continue;
            }
            for value in listing(engine, period, dimension).await?.values {
                column.insert(row_key(period, dimension, &value), &value, None);
            }
        }
        Ok(Self {
            period,
            columns,
            last: Timestamp::from_millis(0),
        })
    }

    /// Whether the value has totals of its own here, or may get them.
    pub(crate) fn has_room(&self, dimension: Dimension, value: &str) -> bool {
        let Some(column) = self.columns.get(dimension.place()) else {
            return false;
        };
        if column.known.contains_key(value) {
            return true;
        }
        let room = column.known.len() < dimension.most();
        match (dimension, value.split_once('/')) {
            (Dimension::Sender, Some((client, _))) => {
                room && column.of_client.get(client).copied().unwrap_or(0) < SENDERS_OF_CLIENT
            }
            (
                Dimension::Client
                | Dimension::Operator
                | Dimension::Route
                | Dimension::Country
                | Dimension::Class
                | Dimension::Sender,
                _,
            ) => room,
        }
    }

    /// Makes a place for the value now, so that what comes later finds less room.
    pub(crate) fn take_room(&mut self, dimension: Dimension, value: &str) -> usize {
        let period = self.period;
        let column = self
            .columns
            .get_mut(dimension.place())
            .expect("a column for each dimension");
        if let Some(place) = column.known.get(value) {
            return *place;
        }
        column.grown = true;
        column.insert(row_key(period, dimension, value), value, Some(Row::default()))
    }

    /// The key of a row that must be read before it can be added to.
    pub(crate) fn unread(&mut self, dimension: Dimension, value: &str) -> Option<(usize, StateKey)> {
        let place = self.take_room(dimension, value);
        let held = self.columns.get(dimension.place())?.held.get(place)?;
        held.row.is_none().then(|| (place, held.key.clone()))
    }

    /// What stands in state under that key.
    pub(crate) fn read(&mut self, dimension: Dimension, place: usize, row: Row) {
        let column = self.columns.get_mut(dimension.place());
        if let Some(held) = column.and_then(|column| column.held.get_mut(place)) {
            held.row.get_or_insert(row);
        }
    }

    /// Adds to a row that was read.
    pub(crate) fn merge(&mut self, dimension: Dimension, value: &str, more: &Row, at: Timestamp) {
        let place = self.take_room(dimension, value);
        self.last = self.last.max(at);
        let Some(column) = self.columns.get_mut(dimension.place()) else {
            return;
        };
        if let Some(held) = column.held.get_mut(place) {
            let row = held.row.as_mut().expect("rows are read before they are added to");
            row.merge(more);
            if !std::mem::replace(&mut held.dirty, true) {
                column.dirty.push(place);
            }
        }
    }

    /// Writes what was added to.
    pub(crate) fn write(&mut self, mut step: Step) -> Step {
        let expires = self.period.expires_at(self.last);
        for (dimension, column) in Dimension::ALL.into_iter().zip(&mut self.columns) {
            for place in column.dirty.drain(..) {
                if let Some(held) = column.held.get_mut(place)
                    && let Some(row) = &held.row
                {
                    held.dirty = false;
                    step = step.put(
                        held.key.clone(),
                        StoredRow::from(row).to_record(),
                        Expiry::At(expires),
                    );
                }
            }
            // The listing of all time lives as long as the rows it names.
            let renewed = self.period == Period::Ever && !column.held.is_empty();
            if std::mem::take(&mut column.grown) || renewed {
                let mut values: Vec<(usize, &str)> = column
                    .known
                    .iter()
                    .map(|(value, place)| (*place, &**value))
                    .collect();
                values.sort_unstable();
                let values = values.into_iter().map(|(_, value)| value.to_owned()).collect();
                let listing = Listing { values }.to_record();
                step = step.put(listing_key(self.period, dimension), listing, Expiry::At(expires));
            }
        }
        step
    }
}
