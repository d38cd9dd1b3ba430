//! The hops together, on a model of the engine: state with versions and alarms, queues as lists, time as numbers.
//!
//! [`World`] is the model; the tests stand beside it, by what they are about.

mod explain;
mod failover;
mod ids;
mod keywords;
mod later;
mod long;
mod messages;
mod mixed;
mod orders;
mod phones;
mod reroute;
mod shared;

use crate::alarms::Alarms;
use crate::fixtures::{at, message_id, mo, mo_part, mt, receipt, sent};
use crate::mt::Mt;
use crate::outcome::{Fate, Note, View};
use crate::plan::Plan;
use crate::report::message_key;
use crate::up::Up as UpHop;
use crate::work::Hop;
use bytes::Bytes;
use smsgw_config::Config;
use smsgw_message::{
    Correlation, Dispatch, Down, DownKind, Event, EventName, InDoubt, LifeEvent, MessageLife, MessageState,
    Mo, MoDown, MtMessage, Receipt, ReceiptState, Record, Report, ReportLevel, SubmitOutcome, SubmitResult,
    Timestamp, Up, names,
};
use smsgw_queue::{DeadReason, Expected, Expiry, Op, StateKey, StepId, Versioned};
use std::collections::BTreeMap;
use std::sync::Arc;

const CONFIG: &str = r#"
[node]
name = "gw1"
[limits]
receipt_grace = "20s"
parked_receipts = "5s"
message_retention = "60s"
reassembly = "30s"
[operator.alpha]
protocol = "smpp"
hosts = ["127.0.0.1:1"]
system_id = "test"
password = "test"
[operator.odd]
protocol = "smpp"
hosts = ["127.0.0.1:1"]
system_id = "test"
password = "test"
states = { UNDELIV = "intermediate", ENROUTE = "delivered" }
[operator.wide]
protocol = "smpp"
hosts = ["127.0.0.1:1"]
system_id = "test"
password = "test"
long_messages = "udh16"
[operator.whole]
protocol = "smpp"
hosts = ["127.0.0.1:1"]
system_id = "test"
password = "test"
long_messages = "payload"
[operator.beta]
protocol = "smpp"
hosts = ["127.0.0.1:1"]
system_id = "test"
password = "test"
[operator.off]
protocol = "smpp"
hosts = ["127.0.0.1:1"]
system_id = "test"
password = "test"
enabled = false
[client.acme]
api_key = "acme-key"
callback = "http://127.0.0.1:9000/events"
[client.quiet]
api_key = "quiet-key"
[[route.mt]]
prefix = ["49"]
operators = ["alpha"]
[[route.mt]]
prefix = ["43"]
operators = ["wide"]
[[route.mt]]
prefix = ["41"]
operators = ["whole"]
[[route.mt]]
prefix = ["45"]
operators = ["alpha", "off", "beta", "whole", "wide"]
[[route.mo]]
to = ["12345"]
client = "acme"
[[route.mo]]
to = ["777"]
client = "quiet"
"#;

/// What an engine would hold.
struct World {
    plan: Plan,
    state: BTreeMap<StateKey, (Versioned, Expiry)>,
    published: Vec<(String, Bytes)>,
    buried: Vec<(String, DeadReason)>,
    inboxes: Vec<(String, Down)>,
    events: Vec<Event>,
    notes: Vec<Note>,
    writes: u64,
}

impl World {
    fn new() -> Self {
        Self::with("")
    }

    /// With more configuration behind the usual one.
    fn with(more: &str) -> Self {
        let text = format!("{CONFIG}{more}");
        let config = Config::parse("test.toml", &text).unwrap_or_else(|problems| panic!("{problems:?}"));
        Self {
            plan: Plan::try_new(1, Arc::new(config), Arc::default()).unwrap(),
            state: BTreeMap::new(),
            published: Vec::new(),
            buried: Vec::new(),
            inboxes: Vec::new(),
            events: Vec::new(),
            notes: Vec::new(),
            writes: 0,
        }
    }

    /// One input through one hop, as `work` does it.
    fn run<H: Hop>(&mut self, hop: &H, queue: &str, record: &[u8], now: Timestamp) {
        let input = hop.decode(record).unwrap();
        let mut view = View::default();
        for _ in 0..5 {
            for key in hop.keys(&self.plan, &input, &view) {
                let value = self.state.get(&key).map(|(value, _)| value.clone());
                view.insert(key, value);
            }
        }
        let id = StepId::from_bytes([7; 16]);
        let outcome = hop.decide(&self.plan, now, id, &input, &view);
        if let Fate::Dead(reason) = outcome.fate {
            self.buried.push((queue.to_owned(), reason));
        }
        outcome.notes.iter().for_each(|note| note.say(&self.plan, queue));
        self.notes.extend(outcome.notes);
        self.writes += 1;
        for op in outcome.step.into_ops() {
            match op {
                Op::Put(key, value, expected, expiry) => {
                    self.expect(&key, expected);
                    let blind = expected == Expected::Any;
                    assert!(
                        blind || view.has(&key),
                        "a key is read before it is written: {key}"
                    );
                    let value = Versioned {
                        value,
                        version: self.writes,
                        written_by: id,
                    };
                    self.state.insert(key, (value, expiry));
                }
                Op::Delete(key, expected) => {
                    self.expect(&key, expected);
                    self.state.remove(&key);
                }
                Op::Publish(queue, _, record, None) => {
                    self.published.push((queue.as_str().to_owned(), record))
                }
                Op::Bury(queue, _, _, reason) => self.buried.push((queue.as_str().to_owned(), reason)),
                Op::Append(log, entry) if log.as_str().starts_with("inbox.") => {
                    self.inboxes
                        .push((log.as_str().to_owned(), Down::from_record(&entry).unwrap()));
                }
                Op::Append(_, entry) => self.events.push(Event::from_record(&entry).unwrap()),
                other => panic!("unexpected change {other:?}"),
            }
        }
    }

