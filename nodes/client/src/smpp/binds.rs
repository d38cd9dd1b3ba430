//! Who is bound: the sessions of each client, how much each may still be sent, and how to end one.
//!
//! Knows no PDU and no queue. Invariants:
//! - BI-1: a client has never more binds than its account allows, however many connections try at once.
//! - BI-2: a slot that was taken is given back when its [`Slot`] is dropped, wherever that is.
//! - BI-3: a bind leaves when its [`Registration`] is dropped, a panic included.

use super::down::Job;
use super::metric;
use smsgw_config::Client;
use smsgw_message::{ClientId, Timestamp};
use smsgw_smpp::{BindKind, Version};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, mpsc};

/// The word of a kind of bind in logs, metrics and the admin API.
pub(crate) const fn kind_word(kind: BindKind) -> &'static str {
    match kind {
        BindKind::Transmitter => "transmitter",
        BindKind::Receiver => "receiver",
        BindKind::Transceiver => "transceiver",
    }
}

/// One bound session as the others see it.
#[derive(Debug)]
pub(crate) struct Bind {
    /// Never used twice: messages remember it.
    pub(crate) id: u64,
    pub(crate) client: ClientId,
    pub(crate) kind: BindKind,
    pub(crate) version: Version,
    pub(crate) peer: SocketAddr,
    pub(crate) tls: bool,
    pub(crate) since: Timestamp,
    pub(crate) submitted: AtomicU64,
    pub(crate) delivered: AtomicU64,
    /// Where what is to be delivered goes; has room for a whole window.
    jobs: mpsc::Sender<Job>,
    free: AtomicUsize,
    /// Somebody wants the session to end.
    pub(crate) disconnect: Notify,
}

/// What a session says of itself when it binds.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: u64,
    pub(super) client: ClientId,
    pub(super) kind: BindKind,
    pub(super) version: Version,
    pub(super) peer: SocketAddr,
    pub(super) tls: bool,
    pub(super) since: Timestamp,
    pub(super) window: usize,
    pub(super) jobs: mpsc::Sender<Job>,
}

/// Every bound session.
#[derive(Debug, Default)]
pub(crate) struct Binds {
    by_client: Mutex<HashMap<ClientId, Vec<Arc<Bind>>>>,
    /// A bind came, or a slot is free.
    pub(super) changed: Notify,
}

/// A bind's place in the table.
#[derive(Debug)]
pub(super) struct Registration {
    binds: Arc<Binds>,
    pub(super) bind: Arc<Bind>,
}

/// A slot of a bind's window.
#[derive(Debug)]
pub(super) struct Slot {
    binds: Arc<Binds>,
    bind: Arc<Bind>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.bind.free.fetch_add(1, Ordering::AcqRel);
        self.binds.changed.notify_one();
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let Bind { client, kind, id, .. } = &*self.bind;
        let mut by_client = self.binds.lock();
        if let Some(binds) = by_client.get_mut(client) {
            binds.retain(|bind| bind.id != *id);
            if binds.is_empty() {
                by_client.remove(client);
            }
        }
        drop(by_client);
        metric::SESSIONS.with(&[client.as_str(), kind_word(*kind)]).dec();
        self.binds.changed.notify_one();
    }
}

impl Binds {
    fn lock(&self) -> MutexGuard<'_, HashMap<ClientId, Vec<Arc<Bind>>>> {
        // Lists of who is there: whatever a panic left in them is still that.
        self.by_client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a bind in, unless the account has as many as it may; then says which bound that is.
    pub(super) fn register(
        self: &Arc<Self>,
        entry: Entry,
        account: &Client,
    ) -> Result<Registration, &'static str> {
        let Entry {
            id,
            client,
            kind,
            version,
            peer,
            tls,
            since,
            window,
            jobs,
        } = entry;
        let mut by_client = self.lock();
        let there = by_client.get(&client).map_or(&[][..], Vec::as_slice);
        let is_full =
            |count: usize, most: u32| most != 0 && count >= usize::try_from(most).unwrap_or(usize::MAX);
        if is_full(there.len(), account.max_binds) {
            return Err("max_binds");
        }
        let of_kind = there.iter().filter(|bind| bind.kind == kind).count();
        let smpp = &account.smpp;
        let (most, bound) = match kind {
            BindKind::Transmitter => (smpp.max_transmitters, "max_transmitters"),
            BindKind::Receiver => (smpp.max_receivers, "max_receivers"),
            BindKind::Transceiver => (smpp.max_transceivers, "max_transceivers"),
        };
        if is_full(of_kind, most) {
            return Err(bound);
        }
        let bind = Arc::new(Bind {
            id,
            client: client.clone(),
            kind,
            version,
            peer,
            tls,
            since,
            submitted: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            jobs,
            free: AtomicUsize::new(if kind.can_deliver() { window } else { 0 }),
            disconnect: Notify::new(),
        });
        metric::SESSIONS.with(&[client.as_str(), kind_word(kind)]).inc();
        by_client.entry(client).or_default().push(Arc::clone(&bind));
        drop(by_client);
        Ok(Registration {
            binds: Arc::clone(self),
            bind,
        })
    }

    /// Lets reports and MO come, once the client knows that it is bound.
    pub(super) fn announce(&self) {
        self.changed.notify_one();
    }

    /// Whether anything can be sent to a client at all.
    pub(super) fn receives(&self, client: &ClientId) -> bool {
        self.lock()
            .get(client)
            .is_some_and(|binds| binds.iter().any(|bind| bind.kind.can_deliver()))
    }

    /// Hands a job to the bind it is meant for, else to the one with most room; gives it back when no bind has any.
    #[expect(clippy::result_large_err, reason = "the job goes back to who has it, once")]
    pub(super) fn hand_out(
        self: &Arc<Self>,
        client: &ClientId,
        preferred: Option<u64>,
        job: Job,
    ) -> Result<(), Job> {
        let by_client = self.lock();
        let open = |bind: &&Arc<Bind>| bind.free.load(Ordering::Acquire) > 0;
        let binds = by_client.get(client).map_or(&[][..], Vec::as_slice);
        let chosen = binds
            .iter()
            .filter(open)
            .max_by_key(|bind| (Some(bind.id) == preferred, bind.free.load(Ordering::Acquire)));
        let Some(bind) = chosen else { return Err(job) };
        // Only here slots are taken, under the lock: there is still one.
        bind.free.fetch_sub(1, Ordering::AcqRel);
        let slot = Slot {
            binds: Arc::clone(self),
            bind: Arc::clone(bind),
        };
        let sent = bind.jobs.try_send(job.with(slot));
        drop(by_client);
        sent.map_err(|error| match error {
            // The session is ending; its registration goes next.
            mpsc::error::TrySendError::Closed(job) | mpsc::error::TrySendError::Full(job) => {
                job.without_slot()
            }
        })
    }

    /// Every bound session.
    pub(crate) fn all(&self) -> Vec<Arc<Bind>> {
        let mut all: Vec<_> = self.lock().values().flatten().cloned().collect();
        all.sort_by(|a, b| (&a.client, a.since, a.id).cmp(&(&b.client, b.since, b.id)));
        all
    }

    /// Asks a session to end; false when there is none of that id.
    pub(crate) fn disconnect(&self, id: u64) -> bool {
        let by_client = self.lock();
        match by_client.values().flatten().find(|bind| bind.id == id) {
            Some(bind) => {
                bind.disconnect.notify_one();
                true
            }
            None => false,
        }
    }
}
