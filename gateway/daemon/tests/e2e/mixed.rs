//! An SMPP, a UCP and an HTTP operator share a load, and each carrier is killed in turn (SIGKILL), stays away and is started again.
//!
//! What a carrier refuses another takes. What a dead one had taken and not told of goes to another after a silence, where the
//! route says so; where it does not, its next life tells: a carrier keeps what it owes (`sim --owed`). What waits for a dead one
//! goes when it is back. Phones are heard over all six lives. The ledgers of all of them say that nothing is lost or altered and
//! that each message has one final report, and what went out twice is no more than what the gateway had in doubt or gave to
//! another operator.

use crate::harness::{
    Gateway, Metrics, PATIENCE, Process, Settings, compare, eventually, free_port, peer, stats,
};
use serde_json::{Value, json};
use smsgw_sim::ledger::{self, CarrierRecord, Fate, Window};
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// Messages of clients, and how many of them a second: longer than three carriers are away.
const MESSAGES: u64 = 2000;
const RATE: u64 = 90;
/// Messages from the phones of each carrier, in each life.
const PHONES: u64 = 20;
/// How long a carrier is away: longer than the silence after which another one is tried.
const AWAY: Duration = Duration::from_secs(4);
/// A carrier is killed when it has not told yet of so many parts that it answered.
const UNTOLD: f64 = 12.0;

/// Name of the operator, kind of the carrier, what it refuses: no number is refused by all three.
const CARRIERS: [(&str, &str, &str); 3] = [
    ("alpha", "smsc", "suffix:1=0x400"),
    ("beta", "ucp", "suffix:2=0x06"),
    ("gamma", "http", "suffix:3=422"),
];

/// One life of a carrier. All its lives have one port, one ledger and one memory of what they owe; ids begin at the time.
async fn live(dir: &Path, number: usize, port: u16, inbound: u16) -> Process {
    let (name, kind, refuses) = CARRIERS[number];
    let file = |what: &str| dir.join(format!("{what}-{name}")).display().to_string();
    let (ledger, owed) = (file("carrier"), file("owed"));
    let listen = format!("127.0.0.1:{port}");
    let inbound = format!("127.0.0.1:{inbound}");
    let mut words = vec![
        "sim",
        kind,
        "--listen",
        &listen,
        "--control",
        "--ledger",
        &ledger,
        "--owed",
        &owed,
        "--reject",
        refuses,
        "--answer-delay",
        "200ms",
        "--answer-jitter",
        "200ms",
        "--receipt-delay",
        "100ms",
        "--receipt-jitter",
        "900ms",
        "--states-by-recipient",
        "--deliver-timeout",
        "2s",
    ];
    if kind == "http" {
        words.extend(["--inbound", &inbound, "--inbound-header", "x-secret: s3cret"]);
    }
    peer(&words).await.0
}

/// Phones write, all at once; over one of the carriers in two parts.
async fn write(carrier: &mut Process, number: usize) {
    let from = format!("49{number}000*");
    let batch = json!({"total": PHONES, "from": from, "parts": 1 + number % 2});
    carrier.tell(&format!("mo {batch}")).await;
}

fn settings(ports: [u16; 3], inbound: u16, sink: u16) -> Settings {
    let [alpha, beta, gamma] = ports;
    let route = |more: &str| {
        format!("[[route.mt]]\nstrategy = \"weighted\"\noperators = [\"alpha\", \"beta\", \"gamma\"]\n{more}")
    };
    let mut settings = Settings::new()
        .operator("alpha", alpha)
        .ucp_operator("beta", beta)
        .http_operator("gamma", gamma, inbound)
        .line("operator.alpha", "reroute = [\"0x400\"]")
        .line("operator.beta", "reroute = [\"UCP_06\"]")
        .line("operator.gamma", "reroute = [\"HTTP_422\"]")
        .client("acme", &format!("http://127.0.0.1:{sink}/"))
        .route(&route("failover = { silence = \"2s\" }\n"))
        .route(&route("prefix = [\"43\"]\n"))
        .route_mo(&["12345"], "acme");
    for (name, ..) in CARRIERS {
        settings = settings.line(&format!("operator.{name}"), "response_timeout = \"2s\"");
    }
    settings
}

async fn until_bound(gateway: &Gateway, operator: &str, wanted: bool) {
    let is_bound =
        |metrics: &Metrics| metrics.sum("smsgw_operator_link_state", &[("operator", operator)]) == 2.0;
    eventually(&format!("{operator} is bound: {wanted}"), || async {
        (is_bound(&gateway.metrics().await) == wanted).then_some(())
    })
    .await;
}

