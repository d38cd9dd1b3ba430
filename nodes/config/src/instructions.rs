//! How instructions reach the config node: through the `instructions` queue, whoever gives them.
//!
//! An instruction survives a restart: it is settled in the step that writes its result under `instruction/<id>`, where
//! it can be asked for a day. Invariant: instructions are done one after the other, in the order they were given.

use crate::audit;
use crate::dead_letters;
use crate::node::{ConfigNode, Instruction as ConfigVerb, Outcome};
use crate::orders::{self, OperatorAct};
use crate::proposal::{Author, Done, Proposal};
use crate::verb::{DISCONNECT, Verb};
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
/// The flow of every instruction, whoever gives it.
const ORDERED: &str = "instructions";
/// How long a checkout waits before the loop looks around.
const LOOK_AROUND: Duration = Duration::from_secs(1);
/// How long to wait when the disk is full.
const NO_SPACE_PAUSE: Duration = Duration::from_secs(1);

/// What an instruction says beside its verb and who gives it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// What it is about: an operator, a session, a version.
    pub target: Option<String>,
    /// A link of the operator, from 1.
    pub link: Option<u32>,
    /// Why, for the audit.
    pub reason: Option<String>,
    /// What the verb needs beside; never a secret.
    pub argument: Option<String>,
}

/// Gives an instruction about the configuration; returns its id once it is durable.
///
/// # Errors
/// When the engine does not take it.
pub async fn instruct(
    engine: &dyn Engine,
    clock: &dyn Clock,
    verb: ConfigVerb,
    by: &str,
) -> Result<MessageId, CommitError> {
    give(engine, clock, Verb::Config(verb), Wanted::default(), by).await
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
    let wanted = Wanted {
        target: Some(operator.as_str().to_owned()),
        link,
        ..Wanted::default()
    };
    give(engine, clock, Verb::Operator(act), wanted, by).await
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
    let wanted = Wanted {
        target: Some(session.to_owned()),
        ..Wanted::default()
    };
    give(engine, clock, Verb::Forwarded(DISCONNECT), wanted, by).await
}

