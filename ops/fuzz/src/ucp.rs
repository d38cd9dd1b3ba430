//! UCP: a byte stream and a session under a peer that sends anything at all.

use crate::session::{Account, start};
use bytes::BytesMut;
use smsgw_session::Session as _;
use smsgw_ucp::{
    Alert, Body, ErrorCode, Frame, Framer, Login, MAX_FRAME, Message, MessageKind, Operation, OperationType,
    Outcome, Pdu, Text, Trn, UcpCommand, UcpConfig, UcpEvent, UcpSession, read_sender,
};
use std::time::Duration;

const MESSAGES: u64 = 8;
const WINDOW: usize = 4;

fn text(text: &str) -> Text {
    Text::new(text).expect("plain")
}

fn submit(tag: u64) -> Operation {
    let message = Message {
        adc: text("00491700000001"),
        oadc: text("0E41614190438AB4"),
        otoa: text("5039"),
        mt: text("3"),
        msg: Text::hex(format!("message {tag}").as_bytes()),
        xser: text("0201F5"),
        ..Message::default()
    };
    Operation::Message(MessageKind::Submit, Box::new(message))
}

fn framed(trn: u8, body: Body) -> Vec<u8> {
    let trn = Trn::new(trn).expect("below 100");
    let mut out = Vec::new();
    Pdu { trn, body }.write(&mut out);
    out
}

/// A conversation as a centre leads it, each behind two octets that say how it is cut.
pub(crate) fn streams() -> Vec<Vec<u8>> {
    let alert = Operation::Alert(Alert {
        adc: text("12345"),
        pid: text("0539"),
    });
    let key = Outcome::Ack {
        mvp: Text::default(),
        sm: text("00491700000001:211126120000"),
    };
    let Operation::Message(_, message) = submit(1) else {
        unreachable!("a submit is a message")
    };
    let frames = [
        framed(7, Body::Operation(alert)),
        framed(
            8,
            Body::Operation(Operation::Message(MessageKind::Deliver, message.clone())),
        ),
        framed(
            9,
            Body::Operation(Operation::Message(MessageKind::Notification, message)),
        ),
        framed(1, Body::Result(OperationType(51), key)),
        framed(
            2,
            Body::Result(OperationType(51), Outcome::nack(ErrorCode::NOT_ALLOWED)),
        ),
        b"\x0200/00070/O/01/01234567890/09876543210//3/53686F7274204D657373616765/D9\x03".to_vec(),
    ];
    let whole = [&[200, 1], frames.concat().as_slice()].concat();
    let mut seeds: Vec<Vec<u8>> = frames
        .iter()
        .map(|frame| [&[3, 40], frame.as_slice()].concat())
        .collect();
    seeds.push(whole);
    seeds
}

/// The same frames however the stream is cut; what reads is written and read again as the same.
pub(crate) fn frames(octets: &[u8]) {
    let (head, stream) = octets.split_at(octets.len().min(2));
    let piece = head.first().map_or(1, |size| usize::from(*size) + 1);
    let cut = |piece: usize| {
        let (mut framer, mut found) = (Framer::default(), Vec::new());
        for octets in stream.chunks(piece) {
            framer.push(octets);
            while let Some(frame) = framer.next_frame() {
                found.push(frame.to_vec());
            }
            assert!(framer.held() <= MAX_FRAME + piece + 1);
        }
        found
    };
    let found = cut(piece);
    assert_eq!(found, cut(1));
    for raw in found {
        let Ok(frame) = Frame::read(&raw) else { continue };
        let Ok((pdu, tolerated)) = Pdu::read(&frame) else {
            continue;
        };
        if let Body::Operation(Operation::Message(_, message)) = &pdu.body {
            drop((
                message.content(),
                message.services(),
                read_sender(&message.oadc, &message.otoa),
            ));
        }
        let mut out = Vec::new();
        pdu.write(&mut out);
        let mut framer = Framer::default();
        framer.push(&out);
        let again = framer.next_frame().expect("a whole frame was written");
        let (same, _) = Pdu::read(&Frame::read(again).expect("its own checksum")).expect("its own fields");
        assert_eq!(same, pdu);
        // An error code is written with two digits, however many it had.
        let is_refusal = matches!(pdu.body, Body::Result(_, Outcome::Nack { .. }));
        if tolerated.is_none() && !is_refusal {
            assert_eq!(again.len(), raw.len());
        }
    }
}

/// Limits kept, every operation ends once, only sound frames sent.
pub(crate) fn session(octets: &[u8]) {
    let (head, stream) = octets.split_at(octets.len().min(2));
    let piece = head.first().map_or(1, |size| usize::from(*size) + 1);
    let pause = Duration::from_millis(head.get(1).map_or(0, |octet| u64::from(*octet) * 200));
    let mut now = start();
    let config = UcpConfig {
        login: Some(Login::new(text("12345"), "secret")),
        window: WINDOW,
        deliveries: 8,
        ..UcpConfig::default()
    };
    let mut session = UcpSession::new(config, now);
    session.handle_bytes(now, &framed(0, Body::Result(OperationType(60), Outcome::ack())));
    assert!(session.is_bound());
    let mut account = Account::default();
    let mut wire = Framer::default();
    for bytes in stream.chunks(piece) {
        session.handle_bytes(now, bytes);
        turn(&mut session, now, &mut account, &mut wire);
        now += pause;
        if session.poll_timeout().is_some_and(|due| due <= now) {
            session.handle_timeout(now);
            turn(&mut session, now, &mut account, &mut wire);
        }
    }
    session.handle_eof(now);
    turn(&mut session, now, &mut account, &mut wire);
    assert!(session.is_closed(), "the connection ended, the session did not");
    assert_eq!(account.ended, account.given);
}

fn turn(session: &mut UcpSession, now: std::time::Instant, account: &mut Account, wire: &mut Framer) {
    while let Some(event) = session.poll_event() {
        match event {
            UcpEvent::Answered { tag, .. } | UcpEvent::TimedOut { tag } | UcpEvent::NotSent { tag, .. } => {
                account.end(tag)
            }
            UcpEvent::Closed { in_doubt, .. } => {
                in_doubt.into_iter().for_each(|doubt| account.end(doubt.tag))
            }
            UcpEvent::Delivered { request, .. } => {
                session.handle_command(
                    now,
                    UcpCommand::Answer {
                        request,
                        outcome: Outcome::ack(),
                    },
                );
            }
            UcpEvent::LateAnswer { tag, .. } => assert!(account.ended.contains(&tag)),
            other => drop(other),
        }
    }
    let next = u64::try_from(account.given.len()).expect("few");
    if next < MESSAGES && session.free_slots() > 0 {
        account.given.insert(next);
        session.handle_command(
            now,
            UcpCommand::Submit {
                tag: next,
                operation: submit(next),
            },
        );
    }
    // Keep-alives go beside.
    assert!(session.outstanding() <= WINDOW);
    let mut out = BytesMut::new();
    while session.poll_transmit(&mut out) {}
    wire.push(&out);
    while let Some(frame) = wire.next_frame() {
        let frame = Frame::read(frame).expect("we cut our own frames right");
        let (_, tolerated) = Pdu::read(&frame).expect("we write frames that can be read");
        assert!(tolerated.is_none(), "a peer had to tolerate {tolerated:?}");
    }
    assert_eq!(wire.held(), 0, "half a frame was written");
}
