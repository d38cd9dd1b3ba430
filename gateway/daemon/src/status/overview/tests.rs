//! What both drawings look like, and that nothing in them can hurt a terminal.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::super::draw::Glyphs;
use super::super::schema::{Alarm, Channel, EngineState, Listener, Receipts};
use super::super::tree;
use super::*;
use std::collections::BTreeMap;

const AT: &str = "2026-11-21T03:00:00.000Z";

fn part(name: &str, state: &str, children: Vec<Part>) -> Part {
    Part {
        name: name.to_owned(),
        kind: "task".to_owned(),
        state: state.to_owned(),
        since: "2026-11-21T02:56:48.000Z".to_owned(),
        restart_at: None,
        restarts: 0,
        last_error: None,
        failed_at: None,
        mailbox: (!children.is_empty()).then_some(0),
        channels: Vec::new(),
        children,
    }
}

fn failing() -> Part {
    Part {
        restart_at: Some("2026-11-21T03:00:07.000Z".to_owned()),
        restarts: 4,
        last_error: Some(format!(
            "panicked: {}\u{1b}[31m red",
            "words and words ".repeat(8)
        )),
        failed_at: Some("2026-11-21T02:59:57.000Z".to_owned()),
        ..part("link-a_rather_long_carrier_name-1-tx", "backing off", Vec::new())
    }
}

fn of_receipts(operator: &str, form: Option<&str>, [matched, parked, unknown]: [u64; 3]) -> Receipts {
    Receipts {
        operator: operator.to_owned(),
        group: operator.to_owned(),
        form: form.map(str::to_owned),
        configured: form.is_some(),
        matched,
        parked,
        unknown,
        matched_share: (matched > 0).then_some(0.9997),
    }
}

fn status() -> Status {
    let busy = Part {
        channels: vec![Channel {
            name: "settlements".to_owned(),
            depth: 3,
            capacity: 512,
        }],
        ..part("dispatch", "running", Vec::new())
    };
    let link = Link {
        operator: "alpha".to_owned(),
        link: "alpha-1".to_owned(),
        bind: "transceiver".to_owned(),
        state: "bound".to_owned(),
        since: "2026-11-20T03:00:00.000Z".to_owned(),
        peer: Some("192.0.2.7:2775".to_owned()),
        host: Some("smsc.example.net:2775".to_owned()),
        tls: true,
        version: Some("3.4".to_owned()),
        reason: None,
        next_try: None,
        orders: vec!["held".to_owned()],
        rate: Some(50.0),
        rate_now: Some(43.75),
        in_flight: 12,
        window: 100,
        sent_per_second: 1234.5,
        received_per_second: 0.0,
        answer_p50_ms: Some(12.345),
        answer_p99_ms: Some(1834.2),
        last_error: Some("ESME_RTHROTTLED\u{1b}[2J".to_owned()),
        last_error_at: Some("2026-11-21T02:59:57.000Z".to_owned()),
    };
    let places = |ready| BTreeMap::from([("ready".to_owned(), ready), ("dead_letter".to_owned(), 2)]);
    Status {
        at: AT.to_owned(),
        node: "gw1".to_owned(),
        version: "0.1.0".to_owned(),
        pid: 42,
        epoch: 3,
        ready: false,
        unready: Some("out of disk space".to_owned()),
        engine: EngineState {
            health: "low_space".to_owned(),
            cause: None,
        },
        alarms: vec![Alarm {
            severity: "critical".to_owned(),
            kind: "engine".to_owned(),
            subject: "engine".to_owned(),
            text: "less disk space is free than engine.min_free_disk: no messages are taken".to_owned(),
        }],
        listeners: vec![Listener {
            name: "http".to_owned(),
            address: "127.0.0.1:8080".to_owned(),
        }],
        queues: BTreeMap::from([
            ("mt.accepted".to_owned(), places(7)),
            (format!("mt.operator.{}", "x".repeat(60)), places(123_456_789)),
            ("empty".to_owned(), BTreeMap::new()),
        ]),
        links: Some(vec![link]),
        receipts: Some(vec![
            of_receipts("alpha", Some("hex-to-decimal"), [9997, 12, 3]),
            of_receipts("beta", None, [0, 1, 0]),
            of_receipts("silent", None, [0, 0, 0]),
        ]),
        tree: Some(part(
            "smsgw",
            "running",
            vec![
                part("callback", "running", vec![busy]),
                part(
                    "operator",
                    "running",
                    vec![failing(), part("keeper", "running", Vec::new())],
                ),
            ],
        )),
    }
}