    fn expect(&self, key: &StateKey, expected: Expected) {
        let there = self.state.get(key).map(|(value, _)| value.version);
        match expected {
            Expected::Absent => assert_eq!(there, None, "{key}"),
            Expected::Version(version) => assert_eq!(there, Some(version), "{key}"),
            Expected::WrittenBy(_) => panic!("inputs are decided one at a time here: {key}"),
            Expected::Any => {
                let is_wish = key.as_str().starts_with("optout/");
                assert!(is_wish, "all but the wishes of phones is compared: {key}");
            }
        }
    }

    fn accept(&mut self, message: &MtMessage, now: i64) {
        self.run(&Mt, names::MT_ACCEPTED, &message.to_record(), at(now));
    }

    fn result(&mut self, result: SubmitResult) {
        let now = result.at;
        self.run(&UpHop, &up(), &Up::SubmitResult(result).to_record(), now);
    }

    fn receipt(&mut self, receipt: Receipt) {
        let now = receipt.at;
        self.run(&UpHop, &up(), &Up::Receipt(receipt).to_record(), now);
    }

    /// What was given back to `up` after the first `seen` such records takes its turn. Gives how many there are now.
    fn go_round(&mut self, seen: usize, now: i64) -> usize {
        let mut done = seen;
        loop {
            let again = self.published.iter().filter(|(queue, _)| *queue == up());
            let Some(record) = again.map(|(_, record)| record.clone()).nth(done) else {
                return done;
            };
            self.run(&UpHop, &up(), &record, at(now));
            done += 1;
        }
    }

    fn mo(&mut self, mo: Mo, now: i64) {
        self.run(&UpHop, &up(), &Up::Mo(mo).to_record(), at(now));
    }

    /// Every alarm that is due, as the engine does it, and expiry.
    fn pass_to(&mut self, now: i64) {
        self.state
            .retain(|_, (_, expiry)| !matches!(expiry, Expiry::At(end) if *end <= at(now)));
        let due: Vec<StateKey> = self
            .state
            .iter()
            .filter(|(_, (_, expiry))| matches!(expiry, Expiry::Alarm(end, _, _) if *end <= at(now)))
            .map(|(key, _)| key.clone())
            .collect();
        for key in due {
            if let Some((_, expiry)) = self.state.get_mut(&key) {
                *expiry = Expiry::Owner;
            }
            self.run(&Alarms, names::ALARMS, key.as_str().as_bytes(), at(now));
        }
    }

    fn life(&self, n: u8) -> MessageLife {
        MessageLife::from_record(&self.state[&message_key(message_id(n))].0.value).unwrap()
    }

    fn downs(&self) -> Vec<Down> {
        let down = self
            .published
            .iter()
            .filter(|(queue, _)| queue == names::DOWN_CALLBACK);
        down.map(|(_, record)| Down::from_record(record).unwrap())
            .collect()
    }

    fn reports(&self) -> Vec<Report> {
        let report = |down: Down| match down.what {
            DownKind::Report(report) => Some(report),
            DownKind::Mo(_) => None,
        };
        self.downs().into_iter().filter_map(report).collect()
    }

    fn told(&self) -> Vec<(MessageState, Option<String>)> {
        self.reports()
            .into_iter()
            .map(|report| (report.state, report.error))
            .collect()
    }

    fn mos(&self) -> Vec<MoDown> {
        let mo = |down: Down| match down.what {
            DownKind::Mo(mo) => Some(mo),
            DownKind::Report(_) => None,
        };
        self.downs().into_iter().filter_map(mo).collect()
    }

    fn happened(&self) -> Vec<EventName> {
        self.events.iter().map(|event| event.name).collect()
    }

    /// What changed nothing: repeated, late, not asked for.
    fn duplicates(&self) -> u32 {
        self.notes
            .iter()
            .map(|note| match note {
                Note::Duplicate(_, _, times) => *times,
                Note::Late(..) | Note::Unrequested(..) => 1,
                _ => 0,
            })
            .sum()
    }

    fn was_noted(&self, is_it: impl Fn(&Note) -> bool) -> usize {
        self.notes.iter().filter(|note| is_it(note)).count()
    }

    fn doubt(&mut self, doubt: InDoubt) {
        let now = doubt.at;
        self.run(&UpHop, &up(), &Up::InDoubt(doubt).to_record(), now);
    }
}

/// The partition of alpha.
fn up() -> String {
    names::up(&crate::fixtures::via("alpha").group)
}

fn refused(part: u16, millis: i64) -> SubmitResult {
    let outcome = SubmitOutcome::Refused {
        error: "ESME_RINVDSTADR".to_owned(),
        status: 0x0B,
    };
    SubmitResult {
        outcome,
        ..sent(message_id(1), part, "", millis)
    }
}
