//! Records of a backlog, read from the disk before they are asked for: who takes the oldest records of a long queue
//! takes their neighbours next, and one walk over many costs a tenth of as many look-ups.
//!
//! Knows no disk. The octets of a record never change, so what is kept here can be old but never wrong. Consumers of one
//! queue go through it side by side: one of them reads at a time, the others find theirs when it is done; and the window
//! before the last one stays for those that are a little behind. Invariant: at most [`WINDOWS`] queues with two windows of
//! at most [`MOST`] records and [`OCTETS`] octets each.
//!
//! # Limits
//! A consumer that takes from few flows of a mixed queue gains little; its windows shrink to what it asked for.

use bytes::Bytes;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::sync::Arc;

/// Queues that are read ahead at once; the one that was read longest ago makes room.
const WINDOWS: usize = 16;
/// Records of a window.
pub(crate) const MOST: usize = 2048;
/// Octets of a window.
pub(crate) const OCTETS: usize = 1024 * 1024;
/// Of a window that is read for the first time, beside what was asked for.
const FIRST: usize = 64;

#[derive(Debug)]
struct Window {
    records: FxHashMap<u64, Bytes>,
    before: FxHashMap<u64, Bytes>,
    /// How many it began with.
    read: usize,
    taken: usize,
}

/// What was read ahead, by queue.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    windows: FxHashMap<u32, Window>,
    /// By when they were read, oldest first.
    order: VecDeque<u32>,
    /// Who reads has it; a few queues may share one.
    reading: [Arc<tokio::sync::Mutex<()>>; WINDOWS],
}

impl Ahead {
    /// A record of a queue, if it is here. It is handed out once.
    pub(crate) fn take(&mut self, queue: u32, id: u64) -> Option<Bytes> {
        let window = self.windows.get_mut(&queue)?;
        let record = window.records.remove(&id).or_else(|| window.before.remove(&id))?;
        window.taken = window.taken.saturating_add(1);
        Some(record)
    }

    /// How many records to read ahead now: twice as many when the last ones were wanted, half when they were not.
    pub(crate) fn wanted(&self, queue: u32) -> usize {
        let Some(window) = self.windows.get(&queue) else {
            return FIRST;
        };
        if window.taken.saturating_mul(2) >= window.read {
            window.read.saturating_mul(2).clamp(FIRST, MOST)
        } else {
            window.read / 2
        }
    }

    /// To be held while the next window of a queue is read.
    pub(crate) fn reading(&self, queue: u32) -> Option<Arc<tokio::sync::Mutex<()>>> {
        let at = usize::try_from(queue).unwrap_or_default() % WINDOWS;
        self.reading.get(at).cloned()
    }

    /// The next window of a queue, behind its last one.
    pub(crate) fn keep(&mut self, queue: u32, records: impl Iterator<Item = (u64, Bytes)>) {
        let records: FxHashMap<u64, Bytes> = records.collect();
        let before = self.windows.remove(&queue);
        if before.is_some() {
            self.order.retain(|there| *there != queue);
        }
        let window = Window {
            read: records.len(),
            taken: 0,
            records,
            before: before.map(|window| window.records).unwrap_or_default(),
        };
        self.windows.insert(queue, window);
        self.order.push_back(queue);
        while self.order.len() > WINDOWS
            && let Some(oldest) = self.order.pop_front()
        {
            self.windows.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(ahead: &mut Ahead, queue: u32, ids: std::ops::Range<u64>) {
        ahead.keep(queue, ids.map(|id| (id, Bytes::from_static(b"x"))));
    }

    #[test]
    fn a_window_grows_while_it_is_used_and_shrinks_when_it_is_not() {
        let mut ahead = Ahead::default();
        assert_eq!(ahead.wanted(1), FIRST);
        read(&mut ahead, 1, 0..64);
        for id in 0..40 {
            assert!(ahead.take(1, id).is_some());
        }
        assert!(ahead.take(1, 0).is_none(), "handed out once");
        assert!(ahead.take(2, 41).is_none(), "of another queue");
        assert_eq!(ahead.wanted(1), 128);
        read(&mut ahead, 1, 64..192);
        assert!(ahead.take(1, 41).is_some(), "who is a little behind finds it");
        read(&mut ahead, 1, 192..320);
        assert!(
            ahead.take(1, 42).is_none(),
            "the window before the last one is gone"
        );
        assert_eq!(ahead.wanted(1), 64);
        read(&mut ahead, 1, 0..1);
        assert_eq!(ahead.wanted(1), 0, "and reads nothing ahead that nobody takes");
        read(&mut ahead, 1, 0..0);
        assert_eq!(ahead.wanted(1), FIRST, "until it is tried again");
    }

    #[test]
    fn only_so_many_queues_are_read_ahead() {
        let mut ahead = Ahead::default();
        for queue in 0..100 {
            read(&mut ahead, queue, 0..4);
        }
        assert_eq!(ahead.windows.len(), WINDOWS);
        assert_eq!(ahead.order.len(), WINDOWS);
        assert!(ahead.take(99, 0).is_some() && ahead.take(0, 0).is_none());
    }
}
