//! What the measuring tools share: the load they put on an engine, and what the kernel says of the process.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    dead_code,
    reason = "tools for developers; not each uses all of it"
)]

use bytes::Bytes;
use smsgw_engine_embedded::EmbeddedEngine;
use smsgw_message::{
    Address, Class, ClientId, Clock, Encoding, Event, EventName, MessageId, MessageLife, MtMessage, Origin,
    Part, Record, ReportLevel, Timestamp, names,
};
use smsgw_queue::{
    Delivery, Engine, Expected, Expiry, Lane, LogName, Position, QueueName, Step, StepId, Want,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Octets of a plain record.
pub(crate) const OCTETS: usize = 300;
/// Flows that records are of.
const FLOWS: u64 = 100;

/// What is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// Records of 300 octets, nothing beside them.
    Plain,
    /// What an accept of the client node writes: the message for the router, its life with an alarm, its event.
    Accept,
    /// The same for clients that have quotas: two counters with a floor, which every accept of a client takes from.
    Quota,
}

impl Load {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "plain" => Some(Self::Plain),
            "accept" => Some(Self::Accept),
            "quota" => Some(Self::Quota),
            _ => None,
        }
    }

    pub(crate) fn queue(self) -> QueueName {
        match self {
            Self::Plain => QueueName::from("bench"),
            Self::Accept | Self::Quota => QueueName::from(names::MT_ACCEPTED),
        }
    }

    /// The step that publishes number `n`.
    pub(crate) fn publish(self, n: u64, queue: &QueueName, now: Timestamp) -> Step {
        match self {
            Self::Plain => {
                let lane = Lane::new(Class::Transactional, format!("client{}", n % FLOWS));
                Step::new(StepId::from_bytes(u128::from(n).to_be_bytes())).publish(
                    queue.clone(),
                    lane,
                    Bytes::from(vec![b'x'; OCTETS]),
                )
            }
            Self::Quota => {
                let client = message(n, now).client;
                let kept = Expiry::At(Timestamp::from_millis(4_000_000_000_000));
                let counters = [("day", "2026-11-21"), ("month", "2026-11")];
                counters
                    .into_iter()
                    .fold(Self::Accept.publish(n, queue, now), |step, (period, begin)| {
                        let key = names::quota(&client, period, begin);
                        step.add(key, -1, Some(-1_000_000_000), kept.clone())
                    })
            }
            Self::Accept => {
                let message = message(n, now);
                let lane = Lane::new(message.class, &message.client);
                let event = Event {
                    message: Some(message.id),
                    client: Some(message.client.clone()),
                    ..Event::new(now, EventName::MtAccepted)
                };
                let given_up = now.after(Duration::from_secs(72 * 3600));
                let alarm = Expiry::Alarm(given_up, QueueName::from(names::ALARMS), lane.clone());
                let record = message.to_record();
                let id = message.id;
                let life = MessageLife::accepted(message).to_record();
                Step::new(StepId::accept(id))
                    .publish(queue.clone(), lane, record)
                    .compare_and_put(names::message(id), Expected::Absent, life, alarm)
                    .append(names::EVENTS, event.to_record())
            }
        }
    }

    /// The step that is done with a delivery.
    pub(crate) fn settle(self, delivery: &Delivery, now: Timestamp) -> Step {
        let step = Step::from(delivery).settle(delivery);
        match self {
            Self::Plain => step,
            Self::Accept | Self::Quota => {
                let message = MtMessage::from_record(delivery.record()).unwrap();
                let key = names::message(message.id);
                let event = Event {
                    message: Some(message.id),
                    ..Event::new(now, EventName::MtRouted)
                };
                let life = MessageLife::accepted(message).to_record();
                // Gone after a minute, so that the sweep works as hard as the rest.
                step.put(key, life, Expiry::At(now.after(Duration::from_secs(60))))
                    .append(names::EVENTS, event.to_record())
            }
        }
    }
}

