//! Gives what waits for one operator to another, as an administrator orders it.
//!
//! ```text
//! instructions ── config node ──▶ instructions.router ──▶ rounds over mt.operator.<from>, deferred then ready:
//!     a page ─▶ units (`units`) ─▶ one step each (`judge`): out of mt.operator.<from>, msg/<id>, into mt.operator.<to>,
//!               moved/<instruction>/…  ─▶ the next page … ─▶ no more to be had ─▶ instruction/<id>: how many
//! ```
//! The order stays under lease until it is answered; a crash gives it back, and it goes on with what is left: every unit is a step
//! of its own, which also counts it. So nothing is lost or doubled, and the answer is exact. Meant is what was in the queue when
//! the order was given: what traffic puts there later stays, so that the work ends. Knows no other node.
//!
//! # Limits
//! Orders are done one after the other. What is in flight while a round passes is looked at again, a bounded number of times. What
//! a person holds by itself stays held where it is. A message stands behind those of its client that were in the other queue
//! before; attempts begin anew, because they are those of another carrier.

mod judge;
mod units;

use crate::outcome::View;
use crate::plan::Plan;
use crate::work::Shop;
use judge::{Moving, Stays};
use serde::{Deserialize, Serialize};
use smsgw_message::{
    Class, ClientId, Dispatch, Instruction, InstructionResult, MessageId, OperatorId, Record, Timestamp,
    names,
};
use smsgw_queue::{
    CommitErrorKind, DeadReason, Delivery, EngineError, Expected, Expiry, Look, Place, QueueName, StateKey,
    Step, StepId, Want,
};
use smsgw_runtime::{ChildContext, ChildError};
use std::collections::BTreeMap;
use std::time::Duration;
use tracing::{error, info, warn};
use units::{Unit, Units};

/// How long one checkout waits; a drain ends the wait.
const WAIT: Duration = Duration::from_secs(10);
/// Records of one page, and at most so many steps of one commit.
const PAGE: usize = 256;
/// Rounds over the queue at most, and how many of them may move nothing.
const ROUNDS: u32 = 50;
const IDLE: u32 = 3;
/// Before the next round when one has moved nothing: what is in flight is answered meanwhile.
const PAUSE: Duration = Duration::from_millis(300);
/// How long a worker waits when the disk is full.
const NO_SPACE_PAUSE: Duration = Duration::from_secs(1);
/// How long the result can be asked for, and counters of an order that is never finished stay.
const RESULT_KEPT: Duration = Duration::from_secs(24 * 3600);
const COUNTED_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Which parts go where: the argument of the instruction [`names::MOVE`], as JSON. Its target is the operator in whose queue they
/// wait, configured or not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MoveOrder {
    /// To this operator; absent: each where the routes in force lead, the first one of its route but the one it waits for.
    pub to: Option<String>,
    /// Only this class.
    pub class: Option<String>,
    /// Only this client.
    pub client: Option<String>,
}

/// What a move did: the detail of its result, as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Messages that went.
    pub messages: u64,
    /// Their parts, as they were counted before.
    pub parts: u64,
    /// Parts of messages that had ended: deleted.
    pub ended: u64,
    /// Parts that stay, by reason: `sent`, `in_doubt`, `apart`, `tried`, `no_route`, `unknown`, `unreadable`, `busy`; and of the whole
    /// queue `in_flight`, `held` and `later` (put there after the order).
    pub stays: BTreeMap<String, u64>,
}

/// The counters of an order, by what they count.
pub const COUNTED: [&str; 3] = ["messages", "parts", "ended"];

/// To which operator.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    To(OperatorId),
    Routes,
}

/// An order that can be done.
#[derive(Debug)]
struct Order {
    instruction: MessageId,
    given: Timestamp,
    from: OperatorId,
    way: Way,
    class: Option<Class>,
    client: Option<ClientId>,
}

