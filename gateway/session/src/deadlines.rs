//! Values by key with a deadline each: O(1) insert and remove, expiry in deadline order.
//!
//! Knows no limit on its size (its users do) and no clock. Entries live in a slab and form a list in deadline order;
//! a new entry looks for its place from the end, which is one step as long as deadlines come in order, as they do with
//! a constant timeout. Invariant: map, slab and list hold the same entries.

use rustc_hash::FxHashMap;
use std::{hash::Hash, time::Instant};

#[derive(Debug)]
struct Node<K, V> {
    key: K,
    value: V,
    deadline: Instant,
    earlier: Option<usize>,
    later: Option<usize>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Deadlines<K, V> {
    by_key: FxHashMap<K, usize>,
    slab: Vec<Option<Node<K, V>>>,
    free: Vec<usize>,
    earliest: Option<usize>,
    latest: Option<usize>,
}

impl<K: Copy + Eq + Hash, V> Deadlines<K, V> {
    pub(crate) fn new() -> Self {
        Self {
            by_key: FxHashMap::default(),
            slab: Vec::new(),
            free: Vec::new(),
            earliest: None,
            latest: None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.by_key.contains_key(key)
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.node(*self.by_key.get(key)?).map(|node| &node.value)
    }

    /// Puts an entry in; gives the value back when the key is taken.
    pub(crate) fn insert(&mut self, key: K, value: V, deadline: Instant) -> Result<(), V> {
        if self.contains(&key) {
            return Err(value);
        }
        let mut earlier = self.latest;
        while let Some((at, node)) = earlier.and_then(|at| Some((at, self.node(at)?))) {
            if node.deadline <= deadline {
                earlier = Some(at);
                break;
            }
            earlier = node.earlier;
        }
        let later = match earlier {
            Some(at) => self.node(at).and_then(|node| node.later),
            None => self.earliest,
        };
        let node = Some(Node {
            key,
            value,
            deadline,
            earlier,
            later,
        });
        let at = match self.free.pop() {
            Some(at) => {
                if let Some(slot) = self.slab.get_mut(at) {
                    *slot = node;
                }
                at
            }
            None => {
                self.slab.push(node);
                self.slab.len().saturating_sub(1)
            }
        };
        self.link(earlier, later, Some(at), Some(at));
        self.by_key.insert(key, at);
        Ok(())
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.by_key.remove(key)?;
        self.unlink(at).map(|node| node.value)
    }

    /// Takes out the entry with the earliest deadline.
    pub(crate) fn pop_earliest(&mut self) -> Option<(K, V)> {
        let node = self.unlink(self.earliest?)?;
        self.by_key.remove(&node.key);
        Some((node.key, node.value))
    }

    pub(crate) fn earliest(&self) -> Option<Instant> {
        self.node(self.earliest?).map(|node| node.deadline)
    }

    fn node(&self, at: usize) -> Option<&Node<K, V>> {
        self.slab.get(at)?.as_ref()
    }

    fn unlink(&mut self, at: usize) -> Option<Node<K, V>> {
        let node = self.slab.get_mut(at)?.take()?;
        self.free.push(at);
        self.link(node.earlier, node.later, node.later, node.earlier);
        Some(node)
    }

    /// Makes `after` follow `earlier`, and `before` precede `later`.
    fn link(
        &mut self,
        earlier: Option<usize>,
        later: Option<usize>,
        after: Option<usize>,
        before: Option<usize>,
    ) {
        match earlier.and_then(|at| self.slab.get_mut(at)?.as_mut()) {
            Some(node) => node.later = after,
            None => self.earliest = after,
        }
        match later.and_then(|at| self.slab.get_mut(at)?.as_mut()) {
            Some(node) => node.earlier = before,
            None => self.latest = before,
        }
    }
}
