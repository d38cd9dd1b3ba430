//! The SMSC session in virtual time, against hand-made bytes of a client.

mod matrix;
mod requests;

use super::*;
use crate::{
    decode::decode_as,
    framer::Framer,
    outcome::Refusal,
    pdu::{CancelSm, Pdu, QuerySm, QuerySmResp, ReplaceSm, ShortMessage},
};
use bytes::{Bytes, BytesMut};
use smsgw_session::Session;
use std::time::Duration;

struct Bench {
    session: SmscSession,
    now: Instant,
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn config() -> SmscConfig {
    SmscConfig::new(COctets::until_nul(b"SMSC"))
}

fn message() -> ShortMessage {
    ShortMessage {
        short_message: Bytes::from_static(b"Hello"),
        ..ShortMessage::default()
    }
}

fn resp(id: &str) -> MessageResp {
    MessageResp {
        message_id: COctets::until_nul(id.as_bytes()),
        tlvs: Tlvs::new(),
    }
}

fn bind(kind: BindKind, version: u8) -> Body {
    Body::Bind(
        kind,
        Bind {
            interface_version: version,
            ..Bind::default()
        },
    )
}

impl Bench {
    fn new(config: SmscConfig) -> Self {
        let now = Instant::now();
        Self {
            session: SmscSession::new(config, now),
            now,
        }
    }

    fn bound(config: SmscConfig, kind: BindKind) -> Self {
        let mut bench = Self::new(config);
        bench.receive(CommandStatus::OK, 1, &bind(kind, 0x34));
        bench.command(SmscCommand::AcceptBind { window: None });
        assert!(matches!(bench.events()[..], [SmscEvent::BindRequested { .. }]));
        assert_eq!((bench.sent().len(), bench.session.bind_kind()), (1, Some(kind)));
        bench
    }

    fn receive(&mut self, status: CommandStatus, sequence: u32, body: &Body) {
        let mut bytes = BytesMut::new();
        crate::encode::encode(status, sequence, body, &mut bytes).expect("fits");
        self.session.handle_bytes(self.now, &bytes);
    }

    fn sent(&mut self) -> Vec<Pdu> {
        let mut out = BytesMut::new();
        while self.session.poll_transmit(&mut out) {}
        let mut framer = Framer::new(100_000);
        framer.push(&out);
        let mut pdus = Vec::new();
        while let Some(frame) = framer.next_frame().expect("in step") {
            pdus.push(
                decode_as(self.session.version(), &frame)
                    .expect("we write what we read")
                    .0,
            );
        }
        pdus
    }

    fn events(&mut self) -> Vec<SmscEvent> {
        std::iter::from_fn(|| self.session.poll_event()).collect()
    }

    fn command(&mut self, command: SmscCommand) {
        self.session.handle_command(self.now, command);
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.session.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.session.handle_timeout(self.now);
        }
        self.now = until;
    }
}

#[test]
fn the_owner_decides_on_the_bind_and_old_esmes_get_no_version() {
    for (version, told) in [(0x34, Some(0x34)), (0x33, None)] {
        let mut bench = Bench::new(config());
        bench.receive(CommandStatus::OK, 3, &bind(BindKind::Transceiver, version));
        assert_eq!((bench.sent(), bench.session.bind_kind()), (vec![], None));
        bench.pass(secs(29));
        assert!(!bench.session.is_closed(), "the owner has time to decide");
        bench.command(SmscCommand::AcceptBind { window: Some(3) });
        let sent = bench.sent();
        let [
            Pdu {
                status: CommandStatus::OK,
                sequence: 3,
                body: Body::BindResp(_, resp),
            },
        ] = &sent[..]
        else {
            panic!()
        };
        assert_eq!(
            (
                resp.system_id.as_bytes(),
                crate::decode::interface_version(&resp.tlvs)
            ),
            (&b"SMSC"[..], told)
        );
        assert_eq!(bench.session.free_slots(), 3);
    }
}

