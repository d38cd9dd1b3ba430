//! How instructions reach the config node: through the `instructions` queue, whoever gives them.
//!
//! An instruction survives a restart: it is settled in the step that writes its result under `instruction/<id>`, where
//! it can be asked for a day. Invariant: instructions are done one after the other, in the order they were given.

use crate::node::{ConfigNode, Instruction as Verb, Outcome};
use crate::orders::{self, OperatorAct};
use smsgw_message::{Class, Clock, Instruction, InstructionResult, MessageId, OperatorId, Record, names};
use smsgw_queue::{
    CommitError, CommitErrorKind, DeadReason, Delivery, Engine, EngineError, Expiry, Flow, Lane, QueueName,
    Step, StepId, Want,
};
use smsgw_runtime::{ChildContext, ChildError, ChildSpec, Strategy, Supervisor};
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, info, warn};

/// How long the result of an instruction can be asked for.
const RESULT_KEPT: Duration = Duration::from_secs(24 * 3600);
/// The verb of a session of a client: done by the client node that has it.
const DISCONNECT: &str = "disconnect";
/// How long a checkout waits before the loop looks around.
const LOOK_AROUND: Duration = Duration::from_secs(1);
/// How long to wait when the disk is full.
const NO_SPACE_PAUSE: Duration = Duration::from_secs(1);

/// Gives an instruction; returns its id once it is durable.
///
/// # Errors
/// When the engine does not take it.
pub async fn instruct(
    engine: &dyn Engine,
    clock: &dyn Clock,
    verb: Verb,
    by: &str,
) -> Result<MessageId, CommitError> {
    give(engine, clock, verb.as_str(), None, None, by).await
}

/// Gives an instruction about an operator, or about one of its links (from 1); returns its id once it is durable.
///
/// # Errors
/// When the engine does not take it.
pub async fn instruct_operator(
    engine: &dyn Engine,
    clock: &dyn Clock,
    act: OperatorAct,
    operator: &OperatorId,
    link: Option<u32>,
    by: &str,
) -> Result<MessageId, CommitError> {
    let target = Some(operator.as_str().to_owned());
    give(engine, clock, act.as_str(), target, link, by).await
}

/// Gives the instruction to disconnect a session of a client, named by its 16 hexadecimal digits; returns its id once it is
/// durable.
///
/// # Errors
/// When the engine does not take it.
pub async fn instruct_session(
    engine: &dyn Engine,
    clock: &dyn Clock,
    session: &str,
    by: &str,
) -> Result<MessageId, CommitError> {
    give(engine, clock, DISCONNECT, Some(session.to_owned()), None, by).await
}

async fn give(
    engine: &dyn Engine,
    clock: &dyn Clock,
    verb: &str,
    target: Option<String>,
    link: Option<u32>,
    by: &str,
) -> Result<MessageId, CommitError> {
    let at = clock.now();
    let id = MessageId::from_parts(at, rand::random());
    let record = Instruction {
        id,
        verb: verb.to_owned(),
        by: by.to_owned(),
        at,
        target,
        link,
    };
    Step::new(StepId::accept(id))
        .publish(
            names::INSTRUCTIONS,
            Lane::new(Class::Otp, Flow::from(by)),
            record.to_record(),
        )
        .commit(engine)
        .await?;
    Ok(id)
}

/// The config node under supervision: does what `instructions` says, and watches the file when asked to.
pub fn supervise(node: Arc<ConfigNode>, engine: Arc<dyn Engine>, clock: Arc<dyn Clock>) -> ChildSpec {
    let watched = (Arc::clone(&node), Arc::clone(&engine), Arc::clone(&clock));
    let supervisor = Supervisor::new("config", Strategy::OneForOne)
        .child(ChildSpec::task("instructions", move |ctx| {
            run(ctx, Arc::clone(&node), Arc::clone(&engine), Arc::clone(&clock))
        }))
        .child(ChildSpec::task("watch", move |ctx| {
            let (node, engine, clock) = watched.clone();
            watch(ctx, node, engine, clock)
        }));
    ChildSpec::supervisor(supervisor)
}

async fn run(
    ctx: ChildContext,
    node: Arc<ConfigNode>,
    engine: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
) -> Result<(), ChildError> {
    let queue = QueueName::from(names::INSTRUCTIONS);
    ctx.ready();
    loop {
        let worked = tokio::select! {
            biased;
            () = ctx.draining() => return Ok(()),
            deliveries = engine.checkout(&queue, Want::new(1, LOOK_AROUND)) => match deliveries {
                Ok(deliveries) => work_off(&node, engine.as_ref(), clock.as_ref(), deliveries).await,
                Err(error) => Err(CommitErrorKind::Engine(error)),
            },
        };
        let Err(error) = worked else { continue };
        if pause_or_fail(&ctx, error).await? {
            return Ok(());
        }
    }
}

