//! Long messages at the carrier: parts that belong together, and whether any came again.
//!
//! Invariant: a message is whole once, when the last of its parts came first.

use crate::ledger::sum;
use crate::smsc::wire::Part;
use rustc_hash::FxHashMap;

/// What parts of one message share: sender, recipient, reference, total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PartKey(u64);

impl PartKey {
    pub(super) fn new(source: &str, destination: &str, part: Part) -> Self {
        let Part { reference, total, .. } = part;
        Self(sum(format!("{source}>{destination}/{reference}/{total}").as_bytes()).0)
    }
}

#[derive(Debug, Default)]
struct Piece {
    octets: Option<Box<[u8]>>,
    seen: bool,
    answered: bool,
}

#[derive(Debug, Default)]
struct Set {
    place: Option<u32>,
    pieces: Box<[Piece]>,
    is_whole: bool,
}

/// A message with all its parts.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) place: u32,
    pub(super) octets: Vec<u8>,
}

/// What a part means.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) whole: Option<Whole>,
    /// Its message, when the part had come before.
    pub(super) repeated: Option<u32>,
    /// The one before had been answered.
    pub(super) repeated_answered: bool,
}

#[derive(Debug, Default)]
pub(super) struct Parts {
    sets: FxHashMap<PartKey, Set>,
    octets: u64,
}

impl Parts {
    /// A part came: of which message, if its text says so.
    pub(super) fn note(
        &mut self,
        key: PartKey,
        part: Part,
        text: &[u8],
        place: Option<u32>,
        answered: bool,
    ) -> Seen {
        let set = self.sets.entry(key).or_insert_with(|| Set {
            pieces: (0..part.total).map(|_| Piece::default()).collect(),
            ..Set::default()
        });
        set.place = set.place.or(place);
        let at = usize::from(part.number.saturating_sub(1));
        let Some(piece) = set.pieces.get_mut(at) else {
            return Seen::default();
        };
        if piece.seen {
            let before = piece.answered;
            piece.answered |= answered;
            return Seen {
                whole: None,
                repeated: set.place,
                repeated_answered: before && answered,
            };
        }
        piece.seen = true;
        piece.answered = answered;
        piece.octets = Some(text.into());
        self.octets = self.octets.saturating_add(u64::try_from(text.len()).unwrap_or(0));
        let (Some(place), false) = (set.place, set.is_whole) else {
            return Seen::default();
        };
        if !set.pieces.iter().all(|piece| piece.seen) {
            return Seen::default();
        }
        set.is_whole = true;
        let octets: Vec<u8> = set
            .pieces
            .iter_mut()
            .filter_map(|piece| piece.octets.take())
            .flat_map(|octets| octets.into_vec())
            .collect();
        self.octets = self
            .octets
            .saturating_sub(u64::try_from(octets.len()).unwrap_or(0));
        Seen {
            whole: Some(Whole { place, octets }),
            ..Seen::default()
        }
    }

    /// Parts of messages whose first part never came.
    pub(super) fn orphans(&self) -> u64 {
        let count = |set: &Set| set.pieces.iter().filter(|piece| piece.seen).count();
        self.sets
            .values()
            .filter(|set| set.place.is_none())
            .map(|set| u64::try_from(count(set)).unwrap_or(0))
            .sum()
    }

    /// Octets held, about.
    pub(super) fn memory(&self) -> u64 {
        let pieces: usize = self.sets.values().map(|set| set.pieces.len()).sum();
        let all = pieces.saturating_mul(size_of::<Piece>()).saturating_add(
            self.sets
                .capacity()
                .saturating_mul(size_of::<Set>().saturating_add(9)),
        );
        u64::try_from(all).unwrap_or(u64::MAX).saturating_add(self.octets)
    }
}
