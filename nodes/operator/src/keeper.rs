//! Keeps the links as the configuration wants them: starts, relinks and removes those of changed operators only.
//!
//! Must not touch a link whose operator did not change in a way that needs it (law 5). Invariant KE-1: after each round
//! the children of the supervisor are the binds of the configuration that was applied; a round that is cut off by a
//! restart of this task is finished by the next one.

use crate::account::Account;
use crate::bind::{Bind, UNBIND_TIMEOUT};
use crate::dial::Dial;
use crate::link::{self, Link};
use crate::load::Load;
use crate::metric::LINK_STATE;
use crate::pdu_log::PduLog;
use crate::status::{LinkState, LinkStatus, LinkTable};
use crate::trace::LinkTap;
use smsgw_config::{BindMode, Config, ConfigDiff, ConfigHandle, InterfaceVersion, Operator, Protocol};
use smsgw_message::{LinkId, OperatorId};
use smsgw_queue::Engine;
use smsgw_runtime::{ChildContext, ChildError, ChildSpec, Clock, SupervisorHandle};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{error, info, warn};

/// What the bind of a link is called that does not run: its protocol is not in this version, or it is not enabled.
const NO_BIND: &str = "none";
/// Time for the last commits of a drained link.
const LAST_COMMITS: Duration = Duration::from_secs(1);

/// What every link needs, and what runs now.
#[derive(Debug)]
pub(crate) struct Keeper {
    engine: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
    dial: Arc<dyn Dial>,
    config: ConfigHandle,
    table: LinkTable,
    running: Mutex<Running>,
}

#[derive(Debug)]
struct Running {
    /// The configuration that was applied last.
    applied: Arc<Config>,
    operators: BTreeMap<OperatorId, Kept>,
}

#[derive(Debug)]
struct Kept {
    account: Arc<Account>,
    /// Names of its tasks.
    tasks: BTreeSet<String>,
    /// Links that are shown and do not run.
    idle: Vec<LinkId>,
    pdu_log: Arc<PduLog>,
}

impl Keeper {
    pub(crate) fn new(
        engine: Arc<dyn Engine>,
        config: ConfigHandle,
        clock: Arc<dyn Clock>,
        dial: Arc<dyn Dial>,
        table: LinkTable,
    ) -> Arc<Self> {
        let running = Mutex::new(Running {
            applied: Arc::new(Config::default()),
            operators: BTreeMap::new(),
        });
        Arc::new(Self {
            engine,
            clock,
            dial,
            config,
            table,
            running,
        })
    }

    /// The links of the configuration in force, for a supervisor that has none yet.
    pub(crate) fn first_links(&self) -> Vec<ChildSpec> {
        let config = self.config.config();
        let mut running = self.lock();
        let specs = config
            .operator
            .iter()
            .flat_map(|(id, operator)| self.start(&mut running, id, operator, &config));
        let specs = specs.collect();
        running.applied = config;
        specs
    }

    /// The task: applies each new configuration.
    pub(crate) async fn run(
        self: Arc<Self>,
        ctx: ChildContext,
        links: SupervisorHandle,
    ) -> Result<(), ChildError> {
        let mut epochs = self.config.subscribe();
        ctx.ready();
        loop {
            // Marks the epoch as seen before looking, so that one published meanwhile is not missed.
            epochs.borrow_and_update();
            let config = self.config.config();
            tokio::select! {
                () = ctx.draining() => return Ok(()),
                () = self.apply(config, &links) => {}
            }
            tokio::select! {
                () = ctx.draining() => return Ok(()),
                changed = epochs.changed() => if changed.is_err() {
                    // Nobody can publish any more: the configuration stays as it is.
                    ctx.draining().await;
                    return Ok(());
                },
            }
        }
    }

    async fn apply(&self, config: Arc<Config>, links: &SupervisorHandle) {
        let (affected, leaving) = {
            let mut running = self.lock();
            let diff = ConfigDiff::between(&running.applied, &config);
            for (id, kept) in &running.operators {
                if let Some(operator) = config.operator.get(id) {
                    kept.account.apply(operator);
                    kept.pdu_log.set(operator.pdu_log, config.log.bodies);
                }
            }
            let affected: BTreeSet<OperatorId> = diff
                .relinked()
                .into_iter()
                .chain(diff.operators_added())
                .chain(diff.operators_removed())
                .cloned()
                .collect();
            let mut leaving = Vec::new();
            for id in &affected {
                if let Some(kept) = running.operators.get_mut(id) {
                    leaving.extend(kept.tasks.iter().map(|task| (id.clone(), task.clone())));
                    self.hide_idle(id, &mut kept.idle);
                }
            }
            (affected, leaving)
        };
        let mut removals = JoinSet::new();
        for (id, task) in leaving {
            info!(operator = %id, link = task, "link leaves: its operator has changed");
            let links = links.clone();
            removals.spawn(async move {
                let gone = links.remove(&task).await;
                (id, task, gone)
            });
        }
        while let Some(removed) = removals.join_next().await {
            match removed {
                Ok((id, task, gone)) => {
                    if let Err(error) = gone {
                        // It ended by itself, or an earlier round removed it.
                        warn!(%error, "link was not there to be removed");
                    }
                    if let Some(kept) = self.lock().operators.get_mut(&id) {
                        kept.tasks.remove(&task);
                    }
                }
                Err(error) => error!(%error, "removing a link failed"),
            }
        }
        let mut running = self.lock();
        for id in &affected {
            match config.operator.get(id) {
                None => {
                    running.operators.remove(id);
                }
                Some(operator) => {
                    for spec in self.start(&mut running, id, operator, &config) {
                        if let Err(error) = links.add(spec) {
                            error!(operator = %id, %error, "link could not be started");
                        }
                    }
                }
            }
        }
        running.applied = config;
    }

