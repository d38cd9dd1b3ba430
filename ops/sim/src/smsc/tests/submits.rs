//! Binds, submits and their answers.

use super::*;

#[test]
fn a_bind_is_taken_from_the_right_account_only() {
    let account = SmscOptions {
        system_id: Some("a".into()),
        password: Some("p".into()),
        ..SmscOptions::default()
    };
    for (options, system_id, password, expected) in [
        (SmscOptions::default(), "any", "thing", Did::Accepted),
        (account.clone(), "a", "p", Did::Accepted),
        (account.clone(), "b", "p", Did::Refused(0x0f)),
        (account.clone(), "a", "q", Did::Refused(0x0e)),
        (
            SmscOptions {
                refuse_binds: 0x0d,
                ..account
            },
            "a",
            "p",
            Did::Refused(0x0d),
        ),
    ] {
        let mut rig = Rig::new(options);
        assert_eq!(
            rig.bind_as(1, BindKind::Transceiver, system_id, password),
            [(1, expected)]
        );
    }
}

#[test]
fn by_default_a_submit_is_recorded_answered_and_reported_at_once() {
    let mut rig = Rig::bound(SmscOptions::default());
    let did = rig.submit(7, "491700000001");
    assert_eq!(did[0], ok(7, "101"));
    let [(1, tag, receipt)] = &receipts(&did[1..])[..] else {
        panic!("{did:?}")
    };
    assert_eq!(
        (receipt.id.as_str(), receipt.state),
        ("101", ReceiptState::Delivered)
    );
    let [CarrierRecord::Submit(record)] = &rig.records[..] else {
        panic!("{:?}", rig.records)
    };
    assert_eq!(
        (record.id.as_str(), record.fate, record.sequence),
        ("101", Fate::Accepted, 7)
    );
    assert_eq!(
        record.token,
        Some(Token {
            way: Way::Mt,
            run: 1,
            number: 7
        })
    );
    assert_eq!(
        (record.destination.as_str(), record.system_id.as_str()),
        ("491700000001", "test")
    );
    assert!(record.octets.ends_with("2068656c6c6f"));
    let tag = *tag;
    assert_eq!(rig.delivered(1, tag, CommandStatus::OK), []);
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
fn answers_and_receipts_take_their_time() {
    let millis = Duration::from_millis;
    let options = SmscOptions {
        answer_delay: millis(50),
        receipt_delay: millis(20),
        ..SmscOptions::default()
    };
    let mut rig = Rig::bound(options.clone());
    assert_eq!(rig.submit(1, "49"), []);
    assert_eq!(rig.machine.poll_timeout(), Some(rig.start + millis(50)));
    assert_eq!(rig.at(49), []);
    assert_eq!(rig.at(50), [ok(1, "101")]);
    assert_eq!(rig.at(69), []);
    assert_eq!(receipts(&rig.at(70)).len(), 1);

    let mut rig = Rig::bound(SmscOptions {
        receipt_first: true,
        ..options
    });
    assert_eq!(rig.submit(1, "49"), []);
    assert_eq!(receipts(&rig.at(20)).len(), 1);
    assert_eq!(rig.at(50), [ok(1, "101")]);

    let mut rig = Rig::bound(SmscOptions {
        receipt_first: true,
        ..SmscOptions::default()
    });
    let did = rig.submit(1, "49");
    assert_eq!((receipts(&did[..1]).len(), &did[1]), (1, &ok(1, "101")));
}

#[test]
fn jitter_spreads_answers_within_its_bound_and_the_seed_repeats_it() {
    let options = SmscOptions {
        answer_delay: Duration::from_millis(10),
        answer_jitter: Duration::from_millis(100),
        receipts: ReceiptWhen::Never,
        ..SmscOptions::default()
    };
    let times = |seed| {
        let mut rig = Rig::bound(SmscOptions {
            seed,
            ..options.clone()
        });
        for sequence in 0..20 {
            rig.submit(sequence, "49");
        }
        let mut times = Vec::new();
        for millis in 0..=110 {
            times.extend(rig.at(millis).into_iter().map(|did| (millis, did)));
        }
        times
    };
    let first = times(1);
    assert_eq!((first.len(), &first), (20, &times(1)));
    assert!(first.iter().all(|(millis, _)| *millis >= 10));
    assert_ne!(first, times(2));
}

#[test]
fn a_submit_above_the_rate_is_throttled_until_the_second_is_over() {
    let mut rig = Rig::bound(SmscOptions {
        throttle: 2,
        receipts: ReceiptWhen::Never,
        ..SmscOptions::default()
    });
    assert_eq!(rig.submit(1, "49"), [ok(1, "101")]);
    assert_eq!(rig.submit(2, "49"), [ok(2, "102")]);
    assert_eq!(rig.submit(3, "49"), [refused(3, 0x58)]);
    rig.now = 999;
    assert_eq!(rig.submit(4, "49"), [refused(4, 0x58)]);
    rig.now = 1000;
    assert_eq!(rig.submit(5, "49"), [ok(5, "103")]);
    assert_eq!(rig.machine.stats().throttled, 2);
    assert_eq!(rig.fates()[2], (Fate::Refused, 0x58));
}

#[test]
fn rules_refuse_by_number_and_by_share() {
    let reject = ["suffix:000=0x0b", "prefix:4999=69"]
        .map(|rule| rule.parse().unwrap())
        .to_vec();
    let mut rig = Rig::bound(SmscOptions {
        reject,
        receipts: ReceiptWhen::Never,
        ..SmscOptions::default()
    });
    assert_eq!(rig.submit(1, "4917000"), [refused(1, 0x0b)]);
    assert_eq!(rig.submit(2, "499911"), [refused(2, 69)]);
    assert_eq!(rig.submit(3, "491711"), [ok(3, "101")]);
    let reject = vec!["share:0.3=8".parse().unwrap()];
    let mut rig = Rig::bound(SmscOptions {
        reject,
        ..SmscOptions::default()
    });
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
fn an_answer_may_never_come_though_the_message_was_accepted() {
    let mut rig = Rig::bound(SmscOptions {
        never_answer: 1.0,
        ..SmscOptions::default()
    });
    assert_eq!(receipts(&rig.submit(1, "49")).len(), 1);
    assert_eq!(
        (rig.at(3_600_000), rig.fates()),
        (vec![], vec![(Fate::Unanswered, 0)])
    );
}

#[test]
fn every_nth_submit_cuts_the_connection_after_the_answers_before_it() {
    let mut rig = Rig::bound(SmscOptions {
        drop_every: 3,
        receipts: ReceiptWhen::Never,
        ..SmscOptions::default()
    });
    let did: Vec<_> = (1..=3).flat_map(|sequence| rig.submit(sequence, "49")).collect();
    assert_eq!(did, [ok(1, "101"), ok(2, "102"), (1, Did::Cut)]);
    assert_eq!(rig.fates()[2], (Fate::Cut, 0));
    let mut rig = Rig::bound(SmscOptions {
        drop_share: 1.0,
        receipts: ReceiptWhen::Never,
        ..SmscOptions::default()
    });
    assert_eq!(rig.submit(1, "49"), [(1, Did::Cut)]);
}

#[test]
fn malformed_pdus_are_sent_after_every_nth_submit() {
    let mut rig = Rig::bound(SmscOptions {
        malformed_every: 2,
        receipts: ReceiptWhen::Never,
        ..SmscOptions::default()
    });
    let did: Vec<_> = (1..=4).flat_map(|sequence| rig.submit(sequence, "49")).collect();
    assert_eq!(
        did,
        [
            ok(1, "101"),
            ok(2, "102"),
            (1, Did::Raw),
            ok(3, "103"),
            ok(4, "104"),
            (1, Did::Raw)
        ]
    );
}

#[test]
fn a_cut_connection_brings_nothing_more_and_answers_it_still_owed_are_recorded_as_lost() {
    let options = SmscOptions {
        drop_every: 2,
        answer_delay: Duration::from_millis(50),
        receipts: ReceiptWhen::Never,
        ..SmscOptions::default()
    };
    let mut rig = Rig::bound(options);
    assert_eq!(rig.submit(1, "49"), []);
    assert_eq!(rig.submit(2, "49"), [(1, Did::Cut)]);
    assert_eq!(rig.submit(3, "49"), []);
    assert_eq!(rig.closed(1), []);
    assert_eq!(rig.at(50), []);
    assert_eq!(rig.fates(), [(Fate::Accepted, 0), (Fate::Cut, 0)]);
    let lost = rig.records.last().unwrap();
    assert!(
        matches!(lost, CarrierRecord::AnswerLost(lost) if lost.id == "101"),
        "{lost:?}"
    );
    let stats = rig.machine.stats();
    assert_eq!((stats.submits, stats.unanswered, stats.cut), (2, 1, 1));
}
