//! Requests of every kind in both directions, in any version and bind: bytes cut anywhere, answers in any order, late, never,
//! twice or of another kind, connections lost and opened again. Virtual time.
//!
//! Laws: a request ends as exactly one of answered, refused, timed out, in doubt; a late answer follows a timeout, once;
//! windows are never exceeded; what is over holds nothing.

use super::{Pipe, esme_config, smsc_config};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use smsgw_session::Session;
use smsgw_smpp::{
    Address, BindKind, Body, COctets, CommandStatus, EsmeCommand, EsmeConfig, EsmeEvent, EsmeSession, Held,
    Reply, Request, ShortMessage, SmscCommand, SmscConfig, SmscEvent, SmscSession, WindowCounts,
    decode::DecodeError,
    encode::encode,
    pdu::{
        AlertNotification, CancelSm, Destination, MessageResp, QuerySm, QuerySmResp, ReplaceSm, SubmitMulti,
        Unsuccess,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Submit,
    Data,
    Multi,
    Query,
    Cancel,
    Replace,
}

const KINDS: [Kind; 6] = [
    Kind::Submit,
    Kind::Data,
    Kind::Multi,
    Kind::Query,
    Kind::Cancel,
    Kind::Replace,
];

/// A request whose sender's address is its tag.
fn request(kind: Kind, tag: u64) -> Request {
    let source = Address::try_new(5, 0, tag.to_string()).unwrap();
    let message = || ShortMessage {
        source: source.clone(),
        short_message: Bytes::from_static(b"Hello"),
        ..ShortMessage::default()
    };
    match kind {
        Kind::Submit => Request::SubmitSm(message()),
        // data_sm has no short_message: the text comes back as message_payload.
        Kind::Data => Request::DataSm(message()),
        Kind::Multi => Request::SubmitMulti(SubmitMulti {
            source: source.clone(),
            destinations: vec![Destination::Sme(Address::international("491700000001").unwrap())],
            ..SubmitMulti::default()
        }),
        Kind::Query => Request::QuerySm(QuerySm {
            source,
            ..QuerySm::default()
        }),
        Kind::Cancel => Request::CancelSm(CancelSm {
            source,
            ..CancelSm::default()
        }),
        Kind::Replace => Request::ReplaceSm(ReplaceSm {
            source,
            ..ReplaceSm::default()
        }),
    }
}

fn tag_of(source: &Address) -> u64 {
    source.value.to_str().unwrap().parse().unwrap()
}

fn id_of(tag: u64) -> COctets {
    COctets::try_from(tag.to_string()).unwrap()
}

/// What became of the requests of one end.
#[derive(Default)]
struct Ledger {
    asked: u64,
    ended: BTreeMap<u64, &'static str>,
    late: BTreeSet<u64>,
}

impl Ledger {
    fn next(&mut self) -> u64 {
        self.asked += 1;
        self.asked - 1
    }

    fn end(&mut self, tag: u64, how: &'static str) {
        assert_eq!(self.ended.insert(tag, how), None, "{tag} ended twice: {how}");
    }

    fn late(&mut self, tag: u64) {
        assert_eq!(self.ended.get(&tag), Some(&"timed out"));
        assert!(self.late.insert(tag), "{tag} was late twice");
    }

    fn answered(&mut self, tag: u64, status: CommandStatus) {
        self.end(tag, if status.is_ok() { "answered" } else { "refused" });
    }

    fn check(&self) {
        assert_eq!(
            self.ended.keys().copied().collect::<Vec<_>>(),
            (0..self.asked).collect::<Vec<_>>()
        );
    }
}

struct Settings {
    esme: EsmeConfig,
    smsc: SmscConfig,
}

struct World {
    now: Instant,
    settings: Settings,
    esme: EsmeSession,
    smsc: SmscSession,
    up: Pipe,
    down: Pipe,
    /// Requests that the SMSC's owner has not answered.
    asked: Vec<(u32, Kind, u64)>,
    /// Deliveries that the ESME's owner has not answered.
    delivered: Vec<u32>,
    kinds: BTreeMap<u64, Kind>,
    ups: Ledger,
    downs: Ledger,
    /// Somebody answers what nobody asked: answers may then belong to another request.
    forged: bool,
    lives: usize,
    closings: usize,
}

impl World {
    fn new(settings: Settings) -> Self {
        let now = Instant::now();
        Self {
            now,
            esme: EsmeSession::new(settings.esme.clone(), now),
            smsc: SmscSession::new(settings.smsc.clone(), now),
            settings,
            up: Pipe::default(),
            down: Pipe::default(),
            asked: Vec::new(),
            delivered: Vec::new(),
            kinds: BTreeMap::new(),
            ups: Ledger::default(),
            downs: Ledger::default(),
            forged: false,
            lives: 1,
            closings: 0,
        }
    }

    fn esme_events(&mut self) {
        while let Some(event) = self.esme.poll_event() {
            match event {
                EsmeEvent::Answered {
                    tag,
                    status,
                    message_id,
                    reply,
                    took,
                    ..
                } => {
                    self.check_reply(tag, status, &message_id, &reply);
                    assert!(took <= self.settings.esme.response_timeout);
                    self.ups.answered(tag, status);
                }
                EsmeEvent::LateAnswer {
                    tag,
                    status,
                    message_id,
                    reply,
                    took,
                    ..
                } => {
                    self.check_reply(tag, status, &message_id, &reply);
                    assert!(took >= self.settings.esme.response_timeout);
                    self.ups.late(tag);
                }
                EsmeEvent::TimedOut { tag } => self.ups.end(tag, "timed out"),
                EsmeEvent::NotSent { tag, .. } => self.ups.end(tag, "refused"),
                EsmeEvent::Delivered { sequence, .. } => self.delivered.push(sequence),
                EsmeEvent::Closed { in_doubt, .. } => {
                    in_doubt.into_iter().for_each(|tag| self.ups.end(tag, "in doubt"));
                    self.closings += 1;
                }
                EsmeEvent::Unmatched { .. } | EsmeEvent::Tolerated { .. } => {}
                EsmeEvent::Bound { .. }
                | EsmeEvent::Alert(_)
                | EsmeEvent::Adapted { .. }
                | EsmeEvent::DeliveryRefused { .. } => {}
                EsmeEvent::BindRefused { .. } => assert!(self.forged, "the SMSC takes every bind"),
                other @ (EsmeEvent::Outbind { .. } | EsmeEvent::Congested(_) | EsmeEvent::Undecodable(_)) => {
                    panic!("{other:?}")
                }
            }
        }
    }

    fn check_reply(&self, tag: u64, status: CommandStatus, id: &COctets, reply: &Reply) {
        let kind = match reply {
            Reply::SubmitSm => Kind::Submit,
            Reply::DataSm => Kind::Data,
            Reply::SubmitMulti { .. } => Kind::Multi,
            Reply::QuerySm(_) => Kind::Query,
            Reply::CancelSm => Kind::Cancel,
            Reply::ReplaceSm => Kind::Replace,
        };
        assert_eq!(
            self.kinds.get(&tag),
            Some(&kind),
            "the reply is of the kind that was asked"
        );
        if status.is_ok() && !self.forged {
            let told = match reply {
                Reply::QuerySm(found) => &found.message_id,
                Reply::SubmitSm | Reply::DataSm | Reply::SubmitMulti { .. } => id,
                Reply::CancelSm | Reply::ReplaceSm => return,
            };
            assert_eq!(*told, id_of(tag), "the answer is this request's");
        }
    }

    fn smsc_events(&mut self) {
        while let Some(event) = self.smsc.poll_event() {
            match event {
                SmscEvent::BindRequested { .. } => {
                    self.smsc
                        .handle_command(self.now, SmscCommand::AcceptBind { window: None });
                }
                SmscEvent::Submit {
                    sequence,
                    operation,
                    message,
                } => {
                    assert_eq!(message.payload(), b"Hello");
                    let kind = match operation {
                        smsgw_smpp::Operation::SubmitSm => Kind::Submit,
                        smsgw_smpp::Operation::DataSm => Kind::Data,
                        smsgw_smpp::Operation::DeliverSm => panic!("not to an SMSC"),
                    };
                    self.asked.push((sequence, kind, tag_of(&message.source)));
                }
                SmscEvent::SubmitMulti { sequence, message } => {
                    self.asked.push((sequence, Kind::Multi, tag_of(&message.source)));
                }
                SmscEvent::Query { sequence, query } => {
                    self.asked.push((sequence, Kind::Query, tag_of(&query.source)));
                }
                SmscEvent::Cancel { sequence, cancel } => {
                    self.asked.push((sequence, Kind::Cancel, tag_of(&cancel.source)));
                }
                SmscEvent::Replace { sequence, replace } => {
                    self.asked
                        .push((sequence, Kind::Replace, tag_of(&replace.source)));
                }
                SmscEvent::DeliverAnswered { tag, status, .. } => self.downs.answered(tag, status),
                SmscEvent::LateAnswer { tag, .. } => self.downs.late(tag),
                SmscEvent::TimedOut { tag } => self.downs.end(tag, "timed out"),
                SmscEvent::NotSent { tag, .. } => self.downs.end(tag, "refused"),
                SmscEvent::Closed { in_doubt, .. } => {
                    in_doubt
                        .into_iter()
                        .for_each(|tag| self.downs.end(tag, "in doubt"));
                    self.closings += 1;
                }
                SmscEvent::Unmatched { .. }
                | SmscEvent::Tolerated { .. }
                | SmscEvent::Adapted { .. }
                | SmscEvent::RequestRefused { .. } => {}
                // An SMSC of 3.3 does not say so, and the ESME tries data_sm.
                SmscEvent::Undecodable(undecodable) => {
                    assert_eq!(undecodable.error, DecodeError::UnknownCommand(0x103));
                }
                SmscEvent::Congested(_) => panic!("nobody said so"),
            }
        }
    }

    /// Takes what came of it, and looks at the bounds.
    fn pump(&mut self) {
        self.esme_events();
        self.smsc_events();
        self.up.fill(&mut self.esme);
        self.down.fill(&mut self.smsc);
        let beside = match self.settings.esme.window_counts {
            WindowCounts::Everything => 1,
            WindowCounts::Messages => 2,
        };
        assert!(self.esme.outstanding() <= self.settings.esme.window * beside);
        assert!(self.smsc.outstanding() <= self.settings.smsc.window);
        assert!(self.esme.held().tombstones <= self.settings.esme.tombstones);
        assert!(self.esme.held().waiting <= self.settings.esme.deliveries);
        assert!(self.smsc.held().waiting <= self.settings.smsc.requests);
    }

    fn answer(&mut self, at: usize, status: CommandStatus) {
        if self.asked.is_empty() {
            return;
        }
        let (sequence, kind, tag) = self.asked.remove(at % self.asked.len());
        let message_id = id_of(tag);
        let command = match kind {
            Kind::Submit | Kind::Data => SmscCommand::AnswerSubmit {
                sequence,
                status,
                message_id,
            },
            Kind::Multi => SmscCommand::AnswerMulti {
                sequence,
                status,
                message_id,
                unsuccess: vec![Unsuccess {
                    address: Address::default(),
                    status: CommandStatus::INVALID_DESTINATION,
                }],
            },
            Kind::Query => SmscCommand::AnswerQuery {
                sequence,
                status,
                answer: QuerySmResp {
                    message_id,
                    message_state: 2,
                    ..QuerySmResp::default()
                },
            },
            Kind::Cancel => SmscCommand::AnswerCancel { sequence, status },
            Kind::Replace => SmscCommand::AnswerReplace { sequence, status },
        };
        self.smsc.handle_command(self.now, command);
    }

    fn deliver(&mut self, what: u8) {
        let tag = self.downs.next();
        let message = ShortMessage {
            short_message: Bytes::from_static(b"Hi"),
            ..ShortMessage::default()
        };
        let command = match what % 3 {
            0 => SmscCommand::Deliver { tag, message },
            1 => SmscCommand::DeliverData { tag, message },
            _ => {
                // Nothing more is heard of it, unless it was not sent.
                let alert = AlertNotification::default();
                self.smsc
                    .handle_command(self.now, SmscCommand::Alert { tag, alert });
                self.smsc_events();
                if !self.downs.ended.contains_key(&tag) {
                    self.downs.end(tag, "answered");
                }
                return;
            }
        };
        self.smsc.handle_command(self.now, command);
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let due = [self.esme.poll_timeout(), self.smsc.poll_timeout()];
            let Some(at) = due.into_iter().flatten().min().filter(|at| *at <= until) else {
                break;
            };
            self.now = self.now.max(at);
            self.esme.handle_timeout(self.now);
            self.smsc.handle_timeout(self.now);
            self.pump();
        }
        self.now = until;
    }

    /// The connection breaks, and another is opened.
    fn lose(&mut self, reopen: bool) {
        self.esme.handle_eof(self.now);
        self.smsc.handle_eof(self.now);
        self.pump();
        self.check_over();
        self.asked.clear();
        self.delivered.clear();
        if reopen {
            self.esme = EsmeSession::new(self.settings.esme.clone(), self.now);
            self.smsc = SmscSession::new(self.settings.smsc.clone(), self.now);
            self.lives += 1;
        }
    }

    fn check_over(&mut self) {
        assert!(self.esme.is_closed() && self.smsc.is_closed());
        self.up.0.clear();
        self.down.0.clear();
        assert_eq!(
            (self.esme.held(), self.smsc.held()),
            (Held::default(), Held::default())
        );
        assert_eq!((self.esme.poll_timeout(), self.smsc.poll_timeout()), (None, None));
        assert_eq!(self.closings, 2 * self.lives);
    }

    /// An answer that the SMSC never gave.
    fn forge(&mut self, what: u8, sequence: u32) {
        self.forged = true;
        let body = match what % 6 {
            0 => Body::SubmitSmResp(MessageResp::default()),
            1 => Body::DataSmResp(MessageResp::default()),
            2 => Body::QuerySmResp(QuerySmResp::default()),
            3 => Body::GenericNack,
            4 => Body::DeliverSmResp(MessageResp::default()),
            _ => Body::EnquireLinkResp(smsgw_smpp::Tlvs::new()),
        };
        let mut bytes = BytesMut::new();
        encode(CommandStatus::OK, sequence, &body, &mut bytes).unwrap();
        self.down.0.extend(bytes);
    }

    fn step(&mut self, step: &Step) {
        match *step {
            // Nobody asks a session whose end is known.
            Step::Ask(_) if self.esme.is_closed() => {}
            Step::Deliver(_) if self.smsc.is_closed() => {}
            Step::Ask(kind) => {
                let kind = KINDS[usize::from(kind) % KINDS.len()];
                let tag = self.ups.next();
                self.kinds.insert(tag, kind);
                let request = request(kind, tag);
                self.esme
                    .handle_command(self.now, EsmeCommand::Request { tag, request });
            }
            Step::Deliver(what) => self.deliver(what),
            Step::Up(most) => self.up.drain(self.now, most, &mut self.smsc),
            Step::Down(most) => self.down.drain(self.now, most, &mut self.esme),
            Step::Answer(at, ok) => self.answer(
                at,
                if ok {
                    CommandStatus::OK
                } else {
                    CommandStatus::THROTTLED
                },
            ),
            Step::Take(at) => {
                if !self.delivered.is_empty() {
                    let sequence = self.delivered.remove(at % self.delivered.len());
                    let status = CommandStatus::OK;
                    self.esme
                        .handle_command(self.now, EsmeCommand::Answer { sequence, status });
                }
            }
            Step::Pass(millis) => self.pass(Duration::from_millis(millis)),
            Step::Forge(what, sequence) => self.forge(what, sequence),
            Step::Lose => self.lose(true),
        }
        self.pump();
    }
}

