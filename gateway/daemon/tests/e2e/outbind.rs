//! A carrier that connects to us: the simulator calls with outbind, a message and its receipt go over that connection, and
//! one that knows no password is closed.

use crate::harness::{Gateway, Receiver, Settings, eventually, free_port, peer};
use serde_json::Value;

async fn link(gateway: &Gateway) -> Value {
    let status: Value = serde_json::from_slice(&gateway.admin("/status").await.body).unwrap();
    status["links"][0].clone()
}

async fn until_state(gateway: &Gateway, state: &str) -> Value {
    eventually(&format!("the link is {state}"), || async {
        Some(link(gateway).await).filter(|link| link["state"] == state)
    })
    .await
}

#[tokio::test]
async fn a_message_and_its_receipt_go_over_a_connection_that_the_carrier_opened() {
    let receiver = Receiver::start().await;
    let address = format!("127.0.0.1:{}", free_port());
    let settings = Settings::new()
        .line("operator.alpha", "protocol = \"smpp\"")
        .line("operator.alpha.calls", &format!("listen = \"{address}\""))
        .line("operator.alpha.calls", "login = \"smsgw-sim\"")
        .line("operator.alpha.calls", "password = \"knock\"")
        .line("operator.alpha", "system_id = \"test\"")
        .line("operator.alpha", "password = \"knock\"")
        .line("operator.alpha", "reconnect_min = \"50ms\"")
        .client("acme", &receiver.url())
        .route_mt(&[], &["alpha"]);
    let dir = tempfile::tempdir().unwrap();
    settings.write(dir.path());
    let gateway = Gateway::start(dir.path()).await;
    let waiting = link(&gateway).await;
    assert_eq!(
        waiting["reason"],
        format!("waits for the carrier's outbind at {address}")
    );

    // It does not know the password.
    let (mut stranger, _) = peer(&["sim", "smsc", "--outbind", &address, "--password", "wrong"]).await;
    eventually("the stranger is counted", || async {
        let page = gateway.admin("/metrics").await.body;
        let page = String::from_utf8_lossy(&page).into_owned();
        page.contains("smsgw_operator_calls_total{operator=\"alpha\",outcome=\"wrong_secret\"} 1")
            .then_some(())
    })
    .await;
    stranger.kill().await;

    let id = gateway.api.text("491700000001", "you called").await;
    let (mut carrier, _) = peer(&[
        "sim",
        "smsc",
        "--control",
        "--outbind",
        &address,
        "--password",
        "knock",
    ])
    .await;
    let bound = until_state(&gateway, "bound").await;
    assert_eq!(
        (&bound["host"], &bound["version"], &bound["tls"]),
        (&Value::from("outbind"), &Value::from("3.4"), &Value::from(false))
    );
    assert_eq!(receiver.report(&id).await.body["message"]["state"], "delivered");

    // The line is lost; the carrier calls again.
    carrier.tell("cut").await;
    until_state(&gateway, "down").await;
    carrier.tell(&format!("outbind {address}")).await;
    until_state(&gateway, "bound").await;
    let id = gateway.api.text("491700000002", "you called again").await;
    assert_eq!(receiver.report(&id).await.body["message"]["state"], "delivered");
    drop(gateway);
    carrier.kill().await;
}