#[test]
fn a_refused_bind_and_no_bind_end_the_session() {
    let mut bench = Bench::new(config());
    bench.receive(CommandStatus::OK, 3, &bind(BindKind::Transmitter, 0x34));
    let status = CommandStatus::INVALID_PASSWORD;
    bench.command(SmscCommand::RefuseBind { status });
    let refused = Pdu::answer(
        3,
        status,
        Body::BindResp(BindKind::Transmitter, BindResp::default()),
    );
    assert_eq!(bench.sent(), [refused]);
    let cause = CloseCause::BindRefused(status);
    assert_eq!(
        bench.events().last(),
        Some(&SmscEvent::Closed {
            cause,
            in_doubt: vec![]
        })
    );
    let mut bench = Bench::new(config());
    bench.receive(CommandStatus::OK, 1, &Body::EnquireLink);
    bench.pass(secs(30));
    let cause = CloseCause::BindTimeout;
    assert_eq!(
        bench.events(),
        [SmscEvent::Closed {
            cause,
            in_doubt: vec![]
        }]
    );
    assert_eq!(
        bench.sent(),
        [Pdu::new(1, Body::EnquireLinkResp(crate::Tlvs::new()))]
    );
}

#[test]
fn a_bind_that_the_owner_never_decides_on_ends_too() {
    let mut bench = Bench::new(config());
    bench.pass(secs(29));
    bench.receive(CommandStatus::OK, 3, &bind(BindKind::Transceiver, 0x34));
    bench.pass(secs(29));
    assert!(!bench.session.is_closed());
    bench.pass(secs(1));
    let closed = SmscEvent::Closed {
        cause: CloseCause::BindTimeout,
        in_doubt: vec![],
    };
    assert_eq!(bench.events().last(), Some(&closed));
}

#[test]
fn operations_are_allowed_by_bind_state() {
    let requests = || {
        [
            Body::SubmitSm(message()),
            Body::DataSm(ShortMessage::default()),
            Body::QuerySm(QuerySm::default()),
            Body::CancelSm(CancelSm::default()),
            Body::ReplaceSm(ReplaceSm::default()),
        ]
    };
    for kind in [
        None,
        Some(BindKind::Transmitter),
        Some(BindKind::Receiver),
        Some(BindKind::Transceiver),
    ] {
        let mut bench = kind.map_or_else(|| Bench::new(config()), |kind| Bench::bound(config(), kind));
        for body in requests() {
            bench.receive(CommandStatus::OK, 9, &body);
            let (events, sent) = (bench.events(), bench.sent());
            if kind.is_some_and(BindKind::can_submit) {
                assert!(
                    !matches!(events[..], [SmscEvent::RequestRefused { .. }]),
                    "{kind:?} {body:?}"
                );
                assert_eq!((events.len(), sent), (1, vec![]));
            } else {
                let (command_id, status) = (body.command_id(), CommandStatus::INVALID_BIND_STATUS);
                assert_eq!(
                    events,
                    [SmscEvent::RequestRefused {
                        command_id,
                        sequence: 9,
                        status
                    }]
                );
                assert_eq!(sent, [Pdu::answer(9, status, error_answer(command_id))]);
            }
        }
        let mut bench = kind.map_or_else(|| Bench::new(config()), |kind| Bench::bound(config(), kind));
        bench.command(SmscCommand::Deliver {
            tag: 1,
            message: message(),
        });
        let expected = match kind {
            None => Some(Refusal::NotBound),
            Some(BindKind::Transmitter) => Some(Refusal::WrongBind),
            Some(BindKind::Receiver | BindKind::Transceiver) => None,
        };
        let events: Vec<_> = expected
            .into_iter()
            .map(|why| SmscEvent::NotSent { tag: 1, why })
            .collect();
        assert_eq!(
            (bench.events(), bench.sent().len()),
            (events, usize::from(expected.is_none()))
        );
    }
}

