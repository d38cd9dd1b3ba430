//! Ledgers: what each end of a run took over, as JSON lines in a file and as a bounded memory of the latest.
//!
//! Knows nothing of who writes. Invariants: after [`Ledger::flush`] every record before it is handed to the system, so it
//! survives the end of this process (not a power cut: a ledger is not synced); a line that a killed writer left without its end
//! is no record, and is cut off before anything is appended.
//!
//! ```text
//! {"at":1795248000007,"session":1,"system_id":"test","id":"17952480000070000","token":"t…","source":"…",…}
//! ```

pub use crate::line::{Sum, hex, sum, unhex};

use crate::token::Token;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Buffered bytes above which a record is written without waiting for the next flush.
const WRITE_ABOVE: usize = 64 * 1024;

/// What happened to the answer of a submit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Accepted and answered (or about to be: an answer may be delayed).
    Accepted,
    /// Accepted, never answered.
    Unanswered,
    /// Accepted; the connection was cut instead of an answer.
    Cut,
    /// Refused with `status`.
    Refused,
}

/// A submit at the simulated carrier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submit {
    /// Milliseconds since 1970.
    pub at: i64,
    /// Number of the connection.
    pub session: u64,
    /// Account of the bind.
    pub system_id: String,
    /// sequence_number.
    pub sequence: u32,
    /// The carrier's id as answered.
    pub id: String,
    /// What the text begins with, when it is one of ours.
    pub token: Option<Token>,
    /// From.
    pub source: String,
    /// To.
    pub destination: String,
    /// User data with its header, in hex.
    pub octets: String,
    /// Reference, total and number of a part told by SAR parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sar: Option<[u16; 3]>,
    /// esm_class.
    pub esm_class: u8,
    /// data_coding.
    pub data_coding: u8,
    /// registered_delivery.
    pub registered_delivery: u8,
    /// command_status of the answer.
    pub status: u32,
    /// What happened to the answer.
    pub fate: Fate,
    /// The final state that its receipts tell, where it follows from the recipient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// A message from a phone that the gateway took over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoTaken {
    /// Milliseconds since 1970, of the answer.
    pub at: i64,
    /// What the text begins with, when it is one of ours.
    pub token: Option<Token>,
    /// From.
    pub source: String,
    /// To.
    pub destination: String,
    /// Which part of the message, from 1.
    #[serde(default = "one")]
    pub part: u16,
    /// How many parts it has.
    #[serde(default = "one")]
    pub parts: u16,
    /// [`sum`] of the whole text in UTF-8; absent: the text has no certain meaning.
    #[serde(default)]
    pub text: Option<Sum>,
    /// It had been answered before, and the answer was lost: it may arrive twice.
    #[serde(default)]
    pub again: bool,
}

const fn one() -> u16 {
    1
}

/// The answer of an accepted submit was still to come when its connection ended, or was given within half a second before
/// the carrier cut it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerLost {
    /// Number of the connection.
    pub session: u64,
    /// The carrier's id of the message.
    pub id: String,
}

/// A message was replaced by the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// Milliseconds since 1970.
    pub at: i64,
    /// The carrier's id of the message.
    pub id: String,
    /// The new user data, in hex.
    pub octets: String,
}

/// A line of the carrier's ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum CarrierRecord {
    /// The gateway submitted.
    Submit(Submit),
    /// An answer that was announced as `accepted` was never given.
    AnswerLost(AnswerLost),
    /// The gateway answered a MO with OK.
    MoTaken(MoTaken),
    /// The gateway replaced a message.
    Replaced(Replaced),
}

/// A time in which something was killed or cut on purpose: what was under way then may come twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Milliseconds since 1970, first.
    pub from: i64,
    /// And last.
    pub to: i64,
}

impl Window {
    /// Whether a time is in it.
    #[must_use]
    pub const fn holds(&self, at: i64) -> bool {
        self.from <= at && at <= self.to
    }
}

/// A request of the load generator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Milliseconds since 1970, of the answer.
    pub at: i64,
    /// What its text begins with.
    pub token: Token,
    /// To.
    pub to: String,
    /// From, when it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// [`sum`] of the text in UTF-8, or of binary user data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Sum>,
    /// HTTP status or command_status plus [`Sent::SMPP`]; 0 when there was no answer.
    pub status: u32,
    /// The id answered, when it was accepted.
    pub id: Option<String>,
    /// The ids of further parts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_ids: Vec<String>,
}

impl Sent {
    /// Added to a command_status, so that it is told from an HTTP status.
    pub const SMPP: u32 = 0x1000_0000;

    /// Whether it was accepted.
    #[must_use]
    pub const fn is_accepted(&self) -> bool {
        self.id.is_some()
    }
}

