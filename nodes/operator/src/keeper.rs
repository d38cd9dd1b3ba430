//! Keeps the links as the configuration wants them: starts, relinks, closes and removes those it is about only.
//!
//! Must not touch a link whose operator did not change in a way that needs it (law 5). What leaves is waited for beside all
//! else: neither another operator nor a sibling waits for a link that drains, only the link that takes its place.
//! Invariant KE-1: once nothing leaves any more, the children of the supervisor are the binds of the configuration that was
//! applied; a round that is cut off by a restart of this task is finished by the next one.

use crate::account::Account;
use crate::bind::{Bind, UNBIND_TIMEOUT};
use crate::calls::{self, Calls, Listening};
use crate::dial::Dial;
use crate::http::{self, Arrivals};
use crate::link::{self, Link};
use crate::load::Load;
use crate::metric::LINK_STATE;
use crate::pdu_log::PduLog;
use crate::status::{LinkState, LinkStatus, LinkTable};
use crate::trace::LinkTap;
use smsgw_config::{
    BindMode, Config, ConfigDiff, ConfigHandle, InterfaceVersion, LinkWish, Operator, Protocol,
};
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

/// What the bind of a link is called that does not run: its protocol is not in this version, or it is closed.
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

/// What runs for an operator, or leaves.
#[derive(Debug)]
struct Kept {
    account: Arc<Account>,
    /// By name.
    tasks: BTreeMap<String, Task>,
    /// Links that are shown and do not run, and why.
    idle: BTreeMap<u32, &'static str>,
    /// What is wanted of each link, as the link sees it.
    wishes: BTreeMap<u32, watch::Sender<LinkWish>>,
    /// Whether the links are pairs, where that is found out; until they are relinked.
    pairs: Option<watch::Sender<bool>>,
    calls: Arc<Calls>,
    arrivals: Arc<Arrivals>,
    pdu_log: Arc<PduLog>,
}

#[derive(Debug)]
struct Task {
    of: Part,
    stage: Stage,
}

/// What a task is part of: it starts and leaves as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// A link, by number from 1.
    Link(u32),
    /// The listener for the carrier's connections.
    Listener,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Runs,
    /// To be removed.
    Leaves,
    /// Its removal was asked for.
    Going,
}

/// What a round asks of the supervisor.
#[derive(Default)]
struct Round {
    start: Vec<(OperatorId, ChildSpec)>,
    remove: Vec<(OperatorId, String)>,
}

impl Kept {
    fn new(id: &OperatorId, operator: &Operator, config: &Config) -> Self {
        Self {
            account: Arc::new(Account::new(id, operator, config)),
            tasks: BTreeMap::new(),
            idle: BTreeMap::new(),
            wishes: BTreeMap::new(),
            pairs: None,
            calls: Arc::default(),
            arrivals: Arc::default(),
            pdu_log: Arc::default(),
        }
    }

    /// Whether anything of it runs or leaves.
    fn has(&self, part: Part) -> bool {
        self.tasks.values().any(|task| task.of == part)
    }

    fn leave(&mut self, of: impl Fn(Part) -> bool) {
        for task in self.tasks.values_mut().filter(|task| of(task.of)) {
            match task.stage {
                Stage::Runs => task.stage = Stage::Leaves,
                Stage::Leaves | Stage::Going => {}
            }
        }
    }

    fn wish(&mut self, link: u32, wish: LinkWish) -> watch::Sender<LinkWish> {
        let sender = self
            .wishes
            .entry(link)
            .or_insert_with(|| watch::Sender::new(wish));
        sender.send_if_modified(|known| std::mem::replace(known, wish) != wish);
        sender.clone()
    }
}

/// A UCP line that the centre opened, and over which it takes no messages.
fn only_receives(operator: &Operator, link: u32) -> bool {
    let submits = operator.calls.as_ref().is_none_or(|calls| calls.submit);
    operator.protocol == Protocol::Ucp && operator.is_called(link) && !submits
}

