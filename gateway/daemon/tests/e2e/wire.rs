//! What we write on the wire is SMPP to a dissector that is not ours.

use crate::harness::{Carrier, Gateway, Receiver, Relay, dissect, hex, ucs2, usual};
use serde_json::json;

#[tokio::test]
async fn the_dissector_finds_nothing_malformed_in_our_traffic() {
    let receiver = Receiver::start().await;
    let mut carrier = Carrier::start(&[
        "--receipt-delay",
        "5",
        "--reject",
        "99=0x0b",
        "--receipt-suffix",
        "98=UNDELIV",
    ])
    .await;
    let dir = tempfile::tempdir().unwrap();
    let recording = dir.path().join("trip.pcapng");
    let relay = Relay::start(carrier.port, &recording).await;
    usual(relay.port, &receiver.url())
        .line("operator.alpha", "enquire_link = \"1s\"")
        .line("operator.alpha", "default_from = \"Shop\"")
        .write(dir.path());
    let mut gateway = Gateway::start(dir.path()).await;

    let messages = [
        json!({"from": "12345", "to": "491700000001", "text": "Hello"}),
        json!({"from": "ACME", "to": "491700000001", "text": "5 € {curly}"}),
        json!({"to": "491700000001", "text": "Привет"}),
        json!({"from": "491511111111", "to": "491700000001", "text": "long ".repeat(100)}),
        json!({"from": "12345", "to": "491700000001", "text": "широкий ".repeat(30), "validity": "10m"}),
        json!({"from": "12345", "to": "491700000001", "binary": "00ff1b7f", "udh": "0605040b8423f0"}),
        json!({"from": "12345", "to": "491700000001", "text": "flash", "flash": true}),
        json!({"from": "12345", "to": "491700000099", "text": "refused"}),
        json!({"from": "12345", "to": "491700000098", "text": "undeliverable"}),
    ];
    for message in &messages {
        let accepted = gateway.api.submit(message).await;
        receiver.report(accepted["id"].as_str().unwrap()).await;
    }
    let mo = json!({"cmd": "mo", "from": "491700000001", "to": "12345", "data_coding": 8, "hex": hex(&ucs2("Ответ"))});
    carrier.command(&mo).await;
    receiver.mo("the MO", |mo| mo["text"] == "Ответ").await;
    gateway.stop().await;
    carrier.events_at_least("closed", 1).await;
    relay.stop().await;
    carrier.assert_content();

    let (content, said) = dissect(&recording, carrier.port).await;
    assert!(content, "{said}");
    let pdus: usize = said
        .lines()
        .find_map(|line| line.strip_prefix("pdus ")?.parse().ok())
        .unwrap();
    // Bind, unbind, each part and each delivery, with their answers.
    let parts = carrier.submits().len();
    assert!(
        pdus >= 4 + 2 * parts + 2 * (parts - 1) + 2,
        "{pdus} PDUs for {parts} parts: {said}"
    );
}
