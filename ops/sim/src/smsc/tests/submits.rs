//! Submits: what is taken, refused, throttled, recorded.

use super::*;
use serde_json::json;

#[test]
fn by_default_a_submit_is_recorded_answered_and_reported_at_once() {
    let mut rig = Rig::bound(SmscOptions::default());
    let text = b"t0000000100000007 hello";
    let out = rig.submit_on(
        1,
        7,
        &Submit {
            text,
            ..Submit::default()
        },
    );
    assert_eq!(answers(&out), [(7, 0, "101".into())]);
    let receipt = &out[1];
    assert!(
        receipt
            .text()
            .starts_with("id:101 sub:001 dlvrd:001 submit date:2611210800 "),
        "{}",
        receipt.text()
    );
    assert_eq!(receipt.message().source.value, b"491700000001");
    let records = rig.records();
    let [CarrierRecord::Submit(record)] = &records[..] else {
        panic!("{records:?}")
    };
    assert_eq!(
        (record.id.as_str(), record.fate, record.sequence),
        ("101", Fate::Accepted, 7)
    );
    assert_eq!(
        (record.token.unwrap().number, record.destination.as_str()),
        (7, "491700000001")
    );
    assert_eq!(
        (record.system_id.as_str(), record.octets.as_str()),
        ("test", crate::ledger::hex(text).as_str())
    );
    assert_eq!(rig.delivered(1, receipt.sequence, 0), []);
    let stats = rig.machine.stats();
    assert_eq!(
        (
            stats.accepted,
            stats.receipts,
            stats.receipts_taken,
            stats.outstanding
        ),
        (1, 1, 1, 0)
    );
}

#[test]
fn quirk_29_throttling_is_said_in_many_ways() {
    for status in [0x58, 0x14, 0x64, 0x45, 0x08, 0x400, 0x4ff] {
        let mut rig = Rig::with(json!({"throttle": 2, "throttle_status": status, "receipts": "never"}));
        for (at, sequence, expected) in [
            (0, 1, 0),
            (0, 2, 0),
            (0, 3, status),
            (999, 4, status),
            (1000, 5, 0),
        ] {
            rig.pass(at);
            assert_eq!(rig.submit(sequence, "49")[0].status, expected);
        }
        assert_eq!(
            (rig.machine.stats().throttled, rig.fates()[2]),
            (2, (Fate::Refused, status))
        );
    }
}

#[test]
fn quirk_30_slow_service_delays_answers_and_refuses_beyond_its_queue() {
    let submits = json!({"service_rate": 10.0, "service_queue": 3});
    let mut rig = Rig::with(json!({"receipts": "never", "submits": submits}));
    let refused: Vec<_> = (1..=5)
        .flat_map(|sequence| answers(&rig.submit(sequence, "49")))
        .collect();
    assert_eq!(refused, [(4, 0x58, String::new()), (5, 0x58, String::new())]);
    let counts = [99, 100, 199, 200, 300].map(|millis| answers(&rig.at(millis)).len());
    assert_eq!(counts, [0, 1, 0, 1, 1]);
}

#[test]
fn quirk_32_limits_are_per_account_and_may_count_sms_and_delivery_answers() {
    let mut rig = Rig::with(json!({"receipts": "never", "throttle": 2}));
    rig.bind(2, TRANSCEIVER);
    rig.submit(1, "49");
    assert_eq!(rig.submit_on(2, 1, &Submit::default())[0].status, 0);
    assert_eq!(rig.submit(2, "49")[0].status, 0x58);

    let long = vec![b'x'; 400];
    let tlvs: &[(u16, &[u8])] = &[(wire::tag::MESSAGE_PAYLOAD, &long)];
    let submit = Submit {
        text: b"",
        tlvs,
        ..Submit::default()
    };
    let mut rig = Rig::with(json!({"receipts": "never", "throttle": 5, "submits": {"count_parts": true}}));
    assert_eq!(rig.submit_on(1, 1, &submit)[0].status, 0);
    assert_eq!(rig.submit_on(1, 2, &submit)[0].status, 0x58);
    assert_eq!(
        [
            rig.submit(3, "49")[0].status,
            rig.submit(4, "49")[0].status,
            rig.submit(5, "49")[0].status
        ],
        [0, 0, 0x58]
    );

    let mut rig = Rig::with(json!({"throttle": 2, "submits": {"count_delivery_answers": true}}));
    let receipt = rig.submit(1, "49")[1].sequence;
    rig.delivered(1, receipt, 0);
    assert_eq!(rig.submit(2, "49")[0].status, 0x58);
}

