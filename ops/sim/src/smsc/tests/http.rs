//! The carrier over HTTP: the same machine, in requests and answers.

use super::*;
use crate::smsc::http::wire::{Cut as Messages, cut as cut_message, put};
use serde_json::{Value, json};

/// The connection on which deliveries are brought.
const BRINGER: u64 = 9;

/// An answer or a request: its first line, its body.
type Told = (String, String);

struct Api(Rig);

impl Api {
    fn new(changes: Value) -> Self {
        let mut rig = Rig::new(SmscOptions {
            protocol: Protocol::Http,
            system_id: Some("AC1".into()),
            password: Some("api-secret".into()),
            http: HttpQuirks {
                inbound: Some("127.0.0.1:9080".into()),
                inbound_header: Some("x-secret: s".into()),
                ..HttpQuirks::default()
            },
            ..SmscOptions::default()
        });
        let changed = rig.machine.options().with(&changes).unwrap();
        rig.machine.set_options(changed);
        let now = rig.moment();
        rig.machine.handle_opened(now, SessionId(1));
        let mut api = Self(rig);
        api.reach();
        api
    }

    fn reach(&mut self) {
        let now = self.0.moment();
        self.0.machine.handle_reached(now, SessionId(BRINGER));
        assert_eq!(self.read(BRINGER), []);
    }

    fn read(&mut self, session: u64) -> Vec<Told> {
        let octets = self.0.raw(session);
        let (mut rest, mut told) = (&octets[..], Vec::new());
        while let Messages::Message(message, taken) = cut_message(rest) {
            let body = String::from_utf8_lossy(message.body).into_owned();
            told.push((message.first.to_owned(), body));
            rest = &rest[taken..];
        }
        if !rest.is_empty() {
            told.push(("".into(), String::from_utf8_lossy(rest).into_owned()));
        }
        told
    }

    fn post(&mut self, line: &str, headers: &str, body: &str) -> Vec<Told> {
        let mut out = BytesMut::new();
        put(&mut out, line, headers, body.as_bytes());
        let now = self.0.moment();
        self.0.machine.handle_bytes(now, SessionId(1), &out);
        self.read(1)
    }

    fn ask(&mut self, message: &Value) -> Vec<Told> {
        let headers = "Authorization: Basic QUMxOmFwaS1zZWNyZXQ=\r\n";
        self.post("POST /messages HTTP/1.1", headers, &message.to_string())
    }

    fn submit(&mut self, to: &str) -> Vec<Told> {
        self.ask(&json!({"to": to, "from": "12345", "text": "hello"}))
    }

    /// Answers the oldest request that was brought.
    fn answer(&mut self, status: u16) -> Vec<Told> {
        let mut out = BytesMut::new();
        put(&mut out, &format!("HTTP/1.1 {status} so"), "", b"");
        let now = self.0.moment();
        self.0.machine.handle_bytes(now, SessionId(BRINGER), &out);
        self.read(BRINGER)
    }

    fn submits(&mut self) -> Vec<(String, String, u8, u8)> {
        self.0
            .records()
            .iter()
            .filter_map(|record| match record {
                CarrierRecord::Submit(submit) => Some((
                    submit.destination.clone(),
                    submit.octets.clone(),
                    submit.esm_class,
                    submit.data_coding,
                )),
                CarrierRecord::MoTaken(_) | CarrierRecord::AnswerLost(_) | CarrierRecord::Replaced(_) => None,
            })
            .collect()
    }

    fn lost(&mut self) -> usize {
        let is_lost = |record: &&CarrierRecord| matches!(record, CarrierRecord::AnswerLost(_));
        self.0.records().iter().filter(is_lost).count()
    }
}

fn accepted(id: &str) -> Told {
    let body = json!({"id": id, "status": "accepted"}).to_string();
    ("HTTP/1.1 202 Accepted".into(), body)
}

#[test]
fn a_message_is_answered_with_its_id_and_its_receipt_is_brought() {
    let mut api = Api::new(json!({}));
    assert_eq!(api.submit("+491700000001"), [accepted("101")]);
    let brought = api.read(BRINGER);
    let receipt = json!({"from": "12345", "id": "101", "status": "DELIVRD", "to": "491700000001"});
    assert_eq!(brought, [("POST /receipt HTTP/1.1".into(), receipt.to_string())]);
    assert_eq!(api.answer(200), []);
    assert_eq!(api.0.machine.stats().receipts_taken, 1);
    let line = ("491700000001".into(), "68656c6c6f".into(), 0, 0);
    assert_eq!(api.submits(), [line]);
}

