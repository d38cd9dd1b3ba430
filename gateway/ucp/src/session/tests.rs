//! Two ends against each other in virtual time, and one end against octets that a peer might send.

use super::*;
use crate::operation::{Message, MessageKind};
use proptest::prelude::*;
use smsgw_session::Session as _;

const SECOND: Duration = Duration::from_secs(1);

fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

fn login() -> Login {
    Login::new(text("12345"), "secret")
}

fn submit(to: &str) -> Operation {
    let message = Message {
        adc: text(to),
        oadc: text("12345"),
        mt: text("3"),
        msg: Text::hex(b"Hello"),
        ..Message::default()
    };
    Operation::Message(MessageKind::Submit, Box::new(message))
}

fn events(session: &mut UcpSession) -> Vec<UcpEvent> {
    std::iter::from_fn(|| session.poll_event()).collect()
}

fn bytes(session: &mut UcpSession) -> Vec<u8> {
    let mut out = BytesMut::new();
    session.poll_transmit(&mut out);
    out.to_vec()
}

fn frames(session: &mut UcpSession) -> Vec<String> {
    let text = String::from_utf8(bytes(session)).unwrap();
    text.split_terminator('\x03')
        .map(|frame| frame.trim_start_matches('\x02').to_owned())
        .collect()
}

/// A client whose login was taken, with nothing left to be read.
fn bound(config: UcpConfig, now: Instant) -> UcpSession {
    let mut session = UcpSession::new(
        UcpConfig {
            login: Some(login()),
            ..config
        },
        now,
    );
    frames(&mut session);
    session.handle_bytes(now, &frame(0, false, 60, "A/"));
    assert_eq!(events(&mut session), [UcpEvent::Bound]);
    session
}

fn command(session: &mut UcpSession, now: Instant, tag: u64) {
    session.handle_command(
        now,
        UcpCommand::Submit {
            tag,
            operation: submit("00491700000001"),
        },
    );
}

fn frame(trn: u8, is_operation: bool, ot: u8, fields: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let head = crate::frame::Head {
        trn: Trn::new(trn).unwrap(),
        is_operation,
        ot: OperationType(ot),
    };
    crate::frame::write(head, fields.split('/'), &mut out);
    out
}

/// The result of a submit.
fn result(trn: u8, fields: &str) -> Vec<u8> {
    frame(trn, false, 51, fields)
}

#[test]
fn a_login_is_the_first_frame_and_its_answer_binds() {
    let t0 = Instant::now();
    let config = UcpConfig {
        login: Some(login()),
        ..UcpConfig::default()
    };
    let mut session = UcpSession::new(config.clone(), t0);
    let sent = frames(&mut session);
    assert_eq!(sent.len(), 1);
    assert!(
        sent[0].starts_with("00/00052/O/60/12345/6/5/1/736563726574//0100//////"),
        "{sent:?}"
    );
    assert_eq!((session.free_slots(), session.is_bound()), (0, false));
    session.handle_bytes(t0, &frame(0, false, 60, "A/"));
    assert_eq!((session.free_slots(), session.is_bound()), (10, true));
    assert!(!format!("{config:?}").contains("secret"));

    let mut refused = UcpSession::new(config.clone(), t0);
    refused.handle_bytes(t0, &frame(0, false, 60, "N/07/Authentication failure"));
    let told = events(&mut refused);
    assert!(
        matches!(
            told[0],
            UcpEvent::LoginRefused {
                code: ErrorCode(7),
                ..
            }
        ),
        "{told:?}"
    );
    let cause = CloseCause::LoginRefused(ErrorCode(7));
    assert_eq!(
        told[1],
        UcpEvent::Closed {
            cause,
            in_doubt: Vec::new()
        }
    );

    let mut silent = UcpSession::new(config, t0);
    let due = silent.poll_timeout().unwrap();
    assert_eq!(due, t0 + 30 * SECOND);
    silent.handle_timeout(due);
    assert_eq!(
        events(&mut silent),
        [UcpEvent::Closed {
            cause: CloseCause::LoginTimeout,
            in_doubt: Vec::new()
        }]
    );
}

