//! The configuration that is in force, where every node of the process can see it.
//!
//! Reading is one atomic load; a node that must act on a change waits on `subscribe`. Only the config node publishes.
//! The route table hangs on the snapshot: every node of the process shares one, built by whoever asks first, and an epoch
//! whose routes, costs and ported numbers are those of the one before keeps its table.
//!
//! Invariant: epochs count up by one, and an epoch that a subscriber has seen is never ahead of what `current` gives.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use smsgw_routing::{RouteError, RouteTable};
use tokio::sync::watch;

use crate::schema::Config;

/// A configuration and its version.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Version of the configuration in this process, counted from 1.
    pub epoch: u64,
    /// The configuration.
    pub config: Arc<Config>,
    routes: Arc<OnceLock<Result<Arc<RouteTable>, RouteError>>>,
}

impl Snapshot {
    fn first(config: Config) -> Self {
        Self {
            epoch: 1,
            config: Arc::new(config),
            routes: Arc::default(),
        }
    }

    fn next(&self, config: Arc<Config>) -> Self {
        let same = self.config.routes_as(&config);
        Self {
            epoch: self.epoch + 1,
            routes: if same {
                Arc::clone(&self.routes)
            } else {
                Arc::default()
            },
            config,
        }
    }

    /// The table of its routes. The first call after they changed builds it (some 100 ms for a million prefixes, so not on a
    /// worker of the runtime where there are that many), others wait for it.
    ///
    /// # Errors
    /// Routes that no table can be built from; validation refuses them.
    pub fn routes(&self) -> Result<Arc<RouteTable>, RouteError> {
        self.routes
            .get_or_init(|| self.config.route_table().map(Arc::new))
            .clone()
    }
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
        Self {
            current: Arc::new(ArcSwap::from_pointee(Snapshot::first(config))),
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
            let next = self.current.load().next(Arc::clone(&config));
            self.current.store(Arc::new(next));
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
    fn a_table_is_built_once_and_again_only_when_routes_change() {
        let handle = ConfigHandle::new(Config::default());
        let first = handle.current().routes().unwrap();
        assert!(Arc::ptr_eq(&first, &handle.current().routes().unwrap()));
        let mut config = Config::default();
        config.limits.max_parts = 3;
        handle.publish(config.clone());
        assert!(Arc::ptr_eq(&first, &handle.current().routes().unwrap()));
        config.route.mt = vec![crate::MtRoute {
            operators: vec!["alpha".parse().unwrap()],
            ..crate::MtRoute::default()
        }];
        handle.publish(config);
        let changed = handle.current().routes().unwrap();
        assert_eq!((first.route_counts(), changed.route_counts()), ((0, 0), (1, 0)));
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
