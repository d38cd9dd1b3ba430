//! Orders of administrators about one operator: stop, start, hold, release.
//!
//! ```text
//! stop      its links finish what is unanswered, unbind and stay closed     orders/enabled = false
//! start     they are opened again, even where the file says enabled = false orders/enabled = true
//! hold      nothing is taken from its queue; its links stay bound           the engine's hold of mt.operator.<id>
//! release   it is taken from again                                          and its end
//! ```
//! Parts for a stopped or held operator wait in its queue until their validity ends. Orders last: they are written in the
//! step that settles their instruction, and hold after a restart or reload until ordered otherwise. Invariant: an order
//! is in the configuration in force before its instruction has a result.
//!
//! # Limits
//! Orders are about whole operators; a single link cannot be stopped. An order for an operator that leaves the file is
//! forgotten with the next order.

use crate::node::ConfigNode;
use smsgw_config::Config;
use smsgw_message::{OperatorId, OperatorOrders, Record, RecordError, names};
use smsgw_queue::{Engine, EngineError, Expiry, HoldReason, HoldScope, QueueName, StateKey, Step};
use std::sync::{Mutex, MutexGuard, PoisonError};
use thiserror::Error;

/// What is ordered of an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperatorAct {
    /// Close its links, after what is unanswered.
    Stop,
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
            Self::Start => "start",
            Self::Hold => "hold",
            Self::Release => "release",
        }
    }

    /// The act of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Stop, Self::Start, Self::Hold, Self::Release]
            .into_iter()
            .find(|act| act.as_str() == word)
    }
}

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
            }
        }
        config
    }

    /// The orders with one more, without those for operators that are gone.
    fn with(&self, config: &Config, id: &OperatorId, enabled: bool) -> OperatorOrders {
        let mut orders = self.lock().clone();
        orders
            .enabled
            .retain(|operator, _| config.operator.keys().any(|known| known.as_str() == operator));
        orders.enabled.insert(id.as_str().to_owned(), enabled);
        orders
    }

    fn lock(&self) -> MutexGuard<'_, OperatorOrders> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
    act: OperatorAct,
    target: Option<&str>,
    step: Step,
) -> (Step, &'static str, String) {
    let config = node.config().config();
    let known = target
        .and_then(|target| OperatorId::try_new(target).ok())
        .filter(|id| config.operator.contains_key(id));
    let Some(id) = known else {
        let detail = format!("there is no operator {:?}", target.unwrap_or_default());
        return (step, "refused", detail);
    };
    let told = |changed: bool, now: &str| {
        let word = if changed { "applied" } else { "unchanged" };
        (word, format!("operator {id} is {now}"))
    };
    let queue = QueueName::from(names::mt_operator(&id));
    let is_held = || {
        engine
            .holds(&queue)
            .iter()
            .any(|held| held.scope == HoldScope::Queue)
    };
    let (step, (word, detail)) = match act {
        OperatorAct::Stop | OperatorAct::Start => {
            let enabled = act == OperatorAct::Start;
            let orders = node.orders().with(&config, &id, enabled);
            let step = step.put(names::ORDERS, orders.to_record(), Expiry::Owner);
            let changed = node.take_orders(orders).await;
            (step, told(changed, if enabled { "started" } else { "stopped" }))
        }
        OperatorAct::Hold => {
            let changed = !is_held();
            let step = step.hold_all(queue.clone(), HoldScope::Queue, HoldReason::Instructed);
            (step, told(changed, "held"))
        }
        OperatorAct::Release => {
            let changed = is_held();
            (
                step.release_all(queue.clone(), HoldScope::Queue),
                told(changed, "released"),
            )
        }
    };
    (step, word, detail)
}
