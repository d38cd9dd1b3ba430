//! A UCP centre that opens connections itself: to a notification address beside links of ours, and as the only way there is; and what
//! is seen of a UCP link, by its PDU log and in a capture.

use crate::harness::{Gateway, PATIENCE, Receiver, Settings, eventually, free_port, peer};
use serde_json::{Value, json};
use smsgw_sim::ledger::LedgerOptions;
use smsgw_sim::smsc::{MoBatch, Protocol, SmscOptions, SmscServer};
use std::path::Path;
use std::process::Command;

async fn centre(changes: &Value) -> SmscServer {
    let options = SmscOptions {
        protocol: Protocol::Ucp,
        system_id: Some("12345".into()),
        password: Some("sec/ret".into()),
        receipt_delay: std::time::Duration::from_millis(20),
        ..SmscOptions::default()
    };
    let ledger = LedgerOptions {
        file: None,
        keep: 1000,
    };
    let centre = SmscServer::start(options, ([127, 0, 0, 1], 0).into(), &ledger)
        .await
        .unwrap();
    centre.change_options(changes).unwrap();
    centre
}

fn settings(callback: &str) -> Settings {
    Settings::new()
        .line("operator.beta", "protocol = \"ucp\"")
        .line("operator.beta", "reconnect_min = \"50ms\"")
        .line("operator.beta", "reconnect_max = \"500ms\"")
        .client("acme", callback)
        .route_mt(&[], &["beta"])
        .route_mo(&["12345"], "acme")
}

fn connecting(port: u16, settings: Settings) -> Settings {
    settings
        .line("operator.beta", &format!("hosts = [\"127.0.0.1:{port}\"]"))
        .line("operator.beta", "login = \"12345\"")
        .line("operator.beta", "password = \"sec/ret\"")
}

async fn metrics(gateway: &Gateway) -> String {
    String::from_utf8_lossy(&gateway.admin("/metrics").await.body).into_owned()
}

async fn counted(gateway: &Gateway, outcome: &str) {
    let line = format!("smsgw_operator_calls_total{{operator=\"beta\",outcome=\"{outcome}\"}}");
    eventually(&line, || async {
        metrics(gateway).await.contains(&line).then_some(())
    })
    .await;
}

#[tokio::test]
async fn notifications_and_phones_come_over_the_connection_that_the_centre_opened() {
    let receiver = Receiver::start().await;
    let centre = centre(&json!({"receipt": {"bind": "other"}})).await;
    let address = format!("127.0.0.1:{}", free_port());
    let dir = tempfile::tempdir().unwrap();
    connecting(centre.local_addr().port(), settings(&receiver.url()))
        .line("operator.beta", "binds = 2")
        .line("operator.beta", "notification_address = \"12399\"")
        .line("operator.beta.calls", &format!("listen = \"{address}\""))
        .line("operator.beta.calls", "links = 1")
        .line("operator.beta.calls", "login = \"centre\"")
        .line("operator.beta.calls", "password = \"knock\"")
        .write(dir.path());
    let mut gateway = Gateway::start(dir.path()).await;
    centre
        .wait_until(PATIENCE, |stats| stats.bound == 1)
        .await
        .unwrap();
    let to = address.parse().unwrap();
    // Not allowed: nothing is delivered over it.
    centre.connect(to, Some(("centre", "wrong"))).await.unwrap();
    counted(&gateway, "wrong_secret").await;
    assert_eq!(centre.stats().bound, 1);
    centre.connect(to, Some(("centre", "knock"))).await.unwrap();
    centre
        .wait_until(PATIENCE, |stats| stats.bound == 2)
        .await
        .unwrap();
    counted(&gateway, "taken").await;

    let mut ids = Vec::new();
    for number in 0..30 {
        let to = format!("4917{number:08}");
        ids.push(gateway.api.text(&to, &format!("number {number}")).await);
    }
    for id in &ids {
        assert_eq!(receiver.report(id).await.body["message"]["state"], "delivered");
    }
    centre.inject_mo(MoBatch {
        total: 20,
        text: "hello".into(),
        ..MoBatch::default()
    });
    let stats = centre
        .wait_until(PATIENCE, |stats| stats.mo_taken == 20)
        .await
        .unwrap();
    assert_eq!((stats.receipts_taken, stats.accepted), (30, 30), "{stats:?}");
    assert_eq!((stats.undecodable, stats.deliveries_refused), (0, 0));
    let links: Value = serde_json::from_slice(&gateway.admin("/status").await.body).unwrap();
    let link = |number: usize| links["links"][number].clone();
    assert_eq!(
        (&link(1)["host"], &link(1)["bind"]),
        (&json!("call"), &json!("receiver"))
    );
    assert_eq!(link(0)["bind"], "transceiver");
    gateway.stop().await;
}

#[tokio::test]
async fn messages_go_over_it_where_the_centre_takes_them_and_its_loss_loses_nothing() {
    let receiver = Receiver::start().await;
    let address = format!("127.0.0.1:{}", free_port());
    let dir = tempfile::tempdir().unwrap();
    settings(&receiver.url())
        .line("operator.beta.calls", &format!("listen = \"{address}\""))
        .line("operator.beta.calls", "submit = true")
        .write(dir.path());
    let mut gateway = Gateway::start(dir.path()).await;
    let first = gateway.api.text("491700000001", "waits for the centre").await;
    let words = [
        "sim",
        "ucp",
        "--control",
        "--listen",
        "127.0.0.1:0",
        "--connect",
        &address,
    ];
    let (mut centre, _) = peer(&words).await;
    assert_eq!(
        receiver.report(&first).await.body["message"]["state"],
        "delivered"
    );
    centre.tell("cut").await;
    let mut ids = Vec::new();
    for number in 0..20 {
        ids.push(
            gateway
                .api
                .text(&format!("4916{number:08}"), "after the loss")
                .await,
        );
    }
    centre.tell(&format!("connect {address}")).await;
    for id in &ids {
        assert_eq!(receiver.report(id).await.body["message"]["state"], "delivered");
    }
    gateway.stop().await;
    centre.kill().await;
}