/// How often this carrier accepted, in all its lives, what it had accepted before.
fn taken_again(dir: &Path, name: &str) -> f64 {
    let mut taken: HashMap<(String, String), u32> = HashMap::new();
    ledger::each(&dir.join(format!("carrier-{name}")), |record| match record {
        CarrierRecord::Submit(submit) if submit.fate != Fate::Refused => {
            *taken.entry((submit.destination, submit.octets)).or_default() += 1;
        }
        CarrierRecord::Submit(_)
        | CarrierRecord::AnswerLost(_)
        | CarrierRecord::MoTaken(_)
        | CarrierRecord::Replaced(_) => {}
    })
    .unwrap();
    taken.values().map(|times| f64::from(times - 1)).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_protocols_share_a_load_while_each_carrier_is_killed_in_turn() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    // What comes twice at any time is excused here and counted below.
    let always = Window {
        from: 0,
        to: i64::MAX,
    };
    std::fs::write(path("windows"), serde_json::to_string(&always).unwrap() + "\n").unwrap();
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
    let (ports, inbound) = ([free_port(), free_port(), free_port()], free_port());
    let mut carriers = Vec::new();
    for (number, port) in ports.into_iter().enumerate() {
        carriers.push(live(dir.path(), number, port, inbound).await);
    }
    settings(ports, inbound, sink_port).write(dir.path());
    let mut gateway = Gateway::start(dir.path()).await;
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
        "--to-prefix",
        "49170,49171,43664",
        "--mix",
        "gsm:100=70,ucs2:60=15,gsm:350=15",
        "--retries",
        "20",
        "--ledger",
        &sent,
    ]);
    let mut resumed = 0;
    for (number, (name, ..)) in CARRIERS.into_iter().enumerate() {
        until_bound(&gateway, name, true).await;
        eventually(&format!("{name} owes receipts"), || async {
            let metrics = gateway.metrics().await;
            let of = |metric: &str, label: (&str, &str)| metrics.sum(metric, &[("operator", name), label]);
            let answered = of("smsgw_operator_ended_total", ("outcome", "sent"));
            let told = of("smsgw_operator_arrived_total", ("kind", "receipt"));
            (answered - told >= UNTOLD).then_some(())
        })
        .await;
        write(&mut carriers[number], number).await;
        carriers[number].kill().await;
        until_bound(&gateway, name, false).await;
        tokio::time::sleep(AWAY).await;
        carriers[number] = live(dir.path(), number, ports[number], inbound).await;
        resumed += stats(&mut carriers[number]).await["resumed"].as_u64().unwrap();
        write(&mut carriers[number], number).await;
    }
    assert!(load.has_ended().is_none(), "all of it happens under load");
    let begun = Instant::now();
    let said = loop {
        let ended = load.has_ended();
        assert!(ended.is_none_or(|status| status.success()), "the load failed");
        let mut owed = 0;
        for carrier in &mut carriers {
            owed += stats(carrier).await["owed"].as_u64().unwrap();
        }
        let said = match ended {
            Some(_) if owed == 0 => compare(dir.path()).await,
            Some(_) => Err(format!("{owed} deliveries are owed")),
            None => Err("the load has not ended".to_owned()),
        };
        match said {
            Ok(said) => break said,
            Err(findings) => assert!(begun.elapsed() < 2 * PATIENCE, "{findings}"),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    // What comes late must not come twice.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let said = compare(dir.path())
        .await
        .unwrap_or_else(|findings| panic!("{findings}\nafter {said}"));
    let compared: Value = serde_json::from_str(&said).unwrap();
    let found = |path: &str| compared.pointer(path).and_then(Value::as_u64).unwrap();
    assert_eq!(found("/mt/carried"), MESSAGES, "{said}");
    assert_eq!(found("/reports/excused/count"), 0, "{said}");
    assert_eq!(found("/mo/not_taken/count"), 0, "{said}");
    // All of the second lives, and of the first ones what they had time for.
    assert!(found("/mo/called_back") >= 3 * PHONES, "{said}");
    assert_eq!(found("/mo/called_back"), found("/mo/taken"), "{said}");

    let metrics = gateway.metrics().await;
    let (mut in_doubt, mut silent) = (0.0, 0.0);
    for (name, ..) in CARRIERS {
        let of = |metric: &str, label: (&str, &str)| metrics.sum(metric, &[("operator", name), label]);
        assert!(
            of("smsgw_operator_ended_total", ("outcome", "sent")) > 300.0,
            "{name} carries its share"
        );
        let refused = of("smsgw_operator_ended_total", ("outcome", "reroute"));
        assert!(refused > 0.0, "{name} refuses some");
        let given_away = metrics.sum("smsgw_router_rerouted_total", &[("from", name)]);
        assert!(given_away > refused, "{name} was silent, others took over");
        silent += given_away - refused;
        let again = of("smsgw_operator_released_total", ("reason", "in_doubt"));
        let twice = taken_again(dir.path(), name);
        assert!(twice <= again, "{name} took {twice} twice, {again} were in doubt");
        in_doubt += again;
        assert!(
            metrics.sum("smsgw_operator_reconnects_total", &[("operator", name)]) > 0.0,
            "{name} was away"
        );
    }
    assert!(in_doubt > 0.0, "a kill leaves answers to come");
    let repeated = found("/mt/repeated_submits") as f64;
    println!("{repeated} submits repeated, {in_doubt} in doubt, {silent} silent, {resumed} owed by the dead");
    assert!(resumed > 0, "the dead owe something");
    assert!(
        repeated <= in_doubt + silent,
        "{repeated} submits repeated, {in_doubt} were in doubt and {silent} given to another operator"
    );
    let given_up = metrics.sum("smsgw_operator_ended_total", &[("outcome", "in_doubt_max")]);
    assert_eq!(given_up, 0.0, "nothing is given up in doubt");
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
