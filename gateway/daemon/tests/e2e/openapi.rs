//! The real daemon keeps to its own description: `schemathesis` asks everything that `/v1/openapi.json` allows, and what it
//! does not allow.
//!
//! Bounded in number and time, with a fixed seed, so that a run can be repeated. Where the tool could not be installed the
//! test says so and passes: it needs packages that not every machine may have.

use crate::harness::{Carrier, Gateway, Settings, peers_dir, root};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// For all requests together.
const TIME: Duration = Duration::from_secs(150);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_daemon_keeps_to_its_description() {
    let tool = peers_dir().join("schemathesis/bin/schemathesis");
    if !tool.is_file() {
        eprintln!(
            "SKIPPED: {} is missing; run `cargo xtask test --only install`",
            tool.display()
        );
        return;
    }
    let carrier = Carrier::start(&["--receipt-delay", "5"]).await;
    let dir = tempfile::tempdir().unwrap();
    Settings::new()
        .operator("alpha", carrier.port)
        .line("client.acme", "api_key = \"acme-key\"")
        .line("http", "login_delay = \"0s\"")
        .line("inbox", "max_wait = \"1s\"")
        .route_mt(&[], &["alpha"])
        .write(dir.path());
    let mut gateway = Gateway::start(dir.path()).await;
    let mut command = Command::new(&tool);
    command
        .arg("--config-file")
        .arg(root().join("ops/peers/schemathesis.toml"))
        .args(["run", &format!("{}/v1/openapi.json", gateway.api.base())])
        .args(["--header", "Authorization: Bearer acme-key"])
        // One worker: Python 3.11 before 3.11.8 fails in `ast.parse` of two threads at once (gh-106905).
        .args(["--max-examples", "20", "--seed", "20261121", "--workers", "1"])
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(TIME, command.output())
        .await
        .expect("schemathesis ends in time")
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "the answers are not as described");
    let metrics = gateway.metrics().await;
    assert!(metrics.sum("smsgw_http_connection_panics_total", &[]) < 0.5);
    gateway.stop().await;
}
