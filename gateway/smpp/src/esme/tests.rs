//! The ESME session in virtual time, against hand-made bytes of a carrier.

mod life;
mod matrix;
mod requests;
mod versions;

use super::*;
use crate::{
    decode::decode_as,
    framer::Framer,
    octets::COctets,
    outcome::{Refusal, WindowCounts},
    password::Password,
    pdu::{BindKind, BindResp, Pdu, SubmitSm},
    tolerated::Tolerated,
};
use bytes::{Bytes, BytesMut};
use smsgw_session::Session;
use std::time::Duration;

/// A session, its clock, and what the carrier saw.
struct Bench {
    session: EsmeSession,
    now: Instant,
}

fn config() -> EsmeConfig {
    EsmeConfig::new(
        COctets::until_nul(b"test"),
        Password::try_new(b"secret").expect("no NUL"),
    )
}

fn message() -> SubmitSm {
    SubmitSm {
        short_message: Bytes::from_static(b"Hello"),
        ..SubmitSm::default()
    }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn id(text: &str) -> MessageResp {
    MessageResp {
        message_id: COctets::until_nul(text.as_bytes()),
        tlvs: Tlvs::new(),
    }
}

impl Bench {
    fn new(config: EsmeConfig) -> Self {
        let now = Instant::now();
        Self {
            session: EsmeSession::new(config, now),
            now,
        }
    }

    fn bound(config: EsmeConfig) -> Self {
        let mut bench = Self::new(config);
        let sent = bench.sent();
        assert!(
            matches!(
                sent.as_slice(),
                [Pdu {
                    sequence: 1,
                    body: Body::Bind(..),
                    ..
                }]
            ),
            "{sent:?}"
        );
        let kind = bench.session.config.bind;
        bench.receive(CommandStatus::OK, 1, &Body::BindResp(kind, BindResp::default()));
        assert!(matches!(bench.events().as_slice(), [EsmeEvent::Bound { .. }]));
        bench
    }

    fn receive(&mut self, status: CommandStatus, sequence: u32, body: &Body) {
        let mut bytes = BytesMut::new();
        crate::encode::encode(status, sequence, body, &mut bytes).expect("fits");
        self.session.handle_bytes(self.now, &bytes);
    }

    /// From a carrier that writes in another version.
    fn receive_as(&mut self, version: Version, sequence: u32, body: &Body) {
        let mut bytes = BytesMut::new();
        let _ =
            crate::encode::encode_as(version, CommandStatus::OK, sequence, body, &mut bytes).expect("fits");
        self.session.handle_bytes(self.now, &bytes);
    }

    /// What went to the carrier since the last call.
    fn sent(&mut self) -> Vec<Pdu> {
        let mut out = BytesMut::new();
        while self.session.poll_transmit(&mut out) {}
        let mut framer = Framer::new(100_000);
        framer.push(&out);
        let mut pdus = Vec::new();
        while let Some(frame) = framer.next_frame().expect("in step") {
            let (pdu, quirks) = decode_as(self.session.version(), &frame).expect("we write what we read");
            assert!(quirks.is_empty(), "{quirks:?}");
            pdus.push(pdu);
        }
        assert_eq!(framer.pending(), 0);
        pdus
    }

    fn events(&mut self) -> Vec<EsmeEvent> {
        std::iter::from_fn(|| self.session.poll_event()).collect()
    }

    fn submit(&mut self, tag: u64) -> u32 {
        self.session.handle_command(
            self.now,
            EsmeCommand::Submit {
                tag,
                message: message(),
            },
        );
        let sent = self.sent();
        let [
            Pdu {
                sequence,
                body: Body::SubmitSm(_),
                ..
            },
        ] = sent.as_slice()
        else {
            panic!("{sent:?}")
        };
        *sequence
    }

    fn command(&mut self, command: EsmeCommand) {
        self.session.handle_command(self.now, command);
    }

    /// Lets time pass, as a driver does: every deadline on the way is served at its moment.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.session.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.session.handle_timeout(self.now);
        }
        self.now = until;
    }
}

fn answered(tag: u64, id: &str) -> EsmeEvent {
    EsmeEvent::Answered {
        tag,
        status: CommandStatus::OK,
        message_id: COctets::until_nul(id.as_bytes()),
        tlvs: Tlvs::new(),
        reply: Reply::SubmitSm,
        congestion: None,
        took: Duration::ZERO,
    }
}

fn closed(cause: CloseCause, in_doubt: &[u64]) -> EsmeEvent {
    EsmeEvent::Closed {
        cause,
        in_doubt: in_doubt.to_vec(),
    }
}