#[derive(Debug, Clone)]
enum Step {
    Ask(u8),
    Deliver(u8),
    Up(usize),
    Down(usize),
    Answer(usize, bool),
    Take(usize),
    Pass(u64),
    Forge(u8, u32),
    Lose,
}

fn steps(forging: u32) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        60 => any::<u8>().prop_map(Step::Ask),
        20 => any::<u8>().prop_map(Step::Deliver),
        60 => (1usize..300).prop_map(Step::Up),
        60 => (1usize..300).prop_map(Step::Down),
        50 => (any::<usize>(), prop::bool::weighted(0.8)).prop_map(|(at, ok)| Step::Answer(at, ok)),
        20 => any::<usize>().prop_map(Step::Take),
        20 => (0u64..1500).prop_map(Step::Pass),
        1 => Just(Step::Lose),
        forging => (any::<u8>(), 0u32..60).prop_map(|(what, sequence)| Step::Forge(what, sequence)),
    ];
    prop::collection::vec(step, 0..400)
}

fn settings() -> impl Strategy<Value = (usize, u8, u8, u8, bool, usize)> {
    let version = || prop::sample::select(vec![0x33u8, 0x34, 0x50]);
    (1usize..12, version(), version(), 0u8..3, any::<bool>(), 0usize..6)
}