#[test]
fn quirk_40_validity_is_refused_by_form_or_length() {
    let status = |quirks: serde_json::Value, validity: &str| {
        let mut rig = Rig::with(json!({"receipts": "never", "submits": quirks}));
        rig.submit_on(
            1,
            1,
            &Submit {
                validity,
                ..Submit::default()
            },
        )[0]
        .status
    };
    let (absolute, relative) = ("261122080000000+", "000002000000000R");
    for (form, of_absolute, of_relative, of_none) in [
        ("any", 0, 0, 0),
        ("absolute", 0, 0x62, 0),
        ("relative", 0x62, 0, 0),
        ("empty", 0x62, 0x62, 0),
    ] {
        let quirks = json!({"validity": form});
        assert_eq!(status(quirks.clone(), absolute), of_absolute, "{form}");
        assert_eq!(status(quirks.clone(), relative), of_relative, "{form}");
        assert_eq!(status(quirks, ""), of_none, "{form}");
    }
    assert_eq!(status(json!({"validity_max": "48h"}), relative), 0);
    assert_eq!(status(json!({"validity_max": "47h"}), relative), 0x62);
}

#[test]
fn quirk_42_a_service_type_of_more_than_five_characters_is_refused() {
    let status = |strict: bool, service_type: &str| {
        let mut rig = Rig::with(json!({"receipts": "never", "submits": {"strict_service_type": strict}}));
        rig.submit_on(
            1,
            1,
            &Submit {
                service_type,
                ..Submit::default()
            },
        )[0]
        .status
    };
    assert_eq!(
        (
            status(true, "PREM5"),
            status(true, "PREM50"),
            status(false, "PREM50")
        ),
        (0, 0x15, 0)
    );
}

#[test]
fn quirk_39_senders_and_numbers_are_checked_when_told() {
    let status = |quirks: serde_json::Value, source: (u8, &str), to: (u8, &str)| {
        let mut rig = Rig::with(json!({"receipts": "never", "submits": quirks}));
        rig.submit_on(
            1,
            1,
            &Submit {
                source,
                to,
                ..Submit::default()
            },
        )[0]
        .status
    };
    let strict = json!({"strict_addresses": true});
    assert_eq!(status(strict.clone(), (5, "Shop"), (1, "49170")), 0);
    assert_eq!(status(strict.clone(), (1, "Shop"), (1, "49170")), 0x48);
    assert_eq!(status(strict.clone(), (5, "12345"), (1, "49170")), 0x48);
    assert_eq!(status(strict.clone(), (3, "12345"), (1, "+49170")), 0x0b);
    assert_eq!(status(strict, (3, "12345"), (1, "0049170")), 0x0b);
    assert_eq!(
        status(json!({"alphanumeric_max": 11}), (5, "TwelveLetter"), (1, "49170")),
        0x0a
    );
}

#[test]
fn quirk_34_user_data_must_fit_its_coding_when_told() {
    let status = |data_coding: u8, text: &[u8]| {
        let mut rig = Rig::with(json!({"receipts": "never", "submits": {"strict_data_coding": true}}));
        rig.submit_on(
            1,
            1,
            &Submit {
                data_coding,
                text,
                ..Submit::default()
            },
        )[0]
        .status
    };
    assert_eq!(
        (
            status(0, b"a\x7f"),
            status(0, b"\x80"),
            status(8, b"ab"),
            status(8, b"abc")
        ),
        (0, 0x45, 0, 0x45)
    );
}

