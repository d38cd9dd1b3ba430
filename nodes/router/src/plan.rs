//! The configuration as the router needs it: route table, limits, targets; rebuilt when a new epoch comes into force.
//!
//! Workers take the plan in force once per batch. A large table takes longer to build than a worker may block, so it
//! is built on a thread of its own by [`watch`] and swapped in whole.
//!
//! Invariant PL-1: a plan that cannot be built changes nothing: the one before stays in force.

use arc_swap::ArcSwap;
use smsgw_config::{
    Alphabet, Config, ConfigHandle, LimitsSection, LongReceipts, MessageIds, Operator, ReceiptState as Word,
    StateWord,
};
use smsgw_message::{Class, ClientId, MessageState, OperatorId, ReceiptState};
use smsgw_routing::{RouteError, RouteTable};
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
    table: RouteTable,
    habits: Arc<Habits>,
}

impl Plan {
    pub(crate) fn try_new(epoch: u64, config: Arc<Config>, habits: Arc<Habits>) -> Result<Self, RouteError> {
        let table = config.route_table()?;
        Ok(Self {
            epoch,
            config,
            table,
            habits,
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

    pub(crate) fn table(&self) -> &RouteTable {
        &self.table
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

    /// Whether there is such an account: an inbox of one that is gone would be read by nobody.
    pub(crate) fn has_client(&self, client: &ClientId) -> bool {
        self.config.client.contains_key(client)
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
        self.config
            .operator
            .values()
            .any(|operator| match operator.alphabet {
                Alphabet::Latin1 | Alphabet::Ascii => true,
                Alphabet::Gsm7 | Alphabet::Gsm7Packed | Alphabet::Utf8 => false,
            })
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
        let word = match state {
            ReceiptState::Enroute => Word::Enroute,
            ReceiptState::Delivered => Word::Delivrd,
            ReceiptState::Expired => Word::Expired,
            ReceiptState::Deleted => Word::Deleted,
            ReceiptState::Undeliverable => Word::Undeliv,
            ReceiptState::Accepted => Word::Acceptd,
            ReceiptState::Unknown => Word::Unknown,
            ReceiptState::Rejected => Word::Rejectd,
        };
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
        let plan = Plan::try_new(snapshot.epoch, Arc::clone(&snapshot.config), Arc::default())?;
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
            let (epoch, config) = (snapshot.epoch, Arc::clone(&snapshot.config));
            let habits = Arc::clone(&plans.current.load().habits);
            match tokio::task::spawn_blocking(move || Plan::try_new(epoch, config, habits)).await? {
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
