//! Orders of administrators about one operator or one of its links: stop, drain, start, hold, release.
//!
//! ```text
//! stop      links finish what is unanswered within node.drain_timeout,      orders/enabled = false,
//!           unbind and stay closed                                          of a link: links/<n>/state = stopped
//! drain     the same, but every answer is waited for                        and orders/drained; drained
//! start     they are opened again, also where the file keeps them closed    orders/enabled = true; open
//! hold      nothing is taken from its queue; its links stay bound           the engine's hold of mt.operator.<id>;
//!           of a link: nothing is taken for it                              held = true
//! release   it is taken from again                                          and its end; held = false
//! ```
//! Parts for a stopped or held operator wait in its queue until their validity ends; those of a stopped or held link go over
//! the other links. Orders last: they are written in the step that settles their instruction, and hold after a restart or
//! reload until ordered otherwise. Invariant: an order is in the configuration in force before its instruction has a result.
//!
//! # Limits
//! An order for a whole operator leaves those for its single links: a stopped link stays closed when its operator is
//! started. An order for an operator or link that leaves the file is forgotten with the next order.

use crate::node::ConfigNode;
use smsgw_config::{Closing, Config, LinkWish, Operator};
use smsgw_message::{LinkOrder, OperatorId, OperatorOrders, Record, RecordError, names};
use smsgw_queue::{Engine, EngineError, Expiry, HoldReason, HoldScope, QueueName, StateKey, Step};
use std::sync::{Mutex, MutexGuard, PoisonError};
use thiserror::Error;

/// What is ordered of an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperatorAct {
    /// Close its links, after what is unanswered.
    Stop,
    /// Close its links, after every answer.
    Drain,
    /// Open its links.
    Start,
    /// Take nothing from its queue.
    Hold,
    /// Take from its queue again.
    Release,
}

impl OperatorAct {
    /// The word in queues, logs, URLs and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Drain => "drain",
            Self::Start => "start",
            Self::Hold => "hold",
            Self::Release => "release",
        }
    }

    /// The act of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Stop, Self::Drain, Self::Start, Self::Hold, Self::Release]
            .into_iter()
            .find(|act| act.as_str() == word)
    }
}

/// An order as it was given.
pub(crate) struct Order<'a> {
    pub(crate) act: OperatorAct,
    pub(crate) operator: Option<&'a str>,
    /// From 1; the whole operator without.
    pub(crate) link: Option<u32>,
}

/// Words of a link's state in the record.
const OPEN: &str = "open";
const STOPPED: &str = "stopped";
const DRAINED: &str = "drained";

/// The orders in force.
#[derive(Debug, Default)]
pub(crate) struct Orders(Mutex<OperatorOrders>);

impl Orders {
    pub(crate) fn set(&self, orders: OperatorOrders) {
        *self.lock() = orders;
    }

    /// A configuration as it is with the orders.
    pub(crate) fn over(&self, mut config: Config) -> Config {
        let orders = self.lock();
        for (id, operator) in &mut config.operator {
            if let Some(enabled) = orders.enabled.get(id.as_str()) {
                operator.enabled = *enabled;
                let drained = orders.drained.as_ref();
                operator.closing = match drained.is_some_and(|drained| drained.contains(id.as_str())) {
                    true => Closing::Drain,
                    false => Closing::Stop,
                };
            }
            let links = orders.links.as_ref().and_then(|links| links.get(id.as_str()));
            for (link, order) in links.into_iter().flatten() {
                apply(operator, *link, order);
            }
        }
        config
    }

    /// The orders with one more, without those for operators and links that are gone. Holds of operators are the engine's.
    fn with(&self, config: &Config, id: &OperatorId, act: OperatorAct, link: Option<u32>) -> OperatorOrders {
        let mut orders = self.lock().clone();
        let known = |operator: &str| config.operator.iter().find(|(id, _)| id.as_str() == operator);
        orders.enabled.retain(|operator, _| known(operator).is_some());
        let mut drained = orders.drained.take().unwrap_or_default();
        drained.retain(|operator| known(operator).is_some());
        let mut links = orders.links.take().unwrap_or_default();
        links.retain(|operator, links| {
            let binds = known(operator).map_or(0, |(_, operator)| operator.binds);
            links.retain(|link, _| *link <= binds);
            !links.is_empty()
        });
        match link {
            None => {
                let name = id.as_str().to_owned();
                match act {
                    OperatorAct::Start | OperatorAct::Stop => drained.remove(&name),
                    OperatorAct::Drain => drained.insert(name.clone()),
                    OperatorAct::Hold | OperatorAct::Release => false,
                };
                match act {
                    OperatorAct::Start => orders.enabled.insert(name, true),
                    OperatorAct::Stop | OperatorAct::Drain => orders.enabled.insert(name, false),
                    OperatorAct::Hold | OperatorAct::Release => None,
                };
            }
            Some(link) => {
                let of_link = links.entry(id.as_str().to_owned()).or_default();
                let order = of_link.entry(link).or_default();
                match act {
                    OperatorAct::Start => order.state = Some(OPEN.to_owned()),
                    OperatorAct::Stop => order.state = Some(STOPPED.to_owned()),
                    OperatorAct::Drain => order.state = Some(DRAINED.to_owned()),
                    OperatorAct::Hold => order.held = Some(true),
                    OperatorAct::Release => order.held = Some(false),
                }
            }
        }
        // Absent rather than empty: a record without them is that of every version.
        orders.drained = Some(drained).filter(|drained| !drained.is_empty());
        orders.links = Some(links).filter(|links| !links.is_empty());
        orders
    }

