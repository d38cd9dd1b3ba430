//! What lies on disks, octet by octet.

use super::*;
use smsgw_queue::{DeadReason, ReleaseReason};

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

#[test]
fn a_record_written_by_format_1_reads_for_ever() {
    // Pinned octets: this is what lies on disks in the field.
    let lane = Lane::new(Class::Otp, "acme");
    let mut entry = Vec::new();
    encode_record(7, &lane, &At::Ready, at(258), b"xyz", &mut entry);
    assert_eq!(
        entry,
        *b"\0\0\0\x07\0\0\0\0\0\0\0\0\0\x01\x02\0\0\0\0\0\0\0\0\0\x04acmexyz"
    );
    let (header, octets) = decode_record(&entry).unwrap();
    assert_eq!(
        (header.queue, header.class, header.flow, header.published_at),
        (7, Class::Otp, "acme", at(258))
    );
    assert!(matches!(header.at, At::Ready));
    assert_eq!(octets, b"xyz");
}

#[test]
fn moves_keep_place_reason_and_attempt() {
    for place in [
        At::Ready,
        At::Deferred {
            due: at(-5),
            reason: Reason::Released(ReleaseReason::Throttled),
        },
        At::Aside {
            reason: Reason::Dead(DeadReason::NoRoute),
            since: at(9),
        },
    ] {
        let entry = encode_move(&Move {
            at: place,
            attempt: 3,
            void: 77,
            home: None,
        });
        let back = decode_move(&entry).unwrap();
        assert_eq!(
            (at_parts(&back.at), back.attempt, back.void),
            (at_parts(&place), 3, 77)
        );
    }
}

#[test]
fn values_keep_version_step_and_expiry() {
    let lane = Lane::new(Class::Bulk, "f");
    for expiry in [
        Expiry::Owner,
        Expiry::At(at(-1)),
        Expiry::Alarm(at(5), QueueName::from("alarms"), lane),
    ] {
        let value = Value {
            version: 9,
            entry: 8,
            step: StepId::from_bytes([3; 16]),
            expiry,
            octets: Bytes::from_static(b"v"),
        };
        assert_eq!(Value::decode(&value.encode()).unwrap(), value);
    }
}

#[test]
fn expiry_keys_sort_by_time_across_1970() {
    assert!(expiry_key(at(-2), u64::MAX, "z") < expiry_key(at(-1), 0, ""));
    assert!(expiry_key(at(-1), 5, "z") < expiry_key(at(0), 0, ""));
    assert!(expiry_key(at(1), 5, "z") < expiry_key(at(1), 6, "a"));
    assert!(expiry_key(at(i64::MAX), u64::MAX, "z").as_slice() < EXPIRY_HEAD.as_slice());
    assert_eq!(
        decode_expiry_key(&expiry_key(at(-7), 8, "msg/1")).unwrap(),
        (at(-7), 8, "msg/1")
    );
}

#[test]
fn cut_entries_are_refused_and_never_panic() {
    let lane = Lane::new(Class::Otp, "acme");
    let mut record = Vec::new();
    encode_record(7, &lane, &At::Ready, at(1), b"", &mut record);
    let value = Value {
        version: 9,
        entry: 0,
        step: StepId::from_bytes([3; 16]),
        expiry: Expiry::Alarm(at(5), QueueName::from("alarms"), lane),
        octets: Bytes::new(),
    }
    .encode();
    let log = LogMeta {
        next: 2,
        first: 1,
        name: "events".into(),
        readers: vec![("counter".into(), 1)],
    }
    .encode();
    for n in 0..record.len() {
        assert!(decode_record(&record[..n]).is_err());
    }
    for n in 0..value.len() {
        assert!(Value::decode(&value[..n]).is_err());
    }
    for n in 0..log.len() {
        assert!(LogMeta::decode(&log[..n]).is_err());
    }
}
