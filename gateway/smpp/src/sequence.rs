//! Sequence numbers of our requests: 1 to 0x7FFFFFFF, then 1 again (SMPP 3.4 §5.1.4).
//!
//! Invariant: a number that is still in use is never given out, however long ago it was.

/// Largest number.
pub(crate) const LAST: u32 = 0x7FFF_FFFF;

/// Where the numbers come from.
#[derive(Debug)]
pub(crate) struct SequenceNumbers {
    next: u32,
}

impl SequenceNumbers {
    pub(crate) const fn starting_at(next: u32) -> Self {
        Self { next }
    }

    /// The next number that is not `taken`. Far fewer can be taken than there are numbers, so there always is one.
    pub(crate) fn next(&mut self, taken: impl Fn(u32) -> bool) -> u32 {
        loop {
            let number = self.next;
            self.next = if number >= LAST {
                1
            } else {
                number.saturating_add(1)
            };
            if !taken(number) {
                return number;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_wrap_to_one_and_skip_what_is_taken() {
        let mut numbers = SequenceNumbers::starting_at(LAST - 1);
        let taken = |number| number == 1 || number == 3;
        let given: Vec<u32> = (0..4).map(|_| numbers.next(taken)).collect();
        assert_eq!(given, [LAST - 1, LAST, 2, 4]);
    }
}
