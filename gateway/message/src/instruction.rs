//! Instructions of administrators: records of `instructions`, and what became of them under `instruction/<id>`.

use crate::record::Record;
use crate::{MessageId, Timestamp};
use minicbor::{Decode, Encode};
use std::collections::{BTreeMap, BTreeSet};

/// Something an administrator, a signal or a watch asks of the running gateway.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Instruction {
    /// Identity, under which the result is found.
    #[n(0)]
    pub id: MessageId,
    /// The verb: `reload`, `rollback`; of an operator or a link `stop`, `start`, `drain`, `hold`, `release`.
    #[n(1)]
    pub verb: String,
    /// Who asked: `SIGHUP`, `watch`, a user.
    #[n(2)]
    pub by: String,
    /// When.
    #[n(3)]
    pub at: Timestamp,
    /// What it is about: the operator of a verb of operators.
    #[n(4)]
    pub target: Option<String>,
    /// Which link of the operator, from 1; absent: the whole operator.
    #[n(5)]
    pub link: Option<u32>,
    /// Why, in the words of who asks; it stands in the audit. Absent in records before 0.2 as well.
    #[n(6)]
    pub reason: Option<String>,
    /// What the verb needs beside its target, as its page says; never a secret.
    #[n(7)]
    pub argument: Option<String>,
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

/// What administrators ordered of operators, whatever the file says: state under `orders`, kept until ordered otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct OperatorOrders {
    /// By operator: true when its links are to be open, false when they are to be closed.
    #[n(0)]
    pub enabled: BTreeMap<String, bool>,
    /// Operators whose links are closed by a drain: all answers are waited for. Absent in records of version 0.1 before drains.
    #[n(1)]
    pub drained: Option<BTreeSet<String>>,
    /// Single links, by operator and number from 1. Absent as above.
    #[n(2)]
    pub links: Option<BTreeMap<String, BTreeMap<u32, LinkOrder>>>,
}

/// What was ordered of a single link.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct LinkOrder {
    /// `open`, `stopped` or `drained`; any other word, of a later version, closes the link. Absent: as the file says.
    #[n(0)]
    pub state: Option<String>,
    /// Whether nothing is taken for it. Absent: as the file says.
    #[n(1)]
    pub held: Option<bool>,
}

impl Record for OperatorOrders {
    const KIND: u8 = 10;
    const VERSION: u8 = 1;
}