    /// Notes the operator and makes the tasks of its links.
    fn start(
        &self,
        running: &mut Running,
        id: &OperatorId,
        operator: &Operator,
        config: &Config,
    ) -> Vec<ChildSpec> {
        let kept = running.operators.entry(id.clone()).or_insert_with(|| Kept {
            account: Arc::new(Account::new(id, operator)),
            tasks: BTreeSet::new(),
            idle: Vec::new(),
            pdu_log: Arc::default(),
        });
        kept.pdu_log.set(operator.pdu_log, config.log.bodies);
        let count = usize::try_from(operator.binds).unwrap_or(usize::MAX);
        let ids = (1..=count).map(|n| (n - 1, LinkId::new(id, n)));
        match operator.protocol {
            Protocol::Smpp => {}
            Protocol::Ucp | Protocol::Http => {
                warn!(operator = %id, protocol = %operator.protocol, "protocol is not in this version: the operator's parts stay queued");
                for (_, link) in ids {
                    self.show_idle(
                        id,
                        &link,
                        LinkState::Unsupported,
                        "protocol is not in this version",
                    );
                    kept.idle.push(link);
                }
                return Vec::new();
            }
        }
        if !operator.enabled {
            info!(operator = %id, "operator is not enabled: its links stay closed and its parts queued");
            for (_, link) in ids {
                self.show_idle(id, &link, LinkState::Stopped, "enabled = false");
                kept.idle.push(link);
            }
            return Vec::new();
        }
        if operator.in_doubt == smsgw_config::InDoubt::Query {
            warn!(operator = %id, "in_doubt = \"query\": without its answer a part has no id to ask for; it is sent again after one response_timeout");
        }
        let drain = config.node.drain_timeout;
        let mode = match (operator.bind, operator.interface_version) {
            (BindMode::Auto, InterfaceVersion::V3_3) => BindMode::TransmitterReceiver,
            (mode, InterfaceVersion::V3_3 | InterfaceVersion::V3_4 | InterfaceVersion::V5_0) => mode,
        };
        let pairs = match mode {
            BindMode::Auto => Some(watch::Sender::new(false)),
            BindMode::Transceiver | BindMode::TransmitterReceiver => None,
        };
        let mut specs = Vec::new();
        for (index, id_of_link) in ids {
            let link = |bind: Bind| {
                let link = id_of_link.clone();
                Arc::new(Link {
                    engine: Arc::clone(&self.engine),
                    clock: Arc::clone(&self.clock),
                    dial: Arc::clone(&self.dial),
                    account: Arc::clone(&kept.account),
                    id: link.clone(),
                    index,
                    bind,
                    drain,
                    table: self.table.clone(),
                    load: Arc::new(Load::new(Arc::clone(&self.clock))),
                    peer: Mutex::new(None),
                    credentials_refused: AtomicBool::new(false),
                    pairs: pairs.clone(),
                    tap: LinkTap {
                        watch: self.table.watches.of(&link),
                        pdu_log: Arc::clone(&kept.pdu_log),
                        clock: Arc::clone(&self.clock),
                        operator: id.clone(),
                        bind,
                    },
                })
            };
            let name = |bind: Bind| format!("link-{id_of_link}{}", bind.suffix());
            let one = |bind: Bind| {
                let link = link(bind);
                let task = ChildSpec::task(name(bind), move |ctx| link::run(ctx, Arc::clone(&link)));
                (bind, task)
            };
            let tasks = match mode {
                BindMode::Transceiver => vec![one(Bind::Transceiver)],
                BindMode::TransmitterReceiver => vec![one(Bind::Transmitter), one(Bind::Receiver)],
                BindMode::Auto => {
                    let (transceiver, transmitter) = (link(Bind::Transceiver), link(Bind::Transmitter));
                    let first = ChildSpec::task(name(Bind::Transceiver), move |ctx| {
                        link::run_auto(ctx, Arc::clone(&transceiver), Arc::clone(&transmitter))
                    });
                    let receiver = link(Bind::Receiver);
                    let second = ChildSpec::task(name(Bind::Receiver), move |ctx| {
                        link::run_receiver(ctx, Arc::clone(&receiver))
                    });
                    vec![(Bind::Transceiver, first), (Bind::Receiver, second)]
                }
            };
            for (bind, task) in tasks {
                kept.tasks.insert(name(bind));
                specs.push(
                    task.kind("link")
                        .drain_timeout(drain.saturating_add(UNBIND_TIMEOUT).saturating_add(LAST_COMMITS)),
                );
            }
        }
        specs
    }

    fn show_idle(&self, id: &OperatorId, link: &LinkId, state: LinkState, reason: &str) {
        LINK_STATE
            .with(&[id.as_str(), link.as_str(), NO_BIND])
            .set(state.number());
        let status = LinkStatus {
            operator: id.clone(),
            link: link.clone(),
            bind: NO_BIND,
            state,
            since: self.clock.now(),
            peer: None,
            reason: Some(reason.to_owned()),
            credentials_refused: false,
        };
        self.table.set(status, None);
    }

    fn hide_idle(&self, id: &OperatorId, links: &mut Vec<LinkId>) {
        for link in links.drain(..) {
            LINK_STATE.remove(&[id.as_str(), link.as_str(), NO_BIND]);
            self.table.remove(&link, NO_BIND);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
