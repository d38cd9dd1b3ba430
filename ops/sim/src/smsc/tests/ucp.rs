//! The UCP centre: the same machine, in frames.

use super::*;
use crate::smsc::ucp::wire::{Cut as Frames, cut as cut_frame, hex, put};
use serde_json::json;

/// A frame as the tests compare it: TRN, O or R, OT, fields.
type Told = (u8, char, u8, Vec<String>);

struct Centre(Rig);

impl Centre {
    fn new(changes: serde_json::Value) -> Self {
        let changes = options(changes);
        let mut rig = Rig::new(SmscOptions {
            protocol: Protocol::Ucp,
            password: Some("secret".into()),
            ..changes
        });
        let now = rig.moment();
        rig.machine.handle_opened(now, SessionId(1));
        let mut centre = Self(rig);
        let told = centre.ask(
            0,
            60,
            &[
                "12345",
                "6",
                "5",
                "1",
                &hex(b"secret"),
                "",
                "0100",
                "",
                "",
                "",
                "",
                "",
            ],
        );
        assert_eq!(told, [(0, 'R', 60, vec!["A".to_owned(), String::new()])]);
        centre
    }

    fn read(&mut self) -> Vec<Told> {
        let octets = self.0.raw(1);
        let (mut rest, mut told) = (&octets[..], Vec::new());
        loop {
            match cut_frame(rest) {
                Frames::Frame(frame, taken) => {
                    assert!(frame.is_sound || frame.fields == ["spoiled"], "{frame:?}");
                    let fields = frame.fields.iter().map(|field| (*field).to_owned()).collect();
                    told.push((
                        frame.trn,
                        if frame.is_operation { 'O' } else { 'R' },
                        frame.ot,
                        fields,
                    ));
                    rest = &rest[taken..];
                }
                Frames::Noise(taken) => rest = &rest[taken..],
                Frames::Partial => return told,
            }
        }
    }

    fn give(&mut self, octets: &[u8]) -> Vec<Told> {
        let now = self.0.moment();
        self.0.machine.handle_bytes(now, SessionId(1), octets);
        self.read()
    }

    fn ask(&mut self, trn: u8, ot: u8, fields: &[&str]) -> Vec<Told> {
        let mut out = BytesMut::new();
        put(&mut out, trn, true, ot, fields, 0);
        self.give(&out)
    }

    fn answer(&mut self, trn: u8, ot: u8, fields: &[&str]) -> Vec<Told> {
        let mut out = BytesMut::new();
        put(&mut out, trn, false, ot, fields, 0);
        self.give(&out)
    }

    fn submit(&mut self, trn: u8, to: &str) -> Vec<Told> {
        let mut fields = [""; 33];
        (fields[0], fields[1], fields[3], fields[5], fields[18], fields[20]) =
            (to, "12345", "1", "3", "3", "48656C6C6F");
        self.ask(trn, 51, &fields)
    }
}

#[test]
fn a_submit_is_answered_and_its_notification_has_the_same_time_stamp() {
    let mut centre = Centre::new(json!({}));
    let told = centre.submit(7, "00491700000001");
    let [answer, notification] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(
        *answer,
        (
            7,
            'R',
            51,
            vec!["A".into(), String::new(), "00491700000001:211126080000".into()]
        )
    );
    let (trn, 'O', 53, fields) = notification else {
        panic!("{told:?}")
    };
    assert_eq!(
        (fields.len(), fields[0].as_str(), fields[1].as_str()),
        (33, "12345", "491700000001")
    );
    assert_eq!(
        (&*fields[14], &*fields[15], &*fields[16], &*fields[17]),
        ("211126080000", "0", "000", "211126080000")
    );
    assert_eq!(centre.answer(*trn, 53, &["A", "", ""]), []);
    assert_eq!(centre.0.machine.stats().receipts_taken, 1);
    let lines = centre.0.records();
    let CarrierRecord::Submit(line) = &lines[0] else {
        panic!("{lines:?}")
    };
    assert_eq!(
        (&*line.destination, &*line.source, &*line.octets),
        ("491700000001", "12345", "48656c6c6f")
    );
}

#[test]
fn a_notification_before_the_answer_has_the_time_stamp_of_the_answer_to_come() {
    let mut centre = Centre::new(json!({"receipt_first": true, "answer_delay": "1500ms"}));
    let told = centre.submit(7, "00491700000001");
    assert_eq!(
        (told.len(), told[0].2, told[0].3[14].as_str()),
        (1, 53, "211126080000")
    );
    centre.0.pass(1500);
    assert_eq!(centre.read()[0].3[2], "00491700000001:211126080000");
}

#[test]
fn refusals_are_error_codes() {
    let mut centre = Centre::new(json!({"reject": ["suffix:6=0x06", "suffix:8=0x58"]}));
    for (to, code) in [("0049176", "06"), ("0049178", "04")] {
        assert_eq!(
            centre.submit(1, to),
            [(1, 'R', 51, vec!["N".into(), code.into(), "refused".into()])]
        );
    }
    assert_eq!(centre.ask(2, 61, &["x"])[0].3[1], "03");
    let mut spoiled = BytesMut::new();
    put(&mut spoiled, 3, true, 51, &["x"], 1);
    assert_eq!(
        centre.give(&spoiled),
        [(3, 'R', 51, vec!["N".into(), "01".into(), "refused".into()])]
    );
    assert_eq!(centre.0.machine.stats().undecodable, 2);
}

