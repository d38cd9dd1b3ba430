//! Orders of administrators about an account's money: `top-up` and `correct`.
//!
//! ```text
//! instructions ── config node ──▶ instructions.credit ──▶ one step: balance + y, paid + y, a record of credit.orders,
//!                                                         credit/<client>/<currency>/done/<key>, the result
//! ```
//! The argument of an order is `<amount> <currency> [<key>]`, its target the client, its reason the reference. Invariant OR-1:
//! of all orders with one key the first that is done moves money, and no other: the key is compared in the step that
//! moves it. Without a key of its own an order has the id of its instruction.
//!
//! # Limits
//! A key is remembered for 400 days.

use crate::turns::pause_or_fail;
use smsgw_config::{ConfigHandle, CreditKind, CreditSection};
use smsgw_message::{
    ClientId, Clock, CreditOrder, Instruction, InstructionResult, Movement, Record, Timestamp, names,
};
use smsgw_queue::{
    CommitErrorKind, DeadReason, Delivery, Engine, Expected, Expiry, QueueName, StateKey, Step, Want,
};
use smsgw_routing::MicroUnits;
use smsgw_runtime::{ChildContext, ChildError};
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, info};

/// How long a key is remembered.
const DONE_KEPT: Duration = Duration::from_secs(400 * 86_400);
/// How long the result of an instruction can be asked for.
const RESULT_KEPT: Duration = Duration::from_secs(24 * 3600);
/// How long one checkout waits; a drain ends the wait.
const WAIT: Duration = Duration::from_secs(10);
/// Longest key.
const MAX_KEY: usize = 64;

pub(super) async fn run(
    ctx: ChildContext,
    engine: Arc<dyn Engine>,
    config: ConfigHandle,
    clock: Arc<dyn Clock>,
) -> Result<(), ChildError> {
    let queue = QueueName::from(names::INSTRUCTIONS_CREDIT);
    ctx.ready();
    loop {
        let worked = tokio::select! {
            biased;
            () = ctx.draining() => return Ok(()),
            deliveries = engine.checkout(&queue, Want::new(1, WAIT)) => match deliveries {
                Ok(deliveries) => work_off(&*engine, &config, &*clock, deliveries).await,
                Err(error) => Err(CommitErrorKind::Engine(error)),
            },
        };
        if let Err(error) = worked
            && pause_or_fail(&ctx, error).await?
        {
            return Ok(());
        }
    }
}

async fn work_off(
    engine: &dyn Engine,
    config: &ConfigHandle,
    clock: &dyn Clock,
    deliveries: Vec<Delivery>,
) -> Result<(), CommitErrorKind> {
    for delivery in deliveries {
        obey(engine, config, clock.now(), &delivery).await?;
    }
    Ok(())
}

/// An order that can be done.
struct Order {
    order: CreditOrder,
    key: StateKey,
    /// Below which the balance must not go.
    floor: Option<i64>,
}

async fn obey(
    engine: &dyn Engine,
    config: &ConfigHandle,
    now: Timestamp,
    delivery: &Delivery,
) -> Result<(), CommitErrorKind> {
    let commit = async |step: Step| step.commit(engine).await.map(drop).map_err(|error| error.kind);
    let instruction = match Instruction::from_record(delivery.record()) {
        Ok(instruction) => instruction,
        Err(error) => {
            error!(%error, "an order about credit cannot be decoded");
            return commit(Step::from(delivery).dead_letter(delivery, DeadReason::Corrupt)).await;
        }
    };
    let answered = |step: Step, outcome: &str, detail: String| {
        let result = InstructionResult {
            outcome: outcome.to_owned(),
            detail,
            at: now,
        };
        let expiry = Expiry::At(now.after(RESULT_KEPT));
        step.settle(delivery)
            .put(names::instruction(instruction.id), result.to_record(), expiry)
    };
    let Order { order, key, floor } = match understand(&instruction, config, now) {
        Ok(order) => order,
        Err(why) => {
            info!(verb = %instruction.verb, by = %instruction.by, why, "order about credit refused");
            return commit(answered(Step::from(delivery), "refused", why)).await;
        }
    };
    let (client, currency) = (&order.client, order.currency.as_str());
    let amount = MicroUnits::new(order.amount);
    let counter = |what| names::credit(client, currency, what);
    let step = Step::from(delivery)
        .compare_and_put(
            key.clone(),
            Expected::Absent,
            order.to_record(),
            Expiry::At(now.after(DONE_KEPT)),
        )
        .add(counter(names::CREDIT_BALANCE), order.amount, floor, Expiry::Owner)
        .add(counter(names::CREDIT_PAID), order.amount, None, Expiry::Owner)
        .append(names::CREDIT_ORDERS, order.to_record());
    let detail = format!(
        "{} of {amount} {currency} for client {client}",
        order.movement.as_str()
    );
    let (outcome, detail) = match commit(answered(step, "applied", detail.clone())).await {
        Ok(()) => {
            info!(%client, movement = order.movement.as_str(), %amount, currency, by = %instruction.by,
                reference = order.reference.as_deref(), instruction = %order.id, "money moved by order");
            return Ok(());
        }
        Err(CommitErrorKind::Conflict { key: there }) if there == key => {
            repeated(engine, &order, &key).await?
        }
        Err(CommitErrorKind::Floor { .. }) => ("refused", "the balance would go below its floor".to_owned()),
        Err(other) => return Err(other),
    };
    info!(%client, by = %instruction.by, outcome, detail, "order about credit moved nothing");
    commit(answered(Step::from(delivery), outcome, detail)).await
}

