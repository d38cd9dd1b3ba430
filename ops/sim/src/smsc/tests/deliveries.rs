//! Receipts and messages from phones: when, how often, to whom.

use super::*;

#[test]
fn receipts_are_sent_when_asked_for_always_or_never_and_twice_if_so_told() {
    let sent = |receipts, states: &[&str], duplicate_receipts, registered_delivery| {
        let states = states.iter().map(|state| state.parse().unwrap()).collect();
        let mut rig = Rig::bound(SmscOptions {
            receipts,
            states,
            duplicate_receipts,
            ..SmscOptions::default()
        });
        let message = SubmitSm {
            registered_delivery,
            short_message: "x".into(),
            ..SubmitSm::default()
        };
        rig.event(
            1,
            SmscEvent::Submit {
                sequence: 1,
                operation: Operation::DataSm,
                message,
            },
        )
        .len()
            - 1
    };
    for (when, states, duplicates, asked, expected) in [
        (ReceiptWhen::Asked, &[][..], 0.0, 0, 0),
        (ReceiptWhen::Asked, &[], 0.0, 1, 1),
        (ReceiptWhen::Asked, &[], 0.0, 2, 0),
        (ReceiptWhen::Asked, &["undeliv=1"], 0.0, 2, 1),
        (ReceiptWhen::Asked, &["undeliv=1"], 0.0, 3, 0),
        (ReceiptWhen::Asked, &[], 0.0, 3, 1),
        (ReceiptWhen::Always, &[], 0.0, 0, 1),
        (ReceiptWhen::Never, &[], 1.0, 1, 0),
        (ReceiptWhen::Asked, &[], 1.0, 1, 2),
    ] {
        assert_eq!(
            sent(when, states, duplicates, asked),
            expected,
            "{when:?} {states:?} {duplicates} {asked}"
        );
    }
}

