//! The gateway works with a carrier on Jasmin's SMPP stack, which reads every field and is stricter than most.
//!
//! What that stack reports as an error is an event `malformed` and fails the test, whoever of the two is to blame. The
//! same traffic passes a dissector that is neither's.

use crate::harness::{
    Carrier, Gateway, Receiver, Relay, Settings, content, dissect, hex, ucs2, unhex, usual,
};
use serde_json::{Value, json};
use std::path::PathBuf;
use tempfile::TempDir;

/// One gateway, a recording relay, one carrier.
#[derive(Debug)]
struct Trip {
    gateway: Gateway,
    relay: Relay,
    carrier: Carrier,
    receiver: Receiver,
    recording: PathBuf,
    _dir: TempDir,
}

impl Trip {
    async fn start(args: &[&str], adapt: impl FnOnce(Settings) -> Settings) -> Self {
        let receiver = Receiver::start().await;
        let carrier = Carrier::twisted(&[&["--receipt-delay", "5"], args].concat()).await;
        let dir = tempfile::tempdir().unwrap();
        let recording = dir.path().join("trip.pcapng");
        let relay = Relay::start(carrier.port, &recording).await;
        adapt(usual(relay.port, &receiver.url())).write(dir.path());
        let gateway = Gateway::start(dir.path()).await;
        Self {
            gateway,
            relay,
            carrier,
            receiver,
            recording,
            _dir: dir,
        }
    }

    /// Sends a message; returns the state of its first report and the submits it made.
    async fn send(&self, message: &Value) -> (String, Vec<Value>) {
        let before = self.carrier.submits().len();
        let accepted = self.gateway.api.submit(message).await;
        let report = self.receiver.report(accepted["id"].as_str().unwrap()).await;
        let state = report.body["message"]["state"].as_str().unwrap().to_owned();
        (state, self.carrier.submits().split_off(before))
    }

    /// Sends a message that must be delivered; returns its submits.
    async fn deliver(&self, message: &Value) -> Vec<Value> {
        let (state, submits) = self.send(message).await;
        assert_eq!(state, "delivered", "{message}: {submits:#?}");
        submits
    }

    /// Every receipt was matched by the id as it came; then the gateway stops, and both judges are content.
    async fn end(mut self) {
        let submits = self.carrier.submits();
        let accepted = submits.iter().filter(|submit| submit["status"] == 0).count();
        let alpha = ("operator", "alpha");
        self.gateway
            .metric_at_least(
                "smsgw_receipts_matched_total",
                &[alpha, ("form", "same")],
                accepted as f64,
            )
            .await;
        let metrics = self.gateway.metrics().await;
        for (name, expected) in [
            ("smsgw_receipts_matched_total", accepted as f64),
            ("smsgw_receipts_unknown_total", 0.0),
        ] {
            let found = metrics.sum(name, &[alpha]);
            assert!((found - expected).abs() < 0.5, "{name}: {found}, not {expected}");
        }

        self.carrier.answered("receipt_answered", accepted).await;
        self.gateway.stop().await;
        self.carrier.events_at_least("closed", 1).await;
        self.relay.stop().await;
        self.carrier.assert_content();
        let unbinds = self.carrier.ledger.read(|entries| {
            entries
                .iter()
                .filter(|entry| entry["event"] == "unbind")
                .cloned()
                .collect::<Vec<_>>()
        });
        assert_eq!(unbinds, [json!({"event": "unbind", "unacknowledged": 0})]);

        let (content, said) = dissect(&self.recording, self.carrier.port).await;
        assert!(content, "{said}");
        let pdus: usize = said
            .lines()
            .find_map(|line| line.strip_prefix("pdus ")?.parse().ok())
            .unwrap();
        let least = 4 + 2 * submits.len() + 2 * accepted;
        assert!(pdus >= least, "{pdus} PDUs, at least {least} passed: {said}");
    }
}