fn message(n: u64, now: Timestamp) -> MtMessage {
    let mut random = [0x5a; 10];
    random[2..].copy_from_slice(&n.to_be_bytes());
    MtMessage {
        id: MessageId::from_parts(now, random),
        client: ClientId::try_new(&format!("client{}", n % FLOWS)).unwrap(),
        accepted_at: now,
        from: None,
        to: Address::msisdn("491700000001").unwrap(),
        encoding: Encoding::Gsm7,
        parts: vec![Part {
            udh: Vec::new(),
            data: vec![b'x'; 100],
        }],
        class: Class::Transactional,
        valid_until: now.after(Duration::from_secs(48 * 3600)),
        report: ReportLevel::Final,
        callback: Some("http://127.0.0.1:9000/events".to_owned()),
        reference: Some(format!("order-{n}")),
        origin: Origin::Http,
        message_class: None,
        options: None,
        send_at: None,
        tags: None,
        registered_delivery: None,
        bind: None,
        bundle: None,
        batch: None,
        charge: None,
        submitted_coding: None,
    }
}

/// What the kernel says of this process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process {
    pub(crate) cpu: Duration,
    pub(crate) resident: u64,
    pub(crate) peak: u64,
    /// Octets that it caused to be written to the disk.
    pub(crate) written: u64,
}

pub(crate) fn process() -> Process {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let number = |text: &str, name: &str| -> u64 {
        text.lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|line| line.split_whitespace().next()?.parse().ok())
            .unwrap_or(0)
    };
    Process {
        cpu: Duration::from_millis(ticks * 10),
        resident: number(&status, "VmRSS:") * 1024,
        peak: number(&status, "VmHWM:") * 1024,
        written: number(&io, "write_bytes:"),
    }
}

/// Latencies of commits.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(crate) fn add(&mut self, took: Duration) {
        self.0.push(took);
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn sort(&mut self) {
        self.0.sort();
    }

    /// Of sorted ones.
    pub(crate) fn at(&self, permyriad: usize) -> Duration {
        let last = self.0.len().saturating_sub(1);
        self.0.get(last * permyriad / 10_000).copied().unwrap_or_default()
    }

    pub(crate) fn line(&self) -> String {
        format!(
            "p50 {:.1?}  p99 {:.1?}  p99.9 {:.1?}  p99.99 {:.1?}  max {:.1?}  ({} commits)",
            self.at(5000),
            self.at(9900),
            self.at(9990),
            self.at(9999),
            self.at(10_000),
            self.0.len()
        )
    }
}

/// How a cycle of publish, checkout and settle is driven.
#[derive(Debug, Clone)]
pub(crate) struct Drive {
    pub(crate) load: Load,
    pub(crate) queue: QueueName,
    /// Number of the first record.
    pub(crate) first: u64,
    pub(crate) records: u64,
    pub(crate) in_flight: u64,
    pub(crate) batch: u64,
    /// Records in a second; 0 is as fast as it goes.
    pub(crate) rate: u64,
    /// Only publish.
    pub(crate) fill: bool,
    /// Longest time.
    pub(crate) at_most: Duration,
}

#[derive(Debug)]
pub(crate) struct Driven {
    pub(crate) elapsed: Duration,
    pub(crate) cpu: Duration,
    pub(crate) written: u64,
    pub(crate) published: u64,
    pub(crate) settled: u64,
    pub(crate) latencies: Latencies,
}

impl Driven {
    pub(crate) fn rate(&self) -> f64 {
        self.published.max(self.settled) as f64 / self.elapsed.as_secs_f64()
    }
}

struct Shared {
    engine: Arc<EmbeddedEngine>,
    clock: Arc<dyn Clock>,
    drive: Drive,
    next: AtomicU64,
    published: AtomicU64,
    settled: AtomicU64,
    end: AtomicBool,
    begin: Instant,
}

impl Shared {
    fn over(&self) -> bool {
        self.end.load(Ordering::Relaxed) || self.clock.instant() - self.begin > self.drive.at_most
    }
}

