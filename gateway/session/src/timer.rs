//! A few named deadlines and the earliest of them: what a session's `poll_timeout` answers.
//!
//! Meant for a handful of names (linear search). Knows no clock. Invariant: a name has at most one deadline.

use std::time::Instant;

/// Deadlines by name.
#[derive(Debug, Clone)]
pub struct TimerTable<N> {
    timers: Vec<(N, Instant)>,
}

impl<N: Copy + Eq> TimerTable<N> {
    /// None armed.
    #[must_use]
    pub const fn new() -> Self {
        Self { timers: Vec::new() }
    }

    /// Arms a timer, or moves it.
    pub fn set(&mut self, name: N, at: Instant) {
        match self.timers.iter_mut().find(|(known, _)| *known == name) {
            Some((_, deadline)) => *deadline = at,
            None => self.timers.push((name, at)),
        }
    }

    /// Disarms a timer; says whether it was armed.
    pub fn clear(&mut self, name: N) -> bool {
        let before = self.timers.len();
        self.timers.retain(|(known, _)| *known != name);
        self.timers.len() != before
    }

    /// Disarms all.
    pub fn clear_all(&mut self) {
        self.timers.clear();
    }

    /// When that one is due.
    #[must_use]
    pub fn get(&self, name: N) -> Option<Instant> {
        self.timers
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, at)| *at)
    }

    /// The earliest deadline.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.timers.iter().map(|(_, at)| *at).min()
    }

    /// Disarms and names the earliest timer that is due; the one armed first among equals. Call until `None`.
    pub fn expired(&mut self, now: Instant) -> Option<N> {
        let (name, _) = self
            .timers
            .iter()
            .copied()
            .filter(|(_, at)| *at <= now)
            .min_by_key(|(_, at)| *at)?;
        self.clear(name);
        Some(name)
    }
}

impl<N: Copy + Eq> Default for TimerTable<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests start from some instant")]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn due_timers_come_in_order_and_once() {
        let t0 = Instant::now();
        let at = |seconds| t0 + Duration::from_secs(seconds);
        let mut timers = TimerTable::new();
        timers.set('b', at(2));
        timers.set('a', at(1));
        timers.set('c', at(9));
        timers.set('c', at(3));
        assert_eq!((timers.next(), timers.get('c')), (Some(at(1)), Some(at(3))));
        assert_eq!(timers.expired(at(0)), None);
        assert_eq!(timers.expired(at(2)), Some('a'));
        assert_eq!(timers.expired(at(2)), Some('b'));
        assert_eq!(timers.expired(at(2)), None);
        assert!(timers.clear('c'));
        assert!(!timers.clear('c'));
        assert_eq!(timers.next(), None);
    }
}