#[test]
fn a_late_answer_is_matched_and_its_trn_was_not_used_meanwhile() {
    let t0 = Instant::now();
    let config = UcpConfig {
        window: 100,
        keep_alive: None,
        ..UcpConfig::default()
    };
    let mut session = bound(config, t0);
    for tag in 0..100 {
        command(&mut session, t0, tag);
    }
    assert_eq!((session.free_slots(), frames(&mut session).len()), (0, 100));
    session.handle_timeout(t0 + 30 * SECOND);
    assert_eq!(events(&mut session).len(), 100);
    // Every TRN is reserved: nothing can be sent, and nothing is sent under a TRN that may still be answered.
    assert_eq!((session.free_slots(), session.reserved()), (0, 100));
    command(&mut session, t0 + 31 * SECOND, 100);
    assert_eq!(
        events(&mut session),
        [UcpEvent::NotSent {
            tag: 100,
            why: NotSent::WindowFull
        }]
    );
    // TRN 00 was the login's, so 01 carried the first.
    session.handle_bytes(t0 + 60 * SECOND, &result(1, "A//00491700000001:211126120000"));
    let told = events(&mut session);
    let UcpEvent::LateAnswer {
        tag: 0,
        outcome,
        took,
    } = &told[0]
    else {
        panic!("{told:?}")
    };
    assert_eq!(
        (outcome.key(), *took),
        (Some(("00491700000001", "211126120000")), 60 * SECOND)
    );
    assert_eq!(session.free_slots(), 1);
    command(&mut session, t0 + 61 * SECOND, 101);
    assert!(frames(&mut session)[0].starts_with("01/"));
    // Tombstones end.
    session.handle_timeout(t0 + 330 * SECOND);
    assert_eq!(session.reserved(), 1);
}

#[test]
fn stop_and_wait_has_one_operation_under_way_keep_alive_or_message() {
    let t0 = Instant::now();
    let mut session = bound(
        UcpConfig {
            window: 1,
            ..UcpConfig::default()
        },
        t0,
    );
    session.handle_timeout(t0 + 30 * SECOND);
    assert!(frames(&mut session)[0].contains("/O/31//0539/"));
    assert_eq!(session.free_slots(), 0);
    session.handle_bytes(t0 + 31 * SECOND, &frame(1, false, 31, "A/0000"));
    assert_eq!((session.free_slots(), events(&mut session)), (1, vec![]));
    command(&mut session, t0 + 32 * SECOND, 7);
    frames(&mut session);
    // Silence while a message waits: the message's own deadline tells.
    session.handle_timeout(t0 + 61 * SECOND);
    assert_eq!(frames(&mut session).len(), 0);
    session.handle_timeout(t0 + 62 * SECOND);
    assert_eq!(events(&mut session), [UcpEvent::TimedOut { tag: 7 }]);
}

#[test]
fn a_peer_that_answers_no_keep_alive_is_left_and_one_that_sends_is_not() {
    let t0 = Instant::now();
    let mut dead = bound(UcpConfig::default(), t0);
    dead.handle_timeout(t0 + 30 * SECOND);
    dead.handle_timeout(t0 + 60 * SECOND);
    let told = events(&mut dead);
    assert_eq!(
        told,
        [UcpEvent::Closed {
            cause: CloseCause::KeepAliveTimeout,
            in_doubt: Vec::new()
        }]
    );

    let mut busy = bound(UcpConfig::default(), t0);
    busy.handle_timeout(t0 + 30 * SECOND);
    busy.handle_bytes(t0 + 45 * SECOND, &frame(44, true, 31, "x/0539"));
    busy.handle_timeout(t0 + 60 * SECOND);
    assert!(!busy.is_closed());
}

#[test]
fn an_alert_of_the_centre_is_answered_at_once() {
    let t0 = Instant::now();
    let mut session = bound(UcpConfig::default(), t0);
    let alert = Alert {
        adc: text("12345"),
        pid: text("0539"),
    };
    session.handle_bytes(t0, &frame(44, true, 31, "12345/0539"));
    assert_eq!(events(&mut session), [UcpEvent::Alerted(alert)]);
    let sent = frames(&mut session);
    assert!(sent[0].starts_with("44/00019/R/31/A//"), "{sent:?}");
}

