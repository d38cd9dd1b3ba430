//! How many long requests an account has under way: uploads, waits, streams.
//!
//! Invariant: a slot is given back when it is dropped, and an account without one takes no memory.

use smsgw_message::ClientId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Slots of all accounts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slots(Arc<Mutex<HashMap<ClientId, usize>>>);

/// One of them.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Slots,
    client: ClientId,
}

impl Slots {
    /// A slot, unless the account has `most` already.
    pub(crate) fn take(&self, client: &ClientId, most: usize) -> Option<Slot> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(client.clone()).or_default();
        if *count >= most {
            if *count == 0 {
                taken.remove(client);
            }
            return None;
        }
        *count = count.saturating_add(1);
        drop(taken);
        Some(Slot {
            slots: self.clone(),
            client: client.clone(),
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.client) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_so_many_and_gets_them_back() {
        let slots = Slots::default();
        let (acme, other) = (
            ClientId::try_new("acme").unwrap(),
            ClientId::try_new("other").unwrap(),
        );
        let first = slots.take(&acme, 2).unwrap();
        let _second = slots.take(&acme, 2).unwrap();
        assert!(slots.take(&acme, 2).is_none());
        let third = slots.take(&other, 2);
        drop((first, third));
        assert!(slots.take(&acme, 2).is_some());
        assert_eq!(slots.0.lock().unwrap().len(), 1, "only acme has slots");
    }
}
