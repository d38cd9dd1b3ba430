//! The bounded channels of a child that are worth watching: how full they are, for people and metrics.
//!
//! A child shows a channel through its context; what is kept here is a weak end of it, so that showing a channel never
//! keeps it open. Invariant CH-1: a set belongs to one life of a child; a channel whose senders are gone is not shown.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;

/// How full a channel is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelStatus {
    /// Its name, a word of the child's code.
    pub name: &'static str,
    /// Items that wait in it, and places that senders hold.
    pub depth: usize,
    /// Items it has room for.
    pub capacity: usize,
}

type Look = Box<dyn Fn() -> Option<(usize, usize)> + Send>;

/// The channels of one life of a child.
#[derive(Default)]
pub(super) struct Channels(Mutex<Vec<(&'static str, Look)>>);

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.status()).finish()
    }
}

impl Channels {
    /// Shows a channel; one of the same name before it is replaced.
    pub(super) fn show<T: Send + 'static>(&self, name: &'static str, sender: &mpsc::Sender<T>) {
        let weak = sender.downgrade();
        let look = move || {
            let sender = weak.upgrade()?;
            let capacity = sender.max_capacity();
            Some((capacity.saturating_sub(sender.capacity()), capacity))
        };
        let mut shown = self.lock();
        shown.retain(|(other, _)| *other != name);
        shown.push((name, Box::new(look)));
    }

    pub(super) fn status(&self) -> Vec<ChannelStatus> {
        let mut status = Vec::new();
        self.lock().retain(|(name, look)| match look() {
            Some((depth, capacity)) => {
                status.push(ChannelStatus {
                    name,
                    depth,
                    capacity,
                });
                true
            }
            None => false,
        });
        status
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(&'static str, Look)>> {
        // Nothing under the lock can panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_channel_is_shown_while_it_has_a_sender_and_never_kept_open() {
        let channels = Channels::default();
        let (sender, mut receiver) = mpsc::channel(8);
        channels.show("work", &sender);
        sender.send(1).await.unwrap();
        sender.send(2).await.unwrap();
        let full = |depth| {
            vec![ChannelStatus {
                name: "work",
                depth,
                capacity: 8,
            }]
        };
        assert_eq!(channels.status(), full(2));
        receiver.recv().await.unwrap();
        assert_eq!(channels.status(), full(1));
        let (again, _receiver) = mpsc::channel::<u8>(8);
        channels.show("work", &again);
        assert_eq!(channels.status(), full(0), "one channel a name");
        channels.show("work", &sender);
        drop(sender);
        assert_eq!(channels.status(), []);
        receiver.recv().await.unwrap();
        assert_eq!(receiver.recv().await, None, "closed");
    }
}