/// Gives any instruction; returns its id once it is durable.
///
/// # Errors
/// When the engine does not take it.
pub async fn give(
    engine: &dyn Engine,
    clock: &dyn Clock,
    verb: Verb,
    wanted: Wanted,
    by: &str,
) -> Result<MessageId, CommitError> {
    let at = clock.now();
    let id = MessageId::from_parts(at, rand::random());
    let record = Instruction {
        id,
        verb: verb.as_str().to_owned(),
        by: by.to_owned(),
        at,
        target: wanted.target,
        link: wanted.link,
        reason: wanted.reason,
        argument: wanted.argument,
    };
    Step::new(StepId::accept(id))
        .publish(
            names::INSTRUCTIONS,
            // One flow for all: within a flow the order is kept.
            Lane::new(Class::Otp, Flow::from(ORDERED)),
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
    node: &Arc<ConfigNode>,
    engine: &dyn Engine,
    clock: &dyn Clock,
    deliveries: Vec<Delivery>,
) -> Result<(), CommitErrorKind> {
    for delivery in deliveries {
        let step = obey(node, engine, clock, &delivery)
            .await
            .map_err(CommitErrorKind::Engine)?;
        step.commit(engine).await.map_err(|error| error.kind)?;
        forget_staged(node, &delivery).await;
    }
    Ok(())
}

/// The change that a settled instruction named is of no more use. A crash before this leaves it to a later start.
async fn forget_staged(node: &Arc<ConfigNode>, delivery: &Delivery) {
    let staged = Instruction::from_record(delivery.record()).ok();
    let staged = staged.filter(|instruction| instruction.verb == Verb::Apply.as_str());
    let Some(id) = staged.and_then(|instruction| instruction.target) else {
        return;
    };
    let node = Arc::clone(node);
    if let Err(error) = tokio::task::spawn_blocking(move || node.unstage(&id)).await {
        warn!(%error, "a change that is done could not be forgotten");
    }
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

async fn obey(
    node: &Arc<ConfigNode>,
    engine: &dyn Engine,
    clock: &dyn Clock,
    delivery: &Delivery,
) -> Result<Step, EngineError> {
    let step = Step::from(delivery);
    let instruction = match Instruction::from_record(delivery.record()) {
        Ok(instruction) => instruction,
        Err(error) => {
            error!(%error, "instruction cannot be decoded");
            return Ok(step.dead_letter(delivery, DeadReason::Corrupt));
        }
    };
    let Some(verb) = Verb::from_word(&instruction.verb) else {
        error!(verb = %instruction.verb, by = %instruction.by, "instruction is not known to this version");
        return Ok(step.dead_letter(delivery, DeadReason::Refused));
    };
    let author = Author {
        verb: verb.as_str(),
        by: instruction.by.clone(),
        reason: instruction.reason.clone(),
        instruction: Some(instruction.id),
        at: instruction.at,
    };
    let (step, outcome, detail) = match verb {
        Verb::Operator(act) => {
            let target = instruction.target.as_deref();
            let order = orders::Order {
                act,
                operator: target,
                link: instruction.link,
            };
            let (step, outcome, detail) = orders::obey(node, engine, order, step).await;
            info!(operator = target, link = instruction.link, instruction = act.as_str(), by = %instruction.by, outcome, "order for an operator");
            (step, outcome, detail)
        }
        Verb::DeadLetters(act) => {
            let (target, argument) = (instruction.target.as_deref(), instruction.argument.as_deref());
            let done = dead_letters::obey(engine, clock, act, target, argument, &instruction.by).await;
            match done {
                Ok((outcome, detail)) => (step, outcome, detail),
                Err(CommitErrorKind::Engine(error)) => return Err(error),
                Err(error) => (step, "refused", error.to_string()),
            }
        }
        Verb::Forwarded(forwarded) => {
            info!(target = instruction.target.as_deref(), instruction = forwarded.word, by = %instruction.by, queue = forwarded.queue, "order for another node");
            let (lane, record) = (delivery.lane().clone(), delivery.record().clone());
            let step = step.settle(delivery).publish(forwarded.queue, lane, record);
            // The node that does it writes the result; this is where it went.
            let result = result_of(audit::FORWARDED, format!("to {}", forwarded.queue), clock);
            return audit::note(engine, step, &instruction, &result).await;
        }
        Verb::Config(verb) => {
            let outcome = node.handle_by(verb, &author).await;
            (step, outcome.as_str(), told(&outcome))
        }
        Verb::Apply | Verb::Restore => {
            let done = match wanted(node, verb, &instruction).await {
                Ok(proposal) => node.change(proposal, &author).await,
                Err(refused) => refused,
            };
            (step, done.outcome, done.detail)
        }
    };
    let result = result_of(outcome, detail, clock);
    let step = step.settle(delivery).put(
        names::instruction(instruction.id),
        result.to_record(),
        Expiry::At(result.at.after(RESULT_KEPT)),
    );
    audit::note(engine, step, &instruction, &result).await
}

/// The change that an instruction names.
async fn wanted(node: &Arc<ConfigNode>, verb: Verb, instruction: &Instruction) -> Result<Proposal, Done> {
    let refused = |detail: String| Done {
        outcome: "refused",
        detail,
    };
    let target = instruction.target.clone().unwrap_or_default();
    if verb == Verb::Restore {
        let number = target
            .parse()
            .map_err(|_| refused(format!("{target:?} is no version")))?;
        return Ok(Proposal {
            restore: Some(number),
            base: instruction.argument.as_ref().and_then(|base| base.parse().ok()),
            ..Proposal::default()
        });
    }
    let node = Arc::clone(node);
    match tokio::task::spawn_blocking(move || node.staged(&target)).await {
        Ok(Ok(Some(proposal))) => Ok(proposal),
        Ok(Ok(None)) => Err(refused(
            "the change is not there any more: ask for it again".to_owned(),
        )),
        Ok(Err(error)) => Err(refused(format!("the change cannot be read: {error}"))),
        Err(error) => Err(refused(format!("the reader ended: {error}"))),
    }
}

fn told(outcome: &Outcome) -> String {
    match outcome {
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
    }
}

fn result_of(outcome: &str, detail: String, clock: &dyn Clock) -> InstructionResult {
    InstructionResult {
        outcome: outcome.to_owned(),
        detail,
        at: clock.now(),
    }
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
    let watching = crate::watch(|| node.files(), node.config(), asks);
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
