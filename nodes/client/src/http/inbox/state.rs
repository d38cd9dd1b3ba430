//! What is known of inboxes beside their logs. Only client nodes read and write these.
//!
//! ```text
//! inbox.<client>   the log: records of Down; its reader `client` stands behind what is acknowledged or dropped
//! inbox/<client>   Head   where that reader stands, and how many events were dropped; written in the step that moves it
//! inboxes          Known  every account that may have an inbox, configured or not any more
//! ```
//! Invariant: reader and head move in one step, so each event is counted as acknowledged or as dropped, never as both.

use minicbor::{Decode, Encode};
use smsgw_message::{ClientId, Record, names};
use smsgw_queue::{
    CommitErrorKind, Engine, EngineError, Expected, Expiry, LogName, Position, StateKey, Step, StepId,
};

/// The reader of every inbox.
pub(crate) const READER: &str = "client";

/// One inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub(crate) struct Head {
    /// The oldest event that is neither acknowledged nor dropped.
    #[n(0)]
    pub(crate) first: u64,
    /// Events that were dropped because they were too old.
    #[n(1)]
    pub(crate) expired: u64,
    /// Events that were dropped because there were too many.
    #[n(2)]
    pub(crate) overflowed: u64,
}

impl Record for Head {
    const KIND: u8 = 54;
    const VERSION: u8 = 1;
}

impl Head {
    /// Events that the client never acknowledged and cannot read any more.
    pub(crate) fn dropped(&self) -> u64 {
        self.expired.saturating_add(self.overflowed)
    }
}

/// Accounts with an inbox.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub(crate) struct Known {
    #[n(0)]
    pub(crate) clients: Vec<ClientId>,
}

impl Record for Known {
    const KIND: u8 = 55;
    const VERSION: u8 = 1;
}

pub(crate) fn head_key(client: &ClientId) -> StateKey {
    StateKey::from(format!("inbox/{client}"))
}

pub(crate) fn known_key() -> StateKey {
    StateKey::from("inboxes")
}

pub(crate) fn log(client: &ClientId) -> LogName {
    LogName::from(names::inbox(client))
}

/// An inbox as it is now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inbox {
    pub(crate) head: Head,
    pub(crate) expected: Expected,
    /// Where its log ends.
    pub(crate) end: u64,
}

impl Inbox {
    pub(crate) async fn read(engine: &dyn Engine, client: &ClientId) -> Result<Self, EngineError> {
        let found = engine
            .get(vec![head_key(client)])
            .await?
            .into_iter()
            .next()
            .flatten();
        let log = log(client);
        let first = engine.position(&log, READER).await?.0;
        let (head, expected) = match found {
            None => (
                Head {
                    first,
                    ..Head::default()
                },
                Expected::Absent,
            ),
            Some(there) => {
                let head = Head::from_record(&there.value).unwrap_or_else(|error| {
                    // The log's reader says where it is; only the counts are lost.
                    tracing::error!(%client, %error, "head of an inbox could not be decoded, its counts begin anew");
                    Head::default()
                });
                (Head { first, ..head }, Expected::Version(there.version))
            }
        };
        Ok(Self {
            head,
            expected,
            end: engine.log_end(&log).0,
        })
    }

    /// Events that wait.
    pub(crate) fn waits(&self) -> u64 {
        self.end.saturating_sub(self.head.first)
    }

    /// The step that moves the reader to a position, with the head as it is then.
    pub(crate) fn advance(&self, client: &ClientId, head: Head) -> Step {
        let mut id = [0; 16];
        // The client and the position say which step it is; the first octets keep these apart from records and ids.
        let hash = client
            .as_str()
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
                (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
            });
        let (left, right) = id.split_at_mut(8);
        left.copy_from_slice(&(hash ^ 0x696e_626f_7800_0000).to_be_bytes());
        right.copy_from_slice(&head.first.to_be_bytes());
        Step::new(StepId::from_bytes(id))
            .compare_and_put(head_key(client), self.expected, head.to_record(), Expiry::Owner)
            .advance(log(client), READER, Position(head.first))
    }
}

/// Why a step of an inbox did not go through.
pub(crate) enum Refused {
    /// Somebody else has moved it: look again.
    Moved,
    Engine(CommitErrorKind),
}

impl From<CommitErrorKind> for Refused {
    fn from(kind: CommitErrorKind) -> Self {
        match kind {
            CommitErrorKind::Conflict { .. } => Self::Moved,
            kind @ (CommitErrorKind::Stale { .. }
            | CommitErrorKind::Floor { .. }
            | CommitErrorKind::NotACounter { .. }
            | CommitErrorKind::NoRecord { .. }
            | CommitErrorKind::Leased { .. }
            | CommitErrorKind::Full(_)
            | CommitErrorKind::Invalid(_)
            | CommitErrorKind::Engine(_)) => Self::Engine(kind),
        }
    }
}