#[test]
fn the_bind_carries_the_configuration_and_its_answer_is_reported() {
    let mut bench = Bench::new(EsmeConfig {
        bind: BindKind::Transmitter,
        ..config()
    });
    assert_eq!(bench.session.free_slots(), 0);
    let sent = bench.sent();
    let [
        Pdu {
            body: Body::Bind(BindKind::Transmitter, bind),
            ..
        },
    ] = sent.as_slice()
    else {
        panic!("{sent:?}")
    };
    assert_eq!(
        (
            bind.system_id.as_bytes(),
            bind.password.expose(),
            bind.interface_version
        ),
        (&b"test"[..], &b"secret"[..], 0x34)
    );
    let resp = BindResp {
        system_id: COctets::until_nul(b"SMSC"),
        tlvs: crate::encode::version_tlv(Some(0x34)),
    };
    bench.receive(CommandStatus::OK, 1, &Body::BindResp(BindKind::Transmitter, resp));
    let bound = EsmeEvent::Bound {
        system_id: COctets::until_nul(b"SMSC"),
        interface_version: Some(0x34),
        version: Version::V3_4,
    };
    assert_eq!(bench.events(), [bound]);
    assert_eq!((bench.session.is_bound(), bench.session.free_slots()), (true, 10));
}

#[test]
fn a_refused_or_unanswered_bind_ends_the_session() {
    let status = CommandStatus::INVALID_PASSWORD;
    let refused = [
        EsmeEvent::BindRefused { status },
        closed(CloseCause::BindRefused(status), &[]),
    ];
    let mut bench = Bench::new(config());
    bench.receive(
        status,
        1,
        &Body::BindResp(BindKind::Transceiver, BindResp::default()),
    );
    assert_eq!(
        (bench.events().as_slice(), bench.session.is_closed()),
        (&refused[..], true)
    );
    let mut bench = Bench::new(config());
    bench.receive(status, 1, &Body::GenericNack);
    assert_eq!(bench.events(), refused);
    let mut bench = Bench::new(config());
    bench.pass(secs(29));
    assert_eq!(bench.events(), []);
    bench.pass(secs(1));
    assert_eq!(bench.events(), [closed(CloseCause::BindTimeout, &[])]);
}

#[test]
fn submits_are_matched_by_sequence_in_any_order_within_the_window() {
    let mut bench = Bench::bound(EsmeConfig {
        window: 2,
        ..config()
    });
    let (first, second) = (bench.submit(11), bench.submit(12));
    assert_eq!(bench.session.free_slots(), 0);
    bench.command(EsmeCommand::Submit {
        tag: 13,
        message: message(),
    });
    assert_eq!(
        bench.events(),
        [EsmeEvent::NotSent {
            tag: 13,
            why: Refusal::WindowFull
        }]
    );
    bench.receive(CommandStatus::OK, second, &Body::SubmitSmResp(id("B")));
    bench.receive(CommandStatus::OK, first, &Body::SubmitSmResp(id("A")));
    assert_eq!(bench.events(), [answered(12, "B"), answered(11, "A")]);
    assert_eq!((bench.session.free_slots(), bench.sent().len()), (2, 0));
    let unmatched = EsmeEvent::Unmatched {
        command_id: CommandId::SubmitSmResp,
        sequence: first,
        status: CommandStatus::OK,
    };
    bench.receive(CommandStatus::OK, first, &Body::SubmitSmResp(id("A")));
    assert_eq!(bench.events(), [unmatched]);
}

#[test]
fn a_generic_nack_answers_a_submit_and_never_with_success() {
    let mut bench = Bench::bound(config());
    for (tag, sent, seen) in [
        (1, CommandStatus::OK, CommandStatus::UNKNOWN_ERROR),
        (2, CommandStatus::THROTTLED, CommandStatus::THROTTLED),
    ] {
        let sequence = bench.submit(tag);
        bench.receive(sent, sequence, &Body::GenericNack);
        let [EsmeEvent::Answered { tag: of, status, .. }] = bench.events()[..] else {
            panic!()
        };
        assert_eq!((of, status), (tag, seen));
    }
}