/// A callback at the sink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    /// Milliseconds since 1970.
    pub at: i64,
    /// `report` or `mo`.
    pub kind: String,
    /// Id of the event.
    pub event: String,
    /// Id of the message.
    pub message: String,
    /// State, of reports.
    pub state: Option<String>,
    /// What the text begins with, of MO.
    pub token: Option<Token>,
    /// [`sum`] of the text, of MO.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Sum>,
    /// From, of MO.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// To, of MO.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// HTTP status it was answered with; 0 when the connection was closed instead.
    pub answered: u16,
}

/// A ledger could not be written or read.
#[derive(Debug, Error)]
#[error("failed to {doing} ledger {path}")]
pub struct LedgerError {
    /// `open`, `write` or `read`.
    pub doing: &'static str,
    /// Which.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub kind: io::Error,
}

/// Where records go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LedgerOptions {
    /// Appended to, one JSON object a line; none: no file.
    pub file: Option<PathBuf>,
    /// How many of the latest records are kept in memory.
    pub keep: usize,
}

impl LedgerOptions {
    /// Whether a record would be kept anywhere.
    #[must_use]
    pub const fn is_wanted(&self) -> bool {
        self.file.is_some() || self.keep > 0
    }

    /// In memory only, at most so many.
    #[must_use]
    pub const fn memory(keep: usize) -> Self {
        Self { file: None, keep }
    }

    /// In a file only.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self {
            file: Some(path.into()),
            keep: 0,
        }
    }
}

/// A ledger being written.
#[derive(Debug)]
pub struct Ledger<T> {
    file: Option<(File, PathBuf)>,
    buffer: Vec<u8>,
    latest: VecDeque<T>,
    keep: usize,
    forgotten: u64,
}