#[tokio::test]
async fn every_kind_of_message_passes_a_carrier_on_jasmins_stack() {
    let mut trip = Trip::start(
        &["--reject", "99=0x0b", "--receipt-suffix", "98=UNDELIV"],
        |settings| settings.line("operator.alpha", "enquire_link = \"1s\""),
    )
    .await;
    let (from, to) = ("12345", "491700000001");

    let short = trip
        .deliver(&json!({"from": "ACME", "to": to, "text": "5 € {curly}", "validity": "10m"}))
        .await;
    assert_eq!(content(&short[0]), b"5 \x1b\x65 \x1b\x28curly\x1b\x29");
    let found = &short[0];
    assert_eq!(
        (
            &found["source"],
            &found["source_ton"],
            &found["dest"],
            &found["dest_ton"]
        ),
        (&json!("ACME"), &json!(5), &json!(to), &json!(1))
    );
    assert_eq!(
        (&found["data_coding"], &found["registered_delivery"]),
        (&json!(0), &json!(1))
    );
    let validity = found["validity"].as_str().expect("the carrier read a time");
    assert!(validity.starts_with("20"), "{validity}");

    let wide = trip
        .deliver(&json!({"from": from, "to": to, "text": "Привет 😀"}))
        .await;
    assert_eq!(
        (&wide[0]["data_coding"], content(&wide[0])),
        (&json!(8), ucs2("Привет 😀"))
    );

    let text = "long ".repeat(100);
    let parts = trip.deliver(&json!({"from": from, "to": to, "text": text})).await;
    let headers: Vec<_> = parts
        .iter()
        .map(|part| unhex(part["udh"].as_str().unwrap()))
        .collect();
    let reference = headers[0][3];
    for (number, header) in headers.iter().enumerate() {
        let number = u8::try_from(number + 1).unwrap();
        assert_eq!(header[..], [5, 0, 3, reference, 4, number]);
    }
    assert_eq!(
        parts.iter().flat_map(content).collect::<Vec<_>>(),
        text.as_bytes()
    );

    let binary = trip
        .deliver(&json!({"from": from, "to": to, "binary": "00ff1b7f", "udh": "0605040b8423f0"}))
        .await;
    assert_eq!(
        (&binary[0]["short_message"], &binary[0]["esm_class"]),
        (&json!("0605040b8423f000ff1b7f"), &json!(0x40))
    );
    trip.deliver(&json!({"from": from, "to": to, "text": "flash", "flash": true}))
        .await;

    // A refusal without a body, and a receipt that says no.
    let (state, _) = trip
        .send(&json!({"from": from, "to": "491700000099", "text": "refused"}))
        .await;
    assert_eq!(state, "rejected");
    let (state, _) = trip
        .send(&json!({"from": from, "to": "491700000098", "text": "undeliverable"}))
        .await;
    assert_eq!(state, "failed");

    for (coding, octets, text) in [
        (0, b"Ja \x00 5 \x1b\x65".to_vec(), "Ja @ 5 €"),
        (8, ucs2("Ответ 😀"), "Ответ 😀"),
    ] {
        trip.carrier
            .command(
                &json!({"cmd": "mo", "from": to, "to": from, "data_coding": coding, "hex": hex(&octets)}),
            )
            .await;
        let callback = trip.receiver.mo(text, |mo| mo["text"] == text).await;
        assert_eq!(
            (&callback.body["message"]["from"], &callback.body["message"]["to"]),
            (&json!(to), &json!(from))
        );
    }
    trip.carrier.answered("mo_answered", 2).await;

    // Each side asks and is answered.
    trip.carrier.events_at_least("enquire_link", 1).await;
    trip.carrier.command(&json!({"cmd": "enquire_link"})).await;
    trip.carrier.events_at_least("enquire_link_answered", 1).await;
    trip.end().await;
}

#[tokio::test]
async fn long_messages_in_optional_parameters_pass_and_jasmins_brief_receipts_are_matched() {
    let text = "длинный ".repeat(20);
    let message = json!({"from": "12345", "to": "491700000001", "text": text});

    let sar = Trip::start(&["--receipt-brief"], |settings| {
        settings.line("operator.alpha", "long_messages = \"sar\"")
    })
    .await;
    let parts = sar.deliver(&message).await;
    assert!(
        parts
            .iter()
            .all(|part| part["esm_class"] == 0 && part["udh"] == ""),
        "{parts:#?}"
    );
    let reference = &parts[0]["sar"][0];
    assert!(reference.is_u64(), "{reference}");
    for (number, part) in parts.iter().enumerate() {
        assert_eq!(part["sar"], json!([reference, parts.len(), number + 1]));
    }
    assert_eq!(parts.iter().flat_map(content).collect::<Vec<_>>(), ucs2(&text));
    sar.end().await;

    let payload = Trip::start(&["--receipt-brief"], |settings| {
        settings.line("operator.alpha", "long_messages = \"payload\"")
    })
    .await;
    let whole = payload.deliver(&message).await;
    assert_eq!(whole.len(), 1, "{whole:#?}");
    assert_eq!(
        (&whole[0]["short_message"], &whole[0]["message_payload"]),
        (&json!(""), &json!(hex(&ucs2(&text))))
    );
    payload.end().await;
}

#[tokio::test]
async fn a_bind_refused_without_a_body_is_understood() {
    let mut trip = Trip::start(&["--password", "other"], |settings| settings).await;
    trip.carrier.events_at_least("bind_refused", 1).await;
    trip.gateway
        .process
        .out
        .wait("the refused bind is logged", |lines| {
            lines
                .iter()
                .any(|line| line.contains("ESME_RINVPASWD"))
                .then_some(())
        })
        .await;
    assert_eq!(trip.carrier.events("malformed"), 0);
    trip.gateway.stop().await;
}
