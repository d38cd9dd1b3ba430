//! What it costs to write history: `cargo run --release -p smsgw-history --example write_cost -- [messages] [at once]`, or the
//! program under `valgrind --tool=callgrind`, whose instructions do not depend on what else the machine does.
//!
//! Writes the log of 20,000 messages, four events each, in transactions of 120 messages' events, so that the end of some lives is
//! in the next one; numbers and carriers' ids come in no order. Prints time, processor time and write calls of a message: those
//! grow with the file, so take 300,000 messages for them, and 14,000 at once for a second of full load.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "a measurement"
)]

use bytes::Bytes;
use smsgw_history::{Batch, Settings, SourceId, Writer};
use smsgw_message::{
    Address, Class, ClientId, Encoding, Event, EventName, LinkId, MessageId, MessageState, OperatorId,
    Record, Timestamp,
};
use std::time::{Duration, Instant};

/// Messages on their way to the carrier at any time.
const WINDOW: u64 = 64;
/// 2026-11-21T12:00:00Z.
const NOW: i64 = 1_795_262_400_000;

fn spread(n: u64) -> u64 {
    n.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29)
}

fn id(n: u64) -> MessageId {
    let at = Timestamp::from_millis(NOW + i64::try_from(n / 5).unwrap());
    let mut tail = [0x70; 10];
    tail[2..].copy_from_slice(&spread(n).to_be_bytes());
    MessageId::from_parts(at, tail)
}

fn event(n: u64, late: u64, name: EventName) -> Event {
    Event {
        message: Some(id(n)),
        client: ClientId::try_new("bench").ok(),
        from: Address::sender("Example").ok(),
        to: Address::msisdn(&format!("49170{:08}", spread(n) % 100_000_000)).ok(),
        class: Some(Class::Transactional),
        ..Event::new(
            Timestamp::from_millis(NOW + i64::try_from((n + late) / 5).unwrap()),
            name,
        )
    }
}

/// What the log gets when the n-th message comes: its accept and route, and the answers for the one a window before.
fn events(n: u64, messages: u64) -> Vec<Event> {
    let operator = OperatorId::try_new("alpha").ok();
    let mut log = Vec::new();
    if n < messages {
        log.push(Event {
            state: Some(MessageState::Accepted),
            reference: Some(format!("order-{n}")),
            encoding: Some(Encoding::Gsm7),
            ..event(n, 0, EventName::MtAccepted)
        });
        log.push(Event {
            operator: operator.clone(),
            route: Some(1),
            ..event(n, 0, EventName::MtRouted)
        });
    }
    if let Some(n) = n.checked_sub(WINDOW) {
        log.push(Event {
            operator: operator.clone(),
            link: LinkId::try_new("alpha-1").ok(),
            part: Some(1),
            carrier_id: Some(format!("179531810764{:05}", spread(n) % 100_000)),
            route: Some(1),
            ..event(n, WINDOW, EventName::MtSent)
        });
        log.push(Event {
            operator: operator.clone(),
            route: Some(1),
            state: Some(MessageState::Delivered),
            ..event(n, WINDOW, EventName::MtFinal)
        });
    }
    log
}

/// What the process has written so far: system calls, octets.
fn written() -> (u64, u64) {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    let field = |name: &str| {
        let line = io.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().parse().unwrap()
    };
    (field("syscw:"), field("wchar:"))
}

/// What the process has taken of the processor so far: itself, the kernel for it; in hundredths of a second.
fn processor() -> (u64, u64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let mut fields = stat.rsplit(')').next().unwrap().split_whitespace().skip(11);
    let mut next = || fields.next().unwrap().parse().unwrap();
    (next(), next())
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1).map(|word| word.parse::<u64>().unwrap());
    let messages = arguments.next().unwrap_or(20_000);
    let at_once = usize::try_from(arguments.next().unwrap_or(120)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let now = Timestamp::from_millis(NOW);
    let mut writer = Writer::new(Settings::sqlite(directory.path()));
    writer.open(SourceId::from_bytes([9; 16]), now).await.unwrap();
    let mut log = (0..messages + WINDOW).flat_map(|n| events(n, messages));
    let (mut taken, mut rows) = (Duration::ZERO, 0);
    let mut used = (0, 0);
    let before = written();
    loop {
        let events = log.by_ref().take(4 * at_once);
        let records: Vec<Bytes> = events.map(|event| event.to_record()).collect();
        if records.is_empty() {
            break;
        }
        let began = Instant::now();
        let cpu = processor();
        let mut batch = Batch::new(rows, 0);
        for record in records {
            batch.push(rows, record);
            rows += 1;
        }
        writer.write(batch, now).await.unwrap();
        taken += began.elapsed();
        let after = processor();
        used = (used.0 + after.0 - cpu.0, used.1 + after.1 - cpu.1);
    }
    let after = written();
    drop(writer);
    let octets: u64 = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    let each = |sum: u64| sum as f64 / messages as f64;
    println!(
        "a message: {:.1} us ({:.1} user, {:.1} kernel), {} octets in the file, {:.2} write calls of {:.0} octets in all",
        each(u64::try_from(taken.as_micros()).unwrap()),
        each(used.0 * 10_000),
        each(used.1 * 10_000),
        octets / messages,
        each(after.0 - before.0),
        each(after.1 - before.1)
    );
}