async fn work_off(
    node: &ConfigNode,
    engine: &dyn Engine,
    clock: &dyn Clock,
    deliveries: Vec<Delivery>,
) -> Result<(), CommitErrorKind> {
    for delivery in deliveries {
        let step = obey(node, engine, clock, &delivery).await;
        step.commit(engine).await.map_err(|error| error.kind)?;
    }
    Ok(())
}

/// A full disk is waited for, a poisoned engine ends the process, all else restarts the task. True: the node drains.
async fn pause_or_fail(ctx: &ChildContext, error: CommitErrorKind) -> Result<bool, ChildError> {
    match error {
        CommitErrorKind::Engine(EngineError::NoSpace) => {
            warn!("disk is full, instructions wait for room");
            tokio::select! {
                () = ctx.draining() => Ok(true),
                () = tokio::time::sleep(NO_SPACE_PAUSE) => Ok(false),
            }
        }
        CommitErrorKind::Engine(error @ EngineError::Poisoned(_)) => Err(ChildError::fatal(error)),
        CommitErrorKind::Engine(EngineError::Closed) if ctx.is_draining() => Ok(true),
        error => Err(error.into()),
    }
}

async fn obey(node: &ConfigNode, engine: &dyn Engine, clock: &dyn Clock, delivery: &Delivery) -> Step {
    let step = Step::from(delivery);
    let instruction = match Instruction::from_record(delivery.record()) {
        Ok(instruction) => instruction,
        Err(error) => {
            error!(%error, "instruction cannot be decoded");
            return step.dead_letter(delivery, DeadReason::Corrupt);
        }
    };
    if let Some(act) = OperatorAct::from_word(&instruction.verb) {
        let target = instruction.target.as_deref();
        let order = orders::Order {
            act,
            operator: target,
            link: instruction.link,
        };
        let (step, outcome, detail) = orders::obey(node, engine, order, step).await;
        info!(operator = target, link = instruction.link, instruction = act.as_str(), by = %instruction.by, outcome, "order for an operator");
        return with_result(step.settle(delivery), instruction.id, outcome, detail, clock);
    }
    if instruction.verb == DISCONNECT {
        info!(session = instruction.target.as_deref(), by = %instruction.by, "order for a session");
        let (lane, record) = (delivery.lane().clone(), delivery.record().clone());
        return step
            .settle(delivery)
            .publish(names::INSTRUCTIONS_CLIENT, lane, record);
    }
    let Some(verb) = Verb::from_word(&instruction.verb) else {
        error!(verb = %instruction.verb, by = %instruction.by, "instruction is not known to this version");
        return step.dead_letter(delivery, DeadReason::Refused);
    };
    let outcome = node.handle(verb).await;
    let detail = match &outcome {
        Outcome::Applied { epoch, diff, waiting } => {
            format!(
                "epoch {epoch}, {} changes, {} wait for a restart",
                diff.changes().len(),
                waiting.len()
            )
        }
        Outcome::Unchanged { epoch, waiting } => {
            format!("epoch {epoch}, {} wait for a restart", waiting.len())
        }
        Outcome::Refused { problems } => problems
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n"),
    };
    with_result(
        step.settle(delivery),
        instruction.id,
        outcome.as_str(),
        detail,
        clock,
    )
}

fn with_result(step: Step, id: MessageId, outcome: &str, detail: String, clock: &dyn Clock) -> Step {
    let now = clock.now();
    let result = InstructionResult {
        outcome: outcome.to_owned(),
        detail,
        at: now,
    };
    step.put(
        names::instruction(id),
        result.to_record(),
        Expiry::At(now.after(RESULT_KEPT)),
    )
}

/// Turns changes of the file into `reload` instructions, while `[node] watch` is on.
async fn watch(
    ctx: ChildContext,
    node: Arc<ConfigNode>,
    engine: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
) -> Result<(), ChildError> {
    ctx.ready();
    let (asks, mut asked) = tokio::sync::mpsc::channel(1);
    let watching = crate::watch(node.path(), node.config(), asks);
    tokio::pin!(watching);
    loop {
        tokio::select! {
            biased;
            () = ctx.draining() => return Ok(()),
            () = &mut watching => return Ok(()),
            verb = asked.recv() => match verb {
                Some(verb) => {
                    // Given again until it is durable: the watch tells of a change once.
                    while let Err(error) = instruct(engine.as_ref(), clock.as_ref(), verb, "watch").await {
                        if pause_or_fail(&ctx, error.kind).await? {
                            return Ok(());
                        }
                    }
                }
                None => return Ok(()),
            },
        }
    }
}
