//! How instructions reach the config node: through the `instructions` queue, whoever gives them.
//!
//! An instruction survives a restart: it is settled in the step that writes its result under `instruction/<id>`, where
//! it can be asked for a day. Invariant: instructions are done one after the other, in the order they were given.

use crate::node::{ConfigNode, Instruction as Verb, Outcome};
use smsgw_message::{Class, Clock, Instruction, InstructionResult, MessageId, Record, names};
use smsgw_queue::{
    CommitError, DeadReason, Delivery, Engine, Expiry, Flow, Lane, QueueName, Step, StepId, Want,
};
use smsgw_runtime::{ChildContext, ChildError, ChildSpec, Strategy, Supervisor};
use std::sync::Arc;
use std::time::Duration;
use tracing::error;

/// How long the result of an instruction can be asked for.
const RESULT_KEPT: Duration = Duration::from_secs(24 * 3600);
/// How long a checkout waits before the loop looks around.
const LOOK_AROUND: Duration = Duration::from_secs(1);

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
    let at = clock.now();
    let id = MessageId::from_parts(at, rand::random());
    let record = Instruction {
        id,
        verb: verb.as_str().to_owned(),
        by: by.to_owned(),
        at,
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
        let deliveries = tokio::select! {
            biased;
            () = ctx.draining() => return Ok(()),
            deliveries = engine.checkout(&queue, Want::new(1, LOOK_AROUND)) => deliveries?,
        };
        for delivery in deliveries {
            let step = obey(&node, clock.as_ref(), &delivery).await;
            step.commit(engine.as_ref()).await?;
        }
    }
}

async fn obey(node: &ConfigNode, clock: &dyn Clock, delivery: &Delivery) -> Step {
    let step = Step::from(delivery);
    let instruction = match Instruction::from_record(delivery.record()) {
        Ok(instruction) => instruction,
        Err(error) => {
            error!(%error, "instruction cannot be decoded");
            return step.dead_letter(delivery, DeadReason::Corrupt);
        }
    };
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
    let now = clock.now();
    let result = InstructionResult {
        outcome: outcome.as_str().to_owned(),
        detail,
        at: now,
    };
    step.settle(delivery).put(
        names::instruction(instruction.id),
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
                Some(verb) => { instruct(engine.as_ref(), clock.as_ref(), verb, "watch").await?; }
                None => return Ok(()),
            },
        }
    }
}
