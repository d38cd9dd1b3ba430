//! Wall time that follows tokio's: under paused time both stand still until a test waits. And a clock that panics.

use crate::dice::{Dice, unwind};
use smsgw_message::{Clock, Timestamp};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Begins at [`SimClock::ORIGIN`] when it is made.
#[derive(Debug, Clone)]
pub struct SimClock(tokio::time::Instant);

impl SimClock {
    /// 2026-11-21T08:00:00Z.
    pub const ORIGIN: Timestamp = Timestamp::from_millis(1_795_248_000_000);

    /// A clock that begins now, at the origin. To be made inside the runtime whose time it follows.
    #[expect(
        clippy::new_without_default,
        reason = "a default that depends on when it is asked for would surprise"
    )]
    pub fn new() -> Self {
        Self(tokio::time::Instant::now())
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        Self::ORIGIN.after(self.0.elapsed())
    }

    fn instant(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

/// Another clock, until it is told to panic: a fault in whichever handler or timer asks next.
#[derive(Debug)]
pub struct MoodyClock {
    inner: Arc<dyn Clock>,
    dice: Mutex<(Dice, u32)>,
    panics: AtomicUsize,
}

impl MoodyClock {
    /// Sound until [`MoodyClock::panic_by`].
    pub fn over(inner: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            dice: Mutex::new((Dice::new(0, 0), 0)),
            panics: AtomicUsize::new(0),
        })
    }

    /// From now on a look panics with this chance out of 1000, at most so many times.
    pub fn panic_by(&self, seed: u64, chance: u32, at_most: usize) {
        *self.dice.lock().unwrap_or_else(PoisonError::into_inner) = (Dice::new(seed, at_most), chance);
    }

    /// Sound again.
    pub fn calm(&self) {
        self.panic_by(0, 0, 0);
    }

    /// How many looks panicked.
    pub fn panics(&self) -> usize {
        self.panics.load(Ordering::SeqCst)
    }

    fn tempt(&self) {
        // Two panics at once end the process: what unwinds may look at the clock.
        if std::thread::panicking() {
            return;
        }
        let hit = {
            let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
            let chance = dice.1;
            dice.0.throw(&[chance]).is_some()
        };
        if hit {
            self.panics.fetch_add(1, Ordering::SeqCst);
            unwind("the clock panicked");
        }
    }
}

impl Clock for MoodyClock {
    fn now(&self) -> Timestamp {
        self.tempt();
        self.inner.now()
    }

    fn instant(&self) -> Instant {
        self.tempt();
        self.inner.instant()
    }
}
