//! Goes through a keyspace from its first key to its last, past what cannot be read.
//!
//! A block of a table whose check does not match is an error at each key in it. The end of such a gap is searched by
//! trying keys behind it, twice as far each time, and then halving. Invariant: every key that can be read before a gap,
//! and from the end found of it on, is returned once, in order.
//!
//! # Limits
//! Readable keys between two gaps that lie close together may be taken for part of one gap.

use fjall::{Keyspace, UserKey, UserValue};

/// Keys are compared by so many octets when the end of a gap is searched.
const WIDTH: usize = 48;
/// Gaps in one keyspace before the rest of it is given up: a disk that answers nothing at all.
const MOST_GAPS: usize = 10_000;

/// What comes next.
pub(crate) enum Next {
    Entry(UserKey, UserValue),
    /// Nothing could be read between these two, if anything was there.
    Gap {
        after: Vec<u8>,
        until: Vec<u8>,
        why: String,
    },
}

pub(crate) struct Walk<'a> {
    keyspace: &'a Keyspace,
    end: Vec<u8>,
    entries: Option<fjall::Iter>,
    last: Vec<u8>,
    gaps: usize,
}

impl<'a> Walk<'a> {
    /// From `begin` on, before `end`.
    pub(crate) fn new(keyspace: &'a Keyspace, begin: &[u8], end: &[u8]) -> Self {
        Self {
            entries: Some(keyspace.range(begin.to_vec()..end.to_vec())),
            keyspace,
            end: end.to_vec(),
            last: begin.to_vec(),
            gaps: 0,
        }
    }

    pub(crate) fn next(&mut self) -> Option<Next> {
        let item = self.entries.as_mut()?.next();
        match item.map(fjall::Guard::into_inner) {
            None => {
                self.entries = None;
                None
            }
            Some(Ok((key, value))) => {
                self.last.clear();
                self.last.extend_from_slice(&key);
                Some(Next::Entry(key, value))
            }
            Some(Err(error)) => {
                self.gaps = self.gaps.saturating_add(1);
                let after = self.last.clone();
                let until = if self.gaps < MOST_GAPS {
                    self.behind_gap(&after)
                } else {
                    self.end.clone()
                };
                self.entries =
                    (until < self.end).then(|| self.keyspace.range(until.clone()..self.end.clone()));
                self.last.clone_from(&until);
                Some(Next::Gap {
                    after,
                    until,
                    why: error.to_string(),
                })
            }
        }
    }

    fn readable(&self, from: &[u8]) -> bool {
        let first = self.keyspace.range(from.to_vec()..self.end.clone()).next();
        first.is_none_or(|item| item.key().is_ok())
    }

    /// The first key behind `after` from which on it can be read again; the end when there is none.
    fn behind_gap(&self, after: &[u8]) -> Vec<u8> {
        let mut bad = Number::of(after);
        let last = Number::of(&self.end);
        let mut reach = Number::one();
        let mut good = loop {
            let tried = bad.plus(&reach);
            if tried >= last {
                break last;
            }
            if self.readable(&tried.0) {
                break tried;
            }
            reach = reach.plus(&reach);
        };
        // Between the two: `bad` is not readable, `good` is.
        while bad.next() < good {
            let middle = bad.middle(&good);
            if self.readable(&middle.0) {
                good = middle;
            } else {
                bad = middle;
            }
        }
        if good >= Number::of(&self.end) {
            return self.end.clone();
        }
        good.0.to_vec()
    }
}

/// A key as a number: its first octets are the highest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Number([u8; WIDTH]);

impl Number {
    fn of(key: &[u8]) -> Self {
        let mut number = [0; WIDTH];
        for (to, from) in number.iter_mut().zip(key) {
            *to = *from;
        }
        Self(number)
    }

    fn one() -> Self {
        let mut one = [0; WIDTH];
        if let Some(last) = one.last_mut() {
            *last = 1;
        }
        Self(one)
    }

    /// At most the largest one.
    fn plus(&self, other: &Self) -> Self {
        let mut sum = [0; WIDTH];
        let mut carry = 0u16;
        for ((to, a), b) in sum.iter_mut().zip(&self.0).zip(&other.0).rev() {
            let [high, low] = (u16::from(*a) + u16::from(*b) + carry).to_be_bytes();
            (carry, *to) = (u16::from(high), low);
        }
        if carry > 0 { Self([0xFF; WIDTH]) } else { Self(sum) }
    }

    fn next(&self) -> Self {
        self.plus(&Self::one())
    }

    fn middle(&self, other: &Self) -> Self {
        let sum = self.halved().plus(&other.halved());
        let odd = |number: &Self| number.0.last().is_some_and(|octet| octet & 1 == 1);
        if odd(self) && odd(other) { sum.next() } else { sum }
    }

    fn halved(&self) -> Self {
        let mut half = [0; WIDTH];
        let mut carry = 0;
        for (to, from) in half.iter_mut().zip(&self.0) {
            *to = from >> 1 | carry << 7;
            carry = from & 1;
        }
        Self(half)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_add_and_halve() {
        let number = |octets: &[u8]| Number::of(octets);
        assert!(number(b"a") < number(b"aa") && number(b"aa") < number(b"b"));
        let (low, high) = (number(&[0, 10]), number(&[0, 20]));
        assert_eq!(low.middle(&high), number(&[0, 15]));
        assert_eq!(number(&[0, 0xFF]).plus(&number(&[0, 1])), number(&[1]));
        let one = Number::one();
        assert_eq!(one.middle(&one.next().next()), one.next());
        assert_eq!(number(&[0xFF; WIDTH]).next(), number(&[0xFF; WIDTH]));
    }
}