/// What tshark says of a file, with these arguments.
fn tshark(file: &Path, port: u16, arguments: &[&str]) -> String {
    let output = Command::new("tshark")
        .arg("-r")
        .arg(file)
        .args(["-d", &format!("tcp.port=={port},ucp")])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn a_capture_of_a_ucp_link_is_opened_by_the_dissector_and_its_log_has_no_secret() {
    let receiver = Receiver::start().await;
    let centre = centre(&json!({})).await;
    let centre_port = centre.local_addr().port();
    let admin = format!("127.0.0.1:{}", free_port());
    let dir = tempfile::tempdir().unwrap();
    connecting(centre_port, settings(&receiver.url()))
        .line("operator.beta", "pdu_log = true")
        .line("admin", &format!("listen = \"{admin}\""))
        .write(dir.path());
    let mut gateway = Gateway::start(dir.path()).await;
    centre
        .wait_until(PATIENCE, |stats| stats.bound == 1)
        .await
        .unwrap();
    let out = dir.path().join("link.pcapng");
    let shown = out.display().to_string();
    let words = ["trace", "link", "beta-1", "--out", &shown, "--admin", &admin];
    let mut capture = Gateway::tool(&words);
    let begun = |lines: &[String]| {
        lines
            .iter()
            .any(|line| line.starts_with("capturing to"))
            .then_some(())
    };
    capture.err.wait("the capture runs", begun).await;
    // The session breaks and comes again: the login is in the capture, its password is not.
    centre.cut_all();
    centre
        .wait_until(PATIENCE, |stats| stats.binds == 2)
        .await
        .unwrap();
    let mut ids = Vec::new();
    for number in 0..20 {
        let from = ["12345", "ACME"][number % 2];
        let text = ["plain text", "номер"][number / 2 % 2];
        let message = json!({"to": format!("4917{number:08}"), "from": from, "text": text});
        let accepted = gateway.api.submit(&message).await;
        ids.push(accepted["id"].as_str().unwrap().to_owned());
    }
    for id in &ids {
        assert_eq!(receiver.report(id).await.body["message"]["state"], "delivered");
    }
    centre
        .wait_until(PATIENCE, |stats| stats.receipts_taken == 20)
        .await
        .unwrap();
    capture.signal(rustix::process::Signal::INT);
    assert_eq!(capture.ended().await.code(), Some(0));

    let frames = tshark(
        &out,
        centre_port,
        &["-Y", "ucp", "-T", "fields", "-e", "ucp.hdr.OT"],
    );
    let count = |ot: &str| {
        frames
            .lines()
            .flat_map(|line| line.split(','))
            .filter(|one| *one == ot)
            .count()
    };
    // Operations and their results.
    assert_eq!((count("60"), count("51"), count("53")), (2, 40, 40), "{frames}");
    let filter =
        "_ws.malformed || tcp.checksum.status == 0 || ip.checksum.status == 0 || tcp.analysis.lost_segment";
    let checks = ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"];
    let wrong = tshark(&out, centre_port, &[&checks[..], &["-Y", filter]].concat());
    assert_eq!(wrong, "");
    let said = tshark(&out, centre_port, &["-Y", "ucp", "-V"]);
    for word in [
        "Malformed",
        "checksum invalid",
        "stx missing",
        "[INVALID]",
        "incorrect",
    ] {
        assert!(!said.contains(word), "{word} in {said}");
    }
    let octets = std::fs::read(&out).unwrap();
    let holds = |text: &[u8]| octets.windows(text.len()).any(|window| window == text);
    assert!(!holds(b"7365632F726574"), "the password in hexadecimal");
    assert!(holds(b"/12345/6/5/1/2A2A2A2A2A2A2A/"), "the login is there");

    let lines: Vec<Value> = gateway.process.out.read(|lines| {
        let lines = lines
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["target"] == "smsgw::pdu").collect()
    });
    let all = |command: &str| lines.iter().filter(|line| line["command"] == command).count();
    assert_eq!(
        (all("O/60"), all("O/51"), all("R/51"), all("O/53")),
        (2, 20, 20, 20)
    );
    let answer = lines.iter().find(|line| line["command"] == "R/51").unwrap();
    let carrier_id = answer["carrier_id"].as_str().unwrap();
    assert_eq!(answer["status"], "A");
    assert!(carrier_id.starts_with("4917"), "{answer}");
    let told = lines
        .iter()
        .find(|line| line["command"] == "O/53" && line["carrier_id"] == carrier_id)
        .unwrap();
    assert_eq!(
        (&told["stat"], &told["direction"]),
        (&json!("DELIVRD"), &json!("in"))
    );
    for line in &lines {
        for secret in ["7365632F", "plain text", "номер"] {
            assert!(!line.to_string().contains(secret), "{secret} in {line}");
        }
    }
    gateway.stop().await;
}
