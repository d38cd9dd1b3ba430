//! Phones that want no messages of a client or a sender.
//!
//! One read of the engine for three keys, and only for accounts with `opt_out`. Who writes the keys is said where they are
//! named ([`names::opted_out_of_client`]). Invariant: what could not be looked up is not sent.

use crate::admission::{Refused, Why};
use smsgw_message::{Address, ClientId, MtMessage, names};
use smsgw_queue::{Engine, StateKey};
use std::time::Duration;
use tokio::time::timeout;
use tracing::error;

/// How long the engine may take: a read that waits longer is behind a disk that is stuck.
const PATIENCE: Duration = Duration::from_secs(5);

/// All keys that keep a message with this sender from a phone.
pub(crate) fn keys(
    client: &ClientId,
    from: Option<&Address>,
    to: &Address,
) -> impl Iterator<Item = StateKey> {
    let of_sender = from.map(|from| {
        [
            names::opted_out_of_clients_sender(client, from, to),
            names::opted_out_of_sender(from, to),
        ]
    });
    std::iter::once(names::opted_out_of_client(client, to))
        .chain(of_sender.into_iter().flatten())
        .map(StateKey::from)
}

/// Refuses a message to a phone that opted out of the client, or of the sender it goes out with.
pub(crate) async fn check(engine: &dyn Engine, message: &MtMessage) -> Result<(), Refused> {
    let keys = keys(&message.client, message.from.as_ref(), &message.to);
    let unavailable = || Refused::unavailable("the gateway could not look up whether the phone opted out");
    let found = timeout(PATIENCE, engine.get(keys.collect())).await.map_err(|_| {
        error!(message_id = %message.id, "the engine did not answer whether a phone opted out");
        unavailable()
    })?;
    let found = found.map_err(|error| {
        error!(message_id = %message.id, %error, "whether a phone opted out could not be read");
        unavailable()
    })?;
    if found.iter().any(Option::is_some) {
        let detail = "who has the phone wants no messages of this account or sender";
        return Err(Refused::of(Why::OptedOut, detail));
    }
    Ok(())
}
