//! Times both ways, and what is no time.

use super::*;
use proptest::prelude::*;

/// 2026-11-21T08:00:00Z.
const NOW: Timestamp = Timestamp::from_millis(1_795_248_000_000);

fn at(text: &str) -> Timestamp {
    Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

fn zone(minutes: i16) -> ZoneOffset {
    ZoneOffset::from_minutes(minutes).unwrap()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn read(text: &str) -> Result<Option<ReadTime>, TimeError> {
    SmppTime::read(text.as_bytes(), zone(60))
}

fn absolute(point: &str, minutes: i16) -> SmppTime {
    SmppTime::Absolute {
        at: at(point),
        zone: zone(minutes),
    }
}

fn relative([years, months, days, hours, minutes, seconds]: [u8; 6]) -> SmppTime {
    SmppTime::Relative(RelativeTime {
        years,
        months,
        days,
        hours,
        minutes,
        seconds,
    })
}

#[test]
fn smpp_times_in_the_form_of_the_standard_are_read_and_written_exactly() {
    for (text, time) in [
        ("261121080000000+", absolute("2026-11-21T08:00:00Z", 0)),
        ("261121090000004+", absolute("2026-11-21T08:00:00Z", 60)),
        ("261121033000722+", absolute("2026-11-20T22:00:00.7Z", 330)),
        ("261120230000936-", absolute("2026-11-21T08:00:00.9Z", -540)),
        ("240229235959000+", absolute("2024-02-29T23:59:59Z", 0)),
        ("991231235959000+", absolute("2099-12-31T23:59:59Z", 0)),
        ("000101000000048-", absolute("2000-01-01T12:00:00Z", -720)),
        ("000002000000000R", relative([0, 0, 2, 0, 0, 0])),
        ("020610233429000R", relative([2, 6, 10, 23, 34, 29])),
        ("000000000000000R", relative([0; 6])),
    ] {
        assert_eq!(read(text), Ok(Some(ReadTime { time, exact: true })), "{text}");
        assert_eq!(time.write().as_deref(), Some(text));
    }
}

#[test]
fn smpp_times_in_other_forms_are_understood_and_flagged() {
    for (text, time) in [
        ("000002000000000r", relative([0, 0, 2, 0, 0, 0])),
        ("000002000000104R", relative([0, 0, 2, 0, 0, 0])),
        (" 261121080000000+", absolute("2026-11-21T08:00:00Z", 0)),
        ("261121080000000+ \0", absolute("2026-11-21T08:00:00Z", 0)),
        ("261121080000000+\0", absolute("2026-11-21T08:00:00Z", 0)),
        ("261121080000", absolute("2026-11-21T07:00:00Z", 60)),
        ("261121080000900", absolute("2026-11-21T07:00:00.9Z", 60)),
        ("2611210800", absolute("2026-11-21T07:00:00Z", 60)),
        ("20261121080000", absolute("2026-11-21T07:00:00Z", 60)),
    ] {
        assert_eq!(read(text), Ok(Some(ReadTime { time, exact: false })), "{text:?}");
    }
    for empty in ["", " ", "\0", "\0\0"] {
        assert_eq!(read(empty), Ok(None), "{empty:?}");
    }
}

#[test]
fn malformed_smpp_times_are_refused_with_the_reason() {
    use TimeError::{Form, Length, NoSuchTime, NotADigit, Zone};
    for (text, error) in [
        ("2611210800000", Length(13)),
        ("1", Length(1)),
        ("261121080000000++", Length(17)),
        ("48h", Length(3)),
        ("261121080000000Z", Form),
        ("2611210800000000", Form),
        ("261121080000049+", Zone),
        ("261121080000099-", Zone),
        ("261321080000000+", NoSuchTime),
        ("260021080000000+", NoSuchTime),
        ("260230080000000+", NoSuchTime),
        ("250229000000000+", NoSuchTime),
        ("261121240000000+", NoSuchTime),
        ("261121086000000+", NoSuchTime),
        ("261121080060000+", NoSuchTime),
        ("26112108000x000+", NotADigit(11)),
        ("261121080000x00+", NotADigit(12)),
        ("2611210800000x0+", NotADigit(13)),
        ("26112108000000x+", NotADigit(14)),
        ("-00002000000000R", NotADigit(0)),
        ("26112108 000", NotADigit(8)),
        ("2026112108000x", NotADigit(13)),
        ("19991121080000", Length(14)),
    ] {
        assert_eq!(read(text), Err(error), "{text:?}");
    }
    assert_eq!(SmppTime::read(&[0xFF; 16], ZoneOffset::UTC), Err(NotADigit(0)));
}

#[test]
fn zones_that_smpp_cannot_say_are_written_in_utc() {
    let point = at("2026-11-21T08:00:00Z");
    for minutes in [780, 840, 7, -725] {
        let time = SmppTime::Absolute {
            at: point,
            zone: zone(minutes),
        };
        assert_eq!(time.write().as_deref(), Some("261121080000000+"), "{minutes}");
    }
    assert_eq!(ZoneOffset::from_minutes(1441), None);
    let written = |at| {
        SmppTime::Absolute {
            at,
            zone: ZoneOffset::UTC,
        }
        .write()
    };
    assert_eq!(written(at("1999-12-31T23:59:59Z")), None);
    assert_eq!(written(at("2100-01-01T00:00:00Z")), None);
    assert_eq!(written(Timestamp::from_millis(i64::MAX)), None);
    assert_eq!(relative([100, 0, 0, 0, 0, 0]).write(), None);
}

#[test]
fn relative_times_count_days_up_to_a_month_and_the_calendar_beyond() {
    for (seconds, expected) in [
        (0, "000000000000000R"),
        (600, "000000001000000R"),
        (48 * 3600, "000002000000000R"),
        (31 * 86_400 + 1, "000031000001000R"),
        // From 21 November: 30 days to 21 December, and 2 more.
        (32 * 86_400, "000102000000000R"),
        (365 * 86_400, "010000000000000R"),
    ] {
        let until = NOW.after(secs(seconds));
        let time = RelativeTime::between(NOW, until).unwrap();
        assert_eq!(
            SmppTime::Relative(time).write().as_deref(),
            Some(expected),
            "{seconds}"
        );
        assert_eq!(time.due(NOW), until);
    }
    let soon = RelativeTime::between(NOW, NOW.after(Duration::from_millis(1)));
    assert_eq!(soon.map(|time| time.seconds), Some(1), "rounded up");
    assert_eq!(
        RelativeTime::between(NOW, NOW.before(secs(9))),
        Some(RelativeTime::default())
    );
    assert_eq!(RelativeTime::between(NOW, Timestamp::from_millis(i64::MAX)), None);
    assert_eq!(RelativeTime::between(NOW, NOW.after(secs(36_600 * 86_400))), None);
    let endless = relative([99; 6]);
    assert!(endless.due(NOW) > NOW);
    assert_eq!(
        endless.due(Timestamp::from_millis(i64::MAX)).as_millis(),
        i64::MAX
    );
}

#[test]
fn ucp_times_are_local_to_the_carrier() {
    let berlin = zone(60);
    let point = at("2026-11-21T08:05:00Z");
    assert_eq!(write_ucp_minutes(point, berlin).as_deref(), Some("2111260905"));
    assert_eq!(write_ucp_seconds(point, berlin).as_deref(), Some("211126090500"));
    assert_eq!(read_ucp_minutes(b"2111260905", berlin), Ok(point));
    assert_eq!(
        read_ucp_minutes(b" 211126090507 ", berlin),
        Ok(at("2026-11-21T08:05:07Z"))
    );
    assert_eq!(
        read_ucp_seconds(b"211126090507", berlin),
        Ok(at("2026-11-21T08:05:07Z"))
    );
    assert_eq!(read_ucp_seconds(b"2111260905", berlin), Ok(point));
    assert_eq!(
        write_ucp_minutes(at("2026-12-31T22:59:00.001Z"), berlin).as_deref(),
        Some("0101270000"),
        "rounded up, over the end of the year"
    );
    assert_eq!(write_ucp_minutes(Timestamp::from_millis(i64::MAX), berlin), None);
    assert_eq!(write_ucp_seconds(at("1999-12-31T22:59:59Z"), berlin), None);
    assert_eq!(
        write_ucp_seconds(at("1999-12-31T23:00:00Z"), berlin).as_deref(),
        Some("010100000000")
    );
    for (text, error) in [
        (b"21112609050".as_slice(), TimeError::Length(11)),
        (b"", TimeError::Length(0)),
        (b"3102260905", TimeError::NoSuchTime),
        (b"2111260960", TimeError::NoSuchTime),
        (b"21/1260905", TimeError::NotADigit(2)),
    ] {
        assert_eq!(read_ucp_minutes(text, berlin), Err(error));
        assert_eq!(read_ucp_seconds(text, berlin), Err(error));
    }
}

#[test]
fn tp_vp_is_as_the_table_of_the_standard_has_it() {
    for (octet, seconds) in [
        (0, 300),
        (11, 3600),
        (143, 12 * 3600),
        (144, 12 * 3600 + 1800),
        (167, 24 * 3600),
        (168, 2 * 86_400),
        (173, 7 * 86_400),
        (196, 30 * 86_400),
        (197, 5 * 604_800),
        (255, 63 * 604_800),
    ] {
        assert_eq!(read_tp_vp(octet), secs(seconds), "{octet}");
    }
    for octet in 0..=u8::MAX {
        assert_eq!(write_tp_vp(read_tp_vp(octet)), octet);
    }
    assert_eq!(write_tp_vp(Duration::ZERO), 0);
    assert_eq!(write_tp_vp(secs(301)), 1);
    assert_eq!(write_tp_vp(secs(31 * 86_400)), 197);
    assert_eq!(write_tp_vp(Duration::MAX), 255);
}

#[test]
fn a_carriers_bounds_shorten_and_lengthen_and_say_so() {
    let bounds = ValidityBounds {
        least: Some(secs(300)),
        most: Some(secs(48 * 3600)),
    };
    for (asked, until, shortened, lengthened) in [
        (60, 300, false, true),
        (300, 300, false, false),
        (3600, 3600, false, false),
        (172_800, 172_800, false, false),
        (172_801, 172_800, true, false),
    ] {
        assert_eq!(
            bounds.clamp(NOW, NOW.after(secs(asked))),
            Clamped {
                until: NOW.after(secs(until)),
                shortened,
                lengthened
            }
        );
    }
    let endless = Timestamp::from_millis(i64::MAX);
    assert_eq!(ValidityBounds::default().clamp(NOW, endless).until, endless);
    let crossed = ValidityBounds {
        least: Some(secs(9)),
        most: Some(secs(5)),
    };
    assert_eq!(crossed.clamp(NOW, NOW).until, NOW.after(secs(5)));
}

proptest! {
    #[test]
    fn absolute_times_come_back(tenths in 9_467_712_000i64..40_000_000_000, quarters in -48i16..=48) {
        let time = SmppTime::Absolute { at: Timestamp::from_millis(tenths * 100), zone: zone(quarters * 15) };
        let text = time.write().unwrap();
        prop_assert_eq!(text.len(), 16);
        prop_assert_eq!(SmppTime::read(text.as_bytes(), ZoneOffset::UTC), Ok(Some(ReadTime { time, exact: true })));
    }

    #[test]
    fn relative_times_come_back_and_lead_to_their_end(now in 946_684_800i64..4_000_000_000, seconds in 0u64..3_000_000_000) {
        let now = Timestamp::from_millis(now * 1000);
        let until = now.after(secs(seconds));
        let time = RelativeTime::between(now, until).unwrap();
        prop_assert_eq!(time.due(now), until);
        let text = SmppTime::Relative(time).write().unwrap();
        let read = SmppTime::read(text.as_bytes(), ZoneOffset::UTC).unwrap().unwrap();
        prop_assert_eq!(read, ReadTime { time: SmppTime::Relative(time), exact: true });
        prop_assert!(time.months < 12 && time.days <= 31 && time.hours < 24 && time.minutes < 60 && time.seconds < 60);
    }

    #[test]
    fn ucp_times_come_back(minute in 15_778_800i64..66_000_000, second in 0i64..60, ahead in -720i16..=840) {
        let zone = zone(ahead);
        let at = Timestamp::from_millis(minute * 60_000);
        prop_assert_eq!(read_ucp_minutes(write_ucp_minutes(at, zone).unwrap().as_bytes(), zone), Ok(at));
        let at = at.after(secs(u64::try_from(second).unwrap()));
        prop_assert_eq!(read_ucp_seconds(write_ucp_seconds(at, zone).unwrap().as_bytes(), zone), Ok(at));
    }

    #[test]
    fn any_octets_are_a_time_or_an_error(octets in prop::collection::vec(prop_oneof![4 => b'0'..=b'9', 1 => any::<u8>()], 0..20)) {
        let zone = zone(60);
        if let Ok(Some(read)) = SmppTime::read(&octets, zone) {
            prop_assert!(!read.exact || read.time.write().map(String::into_bytes).as_ref() == Some(&octets));
        }
        let _ = (read_ucp_minutes(&octets, zone), read_ucp_seconds(&octets, zone));
    }

    #[test]
    fn a_tp_vp_is_never_shorter_than_asked(seconds in 0u64..=63 * 604_800) {
        let octet = write_tp_vp(secs(seconds));
        prop_assert!(read_tp_vp(octet) >= secs(seconds));
        prop_assert!(octet == 0 || read_tp_vp(octet - 1) < secs(seconds));
    }
}
