//! The verbs of instructions: one table of all that the administrator's side can ask of the running gateway.
//!
//! A verb that another node does is forwarded: it gets a row in [`FORWARDED`] and nothing else here. Must not know how a
//! verb is done. Invariant: a word belongs to one verb for ever.

use crate::dead_letters::DeadLetterAct;
use crate::node::Instruction;
use crate::orders::OperatorAct;
use smsgw_message::names;

/// What an instruction asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Of the configuration as a whole: `reload`, `rollback`.
    Config(Instruction),
    /// `apply`: make the change that the target names; it was staged, so that no secret is in an instruction.
    Apply,
    /// `restore`: go back to the version that the target names.
    Restore,
    /// Of an operator or one of its links.
    Operator(OperatorAct),
    /// Of dead letters of the queue that the target names; the argument is a `Selection` as JSON.
    DeadLetters(DeadLetterAct),
    /// Of another node.
    Forwarded(Forwarded),
}

/// A verb that another node does, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forwarded {
    /// The word.
    pub word: &'static str,
    /// The queue of the node that does it; that node writes the result under `instruction/<id>`.
    pub queue: &'static str,
}

/// `disconnect`: ends a session of a client, named by its 16 hexadecimal digits.
pub const DISCONNECT: Forwarded = Forwarded {
    word: "disconnect",
    queue: names::INSTRUCTIONS_CLIENT,
};

/// `top-up`: pays into the account of the client that the target names; the argument is `<amount> <currency> [<key>]`.
pub const TOP_UP: Forwarded = Forwarded {
    word: names::TOP_UP,
    queue: names::INSTRUCTIONS_CREDIT,
};

/// `correct`: sets an account right; as `top-up`, and the amount may be below zero.
pub const CORRECT: Forwarded = Forwarded {
    word: names::CORRECT,
    queue: names::INSTRUCTIONS_CREDIT,
};

/// `move`: gives what waits for the operator that the target names to another one; the argument is a `MoveOrder` of the router
/// as JSON.
pub const MOVE: Forwarded = Forwarded {
    word: names::MOVE,
    queue: names::INSTRUCTIONS_ROUTER,
};

/// Every verb that another node does.
pub const FORWARDED: &[Forwarded] = &[DISCONNECT, TOP_UP, CORRECT, MOVE];

/// The word of [`Verb::Apply`].
const APPLY: &str = "apply";
/// The word of [`Verb::Restore`].
const RESTORE: &str = "restore";

impl Verb {
    /// The word in queues, logs and the audit.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Config(instruction) => instruction.as_str(),
            Self::Apply => APPLY,
            Self::Restore => RESTORE,
            Self::Operator(act) => act.as_str(),
            Self::DeadLetters(act) => act.as_str(),
            Self::Forwarded(forwarded) => forwarded.word,
        }
    }

    /// The verb of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        if let Some(instruction) = Instruction::from_word(word) {
            return Some(Self::Config(instruction));
        }
        if let Some(act) = OperatorAct::from_word(word) {
            return Some(Self::Operator(act));
        }
        if let Some(act) = DeadLetterAct::from_word(word) {
            return Some(Self::DeadLetters(act));
        }
        match word {
            APPLY => Some(Self::Apply),
            RESTORE => Some(Self::Restore),
            _ => {
                let forwarded = FORWARDED.iter().find(|forwarded| forwarded.word == word);
                forwarded.map(|forwarded| Self::Forwarded(*forwarded))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_the_word_of_its_verb() {
        let words = [
            "reload",
            "rollback",
            "apply",
            "restore",
            "stop",
            "drain",
            "start",
            "hold",
            "release",
            "dead-replay",
            "dead-drop",
        ];
        for word in words
            .into_iter()
            .chain(FORWARDED.iter().map(|forwarded| forwarded.word))
        {
            assert_eq!(Verb::from_word(word).map(Verb::as_str), Some(word));
        }
        assert_eq!(Verb::from_word("explode"), None);
    }
}
