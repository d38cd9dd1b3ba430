//! replace_sm and cancel_sm for a group through the whole gateway, by the npm package `smpp`: what waits for its time and
//! what waits at an operator goes out with its new text, once; what the carrier has is not replaced; a group that was
//! withdrawn is not sent.

use crate::harness::{Carrier, Gateway, Process, Receiver, content, peers, root, usual};
use crate::smpp_clients::{smpp_port, with_smpp};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::process::Command;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_client_replaces_and_withdraws_what_is_not_sent() {
    let receiver = Receiver::start().await;
    let carrier = Carrier::start(&["--receipt-delay", "5"]).await;
    let dir = tempfile::tempdir().unwrap();
    with_smpp(usual(carrier.port, &receiver.url()))
        .line("operator.alpha", "rate = 2")
        .write(dir.path());
    let mut gateway = Gateway::start(dir.path()).await;
    let port = smpp_port(&gateway.process).await.to_string();
    let mut command = Command::new("node");
    command
        .arg(root().join("ops/peers/replace.js"))
        .args([&port, "node", "secret"])
        .env("SMSGW_PEERS", peers());
    let mut esme = Process::spawn("replace.js", command);
    let status = esme.ended().await;
    let last = esme.out.read(|lines| lines.last().cloned()).unwrap_or_default();
    assert!(status.success(), "{status}: {last}");
    let summary: Value = serde_json::from_str(&last).unwrap();
    assert_eq!(
        summary["statuses"],
        json!({
            "replace scheduled": 0, "replace waiting": 0, "replace sent": 0x13, "replace of another sender": 0x13,
            "cancel group": 0, "cancel group without a sender": 0x11
        })
    );
    let expected = json!({
        "491700000200": "DELIVRD", "491700000201": "DELIVRD", "491700000202": "DELIVRD", "491700000203": "DELETED",
    });
    for (number, state) in expected.as_object().unwrap() {
        let states = summary["receipts"][number].as_array().unwrap();
        assert!(
            states.iter().all(|there| there == state) && !states.is_empty(),
            "{number}: {summary}"
        );
    }
    let mut sent: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for submit in carrier.submits() {
        let number = submit["dest"].as_str().unwrap().to_owned();
        let text = String::from_utf8(content(&submit)).unwrap();
        sent.entry(number).or_default().push(text);
    }
    assert_eq!(sent["491700000200"], ["first"], "{sent:?}");
    assert_eq!(sent["491700000201"], ["now and new"], "{sent:?}");
    assert_eq!(sent["491700000202"], ["waited and new"], "{sent:?}");
    assert!(!sent.contains_key("491700000203"), "{sent:?}");
    gateway.stop().await;
}
