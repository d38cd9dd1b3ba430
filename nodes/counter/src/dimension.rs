//! By what totals are told apart.
//!
//! Pure. Invariant DM-1: how many values a dimension has is bounded in every period; what comes beyond is counted under
//! [`OTHER`](crate::row::OTHER), so that sums over all values stay right.

/// By what totals are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// The client, by its name.
    Client,
    /// The operator, by its name.
    Operator,
    /// The route, by its place in the file, from 1; those of MT `mt.3`, those of MO `mo.1`.
    Route,
    /// Where the phone is, as ISO 3166-1 names it: `DE`; `-` where the number plan has no country.
    Country,
    /// The class of service.
    Class,
    /// The client and the sender of its messages: `acme/BRAND`.
    Sender,
}

/// Senders of one client in one day that are told apart: the first so many of the day.
pub const SENDERS_OF_CLIENT: u32 = 100;

impl Dimension {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Client,
        Self::Operator,
        Self::Route,
        Self::Country,
        Self::Class,
        Self::Sender,
    ];

    /// The word in keys, options and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Operator => "operator",
            Self::Route => "route",
            Self::Country => "country",
            Self::Class => "class",
            Self::Sender => "sender",
        }
    }

    /// The dimension of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dimension| dimension.as_str() == word)
    }

    /// Most values in one period.
    pub(crate) fn most(self) -> usize {
        match self {
            Self::Client => 10_000,
            Self::Operator | Self::Route => 1_000,
            Self::Country => 400,
            Self::Class => 3,
            Self::Sender => 20_000,
        }
    }

    /// Whether it has totals of all time: the ledger.
    pub(crate) fn has_ever(self) -> bool {
        match self {
            Self::Client | Self::Operator => true,
            Self::Route | Self::Country | Self::Class | Self::Sender => false,
        }
    }

    pub(crate) fn place(self) -> usize {
        self as usize
    }
}
