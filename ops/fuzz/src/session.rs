//! The SMPP sessions under a peer that sends anything at all.
//!
//! The first octets of the input say how the stream is cut and how time goes between the pieces.

use crate::smpp;
use bytes::{Bytes, BytesMut};
use smsgw_session::Session;
use smsgw_smpp::framer::{DEFAULT_MAX_PDU, Framer};
use smsgw_smpp::{
    Address, COctets, CommandStatus, EsmeCommand, EsmeConfig, EsmeEvent, EsmeSession, Password, ShortMessage,
    SmscCommand, SmscConfig, SmscEvent, SmscSession, decode,
};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Messages given to a session, and the most it may have unanswered.
const MESSAGES: u64 = 8;
const WINDOW: usize = 4;

fn message(tag: u64) -> ShortMessage {
    ShortMessage {
        destination: Address::international("491700000001").expect("digits"),
        short_message: Bytes::from(format!("message {tag}")),
        ..ShortMessage::default()
    }
}

/// Each message ends exactly once.
#[derive(Default)]
pub(crate) struct Account {
    pub(crate) given: BTreeSet<u64>,
    pub(crate) ended: BTreeSet<u64>,
}

impl Account {
    pub(crate) fn end(&mut self, tag: u64) {
        assert!(
            self.given.contains(&tag),
            "an end for {tag}, which was never given"
        );
        assert!(self.ended.insert(tag), "message {tag} ended twice");
    }
}

/// What the session wrote is a stream of PDUs that any peer can read.
#[derive(Debug)]
struct Wire(Framer);

impl Wire {
    fn check(&mut self, session: &mut impl Session) {
        let mut out = BytesMut::new();
        while session.poll_transmit(&mut out) {}
        self.0.push(&out);
        while let Some(frame) = self.0.next_frame().expect("we cut our own PDUs right") {
            let (_, tolerated) = decode::decode(&frame).expect("we write PDUs that decode");
            assert_eq!(
                tolerated.iter().count(),
                0,
                "a peer had to tolerate {tolerated:?}: {frame:?}"
            );
        }
        assert_eq!(self.0.pending(), 0, "half a PDU was written");
    }
}

#[expect(clippy::disallowed_methods, reason = "virtual time has to start somewhere")]
pub(crate) fn start() -> Instant {
    Instant::now()
}

/// Runs the pieces of the input through the session; `turn` handles what comes out.
fn drive<S: Session>(session: &mut S, octets: &[u8], mut turn: impl FnMut(&mut S, Instant)) {
    let (head, stream) = octets.split_at(octets.len().min(2));
    let piece = head.first().map_or(1, |size| usize::from(*size) + 1);
    let pause = Duration::from_millis(head.get(1).map_or(0, |octet| u64::from(*octet) * 200));
    let mut now = start();
    let mut wire = Wire(Framer::new(DEFAULT_MAX_PDU));
    for bytes in stream.chunks(piece) {
        session.handle_bytes(now, bytes);
        turn(session, now);
        wire.check(session);
        now += pause;
        if session.poll_timeout().is_some_and(|due| due <= now) {
            session.handle_timeout(now);
            turn(session, now);
            wire.check(session);
        }
    }
    session.handle_eof(now);
    turn(session, now);
    assert!(session.is_closed(), "the connection ended, the session did not");
}

/// The answer that makes an ESME bound, before what the peer sends.
fn bound(octets: &[u8], request: smsgw_smpp::CommandId) -> Vec<u8> {
    let opening = smpp::frames()
        .into_iter()
        .find(|frame| frame.get(4..8) == Some(&u32::from(request).to_be_bytes()));
    let (head, stream) = octets.split_at(octets.len().min(2));
    [head, &opening.expect("a seed has it"), stream].concat()
}

pub(crate) fn esme(octets: &[u8]) {
    let mut config = EsmeConfig::new(
        COctets::until_nul(b"test"),
        Password::try_new(b"secret").expect("no NUL"),
    );
    config.window = WINDOW;
    config.deliveries = 8;
    config.tombstones = 4;
    let mut session = EsmeSession::new(config, start());
    let mut account = Account::default();
    let octets = answering(octets);
    drive(&mut session, &octets, |session, now| {
        while let Some(event) = session.poll_event() {
            match event {
                EsmeEvent::Answered { tag, .. }
                | EsmeEvent::TimedOut { tag }
                | EsmeEvent::NotSent { tag, .. } => account.end(tag),
                EsmeEvent::Closed { in_doubt, .. } => in_doubt.into_iter().for_each(|tag| account.end(tag)),
                EsmeEvent::Delivered { sequence, .. } => {
                    let status = CommandStatus::OK;
                    session.handle_command(now, EsmeCommand::Answer { sequence, status });
                }
                EsmeEvent::LateAnswer { tag, .. } => assert!(account.ended.contains(&tag)),
                other => drop(other),
            }
        }
        let next = u64::try_from(account.given.len()).expect("few");
        if next < MESSAGES && session.free_slots() > 0 {
            account.given.insert(next);
            let message = message(next);
            session.handle_command(now, EsmeCommand::Submit { tag: next, message });
        }
        assert!(session.outstanding() <= WINDOW);
    });
    assert_eq!(account.ended, account.given);
}

/// The first sequence number of a session is 1: the bind's answer takes it.
fn answering(octets: &[u8]) -> Vec<u8> {
    let mut stream = bound(octets, smsgw_smpp::CommandId::BindTransceiverResp);
    if let Some(sequence) = stream
        .get_mut(octets.len().min(2)..)
        .and_then(|pdu| pdu.get_mut(12..16))
    {
        sequence.copy_from_slice(&1_u32.to_be_bytes());
    }
    stream
}

pub(crate) fn smsc(octets: &[u8]) {
    let mut config = SmscConfig::new(COctets::until_nul(b"SMSC"));
    config.window = WINDOW;
    config.requests = 8;
    config.tombstones = 4;
    let mut session = SmscSession::new(config, start());
    let mut account = Account::default();
    let octets = bound(octets, smsgw_smpp::CommandId::BindTransceiver);
    drive(&mut session, &octets, |session, now| {
        while let Some(event) = session.poll_event() {
            match event {
                SmscEvent::BindRequested { .. } => {
                    session.handle_command(now, SmscCommand::AcceptBind { window: None });
                }
                SmscEvent::Submit { sequence, .. } => session.handle_command(
                    now,
                    SmscCommand::AnswerSubmit {
                        sequence,
                        status: CommandStatus::OK,
                        message_id: COctets::until_nul(b"1"),
                    },
                ),
                SmscEvent::DeliverAnswered { tag, .. }
                | SmscEvent::TimedOut { tag }
                | SmscEvent::NotSent { tag, .. } => account.end(tag),
                SmscEvent::Closed { in_doubt, .. } => in_doubt.into_iter().for_each(|tag| account.end(tag)),
                other => drop(other),
            }
        }
        let next = u64::try_from(account.given.len()).expect("few");
        if next < MESSAGES && session.free_slots() > 0 {
            account.given.insert(next);
            let message = message(next);
            session.handle_command(now, SmscCommand::Deliver { tag: next, message });
        }
        assert!(session.outstanding() <= WINDOW);
    });
    assert_eq!(account.ended, account.given);
}