#[test]
fn a_second_bind_is_refused_and_the_first_stays() {
    let mut bench = Bench::bound(config(), BindKind::Transceiver);
    bench.receive(CommandStatus::OK, 8, &bind(BindKind::Receiver, 0x34));
    let status = CommandStatus::ALREADY_BOUND;
    assert_eq!(
        bench.sent(),
        [Pdu::answer(
            8,
            status,
            Body::BindResp(BindKind::Receiver, BindResp::default())
        )]
    );
    assert_eq!(
        bench.events(),
        [SmscEvent::RequestRefused {
            command_id: CommandId::BindReceiver,
            sequence: 8,
            status
        }]
    );
    assert_eq!(bench.session.bind_kind(), Some(BindKind::Transceiver));
}

#[test]
fn requests_are_answered_by_the_owner_each_in_its_own_form() {
    let mut bench = Bench::bound(config(), BindKind::Transceiver);
    // The same number twice: each answer goes to the request it is meant for.
    for body in [
        Body::SubmitSm(message()),
        Body::DataSm(ShortMessage::default()),
        Body::QuerySm(QuerySm::default()),
        Body::CancelSm(CancelSm::default()),
        Body::ReplaceSm(ReplaceSm::default()),
    ] {
        bench.receive(CommandStatus::OK, 4, &body);
    }
    let (ok, message_id) = (CommandStatus::OK, COctets::until_nul(b"A7"));
    let found = QuerySmResp {
        message_id: message_id.clone(),
        message_state: 2,
        ..QuerySmResp::default()
    };
    bench.command(SmscCommand::AnswerReplace {
        sequence: 4,
        status: CommandStatus::REPLACE_FAILED,
    });
    bench.command(SmscCommand::AnswerCancel {
        sequence: 4,
        status: ok,
    });
    bench.command(SmscCommand::AnswerQuery {
        sequence: 4,
        status: ok,
        answer: found.clone(),
    });
    bench.command(SmscCommand::AnswerSubmit {
        sequence: 4,
        status: ok,
        message_id: message_id.clone(),
    });
    bench.command(SmscCommand::AnswerSubmit {
        sequence: 4,
        status: CommandStatus::THROTTLED,
        message_id: message_id.clone(),
    });
    assert_eq!(
        bench.sent(),
        [
            Pdu::answer(
                4,
                CommandStatus::REPLACE_FAILED,
                Body::ReplaceSmResp(crate::Tlvs::new())
            ),
            Pdu::new(4, Body::CancelSmResp(crate::Tlvs::new())),
            Pdu::new(4, Body::QuerySmResp(found)),
            Pdu::new(4, Body::SubmitSmResp(resp("A7"))),
            Pdu::answer(
                4,
                CommandStatus::THROTTLED,
                Body::DataSmResp(MessageResp::default())
            ),
        ]
    );
    assert_eq!(bench.events().len(), 5);
    bench.command(SmscCommand::AnswerSubmit {
        sequence: 4,
        status: ok,
        message_id,
    });
    assert!(matches!(
        bench.events()[..],
        [SmscEvent::Unmatched { sequence: 4, .. }]
    ));
}

#[test]
fn more_requests_than_allowed_are_answered_throttled() {
    let mut bench = Bench::bound(
        SmscConfig {
            requests: 2,
            ..config()
        },
        BindKind::Transmitter,
    );
    for sequence in 1..=3 {
        bench.receive(CommandStatus::OK, sequence, &Body::SubmitSm(message()));
    }
    assert_eq!(
        bench.sent(),
        [Pdu::answer(
            3,
            CommandStatus::THROTTLED,
            Body::SubmitSmResp(MessageResp::default())
        )]
    );
    assert!(matches!(
        bench.events()[..],
        [
            SmscEvent::Submit { .. },
            SmscEvent::Submit { .. },
            SmscEvent::RequestRefused { .. }
        ]
    ));
}