#[test]
fn states_are_mixed_by_their_shares() {
    let states = ["undeliv=0.5", "expired=0.25"]
        .map(|state| state.parse().unwrap())
        .to_vec();
    let mut rig = Rig::bound(SmscOptions {
        states,
        deliver_window: 2000,
        ..SmscOptions::default()
    });
    let mut seen = [0_u32; 3];
    for sequence in 0..1000 {
        let did = rig.submit(sequence, "49");
        match receipts(&did[1..])[0].2.state {
            ReceiptState::Undeliverable => seen[0] += 1,
            ReceiptState::Expired => seen[1] += 1,
            ReceiptState::Delivered => seen[2] += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(
        (450..550).contains(&seen[0]) && (200..300).contains(&seen[1]) && (200..300).contains(&seen[2]),
        "{seen:?}"
    );
}

#[test]
fn the_receipt_has_the_id_in_its_other_form() {
    let mut rig = Rig::bound(SmscOptions {
        ids: IdFormat::HexThenDecimal,
        ..SmscOptions::default()
    });
    let did = rig.submit(1, "49");
    assert_eq!(did[0], ok(1, "65"));
    assert_eq!(receipts(&did[1..])[0].2.id, "101");
}

#[test]
fn deliveries_keep_to_the_window_and_follow_as_they_are_answered() {
    let mut rig = Rig::bound(SmscOptions {
        deliver_window: 2,
        ..SmscOptions::default()
    });
    let sent: usize = (1..=5).map(|sequence| rig.submit(sequence, "49").len() - 1).sum();
    assert_eq!(
        (sent, rig.machine.stats().waiting, rig.machine.stats().outstanding),
        (2, 3, 2)
    );
    let next = receipts(&rig.delivered(1, 1, CommandStatus::OK));
    assert_eq!((next.len(), next[0].2.id.as_str()), (1, "103"));
}

#[test]
fn what_was_unanswered_at_a_cut_goes_to_the_next_bind_in_order() {
    let mut rig = Rig::bound(SmscOptions {
        deliver_window: 2,
        ..SmscOptions::default()
    });
    for sequence in 1..=3 {
        rig.submit(sequence, "49");
    }
    assert_eq!(rig.closed(1), []);
    assert_eq!(rig.bind(2, BindKind::Transmitter), [(2, Did::Accepted)]);
    let did = rig.bind(3, BindKind::Receiver);
    assert_eq!(did[0], (3, Did::Accepted));
    let again = receipts(&did[1..]);
    assert_eq!(
        again
            .iter()
            .map(|(_, _, receipt)| receipt.id.as_str())
            .collect::<Vec<_>>(),
        ["101", "102"]
    );
    let (_, tag, _) = again[0];
    let next = receipts(&rig.delivered(3, tag, CommandStatus::OK));
    assert_eq!(next[0].2.id, "103");
    assert_eq!(rig.machine.stats().redelivered, 2);
    // The session's end is told twice: by itself and by whoever drives it.
    rig.machine.handle_ended(SessionId(1));
    assert_eq!((rig.did(), rig.machine.stats().redelivered), (vec![], 2));
}

#[test]
fn receipts_of_one_account_never_go_to_another() {
    let mut rig = Rig::bound(SmscOptions {
        receipt_delay: Duration::from_millis(5),
        ..SmscOptions::default()
    });
    assert_eq!(
        rig.bind_as(2, BindKind::Transceiver, "other", ""),
        [(2, Did::Accepted)]
    );
    rig.submit(1, "49");
    assert_eq!(rig.closed(1), []);
    assert_eq!(rig.at(5), []);
    assert_eq!(rig.bind(3, BindKind::Receiver).len(), 2);
}

#[test]
fn a_delivery_comes_again_after_a_temporary_error_or_a_timeout_and_not_after_a_final_one() {
    let mut rig = Rig::bound(SmscOptions::default());
    rig.submit(1, "49");
    assert_eq!(rig.delivered(1, 1, CommandStatus::TEMPORARY_APP_ERROR), []);
    assert_eq!(rig.at(999), []);
    assert_eq!(receipts(&rig.at(1000))[0].1, 2);
    assert_eq!(receipts(&rig.event(1, SmscEvent::TimedOut { tag: 2 }))[0].1, 3);
    assert_eq!(rig.delivered(1, 3, CommandStatus::PERMANENT_APP_ERROR), []);
    assert_eq!(rig.at(100_000), []);
    let stats = rig.machine.stats();
    assert_eq!(
        (stats.redelivered, stats.deliveries_refused, stats.receipts_taken),
        (2, 1, 0)
    );
}

#[test]
fn a_full_outbox_forgets_the_oldest_and_says_so() {
    let mut rig = Rig::bound(SmscOptions {
        deliver_window: 1,
        outbox: 2,
        ..SmscOptions::default()
    });
    for sequence in 1..=5 {
        rig.submit(sequence, "49");
    }
    assert_eq!(
        (
            rig.machine.stats().waiting,
            rig.machine.stats().deliveries_forgotten
        ),
        (2, 2)
    );
    assert_eq!(receipts(&rig.delivered(1, 1, CommandStatus::OK))[0].2.id, "104");
}

#[test]
fn messages_from_phones_wait_for_a_bind_and_are_recorded_when_taken() {
    let mut rig = Rig::new(SmscOptions {
        deliver_window: 2,
        ..SmscOptions::default()
    });
    let now = rig.moment();
    rig.machine.inject_mo(
        now,
        MoBatch {
            total: 3,
            ..MoBatch::default()
        },
    );
    assert_eq!((rig.did(), rig.machine.poll_timeout()), (vec![], None));
    let did = rig.bind(1, BindKind::Transceiver);
    assert_eq!(did.len(), 3);
    let Did::Delivered { tag, message } = &did[1].1 else {
        panic!("{did:?}")
    };
    let token = Token::find(message.payload(), false, 0).unwrap();
    assert_eq!((token.way, token.number, message.esm_class), (Way::Mo, 0, 0));
    let tag = *tag;
    assert_eq!(rig.delivered(1, tag, CommandStatus::OK).len(), 1);
    let [CarrierRecord::MoTaken(taken)] = &rig.records[..] else {
        panic!("{:?}", rig.records)
    };
    assert_eq!((taken.token, taken.destination.as_str()), (Some(token), "12345"));
    assert_eq!((rig.machine.stats().mo, rig.machine.stats().mo_taken), (3, 1));
}

#[test]
fn messages_from_phones_keep_to_their_rate() {
    let mut rig = Rig::bound(SmscOptions::default());
    let now = rig.moment();
    rig.machine.inject_mo(
        now,
        MoBatch {
            total: 3,
            rate: 10.0,
            ..MoBatch::default()
        },
    );
    assert_eq!(rig.did().len(), 1);
    assert_eq!(
        rig.machine.poll_timeout(),
        Some(rig.start + Duration::from_millis(100))
    );
    assert_eq!(
        (
            rig.at(99).len(),
            rig.at(100).len(),
            rig.at(1000).len(),
            rig.at(2000).len()
        ),
        (0, 1, 1, 0)
    );
    assert_eq!(rig.machine.poll_timeout(), None);
}

#[test]
fn other_requests_are_answered_as_failed_and_cut_all_cuts_every_session() {
    let mut rig = Rig::bound(SmscOptions::default());
    let now = rig.moment();
    let cancel = SmscEvent::Cancel {
        sequence: 4,
        cancel: smsgw_smpp::pdu::CancelSm::default(),
    };
    rig.machine.handle_event(now, SessionId(1), cancel);
    let action = rig.machine.poll_action().unwrap();
    let status = CommandStatus::CANCEL_FAILED;
    assert_eq!(
        action.command,
        SimCommand::Smsc(SmscCommand::AnswerCancel { sequence: 4, status })
    );
    rig.machine.cut_all();
    assert_eq!(rig.did(), [(1, Did::Cut)]);
}
