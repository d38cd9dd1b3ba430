//! Withdrawing a message: what a client asks for, whichever face it came by.
//!
//! The request is written down and handed to the router in one step; it ends what no operator has, and operators end what
//! they have not sent (see `names::cancel`). So the answer says that it was asked, not that it was done: the message's
//! report does. Knows neither HTTP nor SMPP. Invariant: a message of another client does not exist.

use crate::accept::{self, Refusal};
use crate::shared::Shared;
use smsgw_message::{CancelRequest, ClientId, MessageId, MessageLife, MessageState, Record, names};
use smsgw_queue::{Expected, Expiry, Lane, StateKey, Step, StepId};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, error};

/// How long a request is kept after its message's validity: until operators have come by what they have under way.
const KEPT: Duration = Duration::from_secs(3600);

/// Why a message is not withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// There is none, or it is another client's.
    NotFound,
    /// It has come to its end.
    Final(MessageState),
    /// Carriers have all of it.
    Sent,
    /// Its record could not be read in time, or not at all.
    Unreadable,
    /// The engine did not take the request.
    Refused(Refusal),
}

/// Asks for it; the state is the one that the message has now.
pub(crate) async fn request(
    shared: &Shared,
    client: &ClientId,
    id: MessageId,
    deadline: Instant,
) -> Result<MessageState, Denied> {
    let life = read(shared, id, deadline).await?.ok_or(Denied::NotFound)?;
    check(&life, client)?;
    accept::commit(shared, step(shared, &life), deadline)
        .await
        .map_err(Denied::Refused)?;
    debug!(message_id = %id, %client, "asked to be withdrawn");
    Ok(life.state)
}

/// Whether there is anything of it to withdraw.
pub(crate) fn check(life: &MessageLife, client: &ClientId) -> Result<(), Denied> {
    if life.message.client != *client {
        return Err(Denied::NotFound);
    }
    if life.is_final {
        return Err(Denied::Final(life.state));
    }
    let all_sent = life
        .parts
        .iter()
        .all(|part| part.is_final || part.state == MessageState::Sent);
    if all_sent { Err(Denied::Sent) } else { Ok(()) }
}

/// The request of a message that was checked.
pub(crate) fn step(shared: &Shared, life: &MessageLife) -> Step {
    let MessageLife { message, .. } = life;
    let now = shared.clock.now();
    let request = CancelRequest {
        client: message.client.clone(),
        at: now,
    };
    let key = StateKey::from(names::cancel(message.id));
    let lane = Lane::new(message.class, &message.client);
    let named = key.as_str().as_bytes().to_vec();
    let until = message.valid_until.max(now).after(KEPT);
    Step::new(StepId::from_bytes(rand::random()))
        .compare_and_put(key, Expected::Any, request.to_record(), Expiry::At(until))
        .publish(names::ALARMS, lane, named.into())
}

async fn read(shared: &Shared, id: MessageId, deadline: Instant) -> Result<Option<MessageLife>, Denied> {
    let found = timeout_at(deadline, shared.engine.get(vec![names::message(id).into()])).await;
    let found = found.map_err(|_| Denied::Unreadable)?.map_err(|error| {
        error!(message_id = %id, %error, "message could not be read");
        Denied::Unreadable
    })?;
    let life = found.into_iter().next().flatten();
    life.map(|life| MessageLife::from_record(&life.value))
        .transpose()
        .map_err(|error| {
            error!(message_id = %id, %error, "record of a message could not be decoded");
            Denied::Unreadable
        })
}