#[test]
fn the_overview_says_what_is_wrong_first_and_fits() {
    let drawn = draw(&status());
    let expected = "\
gw1 smsgw 0.1.0 pid 42 epoch 3 engine low_space NOT READY: out of disk space

ALARMS
 !! engine engine: less disk space is free than engine.min_free_disk: no
      messages are taken

LISTENERS
  http     127.0.0.1:8080

LINKS           bind       state    for  in flight   out/s    in/s p50 ms p99 ms
  alpha-1        trx       bound  1d00h     12/100  1234.5     0.0   12.3   1834
      to 192.0.2.7:2775 (smsc.example.net:2775), TLS, SMPP 3.4
      operator's rate 50/s, now 43.8/s: the carrier throttles, HELD
      last error 3s ago: ESME_RTHROTTLED.[2J

RECEIPTS                                ids   matched   parked  unknown    share
  alpha                hex-to-decimal (set)      9997       12        3  100.0 %
  beta                            not known         0        1        0        -

QUEUES                        ready   in fl. deferred     held     dead  corrupt
  mt.operator.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
                             123.4M        0        0        0        2        0
  mt.accepted                     7        0        0        0        2        0

PARTS 5 running, 1 backing off; 4 restarts, the last failure at 02:59:57Z
      smsgw status --tree shows which and why
";
    assert_eq!(drawn, expected, "{drawn}");
}

#[test]
fn the_tree_shows_every_part_and_why_one_failed() {
    let drawn = tree::draw(&status(), Glyphs::LINES);
    let expected = "\
PART                                              state     for restarts mailbox
smsgw                                           running   3m12s        0       0
├─ callback                                     running   3m12s        0       0
│  └─ dispatch                                  running   3m12s        0       -
│         channel settlements: 3 of 512
└─ operator                                     running   3m12s        0       0
   ├─ link-a_rather_long_carrier_name-1-tx  backing off   3m12s        4       -
   │      starts again at 03:00:07Z (in 7s)
   │      failed at 02:59:57Z, 3s ago: panicked: words and words words and words
   │        words and words words and words words and words words and words
   │        words and words words and words .[31m red
   └─ keeper                                    running   3m12s        0       -
";
    assert_eq!(drawn, expected, "{drawn}");
    let plain = tree::draw(&status(), Glyphs::ASCII);
    assert!(plain.is_ascii() && plain.contains("`- operator"), "{plain}");
}

#[test]
fn no_line_is_wider_than_a_terminal_and_none_steers_it() {
    for drawn in [draw(&status()), tree::draw(&status(), Glyphs::LINES)] {
        for line in drawn.lines() {
            assert!(
                line.chars().count() <= WIDTH || line.starts_with("  mt.operator.x"),
                "{line}"
            );
            assert!(!line.contains('\u{1b}'), "{line}");
        }
    }
}

#[test]
fn the_shape_survives_json_and_unknown_fields() {
    let mut json = serde_json::to_value(status()).unwrap();
    assert_eq!(serde_json::from_value::<Status>(json.clone()).unwrap(), status());
    json["of_a_later_version"] = true.into();
    json["links"][0]["also"] = 1.into();
    assert_eq!(serde_json::from_value::<Status>(json).unwrap(), status());
}

#[test]
fn counts_stay_in_their_columns() {
    for (count, said) in [
        (0, "0"),
        (9_999_999, "9999999"),
        (10_000_000, "10.0M"),
        (9_999_999_999, "9999.9M"),
        (u64::MAX, "18446744073G"),
    ] {
        assert_eq!(short(count), said);
    }
}