#[test]
fn rules_refuse_by_number_and_by_share() {
    let mut rig = Rig::with(json!({"receipts": "never", "reject": ["suffix:000=0x0b", "prefix:4999=69"]}));
    let statuses = [(1, "4917000"), (2, "499911"), (3, "491711")].map(|(n, to)| rig.submit(n, to)[0].status);
    assert_eq!(statuses, [0x0b, 69, 0]);
    let mut rig = Rig::with(json!({"reject": ["share:0.3=8"]}));
    for sequence in 0..1000 {
        rig.submit(sequence, "49");
    }
    let stats = rig.machine.stats();
    assert!(
        (250..350).contains(&stats.refused) && stats.refused + stats.accepted == 1000,
        "{stats:?}"
    );
}

#[test]
fn submits_beyond_the_window_or_without_a_bind_are_refused_and_wrong_lengths_named() {
    let mut rig = Rig::with(json!({"window": 1, "answer_delay": "1s", "receipts": "never"}));
    assert_eq!(rig.submit(1, "49"), []);
    assert_eq!(rig.submit(2, "49")[0].status, 0x58);
    rig.bind(2, id::BIND_RECEIVER);
    assert_eq!(rig.submit_on(2, 1, &Submit::default())[0].status, 0x04);
    let mut rig = Rig::bound(SmscOptions::default());
    let mut cut = request(id::SUBMIT_SM, 3, |out| Submit::default().body(out));
    cut.truncate(cut.len() - 3);
    cut[3] -= 3;
    assert_eq!(rig.feed(1, &cut)[0].status, 0x01);
    assert_eq!(rig.feed(1, &request(id::SUBMIT_SM, 4, |_| {}))[0].status, 0x02);
}

#[test]
fn an_answer_may_never_come_though_the_message_was_accepted() {
    let mut rig = Rig::with(json!({"never_answer": 1.0}));
    let out = rig.submit(1, "49");
    assert_eq!((receipts(&out).len(), out.len()), (1, 1));
    assert_eq!(rig.fates(), [(Fate::Unanswered, 0)]);
}

#[test]
fn an_answer_that_a_cut_may_have_overtaken_is_recorded_as_lost_and_an_older_one_is_not() {
    let mut rig = Rig::with(json!({"receipts": "never"}));
    rig.submit(1, "49");
    rig.pass(1_000);
    rig.submit(2, "49");
    rig.pass(1_400);
    let now = rig.moment();
    rig.machine.cut_all(now);
    rig.out(1);
    let lost: Vec<String> = rig
        .records()
        .into_iter()
        .filter_map(|record| match record {
            CarrierRecord::AnswerLost(lost) => Some(lost.id),
            CarrierRecord::Submit(_) | CarrierRecord::MoTaken(_) | CarrierRecord::Replaced(_) => None,
        })
        .collect();
    assert_eq!(lost, ["102"]);
    assert_eq!(rig.machine.stats().unanswered, 0);
}

#[test]
fn a_state_by_recipient_is_the_same_each_time_and_stands_in_the_ledger() {
    let mut rig = Rig::with(json!({"states_by_recipient": true, "states": ["undeliv=0.5"]}));
    let mut told = std::collections::BTreeMap::new();
    for round in 0..2 {
        for number in 0..20_u32 {
            rig.submit(1 + number + round * 20, &format!("4917{number:08}"));
        }
    }
    for record in rig.records() {
        let CarrierRecord::Submit(submit) = record else {
            continue;
        };
        let state = submit.state.expect("each has one");
        assert_eq!(
            told.insert(submit.destination, state.clone())
                .unwrap_or(state.clone()),
            state
        );
    }
    let failed = told.values().filter(|state| *state == "UNDELIV").count();
    assert!(told.len() == 20 && (4..=16).contains(&failed), "{told:?}");
}

