//! Things that happened, in their order, and waits for them.

use super::PATIENCE;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Entries shown when a wait fails.
const SHOWN: usize = 20;

#[derive(Debug)]
pub(crate) struct Ledger<T> {
    name: String,
    entries: Mutex<Vec<T>>,
    count: watch::Sender<usize>,
}

impl<T: Debug> Ledger<T> {
    pub(crate) fn new(name: impl Into<String>) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            entries: Mutex::default(),
            count: watch::Sender::new(0),
        })
    }

    pub(crate) fn push(&self, entry: T) {
        let mut entries = self.lock();
        entries.push(entry);
        self.count.send_replace(entries.len());
    }

    /// What stands there now.
    pub(crate) fn read<R>(&self, read: impl FnOnce(&[T]) -> R) -> R {
        read(&self.lock())
    }

    /// Also after a judge of the entries has panicked: what it found wrong is the news, not the poison.
    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the entries hold an answer; asked again after each new one.
    pub(crate) async fn wait<R>(&self, what: &str, mut find: impl FnMut(&[T]) -> Option<R>) -> R {
        let mut count = self.count.subscribe();
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                count.borrow_and_update();
                if let Some(found) = self.read(&mut find) {
                    return found;
                }
                count.changed().await.unwrap();
            }
        });
        match found.await {
            Ok(found) => found,
            Err(_) => panic!(
                "not within {PATIENCE:?}: {what}\nlast of {}: {:#?}",
                self.name,
                self.tail()
            ),
        }
    }

    /// The entry of that number, however long it takes to come.
    pub(crate) async fn nth(&self, n: usize) -> T
    where
        T: Clone,
    {
        let mut count = self.count.subscribe();
        count.wait_for(|count| *count > n).await.unwrap();
        self.read(|entries| entries[n].clone())
    }

    fn tail(&self) -> Vec<String> {
        self.read(|entries| {
            entries
                .iter()
                .rev()
                .take(SHOWN)
                .rev()
                .map(|entry| format!("{entry:?}"))
                .collect()
        })
    }
}
