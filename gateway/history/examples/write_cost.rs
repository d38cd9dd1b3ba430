//! What it costs to write history: `cargo run --release -p smsgw-history --example write_cost`, or the program under
//! `valgrind --tool=callgrind`, whose instructions do not depend on what else the machine does.
//!
//! Writes the log of 20,000 messages, four events each, as the counter node does: a transaction for each half second of
//! traffic, so that the end of some lives is in the next one. Prints the processor time of a message.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "a measurement"
)]

use smsgw_history::{Batch, Settings, SourceId, Writer};
use smsgw_message::{
    Address, Class, ClientId, Encoding, Event, EventName, LinkId, MessageId, MessageState, OperatorId,
    Timestamp,
};
use std::time::{Duration, Instant};

const MESSAGES: u64 = 20_000;
/// Messages of one transaction.
const BATCH: usize = 120;
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

/// The log: the answers come a window after the messages.
fn log() -> Vec<Event> {
    let operator = OperatorId::try_new("alpha").ok();
    let mut log = Vec::new();
    for n in 0..MESSAGES + WINDOW {
        if n < MESSAGES {
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
    }
    log
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let directory = tempfile::tempdir().unwrap();
    let now = Timestamp::from_millis(NOW);
    let mut writer = Writer::new(Settings::sqlite(directory.path()));
    writer.open(SourceId::from_bytes([9; 16]), now).await.unwrap();
    let log = log();
    let (mut taken, mut rows) = (Duration::ZERO, 0);
    for events in log.chunks(4 * BATCH) {
        let began = Instant::now();
        let mut batch = Batch::new(rows, 0);
        for event in events {
            batch.push(rows, event);
            rows += 1;
        }
        writer.write(batch, now).await.unwrap();
        taken += began.elapsed();
    }
    drop(writer);
    let octets: u64 = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    println!(
        "{:.1} us, {} octets a message",
        taken.as_micros() as f64 / MESSAGES as f64,
        octets / MESSAGES
    );
}