/// What is said of an order whose key was used before.
async fn repeated(
    engine: &dyn Engine,
    order: &CreditOrder,
    key: &StateKey,
) -> Result<(&'static str, String), CommitErrorKind> {
    let found = engine
        .get(vec![key.clone()])
        .await
        .map_err(CommitErrorKind::Engine)?;
    let done = found
        .into_iter()
        .flatten()
        .next()
        .and_then(|there| CreditOrder::from_record(&there.value).ok());
    Ok(match done {
        Some(done) if (done.movement, done.amount) == (order.movement, order.amount) => {
            ("unchanged", format!("it was done at {}", done.at))
        }
        Some(done) => {
            let amount = MicroUnits::new(done.amount);
            let text = format!("the key was used for a {} of {amount}", done.movement.as_str());
            ("refused", text)
        }
        None => (
            "refused",
            "the key was used for an order that cannot be read".to_owned(),
        ),
    })
}

fn understand(instruction: &Instruction, config: &ConfigHandle, now: Timestamp) -> Result<Order, String> {
    let movement = match instruction.verb.as_str() {
        names::TOP_UP => Movement::TopUp,
        names::CORRECT => Movement::Correction,
        other => return Err(format!("{other:?} is no order about credit")),
    };
    let name = instruction.target.as_deref().unwrap_or_default();
    let no_account = || format!("there is no prepaid client {name:?}");
    let client = ClientId::try_new(name).map_err(|_| no_account())?;
    let config = config.config();
    let credit = &config.client.get(&client).ok_or_else(no_account)?.credit;
    if credit.kind == CreditKind::None {
        return Err(no_account());
    }
    let argument = instruction.argument.as_deref().unwrap_or_default();
    let (amount, currency, key) = read(argument)
        .ok_or_else(|| format!("{argument:?} is no amount with its currency, as in \"25.50 EUR\""))?;
    if currency != credit.currency.as_str() {
        return Err(format!(
            "the account is in {}, not in {currency}",
            credit.currency
        ));
    }
    let floor = floor(movement, amount, credit)?;
    let key = key.map_or_else(|| instruction.id.to_string(), str::to_owned);
    let order = CreditOrder {
        id: instruction.id,
        client,
        movement,
        amount,
        currency: currency.to_owned(),
        reference: instruction.reason.clone(),
        at: now,
    };
    let key = names::credit(&order.client, currency, &format!("done/{key}"));
    Ok(Order {
        order,
        key: key.into(),
        floor,
    })
}

/// A top-up pays in; a correction that takes out stops at the account's floor.
fn floor(movement: Movement, amount: i64, credit: &CreditSection) -> Result<Option<i64>, String> {
    match (movement, amount) {
        (_, 0) => Err("nothing is to be moved".to_owned()),
        (Movement::TopUp, ..0) => Err("a top-up pays in; to take out, correct".to_owned()),
        (Movement::Reserve | Movement::Commit | Movement::Refund | Movement::Correction, ..0) => {
            Ok(Some(credit.overdraft.as_i64().saturating_neg()))
        }
        (_, 1..) => Ok(None),
    }
}

/// `<amount> <currency> [<key>]`.
fn read(argument: &str) -> Option<(i64, &str, Option<&str>)> {
    let mut words = argument.split(' ');
    let amount = MicroUnits::from_amount(words.next()?)?.as_i64();
    let currency = words.next()?;
    let key = words.next();
    let right = |key: &str| {
        (1..=MAX_KEY).contains(&key.len())
            && key
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || b"._-".contains(&octet))
    };
    (words.next().is_none() && key.is_none_or(right)).then_some((amount, currency, key))
}
