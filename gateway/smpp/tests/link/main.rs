//! An ESME and an SMSC joined in memory: bytes cut at random, answers late, out of order or never, either end unbinding or
//! the link lost. Virtual time.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests start from some instant"
)]

mod every_kind;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use smsgw_session::Session;
use smsgw_smpp::{
    Address, COctets, CloseCause, CommandStatus, EsmeCommand, EsmeConfig, EsmeEvent, EsmeSession, Password,
    Receipt, ReceiptState, ShortMessage, SmscCommand, SmscConfig, SmscEvent, SmscSession,
    receipt::{ReceiptText, is_receipt},
    time::LocalTime,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

/// Bytes on their way in one direction.
#[derive(Default)]
struct Pipe(VecDeque<u8>);

impl Pipe {
    fn fill(&mut self, from: &mut impl Session) {
        let mut out = BytesMut::new();
        while from.poll_transmit(&mut out) {}
        self.0.extend(out);
    }

    /// Hands over at most `most` bytes.
    fn drain(&mut self, now: Instant, most: usize, to: &mut impl Session) {
        let bytes: Vec<u8> = self.0.drain(..most.min(self.0.len())).collect();
        to.handle_bytes(now, &bytes);
    }
}

fn message(text: String) -> ShortMessage {
    ShortMessage {
        source: Address::alphanumeric("Acme").unwrap(),
        destination: Address::international("491700000001").unwrap(),
        short_message: Bytes::from(text),
        registered_delivery: 1,
        ..ShortMessage::default()
    }
}

fn receipt(id: &str) -> ShortMessage {
    let at = LocalTime::parse("2611210800").unwrap();
    let text = ReceiptText {
        id: id.to_owned(),
        sub: 1,
        dlvrd: 1,
        submitted: at,
        done: at,
        state: ReceiptState::Delivered,
        err: "000".to_owned(),
        text: b"Hello".to_vec(),
    };
    text.to_deliver_sm(
        Address::international("491700000001").unwrap(),
        Address::alphanumeric("Acme").unwrap(),
    )
    .unwrap()
}

fn esme_config(window: usize) -> EsmeConfig {
    let mut config = EsmeConfig::new(
        COctets::try_new(b"test").unwrap(),
        Password::try_new(b"secret").unwrap(),
    );
    config.window = window;
    config
}

fn smsc_config(window: usize) -> SmscConfig {
    let mut config = SmscConfig::new(COctets::try_new(b"SMSC").unwrap());
    config.window = window;
    config
}

/// What a run of the world showed.
#[derive(Default)]
struct Seen {
    outcomes: BTreeMap<u64, &'static str>,
    late: BTreeSet<u64>,
    reports: BTreeSet<u64>,
    closed: Vec<CloseCause>,
}

impl Seen {
    fn outcome(&mut self, tag: u64, outcome: &'static str) {
        assert_eq!(
            self.outcomes.insert(tag, outcome),
            None,
            "submit {tag} ended twice"
        );
    }
}

struct World {
    now: Instant,
    esme: EsmeSession,
    smsc: SmscSession,
    up: Pipe,
    down: Pipe,
    /// Submits that the SMSC has not answered.
    waiting: VecDeque<(u32, String)>,
    next_tag: u64,
    unbinding: bool,
    seen: Seen,
}

impl World {
    fn new(window: usize) -> Self {
        let now = Instant::now();
        Self {
            now,
            esme: EsmeSession::new(esme_config(window), now),
            smsc: SmscSession::new(smsc_config(window), now),
            up: Pipe::default(),
            down: Pipe::default(),
            waiting: VecDeque::new(),
            next_tag: 0,
            unbinding: false,
            seen: Seen::default(),
        }
    }

    fn events(&mut self) {
        while let Some(event) = self.esme.poll_event() {
            assert!(self.seen.closed.is_empty(), "nothing follows Closed: {event:?}");
            match event {
                EsmeEvent::Bound { .. } => {}
                EsmeEvent::Answered {
                    tag,
                    status,
                    message_id,
                    ..
                } => {
                    // An SMSC that unbinds takes no more submits.
                    if !(self.unbinding && status == CommandStatus::THROTTLED) {
                        assert_eq!(
                            (status, message_id.to_string_lossy()),
                            (CommandStatus::OK, format!("id-{tag}"))
                        );
                    }
                    self.seen.outcome(tag, "answered");
                }
                EsmeEvent::TimedOut { tag } => self.seen.outcome(tag, "timed out"),
                EsmeEvent::NotSent { tag, .. } => self.seen.outcome(tag, "not sent"),
                EsmeEvent::LateAnswer {
                    tag,
                    status,
                    message_id,
                    ..
                } => {
                    if !(self.unbinding && status == CommandStatus::THROTTLED) {
                        assert_eq!(message_id.to_string_lossy(), format!("id-{tag}"));
                    }
                    assert_eq!(self.seen.outcomes.get(&tag), Some(&"timed out"));
                    assert!(self.seen.late.insert(tag));
                }
                EsmeEvent::Delivered {
                    sequence, message, ..
                } => {
                    assert!(is_receipt(message.esm_class));
                    let receipt = Receipt::parse(&message).unwrap();
                    assert_eq!(receipt.state, ReceiptState::Delivered);
                    self.seen
                        .reports
                        .insert(receipt.id.strip_prefix("id-").unwrap().parse().unwrap());
                    self.esme.handle_command(
                        self.now,
                        EsmeCommand::Answer {
                            sequence,
                            status: CommandStatus::OK,
                        },
                    );
                }
                EsmeEvent::Closed { cause, in_doubt } => {
                    for tag in in_doubt {
                        self.seen.outcome(tag, "in doubt");
                    }
                    self.seen.closed.push(cause);
                }
                other @ (EsmeEvent::BindRefused { .. }
                | EsmeEvent::DeliveryRefused { .. }
                | EsmeEvent::Outbind { .. }
                | EsmeEvent::Congested(_)
                | EsmeEvent::Adapted { .. }
                | EsmeEvent::Alert(_)
                | EsmeEvent::Unmatched { .. }
                | EsmeEvent::Undecodable(_)
                | EsmeEvent::Tolerated { .. }) => panic!("{other:?}"),
            }
        }
        while let Some(event) = self.smsc.poll_event() {
            match event {
                SmscEvent::BindRequested {
                    system_id, password, ..
                } => {
                    assert_eq!(
                        (system_id.as_bytes(), password.expose()),
                        (&b"test"[..], &b"secret"[..])
                    );
                    self.smsc
                        .handle_command(self.now, SmscCommand::AcceptBind { window: None });
                }
                SmscEvent::Submit {
                    sequence, message, ..
                } => {
                    let text = String::from_utf8(message.short_message.to_vec()).unwrap();
                    self.waiting.push_back((sequence, text));
                }
                SmscEvent::DeliverAnswered { status, .. } => assert_eq!(status, CommandStatus::OK),
                SmscEvent::TimedOut { .. }
                | SmscEvent::LateAnswer { .. }
                | SmscEvent::NotSent { .. }
                | SmscEvent::Closed { .. }
                | SmscEvent::Unmatched { .. } => {}
                // Only while it unbinds.
                SmscEvent::RequestRefused { .. } => assert!(self.unbinding),
                other @ (SmscEvent::SubmitMulti { .. }
                | SmscEvent::Congested(_)
                | SmscEvent::Adapted { .. }
                | SmscEvent::Query { .. }
                | SmscEvent::Cancel { .. }
                | SmscEvent::Replace { .. }
                | SmscEvent::Undecodable(_)
                | SmscEvent::Tolerated { .. }) => panic!("{other:?}"),
            }
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Submit => {
                if self.esme.free_slots() > 0 {
                    let tag = self.next_tag;
                    self.next_tag += 1;
                    let message = message(tag.to_string());
                    self.esme
                        .handle_command(self.now, EsmeCommand::Submit { tag, message });
                }
            }
            Step::Up(most) => self.up.drain(self.now, most, &mut self.smsc),
            Step::Down(most) => self.down.drain(self.now, most, &mut self.esme),
            Step::Answer(at) => {
                let at = at % self.waiting.len().max(1);
                if let Some((sequence, tag)) = self.waiting.remove(at) {
                    let id = format!("id-{tag}");
                    let message_id = COctets::try_from(id.as_str()).unwrap();
                    let answer = SmscCommand::AnswerSubmit {
                        sequence,
                        status: CommandStatus::OK,
                        message_id,
                    };
                    self.smsc.handle_command(self.now, answer);
                    if self.smsc.free_slots() > 0 {
                        let deliver = SmscCommand::Deliver {
                            tag: tag.parse().unwrap(),
                            message: receipt(&id),
                        };
                        self.smsc.handle_command(self.now, deliver);
                    }
                }
            }
            Step::Pass(millis) => {
                let until = self.now + Duration::from_millis(millis);
                self.now = until;
                for due in [self.esme.poll_timeout(), self.smsc.poll_timeout()] {
                    if due.is_some_and(|due| due <= until) {
                        self.esme.handle_timeout(until);
                        self.smsc.handle_timeout(until);
                    }
                }
            }
        }
        self.events();
        self.up.fill(&mut self.esme);
        self.down.fill(&mut self.smsc);
    }

    fn settle(&mut self) {
        for _ in 0..200 {
            for step in [
                Step::Up(usize::MAX),
                Step::Answer(0),
                Step::Down(usize::MAX),
                Step::Up(usize::MAX),
            ] {
                self.step(&step);
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Submit,
    Up(usize),
    Down(usize),
    Answer(usize),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::Submit),
        6 => (1usize..200).prop_map(Step::Up),
        6 => (1usize..200).prop_map(Step::Down),
        5 => (0usize..50).prop_map(Step::Answer),
        2 => (0u64..3000).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 0..400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Whatever happens, each submit ends once, its answer is its own, and Closed comes once.
    #[test]
    fn every_submit_ends_exactly_once(steps in steps(), window in 1usize..20, end in 0u8..4) {
        let mut world = World::new(window);
        for step in &steps {
            world.step(step);
        }
        let now = world.now;
        match end {
            0 => world.esme.handle_eof(now),
            1 => {
                world.unbinding = true;
                world.esme.handle_command(now, EsmeCommand::Unbind { within: Duration::from_secs(10) });
            }
            2 => {
                world.unbinding = true;
                world.smsc.handle_command(now, SmscCommand::Unbind { within: Duration::from_secs(10) });
            }
            _ => {
                world.settle();
                world.esme.handle_eof(now);
            }
        }
        world.settle();
        for _ in 0..200 {
            world.step(&Step::Pass(500));
            world.settle_once();
        }
        prop_assert_eq!(world.seen.closed.len(), 1, "{:?}", world.seen.closed);
        prop_assert!(world.esme.is_closed());
        let ended: BTreeSet<u64> = world.seen.outcomes.keys().copied().collect();
        prop_assert_eq!(ended, (0..world.next_tag).collect::<BTreeSet<_>>());
        prop_assert_eq!(world.esme.poll_timeout(), None);
    }

    /// With nothing in the way, everything is answered and reported, however the bytes are cut.
    #[test]
    fn cutting_bytes_changes_nothing(sizes in prop::collection::vec(1usize..60, 1..20), count in 1u64..60) {
        let mut world = World::new(10);
        let mut sizes = sizes.iter().copied().cycle();
        let mut rounds = 0;
        while world.seen.outcomes.len() < usize::try_from(count).unwrap() || !world.up.0.is_empty() || !world.down.0.is_empty() {
            if world.next_tag < count {
                world.step(&Step::Submit);
            }
            world.step(&Step::Up(sizes.next().unwrap()));
            world.step(&Step::Answer(rounds));
            world.step(&Step::Down(sizes.next().unwrap()));
            rounds += 1;
            prop_assert!(rounds < 100_000, "the world stands still");
        }
        prop_assert!(world.seen.outcomes.values().all(|outcome| *outcome == "answered"));
        prop_assert!(world.seen.reports.len() >= usize::try_from(count.min(10)).unwrap());
    }
}

impl World {
    fn settle_once(&mut self) {
        for step in [Step::Up(usize::MAX), Step::Answer(0), Step::Down(usize::MAX)] {
            self.step(&step);
        }
    }
}

#[test]
fn an_orderly_unbind_leaves_nothing_in_doubt_at_either_end() {
    let mut world = World::new(5);
    world.settle();
    for _ in 0..5 {
        world.step(&Step::Submit);
    }
    world.esme.handle_command(
        world.now,
        EsmeCommand::Unbind {
            within: Duration::from_secs(10),
        },
    );
    world.settle();
    assert_eq!(world.seen.closed, [CloseCause::Unbound]);
    assert_eq!(
        world
            .seen
            .outcomes
            .values()
            .filter(|outcome| **outcome == "answered")
            .count(),
        5
    );
    assert!(world.smsc.is_closed());
}
