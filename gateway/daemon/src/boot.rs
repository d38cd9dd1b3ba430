//! From a configuration to a running gateway: engine first, then the nodes of `node.roles` under one tree.
//!
//! Start order is the order of the variants of [`Stage`]: what consumes starts before what produces, listeners last.
//! Stop is the reverse: listeners first, links drained and unbound, engine last.

use crate::admin::{self, Admin};
use crate::bounds;
use crate::history;
use smsgw_config::{Config, ConfigHandle, EngineKind, Role};
use smsgw_engine_embedded::{EmbeddedConfig, EmbeddedEngine, OpenError};
use smsgw_history::History;
use smsgw_node_client::Bound;
use smsgw_node_config::{ConfigNode, admin_files};
use smsgw_node_router::RouteError;
use smsgw_queue::{Engine, EngineError, MemoryEngine};
use smsgw_runtime::{ChildSpec, Clock, Exit as TreeExit, Intensity, Strategy, Supervisor, SystemClock, Tree};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tracing::{info, warn};

/// How long the parts may take to be ready: recovery is done by then, so this is binding ports and reading files.
const START: Duration = Duration::from_secs(30);

/// When the process ends. A node gives up after 5 restarts of its parts in 30 s, which takes it 15 s at least because of
/// the pauses between them; so the window must hold several such lives, or a node that can never work would be started
/// for ever.
const GIVE_UP: Intensity = Intensity::new(3, Duration::from_secs(600));

/// When a part starts; it stops the other way round.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Admin,
    Config,
    Counter,
    Callback,
    Router,
    Operator,
    Client,
}

impl Stage {
    fn order(self) -> u32 {
        match self {
            Self::Admin => 0,
            Self::Config => 1,
            Self::Counter => 2,
            Self::Callback => 3,
            Self::Router => 4,
            Self::Operator => 5,
            Self::Client => 6,
        }
    }
}

/// A gateway that runs.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) config: ConfigHandle,
    tree: Tree,
    admin: Arc<Admin>,
    admin_bound: watch::Receiver<Option<SocketAddr>>,
    http_bound: Option<Bound>,
    smpp_bound: Option<Bound>,
}

