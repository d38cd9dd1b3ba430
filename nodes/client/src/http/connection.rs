//! What the requests of one connection share: where it comes from, whose it is, whether it is to end.
//!
//! A connection belongs to the account of its last request. Knows no request. Invariant: an account holds no more
//! connections than it may; one too many has its request refused and ends.

use crate::guard::{Seat, Seats};
use smsgw_message::ClientId;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// One open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) peer: IpAddr,
    seat: Mutex<Option<Seat>>,
    work: Mutex<Work>,
    ending: Notify,
}

#[derive(Debug)]
struct Work {
    /// Requests that are being answered.
    open: usize,
    /// Since when there is none.
    idle_since: Instant,
}

/// A request that is being answered.
#[derive(Debug)]
pub(crate) struct Busy<'a>(&'a Connection);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut work = self.0.work.lock().unwrap_or_else(PoisonError::into_inner);
        work.open = work.open.saturating_sub(1);
        work.idle_since = Instant::now();
    }
}

impl Connection {
    pub(crate) fn new(peer: IpAddr) -> Self {
        Self {
            peer,
            seat: Mutex::default(),
            work: Mutex::new(Work {
                open: 0,
                idle_since: Instant::now(),
            }),
            ending: Notify::new(),
        }
    }

    /// A request begins.
    pub(crate) fn busy(&self) -> Busy<'_> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner).open += 1;
        Busy(self)
    }

    /// The connection is this account's from now on; false when it has too many, and then the connection ends.
    pub(crate) fn belongs_to(&self, client: &ClientId, seats: &Seats, most: u32) -> bool {
        let mut seat = self.seat.lock().unwrap_or_else(PoisonError::into_inner);
        if seat.as_ref().is_some_and(|seat| seat.is_of(client)) {
            return true;
        }
        *seat = seats.take(client, most);
        if seat.is_none() {
            self.ending.notify_one();
        }
        seat.is_some()
    }

    /// Returns when the connection is to end: an account has too many, or nothing was asked for so long.
    pub(crate) async fn ended(&self, idle: Duration) {
        let asleep = async {
            loop {
                let (open, since) = {
                    let work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
                    (work.open, work.idle_since)
                };
                let until = since + idle;
                if open == 0 && until <= Instant::now() {
                    return;
                }
                tokio::time::sleep_until(if open == 0 { until } else { Instant::now() + idle }).await;
            }
        };
        tokio::select! {
            () = self.ending.notified() => {}
            () = asleep => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_ends_and_a_busy_one_does_not() {
        let connection = Connection::new([192, 0, 2, 1].into());
        let idle = Duration::from_secs(30);
        let start = Instant::now();
        connection.ended(idle).await;
        assert_eq!(start.elapsed(), idle);
        let busy = connection.busy();
        assert!(
            tokio::time::timeout(idle * 10, connection.ended(idle))
                .await
                .is_err()
        );
        drop(busy);
        assert!(
            tokio::time::timeout(idle * 2, connection.ended(idle))
                .await
                .is_ok()
        );
    }

    #[tokio::test]
    async fn a_connection_changes_hands_and_one_too_many_ends() {
        let (acme, other) = (
            ClientId::try_new("acme").unwrap(),
            ClientId::try_new("other").unwrap(),
        );
        let seats = Seats::default();
        let first = Connection::new([192, 0, 2, 1].into());
        let second = Connection::new([192, 0, 2, 1].into());
        assert!(first.belongs_to(&acme, &seats, 1) && first.belongs_to(&acme, &seats, 1));
        assert!(!second.belongs_to(&acme, &seats, 1));
        second.ended(Duration::from_secs(3600)).await;
        assert!(first.belongs_to(&other, &seats, 1));
        assert_eq!((seats.open(&acme), seats.open(&other)), (0, 1));
        drop(first);
        assert_eq!(seats.open(&other), 0);
    }
}