#[test]
fn malformed_deliveries_and_their_answers_are_counted() {
    let mut rig = Rig::with(json!({"malformed_every": 1, "receipts": "never"}));
    rig.submit(1, "49");
    let stats = rig.machine.stats();
    assert_eq!((stats.malformed_deliveries, stats.malformed_answered), (1, 0));
    rig.delivered(1, 0x7000_0001, 8);
    let stats = rig.machine.stats();
    assert_eq!((stats.malformed_answered, stats.unmatched), (1, 1));
}

#[test]
fn every_nth_submit_cuts_the_connection_after_the_answers_before_it() {
    let mut rig = Rig::with(json!({"drop_every": 2, "answer_delay": "50ms", "receipts": "never"}));
    rig.submit(1, "49");
    assert_eq!(rig.flow(1), Flow::Open);
    assert_eq!(rig.submit(2, "49"), []);
    assert_eq!(rig.flow(1), Flow::Closing);
    assert_eq!(rig.submit(3, "49"), []);
    rig.pass(50);
    rig.out(1);
    assert_eq!(rig.fates(), [(Fate::Accepted, 0), (Fate::Cut, 0)]);
    let records = rig.records();
    assert!(
        matches!(records.last(), Some(CarrierRecord::AnswerLost(lost)) if lost.id == "101"),
        "{records:?}"
    );
    let stats = rig.machine.stats();
    assert_eq!((stats.submits, stats.unanswered, stats.cut), (2, 1, 1));
    let mut rig = Rig::with(json!({"drop_share": 1.0, "receipts": "never"}));
    rig.submit(1, "49");
    assert_eq!(rig.flow(1), Flow::Closing);
}

#[test]
fn quirk_19_malformed_and_unknown_pdus_come_after_every_nth_submit() {
    let quirks = json!({"receipts": "never", "malformed_every": 2, "deliveries": {"unknown_every": 3, "alert_every": 1}});
    let mut rig = Rig::with(quirks);
    let seen: Vec<u32> = (1..=3)
        .flat_map(|sequence| ids(&rig.submit(sequence, "49")))
        .collect();
    let (answer, alert) = (ANSWER | id::SUBMIT_SM, id::ALERT_NOTIFICATION);
    assert_eq!(
        seen,
        [
            answer,
            alert,
            answer,
            id::DELIVER_SM,
            alert,
            answer,
            0x0001_0203,
            alert
        ]
    );
    let mut rig = Rig::with(json!({"receipts": "never", "deliveries": {"bad_length_every": 1}}));
    let now = rig.moment();
    let submit = request(id::SUBMIT_SM, 1, |out| Submit::default().body(out));
    rig.machine.handle_bytes(now, SessionId(1), &submit);
    assert!(
        rig.raw(1)
            .windows(8)
            .any(|octets| octets == [0, 0, 0, 8, 0, 0, 0, 5])
    );
}

#[test]
fn data_sm_and_submit_multi_are_accepted() {
    let mut rig = Rig::bound(SmscOptions::default());
    let data_sm = request(id::DATA_SM, 5, |out| {
        put_string(out, b"");
        put_address(out, 0, 0, b"1");
        put_address(out, 1, 1, b"49");
        out.put_slice(&[0, 1, 0]);
        put_tlv(out, wire::tag::MESSAGE_PAYLOAD, b"hi");
    });
    assert_eq!(
        ids(&rig.feed(1, &data_sm)),
        [ANSWER | id::DATA_SM, id::DELIVER_SM]
    );
    let multi = request(id::SUBMIT_MULTI, 6, |out| {
        put_string(out, b"");
        put_address(out, 0, 0, b"1");
        out.put_u8(2);
        for to in ["491", "492"] {
            out.put_u8(1);
            put_address(out, 1, 1, to.as_bytes());
        }
        out.put_slice(&[0, 0, 0, 0, 0, 1, 0, 0, 0, 2]);
        out.put_slice(b"hi");
    });
    let out = rig.feed(1, &multi);
    assert_eq!(
        ids(&out),
        [ANSWER | id::SUBMIT_MULTI, id::DELIVER_SM, id::DELIVER_SM]
    );
    assert_eq!(out[0].body, b"102\0\0");
    let to: Vec<String> = rig
        .records()
        .into_iter()
        .filter_map(|record| match record {
            CarrierRecord::Submit(submit) => Some(submit.destination),
            _ => None,
        })
        .collect();
    assert_eq!(to, ["49", "491", "492"]);
}

