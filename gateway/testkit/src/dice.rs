//! Seeded luck with a budget: a run of a test is told by its seed, and comes to rest.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Throws until its budget of hits is spent.
#[derive(Debug)]
pub(crate) struct Dice {
    luck: StdRng,
    left: usize,
}

impl Dice {
    /// Hits at most `at_most` times.
    pub(crate) fn new(seed: u64, at_most: usize) -> Self {
        Self {
            luck: StdRng::seed_from_u64(seed),
            left: at_most,
        }
    }

    /// Which of the chances, each out of 1000 and tried as one throw, comes up; `None` when none does.
    pub(crate) fn throw(&mut self, chances: &[u32]) -> Option<usize> {
        if self.left == 0 {
            return None;
        }
        let mut thrown = self.luck.random_range(0..1000_u32);
        for (at, chance) in chances.iter().enumerate() {
            match thrown.checked_sub(*chance) {
                Some(rest) => thrown = rest,
                None => {
                    self.left -= 1;
                    return Some(at);
                }
            }
        }
        None
    }
}

/// A panic without the noise of the hook: the tests make hundreds of them.
pub(crate) fn unwind(why: &'static str) -> ! {
    std::panic::resume_unwind(Box::new(why))
}
