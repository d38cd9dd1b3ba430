//! State of the memory engine: values by key, and what happens to them at their time.
//!
//! Invariant: a key stands in `times` exactly when its value expires or has an alarm, with that time.

use crate::delivery::Versioned;
use crate::name::{Lane, QueueName, StateKey};
use crate::step::{Expected, Expiry, StepId};
use bytes::Bytes;
use smsgw_message::Timestamp;
use std::collections::{BTreeSet, HashMap};

/// A value and when it goes away.
#[derive(Debug, Clone)]
pub(super) struct Value {
    pub(super) value: Bytes,
    pub(super) version: u64,
    pub(super) written_by: StepId,
    pub(super) expiry: Expiry,
}

impl Value {
    pub(super) fn to_versioned(&self) -> Versioned {
        Versioned {
            value: self.value.clone(),
            version: self.version,
            written_by: self.written_by,
        }
    }

    fn time(&self) -> Option<Timestamp> {
        match self.expiry {
            Expiry::At(at) | Expiry::Alarm(at, ..) => Some(at),
            Expiry::Owner => None,
        }
    }
}

/// How a compare went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compared {
    Matches,
    Differs,
}

/// What a time that came has done.
#[derive(Debug)]
pub(super) enum Fired {
    Expired,
    Alarm(StateKey, QueueName, Lane),
}

/// Values by key.
#[derive(Debug, Default)]
pub(super) struct State {
    /// With a seeded hash: clients choose some of the keys.
    values: HashMap<StateKey, Value>,
    times: BTreeSet<(Timestamp, StateKey)>,
}

impl State {
    /// What is under a key; what has expired is absent even before it is deleted.
    pub(super) fn get(&self, key: &StateKey, now: Timestamp) -> Option<&Value> {
        self.values.get(key).filter(|value| match value.expiry {
            Expiry::At(at) => at > now,
            Expiry::Alarm(..) | Expiry::Owner => true,
        })
    }

    /// Whether a key is as expected.
    pub(super) fn compare(&self, key: &StateKey, expected: Expected, now: Timestamp) -> Compared {
        let matches = match (expected, self.get(key, now)) {
            (Expected::Any, _) | (Expected::Absent, None) => true,
            (Expected::Version(version), Some(value)) => value.version == version,
            (Expected::WrittenBy(step), Some(value)) => value.written_by == step,
            (Expected::Absent, Some(_)) | (Expected::Version(_) | Expected::WrittenBy(_), None) => false,
        };
        if matches {
            Compared::Matches
        } else {
            Compared::Differs
        }
    }

    /// Writes or deletes a key; returns what was there.
    pub(super) fn replace(&mut self, key: &StateKey, value: Option<Value>) -> Option<Value> {
        let time = value.as_ref().and_then(Value::time);
        let before = match value {
            Some(value) => self.values.insert(key.clone(), value),
            None => self.values.remove(key),
        };
        if let Some(at) = before.as_ref().and_then(Value::time) {
            self.times.remove(&(at, key.clone()));
        }
        if let Some(at) = time {
            self.times.insert((at, key.clone()));
        }
        before
    }

    /// When the next value expires or has its alarm.
    pub(super) fn next_time(&self) -> Option<Timestamp> {
        self.times.first().map(|(at, _)| *at)
    }

    /// Does what is due: one expiry or one alarm.
    pub(super) fn fire(&mut self, now: Timestamp) -> Option<Fired> {
        self.times.first().filter(|(at, _)| *at <= now)?;
        let (_, key) = self.times.pop_first()?;
        let value = self.values.get_mut(&key).expect("a key with a time has a value");
        match std::mem::replace(&mut value.expiry, Expiry::Owner) {
            Expiry::Alarm(_, queue, lane) => Some(Fired::Alarm(key, queue, lane)),
            Expiry::At(_) => {
                self.values.remove(&key);
                Some(Fired::Expired)
            }
            Expiry::Owner => unreachable!("a value that its owner deletes has no time"),
        }
    }
}
