//! The configuration as the router needs it: route table, limits, targets; rebuilt when a new epoch comes into force.
//!
//! Workers take the plan in force once per batch. A large table takes longer to build than a worker may block, so it
//! is built on a thread of its own by [`watch`] and swapped in whole.
//!
//! Invariant PL-1: a plan that cannot be built changes nothing: the one before stays in force.

use arc_swap::ArcSwap;
use rustc_hash::{FxHashMap, FxHashSet};
use smsgw_config::{
    Config, ConfigHandle, Failover, LimitsSection, LongReceipts, MessageIds, Operator, Protocol,
    ReceiptState as Word, Snapshot, StateWord,
};
use smsgw_message::{Class, ClientId, MessageState, MtMessage, OperatorId, ReceiptState, Timestamp, names};
use smsgw_queue::QueueName;
use smsgw_routing::{
    Decision, KeywordTable, Question, Refusal, RouteError, RouteTable, decide_mt, whole_text,
};
use smsgw_runtime::{ChildContext, ChildError};
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, info, warn};

use crate::carrier_id::Habits;
use crate::ids::IdTable;
use crate::life::{self, Meaning};

/// How long a batch waits for the routes of a new epoch: ten million prefixes take about a second.
const BUILD: Duration = Duration::from_secs(10);

/// Where what goes down to a client is put. One place only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// `down.callback`, to this URL.
    Callback(String),
    /// `down.smpp`.
    Binds,
    /// The client's inbox.
    Inbox,
}

/// One epoch of the configuration, ready to decide with.
#[derive(Debug)]
pub(crate) struct Plan {
    epoch: u64,
    config: Arc<Config>,
    table: Arc<RouteTable>,
    habits: Arc<Habits>,
    has_failover: bool,
    may_rewrite: bool,
    /// The queues of the operators' parts.
    queues: FxHashMap<OperatorId, QueueName>,
    keywords: KeywordTable,
    /// What phones are answered with, as texts are compared.
    answers: FxHashSet<String>,
}

impl Plan {
    /// The plan of a configuration that nobody published.
    #[cfg(test)]
    pub(crate) fn try_new(_epoch: u64, config: Arc<Config>, habits: Arc<Habits>) -> Result<Self, RouteError> {
        let config = Arc::unwrap_or_clone(config);
        Self::of(&ConfigHandle::new(config).current(), habits)
    }

    pub(crate) fn of(snapshot: &Snapshot, habits: Arc<Habits>) -> Result<Self, RouteError> {
        let table = snapshot.routes()?;
        let keywords = snapshot.config.keyword_table();
        let of_routes = snapshot.config.route.mo.iter();
        let answers = of_routes
            .filter_map(|route| route.reply.as_deref())
            .chain(keywords.replies())
            .map(whole_text)
            .collect();
        Ok(Self {
            epoch: snapshot.epoch,
            config: Arc::clone(&snapshot.config),
            has_failover: snapshot.config.has_failover(),
            may_rewrite: (snapshot.config.operator.values())
                .any(|operator| operator.alphabet.lacks_characters()),
            queues: (snapshot.config.operator.keys())
                .map(|operator| (operator.clone(), QueueName::from(names::mt_operator(operator))))
                .collect(),
            table,
            habits,
            keywords,
            answers,
        })
    }

    /// What is known of how carriers write ids; it outlives the plan.
    pub(crate) fn habits(&self) -> &Habits {
        &self.habits
    }

    /// How an operator's ids are said to be written.
    pub(crate) fn message_ids(&self, operator: &OperatorId) -> MessageIds {
        self.config
            .operator
            .get(operator)
            .map_or(MessageIds::Auto, |operator| operator.message_ids)
    }