/// Drives an engine. A cycle takes as much out of the queue as it puts in, whatever was there before.
pub(crate) async fn drive(engine: &Arc<EmbeddedEngine>, clock: &Arc<dyn Clock>, drive: Drive) -> Driven {
    let before = process();
    let tasks = (drive.in_flight / drive.batch).max(1);
    let fill = drive.fill;
    let shared = Arc::new(Shared {
        engine: engine.clone(),
        clock: clock.clone(),
        next: AtomicU64::new(0),
        published: AtomicU64::new(0),
        settled: AtomicU64::new(0),
        end: AtomicBool::new(false),
        begin: clock.instant(),
        drive,
    });
    let mut running = Vec::new();
    for _ in 0..tasks {
        running.push(tokio::spawn(publish(shared.clone())));
        if !fill {
            running.push(tokio::spawn(consume(shared.clone())));
        }
    }
    let reader = tokio::spawn(advance(shared.clone()));
    let mut latencies = Latencies::default();
    for task in running {
        latencies.extend(task.await.unwrap());
    }
    let elapsed = clock.instant() - shared.begin;
    shared.end.store(true, Ordering::Relaxed);
    reader.await.unwrap();
    latencies.sort();
    let after = process();
    Driven {
        elapsed,
        cpu: after.cpu - before.cpu,
        written: after.written - before.written,
        published: shared.published.load(Ordering::Relaxed),
        settled: shared.settled.load(Ordering::Relaxed),
        latencies,
    }
}

async fn publish(shared: Arc<Shared>) -> Latencies {
    let Drive {
        load,
        queue,
        first,
        records,
        in_flight,
        batch,
        rate,
        fill,
        ..
    } = shared.drive.clone();
    let mut took = Latencies::default();
    loop {
        let n = shared.next.fetch_add(batch, Ordering::Relaxed);
        if n >= records || shared.over() {
            return took;
        }
        let mut start = shared.clock.instant();
        if rate > 0 {
            // From when it was due: a stall counts for all that it held up.
            let due = shared.begin + Duration::from_secs_f64(n as f64 / rate as f64);
            if due > start {
                tokio::time::sleep_until(due.into()).await;
                start = shared.clock.instant();
            } else {
                start = due;
            }
        }
        while !fill
            && n.saturating_sub(shared.settled.load(Ordering::Relaxed)) > in_flight * 16
            && !shared.over()
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
            if rate == 0 {
                start = shared.clock.instant();
            }
        }
        let now = shared.clock.now();
        let steps: Vec<Step> = (n..records.min(n + batch))
            .map(|n| load.publish(first + n, &queue, now))
            .collect();
        let count = u64::try_from(steps.len()).unwrap();
        let answers = shared.engine.commit(steps).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        took.add(shared.clock.instant() - start);
        shared.published.fetch_add(count, Ordering::Relaxed);
    }
}

async fn consume(shared: Arc<Shared>) -> Latencies {
    let Drive {
        load,
        queue,
        records,
        batch,
        ..
    } = shared.drive.clone();
    let mut took = Latencies::default();
    while shared.settled.load(Ordering::Relaxed) < records && !shared.over() {
        let want = Want::new(usize::try_from(batch).unwrap(), Duration::from_millis(20));
        let deliveries = shared.engine.checkout(&queue, want).await.unwrap();
        if deliveries.is_empty() {
            continue;
        }
        let now = shared.clock.now();
        let steps = deliveries
            .iter()
            .map(|delivery| load.settle(delivery, now))
            .collect();
        let start = shared.clock.instant();
        let answers = shared.engine.commit(steps).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        took.add(shared.clock.instant() - start);
        shared
            .settled
            .fetch_add(u64::try_from(deliveries.len()).unwrap(), Ordering::Relaxed);
    }
    took
}

/// The counter node: reads the log and moves on, so that it is trimmed.
async fn advance(shared: Arc<Shared>) {
    let log = LogName::from(names::EVENTS);
    let mut at = shared.engine.position(&log, "bench").await.unwrap();
    let mut n = 0u64;
    while shared.drive.load != Load::Plain && !shared.end.load(Ordering::Relaxed) {
        let read = shared
            .engine
            .read(&log, at, 4096, Duration::from_millis(50))
            .await
            .unwrap();
        if let Some(last) = read.last() {
            at = Position(last.position.0 + 1);
            n += 1;
            let step = Step::new(StepId::from_bytes(u128::from(n).to_be_bytes()));
            step.advance(names::EVENTS, "bench", at)
                .commit(shared.engine.as_ref())
                .await
                .unwrap();
        }
    }
}

pub(crate) fn mib(octets: u64) -> u64 {
    octets / (1024 * 1024)
}