impl Order {
    fn of(instruction: &Instruction, plan: &Plan) -> Result<Self, String> {
        if instruction.verb != names::MOVE {
            return Err(format!("{:?} is no order for the router", instruction.verb));
        }
        let argument = instruction.argument.as_deref().unwrap_or("{}");
        let asked: MoveOrder =
            serde_json::from_str(argument).map_err(|error| format!("the order cannot be read: {error}"))?;
        let operator =
            |name: &str| OperatorId::try_new(name).map_err(|_| format!("{name:?} is no name of an operator"));
        let from = operator(instruction.target.as_deref().unwrap_or_default())?;
        let way = match asked.to.as_deref() {
            None => Way::Routes,
            Some(to) => Way::To(operator(to)?),
        };
        match &way {
            Way::To(to) if *to == from => return Err(format!("they wait for operator {from} already")),
            Way::To(to) if plan.operator(to).is_none() => return Err(format!("there is no operator {to}")),
            Way::To(_) | Way::Routes => {}
        }
        let class = asked.class.map(|word| {
            Class::from_word(&word).ok_or_else(|| format!("{word:?} is no class: otp, transactional, bulk"))
        });
        let client = asked
            .client
            .map(|name| ClientId::try_new(&name).map_err(|_| format!("{name:?} is no name of a client")));
        Ok(Self {
            instruction: instruction.id,
            given: instruction.at,
            from,
            way,
            class: class.transpose()?,
            client: client.transpose()?,
        })
    }

    fn counter(&self, what: &str) -> StateKey {
        StateKey::from(names::moved(self.instruction, what))
    }
}

/// What one round over the queue found.
#[derive(Debug, Default)]
struct Round {
    moved: u64,
    stays: BTreeMap<Stays, u64>,
    /// Younger than the order.
    later: u64,
    /// For want of room among [`Units`].
    above: u64,
}

impl Round {
    fn stay(&mut self, why: Stays, parts: usize) {
        let there = self.stays.entry(why).or_default();
        *there = there.saturating_add(u64::try_from(parts).unwrap_or(u64::MAX));
    }

    /// What another round may move.
    fn again(&self) -> u64 {
        let of = |why| self.stays.get(&why).copied().unwrap_or(0);
        self.above.saturating_add(of(Stays::Busy))
    }
}

