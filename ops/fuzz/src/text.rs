//! What stands inside messages: user data headers, texts in every alphabet, times.

use smsgw_message::dcs::{DataCoding, decode_octets};
use smsgw_message::gsm7::{Languages, Shifts};
use smsgw_message::segment::{Body, Carriage, Plan, split_by};
use smsgw_message::smart::{self, Outcome, Strength};
use smsgw_message::text::{self, Encoding, Requested};
use smsgw_message::udh::Udh;
use smsgw_message::validity::{self, SmppTime, ZoneOffset};
use smsgw_message::{Address, Npi, Timestamp, Ton};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

pub(crate) fn headers() -> Vec<Vec<u8>> {
    let seeds: [&[u8]; 6] = [
        b"\x05\x00\x03\x07\x02\x01part",
        b"\x06\x08\x04\x01\x02\x03\x03part",
        b"\x0b\x05\x04\x0b\x84\x23\xf0\x00\x03\x07\x02\x01push",
        b"\x09\x01\x02\x80\x01\x24\x01\x01\x25\x01\x01",
        b"\x0a\x00\x03\x01\x02\x01\x00\x03\x01\x02\x02x",
        b"\x03\x70\x01\xffx",
    ];
    seeds.map(<[u8]>::to_vec).to_vec()
}

/// Every octet is kept in its place: what was read is written and read again as the same, and nothing of the body is lost.
pub(crate) fn udh(octets: &[u8]) {
    let Some((read, body)) = Udh::read(octets) else {
        return;
    };
    assert!(octets.ends_with(body), "the body is the end of the user data");
    let Ok(written) = read.to_octets() else {
        panic!("what came in 255 octets is written in as many: {read:?}");
    };
    // A header without elements is none.
    let (again, rest) = Udh::read(&written).unwrap_or_default();
    assert!(rest.is_empty());
    assert_eq!((&again.concat, &again.others), (&read.concat, &read.others));
    if let Ok((strict, same)) = Udh::parse(octets) {
        assert_eq!((strict.concat, &strict.others), (read.concat, &read.others));
        assert_eq!(same, body);
    }
}

pub(crate) fn texts() -> Vec<Vec<u8>> {
    let seeds = [
        "\0\0Hello @ £ [\\]~ €",
        "\u{8}\u{1}größe \u{2019}quoted\u{2019} \u{2026}",
        "\u{4}\u{2}हिन्दी ગુજરાતી தமிழ்",
        "\u{10}\u{3}😀 family 👨‍👩‍👧",
        "\u{5}\u{4}e\u{301}galite\u{301} ﬁn ½",
    ];
    seeds.map(|text| text.as_bytes().to_vec()).to_vec()
}

/// First octet: data coding of an MO; second: national tables and carriage of an MT; the rest: octets and text at once.
pub(crate) fn text(octets: &[u8]) {
    let Some((&[coding, choice], rest)) = octets.split_first_chunk::<2>() else {
        return;
    };
    let parsed = DataCoding::parse(coding);
    assert_eq!(
        DataCoding::parse(parsed.octet()),
        parsed,
        "reserved bits apart, no data coding is lost"
    );
    let (read, _) = decode_octets(parsed.charset(), rest);
    assert!(
        read.chars().count() <= rest.len().max(1),
        "no octet makes more than one character"
    );
    for encoding in [Encoding::Gsm7, Encoding::Latin1, Encoding::Ucs2, Encoding::Binary] {
        let shifts = udh_shifts(rest);
        let decoded = text::decode_shifted(encoding, shifts, rest);
        // What was read without loss in the default alphabet or UCS-2 is written as the same octets.
        if encoding == Encoding::Ucs2 && !decoded.lossy && !decoded.text.is_empty() {
            let again =
                text::encode(&decoded.text, Requested::Exactly(encoding)).expect("UCS-2 writes every text");
            let twice = text::decode(encoding, &again.bytes);
            assert_eq!(twice.text, decoded.text);
        }
    }

    let message: String = String::from_utf8_lossy(rest).chars().take(1000).collect();
    let languages = match choice & 1 {
        0 => Languages::NONE,
        _ => Languages::all(),
    };
    let encoded = smsgw_message::segment::encode_cheapest(&message, languages);
    let carriage = match choice >> 1 & 3 {
        0 => Carriage::Udh8,
        1 => Carriage::Udh16,
        2 => Carriage::Sar,
        _ => Carriage::Payload,
    };
    if let Ok(segments) = split_by(Body::from(&encoded), Plan::of(carriage, u16::from(choice))) {
        let joined: String = segments
            .parts
            .iter()
            .map(|part| text::decode_shifted(encoded.encoding, part.shifts(), &part.data).text)
            .collect();
        assert_eq!(joined, message, "{:?}", encoded.encoding);
    }
    if let Outcome::Mapped(smart) = smart::map(&message, Strength::Accents) {
        assert!(text::encode(&smart.text, Requested::Exactly(Encoding::Gsm7)).is_ok());
        assert!(smart.after.parts <= smart.before.parts);
    }
    // Addresses come from the same peers.
    let address = Address::from_wire(Ton(coding), Npi(choice), &message);
    assert!(address.as_str().len() <= message.len());
}

fn udh_shifts(octets: &[u8]) -> Shifts {
    Udh::read(octets).map_or(Shifts::NONE, |(udh, _)| udh.shifts())
}

pub(crate) fn times() -> Vec<Vec<u8>> {
    let seeds = [
        "261121080000000+",
        "261121080000348-",
        "000001000000000R",
        "2611210800",
        "20261121080000",
        "2111260800",
        "211126080000",
        "",
    ];
    seeds.map(|text| text.as_bytes().to_vec()).to_vec()
}

/// A time that was read is written and read again as the same.
pub(crate) fn time(octets: &[u8]) {
    let zone = ZoneOffset::UTC;
    if let Ok(Some(read)) = SmppTime::read(octets, zone) {
        let now = Timestamp::from_millis(1_795_248_000_000);
        let due = read.time.due(now);
        if let Some(text) = read.time.write() {
            let again = SmppTime::read(text.as_bytes(), zone)
                .expect("what we write, we read")
                .expect("not empty");
            assert!(again.exact);
            assert_eq!(again.time.due(now), due, "{text}");
        }
    }
    if let Ok(at) = validity::read_ucp_minutes(octets, zone)
        && let Some(text) = validity::write_ucp_minutes(at, zone)
    {
        let again = validity::read_ucp_minutes(text.as_bytes(), zone).expect("what we write, we read");
        assert!(again >= at && again.since(at) < MINUTE, "{text} for {at:?}");
    }
    if let Ok(at) = validity::read_ucp_seconds(octets, zone)
        && let Some(text) = validity::write_ucp_seconds(at, zone)
    {
        assert_eq!(validity::read_ucp_seconds(text.as_bytes(), zone).ok(), Some(at));
    }
}