    /// Where a message goes now.
    pub(crate) fn decide(&self, message: &MtMessage, now: Timestamp) -> Result<Decision<'_>, Refusal> {
        decide_mt(&self.table, Question::of(message, now))
    }

    /// The queue of an operator's parts.
    pub(crate) fn parts_of(&self, operator: &OperatorId) -> QueueName {
        let known = self.queues.get(operator).cloned();
        known.unwrap_or_else(|| QueueName::from(names::mt_operator(operator)))
    }

    pub(crate) fn table(&self) -> &RouteTable {
        &self.table
    }

    /// The words by which phones say what they want.
    pub(crate) fn keywords(&self) -> &KeywordTable {
        &self.keywords
    }

    /// Whether phones are answered with this text.
    pub(crate) fn answers(&self, text: &str) -> bool {
        self.answers.contains(text)
    }

    /// When another operator of a route is tried after one has taken the message.
    pub(crate) fn failover(&self, route: usize) -> Option<&Failover> {
        let route = self.config.route.mt.get(route.checked_sub(1)?)?;
        Some(&route.failover)
    }

    /// Whether any route says so: without, nothing is looked up for it.
    pub(crate) fn has_failover(&self) -> bool {
        self.has_failover
    }

    /// What a part of a message costs at an operator, in millionths; `None` when nothing says so.
    pub(crate) fn cost(&self, operator: &OperatorId, message: &MtMessage, now: Timestamp) -> Option<u64> {
        let cost = self.table.costs().cost(operator, message.to.as_str(), now)?;
        u64::try_from(cost.per_part.as_i64()).ok()
    }

    pub(crate) fn limits(&self) -> &LimitsSection {
        &self.config.limits
    }

    /// The default target of a client's reports and MO.
    pub(crate) fn callback(&self, client: &ClientId) -> Option<String> {
        Some(
            self.config
                .client
                .get(client)?
                .callback
                .as_ref()?
                .url()
                .as_str()
                .to_owned(),
        )
    }

    /// Where reports and MO of a client go that name no target themselves: its callback, else its binds, else its inbox.
    /// A message that came over a bind prefers binds (`by_bind`).
    pub(crate) fn target(&self, client: &ClientId, by_bind: bool) -> Target {
        let binds = self
            .config
            .client
            .get(client)
            .is_some_and(|client| client.system_id.is_some());
        match (binds && by_bind, self.callback(client)) {
            (true, _) => Target::Binds,
            (false, Some(url)) => Target::Callback(url),
            (false, None) if binds => Target::Binds,
            (false, None) => Target::Inbox,
        }
    }

    /// Whether the account's receipts quote how its messages begin (`smpp.receipt_text`).
    pub(crate) fn quotes(&self, client: &ClientId) -> bool {
        self.config
            .client
            .get(client)
            .and_then(|client| client.smpp.receipt_text.as_ref())
            .is_some_and(|form| form.contains("{text}"))
    }

    /// Whether texts of the client's messages may be stored.
    pub(crate) fn stores_text(&self, client: &ClientId) -> bool {
        self.config.stores_text(client)
    }

    /// Whether there is such an account: an inbox of one that is gone would be read by nobody.
    pub(crate) fn has_client(&self, client: &ClientId) -> bool {
        self.config.client.contains_key(client)
    }

    /// Whether the account's messages are checked against the list of opt-outs.
    pub(crate) fn heeds_opt_outs(&self, client: &ClientId) -> bool {
        self.config
            .client
            .get(client)
            .is_some_and(|client| client.opt_out)
    }

    /// The class in which a client's own traffic goes.
    pub(crate) fn class(&self, client: &ClientId) -> Class {
        self.config
            .client
            .get(client)
            .map_or_else(Class::default, |client| client.class)
    }

    /// An operator's settings, as long as it is configured.
    pub(crate) fn operator(&self, operator: &OperatorId) -> Option<&Operator> {
        self.config.operator.get(operator)
    }

    /// Whether an operator has to write this GSM 7-bit text in another encoding if it holds certain characters.
    pub(crate) fn may_rewrite(&self) -> bool {
        self.may_rewrite
    }

    /// Whether an operator's ids may stand for several parts: UCP names a message by its recipient and second.
    pub(crate) fn shares_ids(&self, operator: &OperatorId) -> bool {
        self.operator(operator)
            .is_some_and(|operator| operator.protocol == Protocol::Ucp)
    }

    /// Which receipts of an operator speak for a long message.
    pub(crate) fn long_receipts(&self, operator: &OperatorId) -> LongReceipts {
        self.config
            .operator
            .get(operator)
            .map_or(LongReceipts::All, |operator| operator.long_receipts)
    }

    /// What a state means at an operator.
    pub(crate) fn meaning(&self, operator: &OperatorId, state: ReceiptState) -> Meaning {
        let word = word_of(state);
        match self
            .config
            .operator
            .get(operator)
            .and_then(|operator| operator.states.get(&word))
        {
            None => life::meaning(state),
            Some(StateWord::Intermediate) => Meaning::Intermediate,
            Some(StateWord::Delivered) => Meaning::Final(MessageState::Delivered),
            Some(StateWord::Failed) => Meaning::Final(MessageState::Failed),
            Some(StateWord::Expired) => Meaning::Final(MessageState::Expired),
            Some(StateWord::Rejected) => Meaning::Final(MessageState::Rejected),
            Some(StateWord::Cancelled) => Meaning::Final(MessageState::Cancelled),
        }
    }
}

