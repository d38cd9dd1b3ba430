//! Calls clients that something waits for and that are not bound (outbind, SMPP 3.4 section 2.2.1).
//!
//! A call is a connection of ours with an outbind on it; from the client's bind on it is a session like any other.
//! Invariant OB-1: a client has one call under way at most, and is called again after a pause that grows to five minutes.

use super::{Origin, Server};
use smsgw_config::Client;
use smsgw_message::ClientId;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{error, info};

/// The first pause between calls; it doubles.
const FIRST: Duration = Duration::from_secs(10);
/// The longest.
const LONGEST: Duration = Duration::from_secs(300);

/// When each client may be called again.
#[derive(Debug)]
pub(super) struct Outbinds {
    server: Arc<Server>,
    again: HashMap<ClientId, (Instant, Duration)>,
}

impl Outbinds {
    pub(super) fn new(server: Arc<Server>) -> Self {
        Self {
            server,
            again: HashMap::new(),
        }
    }

    /// Calls a client that has somewhere to be called, unless it was called just now.
    pub(super) fn call(&mut self, client: &ClientId, account: &Client) {
        if account.smpp.outbind.is_empty() {
            return;
        }
        let now = self.server.shared.clock.instant();
        let (at, pause) = self.again.get(client).copied().unwrap_or((now, FIRST));
        if now < at {
            return;
        }
        // A client that has long not been called begins anew.
        let rested = now.saturating_duration_since(at) > LONGEST.saturating_mul(2);
        let pause = if rested { FIRST } else { pause };
        self.again.insert(
            client.clone(),
            (now + pause, pause.saturating_mul(2).min(LONGEST)),
        );
        self.again
            .retain(|_, (at, _)| now.saturating_duration_since(*at) <= LONGEST.saturating_mul(4));
        info!(%client, "calling a client that something waits for");
        if let Err(error) = self.server.add_session(Origin::Outbind(client.clone())) {
            error!(%client, %error, "a call could not be started");
        }
    }
}
