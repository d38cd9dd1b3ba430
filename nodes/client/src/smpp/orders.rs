//! One-shot orders for sessions: `disconnect`, forwarded by the config node on `instructions.client`.
//!
//! Invariant OR-1: an order is settled in the step that writes its result, where who gave it looks.
//!
//! # Limits
//! An order is done by the client node that takes it: with several, one that does not have the session says so.

use super::Server;
use smsgw_message::{Instruction, InstructionResult, Record, names};
use smsgw_queue::{CommitErrorKind, DeadReason, Delivery, EngineError, Expiry, QueueName, Step, Want};
use smsgw_runtime::{ChildContext, ChildError};
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, info};

/// How long the result can be asked for.
const RESULT_KEPT: Duration = Duration::from_secs(24 * 3600);
/// How long a checkout waits.
const LOOK_AROUND: Duration = Duration::from_secs(30);

/// The task.
pub(super) async fn run(ctx: ChildContext, server: Arc<Server>) -> Result<(), ChildError> {
    let queue = QueueName::from(names::INSTRUCTIONS_CLIENT);
    let engine = &server.shared.engine;
    ctx.ready();
    loop {
        let taken = tokio::select! {
            () = ctx.draining() => return Ok(()),
            taken = engine.checkout(&queue, Want::new(1, LOOK_AROUND)) => taken,
        };
        for delivery in taken.map_err(fault)? {
            let step = obey(&server, &delivery);
            if let Err(refused) = step.commit(engine.as_ref()).await {
                if let CommitErrorKind::Engine(error @ EngineError::Poisoned(_)) = refused.kind {
                    return Err(ChildError::fatal(error));
                }
                return Err(ChildError::new(refused));
            }
        }
    }
}

fn fault(error: EngineError) -> ChildError {
    match error {
        EngineError::Poisoned(_) => ChildError::fatal(error),
        EngineError::NoSpace | EngineError::Closed | EngineError::Read(_) => ChildError::from(error),
    }
}

fn obey(server: &Server, delivery: &Delivery) -> Step {
    let step = Step::from(delivery);
    let order = match Instruction::from_record(delivery.record()) {
        Ok(order) => order,
        Err(error) => {
            error!(%error, "order for a session cannot be decoded");
            return step.dead_letter(delivery, DeadReason::Corrupt);
        }
    };
    let session = order
        .target
        .as_deref()
        .and_then(|target| u64::from_str_radix(target, 16).ok());
    let done = session.is_some_and(|session| server.binds.disconnect(session));
    let (outcome, detail) = if done {
        ("applied", "the session is being unbound")
    } else {
        ("refused", "there is no such session")
    };
    info!(session = order.target, by = %order.by, outcome, "session ordered to end");
    let now = server.shared.clock.now();
    let result = InstructionResult {
        outcome: outcome.to_owned(),
        detail: detail.to_owned(),
        at: now,
    };
    step.settle(delivery).put(
        names::instruction(order.id),
        result.to_record(),
        Expiry::At(now.after(RESULT_KEPT)),
    )
}