#[test]
fn a_wrong_password_is_error_7_and_a_keep_alive_is_answered() {
    let mut centre = Centre::new(json!({}));
    assert_eq!(
        centre.ask(9, 31, &["12345", "0539"]),
        [(9, 'R', 31, vec!["A".into(), String::new()])]
    );
    let now = centre.0.moment();
    centre.0.machine.handle_opened(now, SessionId(2));
    let mut login = BytesMut::new();
    put(
        &mut login,
        0,
        true,
        60,
        &["12345", "6", "5", "1", &hex(b"wrong"), "", "0100"],
        0,
    );
    centre.0.machine.handle_bytes(now, SessionId(2), &login);
    let octets = centre.0.raw(2);
    let Frames::Frame(frame, _) = cut_frame(&octets) else {
        panic!()
    };
    assert_eq!(
        (frame.fields, frame.is_operation),
        (vec!["N", "07", "refused"], false)
    );
    assert_eq!(centre.0.flow(2), Flow::Closing);
}

#[test]
fn an_answer_that_is_late_or_given_twice_keeps_its_trn() {
    let mut centre = Centre::new(
        json!({"answers": {"late_share": 1.0, "late_after": "60s", "duplicate_answers": 1.0}, "receipts": "never"}),
    );
    assert_eq!(centre.submit(42, "0049170"), []);
    centre.0.pass(60_000);
    let told: Vec<_> = centre.read().into_iter().filter(|told| told.1 == 'R').collect();
    assert_eq!((told.len(), told[0].0, told[1].0), (2, 42, 42));
}

#[test]
fn phones_write_text_names_binary_and_parts() {
    for (mo, mt, xser) in [
        (json!({"mo": 1}), "3", ""),
        (json!({"mo": 1, "mo-encoding": "ucs2"}), "4", "020108"),
        (json!({"mo": 1, "mo-parts": 2}), "3", "010605000300"),
    ] {
        let mut centre = Centre::new(json!({}));
        let mo = mo.as_object().unwrap().clone();
        let mut batch = serde_json::to_value(MoBatch::default()).unwrap();
        for (key, value) in mo {
            batch[key.trim_start_matches("mo-").replace("mo", "total")] = value;
        }
        let now = centre.0.moment();
        centre
            .0
            .machine
            .inject_mo(now, serde_json::from_value(batch).unwrap());
        let told = centre.read();
        let (trn, 'O', 52, fields) = &told[0] else {
            panic!("{told:?}")
        };
        assert_eq!((&*fields[0], &*fields[18]), ("12345", mt), "{told:?}");
        assert!(fields[30].starts_with(xser), "{fields:?}");
        centre.answer(*trn, 52, &["A", "", ""]);
        assert_eq!(centre.0.machine.stats().mo_taken, 1);
    }
}

#[test]
fn a_delivery_refused_for_now_comes_again_and_one_refused_for_good_does_not() {
    let mut centre = Centre::new(json!({}));
    let told = centre.submit(7, "0049170");
    centre.answer(told[1].0, 53, &["N", "04", ""]);
    centre.0.pass(1000);
    let again = centre.read();
    assert_eq!(again[0].2, 53);
    centre.answer(again[0].0, 53, &["N", "02", ""]);
    assert_eq!(centre.0.machine.stats().deliveries_refused, 1);
}

#[test]
fn never_more_deliveries_wait_than_there_are_trns() {
    let mut centre = Centre::new(json!({"deliver_window": 1000}));
    let mut trns: Vec<u8> = Vec::new();
    for number in 0..150_u32 {
        let told = centre.submit(u8::try_from(number % 100).unwrap(), &format!("0049170{number}"));
        trns.extend(told.iter().filter(|told| told.1 == 'O').map(|told| told.0));
    }
    assert_eq!(trns.len(), 90);
    trns.sort_unstable();
    trns.dedup();
    assert_eq!(trns.len(), 90, "each under a TRN of its own");
}

#[test]
fn a_spoiled_delivery_and_an_unknown_operation_are_sent_on_purpose() {
    let mut centre =
        Centre::new(json!({"malformed_every": 1, "deliveries": {"unknown_every": 1}, "receipts": "never"}));
    let told = centre.submit(7, "0049170");
    let kinds: Vec<u8> = told
        .iter()
        .filter(|told| told.1 == 'O')
        .map(|told| told.2)
        .collect();
    assert_eq!(kinds, [52, 99]);
    centre.answer(told[1].0, 52, &["N", "01", ""]);
    assert_eq!(centre.0.machine.stats().malformed_answered, 1);
}

#[test]
fn a_trn_whose_answer_is_late_is_not_given_to_another_delivery() {
    let mut centre = Centre::new(json!({"deliver_timeout": "1s", "deliver_window": 60}));
    for number in 0..60_u8 {
        centre.submit(number, &format!("0049170{number}"));
    }
    // Nobody answers: they are sent again, as far as there are TRNs.
    centre.0.pass(1000);
    let again = centre.read();
    assert_eq!(again.iter().filter(|told| told.2 == 53).count(), 40);
    for trn in 0..100 {
        centre.answer(trn, 53, &["A", "", ""]);
    }
    let stats = centre.0.machine.stats();
    assert_eq!((stats.late_answers, stats.receipts_taken), (60, 40));
    centre.0.pass(2000);
    let rest = centre.read();
    assert_eq!(
        rest.iter().filter(|told| told.2 == 53).count(),
        20,
        "the others have not been taken"
    );
}
