//! A UCP operator: short, long and foreign texts go out, notifications become reports, phones are heard, a lost line loses nothing,
//! and what was written on the wire is what tshark takes for UCP.

use crate::harness::{Gateway, PATIENCE, Receiver, Relay, Settings, eventually};
use serde_json::json;
use smsgw_sim::ledger::{CarrierRecord, LedgerOptions};
use smsgw_sim::smsc::{MoBatch, Protocol, SmscOptions, SmscServer};
use std::process::Command;
use std::time::Duration;

async fn centre(options: SmscOptions) -> SmscServer {
    let options = SmscOptions {
        protocol: Protocol::Ucp,
        system_id: Some("12345".into()),
        password: Some("sec/ret".into()),
        ..options
    };
    let ledger = LedgerOptions {
        file: None,
        keep: 100_000,
    };
    SmscServer::start(options, ([127, 0, 0, 1], 0).into(), &ledger)
        .await
        .unwrap()
}

fn settings(port: u16, callback: &str) -> Settings {
    Settings::new()
        .line("operator.beta", "protocol = \"ucp\"")
        .line("operator.beta", &format!("hosts = [\"127.0.0.1:{port}\"]"))
        .line("operator.beta", "login = \"12345\"")
        .line("operator.beta", "password = \"sec/ret\"")
        .line("operator.beta", "window = 20")
        .line("operator.beta", "reconnect_min = \"50ms\"")
        .line("operator.beta", "reconnect_max = \"500ms\"")
        .client("acme", callback)
        .route_mt(&[], &["beta"])
        .route_mo(&["12345"], "acme")
}

