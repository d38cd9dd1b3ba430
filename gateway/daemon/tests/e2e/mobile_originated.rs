//! Messages from phones reach their client with their text, and are answered only once they are durable.

use crate::harness::{World, hex, ucs2};
use serde_json::{Value, json};

fn mo(coding: u8, esm_class: u8, octets: &[u8]) -> Value {
    json!({"cmd": "mo", "from": "491700000001", "to": "12345", "data_coding": coding, "esm_class": esm_class,
        "hex": hex(octets)})
}

#[tokio::test]
async fn a_message_from_a_phone_reaches_its_client_with_its_text() {
    let mut world = World::start(&[], |settings| settings).await;
    world.carrier.events_at_least("bind", 1).await;

    // GSM 7-bit: @ is 0x00, the euro sign is an escape and 0x65.
    world.carrier.command(&mo(0, 0, b"Ja \x00 5 \x1b\x65")).await;
    let callback = world
        .receiver
        .mo("the GSM text", |mo| mo["text"] == "Ja @ 5 €")
        .await;
    let message = &callback.body["message"];
    assert_eq!(
        (&message["from"], &message["to"], &message["operator"]),
        (&json!("491700000001"), &json!("12345"), &json!("alpha"))
    );
    assert_eq!(
        (&message["encoding"], &message["incomplete"]),
        (&json!("gsm7"), &json!(false))
    );
    assert!(callback.body["id"].is_string() && callback.body["at"].is_string() && message["id"].is_string());

    world.carrier.command(&mo(8, 0, &ucs2("Привет 😀"))).await;
    let callback = world
        .receiver
        .mo("the UCS-2 text", |mo| mo["text"] == "Привет 😀")
        .await;
    assert_eq!(callback.body["message"]["encoding"], "ucs2");

    // Two parts, the second one first.
    world
        .carrier
        .command(&mo(0, 0x40, b"\x05\x00\x03\x2a\x02\x02second"))
        .await;
    world
        .carrier
        .command(&mo(0, 0x40, b"\x05\x00\x03\x2a\x02\x01first, "))
        .await;
    let callback = world
        .receiver
        .mo("both parts", |mo| mo["text"] == "first, second")
        .await;
    assert_eq!(callback.body["message"]["incomplete"], false);

    world
        .carrier
        .ledger
        .wait("every delivery is answered", |entries| {
            let answered: Vec<_> = entries
                .iter()
                .filter(|entry| entry["kind"] == "mo_answered")
                .cloned()
                .collect();
            (answered.len() == 4).then_some(answered)
        })
        .await
        .iter()
        .for_each(|answer| assert_eq!(answer["status"], 0, "{answer}"));
    world.gateway.stop().await;
    assert_eq!(world.receiver.all().len(), 3);
    world.carrier.assert_content();
}

#[tokio::test]
async fn a_message_nobody_wants_is_kept_and_counted() {
    let mut world = World::start(&[], |settings| settings).await;
    let nobody = json!({"cmd": "mo", "from": "491700000001", "to": "999", "text": "lost?"});
    world.carrier.command(&nobody).await;
    world
        .gateway
        .metric_at_least("smsgw_mo_unroutable_total", &[("operator", "alpha")], 1.0)
        .await;
    world
        .gateway
        .metric_at_least("smsgw_queue_depth", &[("place", "dead_letter")], 1.0)
        .await;
    world.gateway.stop().await;
    world.restart().await;
    let kept = world
        .gateway
        .metrics()
        .await
        .sum("smsgw_queue_depth", &[("place", "dead_letter")]);
    assert!((kept - 1.0).abs() < 0.5, "dead letters survive: {kept}");
    assert!(world.receiver.all().is_empty());
    world.gateway.stop().await;
}
