//! `smsgw run`: a gateway until a signal, with an exit code that says why it ended.

use crate::boot::{self, Gateway};
use crate::check::load_or_explain;
use crate::exit::Exit;
use crate::logging::{self, LogLevel};
use smsgw_config::ConfigHandle;
use smsgw_engine_embedded::OpenErrorKind;
use smsgw_node_config::{ConfigNode, Instruction, instruct};
use smsgw_queue::Health;
use std::path::Path;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

/// How often the engine is asked how it is.
const HEALTH: Duration = Duration::from_millis(250);

/// Runs until SIGTERM, SIGINT or a failure.
pub(crate) async fn run(file: &Path) -> Exit {
    let Some(loaded) = load_or_explain(file) else {
        return Exit::Config;
    };
    let level = logging::init(&loaded.config.log);
    info!(version = env!("CARGO_PKG_VERSION"), file = %file.display(), pid = std::process::id(), "smsgw starts");
    let clock = boot::clock();
    let engine = match boot::open_engine(&loaded.config, file, clock.clone()).await {
        Ok(engine) => engine,
        Err(error) => {
            let locked = matches!(error.kind, OpenErrorKind::Locked { .. });
            // With every cause behind it: what the disk or the storage library said is what a person needs.
            let error = anyhow::Error::from(error);
            error!(error = format_args!("{error:#}"), "the engine cannot be opened");
            return if locked { Exit::Locked } else { Exit::Data };
        }
    };
    let gateway = match Gateway::start(ConfigNode::with(file, loaded.config), engine, clock).await {
        Ok(gateway) => gateway,
        Err(error) => {
            error!(%error, cause = %error.kind, "the routes cannot be used");
            return Exit::Config;
        }
    };
    let follow = tokio::spawn(follow_log_level(gateway.config.clone(), level));
    let exit = until_the_end(&gateway).await;
    follow.abort();
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
    let exit = gateway.ended().await;
    error!(?exit, "a part could not be kept alive");
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

async fn follow_log_level(config: ConfigHandle, level: LogLevel) {
    let mut epochs = config.subscribe();
    while epochs.changed().await.is_ok() {
        level.set(&config.config().log);
    }
}
