//! `smsgw run`: a gateway until a signal, with an exit code that says why it ended.

use crate::boot::{self, Gateway};
use crate::check::load_or_explain;
use crate::exit::Exit;
use crate::logging::{self, LogLevel};
use smsgw_config::ConfigHandle;
use smsgw_engine_embedded::OpenErrorKind;
use smsgw_node_config::{ConfigNode, Instruction, instruct};
use smsgw_queue::Health;
use smsgw_runtime::{ChildSpec, Exit as TreeExit};
use std::path::Path;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

/// How often the engine is asked how it is.
const HEALTH: Duration = Duration::from_millis(250);

/// Runs until SIGTERM, SIGINT or a failure.
pub(crate) async fn run(file: &Path) -> Exit {
    // A change of several files that a crash cut off is brought to its end first: half of it is nobody's configuration.
    if let Err(error) = smsgw_node_config::finish(file) {
        eprintln!("smsgw: a change of the configuration files was cut off and cannot be finished: {error}");
        return Exit::Config;
    }
    let Some(loaded) = load_or_explain(file) else {
        return Exit::Config;
    };
    let level = logging::init(&loaded.config.log);
    info!(version = env!("CARGO_PKG_VERSION"), file = %file.display(), pid = std::process::id(), "smsgw starts");
    let clock = boot::clock();
    let engine = match boot::open_engine(&loaded.config, clock.clone()).await {
        Ok(engine) => engine,
        Err(error) => {
            let locked = matches!(error.kind, OpenErrorKind::Locked { .. });
            // With every cause behind it: what the disk or the storage library said is what a person needs.
            let error = anyhow::Error::from(error);
            error!(error = format_args!("{error:#}"), "the engine cannot be opened");
            return if locked { Exit::Locked } else { Exit::Data };
        }
    };
    let node = ConfigNode::with(file, loaded);
    // Before anything connects: what was stopped by order stays closed.
    if let Err(error) = node.restore(&*engine).await {
        let error = anyhow::Error::from(error);
        error!(
            error = format_args!("{error:#}"),
            "the orders for operators are not known"
        );
        return Exit::Data;
    }
    let follow = follow_log_level(node.config(), level);
    let gateway = match Gateway::start(node, engine, clock, Some(follow)).await {
        Ok(gateway) => gateway,
        Err(error) => {
            error!(%error, cause = %error.kind, "the routes cannot be used");
            return Exit::Config;
        }
    };
    let exit = until_the_end(&gateway).await;
    info!(?exit, "smsgw ends");
    exit
}

async fn until_the_end(gateway: &Gateway) -> Exit {
    let signals = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
        signal(SignalKind::hangup()),
    );
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) = signals else {
        error!("signals cannot be received");
        return Exit::Failed;
    };
    let mut health = tokio::time::interval(HEALTH);
    let started = gateway.started();
    tokio::pin!(started);
    let mut is_started = false;
    loop {
        tokio::select! {
            ready = &mut started, if !is_started => {
                is_started = true;
                if !ready { return failed(gateway).await; }
            }
            _ = terminate.recv() => { info!("SIGTERM: draining"); break; }
            _ = interrupt.recv() => { info!("SIGINT: draining"); break; }
            _ = hangup.recv() => reload(gateway).await,
            _ = gateway.ended() => return failed(gateway).await,
            _ = health.tick() => if let Some(exit) = poisoned(gateway).await { return exit; }
        }
    }
    tokio::select! {
        drained = gateway.drain() => match drained {
            Ok(_) => Exit::Stopped,
            Err(error) => { error!(%error, "the engine could not be closed"); Exit::Poisoned }
        },
        _ = terminate.recv() => at_once(gateway).await,
        _ = interrupt.recv() => at_once(gateway).await,
    }
}

/// A second signal: nobody wants to wait. What is outstanding is in doubt at the next start.
async fn at_once(gateway: &Gateway) -> Exit {
    warn!("second signal: stopping at once");
    gateway.stop().await;
    match gateway.engine.close().await {
        Ok(()) => Exit::Stopped,
        Err(error) => {
            error!(%error, "the engine could not be closed");
            Exit::Poisoned
        }
    }
}

async fn poisoned(gateway: &Gateway) -> Option<Exit> {
    match gateway.engine.health() {
        Health::Poisoned(cause) => {
            error!(%cause, "the engine is poisoned; ending, the next start recovers");
            gateway.stop().await;
            Some(Exit::Poisoned)
        }
        Health::Ready | Health::LowSpace | Health::Closed => None,
    }
}

async fn failed(gateway: &Gateway) -> Exit {
    match gateway.ended().await {
        TreeExit::Escalated(why) => {
            error!(part = %why.child, reason = %why.reason, "a part could not be kept alive; the process ends");
        }
        exit @ (TreeExit::Stopped | TreeExit::Crashed) => {
            error!(?exit, "the supervision tree ended by itself")
        }
    }
    if let Some(exit) = poisoned(gateway).await {
        return exit;
    }
    if let Err(error) = gateway.engine.close().await {
        error!(%error, "the engine could not be closed");
    }
    Exit::Failed
}

/// SIGHUP: an instruction like any other, so it is done by the config node in its turn.
async fn reload(gateway: &Gateway) {
    match instruct(
        gateway.engine.as_ref(),
        gateway.clock.as_ref(),
        Instruction::Reload,
        "SIGHUP",
    )
    .await
    {
        Ok(id) => info!(instruction = %id, "SIGHUP: reload asked for"),
        Err(error) => error!(%error, kind = %error.kind, "SIGHUP: the instruction could not be stored"),
    }
}

/// Part of the tree like everything that runs: sets the level of each new configuration.
fn follow_log_level(config: ConfigHandle, level: LogLevel) -> ChildSpec {
    ChildSpec::task("log-level", move |ctx| {
        let (config, level) = (config.clone(), level.clone());
        async move {
            let mut epochs = config.subscribe();
            ctx.ready();
            loop {
                epochs.borrow_and_update();
                level.set(&config.config().log);
                tokio::select! {
                    () = ctx.draining() => return Ok(()),
                    changed = epochs.changed() => if changed.is_err() {
                        // Nobody can publish any more: the level stays as it is.
                        ctx.draining().await;
                        return Ok(());
                    },
                }
            }
        }
    })
}