    fn lock(&self) -> MutexGuard<'_, OperatorOrders> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One link's order over what the file says of it.
fn apply(operator: &mut Operator, link: u32, order: &LinkOrder) {
    let set = |links: &mut Vec<u32>, is_in: bool| {
        links.retain(|other| *other != link);
        if is_in {
            links.push(link);
            links.sort_unstable();
        }
    };
    if let Some(state) = order.state.as_deref() {
        set(&mut operator.links_drained, state == DRAINED);
        // A word of a later version closes the link too: nothing is opened by mistake.
        set(&mut operator.links_stopped, state != DRAINED && state != OPEN);
    }
    if let Some(held) = order.held {
        set(&mut operator.links_held, held);
    }
}

/// Why the orders of earlier runs are not known.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// The engine does not tell them.
    #[error("the orders for operators cannot be read")]
    Engine(#[source] EngineError),
    /// They cannot be decoded.
    #[error("the orders for operators cannot be decoded")]
    Record(#[source] RecordError),
}

impl ConfigNode {
    /// Puts the orders of earlier runs in force. Before the other nodes start: a stopped operator never connects.
    ///
    /// # Errors
    /// When they cannot be known: to start without them would open what was closed by order.
    pub async fn restore(&self, engine: &dyn Engine) -> Result<(), RestoreError> {
        let found = engine
            .get(vec![StateKey::from(names::ORDERS)])
            .await
            .map_err(RestoreError::Engine)?;
        if let Some(found) = found.into_iter().flatten().next() {
            let orders = OperatorOrders::from_record(&found.value).map_err(RestoreError::Record)?;
            self.take_orders(orders).await;
        }
        Ok(())
    }
}

/// Does what is ordered; the step makes it last. Gives the word and the text of the result.
pub(crate) async fn obey(
    node: &ConfigNode,
    engine: &dyn Engine,
    order: Order<'_>,
    step: Step,
) -> (Step, &'static str, String) {
    let config = node.config().config();
    let known = order
        .operator
        .and_then(|name| OperatorId::try_new(name).ok())
        .and_then(|id| Some((config.operator.get(&id)?, id)));
    let Some((operator, id)) = known else {
        let detail = format!("there is no operator {:?}", order.operator.unwrap_or_default());
        return (step, "refused", detail);
    };
    let subject = match order.link {
        None => format!("operator {id}"),
        Some(link) if (1..=operator.binds).contains(&link) => format!("link {id}-{link}"),
        Some(link) => {
            let detail = format!(
                "operator {id} has no link {link}: there are 1 to {}",
                operator.binds
            );
            return (step, "refused", detail);
        }
    };
    let told = |changed: bool, now: &str| {
        let word = if changed { "applied" } else { "unchanged" };
        (word, format!("{subject} is {now}"))
    };
    let queue = QueueName::from(names::mt_operator(&id));
    let is_held = || {
        engine
            .holds(&queue)
            .iter()
            .any(|held| held.scope == HoldScope::Queue)
    };
    let now = match order.act {
        OperatorAct::Stop => "stopped",
        OperatorAct::Drain => "drained: closed once all is answered",
        OperatorAct::Start => "started",
        OperatorAct::Hold => "held",
        OperatorAct::Release => "released",
    };
    let (step, (word, mut detail)) = match (order.act, order.link) {
        (OperatorAct::Hold, None) => {
            let changed = !is_held();
            let step = step.hold_all(queue.clone(), HoldScope::Queue, HoldReason::Instructed);
            (step, told(changed, now))
        }
        (OperatorAct::Release, None) => {
            let changed = is_held();
            (
                step.release_all(queue.clone(), HoldScope::Queue),
                told(changed, now),
            )
        }
        (act, link) => {
            let orders = node.orders().with(&config, &id, act, link);
            let step = step.put(names::ORDERS, orders.to_record(), Expiry::Owner);
            let changed = node.take_orders(orders).await;
            (step, told(changed, now))
        }
    };
    if order.act == OperatorAct::Start
        && let Some(closed) = still_closed(node, &id, order.link)
    {
        detail.push_str(&closed);
    }
    (step, word, detail)
}

/// What keeps links closed after a start: an order for the operator, or orders for its links.
fn still_closed(node: &ConfigNode, id: &OperatorId, link: Option<u32>) -> Option<String> {
    let config = node.config().config();
    let operator = config.operator.get(id)?;
    if link.is_some() {
        return (!operator.enabled).then(|| format!(", but operator {id} is stopped"));
    }
    let closed: Vec<String> = (1..=operator.binds)
        .filter(|link| match operator.link_wish(*link) {
            LinkWish::Stopped | LinkWish::Drained => true,
            LinkWish::Open | LinkWish::Held => false,
        })
        .map(|link| format!("{id}-{link}"))
        .collect();
    (!closed.is_empty()).then(|| format!(", but these links stay closed: {}", closed.join(", ")))
}
