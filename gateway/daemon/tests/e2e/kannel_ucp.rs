//! Kannel as a UCP client of the simulated centre: it logs in, sends, gets notifications and messages from phones. What proves
//! our UCP links is proved by a client that nobody here wrote.

use crate::harness::PATIENCE;
use crate::kannel::{Asked, Boxes, escaped, field, get, kannel, octets};
use smsgw_sim::ledger::{CarrierRecord, LedgerOptions};
use smsgw_sim::smsc::{MoBatch, Protocol, SmscOptions, SmscServer};
use std::collections::BTreeSet;

const MESSAGES: usize = 300;

/// A client of a UCP centre.
fn smsc(port: u16) -> String {
    format!(
        r#"smsc = emi
smsc-id = centre
port = {port}
smsc-username = "12345"
smsc-password = "secret"
keepalive = 2
window = 20
flow-control = 0"#
    )
}

#[tokio::test]
async fn kannel_sends_and_receives_over_ucp() {
    let asked = Asked::start().await;
    let options = SmscOptions {
        protocol: Protocol::Ucp,
        system_id: Some("12345".into()),
        password: Some("secret".into()),
        receipt_delay: std::time::Duration::from_millis(20),
        ..SmscOptions::default()
    };
    let ledger = LedgerOptions {
        file: None,
        keep: 10_000,
    };
    let centre = SmscServer::start(options, ([127, 0, 0, 1], 0).into(), &ledger)
        .await
        .unwrap();
    let boxes = Boxes::free();
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("kannel.conf");
    let text = boxes.configuration(&smsc(centre.local_addr().port()), asked.port);
    std::fs::write(&config, text).unwrap();
    let sendsms = boxes.sendsms;
    let bearerbox = kannel("bearerbox", &config);
    centre
        .wait_until(PATIENCE, |stats| stats.bound == 1)
        .await
        .unwrap();
    let smsbox = kannel("smsbox", &config);
    // Its port is open before it can take a request: one that comes too early ends it.
    let ready = |lines: &[String]| {
        lines
            .iter()
            .any(|line| line.contains("Connected to bearerbox"))
            .then_some(())
    };
    smsbox.err.wait("smsbox has found bearerbox", ready).await;

    let mut parts = 0;
    for number in 0..MESSAGES {
        let (text, cut) = match number % 3 {
            0 => (format!("number {number} @£$ {{€}}"), 1),
            1 => (format!("{number:03} ").repeat(100), 3),
            _ => (format!("номер {number}"), 1),
        };
        parts += cut;
        let dlr = escaped(&format!("http://127.0.0.1:{}/dlr?n={number}&type=%d", asked.port));
        let from = if number % 2 == 0 { "12345" } else { "ACME" };
        let to = 491_700_000_000 + number;
        let path = format!(
            "/cgi-bin/sendsms?username=sender&password=sender&from={from}&to=00{to}&charset=utf-8&coding={}&text={}&dlr-mask=3&dlr-url={dlr}",
            if number % 3 == 2 { 2 } else { 0 },
            escaped(&text)
        );
        let answer = get(sendsms, &path).await;
        assert!(answer.contains(" 202 "), "{answer}");
    }
    // Kannel asks for the notification of one part of each.
    let (parts, messages) = (u64::try_from(parts).unwrap(), u64::try_from(MESSAGES).unwrap());
    let stats = centre
        .wait_until(4 * PATIENCE, |stats| {
            stats.accepted == parts && stats.receipts_taken == messages
        })
        .await
        .unwrap();
    assert_eq!(
        (stats.accepted, stats.refused, stats.undecodable, stats.unmatched),
        (parts, 0, 0, 0)
    );
    let all: BTreeSet<usize> = (0..MESSAGES).collect();
    asked
        .ledger
        .wait("a report of every message", |told| {
            let told = told
                .iter()
                .filter(|one| one.starts_with("/dlr") && field(one, "type") == Some("1"));
            let told: BTreeSet<usize> = told
                .map(|one| field(one, "n").unwrap().parse().unwrap())
                .collect();
            (told == all).then_some(())
        })
        .await;

    centre.inject_mo(MoBatch {
        total: 20,
        text: "hello @ {€}".into(),
        ..MoBatch::default()
    });
    asked
        .ledger
        .wait("messages from phones", |told| {
            let told = told.iter().filter(|one| one.starts_with("/mo"));
            let whole = |one: &&String| {
                let text = field(one, "text").map(octets).unwrap_or_default();
                String::from_utf8_lossy(&text).ends_with(" hello @ {€}")
            };
            (told.filter(whole).count() == 20).then_some(())
        })
        .await;

    drop((smsbox, bearerbox));
    let records = centre.stop().await.unwrap().records;
    let submits: Vec<_> = records
        .iter()
        .filter_map(|record| match record {
            CarrierRecord::Submit(submit) => Some(submit),
            CarrierRecord::AnswerLost(_) | CarrierRecord::MoTaken(_) | CarrierRecord::Replaced(_) => None,
        })
        .collect();
    assert!(
        submits.iter().any(|submit| submit.source == "ACME"),
        "a name as sender"
    );
    assert!(
        submits.iter().any(|submit| submit.data_coding == 8),
        "text in UCS-2"
    );
    assert!(
        submits.iter().any(|submit| submit.esm_class == 0x40),
        "parts of a long message"
    );
}
