//! The configuration that is in force, where every node of the process can see it.
//!
//! Reading is one atomic load; a node that must act on a change waits on `subscribe`. Only the config node publishes.
//! Invariant: epochs count up by one, and an epoch that a subscriber has seen is never ahead of what `current` gives.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::schema::Config;

/// A configuration and its version.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Version of the configuration in this process, counted from 1.
    pub epoch: u64,
    /// The configuration.
    pub config: Arc<Config>,
}

/// Access to the snapshot in force; clones see the same one.
#[derive(Debug, Clone)]
pub struct ConfigHandle {
    current: Arc<ArcSwap<Snapshot>>,
    epoch: Arc<watch::Sender<u64>>,
}

impl ConfigHandle {
    /// Starts with epoch 1.
    pub fn new(config: Config) -> Self {
        let snapshot = Snapshot {
            epoch: 1,
            config: Arc::new(config),
        };
        Self {
            current: Arc::new(ArcSwap::from_pointee(snapshot)),
            epoch: Arc::new(watch::Sender::new(1)),
        }
    }

    /// The snapshot in force. Take it once per batch, not once per process.
    pub fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.current.load().config)
    }

    /// Tells of every new epoch; epochs that come while nobody looks are folded into the last one.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.epoch.subscribe()
    }

    /// Puts a configuration in force and tells the subscribers; gives its epoch.
    pub fn publish(&self, config: Config) -> u64 {
        let config = Arc::new(config);
        let mut published = 0;
        // `send_modify` holds the channel's lock, which makes two publishers take turns.
        self.epoch.send_modify(|epoch| {
            *epoch += 1;
            published = *epoch;
            self.current.store(Arc::new(Snapshot {
                epoch: published,
                config: Arc::clone(&config),
            }));
        });
        published
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_count_up_by_one_whoever_publishes() {
        let handle = ConfigHandle::new(Config::default());
        let seen = handle.subscribe();
        let mut epochs: Vec<u64> = std::thread::scope(|scope| {
            let publishers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        (0..50)
                            .map(|_| handle.publish(Config::default()))
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            publishers
                .into_iter()
                .flat_map(|publisher| publisher.join().unwrap())
                .collect()
        });
        epochs.sort_unstable();
        assert_eq!(epochs, (2..=201).collect::<Vec<_>>());
        assert_eq!((*seen.borrow(), handle.current().epoch), (201, 201));
    }

    #[test]
    fn a_subscriber_finds_the_epoch_it_was_told_of() {
        let handle = ConfigHandle::new(Config::default());
        let mut seen = handle.subscribe();
        let mut config = Config::default();
        config.limits.max_parts = 3;
        let epoch = handle.publish(config);
        assert_eq!(*seen.borrow_and_update(), epoch);
        assert_eq!(handle.config().limits.max_parts, 3);
    }
}