#[tokio::test]
async fn messages_reports_and_phones_go_over_ucp() {
    let receiver = Receiver::start().await;
    let options = SmscOptions {
        receipt_delay: Duration::from_millis(20),
        ..SmscOptions::default()
    };
    let centre = centre(options).await;
    let dir = tempfile::tempdir().unwrap();
    let capture = dir.path().join("ucp.pcapng");
    let relay = Relay::start(centre.local_addr().port(), &capture).await;
    settings(relay.port, &receiver.url()).write(dir.path());
    let mut gateway = Gateway::start(dir.path()).await;
    let mut ids = Vec::new();
    for number in 0..60 {
        let text = match number % 4 {
            0 => format!("plain @ {{€}} {number}"),
            1 => format!("{number:03} ").repeat(60),
            2 => format!("номер {number}"),
            _ => format!("длинный {number} ").repeat(12),
        };
        let from = ["12345", "ACME", "491700000099"][number % 3];
        // Two in the same second to one number have one key: each has a number of its own.
        let to = format!("4917{number:08}");
        let message = json!({"to": to, "from": from, "text": text, "validity": "1h"});
        ids.push(
            gateway.api.submit(&message).await["id"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    for id in &ids {
        assert_eq!(receiver.report(id).await.body["message"]["state"], "delivered");
    }
    let life = gateway.api.message(&ids[1]).await;
    let carrier_id = life["parts"][0]["carrier_id"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(carrier_id.starts_with("491700000001:"), "{life}");

    centre.inject_mo(MoBatch {
        total: 30,
        parts: 2,
        text: "hello @ {€}".into(),
        ..MoBatch::default()
    });
    let stats = centre
        .wait_until(PATIENCE, |stats| stats.mo_taken == 60)
        .await
        .unwrap();
    assert_eq!(
        (stats.undecodable, stats.unmatched, stats.deliveries_refused),
        (0, 0, 0)
    );
    gateway.stop().await;
    drop(gateway);
    let records = centre.stop().await.unwrap().records;
    let sources: Vec<&str> = records
        .iter()
        .filter_map(|record| match record {
            CarrierRecord::Submit(submit) => Some(submit.source.as_str()),
            CarrierRecord::AnswerLost(_) | CarrierRecord::MoTaken(_) | CarrierRecord::Replaced(_) => None,
        })
        .collect();
    for source in ["12345", "ACME", "491700000099"] {
        assert!(sources.contains(&source), "{source}");
    }
    let port = relay.port;
    relay.stop().await;
    let said = Command::new("tshark")
        .args([
            "-r",
            capture.to_str().unwrap(),
            "-d",
            &format!("tcp.port=={port},ucp"),
        ])
        .args(["-Y", "ucp", "-o", "tcp.analyze_sequence_numbers:FALSE"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.lines().count() > 100, "{said}");
    let wrong: Vec<&str> = said
        .lines()
        .filter(|line| {
            ["Malformed", "checksum invalid", "stx missing"]
                .iter()
                .any(|word| line.contains(word))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn notifications_before_the_answers_of_their_parts_are_given_to_all_of_them() {
    let receiver = Receiver::start().await;
    let options = SmscOptions {
        receipt_first: true,
        ..SmscOptions::default()
    };
    let centre = centre(options).await;
    let dir = tempfile::tempdir().unwrap();
    settings(centre.local_addr().port(), &receiver.url()).write(dir.path());
    let mut gateway = Gateway::start(dir.path()).await;
    let mut ids = Vec::new();
    for number in 0..20 {
        // Five parts to one phone, mostly in one second.
        ids.push(
            gateway
                .api
                .text(&format!("4917{number:08}"), &"long ".repeat(140))
                .await,
        );
    }
    for id in &ids {
        assert_eq!(
            receiver.report(id).await.body["message"]["state"],
            "delivered",
            "{id}"
        );
    }
    let page = gateway.admin("/metrics").await.body;
    let page = String::from_utf8_lossy(&page).into_owned();
    assert!(
        page.contains("smsgw_receipts_parked_total{operator=\"beta\"}"),
        "some came first"
    );
    let unknown = page
        .lines()
        .find(|line| line.starts_with("smsgw_receipts_unknown_total{operator=\"beta\"}"));
    assert!(unknown.is_none_or(|line| line.ends_with(" 0")), "{unknown:?}");
    assert_eq!(centre.stats().accepted, 100);
    gateway.stop().await;
}

#[tokio::test]
async fn refused_logins_lost_lines_and_late_answers_lose_nothing() {
    let receiver = Receiver::start().await;
    let centre = centre(SmscOptions::default()).await;
    centre.change_options(&json!({"password": "other"})).unwrap();
    let dir = tempfile::tempdir().unwrap();
    settings(centre.local_addr().port(), &receiver.url())
        .line("operator.beta", "credentials_retry = \"1s\"")
        .line("operator.beta", "response_timeout = \"2s\"")
        .line("operator.beta", "temporary_retry = [\"200ms\"]")
        .line("operator.beta", "temporary_attempts = 50")
        .write(dir.path());
    let mut gateway = Gateway::start(dir.path()).await;
    let first = gateway.api.text("491700000001", "waits for the password").await;
    eventually("the login is refused", || async {
        (centre.stats().binds_refused > 0).then_some(())
    })
    .await;
    centre.change_options(&json!({"password": "sec/ret"})).unwrap();
    assert_eq!(
        receiver.report(&first).await.body["message"]["state"],
        "delivered"
    );

    // Error 04 for a while, lines that are cut, answers that come after our patience.
    centre
        .change_options(&json!({
            "reject": ["share:0.2=0x04"], "drop_share": 0.02, "answers": {"late_share": 0.02, "late_after": "3s"},
        }))
        .unwrap();
    let mut ids = Vec::new();
    for number in 0..150 {
        ids.push(
            gateway
                .api
                .text(&format!("4916{number:08}"), &format!("number {number}"))
                .await,
        );
    }
    for id in &ids {
        assert_eq!(
            receiver.report(id).await.body["message"]["state"],
            "delivered",
            "{id}"
        );
    }
    let stats = centre.stats();
    assert!(stats.refused > 0 && stats.cut > 0, "{stats:?}");
    gateway.stop().await;
}