#[test]
fn texts_octets_and_parts_are_what_they_are_on_air() {
    let mut api = Api::new(json!({"receipts": "never"}));
    for message in [
        json!({"to": "1", "text": "@Ж"}),
        json!({"to": "2", "data": "00ff"}),
        json!({"to": "3", "data": "00ff", "data_coding": "245"}),
        json!({"to": "4", "text": "é", "udh": "0500034d0201"}),
        json!({"to": "5", "text": "x".repeat(300)}),
    ] {
        assert_eq!(api.ask(&message).len(), 1);
    }
    let long = "78".repeat(300);
    let expected = [
        ("1", "00400416", 0, 8),
        ("2", "00ff", 0, 4),
        ("3", "00ff", 0, 245),
        ("4", "0500034d020105", 0x40, 0),
        ("5", &long, 0, 0),
    ]
    .map(|(to, octets, esm_class, coding)| (to.to_owned(), octets.to_owned(), esm_class, coding));
    assert_eq!(api.submits(), expected);
}

#[test]
fn what_is_no_message_is_refused_and_the_connection_goes_on() {
    let mut api = Api::new(json!({}));
    for (line, body, status) in [
        ("POST /messages HTTP/1.1", "{", 400),
        ("POST /messages HTTP/1.1", r#"{"to":"x","text":""}"#, 400),
        ("POST /messages HTTP/1.1", r#"{"to":"1"}"#, 400),
        ("GET /messages HTTP/1.1", "", 405),
        ("POST /else HTTP/1.1", "{}", 404),
    ] {
        let told = api.post(line, "", body);
        assert_eq!(told[0].0, format!("HTTP/1.1 {status} refused"), "{line} {body}");
    }
    assert_eq!(api.submit("491700000001"), [accepted("101")]);
    assert_eq!(api.post("nonsense", "", "")[0].0, "HTTP/1.1 400 refused");
    assert_eq!(api.0.machine.stats().submits, 1);
}

#[test]
fn statuses_have_their_counterparts_and_a_wrong_password_is_401() {
    for (status, told) in [
        (0x58, 429),
        (0x14, 503),
        (0x64, 503),
        (0x08, 500),
        (0x45, 500),
        (0x0b, 400),
        (422, 422),
    ] {
        let mut api = Api::new(json!({"reject": [format!("suffix:9={status}")]}));
        let refused = api.submit("49179");
        assert_eq!(refused[0].0, format!("HTTP/1.1 {told} refused"));
        assert_eq!(
            refused[0].1,
            json!({"status": "refused", "code": status}).to_string()
        );
    }
    let mut api = Api::new(json!({"password": "other"}));
    assert_eq!(api.submit("49170")[0].0, "HTTP/1.1 401 refused");
    assert_eq!(
        (api.0.flow(1), api.0.machine.stats().binds_refused),
        (Flow::Closing, 1)
    );
}

#[test]
fn requests_at_once_are_answered_in_their_order() {
    let mut api = Api::new(json!({"receipts": "never", "answer_delay": "10ms"}));
    assert_eq!(api.submit("49170"), []);
    api.0.pass(5);
    let changed = api
        .0
        .machine
        .options()
        .with(&json!({"answer_delay": "0ms"}))
        .unwrap();
    api.0.machine.set_options(changed);
    assert_eq!(api.submit("49171"), [], "the first goes first");
    api.0.pass(10);
    assert_eq!(api.read(1), [accepted("101"), accepted("102")]);
}

#[test]
fn an_answer_that_says_nothing_or_ends_in_the_middle_is_lost() {
    let mut api = Api::new(json!({"http": {"garbled_answers": 1.0}, "receipts": "never"}));
    assert_eq!(api.submit("49170")[0].1, "<html>thank you</html>");
    let told = api.submit("49171");
    assert!(told[0].0.is_empty(), "no HTTP at all: {told:?}");
    assert_eq!((api.submits().len(), api.lost()), (2, 2));
    let mut api = Api::new(json!({"http": {"half_answers": 1.0}, "receipts": "never"}));
    let told = api.submit("49170");
    assert!(
        told[0].1.starts_with("HTTP/1.1 202 Accepted\r\n") && !told[0].1.ends_with('}'),
        "{told:?}"
    );
    assert_eq!((api.submits().len(), api.lost()), (1, 1));
}

#[test]
fn what_is_reset_or_meets_an_error_is_not_taken() {
    let mut api = Api::new(json!({"http": {"resets": 1.0}}));
    assert_eq!(api.submit("49170"), []);
    assert_eq!(api.0.flow(1), Flow::Resetting);
    let mut api = Api::new(json!({"http": {"errors": 1.0}}));
    let told: Vec<String> = (0..2).map(|_| api.submit("49170")[0].0.clone()).collect();
    assert_eq!(told, ["HTTP/1.1 500 refused", "HTTP/1.1 503 refused"]);
    let stats = api.0.machine.stats();
    assert_eq!((stats.turned_away, stats.submits, api.submits().len()), (2, 0, 0));
}

#[test]
fn an_answer_to_a_connection_that_is_gone_is_lost() {
    let mut api = Api::new(json!({"answer_delay": "3s", "receipts": "never"}));
    assert_eq!(api.submit("49170"), []);
    api.0.pass(2000);
    api.0.lose(1);
    api.0.pass(3000);
    assert_eq!(api.read(1), []);
    assert_eq!(api.lost(), 1);
}

#[test]
fn what_the_gateway_does_not_take_is_brought_again() {
    let mut api = Api::new(json!({}));
    api.submit("49170");
    assert_eq!(api.read(BRINGER).len(), 1);
    assert_eq!(api.answer(503), []);
    api.0.pass(1000);
    assert_eq!(api.read(BRINGER).len(), 1, "after redeliver_after");
    api.0.lose(BRINGER);
    api.reach_with(1);
    assert_eq!(api.answer(422), []);
    let stats = api.0.machine.stats();
    assert_eq!((stats.redelivered, stats.deliveries_refused), (2, 1));
}

impl Api {
    /// Reaches the gateway while so many deliveries wait.
    fn reach_with(&mut self, waiting: usize) {
        let now = self.0.moment();
        self.0.machine.handle_reached(now, SessionId(BRINGER));
        assert_eq!(self.read(BRINGER).len(), waiting);
    }
}

#[test]
fn phones_write_texts_octets_and_parts_one_at_a_time() {
    for (batch, fields) in [
        (json!({"total": 1}), vec!["from", "text", "to"]),
        (
            json!({"total": 1, "encoding": "ucs2"}),
            vec!["from", "text", "to"],
        ),
        (
            json!({"total": 1, "encoding": "binary"}),
            vec!["data", "from", "to"],
        ),
        (json!({"total": 1, "parts": 2}), vec!["from", "text", "to", "udh"]),
    ] {
        let mut api = Api::new(json!({}));
        // An account is known once somebody has been there.
        let now = api.0.moment();
        api.0
            .machine
            .inject_mo(now, serde_json::from_value(batch.clone()).unwrap());
        let parts = batch["parts"].as_u64().unwrap_or(1);
        let mut told = api.read(BRINGER);
        for part in 1..=parts {
            let [(line, body)] = &told[..] else {
                panic!("{told:?}")
            };
            assert_eq!(line, "POST /mo HTTP/1.1");
            let body: Value = serde_json::from_str(body).unwrap();
            let names: Vec<&String> = body.as_object().unwrap().keys().collect();
            assert_eq!(names, fields, "{body}");
            told = api.answer(200);
            assert_eq!(told.is_empty(), part == parts);
        }
        assert_eq!(api.0.machine.stats().mo_taken, parts);
    }
}

#[test]
fn a_spoiled_delivery_and_an_unknown_request_are_brought_on_purpose() {
    let mut api =
        Api::new(json!({"malformed_every": 1, "deliveries": {"unknown_every": 1}, "receipts": "never"}));
    api.submit("49170");
    let brought = api.read(BRINGER);
    let lines: Vec<&str> = brought.iter().map(|(line, _)| line.as_str()).collect();
    assert_eq!(lines, ["POST /mo HTTP/1.1", "POST /nobody-has-this HTTP/1.1"]);
    assert!(serde_json::from_str::<Value>(&brought[0].1).is_err());
    api.answer(422);
    api.answer(404);
    let stats = api.0.machine.stats();
    assert_eq!((stats.malformed_answered, stats.deliveries_refused), (1, 0));
}