/// Why a link does not run; `None` when it is to.
fn idle_reason(operator: &Operator, link: u32) -> Option<(LinkState, &'static str)> {
    match operator.protocol {
        Protocol::Smpp | Protocol::Ucp => {}
        Protocol::Http if operator.http.is_some() => {}
        Protocol::Http => {
            return Some((LinkState::Unsupported, "the operator has no section http"));
        }
    }
    match (operator.link_wish(link), operator.enabled) {
        (LinkWish::Open | LinkWish::Held, _) => None,
        (LinkWish::Stopped, false) => Some((LinkState::Stopped, "operator stopped: enabled = false")),
        (LinkWish::Drained, false) => Some((
            LinkState::Stopped,
            "operator drained: enabled = false, closing = drain",
        )),
        (LinkWish::Stopped, true) => Some((LinkState::Stopped, "link stopped: in links_stopped")),
        (LinkWish::Drained, true) => Some((LinkState::Stopped, "link drained: in links_drained")),
    }
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
        let round = self.round(&self.config.config());
        round.start.into_iter().map(|(_, spec)| spec).collect()
    }

    /// The task: applies each new configuration.
    pub(crate) async fn run(
        self: Arc<Self>,
        ctx: ChildContext,
        links: SupervisorHandle,
    ) -> Result<(), ChildError> {
        let mut epochs = self.config.subscribe();
        let mut published = true;
        let mut removals = JoinSet::new();
        self.resume(&links);
        ctx.ready();
        loop {
            // Marks the epoch as seen before looking, so that one published meanwhile is not missed.
            epochs.borrow_and_update();
            let round = self.round(&self.config.config());
            for (id, spec) in round.start {
                if let Err(error) = links.add(spec) {
                    error!(operator = %id, %error, "link could not be started");
                }
            }
            for (id, task) in round.remove {
                info!(operator = %id, link = task, "link leaves");
                let links = links.clone();
                removals.spawn(async move {
                    let gone = links.remove(&task).await;
                    (id, task, gone)
                });
            }
            tokio::select! {
                () = ctx.draining() => return Ok(()),
                // Nobody can publish any more when it fails: the configuration stays as it is.
                changed = epochs.changed(), if published => published = changed.is_ok(),
                Some(removed) = removals.join_next() => match removed {
                    Ok((id, task, gone)) => {
                        if let Err(error) = gone {
                            // It ended by itself, or an earlier run of this task had it removed.
                            warn!(%error, "link was not there to be removed");
                        }
                        if let Some(kept) = self.lock().operators.get_mut(&id) {
                            kept.tasks.remove(&task);
                        }
                    }
                    Err(error) => {
                        error!(%error, "removing a link failed");
                        self.resume(&links);
                    }
                },
            }
        }
    }

    /// After a restart: what was noted as started and never was is forgotten, and removals are asked for again.
    fn resume(&self, links: &SupervisorHandle) {
        let there: BTreeSet<String> = links
            .status()
            .children
            .into_iter()
            .map(|child| child.name)
            .collect();
        for kept in self.lock().operators.values_mut() {
            kept.tasks.retain(|name, _| there.contains(name));
            for task in kept.tasks.values_mut() {
                match task.stage {
                    Stage::Going => task.stage = Stage::Leaves,
                    Stage::Runs | Stage::Leaves => {}
                }
            }
        }
    }

    /// What is to be done now, so that what runs becomes what `config` wants.
    fn round(&self, config: &Arc<Config>) -> Round {
        let mut running = self.lock();
        let diff = ConfigDiff::between(&running.applied, config);
        let affected: BTreeSet<OperatorId> = diff
            .relinked()
            .into_iter()
            .chain(diff.operators_removed())
            .cloned()
            .collect();
        let mut round = Round::default();
        for (id, operator) in &config.operator {
            let kept = running
                .operators
                .entry(id.clone())
                .or_insert_with(|| Kept::new(id, operator, config));
            kept.account.apply(operator, config);
            kept.pdu_log.set(operator.pdu_log, config.log.bodies);
            if affected.contains(id) {
                // Wishes first: how long a link that leaves waits for answers is one of them.
                (1..=operator.binds).for_each(|link| drop(kept.wish(link, operator.link_wish(link))));
                kept.leave(|_| true);
                kept.pairs = None;
            }
            self.links(&mut round, kept, id, operator, config);
        }
        running.operators.retain(|id, kept| {
            if !config.operator.contains_key(id) {
                kept.leave(|_| true);
                for link in std::mem::take(&mut kept.idle).into_keys() {
                    self.hide_idle(id, link);
                }
            }
            for (name, task) in &mut kept.tasks {
                match task.stage {
                    Stage::Runs | Stage::Going => {}
                    Stage::Leaves => {
                        task.stage = Stage::Going;
                        round.remove.push((id.clone(), name.clone()));
                    }
                }
            }
            config.operator.contains_key(id) || !kept.tasks.is_empty()
        });
        running.applied = Arc::clone(config);
        round
    }

    /// The links of one operator, each on its own.
    fn links(
        &self,
        round: &mut Round,
        kept: &mut Kept,
        id: &OperatorId,
        operator: &Operator,
        config: &Config,
    ) {
        let beyond: Vec<u32> = kept
            .idle
            .keys()
            .copied()
            .filter(|link| *link > operator.binds)
            .collect();
        for link in beyond {
            kept.idle.remove(&link);
            self.hide_idle(id, link);
        }
        kept.wishes.retain(|link, _| *link <= operator.binds);
        for number in 1..=operator.binds {
            let wish = kept.wish(number, operator.link_wish(number));
            let part = Part::Link(number);
            match idle_reason(operator, number) {
                Some((state, reason)) => {
                    kept.leave(|of| of == part);
                    if !kept.has(part) && kept.idle.get(&number) != Some(&reason) {
                        match state {
                            LinkState::Unsupported => {
                                warn!(operator = %id, protocol = %operator.protocol, "nothing says how to speak to the carrier: the operator's parts stay queued");
                            }
                            LinkState::Down
                            | LinkState::Connecting
                            | LinkState::Bound
                            | LinkState::Draining
                            | LinkState::Stopped => {
                                info!(operator = %id, link = number, reason, "link stays closed");
                            }
                        }
                        self.show_idle(id, number, state, reason);
                        kept.idle.insert(number, reason);
                    }
                }
                None if !kept.has(part) => {
                    if kept.idle.remove(&number).is_some() {
                        self.hide_idle(id, number);
                    }
                    self.start(
                        round,
                        kept,
                        (id, operator),
                        number,
                        wish,
                        config.node.drain_timeout,
                    );
                }
                // It runs; or it leaves, and the next one takes its place when it is gone.
                None => {}
            }
        }
        let listens = match operator.protocol {
            Protocol::Smpp | Protocol::Ucp => operator.calls.as_ref().and_then(|calls| calls.listen),
            Protocol::Http => {
                let inbound = operator.http.as_ref().and_then(|http| http.inbound.as_ref());
                inbound.and_then(|inbound| inbound.listen)
            }
        };
        let wanted = listens.filter(|_| operator.enabled);
        match wanted {
            None => kept.leave(|of| of == Part::Listener),
            Some(_) if kept.has(Part::Listener) => {}
            Some(address) if operator.protocol == Protocol::Http => {
                let inbound = Arc::new(http::Inbound {
                    account: Arc::clone(&kept.account),
                    arrivals: Arc::clone(&kept.arrivals),
                    address,
                });
                let name = format!("inbound-{id}");
                let spec = ChildSpec::task(name.clone(), move |ctx| http::listen(ctx, Arc::clone(&inbound)));
                let task = Task {
                    of: Part::Listener,
                    stage: Stage::Runs,
                };
                kept.tasks.insert(name, task);
                round.start.push((id.clone(), spec.kind("inbound")));
            }
            Some(address) => {
                let listening = Arc::new(Listening::new(
                    Arc::clone(&kept.account),
                    Arc::clone(&kept.calls),
                    Arc::clone(&self.clock),
                    address,
                    usize::try_from(operator.called_links()).unwrap_or(usize::MAX),
                ));
                let name = format!("calls-{id}");
                let spec = ChildSpec::task(name.clone(), move |ctx| calls::run(ctx, Arc::clone(&listening)));
                let task = Task {
                    of: Part::Listener,
                    stage: Stage::Runs,
                };
                kept.tasks.insert(name, task);
                round.start.push((id.clone(), spec.kind("calls")));
            }
        }
    }

    /// Notes the tasks of a link, and asks for them.
    fn start(
        &self,
        round: &mut Round,
        kept: &mut Kept,
        (id, operator): (&OperatorId, &Operator),
        number: u32,
        wish: watch::Sender<LinkWish>,
        drain: Duration,
    ) {
        if operator.in_doubt == smsgw_config::InDoubt::Query {
            warn!(operator = %id, "in_doubt = \"query\": without its answer a part has no id to ask for; it is sent again after one response_timeout");
        }
        let mode = match (operator.bind, operator.interface_version) {
            (BindMode::Auto, InterfaceVersion::V3_3) => BindMode::TransmitterReceiver,
            (mode, InterfaceVersion::V3_3 | InterfaceVersion::V3_4 | InterfaceVersion::V5_0) => mode,
        };
        let pairs = match mode {
            BindMode::Auto => Some(
                kept.pairs
                    .get_or_insert_with(|| watch::Sender::new(false))
                    .clone(),
            ),
            BindMode::Transceiver | BindMode::TransmitterReceiver => None,
        };
        let id_of_link = link_id(id, number);
        let link = |bind: Bind| {
            let link = id_of_link.clone();
            Arc::new(Link {
                engine: Arc::clone(&self.engine),
                clock: Arc::clone(&self.clock),
                dial: Arc::clone(&self.dial),
                account: Arc::clone(&kept.account),
                id: link.clone(),
                index: usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX),
                bind,
                drain,
                table: self.table.clone(),
                load: Arc::new(Load::new(Arc::clone(&self.clock), Arc::clone(&kept.account))),
                line: Mutex::default(),
                wish: wish.clone(),
                calls: Arc::clone(&kept.calls),
                arrivals: Arc::clone(&kept.arrivals),
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
            BindMode::Transceiver if only_receives(operator, number) => vec![one(Bind::Receiver)],
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
        // An upper bound; how long a link really waits, it decides when it is told to drain.
        let patience = drain.max(link::patience_of_drain(operator));
        for (bind, task) in tasks {
            let noted = Task {
                of: Part::Link(number),
                stage: Stage::Runs,
            };
            kept.tasks.insert(name(bind), noted);
            let task = task.kind("link").drain_timeout(
                patience
                    .saturating_add(UNBIND_TIMEOUT)
                    .saturating_add(LAST_COMMITS),
            );
            round.start.push((id.clone(), task));
        }
    }

    fn show_idle(&self, id: &OperatorId, number: u32, state: LinkState, reason: &str) {
        let link = link_id(id, number);
        LINK_STATE
            .with(&[id.as_str(), link.as_str(), NO_BIND])
            .set(state.number());
        let status = LinkStatus {
            operator: id.clone(),
            link,
            bind: NO_BIND,
            state,
            since: self.clock.now(),
            peer: None,
            host: None,
            tls: false,
            version: None,
            reason: Some(reason.to_owned()),
            next_try: None,
            held: false,
            credentials_refused: false,
        };
        self.table.set(status, None);
    }

    fn hide_idle(&self, id: &OperatorId, number: u32) {
        let link = link_id(id, number);
        LINK_STATE.remove(&[id.as_str(), link.as_str(), NO_BIND]);
        self.table.remove(&link, NO_BIND);
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn link_id(id: &OperatorId, number: u32) -> LinkId {
    LinkId::new(id, usize::try_from(number).unwrap_or(usize::MAX))
}