/// Does orders until told to drain; one that is under way then goes on at the next start.
pub(crate) async fn run(ctx: ChildContext, shop: Shop) -> Result<(), ChildError> {
    let queue = QueueName::from(names::INSTRUCTIONS_ROUTER);
    ctx.ready();
    loop {
        let taken = tokio::select! {
            biased;
            () = ctx.draining() => return Ok(()),
            taken = shop.engine.checkout(&queue, Want::new(1, WAIT)) => taken,
        };
        let worked = match taken {
            Ok(taken) => obey_all(&ctx, &shop, taken).await,
            Err(error) => Err(CommitErrorKind::Engine(error)),
        };
        match worked {
            Ok(()) => {}
            Err(CommitErrorKind::Engine(EngineError::NoSpace)) => {
                warn!("disk is full, moving parts to another operator waits for room");
                tokio::select! {
                    () = ctx.draining() => return Ok(()),
                    () = tokio::time::sleep(NO_SPACE_PAUSE) => {}
                }
            }
            Err(CommitErrorKind::Engine(EngineError::Closed)) if ctx.is_draining() => return Ok(()),
            Err(CommitErrorKind::Engine(error @ EngineError::Poisoned(_))) => {
                return Err(ChildError::fatal(error));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

async fn obey_all(ctx: &ChildContext, shop: &Shop, taken: Vec<Delivery>) -> Result<(), CommitErrorKind> {
    for delivery in taken {
        let step = match Instruction::from_record(delivery.record()) {
            Err(error) => {
                error!(%error, "an order for the router cannot be decoded");
                Some(Step::from(&delivery).dead_letter(&delivery, DeadReason::Corrupt))
            }
            Ok(instruction) => obey(ctx, shop, &delivery, &instruction).await?,
        };
        // One that is not at its end goes back with its delivery.
        if let Some(step) = step {
            step.commit(&*shop.engine).await.map_err(|error| error.kind)?;
        }
    }
    Ok(())
}

/// Does an order; gives the step that answers it, or none when the node drains before the end.
async fn obey(
    ctx: &ChildContext,
    shop: &Shop,
    delivery: &Delivery,
    instruction: &Instruction,
) -> Result<Option<Step>, CommitErrorKind> {
    let now = shop.clock.now();
    let answered = |outcome: &str, detail: String| {
        let result = InstructionResult {
            outcome: outcome.to_owned(),
            detail,
            at: now,
        };
        let expiry = Expiry::At(now.after(RESULT_KEPT));
        let step = Step::from(delivery).settle(delivery);
        step.put(names::instruction(instruction.id), result.to_record(), expiry)
    };
    let order = match Order::of(instruction, &*shop.plans.current().await) {
        Ok(order) => order,
        Err(why) => {
            info!(from = instruction.target.as_deref(), by = %instruction.by, why, "order to move parts refused");
            return Ok(Some(answered("refused", why)));
        }
    };
    info!(from = %order.from, order = instruction.argument.as_deref(), by = %instruction.by, instruction = %order.instruction, "moving parts to another operator");
    let Some(stays) = rounds(ctx, shop, &order).await? else {
        return Ok(None);
    };
    let mut counts = counted(shop, &order).await.map_err(CommitErrorKind::Engine)?;
    counts.stays = stays;
    let word = match counts.parts.saturating_add(counts.ended) {
        0 => "unchanged",
        1.. => "applied",
    };
    info!(from = %order.from, parts = counts.parts, messages = counts.messages, ended = counts.ended, instruction = %order.instruction, "parts moved to another operator");
    let detail = serde_json::to_string(&counts).expect("numbers are valid JSON");
    let step = COUNTED.iter().fold(answered(word, detail), |step, what| {
        step.delete(order.counter(what), Expected::Any)
    });
    Ok(Some(step))
}

/// What was moved so far, by this process or one before it.
async fn counted(shop: &Shop, order: &Order) -> Result<Moved, EngineError> {
    let keys = COUNTED.iter().map(|what| order.counter(what)).collect();
    let found = shop.engine.get(keys).await?;
    let mut numbers = found.into_iter().map(|there| {
        let number = there.and_then(|there| there.as_counter()).unwrap_or(0);
        u64::try_from(number).unwrap_or(0)
    });
    let mut next = || numbers.next().unwrap_or(0);
    Ok(Moved {
        messages: next(),
        parts: next(),
        ended: next(),
        stays: BTreeMap::new(),
    })
}

/// Goes over the queue until nothing more can be moved; gives what stays, or none when the node drains.
async fn rounds(
    ctx: &ChildContext,
    shop: &Shop,
    order: &Order,
) -> Result<Option<BTreeMap<String, u64>>, CommitErrorKind> {
    let mut idle = 0;
    let mut last = Round::default();
    for _ in 0..ROUNDS {
        let Some(round) = round(ctx, shop, order).await? else {
            return Ok(None);
        };
        let (moved, again) = (round.moved, round.again());
        last = round;
        idle = if moved == 0 { idle + 1 } else { 0 };
        if again == 0 || idle >= IDLE {
            break;
        }
        if moved == 0 {
            tokio::select! {
                () = ctx.draining() => return Ok(None),
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }
    let depth = shop
        .engine
        .depth(&QueueName::from(names::mt_operator(&order.from)));
    let reasons = last.stays.iter().map(|(why, parts)| (why.as_str(), *parts));
    let places = [
        ("later", last.later),
        ("above", last.above),
        ("in_flight", depth.in_flight),
        ("held", depth.held),
    ];
    let stays = reasons.chain(places).filter(|(_, parts)| *parts > 0);
    Ok(Some(stays.map(|(why, parts)| (why.to_owned(), parts)).collect()))
}

/// Goes over the queue once, page by page.
async fn round(ctx: &ChildContext, shop: &Shop, order: &Order) -> Result<Option<Round>, CommitErrorKind> {
    let queue = QueueName::from(names::mt_operator(&order.from));
    let mut round = Round::default();
    let mut units = Units::new(units::MOST);
    for place in [Place::Deferred, Place::Ready] {
        let mut look = Look::at(place, PAGE);
        if let Some(client) = &order.client {
            look = look.of(client.as_str());
        }
        loop {
            if ctx.is_draining() {
                return Ok(None);
            }
            let page = shop
                .engine
                .look(&queue, look.clone())
                .await
                .map_err(CommitErrorKind::Engine)?;
            let mut whole = Vec::new();
            for seen in &page.records {
                if order.class.is_some_and(|class| class != seen.lane.class) {
                    continue;
                }
                if seen.published_at > order.given {
                    round.later = round.later.saturating_add(1);
                    continue;
                }
                match Dispatch::from_record(&seen.record) {
                    Ok(dispatch) => whole.extend(units.add(seen.id, &dispatch, seen.leased_before)),
                    Err(_) => round.stay(Stays::Unreadable, 1),
                }
            }
            move_units(shop, order, whole, &mut round).await?;
            if page.next.is_none() {
                break;
            }
            look = look.behind(page.next);
        }
    }
    round.above = units.above();
    let apart = usize::try_from(units.apart()).unwrap_or(usize::MAX);
    if apart > 0 {
        round.stay(Stays::Apart, apart);
    }
    Ok(Some(round))
}

/// Moves what can be moved of a page, in one commit.
async fn move_units(
    shop: &Shop,
    order: &Order,
    units: Vec<Unit>,
    round: &mut Round,
) -> Result<(), CommitErrorKind> {
    if units.is_empty() {
        return Ok(());
    }
    let plan = shop.plans.current().await;
    let mut view = View::default();
    let keys: Vec<StateKey> = units
        .iter()
        .flat_map(|unit| judge::keys(&order.from, unit))
        .collect();
    let values = shop.engine.get(keys.clone()).await;
    for (key, value) in keys.into_iter().zip(values.map_err(CommitErrorKind::Engine)?) {
        view.insert(key, value);
    }
    let now = shop.clock.now();
    let source = QueueName::from(format!("move {}", order.instruction));
    let (mut steps, mut chosen) = (Vec::new(), Vec::new());
    for unit in &units {
        let Some(first) = unit.parts.first() else { continue };
        let id = StepId::of_record(&source, first.record);
        let moving = match judge::decide(&plan, now, (&order.from, &order.way), unit, id, &view) {
            Ok(moving) => moving,
            Err(why) => {
                round.stay(why, unit.parts.len());
                continue;
            }
        };
        let Moving {
            outcome,
            messages,
            parts,
            ended,
        } = moving;
        let until = now.after(COUNTED_KEPT);
        let counts = COUNTED.into_iter().zip([messages, parts, ended]);
        let step = counts.fold(outcome.step, |step, (what, number)| {
            let number = i64::try_from(number).unwrap_or(i64::MAX);
            step.add(order.counter(what), number, None, Expiry::At(until))
        });
        steps.push(step);
        chosen.push((unit.parts.len(), outcome.notes));
    }
    for ((parts, notes), answer) in chosen.into_iter().zip(shop.engine.commit(steps).await) {
        match answer.map_err(|error| error.kind) {
            Ok(_) => {
                round.moved = round.moved.saturating_add(1);
                notes
                    .iter()
                    .for_each(|note| note.say(&plan, names::INSTRUCTIONS_ROUTER));
            }
            // Somebody has a part, or changed the message meanwhile: the next round looks again.
            Err(
                CommitErrorKind::Stale { .. }
                | CommitErrorKind::Conflict { .. }
                | CommitErrorKind::NoRecord { .. }
                | CommitErrorKind::Leased { .. },
            ) => round.stay(Stays::Busy, parts),
            Err(CommitErrorKind::Engine(error)) => return Err(CommitErrorKind::Engine(error)),
            Err(
                kind @ (CommitErrorKind::Floor { .. }
                | CommitErrorKind::NotACounter { .. }
                | CommitErrorKind::Full(_)
                | CommitErrorKind::Invalid(_)),
            ) => {
                error!(from = %order.from, error = %kind, "parts cannot be moved");
                round.stay(Stays::Unreadable, parts);
            }
        }
    }
    Ok(())
}
