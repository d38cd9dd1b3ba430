//! The usual cast of a scenario: one carrier, one client with a callback, one gateway between them.

use super::{Carrier, Gateway, Receiver, Settings};
use tempfile::TempDir;

/// Fields end in this order.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) gateway: Gateway,
    pub(crate) carrier: Carrier,
    pub(crate) receiver: Receiver,
    pub(crate) settings: Settings,
    pub(crate) dir: TempDir,
}

impl World {
    /// Operator `alpha` at a carrier with these options, client `acme`, everything routed; then the scenario's own lines.
    pub(crate) async fn start(carrier: &[&str], adapt: impl FnOnce(Settings) -> Settings) -> Self {
        let receiver = Receiver::start().await;
        let carrier = Carrier::start(carrier).await;
        let settings = adapt(usual(carrier.port, &receiver.url()));
        let dir = tempfile::tempdir().unwrap();
        settings.write(dir.path());
        let gateway = Gateway::start(dir.path()).await;
        Self {
            gateway,
            carrier,
            receiver,
            settings,
            dir,
        }
    }

    /// Starts the gateway again on the same data.
    pub(crate) async fn restart(&mut self) {
        self.gateway = Gateway::start(self.dir.path()).await;
    }
}

/// Operator `alpha` on a port, client `acme` with a callback, everything routed.
pub(crate) fn usual(carrier: u16, callback: &str) -> Settings {
    Settings::new()
        .operator("alpha", carrier)
        .client("acme", callback)
        .route_mt(&[], &["alpha"])
        .route_mo(&["12345"], "acme")
}
