//! Keeps the parts of one long message on one link, in their order, where an operator has several links.
//!
//! ```text
//! queue ─▶ checkout, one link at a time ─▶ sort ─┬─ single part, or nobody has its siblings ─▶ this link
//!                                                ├─ a bound link has its siblings ───────────▶ handed over to it
//!                                                └─ that link is gone, or takes no more ─────▶ this link from now on
//! ```
//! A link checks out for the slots it has free, while it has the turn; what belongs to another link goes into that link's
//! bounded channel and the slot stays free for the next checkout, so that no slot waits for a sibling and no link for
//! another. Turns matter: what one link sorts is noted before another looks, and each channel is filled in the order of the
//! queue.
//!
//! Promised: while its link stays bound, the parts of a message go over that link, each for the first time in their order. A
//! part that comes back (throttled, in doubt) goes after the others, over the same link as long as that is remembered.
//! Not promised: one link for a message whose link is lost in the middle (the rest goes over another), or that has more
//! parts waiting at a slow link than its channel takes.
//!
//! Invariants: TO-1: a delivery that is sorted is in one place: the sorter's batch or one channel. TO-2: nothing is put into the
//! channel of a link that has left. What is remembered is bounded, and forgetting costs only the promise.

use crate::cancel::Cancelled;
use crate::metric::HANDED_OVER_TOTAL;
use smsgw_message::{ClientId, Dispatch, MessageId, OperatorId, Record, RecordError};
use smsgw_queue::{BoxFuture, Delivery, Engine, EngineError, QueueName, Want};
use smsgw_runtime::Clock;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tracing::warn;

/// Messages whose link is remembered.
const REMEMBERED: usize = 10_000;
/// How long after the last part that was checked out.
const KEPT: Duration = Duration::from_secs(600);
/// Parts that may wait in a link's channel: more than two of the longest messages.
const HANDED: usize = 512;

/// What ties parts together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Bundle {
    /// A message of several parts.
    Message(MessageId),
    /// Messages that are the parts of one, which a client cut itself.
    Cut(ClientId, u64),
}

impl Bundle {
    /// What a part belongs to; `None` when it is alone.
    pub(crate) fn of(dispatch: &Dispatch) -> Option<Self> {
        match dispatch.bundle {
            Some(bundle) => Some(Self::Cut(dispatch.client.clone(), bundle)),
            None => (dispatch.parts > 1).then_some(Self::Message(dispatch.message)),
        }
    }
}

/// Number of a link's session among those of its operator; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Member(u64);

/// Which link has which message. Pure.
#[derive(Debug)]
struct Pins {
    capacity: usize,
    pins: HashMap<Bundle, (Member, Instant)>,
    /// In the order of their times; an entry whose time is not that of `pins` is outdated.
    order: VecDeque<(Instant, Bundle)>,
}

impl Pins {
    fn new(capacity: usize) -> Self {
        Self {
            capacity,
            pins: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// The link that has the siblings.
    fn link_of(&self, bundle: &Bundle, now: Instant) -> Option<Member> {
        let (member, since) = self.pins.get(bundle)?;
        (now.saturating_duration_since(*since) <= KEPT).then_some(*member)
    }

    /// This link has a part of it now.
    fn note(&mut self, bundle: Bundle, member: Member, now: Instant) {
        let is_over = |since: Instant| now.saturating_duration_since(since) > KEPT;
        while let Some((since, _)) = self.order.front()
            && (is_over(*since) || self.order.len() >= self.capacity)
        {
            self.forget_first();
        }
        if let Some((known, since)) = self.pins.get_mut(&bundle) {
            *known = member;
            // Noted again for each part would crowd out the others.
            if now.saturating_duration_since(*since) < KEPT / 2 {
                return;
            }
        }
        self.pins.insert(bundle.clone(), (member, now));
        self.order.push_back((now, bundle));
    }

    fn forget_first(&mut self) {
        let Some((at, bundle)) = self.order.pop_front() else {
            return;
        };
        if self.pins.get(&bundle).is_some_and(|(_, since)| *since == at) {
            self.pins.remove(&bundle);
        }
    }
}

/// A part that was checked out, and what it says.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) delivery: Delivery,
    pub(crate) dispatch: Result<Dispatch, RecordError>,
    /// Its client has withdrawn the message.
    pub(crate) cancelled: bool,
}

#[derive(Debug)]
struct Inner {
    next: u64,
    channels: HashMap<Member, mpsc::Sender<Parcel>>,
    pins: Pins,
}

/// What the links of one operator share to keep parts together.
#[derive(Debug)]
pub(crate) struct Together {
    operator: OperatorId,
    turn: tokio::sync::Mutex<()>,
    inner: Mutex<Inner>,
}

/// A link's place among the others, for as long as this value lives.
#[derive(Debug)]
pub(crate) struct Membership {
    together: Arc<Together>,
    member: Member,
    /// Checked out and not sorted yet: dropped with a cancelled checkout they would count as sent.
    unsorted: Arc<Mutex<Vec<Delivery>>>,
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.together.lock().channels.remove(&self.member);
    }
}

