//! How a record is written into a queue, a log or state.
//!
//! ```text
//! +--------+---------+----------------------------------------+
//! | kind 1 | version | CBOR (RFC 8949), arrays by field index |
//! +--------+---------+----------------------------------------+
//! ```
//! A reader takes a record of its own kind and of a version it knows. Within a version, fields may be added at new
//! indexes as long as their absence means what it meant before: old readers skip them, new readers see `None` in old
//! records. Anything else is a new version, with the old one still read. `tests/fixtures/` holds one record of every
//! kind and version ever released, which must decode for ever.
//!
//! Invariant: what does not decode is told apart (wrong kind, unknown version, broken body), so that its reader can
//! put it into the corrupt place with the reason.

use bytes::Bytes;
use minicbor::{Decode, Encode};
use std::cell::RefCell;
use thiserror::Error;

thread_local! {
    /// What is being written: a record is copied out with its own length, and so is kept no longer than it is.
    static DRAFT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A type that stands in queues, logs or state.
pub trait Record: Encode<()> + for<'b> Decode<'b, ()> + Sized {
    /// First octet of the record; never reused.
    const KIND: u8;
    /// The version this code writes.
    const VERSION: u8;

    /// The record as it is stored.
    fn to_record(&self) -> Bytes {
        DRAFT.with_borrow_mut(|out| {
            out.clear();
            out.push(Self::KIND);
            out.push(Self::VERSION);
            self.write_body(out);
            Bytes::copy_from_slice(out)
        })
    }

    /// Writes the body of [`Record::VERSION`].
    fn write_body(&self, out: &mut Vec<u8>) {
        minicbor::encode(self, out).expect("writing to a Vec cannot fail");
    }

    /// Reads what [`Record::to_record`] of this version or an earlier one wrote.
    fn from_record(record: &[u8]) -> Result<Self, RecordError> {
        let (version, body) = header::<Self>(record)?;
        Self::from_body(version, body)
    }

    /// The body of a record that is of this kind and of a version this build reads; for who reads a part of it.
    fn body(record: &[u8]) -> Result<&[u8], RecordError> {
        header::<Self>(record).map(|(_, body)| body)
    }

    /// Reads the body of a version; a type with more than one version overrides this.
    fn from_body(_version: u8, body: &[u8]) -> Result<Self, RecordError> {
        minicbor::decode(body).map_err(RecordError::Body)
    }
}

/// Version and body of a record of this kind.
fn header<R: Record>(record: &[u8]) -> Result<(u8, &[u8]), RecordError> {
    let (&kind, rest) = record.split_first().ok_or(RecordError::Empty)?;
    if kind != R::KIND {
        return Err(RecordError::Kind {
            expected: R::KIND,
            found: kind,
        });
    }
    let (&version, body) = rest.split_first().ok_or(RecordError::Empty)?;
    if version == 0 || version > R::VERSION {
        return Err(RecordError::Version {
            known: R::VERSION,
            found: version,
        });
    }
    Ok((version, body))
}

/// Why a record cannot be read.
#[derive(Debug, Error)]
pub enum RecordError {
    /// Shorter than its two octets of header.
    #[error("record is empty")]
    Empty,
    /// Another kind of record stands where this one was expected.
    #[error("record is of kind {found}, expected {expected}")]
    Kind {
        /// What the reader reads.
        expected: u8,
        /// What it found.
        found: u8,
    },
    /// Written by a newer version, or damaged.
    #[error("record has version {found}, this build reads up to {known}")]
    Version {
        /// The newest version this build reads.
        known: u8,
        /// What it found.
        found: u8,
    },
    /// The body is not what the version says.
    #[error("record body is broken")]
    Body(#[source] minicbor::decode::Error),
}
