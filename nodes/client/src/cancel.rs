//! Withdrawing a message: what a client asks for, whichever face it came by.
//!
//! The request is written down and handed to the router in one step; it ends what no operator has, and operators end what
//! they have not sent (see `names::cancel`). So the answer says that it was asked, not that it was done: the message's
//! report does. A group of messages (SMPP 3.4 section 4.9) is asked for by its numbers, and is in no index. Knows neither HTTP nor SMPP. Invariant: a message of another client does not exist.

use crate::accept::{self, Refusal};
use crate::shared::Shared;
use smsgw_config::LimitsSection;
use smsgw_message::{
    Address, CancelGroup, CancelRequest, Class, ClientId, GroupWish, MessageId, MessageLife, MessageState,
    Record, names,
};
use smsgw_queue::{Expected, Expiry, Lane, StateKey, Step, StepId};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, error};

/// How long a request is kept after its message's validity: until operators have come by what they have under way.
const KEPT: Duration = Duration::from_secs(3600);

const DAY_MILLIS: i64 = 24 * 3600 * 1000;
/// How long the count of a day's groups is kept.
const COUNTED: Duration = Duration::from_secs(2 * 24 * 3600);
/// Groups that a client may have withdrawn in a day (of UTC): each is looked for as long as a message may wait.
const GROUPS_A_DAY: u64 = 10_000;
/// Service types that one group may be asked for by.
const WISHES: usize = 8;
/// How often a group is read again when somebody else asks for it at the same moment.
const GROUP_TRIES: usize = 5;

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

/// Why a group of messages is not withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GroupDenied {
    /// The client has asked for too many.
    TooMany,
    /// What was asked before could not be read in time, or not at all.
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

/// A group of messages: those of a client from a sender to a phone.
#[derive(Debug, Clone)]
pub(crate) struct Group<'a> {
    pub(crate) client: &'a ClientId,
    pub(crate) from: Address,
    pub(crate) to: Address,
    /// Of this service type only.
    pub(crate) service_type: Option<String>,
}

/// Asks for all messages of a group to be withdrawn that were accepted by now. One write, however many they are: operators
/// look at each of their parts before they send it.
pub(crate) async fn request_group(
    shared: &Shared,
    group: &Group<'_>,
    limits: &LimitsSection,
    deadline: Instant,
) -> Result<(), GroupDenied> {
    let Group {
        client,
        from,
        to,
        service_type,
    } = group;
    let key = StateKey::from(names::cancel_group(client, from, to));
    for _ in 0..GROUP_TRIES {
        let now = shared.clock.now();
        let day = now.as_millis().div_euclid(DAY_MILLIS);
        let counter = StateKey::from(names::cancel_groups(client, day));
        let (there, used) = read_group(shared, &key, &counter, deadline).await?;
        let is_new = there.is_none();
        let expected = there
            .as_ref()
            .map_or(Expected::Absent, |(version, _)| Expected::Version(*version));
        let mut wishes = there.map_or_else(Vec::new, |(_, there)| there.wishes);
        wishes.retain(|wish| wish.service_type != *service_type);
        if (is_new && used >= GROUPS_A_DAY) || wishes.len() >= WISHES {
            return Err(GroupDenied::TooMany);
        }
        wishes.push(GroupWish {
            at: now,
            service_type: service_type.clone(),
        });
        let record = CancelGroup {
            client: (*client).clone(),
            wishes,
        };
        let longest = limits.max_schedule.saturating_add(limits.max_validity);
        let until = Expiry::At(now.after(longest).after(KEPT));
        let named = key.as_str().as_bytes().to_vec();
        let lane = Lane::new(Class::Transactional, *client);
        let step = Step::new(StepId::from_bytes(rand::random()))
            .compare_and_put(key.clone(), expected, record.to_record(), until)
            .publish(names::ALARMS, lane, named.into());
        let step = if is_new {
            step.add(counter, -1, None, Expiry::At(now.after(COUNTED)))
        } else {
            step
        };
        match accept::commit(shared, step, deadline).await {
            Ok(()) => return Ok(()),
            Err(Refusal::Taken) => {}
            Err(refusal) => return Err(GroupDenied::Refused(refusal)),
        }
    }
    Err(GroupDenied::Unreadable)
}

/// What stands under the numbers of a group, with its version; and how many groups the client has had withdrawn today.
async fn read_group(
    shared: &Shared,
    key: &StateKey,
    counter: &StateKey,
    deadline: Instant,
) -> Result<(Option<(u64, CancelGroup)>, u64), GroupDenied> {
    let unreadable = |error: &dyn std::fmt::Display| {
        error!(%error, "requests for groups of messages could not be read");
        GroupDenied::Unreadable
    };
    let found = timeout_at(deadline, shared.engine.get(vec![key.clone(), counter.clone()]))
        .await
        .map_err(|_| GroupDenied::Unreadable)?
        .map_err(|error| unreadable(&error))?;
    let mut found = found.into_iter();
    let there = found.next().flatten();
    let used = found.next().flatten().and_then(|used| used.as_counter());
    let there = there
        .map(|there| CancelGroup::from_record(&there.value).map(|group| (there.version, group)))
        .transpose()
        .map_err(|error| unreadable(&error))?;
    Ok((there, used.unwrap_or_default().min(0).unsigned_abs()))
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