impl Together {
    pub(crate) fn new(operator: &OperatorId) -> Arc<Self> {
        Arc::new(Self {
            operator: operator.clone(),
            turn: tokio::sync::Mutex::default(),
            inner: Mutex::new(Inner {
                next: 0,
                channels: HashMap::new(),
                pins: Pins::new(REMEMBERED),
            }),
        })
    }

    /// A link is bound: from now on it may be handed parts.
    pub(crate) fn join(self: &Arc<Self>) -> (Membership, mpsc::Receiver<Parcel>) {
        let (sender, receiver) = mpsc::channel(HANDED);
        let mut inner = self.lock();
        let member = Member(inner.next);
        inner.next = inner.next.wrapping_add(1);
        inner.channels.insert(member, sender);
        let membership = Membership {
            together: Arc::clone(self),
            member,
            unsorted: Arc::default(),
        };
        (membership, receiver)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, outcome: &str) {
        HANDED_OVER_TOTAL.with(&[self.operator.as_str(), outcome]).inc();
    }
}

impl Membership {
    /// Checks out when it is this link's turn. Gives what is for this link; the rest is handed over. Cancelled, it loses
    /// nothing: [`Membership::unsorted`] has what was checked out by then. Where it cannot be seen what clients have
    /// withdrawn, their requests come too late.
    pub(crate) fn checkout<'a>(
        &self,
        engine: &'a dyn Engine,
        queue: &'a QueueName,
        want: Want,
        clock: &'a dyn Clock,
    ) -> BoxFuture<'a, Result<Vec<Parcel>, EngineError>> {
        let (together, member) = (Arc::clone(&self.together), self.member);
        let unsorted = Arc::clone(&self.unsorted);
        Box::pin(async move {
            let _turn = together.turn.lock().await;
            let deliveries = engine.checkout(queue, want).await?;
            let records = Cancelled::records(&deliveries);
            keep(&unsorted, deliveries);
            let cancelled = match Cancelled::among(engine, records, clock.now()).await {
                Ok(cancelled) => cancelled,
                // Nothing is sent whose answer could not be stored.
                Err(error @ (EngineError::Poisoned(_) | EngineError::Closed)) => return Err(error),
                Err(error @ (EngineError::NoSpace | EngineError::Read(_))) => {
                    warn!(operator = %together.operator, %error, "requests to cancel cannot be read; they come too late for this checkout");
                    Cancelled::default()
                }
            };
            Ok(together.sort(taken(&unsorted), &cancelled, member, clock.instant()))
        })
    }

    /// What a cancelled checkout left behind.
    pub(crate) fn unsorted(&self) -> Vec<Delivery> {
        taken(&self.unsorted)
    }
}

fn keep(unsorted: &Mutex<Vec<Delivery>>, deliveries: Vec<Delivery>) {
    unsorted
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .extend(deliveries);
}

fn taken(unsorted: &Mutex<Vec<Delivery>>) -> Vec<Delivery> {
    std::mem::take(&mut *unsorted.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Together {
    /// Hands over what belongs to other links; gives what is for `me`.
    fn sort(
        &self,
        deliveries: Vec<Delivery>,
        cancelled: &Cancelled,
        me: Member,
        now: Instant,
    ) -> Vec<Parcel> {
        let mut mine = Vec::with_capacity(deliveries.len());
        let mut inner = self.lock();
        for delivery in deliveries {
            let dispatch = Dispatch::from_record(delivery.record());
            let bundle = dispatch.as_ref().ok().and_then(Bundle::of);
            let mut parcel = Parcel {
                cancelled: dispatch.as_ref().is_ok_and(|dispatch| cancelled.has(dispatch)),
                delivery,
                dispatch,
            };
            if let Some(bundle) = bundle {
                let other = inner.pins.link_of(&bundle, now).filter(|link| *link != me);
                match other.map(|link| (link, inner.channels.get(&link))) {
                    None => {}
                    Some((_, None)) => self.count("link_gone"),
                    Some((link, Some(channel))) => match channel.try_send(parcel) {
                        Ok(()) => {
                            self.count("handed");
                            inner.pins.note(bundle, link, now);
                            continue;
                        }
                        Err(
                            mpsc::error::TrySendError::Full(back) | mpsc::error::TrySendError::Closed(back),
                        ) => {
                            self.count("full");
                            parcel = back;
                        }
                    },
                }
                inner.pins.note(bundle, me, now);
            }
            mine.push(parcel);
        }
        mine
    }
}

#[cfg(test)]
mod tests;