/// A state as the configuration writes it.
pub(crate) fn word_of(state: ReceiptState) -> Word {
    match state {
        ReceiptState::Enroute => Word::Enroute,
        ReceiptState::Delivered => Word::Delivrd,
        ReceiptState::Expired => Word::Expired,
        ReceiptState::Deleted => Word::Deleted,
        ReceiptState::Undeliverable => Word::Undeliv,
        ReceiptState::Accepted => Word::Acceptd,
        ReceiptState::Unknown => Word::Unknown,
        ReceiptState::Rejected => Word::Rejectd,
    }
}

/// The plan in force, shared by the workers.
#[derive(Debug)]
pub(crate) struct Plans {
    config: ConfigHandle,
    current: ArcSwap<Plan>,
    /// The last epoch whose plan was put in force or refused.
    tried: tokio::sync::watch::Sender<u64>,
}

impl Plans {
    /// What is shown of the carriers' ids.
    pub(crate) fn ids(&self) -> IdTable {
        let habits = Arc::clone(&self.current.load().habits);
        IdTable::new(habits, self.config.clone())
    }

    pub(crate) fn try_new(config: ConfigHandle) -> Result<Self, RouteError> {
        let snapshot = config.current();
        let plan = Plan::of(&snapshot, Arc::default())?;
        let tried = tokio::sync::watch::Sender::new(plan.epoch);
        Ok(Self {
            config,
            current: ArcSwap::from_pointee(plan),
            tried,
        })
    }

    /// The plan in force: take it once per batch. Waits for the plan of an epoch that was just published: the client
    /// node may have accepted a message by its routes, and by the ones before it could not be routed.
    pub(crate) async fn current(&self) -> Arc<Plan> {
        let published = self.config.current().epoch;
        if *self.tried.borrow() < published {
            let mut tried = self.tried.subscribe();
            if tokio::time::timeout(BUILD, tried.wait_for(|epoch| *epoch >= published))
                .await
                .is_err()
            {
                warn!(
                    epoch = published,
                    "routes are still being built, those before decide"
                );
            }
        }
        self.current.load_full()
    }
}

/// Follows the configuration until told to drain.
pub(crate) async fn watch(ctx: ChildContext, plans: Arc<Plans>) -> Result<(), ChildError> {
    let mut epochs = plans.config.subscribe();
    ctx.ready();
    loop {
        // The epoch is marked as seen before the snapshot is taken, so a later one wakes us again.
        epochs.borrow_and_update();
        let snapshot = plans.config.current();
        if snapshot.epoch != plans.current.load().epoch {
            let epoch = snapshot.epoch;
            let habits = Arc::clone(&plans.current.load().habits);
            match tokio::task::spawn_blocking(move || Plan::of(&snapshot, habits)).await? {
                Ok(plan) => {
                    let (mt, mo) = plan.table.route_counts();
                    plans.current.store(Arc::new(plan));
                    info!(epoch, mt, mo, "routes in force");
                }
                Err(error) => {
                    error!(epoch, %error, cause = %error.kind, "routes refused, those before stay in force")
                }
            }
            plans.tried.send_replace(epoch);
        }
        tokio::select! {
            () = ctx.draining() => return Ok(()),
            changed = epochs.changed() => if changed.is_err() {
                // No publisher is left: this configuration is the last.
                ctx.draining().await;
                return Ok(());
            },
        }
    }
}