#[test]
fn query_cancel_and_replace_are_answered_from_the_store() {
    let mut rig = Rig::with(json!({"receipt_delay": "10s"}));
    rig.submit(1, "491700000001");
    let query = |sequence| {
        request(id::QUERY_SM, sequence, |out| {
            put_string(out, b"101");
            put_address(out, 3, 0, b"12345");
        })
    };
    assert_eq!(rig.feed(1, &query(2))[0].body, b"101\0\0\x01\0");
    let replace = request(id::REPLACE_SM, 3, |out| {
        put_string(out, b"101");
        put_address(out, 3, 0, b"12345");
        out.put_slice(&[0, 0, 1, 0, 3]);
        out.put_slice(b"new");
    });
    assert_eq!(
        (rig.feed(1, &replace)[0].status, rig.machine.stats().replaced),
        (0, 1)
    );
    assert!(matches!(rig.records().last(), Some(CarrierRecord::Replaced(it)) if it.octets == "6e6577"));
    let cancel = |sequence, from: &str| {
        request(id::CANCEL_SM, sequence, |out| {
            put_string(out, b"");
            put_string(out, b"101");
            put_address(out, 3, 0, from.as_bytes());
            put_address(out, 1, 1, b"491700000001");
        })
    };
    assert_eq!(rig.feed(1, &cancel(4, "other"))[0].status, 0x11);
    let out = rig.feed(1, &cancel(5, "12345"));
    assert_eq!(ids(&out), [ANSWER | id::CANCEL_SM, id::DELIVER_SM]);
    assert!(out[1].text().contains("stat:DELETED"));
    assert_eq!(
        rig.feed(1, &query(6))[0].body,
        b"101\x00261121080000000+\0\x04\x01"
    );
    // Final is final, and the receipt that was planned does not come.
    assert_eq!(rig.feed(1, &cancel(7, "12345"))[0].status, 0x11);
    assert_eq!(rig.feed(1, &replace)[0].status, 0x13);
    assert_eq!(receipts(&rig.at(10_000)).len(), 0);
    let unknown = request(id::QUERY_SM, 8, |out| {
        put_string(out, b"nothing");
        put_address(out, 3, 0, b"12345");
    });
    assert_eq!(rig.feed(1, &unknown)[0].status, 0x67);
}

#[test]
fn answers_that_no_socket_had_when_the_peer_hung_up_are_recorded_as_lost() {
    let mut rig = Rig::with(json!({"receipts": "never"}));
    assert_eq!(rig.submit(2, "491700000001").len(), 1);
    let now = rig.moment();
    for sequence in [3, 4] {
        let submit = request(id::SUBMIT_SM, sequence, |out| Submit::default().body(out));
        rig.machine.handle_bytes(now, SessionId(1), &submit);
    }
    assert!(rig.machine.has_unsent(SessionId(1)));
    rig.machine.handle_hung_up(SessionId(1));
    assert_eq!(rig.out(1), []);
    assert!(!rig.machine.has_unsent(SessionId(1)));
    let lost = rig
        .records()
        .iter()
        .filter(|record| matches!(record, CarrierRecord::AnswerLost(_)))
        .count();
    assert_eq!(
        (lost, rig.machine.stats().unanswered),
        (2, 2),
        "the first was sent"
    );
}
