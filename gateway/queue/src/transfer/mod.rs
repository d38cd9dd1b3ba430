//! Everything an engine holds as one stream of octets, the same for every engine: what `smsgw export` writes and
//! `smsgw import` reads, on another machine or into another engine.
//!
//! ```text
//! stream   header frame* end                                    numbers are big-endian
//! header   "smsgwX1\n"  version:u16  0:u16  written:i64  next_record:u64  next_version:u64  check:u32
//! frame    kind:u8 len:u32 body check:u32                       check: CRC-32C of all octets of the frame before it
//! 'H'      queue:text scope:u8 flow:text? reason:u8 since:i64          a hold: 0 of a queue, 1 of a flow of it
//! 'R'      id:u64 queue:text class:u8 flow:text published:i64 place:u8 reason:u8 time:i64 attempt:u32 leased:u8 | octets
//! 'S'      key:text version:u64 step:16 expiry | octets
//! 'L'      name:text first:u64 next:u64 count:u16 (reader:text position:u64)*
//! 'E'      position:u64 | octets                                an entry of the log named last
//! end      'Z' 80:u32 holds:u64 records:u64 values:u64 logs:u64 entries:u64 octets:u64 sha256:32 check:u32
//!
//! text     len:u16 UTF-8
//! place    0 ready   1 deferred until time   2 set aside since time (held, dead letter, corrupt: by reason)
//! expiry   0 owner   1 time:i64 deleted      2 time:i64 queue:text class:u8 flow:text alarm
//! ```
//! Holds stand first. Records stand by growing id, values by growing key, entries of a log by growing position, so that nothing can stand
//! there twice. `octets` and `sha256` are of everything before the end frame.
//!
//! Knows no file and no clock. Invariants: a stream that was cut, or changed in any octet, is refused with the place;
//! reading takes no more memory than its longest frame, and no frame is longer than [`MAX_FRAME`].

mod item;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use item::{Hold, Item, LogEntry, LogHead, Marks, StateItem, StoredRecord};
pub use read::StreamReader;
pub use write::StreamWriter;

use thiserror::Error;

/// What a stream begins with.
const MAGIC: &[u8; 8] = b"smsgwX1\n";
/// The version drawn above.
pub const VERSION: u16 = 1;
/// Octets of the header.
const HEADER: usize = 40;
/// Longest body of a frame (octets).
pub const MAX_FRAME: usize = 64 * 1024 * 1024;
/// Octets of the body of the end frame.
const END: usize = 80;

/// How much of each a stream holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Holds of queues and flows.
    pub holds: u64,
    /// Records of queues.
    pub records: u64,
    /// Values of state.
    pub values: u64,
    /// Logs.
    pub logs: u64,
    /// Entries of logs.
    pub entries: u64,
    /// Octets of the stream so far.
    pub octets: u64,
}

impl Totals {
    fn count(&mut self, item: &Item) {
        let counter = match item {
            Item::Hold(_) => &mut self.holds,
            Item::Record(_) => &mut self.records,
            Item::State(_) => &mut self.values,
            Item::Log(_) => &mut self.logs,
            Item::Entry(_) => &mut self.entries,
        };
        *counter = counter.saturating_add(1);
    }
}

/// A stream cannot be read.
#[derive(Debug, Error)]
#[error("the export is not usable at octet {at}")]
pub struct StreamError {
    /// Where the frame begins that is not right.
    pub at: u64,
    /// What is wrong with it.
    #[source]
    pub kind: StreamErrorKind,
}

/// Why a stream cannot be read.
#[derive(Debug, Error)]
pub enum StreamErrorKind {
    /// It begins with something else.
    #[error("this is no export of smsgw")]
    NotOurs,
    /// A later version wrote it.
    #[error("it has version {found}, this build reads up to {VERSION}")]
    Newer {
        /// What it says.
        found: u16,
    },
    /// It ends before its end.
    #[error("it ends in the middle: it was cut off")]
    Cut,
    /// A check does not match.
    #[error("the check does not match: octets were changed")]
    Check,
    /// A frame says that it is longer than any frame may be.
    #[error("a frame of {len} octets is longer than any frame may be")]
    TooLong {
        /// What it says.
        len: u32,
    },
    /// A kind of frame that this version does not have.
    #[error("a frame of kind {0} is not known")]
    Kind(u8),
    /// A body is not as drawn.
    #[error("{0}")]
    Broken(&'static str),
    /// Something stands twice, or not in its order.
    #[error("{0} stands twice or out of order")]
    Order(&'static str),
    /// The end does not say what was read.
    #[error("the totals at the end do not match what was read")]
    Totals,
    /// Something follows the end.
    #[error("something follows the end")]
    Tail,
    /// Its source cannot be read.
    #[error("it could not be read")]
    Io(#[source] std::io::Error),
}

/// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78) of what was seen before and this.
fn crc(before: u32, octets: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut n = 0u32;
        while n < 256 {
            let mut value = n;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 1 == 1 {
                    value >> 1 ^ 0x82F6_3B78
                } else {
                    value >> 1
                };
                bit += 1;
            }
            #[expect(
                clippy::indexing_slicing,
                clippy::as_conversions,
                reason = "computed at build time"
            )]
            {
                table[n as usize] = value;
            }
            n += 1;
        }
        table
    };
    let step = |crc: u32, octet: &u8| {
        let [low, ..] = crc.to_le_bytes();
        let entry = TABLE.get(usize::from(low ^ octet)).copied().unwrap_or_default();
        crc >> 8 ^ entry
    };
    !octets.iter().fold(!before, step)
}