#[test]
fn a_submit_times_out_frees_its_slot_and_its_late_answer_is_still_reported() {
    let mut bench = Bench::bound(EsmeConfig {
        window: 1,
        enquire_link: None,
        ..config()
    });
    let sequence = bench.submit(7);
    bench.pass(secs(30));
    assert_eq!(
        (bench.events(), bench.session.free_slots()),
        (vec![EsmeEvent::TimedOut { tag: 7 }], 1)
    );
    bench.receive(CommandStatus::OK, sequence, &Body::SubmitSmResp(id("A")));
    let late = EsmeEvent::LateAnswer {
        tag: 7,
        status: CommandStatus::OK,
        message_id: COctets::until_nul(b"A"),
        tlvs: Tlvs::new(),
        reply: Reply::SubmitSm,
        congestion: None,
        took: secs(30),
    };
    assert_eq!(bench.events(), [late]);
    let sequence = bench.submit(8);
    bench.pass(secs(30 + 300));
    assert_eq!(bench.events(), [EsmeEvent::TimedOut { tag: 8 }]);
    bench.receive(CommandStatus::OK, sequence, &Body::SubmitSmResp(id("B")));
    assert!(
        matches!(bench.events()[..], [EsmeEvent::Unmatched { .. }]),
        "the tombstone is over"
    );
    assert_eq!(bench.session.poll_timeout(), None);
}

#[test]
fn sequence_numbers_wrap_and_skip_what_is_outstanding_or_buried() {
    let mut bench = Bench::bound(EsmeConfig {
        enquire_link: None,
        ..config()
    });
    bench.session.core.peer.start_numbers_at(1);
    let buried = bench.submit(1);
    bench.pass(secs(30));
    let outstanding = bench.submit(2);
    bench.session.core.peer.start_numbers_at(0x7FFF_FFFF);
    let numbers: Vec<u32> = (3..6).map(|tag| bench.submit(tag)).collect();
    assert_eq!((buried, outstanding), (1, 2));
    assert_eq!(numbers, [0x7FFF_FFFF, 3, 4]);
}