impl<T: Serialize + DeserializeOwned> Ledger<T> {
    /// Opens the file, if there is one, for appending behind its last whole line.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(options: &LedgerOptions) -> Result<Self, LedgerError> {
        let file = match &options.file {
            Some(path) => {
                let file = OpenOptions::new().create(true).read(true).append(true).open(path);
                let whole = file.and_then(|file| cut_off_half_line(&file).map(|()| file));
                let file = whole.map_err(|kind| LedgerError {
                    doing: "open",
                    path: path.clone(),
                    kind,
                })?;
                Some((file, path.clone()))
            }
            None => None,
        };
        Ok(Self {
            file,
            buffer: Vec::new(),
            latest: VecDeque::new(),
            keep: options.keep,
            forgotten: 0,
        })
    }

    /// Whether a record would be kept anywhere.
    #[must_use]
    pub const fn is_wanted(&self) -> bool {
        self.file.is_some() || self.keep > 0
    }

    /// Adds a record.
    ///
    /// # Errors
    /// When a full buffer cannot be written.
    pub fn push(&mut self, record: T) -> Result<(), LedgerError> {
        if let Some((_, path)) = &self.file {
            serde_json::to_writer(&mut self.buffer, &record).map_err(|error| LedgerError {
                doing: "write",
                path: path.clone(),
                kind: error.into(),
            })?;
            self.buffer.push(b'\n');
        }
        self.remember(record);
        if self.buffer.len() >= WRITE_ABOVE {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Adds records that are written as lines already, and empties `lines`.
    ///
    /// # Errors
    /// When they cannot be written, or one is no record.
    pub fn push_lines(&mut self, lines: &mut Vec<u8>) -> Result<(), LedgerError> {
        if self.keep > 0 || self.file.is_none() {
            for line in lines
                .split(|octet| *octet == b'\n')
                .filter(|line| !line.is_empty())
            {
                let record = serde_json::from_slice(line).map_err(|error| LedgerError {
                    doing: "read",
                    path: PathBuf::from("(memory)"),
                    kind: error.into(),
                })?;
                self.remember(record);
            }
        }
        if self.file.is_some() {
            if self.buffer.is_empty() {
                std::mem::swap(&mut self.buffer, lines);
            } else {
                self.buffer.extend_from_slice(lines);
            }
        }
        lines.clear();
        if self.buffer.len() >= WRITE_ABOVE {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn remember(&mut self, record: T) {
        if self.keep == 0 {
            self.forgotten = self.forgotten.saturating_add(u64::from(self.file.is_none()));
        } else {
            if self.latest.len() >= self.keep {
                self.latest.pop_front();
                self.forgotten = self.forgotten.saturating_add(1);
            }
            self.latest.push_back(record);
        }
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn flush(&mut self) -> Result<(), LedgerError> {
        if let Some((file, path)) = &mut self.file
            && !self.buffer.is_empty()
        {
            let written = file.write_all(&self.buffer);
            written.map_err(|kind| LedgerError {
                doing: "write",
                path: path.clone(),
                kind,
            })?;
            self.buffer.clear();
        }
        Ok(())
    }

    /// How many records are no longer (or never were) in memory although no file has them, or left the bounded memory.
    #[must_use]
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The latest records.
    #[must_use]
    pub fn into_latest(self) -> Vec<T> {
        self.latest.into()
    }
}

/// What a killed writer left of its last line would make one with the next record.
fn cut_off_half_line(file: &File) -> io::Result<()> {
    let length = file.metadata()?.len();
    let (mut whole, mut octet) = (length, [b'\n']);
    while let Some(last) = whole.checked_sub(1) {
        file.read_exact_at(&mut octet, last)?;
        if octet == *b"\n" {
            break;
        }
        whole = last;
    }
    if whole < length {
        file.set_len(whole)?;
    }
    Ok(())
}

/// Reads a ledger file. A last line without its end (the writer was killed) is left out.
///
/// # Errors
/// When the file cannot be read, or a whole line is no record.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, LedgerError> {
    let mut records = Vec::new();
    each(path, |record| records.push(record))?;
    Ok(records)
}

/// Reads a ledger file record by record, holding one line at a time.
///
/// # Errors
/// As [`read`].
pub fn each<T: DeserializeOwned>(path: &Path, mut take: impl FnMut(T)) -> Result<(), LedgerError> {
    let failed = |kind| LedgerError {
        doing: "read",
        path: path.to_owned(),
        kind,
    };
    let mut lines = BufReader::with_capacity(1 << 18, File::open(path).map_err(failed)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        let taken = lines.read_until(b'\n', &mut line).map_err(failed)?;
        if taken == 0 || line.last() != Some(&b'\n') {
            return Ok(());
        }
        take(serde_json::from_slice(&line).map_err(|error| failed(error.into()))?);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Way;

    fn sent(number: u32) -> Sent {
        let token = Token {
            way: Way::Mt,
            run: 1,
            number,
        };
        Sent {
            at: 5,
            token,
            to: "491700000001".into(),
            from: None,
            text: Some(sum(b"text")),
            status: 202,
            id: Some(format!("id-{number}")),
            more_ids: Vec::new(),
        }
    }

    #[test]
    fn a_file_has_every_record_and_memory_the_latest() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sent.jsonl");
        let mut ledger = Ledger::open(&LedgerOptions {
            file: Some(path.clone()),
            keep: 2,
        })
        .unwrap();
        for number in 0..5 {
            ledger.push(sent(number)).unwrap();
        }
        assert_eq!(read::<Sent>(&path).unwrap(), []);
        ledger.flush().unwrap();
        assert_eq!(read::<Sent>(&path).unwrap(), (0..5).map(sent).collect::<Vec<_>>());
        assert_eq!(ledger.forgotten(), 3);
        assert_eq!(ledger.into_latest(), [sent(3), sent(4)]);
    }

    #[test]
    fn a_line_cut_off_by_a_kill_is_left_out_and_a_wrong_one_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sent.jsonl");
        let whole = serde_json::to_string(&sent(1)).unwrap();
        std::fs::write(&path, format!("{whole}\n{{\"at\":5,")).unwrap();
        assert_eq!(read::<Sent>(&path).unwrap(), [sent(1)]);
        std::fs::write(&path, "{}\n").unwrap();
        assert!(read::<Sent>(&path).is_err());
        assert!(read::<Sent>(&directory.path().join("absent")).is_err());
    }

    #[test]
    fn what_is_appended_after_a_kill_begins_a_line_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sent.jsonl");
        let whole = serde_json::to_string(&sent(1)).unwrap() + "\n";
        for (before, records) in [
            (String::new(), vec![sent(2)]),
            (whole[..20].to_owned(), vec![sent(2)]),
            (whole.clone(), vec![sent(1), sent(2)]),
            (whole.clone() + &whole[..20], vec![sent(1), sent(2)]),
        ] {
            std::fs::write(&path, before).unwrap();
            let mut ledger = Ledger::open(&LedgerOptions::file(&path)).unwrap();
            ledger.push(sent(2)).unwrap();
            ledger.flush().unwrap();
            assert_eq!(read::<Sent>(&path).unwrap(), records);
        }
    }

    #[test]
    fn lines_written_elsewhere_are_records_like_others() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sent.jsonl");
        let mut lines = Vec::new();
        for number in 0..3 {
            serde_json::to_writer(&mut lines, &sent(number)).unwrap();
            lines.push(b'\n');
        }
        let options = LedgerOptions {
            file: Some(path.clone()),
            keep: 2,
        };
        let mut ledger = Ledger::<Sent>::open(&options).unwrap();
        ledger.push_lines(&mut lines.clone()).unwrap();
        ledger.push_lines(&mut lines).unwrap();
        ledger.flush().unwrap();
        assert_eq!((read::<Sent>(&path).unwrap().len(), lines.len()), (6, 0));
        assert_eq!(ledger.into_latest(), [sent(1), sent(2)]);
        assert!(
            Ledger::<Sent>::open(&LedgerOptions::memory(1))
                .unwrap()
                .push_lines(&mut b"{}\n".to_vec())
                .is_err()
        );
    }
}
