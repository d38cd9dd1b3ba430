//! Laws of the stream: what goes in comes out, and nothing that was cut or changed does.

use super::*;
use crate::delivery::Position;
use crate::index::{At, Reason};
use crate::look::{Held, HoldScope};
use crate::name::{Lane, LogName, QueueName, StateKey};
use crate::step::{DeadReason, Expiry, HoldReason, StepId};
use bytes::Bytes;
use proptest::prelude::*;
use smsgw_message::{Class, Timestamp};

const MARKS: Marks = Marks {
    next_record: 1000,
    next_version: 2000,
};

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn items() -> Vec<Item> {
    let record = |id, place| {
        Item::Record(StoredRecord {
            id,
            queue: QueueName::from("mt.accepted"),
            lane: Lane::new(Class::Otp, "acme"),
            published_at: at(5),
            at: place,
            attempt: 3,
            leased_before: id == 7,
            record: Bytes::from(vec![9; 40]),
        })
    };
    let aside = At::Aside {
        reason: Reason::Dead(DeadReason::Corrupt),
        since: at(-1),
    };
    let state = |key: &str, expiry| {
        Item::State(StateItem {
            key: StateKey::from(key),
            version: 1999,
            written_by: StepId::from_bytes([3; 16]),
            expiry,
            value: Bytes::from_static(b"value"),
        })
    };
    let hold = |scope| {
        Item::Hold(Hold {
            queue: QueueName::from("mt.accepted"),
            held: Held {
                scope,
                reason: HoldReason::Instructed,
                since: at(3),
            },
        })
    };
    let mut items = vec![
        record(7, At::Ready),
        record(
            8,
            At::Deferred {
                due: at(77),
                reason: Reason::Scheduled,
            },
        ),
        record(999, aside),
        state("a", Expiry::Owner),
        state("b", Expiry::At(at(9))),
        state(
            "c",
            Expiry::Alarm(at(9), QueueName::from("alarms"), Lane::new(Class::Bulk, "x")),
        ),
        Item::Log(LogHead {
            name: LogName::from("events"),
            first: 4,
            next: 6,
            readers: vec![("counter".to_owned(), 5)],
        }),
    ];
    for position in [4, 5] {
        items.push(Item::Entry(LogEntry {
            position: Position(position),
            record: Bytes::from(vec![1; 3]),
        }));
    }
    items.push(hold(HoldScope::Queue));
    items.push(hold(HoldScope::Flow("acme".into())));
    items
}

fn write(items: &[Item]) -> Vec<u8> {
    let mut writer = StreamWriter::new(Vec::new(), MARKS, at(1)).unwrap();
    for item in items {
        writer.write(item).unwrap();
    }
    writer.finish().unwrap().0
}

fn read(stream: &[u8]) -> Result<Vec<Item>, StreamError> {
    let mut reader = StreamReader::new(stream)?;
    assert_eq!(reader.marks(), MARKS);
    let mut items = Vec::new();
    while let Some(item) = reader.next()? {
        items.push(item);
    }
    Ok(items)
}

#[test]
fn what_was_written_is_read() {
    assert_eq!(read(&write(&items())).unwrap(), items());
    assert_eq!(read(&write(&[])).unwrap(), []);
}

#[test]
fn a_stream_of_version_1_begins_like_this_for_ever() {
    // Pinned octets: streams are kept for years.
    let stream = write(&[]);
    assert_eq!(&stream[..12], b"smsgwX1\n\0\x01\0\0");
    assert_eq!(stream[12..20], 1i64.to_be_bytes());
    assert_eq!(stream[20..28], 1000u64.to_be_bytes());
    assert_eq!(stream[28..36], 2000u64.to_be_bytes());
    assert_eq!(&stream[40..45], b"Z\0\0\0\x50");
    assert_eq!(stream.len(), 40 + 5 + 80 + 4);
    assert_eq!(crc(0, b"123456789"), 0xE306_9283, "the check value of CRC-32C");
}

#[test]
fn a_stream_that_was_cut_anywhere_is_refused() {
    let stream = write(&items());
    for len in 0..stream.len() {
        let error = read(&stream[..len]).unwrap_err();
        let begins = matches!(error.kind, StreamErrorKind::NotOurs) && len < 8;
        assert!(
            begins || matches!(error.kind, StreamErrorKind::Cut),
            "{len}: {error:?}"
        );
        assert!(error.at <= u64::try_from(len).unwrap());
    }
}

#[test]
fn a_stream_with_any_bit_changed_is_refused_where_it_was() {
    let stream = write(&items());
    for at in 0..stream.len() {
        for bit in [0, 3, 7] {
            let mut changed = stream.clone();
            changed[at] ^= 1 << bit;
            let error = read(&changed).unwrap_err();
            let here = u64::try_from(at).unwrap();
            assert!(error.at <= here, "octet {at}, told of {}", error.at);
        }
    }
    let mut longer = stream;
    longer.push(0);
    assert!(matches!(read(&longer).unwrap_err().kind, StreamErrorKind::Tail));
}

#[test]
fn what_stands_twice_or_out_of_order_is_refused() {
    let all = items();
    let refused = |items: &[Item]| match read(&write(items)).unwrap_err().kind {
        StreamErrorKind::Order(_) | StreamErrorKind::Broken(_) => {}
        other => panic!("{other:?}"),
    };
    refused(&[all[1].clone(), all[0].clone()]);
    refused(&[all[0].clone(), all[0].clone()]);
    refused(&[all[4].clone(), all[3].clone()]);
    refused(&[all[7].clone()]);
    refused(&[all[6].clone()]);
    refused(&[all[6].clone(), all[8].clone()]);
    let Item::Record(mut record) = all[0].clone() else {
        panic!()
    };
    record.id = MARKS.next_record;
    refused(&[Item::Record(record)]);
}

#[test]
fn a_length_that_was_made_up_costs_no_memory() {
    let mut stream = write(&[]);
    stream[41..45].copy_from_slice(&u32::MAX.to_be_bytes());
    assert!(matches!(
        read(&stream).unwrap_err().kind,
        StreamErrorKind::TooLong { len: u32::MAX }
    ));
}

proptest! {
    #[test]
    fn octets_at_random_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..300), whole in any::<bool>()) {
        let mut stream = if whole { write(&[])[..40].to_vec() } else { Vec::new() };
        stream.extend(octets);
        let mut reader = match StreamReader::new(stream.as_slice()) {
            Ok(reader) => reader,
            Err(_) => return Ok(()),
        };
        while let Ok(Some(_)) = reader.next() {}
    }
}
