//! What the carrier owes, as lines of a file that outlives it: deliveries made, and deliveries that are over.
//!
//! Knows no machine. Invariant: a delivery is owed from its own line on until the line that says it is over; what a killed
//! writer left of a line counts for nothing.
//!
//! ```text
//! {"type":"owed","number":7,"account":"test","command":5,"body":"0001…","due":1795248000107,"receipt":{"id":"1795…","at":…},"mo":null}
//! {"type":"over","number":7}
//! ```
//!
//! # Limits
//! The file grows with every delivery, as a ledger does. Who removes it between two lives remits the debts. A receipt of a
//! message that was cancelled is told all the same, when its life ends before it is due.

use super::mo::MoPart;
use crate::ledger::{self, LedgerError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum OwedRecord {
    /// A delivery was made.
    Owed(Owed),
    /// It was taken, refused for good, cancelled or forgotten.
    Over {
        /// Which.
        number: u64,
    },
}

/// A delivery that is not over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owed {
    /// Tells those apart that are owed at one time.
    pub(super) number: u64,
    /// Whose.
    pub(super) account: String,
    /// deliver_sm or data_sm.
    pub(super) command: u32,
    #[serde(with = "octets")]
    pub(super) body: Vec<u8>,
    /// When it is to be sent, in milliseconds since 1970.
    pub(super) due: i64,
    /// The message that it tells of, when it is a receipt.
    pub(super) receipt: Option<Told>,
    /// The part that it carries, when it is of a message from a phone.
    pub(super) mo: Option<MoPart>,
}

/// The message of a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    /// Its id, as the receipt has it.
    pub(super) id: String,
    /// When it came, in milliseconds since 1970.
    pub(super) at: i64,
}

/// What an earlier life still owes, in the order in which it was made; nothing where there is no file yet.
pub(super) fn read(path: &Path) -> Result<Vec<Owed>, LedgerError> {
    let mut owed = BTreeMap::new();
    if path.exists() {
        ledger::each(path, |record| match record {
            OwedRecord::Owed(made) => drop(owed.insert(made.number, made)),
            OwedRecord::Over { number } => drop(owed.remove(&number)),
        })?;
    }
    Ok(owed.into_values().collect())
}

/// Octets as hex digits.
mod octets {
    use crate::ledger::{hex, unhex};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(octets: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex(octets))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let digits = String::deserialize(deserializer)?;
        unhex(&digits).ok_or_else(|| D::Error::custom("octets are not pairs of hex digits"))
    }
}
