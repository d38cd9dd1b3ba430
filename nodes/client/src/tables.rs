//! What admission looks things up in: keys, routes, accounts and prices, built once for each epoch of the configuration.
//!
//! Numbers of lists and patterns of texts come ready with the configuration, which was read off the runtime's threads; what
//! is built here is small, but for routes, which every node of the process shares ([`Snapshot::routes`]).
//!
//! Invariant: a request sees one epoch from its first check to its answer. A client whose rate did not change keeps
//! what it has used of it across a reload.

use crate::admission::{Account, Admitted, Charge, ForAll, Refused, Why, no_account};
use crate::http::auth::Keys;
use arc_swap::ArcSwap;
use rustc_hash::FxHashMap;
use smsgw_config::{ConfigHandle, Snapshot};
use smsgw_message::{ClientId, Encoding, MtMessage, ReportLevel, Routed};
use smsgw_routing::{Decision, PriceTable, Question, Refusal, RejectCode, RouteTable, decide_mt};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tracing::error;

/// One epoch's tables.
#[derive(Debug)]
pub(crate) struct Tables {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) keys: Keys,
    routes: Arc<RouteTable>,
    prices: PriceTable,
    for_all: ForAll,
    accounts: FxHashMap<ClientId, Account>,
}

impl Tables {
    pub(crate) fn build(snapshot: Arc<Snapshot>, before: Option<&Self>) -> Self {
        let config = &snapshot.config;
        let lists = config.number_lists();
        let accounts = config.client.iter().map(|(id, client)| {
            let before = before.and_then(|before| before.accounts.get(id));
            (
                id.clone(),
                Account::of(id, client, &config.limits, &lists, before),
            )
        });
        let senders = or_none(config.sender_table(), "senders: rules by destination do not hold");
        Self {
            keys: Keys::of(config),
            // Validation refuses such a file; if one comes through, no message may take a wrong way.
            routes: or_none(snapshot.routes(), "routes: every destination is refused"),
            prices: or_none(config.price_table(), "prices: messages have none"),
            for_all: ForAll::of(&config.admission, senders, &lists),
            accounts: accounts.collect(),
            snapshot: Arc::clone(&snapshot),
        }
    }

    /// What a client is held to.
    pub(crate) fn account(&self, client: &ClientId) -> Option<&Account> {
        self.accounts.get(client)
    }

    /// All accounts.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = (&ClientId, &Account)> {
        self.accounts.iter()
    }

    /// The routes.
    pub(crate) fn routes(&self) -> &RouteTable {
        &self.routes
    }

    /// Where the router would send a message now.
    pub(crate) fn decide(&self, message: &MtMessage) -> Result<Decision<'_>, Refused> {
        let at = message.send_at.unwrap_or(message.accepted_at);
        decide_mt(&self.routes, Question::of(message, at)).map_err(|refusal| {
            let why = match refusal {
                Refusal::NoRoute => Why::NoRoute,
                Refusal::Rejected { code, .. } => match code {
                    RejectCode::NoRoute => Why::NoRoute,
                    RejectCode::DestinationDenied => Why::DestinationDenied,
                    RejectCode::SenderDenied => Why::SenderDenied,
                    RejectCode::ContentDenied => Why::ContentDenied,
                },
                Refusal::NoAddress { .. } => Why::DestinationDenied,
            };
            let detail = match why {
                Why::NoRoute => "no route leads to this destination",
                Why::DestinationDenied => "messages to this destination are not allowed",
                Why::SenderDenied => "the sender may not be used to this destination",
                Why::ContentDenied => "the text may not be sent to this destination",
                Why::TooManyParts
                | Why::OptedOut
                | Why::RateLimited
                | Why::QuotaExceeded
                | Why::InsufficientCredit
                | Why::Unavailable => "the message is refused",
            };
            Refused::of(why, detail)
        })
    }

    /// The route of a message that needs nothing else of the router, so that its accept sends it there: one part, for now, which
    /// its operator carries as it is, of a client that is not told of each state (ADR 0016).
    fn routed(&self, message: &MtMessage, decision: &Decision<'_>) -> Option<Routed> {
        let operator = self.snapshot.config.operator.get(decision.operator())?;
        let may_be_cut = message.encoding == Encoding::Gsm7 && operator.alphabet.lacks_characters();
        let is_told_all = match message.report {
            ReportLevel::None | ReportLevel::Final => false,
            ReportLevel::All => true,
        };
        let is_plain = message.send_at.is_none() && message.parts.len() == 1 && !may_be_cut && !is_told_all;
        is_plain.then(|| decision.routed())
    }

    /// Judges a message by all that is in memory, and gives it its sender. Takes nothing: for a message that is about to be
    /// accepted ask [`check`](crate::admission::check).
    pub(crate) fn judge(&self, message: &mut MtMessage) -> Result<Admitted, Refused> {
        let account = self.account(&message.client).ok_or_else(no_account)?;
        account.judge(&self.for_all, message)?;
        // Behind the account: routes look at the sender that the message goes out with.
        let routed = self.routed(message, &self.decide(message)?);
        let price = self
            .prices
            .price(&message.client, &message.to, message.accepted_at);
        let price = price.map(|price| Charge::of(price, message.part_count()));
        let quotas = account.spend(message)?;
        let (charge, reserve) = account.charge(message, price)?;
        Ok(Admitted::new(charge, quotas, reserve).routed_to(routed))
    }
}

fn or_none<T: Default, E: fmt::Display>(table: Result<T, E>, meaning: &'static str) -> T {
    table.unwrap_or_else(|error| {
        error!(%error, meaning, "a table could not be built; it is empty until the next reload");
        T::default()
    })
}

/// The tables of the epoch in force.
#[derive(Debug)]
pub(crate) struct TablesHandle {
    config: ConfigHandle,
    tables: ArcSwap<Tables>,
    /// Held while tables are built, so that an epoch is built once and never replaces a later one.
    building: Mutex<()>,
}

impl TablesHandle {
    pub(crate) fn new(config: ConfigHandle) -> Self {
        let tables = ArcSwap::from_pointee(Tables::build(config.current(), None));
        Self {
            config,
            tables,
            building: Mutex::new(()),
        }
    }

    /// The tables now; built anew by whoever first sees a new epoch.
    pub(crate) fn current(&self) -> Arc<Tables> {
        let tables = self.tables.load_full();
        if tables.snapshot.epoch == self.config.current().epoch {
            return tables;
        }
        let _building = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        let tables = self.tables.load_full();
        let snapshot = self.config.current();
        if tables.snapshot.epoch == snapshot.epoch {
            return tables;
        }
        let fresh = Arc::new(Tables::build(snapshot, Some(&tables)));
        self.tables.store(Arc::clone(&fresh));
        fresh
    }
}