#[test]
fn deliveries_have_a_window_a_timeout_and_a_late_answer() {
    let mut bench = Bench::bound(
        SmscConfig {
            window: 1,
            enquire_link: None,
            ..config()
        },
        BindKind::Receiver,
    );
    bench.command(SmscCommand::Deliver {
        tag: 1,
        message: message(),
    });
    bench.command(SmscCommand::Deliver {
        tag: 2,
        message: message(),
    });
    assert_eq!(
        bench.events(),
        [SmscEvent::NotSent {
            tag: 2,
            why: Refusal::WindowFull
        }]
    );
    let sequence = bench.sent()[0].sequence;
    bench.pass(secs(30));
    assert_eq!(
        (bench.events(), bench.session.free_slots()),
        (vec![SmscEvent::TimedOut { tag: 1 }], 1)
    );
    bench.receive(CommandStatus::OK, sequence, &Body::DeliverSmResp(resp("ignored")));
    assert_eq!(
        bench.events(),
        [SmscEvent::LateAnswer {
            tag: 1,
            status: CommandStatus::OK
        }]
    );
    bench.command(SmscCommand::Deliver {
        tag: 3,
        message: message(),
    });
    let sequence = bench.sent()[0].sequence;
    bench.receive(
        CommandStatus::SYSTEM_ERROR,
        sequence,
        &Body::DeliverSmResp(MessageResp::default()),
    );
    let events = bench.events();
    assert!(
        matches!(
            events.last(),
            Some(SmscEvent::DeliverAnswered {
                tag: 3,
                status: CommandStatus::SYSTEM_ERROR,
                ..
            })
        ),
        "{events:?}"
    );
}

#[test]
fn unbind_drains_and_refuses_new_submits_meanwhile() {
    let mut bench = Bench::bound(config(), BindKind::Transceiver);
    bench.receive(CommandStatus::OK, 4, &Body::SubmitSm(message()));
    bench.command(SmscCommand::Unbind { within: secs(10) });
    bench.receive(CommandStatus::OK, 5, &Body::SubmitSm(message()));
    assert_eq!(
        bench.sent(),
        [Pdu::answer(
            5,
            CommandStatus::THROTTLED,
            Body::SubmitSmResp(MessageResp::default())
        )]
    );
    let message_id = COctets::until_nul(b"A7");
    bench.command(SmscCommand::AnswerSubmit {
        sequence: 4,
        status: CommandStatus::OK,
        message_id,
    });
    let sent = bench.sent();
    let [
        _,
        Pdu {
            body: Body::Unbind, ..
        },
    ] = &sent[..]
    else {
        panic!("{sent:?}")
    };
    bench.session.handle_eof(bench.now);
    let closed = SmscEvent::Closed {
        cause: CloseCause::Unbound,
        in_doubt: vec![],
    };
    assert_eq!(bench.events().last(), Some(&closed));
}

#[test]
fn a_lost_link_names_the_deliveries_in_doubt() {
    let mut bench = Bench::bound(config(), BindKind::Transceiver);
    for tag in 1..=3 {
        bench.command(SmscCommand::Deliver {
            tag,
            message: message(),
        });
    }
    let sent = bench.sent();
    bench.receive(
        CommandStatus::OK,
        sent[1].sequence,
        &Body::DeliverSmResp(MessageResp::default()),
    );
    bench.session.handle_eof(bench.now);
    let closed = SmscEvent::Closed {
        cause: CloseCause::Lost,
        in_doubt: vec![1, 3],
    };
    assert_eq!(bench.events().last(), Some(&closed));
    assert_eq!(bench.events(), []);
}

#[test]
fn a_silent_client_is_asked_and_dropped() {
    let mut bench = Bench::bound(config(), BindKind::Transceiver);
    bench.pass(secs(59));
    assert!(matches!(
        bench.sent()[..],
        [Pdu {
            body: Body::EnquireLink,
            ..
        }]
    ));
    bench.pass(secs(1));
    let closed = SmscEvent::Closed {
        cause: CloseCause::EnquireLinkTimeout,
        in_doubt: vec![],
    };
    assert_eq!(bench.events(), [closed]);
}
