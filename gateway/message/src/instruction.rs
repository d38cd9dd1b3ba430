//! Instructions of administrators: records of `instructions`, and what became of them under `instruction/<id>`.

use crate::record::Record;
use crate::{MessageId, Timestamp};
use minicbor::{Decode, Encode};

/// Something an administrator, a signal or a watch asks of the running gateway.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Instruction {
    /// Identity, under which the result is found.
    #[n(0)]
    pub id: MessageId,
    /// The verb: `reload`, `rollback`.
    #[n(1)]
    pub verb: String,
    /// Who asked: `SIGHUP`, `watch`, a user.
    #[n(2)]
    pub by: String,
    /// When.
    #[n(3)]
    pub at: Timestamp,
}

impl Record for Instruction {
    const KIND: u8 = 8;
    const VERSION: u8 = 1;
}

/// What became of an instruction: state under `instruction/<id>` for a day.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct InstructionResult {
    /// One word: `applied`, `unchanged`, `refused`.
    #[n(0)]
    pub outcome: String,
    /// What a person should know.
    #[n(1)]
    pub detail: String,
    /// When.
    #[n(2)]
    pub at: Timestamp,
}

impl Record for InstructionResult {
    const KIND: u8 = 9;
    const VERSION: u8 = 1;
}