#[test]
fn deliveries_wait_for_the_owner_and_are_answered_in_its_order() {
    let mut bench = Bench::bound(EsmeConfig {
        deliveries: 3,
        ..config()
    });
    bench.receive(CommandStatus::OK, 5, &Body::DeliverSm(message()));
    bench.receive(CommandStatus::OK, 6, &Body::DataSm(SubmitSm::default()));
    bench.receive(CommandStatus::OK, 5, &Body::DeliverSm(message()));
    let events = bench.events();
    let operations: Vec<_> = events
        .iter()
        .map(|event| match event {
            EsmeEvent::Delivered {
                sequence, operation, ..
            } => (*sequence, *operation),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        operations,
        [
            (5, Operation::DeliverSm),
            (6, Operation::DataSm),
            (5, Operation::DeliverSm)
        ]
    );
    assert_eq!(bench.sent(), [], "nothing is answered before the owner says so");

    bench.receive(CommandStatus::OK, 7, &Body::DeliverSm(message()));
    let status = CommandStatus::TEMPORARY_APP_ERROR;
    assert_eq!(
        bench.events(),
        [EsmeEvent::DeliveryRefused {
            command_id: CommandId::DeliverSm,
            sequence: 7,
            status
        }]
    );
    assert_eq!(
        bench.sent(),
        [Pdu::answer(
            7,
            status,
            Body::DeliverSmResp(MessageResp::default())
        )]
    );

    for (sequence, status) in [
        (6, CommandStatus::OK),
        (5, CommandStatus::OK),
        (5, CommandStatus::SYSTEM_ERROR),
    ] {
        bench.command(EsmeCommand::Answer { sequence, status });
    }
    let empty = MessageResp::default;
    assert_eq!(
        bench.sent()[..2],
        [
            Pdu::new(6, Body::DataSmResp(empty())),
            Pdu::new(5, Body::DeliverSmResp(empty())),
        ]
    );
    bench.command(EsmeCommand::Answer {
        sequence: 5,
        status: CommandStatus::OK,
    });
    assert!(matches!(
        bench.events()[..],
        [EsmeEvent::Unmatched { sequence: 5, .. }]
    ));
    assert_eq!(bench.sent(), []);
}

#[test]
fn an_impossible_length_is_answered_and_ends_the_session() {
    let mut bench = Bench::bound(config());
    let _ = bench.submit(1);
    bench.session.handle_bytes(bench.now, &[0, 0, 0, 3, 1, 2, 3, 4]);
    assert_eq!(
        bench.sent(),
        [Pdu::answer(
            0,
            CommandStatus::INVALID_COMMAND_LENGTH,
            Body::GenericNack
        )]
    );
    assert_eq!(bench.events(), [closed(CloseCause::BadLength(3), &[1])]);
}

#[test]
fn what_cannot_be_decoded_is_answered_reported_and_disturbs_nothing() {
    let mut bench = Bench::bound(config());
    let sequence = bench.submit(1);
    let broken = |id: u32, sequence: u32| {
        let words = [20u32, id, 0, sequence, 0xFFFF_FFFF];
        words
            .iter()
            .flat_map(|word| word.to_be_bytes())
            .collect::<Vec<u8>>()
    };
    for (id, answer, status) in [
        (
            0x05,
            Body::DeliverSmResp(MessageResp::default()),
            CommandStatus::INVALID_COMMAND_LENGTH,
        ),
        (
            0x04,
            Body::SubmitSmResp(MessageResp::default()),
            CommandStatus::INVALID_BIND_STATUS,
        ),
        (0x23, Body::GenericNack, CommandStatus::INVALID_COMMAND_ID),
    ] {
        // A submit_sm that is whole, but comes from the wrong side.
        let mut raw = broken(id, 99);
        if id == 4 {
            let mut whole = BytesMut::new();
            crate::encode::encode(CommandStatus::OK, 99, &Body::SubmitSm(message()), &mut whole)
                .expect("fits");
            raw = whole.to_vec();
        }
        bench.session.handle_bytes(bench.now, &raw);
        assert_eq!(bench.sent(), [Pdu::answer(99, status, answer)]);
        let events = bench.events();
        let [EsmeEvent::Undecodable(undecodable)] = &events[..] else {
            panic!("{events:?}")
        };
        assert_eq!(
            (undecodable.command_id, undecodable.sequence, undecodable.answered),
            (id, 99, Some(status))
        );
        assert_eq!(undecodable.raw, raw);
    }
    bench.session.handle_bytes(bench.now, &broken(0x8000_0023, 99));
    let events = bench.events();
    assert!(matches!(&events[..], [EsmeEvent::Undecodable(undecodable)] if undecodable.answered.is_none()));
    assert_eq!(bench.sent(), [], "an answer is not answered");
    bench.receive(CommandStatus::OK, sequence, &Body::SubmitSmResp(id("A")));
    assert_eq!(bench.events(), [answered(1, "A")]);
}

#[test]
fn what_was_tolerated_is_reported_beside_the_pdu() {
    let mut bench = Bench::bound(config());
    let sequence = bench.submit(1);
    bench.receive(CommandStatus::THROTTLED, sequence, &Body::SubmitSmResp(id("A")));
    let quirks = [Tolerated::BodyOnError].into_iter().collect();
    let events = bench.events();
    assert_eq!(
        events[0],
        EsmeEvent::Tolerated {
            command_id: CommandId::SubmitSmResp,
            quirks
        }
    );
    assert!(matches!(
        &events[1..],
        [EsmeEvent::Answered {
            status: CommandStatus::THROTTLED,
            ..
        }]
    ));
}

#[test]
fn a_bind_allows_one_direction_only() {
    let mut bench = Bench::bound(EsmeConfig {
        bind: BindKind::Receiver,
        ..config()
    });
    assert_eq!(bench.session.free_slots(), 0);
    bench.command(EsmeCommand::Submit {
        tag: 1,
        message: message(),
    });
    assert_eq!(
        bench.events(),
        [EsmeEvent::NotSent {
            tag: 1,
            why: Refusal::WrongBind
        }]
    );
    let mut bench = Bench::bound(EsmeConfig {
        bind: BindKind::Transmitter,
        ..config()
    });
    bench.receive(CommandStatus::OK, 5, &Body::DeliverSm(message()));
    let status = CommandStatus::INVALID_BIND_STATUS;
    assert_eq!(
        bench.events(),
        [EsmeEvent::DeliveryRefused {
            command_id: CommandId::DeliverSm,
            sequence: 5,
            status
        }]
    );
}

#[test]
fn a_submit_that_fits_no_pdu_is_not_sent_and_takes_no_slot() {
    let mut bench = Bench::bound(EsmeConfig {
        window: 1,
        ..config()
    });
    let long = SubmitSm {
        short_message: Bytes::from(vec![0; 300]),
        ..SubmitSm::default()
    };
    bench.command(EsmeCommand::Submit {
        tag: 1,
        message: long,
    });
    assert_eq!(
        bench.events(),
        [EsmeEvent::NotSent {
            tag: 1,
            why: Refusal::DoesNotFit
        }]
    );
    assert_eq!((bench.session.free_slots(), bench.sent()), (1, vec![]));
}
