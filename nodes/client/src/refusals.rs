//! Tells those who count how many messages admission refused: one event a second for each client and reason.
//!
//! A refused message leaves nothing durable, and an event for each would let whoever is refused write to the disk at will.
//! So the counters of admission are looked at every second, and what came is one entry of the events log.
//!
//! Invariant RF-1: what was told is told once: the number moves on when its event is durable, and only then.
//!
//! # Limits
//! A process that is killed takes the refusals of its last second with it. Requests that are no messages (bad JSON, a
//! number that is none) are not among them: `smsgw_http_refused_total` counts those.

use crate::admission::Why;
use crate::shared::Shared;
use smsgw_message::{ClientId, Event, EventName, MessageId, Record};
use smsgw_queue::{CommitErrorKind, EngineError, Step, StepId};
use smsgw_runtime::{ChildContext, ChildError};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tracing::warn;

/// How often the counters are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// What was told, by client and reason; kept while the process lives, as the counters are.
pub(crate) type Told = Arc<Mutex<HashMap<(ClientId, &'static str), u64>>>;

/// Tells until told to drain, and then once more.
pub(crate) async fn run(ctx: ChildContext, shared: Arc<Shared>, told: Told) -> Result<(), ChildError> {
    ctx.ready();
    loop {
        let ends = tokio::select! {
            biased;
            () = ctx.draining() => true,
            () = tokio::time::sleep(EVERY) => false,
        };
        match tell(&shared, &told).await {
            Ok(()) => {}
            Err(CommitErrorKind::Engine(EngineError::Closed)) if ctx.is_draining() => {}
            Err(CommitErrorKind::Engine(error @ EngineError::Poisoned(_))) => {
                return Err(ChildError::fatal(error));
            }
            Err(error) => warn!(%error, "refusals are not counted yet"),
        }
        if ends {
            return Ok(());
        }
    }
}

async fn tell(shared: &Shared, told: &Told) -> Result<(), CommitErrorKind> {
    let tables = shared.tables.current();
    let now = shared.clock.now();
    let mut news = Vec::new();
    {
        let told = told.lock().unwrap_or_else(PoisonError::into_inner);
        for (client, account) in tables.accounts() {
            for (why, count) in account.refusals() {
                let before = told.get(&(client.clone(), why.as_str())).copied().unwrap_or(0);
                if count > before {
                    news.push((client.clone(), why, before, count));
                }
            }
        }
    }
    if news.is_empty() {
        return Ok(());
    }
    let mut step = Step::new(StepId::from_bytes(
        *MessageId::from_parts(now, rand::random()).as_bytes(),
    ));
    for (client, why, before, count) in &news {
        let mut left = count - before;
        while left > 0 {
            let parts = u16::try_from(left).unwrap_or(u16::MAX);
            left -= u64::from(parts);
            step = step.append(shared.events.clone(), event(client, *why, parts, now).to_record());
        }
    }
    step.commit(shared.engine.as_ref())
        .await
        .map_err(|error| error.kind)?;
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    for (client, why, _, count) in news {
        told.insert((client, why.as_str()), count);
    }
    Ok(())
}

fn event(client: &ClientId, why: Why, messages: u16, now: smsgw_message::Timestamp) -> Event {
    Event {
        client: Some(client.clone()),
        parts: messages,
        error: Some(why.as_str().to_owned()),
        ..Event::new(now, EventName::MtRefusedAtAccept)
    }
}