#[test]
fn what_cannot_be_understood_is_refused_in_its_own_transaction_and_the_rest_goes_on() {
    let t0 = Instant::now();
    let mut session = bound(UcpConfig::default(), t0);
    let unknown = String::from_utf8(frame(7, true, 99, "x")).unwrap();
    for (frame, answer) in [
        (
            "07/00070/O/01/01234567890/09876543210//3/53686F7274204D657373616765/D8",
            "07/00036/R/01/N/01/Checksum error/",
        ),
        (
            "07/00071/O/01/01234567890/09876543210//3/53686F7274204D657373616765/D9",
            "07/00034/R/01/N/02/Syntax error/",
        ),
        (
            unknown.trim_matches(['\x02', '\x03']),
            "07/00055/R/99/N/03/Operation not supported by system/",
        ),
    ] {
        session.handle_bytes(t0, format!("\x02{frame}\x03").as_bytes());
        let told = events(&mut session);
        assert!(
            matches!(
                told[..],
                [UcpEvent::Undecodable(Undecodable {
                    answered: Some(_),
                    ..
                })]
            ),
            "{told:?}"
        );
        let sent = frames(&mut session);
        assert!(sent.len() == 1 && sent[0].starts_with(answer), "{sent:?}");
    }
    // A result is never answered.
    session.handle_bytes(t0, &[result(7, "X"), b"\x02garbage\x03".to_vec()].concat());
    assert_eq!((events(&mut session).len(), frames(&mut session).len()), (2, 0));
    session.handle_bytes(t0, &result(50, "A//"));
    assert!(matches!(events(&mut session)[..], [UcpEvent::Unmatched { .. }]));
    assert!(session.is_bound());
}

#[test]
fn a_close_waits_for_answers_in_both_directions_and_says_what_is_in_doubt() {
    let t0 = Instant::now();
    let mut session = bound(UcpConfig::default(), t0);
    command(&mut session, t0, 1);
    command(&mut session, t0, 2);
    session.handle_command(t0, UcpCommand::Close { within: 10 * SECOND });
    command(&mut session, t0, 3);
    session.handle_bytes(t0, &result(1, "A//x:211126120000"));
    let told = events(&mut session);
    assert_eq!(
        told[0],
        UcpEvent::NotSent {
            tag: 3,
            why: NotSent::Draining
        }
    );
    assert!(matches!(told[1], UcpEvent::Answered { tag: 1, .. }));
    assert!(!session.is_closed());
    session.handle_timeout(t0 + 10 * SECOND);
    let in_doubt = vec![InDoubt { tag: 2 }];
    assert_eq!(
        events(&mut session),
        [UcpEvent::Closed {
            cause: CloseCause::DrainTimeout,
            in_doubt
        }]
    );
    assert_eq!(session.poll_timeout(), None);

    let mut idle = bound(UcpConfig::default(), t0);
    idle.handle_command(t0, UcpCommand::Close { within: SECOND });
    assert_eq!(
        events(&mut idle),
        [UcpEvent::Closed {
            cause: CloseCause::Drained,
            in_doubt: vec![]
        }]
    );
}

#[test]
fn a_centre_takes_nothing_before_the_login_and_binds_by_its_own_answer() {
    let t0 = Instant::now();
    let mut centre = UcpSession::new(
        UcpConfig {
            expect_login: true,
            ..UcpConfig::default()
        },
        t0,
    );
    let mut eager = UcpSession::new(UcpConfig::default(), t0);
    command(&mut eager, t0, 1);
    centre.handle_bytes(t0, &bytes(&mut eager));
    assert!(matches!(
        events(&mut centre)[..],
        [UcpEvent::Refused {
            code: ErrorCode::NOT_ALLOWED,
            ..
        }]
    ));
    let mut client = UcpSession::new(
        UcpConfig {
            login: Some(login()),
            ..UcpConfig::default()
        },
        t0,
    );
    centre.handle_bytes(t0, &bytes(&mut client));
    let told = events(&mut centre);
    let [UcpEvent::LoginAsked { request, session }] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(session.pwd.octets().unwrap(), b"secret");
    centre.handle_command(
        t0,
        UcpCommand::Answer {
            request: *request,
            outcome: Outcome::ack(),
        },
    );
    assert_eq!(events(&mut centre), [UcpEvent::Bound]);
    bytes(&mut centre);
    centre.handle_command(
        t0,
        UcpCommand::Answer {
            request: *request,
            outcome: Outcome::ack(),
        },
    );
    assert_eq!(
        events(&mut centre),
        [UcpEvent::NothingToAnswer { request: *request }]
    );
}