/// Opens the engine that the configuration names. Recovery runs here, before anything listens.
pub(crate) async fn open_engine(
    config: &Config,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Engine>, OpenError> {
    match config.engine.kind {
        EngineKind::Memory => {
            warn!("engine.kind = \"memory\": nothing survives the end of this process");
            let engine = MemoryEngine::new(clock);
            engine.set_bounds(bounds::of(config));
            Ok(engine)
        }
        EngineKind::Embedded => {
            let dir = config.node.data_dir.clone();
            let embedded = EmbeddedConfig {
                min_free_disk: config.engine.min_free_disk.as_u64(),
                block_cache: config.engine.cache.as_u64(),
                bounds: bounds::of(config),
                ..EmbeddedConfig::new(dir)
            };
            // Recovery reads the whole index: not on a runtime thread.
            let opened = tokio::task::spawn_blocking(move || EmbeddedEngine::open(embedded, clock)).await;
            let engine: Arc<dyn Engine> = opened.expect("opening an engine does not panic")?;
            Ok(engine)
        }
    }
}

/// `[cdr]`, its directory relative to the configuration file; `None` where it is off.
fn call_detail_records(config: &Config, file: &Path) -> Option<smsgw_node_counter::cdr::Settings> {
    let section = config.cdr.clone();
    let dir = match &section.dir {
        Some(dir) => file.parent().unwrap_or_else(|| Path::new("")).join(dir),
        None => config.node.data_dir.join("cdr"),
    };
    section
        .enabled
        .then_some(smsgw_node_counter::cdr::Settings { dir, section })
}

impl Gateway {
    /// Starts the nodes, and what keeps the log level when there is one; [`Gateway::started`] waits until they run.
    pub(crate) async fn start(
        node: ConfigNode,
        engine: Arc<dyn Engine>,
        clock: Arc<dyn Clock>,
        level: Option<ChildSpec>,
    ) -> Result<Self, RouteError> {
        let config = node.config();
        let snapshot = config.current();
        let admin = Arc::new(Admin::new(
            Arc::clone(&engine),
            config.clone(),
            Arc::clone(&clock),
        ));
        let (admin_child, admin_bound) = admin::supervise(
            Arc::clone(&admin),
            snapshot.config.admin.listen,
            admin_files(&snapshot.config.admin),
        );
        admin.listens("admin", admin_bound.clone());
        let settings = history::settings(&snapshot.config, node.path());
        let history = settings.as_ref().map(|settings| Arc::new(History::new(settings)));
        if let Some(history) = &history {
            admin.remembers(Arc::clone(history));
        }
        admin.captures_into(snapshot.config.node.data_dir.join("traces"));
        let node = Arc::new(node);
        let mut http_bound = None;
        let mut smpp_bound = None;

        let mut tree = Supervisor::new("smsgw", Strategy::OneForOne)
            .intensity(GIVE_UP)
            .child(admin_child.order(Stage::Admin.order()))
            .child(bounds::follow(Arc::clone(&engine), config.clone()).order(Stage::Admin.order()));
        if let Some(level) = level {
            tree = tree.child(level.order(Stage::Admin.order()));
        }
        for role in BTreeSet::from_iter(&snapshot.config.node.roles) {
            let (engine, config, clock) = (Arc::clone(&engine), config.clone(), Arc::clone(&clock));
            if *role == Role::Counter {
                let (engine, config) = (&engine, &config);
                for child in [
                    smsgw_node_counter::credit::supervise(Arc::clone(engine), config.clone(), clock.clone()),
                    smsgw_node_counter::numbers::supervise(Arc::clone(engine), config.clone()),
                    smsgw_node_counter::history::supervise(
                        Arc::clone(engine),
                        clock.clone(),
                        settings.clone(),
                    ),
                ] {
                    tree = tree.child(child.order(Stage::Counter.order()).start_timeout(START));
                }
            }
            let (stage, child) = match role {
                Role::Config => {
                    admin.configures(Arc::clone(&node));
                    let child = smsgw_node_config::supervise(Arc::clone(&node), engine, clock);
                    (Stage::Config, child)
                }
                Role::Counter => {
                    let records = call_detail_records(&snapshot.config, node.path());
                    (
                        Stage::Counter,
                        smsgw_node_counter::supervise(engine, clock, records),
                    )
                }
                Role::Callback => (
                    Stage::Callback,
                    smsgw_node_callback::supervise(engine, config, clock),
                ),
                Role::Router => {
                    let (router, ids) = smsgw_node_router::supervise_watched(engine, config, clock)?;
                    admin.shows_ids(ids);
                    (Stage::Router, router)
                }
                Role::Operator => {
                    let (operator, links) = smsgw_node_operator::supervise_watched(engine, config, clock);
                    admin.shows(links);
                    (Stage::Operator, operator)
                }
                Role::Client => {
                    let (client, faces) =
                        smsgw_node_client::supervise_with_history(engine, config, clock, history.clone());
                    admin.listens("http", faces.http.clone());
                    admin.listens("smpp", faces.smpp.clone());
                    http_bound = Some(faces.http);
                    smpp_bound = Some(faces.smpp);
                    admin.shows_sessions(faces.sessions);
                    (Stage::Client, client)
                }
            };
            let drain = snapshot.config.node.drain_timeout;
            tree = tree.child(
                child
                    .order(stage.order())
                    .start_timeout(START)
                    .drain_timeout(drain),
            );
        }
        let tree = tree.spawn().await;
        admin.watches(tree.clone());
        Ok(Self {
            engine,
            clock,
            config,
            tree,
            admin,
            admin_bound,
            http_bound,
            smpp_bound,
        })
    }

    /// Waits until everything is ready; false when the tree ended instead.
    pub(crate) async fn started(&self) -> bool {
        let started = self.tree.started().await;
        if started {
            self.admin.serving();
            let roles: Vec<&str> = self
                .config
                .config()
                .node
                .roles
                .iter()
                .map(|role| role.as_str())
                .collect();
            info!(node = %self.config.config().node.name, roles = %roles.join(","), "gateway is ready");
        }
        started
    }

    /// Where the HTTP API listens, when it does.
    pub(crate) fn http_address(&self) -> Option<SocketAddr> {
        *self.http_bound.as_ref()?.borrow()
    }

    /// Where the SMPP server listens, when it does.
    pub(crate) fn smpp_address(&self) -> Option<SocketAddr> {
        *self.smpp_bound.as_ref()?.borrow()
    }

    /// Where the administrator's listener is, when there is one.
    pub(crate) fn admin_address(&self) -> Option<SocketAddr> {
        *self.admin_bound.borrow()
    }

    /// Returns when the tree has ended by itself: some part could not be kept alive.
    pub(crate) async fn ended(&self) -> TreeExit {
        self.tree.ended().await
    }

    /// Drains and stops everything, engine last.
    pub(crate) async fn drain(&self) -> Result<TreeExit, EngineError> {
        self.admin.draining();
        let exit = self.tree.drain().await;
        self.engine.close().await?;
        Ok(exit)
    }

    /// Stops without waiting for what is outstanding; may be called while [`Gateway::drain`] waits.
    pub(crate) async fn stop(&self) -> TreeExit {
        self.admin.draining();
        self.tree.stop().await
    }
}

/// The clock of a real process.
pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}
