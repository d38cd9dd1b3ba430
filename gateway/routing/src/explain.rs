//! Why a message goes where it goes: every route, and what came of it.
//!
//! Asks the same questions as the decision, of every route instead of the first ones; the decision itself is the decision's.

use crate::decide::{Decision, Rank, Refusal, act, find};
use crate::facts::{Criterion, Facts, Question};
use crate::network::{CountryCode, NetworkCode};
use crate::table::RouteTable;
use rustc_hash::FxHashMap;

/// What is known of a message, and what each route makes of it.
#[derive(Debug)]
pub struct Explanation<'a> {
    /// Where it goes.
    pub decision: Result<Decision<'a>, Refusal>,
    /// The country of the destination.
    pub country: Option<CountryCode>,
    /// Its network.
    pub network: Option<NetworkCode>,
    /// Whether a table of ported numbers said so.
    pub ported: bool,
    /// Every route in the order of the file.
    pub routes: Vec<Explained>,
}

/// What came of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explained {
    /// Counted from 1 as in the file.
    pub route: usize,
    /// Its priority.
    pub priority: u32,
    /// How many digits of its prefix the destination begins with; absent where no prefix of it holds.
    pub prefix: Option<usize>,
    /// What came of it.
    pub verdict: RouteVerdict,
}

/// What came of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteVerdict {
    /// It is taken.
    Taken,
    /// It holds as well, but the one that is taken has a higher priority.
    LowerPriority,
    /// It holds as well, but the one that is taken has a longer prefix.
    ShorterPrefix,
    /// It holds as well, but the one that is taken stands before it.
    Later,
    /// It does not hold: the first criterion that says so.
    Fails(Criterion),
}

impl RouteVerdict {
    /// The word in answers: `taken`, `lower_priority`, `shorter_prefix`, `later`, or `fails`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::LowerPriority => "lower_priority",
            Self::ShorterPrefix => "shorter_prefix",
            Self::Later => "later",
            Self::Fails(_) => "fails",
        }
    }
}

/// Says what every route makes of a message. Takes time for every route of the table: for people, not for traffic.
pub fn explain_mt<'a>(table: &'a RouteTable, question: Question<'_>) -> Explanation<'a> {
    let facts = Facts::new(table, question);
    let found = find(table, &facts);
    let mut lengths: FxHashMap<u32, usize> = FxHashMap::default();
    // Places of other clients do not count: their routes fail by `client` first.
    for (length, candidates) in table
        .places(question.client)
        .flat_map(|places| places.chains(&facts))
    {
        for number in candidates {
            lengths.entry(number).or_insert(length);
        }
    }
    let explained = |number: u32| {
        let entry = table.entry(number)?;
        let length = lengths.get(&number).copied();
        let prefix = length.filter(|_| entry.has_prefix);
        let priority = entry.route.priority;
        let verdict = match (facts.mismatch(entry, length.is_some()), found) {
            (Some(criterion), _) => RouteVerdict::Fails(criterion),
            (None, Some(best)) => behind(best, number, priority, length.unwrap_or_default()),
            (None, None) => RouteVerdict::Later,
        };
        Some(Explained {
            route: usize::try_from(number).ok()?.saturating_add(1),
            priority,
            prefix,
            verdict,
        })
    };
    let (network, ported) = facts
        .network_and_ported()
        .map_or((None, false), |(network, ported)| (Some(network), ported));
    Explanation {
        decision: act(table, &question, found),
        country: facts.country(),
        network,
        ported,
        routes: (0..).map_while(explained).collect(),
    }
}

fn behind(best: Rank, number: u32, priority: u32, length: usize) -> RouteVerdict {
    if best.number() == number {
        RouteVerdict::Taken
    } else if priority < best.priority {
        RouteVerdict::LowerPriority
    } else if length < best.length {
        RouteVerdict::ShorterPrefix
    } else {
        RouteVerdict::Later
    }
}
