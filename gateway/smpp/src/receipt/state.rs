//! The state in a receipt: message_state, the words of Appendix B, and what carriers write instead.
//!
//! What a state means for a message (final, retry, which of ours) is told elsewhere; a carrier that means something else by
//! a word or number has it in its [`StateMap`]. Knows nothing of receipts.

/// State of the message, SMPP 3.4 §5.2.28 and Appendix B.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReceiptState {
    /// On its way.
    Enroute,
    /// At the phone.
    Delivered,
    /// Validity is over.
    Expired,
    /// Cancelled.
    Deleted,
    /// Cannot be delivered.
    Undeliverable,
    /// Read on behalf of the subscriber by customer service; many carriers: taken over by the next network.
    Accepted,
    /// The carrier does not know.
    Unknown,
    /// Refused.
    Rejected,
    /// Waiting for its time; message_state of 5.0.
    Scheduled,
    /// Not sent, on purpose; message_state of 5.0.
    Skipped,
    /// A word or number that is none of the others; `state_text` has it.
    Unrecognised,
}

impl ReceiptState {
    /// Whether no other state follows, unless the carrier's profile says otherwise.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Delivered
            | Self::Expired
            | Self::Deleted
            | Self::Undeliverable
            | Self::Unknown
            | Self::Rejected
            | Self::Skipped => true,
            Self::Enroute | Self::Accepted | Self::Scheduled | Self::Unrecognised => false,
        }
    }

    /// The word of Appendix B. It has none for the states of 5.0, which get the nearest.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Enroute | Self::Scheduled => "ENROUTE",
            Self::Delivered => "DELIVRD",
            Self::Expired => "EXPIRED",
            Self::Deleted => "DELETED",
            Self::Undeliverable | Self::Skipped => "UNDELIV",
            Self::Accepted => "ACCEPTD",
            Self::Unknown | Self::Unrecognised => "UNKNOWN",
            Self::Rejected => "REJECTD",
        }
    }

    /// The number of message_state.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Scheduled => 0,
            Self::Enroute => 1,
            Self::Delivered => 2,
            Self::Expired => 3,
            Self::Deleted => 4,
            Self::Undeliverable => 5,
            Self::Accepted => 6,
            Self::Unknown | Self::Unrecognised => 7,
            Self::Rejected => 8,
            Self::Skipped => 9,
        }
    }

    /// From message_state (SMPP 5.0 §4.7.15).
    #[must_use]
    pub const fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Scheduled,
            1 => Self::Enroute,
            2 => Self::Delivered,
            3 => Self::Expired,
            4 => Self::Deleted,
            5 => Self::Undeliverable,
            6 => Self::Accepted,
            7 => Self::Unknown,
            8 => Self::Rejected,
            9 => Self::Skipped,
            _ => Self::Unrecognised,
        }
    }

    /// From the word, in any case, with those that carriers use beside the specification. `0` is what one of them writes
    /// for delivered.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        match word.to_ascii_uppercase().as_str() {
            "ENROUTE" | "BUFFRED" | "BUFFERD" | "BUFFERED" => Self::Enroute,
            "SCHEDULED" | "SCHEDLD" => Self::Scheduled,
            "DELIVRD" | "DELIVERED" | "DELIVRED" | "0" => Self::Delivered,
            "EXPIRED" => Self::Expired,
            "DELETED" => Self::Deleted,
            "UNDELIV" | "UNDELIVERABLE" | "UNDELIVERED" | "FAILED" => Self::Undeliverable,
            "SKIPPED" => Self::Skipped,
            "ACCEPTD" | "ACCEPTED" | "ACKED" => Self::Accepted,
            "UNKNOWN" => Self::Unknown,
            "REJECTD" | "REJECTED" => Self::Rejected,
            _ => Self::Unrecognised,
        }
    }
}

/// What one carrier means by its words and numbers, where that differs from everybody else. Empty by default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StateMap {
    /// In capitals.
    words: Vec<(String, ReceiptState)>,
    numbers: Vec<(u8, ReceiptState)>,
}

impl StateMap {
    /// Nothing differs.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            words: Vec::new(),
            numbers: Vec::new(),
        }
    }

    /// A word after `stat:`, in any case, means this state; the last one said counts.
    #[must_use]
    pub fn word(mut self, word: &str, state: ReceiptState) -> Self {
        let word = word.to_ascii_uppercase();
        self.words.retain(|(known, _)| *known != word);
        self.words.push((word, state));
        self
    }

    /// A number in message_state means this state; the last one said counts.
    #[must_use]
    pub fn number(mut self, number: u8, state: ReceiptState) -> Self {
        self.numbers.retain(|(known, _)| *known != number);
        self.numbers.push((number, state));
        self
    }

    /// The state behind a word.
    #[must_use]
    pub fn of_word(&self, word: &str) -> ReceiptState {
        self.words
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(word))
            .map_or_else(|| ReceiptState::from_word(word), |(_, state)| *state)
    }

    /// The state behind a number; what is no octet is none.
    #[must_use]
    pub fn of_number(&self, number: u32) -> ReceiptState {
        let Ok(number) = u8::try_from(number) else {
            return ReceiptState::Unrecognised;
        };
        self.numbers
            .iter()
            .find(|(known, _)| *known == number)
            .map_or_else(|| ReceiptState::from_number(number), |(_, state)| *state)
    }
}
