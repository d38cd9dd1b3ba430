//! An SMPP, a UCP and an HTTP operator share a load, and each carrier is cut off in turn: what one refuses another takes, what waits for
//! a dead one goes when it is back, phones are heard, and the ledgers of all of them say that nothing is lost, doubled or altered.

use crate::harness::{Gateway, Metrics, PATIENCE, Process, Settings, compare, eventually, free_port, peer};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// Messages of clients, and how many of them a second: longer than three carriers are away.
const MESSAGES: u64 = 600;
const RATE: u64 = 60;
/// Messages from the phones of each carrier.
const PHONES: u64 = 20;
/// How long a carrier is away.
const AWAY: Duration = Duration::from_millis(1500);

/// Name of the operator, kind of the carrier, what it refuses: no number is refused by all three.
const CARRIERS: [(&str, &str, &str); 3] = [
    ("alpha", "smsc", "suffix:1=0x400"),
    ("beta", "ucp", "suffix:2=0x06"),
    ("gamma", "http", "suffix:3=422"),
];

async fn carrier(dir: &Path, number: usize, inbound: u16) -> (Process, u16) {
    let (name, kind, refuses) = CARRIERS[number];
    let ledger = dir.join(format!("carrier-{name}")).display().to_string();
    let first_id = (1_000_000_000_000 * (number + 1)).to_string();
    let inbound = format!("127.0.0.1:{inbound}");
    let mut words = vec![
        "sim",
        kind,
        "--listen",
        "127.0.0.1:0",
        "--control",
        "--ledger",
        &ledger,
        "--first-id",
        &first_id,
        "--reject",
        refuses,
        "--receipt-delay",
        "20ms",
        "--receipt-jitter",
        "200ms",
        "--states-by-recipient",
        "--deliver-timeout",
        "2s",
        "--answer-delay",
        "5ms",
    ];
    if kind == "http" {
        words.extend(["--inbound", &inbound, "--inbound-header", "x-secret: s3cret"]);
    }
    peer(&words).await
}

fn settings(ports: [u16; 3], inbound: u16, sink: u16) -> Settings {
    let [alpha, beta, gamma] = ports;
    let mut settings = Settings::new()
        .operator("alpha", alpha)
        .ucp_operator("beta", beta)
        .http_operator("gamma", gamma, inbound)
        .line("operator.alpha", "reroute = [\"0x400\"]")
        .line("operator.beta", "reroute = [\"UCP_06\"]")
        .line("operator.gamma", "reroute = [\"HTTP_422\"]")
        .client("acme", &format!("http://127.0.0.1:{sink}/"))
        .route("[[route.mt]]\nstrategy = \"weighted\"\noperators = [\"alpha\", \"beta\", \"gamma\"]\n")
        .route_mo(&["12345"], "acme");
    for (name, ..) in CARRIERS {
        settings = settings.line(&format!("operator.{name}"), "response_timeout = \"2s\"");
    }
    settings
}

fn bound(metrics: &Metrics, operator: &str) -> bool {
    metrics.sum("smsgw_operator_link_state", &[("operator", operator)]) == 2.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_protocols_share_a_load_while_each_carrier_dies_in_turn() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let callbacks = path("callbacks");
    let words = [
        "sim",
        "sink",
        "--listen",
        "127.0.0.1:0",
        "--control",
        "--ledger",
        &callbacks,
    ];
    let (mut sink, sink_port) = peer(&words).await;
    let inbound = free_port();
    let (mut carriers, mut ports) = (Vec::new(), [0; 3]);
    for (number, port) in ports.iter_mut().enumerate() {
        let (process, its) = carrier(dir.path(), number, inbound).await;
        carriers.push(process);
        *port = its;
    }
    settings(ports, inbound, sink_port).write(dir.path());
    let mut gateway = Gateway::start(dir.path()).await;
    for (number, process) in carriers.iter_mut().enumerate() {
        let batch =
            json!({"total": PHONES, "rate": 4.0, "from": format!("49{number}000*"), "parts": 1 + number % 2});
        process.tell(&format!("mo {batch}")).await;
    }
    let (url, total, rate, sent) = (
        gateway.api.base().to_owned(),
        MESSAGES.to_string(),
        RATE.to_string(),
        path("sent"),
    );
    let mut load = Gateway::tool(&[
        "load",
        "http",
        "--url",
        &url,
        "--api-key",
        "acme-key",
        "--connections",
        "8",
        "--total",
        &total,
        "--rate",
        &rate,
        "--mix",
        "gsm:100=70,ucs2:60=15,gsm:350=15",
        "--retries",
        "20",
        "--ledger",
        &sent,
    ]);
    for (process, (name, ..)) in carriers.iter_mut().zip(CARRIERS) {
        eventually(&format!("{name} is bound"), || async {
            bound(&gateway.metrics().await, name).then_some(())
        })
        .await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        process.tell(r#"set {"binds":{"refuse_connections":true}}"#).await;
        process.tell("cut").await;
        eventually(&format!("the gateway notices that {name} is gone"), || async {
            (!bound(&gateway.metrics().await, name)).then_some(())
        })
        .await;
        tokio::time::sleep(AWAY).await;
        process
            .tell(r#"set {"binds":{"refuse_connections":false}}"#)
            .await;
    }
    let begun = Instant::now();
    let said = loop {
        let ended = load.has_ended();
        assert!(ended.is_none_or(|status| status.success()), "the load failed");
        let said = match ended {
            Some(_) => compare(dir.path()).await,
            None => Err("the load has not ended".to_owned()),
        };
        let heard = |said: &str| {
            let compared: Value = serde_json::from_str(said).unwrap();
            compared["mo"]["called_back"].as_u64() == Some(3 * PHONES)
        };
        match said {
            Ok(said) if heard(&said) => break said,
            Ok(findings) | Err(findings) => assert!(begun.elapsed() < 2 * PATIENCE, "{findings}"),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    // What comes late must not come twice.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let said = compare(dir.path())
        .await
        .unwrap_or_else(|findings| panic!("{findings}\nafter {said}"));
    let compared: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(compared["mt"]["carried"], MESSAGES, "{said}");
    let metrics = gateway.metrics().await;
    let repeated = compared["mt"]["repeated_submits"].as_f64().unwrap();
    let again = metrics.sum("smsgw_operator_released_total", &[("reason", "in_doubt")]);
    assert!(
        repeated <= again,
        "{repeated} submits repeated, {again} were in doubt"
    );
    for (name, ..) in CARRIERS {
        let of = |metric: &str, label: (&str, &str)| metrics.sum(metric, &[("operator", name), label]);
        assert!(
            of("smsgw_operator_ended_total", ("outcome", "sent")) > 100.0,
            "{name} carries its share"
        );
        assert!(
            of("smsgw_operator_ended_total", ("outcome", "reroute")) > 0.0,
            "{name} refuses some"
        );
        assert!(
            metrics.sum("smsgw_operator_reconnects_total", &[("operator", name)]) > 0.0,
            "{name} was away"
        );
    }
    gateway.stop().await;
    sink.tell("stats").await;
    let reported = sink
        .out
        .wait("the sink's counts", |lines| {
            let line: Value = serde_json::from_str(lines.get(1)?).unwrap();
            Some(line["states"].clone())
        })
        .await;
    assert_eq!(reported, json!({"delivered": MESSAGES}));
}