#[test]
fn more_operations_of_the_peer_than_may_wait_are_refused() {
    let t0 = Instant::now();
    let mut session = bound(
        UcpConfig {
            deliveries: 2,
            ..UcpConfig::default()
        },
        t0,
    );
    let mut peer = UcpSession::new(UcpConfig::default(), t0);
    for tag in 0..3 {
        command(&mut peer, t0, tag);
    }
    session.handle_bytes(t0, &bytes(&mut peer));
    let told = events(&mut session);
    assert!(matches!(told[2], UcpEvent::Refused { .. }), "{told:?}");
    let UcpEvent::Delivered { request, .. } = &told[0] else {
        panic!("{told:?}")
    };
    session.handle_command(
        t0,
        UcpCommand::Answer {
            request: *request,
            outcome: Outcome::ack(),
        },
    );
    peer.handle_bytes(t0, &bytes(&mut session));
    let told = events(&mut peer);
    assert!(
        matches!(
            &told[1],
            UcpEvent::Answered {
                tag: 2,
                outcome: Outcome::Nack { .. },
                ..
            }
        ),
        "{told:?}"
    );
    assert!(
        matches!(
            &told[2],
            UcpEvent::Answered {
                tag: 0,
                outcome: Outcome::Ack { .. },
                ..
            }
        ),
        "{told:?}"
    );
}

proptest! {
    /// Whatever is answered, late or never, each operation ends once, and no answer goes to another operation.
    #[test]
    fn each_operation_ends_once_whatever_becomes_of_its_answer(
        fates in prop::collection::vec((0u64..60, 0u8..4, 0u64..50), 1..200), window in 1usize..=100,
    ) {
        let t0 = Instant::now();
        let mut session = bound(UcpConfig { window, keep_alive: None, ..UcpConfig::default() }, t0);
        let mut now = t0;
        let mut ended: HashMap<u64, u32> = HashMap::new();
        // TRN of each answer still to come, and when.
        let mut answers: Vec<(Instant, u8, u64)> = Vec::new();
        let mut sent = 0;
        let note = |session: &mut UcpSession, ended: &mut HashMap<u64, u32>| -> Result<(), TestCaseError> {
            for event in events(session) {
                match event {
                    UcpEvent::Answered { tag, outcome, .. } => {
                        prop_assert_eq!(outcome.key().map(|key| key.0.to_owned()), Some(tag.to_string()));
                        *ended.entry(tag).or_default() += 1;
                    }
                    UcpEvent::LateAnswer { tag, outcome, .. } => {
                        prop_assert_eq!(outcome.key().map(|key| key.0.to_owned()), Some(tag.to_string()));
                    }
                    UcpEvent::TimedOut { tag } | UcpEvent::NotSent { tag, .. } => *ended.entry(tag).or_default() += 1,
                    UcpEvent::Closed { in_doubt, .. } => {
                        in_doubt.iter().for_each(|doubt| *ended.entry(doubt.tag).or_default() += 1);
                    }
                    UcpEvent::Unmatched { .. } => {}
                    other => prop_assert!(false, "{:?}", other),
                }
            }
            Ok(())
        };
        for (tag, (pause, fate, delay)) in (0u64..).zip(fates) {
            now += Duration::from_secs(pause) / 10;
            session.handle_timeout(now);
            answers.sort();
            while answers.first().is_some_and(|(at, ..)| *at <= now) {
                let (_, trn, tag) = answers.remove(0);
                session.handle_bytes(now, &result(trn, &format!("A//{tag}:211126120000")));
            }
            note(&mut session, &mut ended)?;
            command(&mut session, now, tag);
            sent += 1;
            for frame in frames(&mut session) {
                let trn = frame[..2].parse().unwrap();
                match fate {
                    0 => {}
                    1 => answers.push((now + Duration::from_secs(delay), trn, tag)),
                    _ => answers.push((now + Duration::from_secs(delay) / 100, trn, tag)),
                }
            }
            note(&mut session, &mut ended)?;
            prop_assert!(session.outstanding() <= window);
        }
        session.handle_eof(now);
        note(&mut session, &mut ended)?;
        prop_assert_eq!(ended.len(), sent);
        prop_assert!(ended.values().all(|times| *times == 1));
    }

    #[test]
    fn octets_of_any_kind_neither_panic_nor_grow(noise in prop::collection::vec(any::<u8>(), 0..2000), cut in 1usize..100) {
        let t0 = Instant::now();
        let mut session = bound(UcpConfig::default(), t0);
        for piece in noise.chunks(cut) {
            session.handle_bytes(t0, piece);
            prop_assert!(bytes(&mut session).len() < 200 * (noise.len() + 1));
        }
        prop_assert!(session.is_bound());
    }
}