fn world((window, ours, theirs, kind, messages, tombstones): (usize, u8, u8, u8, bool, usize)) -> World {
    let mut esme = esme_config(window);
    esme.interface_version = ours;
    esme.bind = [BindKind::Transceiver, BindKind::Transmitter, BindKind::Receiver][usize::from(kind)];
    esme.window_counts = if messages {
        WindowCounts::Messages
    } else {
        WindowCounts::Everything
    };
    esme.response_timeout = Duration::from_secs(2);
    esme.tombstone_ttl = Duration::from_secs(3);
    esme.tombstones = tombstones;
    esme.enquire_link = Some(Duration::from_secs(2));
    esme.unanswered_limit = messages.then_some(Duration::from_secs(20));
    esme.deliveries = 5;
    let mut smsc = smsc_config(window);
    smsc.interface_version = Some(theirs);
    smsc.response_timeout = Duration::from_secs(2);
    smsc.tombstone_ttl = Duration::from_secs(3);
    smsc.requests = 8;
    World::new(Settings { esme, smsc })
}

fn run(mut world: World, steps: &[Step], end: u8) {
    for step in steps {
        world.step(step);
    }
    let (now, within) = (world.now, Duration::from_secs(4));
    match end {
        0 => world.lose(false),
        1 => world.esme.handle_command(now, EsmeCommand::Unbind { within }),
        2 => world.smsc.handle_command(now, SmscCommand::Unbind { within }),
        _ => world.esme.handle_command(now, EsmeCommand::Leave),
    }
    for _ in 0..400 {
        for step in [
            Step::Up(usize::MAX),
            Step::Answer(0, true),
            Step::Take(0),
            Step::Down(usize::MAX),
        ] {
            world.step(&step);
        }
        if world.esme.is_closed() != world.smsc.is_closed() {
            // A driver closes the socket of a session that is over, once its bytes are out.
            world.esme.handle_eof(world.now);
            world.smsc.handle_eof(world.now);
        }
        world.step(&Step::Pass(100));
    }
    world.pump();
    world.check_over();
    world.ups.check();
    world.downs.check();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_request_of_either_end_ends_exactly_once_and_nothing_is_left(
        settings in settings(),
        steps in steps(0),
        end in 0u8..4,
    ) {
        run(world(settings), &steps, end);
    }

    /// Answers that nobody gave may end a request early, but never twice.
    #[test]
    fn forged_answers_end_no_request_twice(settings in settings(), steps in steps(30), end in 0u8..4) {
        run(world(settings), &steps, end);
    }
}
