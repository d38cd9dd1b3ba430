//! A long text is sent in parts that a phone can put together, and is reported once, when all of them are there.

use crate::harness::{World, content, unhex};
use serde_json::{Value, json};

/// Header and octets of each part, in the order of the part numbers.
fn parts(submits: &[Value]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let header = |submit: &Value| unhex(submit["udh"].as_str().unwrap());
    submits
        .iter()
        .map(|submit| (header(submit), content(submit)))
        .collect()
}

fn assert_headers(parts: &[(Vec<u8>, Vec<u8>)]) {
    let reference = parts[0].0[3];
    for (number, (header, _)) in parts.iter().enumerate() {
        let expected = [
            5,
            0,
            3,
            reference,
            u8::try_from(parts.len()).unwrap(),
            u8::try_from(number + 1).unwrap(),
        ];
        assert_eq!(header[..], expected, "part {number}");
    }
}

#[tokio::test]
async fn parts_of_a_long_text_arrive_in_order_and_are_reported_once() {
    let mut world = World::start(&["--receipt-delay", "10"], |settings| settings).await;
    let api = &world.gateway.api;

    let text: String = "The quick brown fox jumps over the lazy dog. "
        .chars()
        .cycle()
        .take(2 * 153 + 7)
        .collect();
    let accepted = api
        .submit(&json!({"from": "12345", "to": "491700000001", "text": text}))
        .await;
    assert_eq!(
        (&accepted["encoding"], &accepted["parts"]),
        (&json!("gsm7"), &json!(3))
    );
    let id = accepted["id"].as_str().unwrap();
    let submits = world.carrier.submits_at_least(3).await;
    assert!(
        submits.iter().all(|submit| submit["esm_class"] == 0x40),
        "{submits:#?}"
    );
    let gsm = parts(&submits);
    assert_headers(&gsm);
    assert_eq!(
        gsm.iter().map(|(_, octets)| octets.len()).collect::<Vec<_>>(),
        [153, 153, 7]
    );
    assert_eq!(
        gsm.iter()
            .flat_map(|(_, octets)| octets.clone())
            .collect::<Vec<u8>>(),
        text.as_bytes()
    );

    let text: String = "Привет, мир! 😀".chars().cycle().take(100).collect();
    let wide = api
        .submit(&json!({"from": "12345", "to": "491700000002", "text": text}))
        .await;
    assert_eq!((&wide["encoding"], &wide["parts"]), (&json!("ucs2"), &json!(2)));
    let submits = world.carrier.submits_at_least(5).await.split_off(3);
    assert!(
        submits.iter().all(|submit| submit["data_coding"] == 8),
        "{submits:#?}"
    );
    let wide_parts = parts(&submits);
    assert_headers(&wide_parts);
    let decoded: String = wide_parts
        .iter()
        .map(|(_, octets)| {
            let units: Vec<u16> = octets
                .chunks(2)
                .map(|unit| u16::from_be_bytes([unit[0], unit[1]]))
                .collect();
            String::from_utf16(&units).expect("no part ends inside a character")
        })
        .collect();
    assert_eq!(decoded, text);
    assert_ne!(
        gsm[0].0[3], wide_parts[0].0[3],
        "messages to different phones may share a reference, but these follow"
    );

    for id in [id, wide["id"].as_str().unwrap()] {
        let message = api.message_with(id, "delivered_to_client").await;
        assert_eq!(message["state"], "delivered");
        let states = message["parts"].as_array().unwrap();
        assert!(
            states
                .iter()
                .all(|part| part["state"] == "delivered" && part["operator"] == "alpha"),
            "{states:#?}"
        );
        let report = world.receiver.report(id).await;
        assert_eq!(report.body["message"]["state"], "delivered");
    }
    world.carrier.assert_content();
    world.gateway.stop().await;
    assert_eq!(
        world.receiver.all().len(),
        2,
        "one report a message, whatever its parts"
    );
}

#[tokio::test]
async fn one_failed_part_fails_the_message_and_a_binary_message_stays_as_it_is() {
    let mut world = World::start(
        &["--receipt-delay", "10", "--receipt-suffix", "77=UNDELIV"],
        |settings| settings,
    )
    .await;
    let api = &world.gateway.api;
    let failed = api.text("491700000077", &"x".repeat(200)).await;
    let message = api.message_once(&failed, "failed").await;
    assert_eq!(message["parts"].as_array().unwrap().len(), 2);

    let binary = api
        .submit(
            &json!({"from": "12345", "to": "491700000001", "binary": "00ff1b7f", "udh": "0605040b8423f0"}),
        )
        .await;
    assert_eq!(
        (&binary["encoding"], &binary["parts"]),
        (&json!("binary"), &json!(1))
    );
    let submit = world.carrier.submits_at_least(3).await.remove(2);
    assert_eq!(submit["short_message"], "0605040b8423f000ff1b7f");
    assert_eq!(
        (&submit["data_coding"], &submit["esm_class"]),
        (&json!(4), &json!(0x40))
    );
    world.gateway.stop().await;
}
