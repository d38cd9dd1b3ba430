//! Clients that are not ours, on `smpplib` and on the npm package `smpp`, each bound as transceiver: a thousand submits
//! each, the receipts of all of them and MO come back, at a carrier that is not ours either.

use crate::harness::{Carrier, Gateway, Process, Receiver, Settings, eventually, peers, root, usual};
use serde_json::{Value, json};
use tokio::process::Command;

const SUBMITS: usize = 1000;
const MO: usize = 20;

pub(crate) fn with_smpp(settings: Settings) -> Settings {
    settings
        .line("smpp", "listen = \"127.0.0.1:0\"")
        .line("client.python", "system_id = \"python\"")
        .line("client.python", "password = \"secret\"")
        .line("client.node", "system_id = \"node\"")
        .line("client.node", "password = \"secret\"")
        .line("client.node.smpp", "message_id = \"hex\"")
        .line("client.node.smpp", "alphabet = \"ascii\"")
        .route_mo(&["777"], "python")
        .route_mo(&["888"], "node")
}

/// Where the SMPP server listens.
pub(crate) async fn smpp_port(process: &Process) -> u16 {
    process
        .out
        .wait("the SMPP server listens", |lines| {
            lines.iter().rev().find_map(|line| {
                let line: Value = serde_json::from_str(line).ok()?;
                let listen =
                    (line["message"] == "SMPP server listens").then(|| line["listen"].as_str())??;
                listen.rsplit(':').next()?.parse().ok()
            })
        })
        .await
}

async fn summary(mut esme: Process) -> Value {
    let status = esme.ended().await;
    let last = esme.out.read(|lines| lines.last().cloned()).unwrap_or_default();
    assert!(status.success(), "{status}: {last}");
    serde_json::from_str(&last).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_foreign_clients_submit_a_thousand_each_and_get_receipts_and_mo() {
    let receiver = Receiver::start().await;
    let mut carrier = Carrier::start(&["--receipt-delay", "5"]).await;
    let dir = tempfile::tempdir().unwrap();
    with_smpp(usual(carrier.port, &receiver.url())).write(dir.path());
    let mut gateway = Gateway::start(dir.path()).await;
    let port = smpp_port(&gateway.process).await.to_string();
    let count = SUBMITS.to_string();
    let mo = MO.to_string();

    let mut command = Command::new(peers().join("venv/bin/python"));
    let script = root().join("ops/peers/esme.py");
    command.arg(script).args([&port, "python", "secret", &count, &mo]);
    let python = Process::spawn("esme.py", command);
    let mut command = Command::new("node");
    let script = root().join("ops/peers/esme.js");
    command
        .arg(script)
        .args([&port, "node", "secret", &count, &mo])
        .env("SMSGW_PEERS", peers());
    let node = Process::spawn("esme.js", command);

    for n in 0..MO {
        for to in ["777", "888"] {
            let mo = json!({"cmd": "mo", "from": "491700000001", "to": to, "text": format!("mo {n}"), "data_coding": 0});
            carrier.command(&mo).await;
        }
    }
    for (name, esme) in [("python", python), ("node", node)] {
        let summary = summary(esme).await;
        assert_eq!(summary["refused"], json!([]), "{name}");
        let accepted = summary["accepted"].as_u64().unwrap();
        assert!(accepted >= SUBMITS as u64, "{name}: {summary}");
        assert_eq!(
            (&summary["receipts"], &summary["strangers"]),
            (&json!(accepted), &json!([])),
            "{name}"
        );
        assert_eq!(
            summary["states"],
            json!({"2": accepted}),
            "{name}: message_state 2 is delivered"
        );
        let mut texts: Vec<String> = serde_json::from_value(summary["mo"].clone()).unwrap();
        texts.sort();
        let mut expected: Vec<String> = (0..MO).map(|n| format!("mo {n}")).collect();
        expected.sort();
        assert_eq!(texts, expected, "{name}");
    }
    // Parts that a client cut leave as it cut them.
    let parts: Vec<Value> = carrier
        .submits()
        .into_iter()
        .filter(|submit| submit["esm_class"] == 0x40)
        .collect();
    assert!(parts.len() >= SUBMITS / 10, "{}", parts.len());
    eventually("all queues are empty", || async {
        let waiting = gateway
            .metrics()
            .await
            .sum_where("smsgw_queue_depth", |label| label("place") != "dead_letter");
        (waiting < 0.5).then_some(())
    })
    .await;
    let metrics = gateway.metrics().await;
    let delivered = metrics.sum("smsgw_esme_deliveries_total", &[("outcome", "delivered")]);
    assert!(delivered >= (2 * SUBMITS + 2 * MO) as f64, "{delivered}");
    carrier.assert_content();
    gateway.stop().await;
}

#[tokio::test]
async fn an_administrator_sees_the_sessions_and_ends_one() {
    let receiver = Receiver::start().await;
    let carrier = Carrier::start(&[]).await;
    let dir = tempfile::tempdir().unwrap();
    with_smpp(usual(carrier.port, &receiver.url())).write(dir.path());
    let mut gateway = Gateway::start(dir.path()).await;
    let port = smpp_port(&gateway.process).await.to_string();
    let mut command = Command::new("node");
    let script = root().join("ops/peers/esme.js");
    command
        .arg(script)
        .args([&port, "node", "secret", "0", "1"])
        .env("SMSGW_PEERS", peers());
    let mut esme = Process::spawn("esme.js", command);
    esme.out
        .wait("the client is bound", |lines| {
            (lines.first()? == "bound").then_some(())
        })
        .await;

    let admin = gateway.admin_address();
    let ask = async |words: &[&str]| {
        let mut tool = Gateway::tool(&[&["session"], words, &["--admin", &admin]].concat());
        let status = tool.ended().await;
        (status.code(), tool.out.read(|lines| lines.join("\n")))
    };
    let (code, listed) = ask(&["list", "--json"]).await;
    assert_eq!(code, Some(0), "{listed}");
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(
        (&listed[0]["client"], &listed[0]["bind"]),
        (&json!("node"), &json!("transceiver")),
        "{listed}"
    );
    let session = listed[0]["session"].as_str().unwrap();
    let (_, table) = ask(&["list"]).await;
    assert!(table.contains(session), "{table}");
    let (code, said) = ask(&["disconnect", session]).await;
    assert_eq!(
        (code, said.as_str()),
        (Some(0), "applied: the session is being unbound")
    );
    assert_eq!(esme.ended().await.code(), Some(4));
    let (code, _) = ask(&["disconnect", session]).await;
    assert_eq!(code, Some(1), "it is gone");
    gateway.stop().await;
}
