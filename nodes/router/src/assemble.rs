//! Joins the parts of long messages from phones.
//!
//! Pure machine over one [`Assembly`] at a time; knows no queue, no route and no clock. Parts of one message share link
//! group, both addresses, reference, width of the reference and number of parts (3GPP TS 23.040 section 9.2.3.24).
//!
//! Invariant AS-1: every part that comes is given down exactly once: in a whole message, in an incomplete one when its
//! time is over or when another message takes its reference; only a part that repeats one already there is dropped.
//!
//! An alarm that comes late shows that nobody was at work: parts that were durable before the stop may still wait to be
//! read. The message then gets as much time again as [`handle_alarm`] is told, three times at most.
//!
//! # Limits
//! A part that comes after its message was given down incomplete begins a new message. A phone that sends two long
//! texts with the same reference and the same content in some part, within `limits.reassembly`, loses that part.

use crate::record::{Assembly, Piece};
use sha2::{Digest, Sha256};
use smsgw_message::dcs::{Charset, decode_octets};
use smsgw_message::gsm7::Shifts;
use smsgw_message::segment::Udh;
use smsgw_message::text::{self, ByteOrder, Decoded};
use smsgw_message::{Encoding, Mo, Timestamp, names};
use smsgw_queue::StateKey;
use std::fmt::Write;
use std::time::Duration;

/// Octets of user data, header included, above which nothing is one SMS of a long message. One holds 140; what is above
/// leaves room for carriers that hand it over unpacked or in another character set. The state of a long message is
/// written again for each part: 255 parts of 64 KiB would cost gigabytes and stop everybody.
const PART_OCTETS: usize = 1024;

/// Place of a part in a long message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    reference: u16,
    form: &'static str,
    total: u8,
    number: u8,
}

impl Place {
    /// The place that a part claims in its header or TLVs; `None` for a message that is whole, and for one too long to be
    /// a part of anything.
    pub(crate) fn of(mo: &Mo) -> Option<Self> {
        if mo.udh.len().saturating_add(mo.data.len()) > PART_OCTETS {
            return None;
        }
        let header = Udh::parse(&mo.udh).ok().and_then(|(udh, _)| udh.concat);
        let place = match (header, mo.sar) {
            (Some(concat), _) => Self {
                reference: concat.reference,
                form: if concat.wide { "16" } else { "8" },
                total: concat.total,
                number: concat.sequence,
            },
            (None, Some(sar)) => Self {
                reference: sar.reference,
                form: "sar",
                total: sar.total,
                number: sar.number,
            },
            (None, None) => return None,
        };
        (place.total > 1 && (1..=place.total).contains(&place.number)).then_some(place)
    }

    /// The key under which the parts of one message meet. Addresses stand in it as a digest: keys may be logged.
    pub(crate) fn key(&self, mo: &Mo) -> StateKey {
        let mut digest = Sha256::new();
        for address in [&mo.from, &mo.to] {
            // The length keeps two addresses apart from one long one.
            digest.update(address.as_str().len().to_be_bytes());
            digest.update(address.as_str().as_bytes());
        }
        let Self {
            reference,
            form,
            total,
            number: _,
        } = self;
        let mut key = format!("{}/{form}-{reference}-{total}/", mo.via.group);
        for octet in digest.finalize().iter().take(16) {
            write!(key, "{octet:02x}").expect("writing to a String cannot fail");
        }
        StateKey::from(names::reassembly(&key))
    }
}

/// How late an alarm may come and still be one of a gateway at work.
const LATE: Duration = Duration::from_secs(10);
/// How often a message gets more time because an alarm was late. Parts that were durable before a stop are read soon after
/// it; who is late again and again, with no part coming, has none to wait for.
const PUT_OFF: u8 = 3;

/// What becomes of a part.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    /// Others are missing: to be written, with an alarm at the deadline.
    Waits(Assembly, Timestamp),
    /// The last one: to be given down; what stands in the key from now on.
    Whole(Vec<Piece>, Assembly),
    /// It is there already.
    Repeated,
    /// Another message with the same reference has begun: the parts of the earlier one, of which so many are missing, are
    /// given down as they are.
    Supersedes(Vec<Piece>, u8, Assembly, Timestamp),
}

/// A part has come. `deadline` is used when it is the first of its message.
pub(crate) fn handle_part(now_there: Option<Assembly>, place: Place, mo: &Mo, deadline: Timestamp) -> Joined {
    let piece = Piece {
        number: place.number,
        mo: mo.clone(),
    };
    let begin = |piece| Assembly::Open {
        total: place.total,
        pieces: vec![piece],
        deadline,
        put_off: None,
    };
    let index = usize::from(place.number.saturating_sub(1));
    match now_there {
        None => Joined::Waits(begin(piece), deadline),
        Some(Assembly::Done { digests }) if digests.get(index) == Some(&digest(mo)) => Joined::Repeated,
        Some(Assembly::Done { .. }) => Joined::Waits(begin(piece), deadline),
        Some(Assembly::Open {
            total,
            mut pieces,
            deadline: first,
            put_off,
        }) => match pieces.binary_search_by_key(&piece.number, |have| have.number) {
            Ok(at) if pieces.get(at).is_some_and(|have| digest(&have.mo) == digest(mo)) => Joined::Repeated,
            Ok(_) => {
                let missing = missing(total, &pieces);
                Joined::Supersedes(pieces, missing, begin(piece), deadline)
            }
            Err(at) => {
                pieces.insert(at, piece);
                if pieces.len() < usize::from(total) {
                    return Joined::Waits(
                        Assembly::Open {
                            total,
                            pieces,
                            deadline: first,
                            put_off,
                        },
                        first,
                    );
                }
                let digests = pieces.iter().map(|piece| digest(&piece.mo)).collect();
                Joined::Whole(pieces, Assembly::Done { digests })
            }
        },
    }
}

/// What an alarm means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing, or not yet.
    Nothing,
    /// The time passed while nobody was at work: to be written again, with an alarm at the new deadline.
    Again(Assembly, Timestamp),
    /// The parts are to be given down as they are; so many are missing.
    Over(Vec<Piece>, u8),
}

/// The alarm of a key went off; `more` is the time that parts get which could not be read.
pub(crate) fn handle_alarm(now_there: Assembly, now: Timestamp, more: Duration) -> Due {
    match now_there {
        Assembly::Open {
            total,
            pieces,
            deadline,
            put_off,
        } if deadline <= now => {
            let times = put_off.unwrap_or_default();
            if deadline.after(LATE) < now && times < PUT_OFF {
                let deadline = now.after(more);
                let again = Assembly::Open {
                    total,
                    pieces,
                    deadline,
                    put_off: Some(times.saturating_add(1)),
                };
                return Due::Again(again, deadline);
            }
            let missing = missing(total, &pieces);
            Due::Over(pieces, missing)
        }
        Assembly::Open { .. } | Assembly::Done { .. } => Due::Nothing,
    }
}

/// How many of `total` parts are not there.
fn missing(total: u8, pieces: &[Piece]) -> u8 {
    u8::try_from(pieces.len()).map_or(0, |there| total.saturating_sub(there))
}

fn digest(mo: &Mo) -> u64 {
    let mut digest = Sha256::new();
    digest.update([mo.data_coding]);
    digest.update(mo.data.as_slice());
    let octets = digest.finalize();
    octets
        .iter()
        .take(8)
        .fold(0, |number, octet| (number << 8) | u64::from(*octet))
}

/// Content of a message, parts joined.
#[derive(PartialEq, Eq)]
pub(crate) struct Content {
    /// The text; absent for binary content.
    pub(crate) text: Option<String>,
    /// The octets, headers removed.
    pub(crate) data: Vec<u8>,
    /// The same as they came, where that differs: packed septets.
    pub(crate) raw: Option<Vec<u8>>,
    /// Header of each part; empty when no part has one.
    pub(crate) headers: Vec<Vec<u8>>,
    /// A character could not be read.
    pub(crate) lossy: bool,
    /// The order of UCS-2 octets, where not as the standards want it: that of the first text that says so.
    pub(crate) byte_order: Option<ByteOrder>,
}

/// How octets are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Own(Encoding, Shifts),
    Foreign(Charset),
}

impl How {
    fn of(mo: &Mo) -> Self {
        match mo.charset {
            Some(charset) => Self::Foreign(charset),
            None => Self::Own(mo.encoding, Shifts::of_header(&mo.udh)),
        }
    }

    fn is_text(self) -> bool {
        match self {
            Self::Own(encoding, _) => encoding != Encoding::Binary,
            Self::Foreign(charset) => charset.is_text(),
        }
    }

    fn read(self, octets: &[u8]) -> Decoded {
        match self {
            Self::Own(encoding, shifts) => text::decode_shifted(encoding, shifts, octets),
            Self::Foreign(charset) => {
                let (text, lossy) = decode_octets(charset, octets);
                Decoded {
                    text,
                    lossy,
                    byte_order: None,
                }
            }
        }
    }
}

/// Joins parts in their order. Parts in different encodings, or with different national tables, are read one by one.
pub(crate) fn join<'a>(parts: impl Iterator<Item = &'a Mo> + Clone) -> Content {
    let mut runs: Vec<(How, Vec<u8>)> = Vec::new();
    for mo in parts.clone() {
        let how = How::of(mo);
        match runs.last_mut() {
            Some((now, octets)) if *now == how => octets.extend_from_slice(&mo.data),
            Some(_) | None => runs.push((how, mo.data.to_vec())),
        }
    }
    let raw = parts.clone().any(|mo| mo.raw.is_some()).then(|| {
        let octets = parts
            .clone()
            .flat_map(|mo| mo.raw.as_ref().unwrap_or(&mo.data).iter());
        octets.copied().collect()
    });
    let headers = if parts.clone().any(|mo| !mo.udh.is_empty()) {
        parts.map(|mo| mo.udh.to_vec()).collect()
    } else {
        Vec::new()
    };
    let is_text = runs.iter().all(|(how, _)| how.is_text());
    let mut joined = Content {
        text: is_text.then(String::new),
        data: Vec::new(),
        raw,
        headers,
        lossy: false,
        byte_order: None,
    };
    for (how, octets) in runs {
        if let Some(whole) = &mut joined.text {
            let decoded = how.read(&octets);
            joined.lossy |= decoded.lossy;
            let odd = decoded.byte_order.filter(|order| *order != ByteOrder::Big);
            joined.byte_order = joined.byte_order.or(odd);
            whole.push_str(&decoded.text);
        }
        joined.data.extend_from_slice(&octets);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{at, mo, mo_part, mo_sar};

    const DEADLINE: Timestamp = Timestamp::from_millis(1_000);
    const MORE: Duration = Duration::from_millis(500);

    #[test]
    fn what_is_longer_than_any_sms_is_given_down_as_it_is() {
        let part = |octets: usize| Place::of(&mo_part(9, 255, 1, &"x".repeat(octets)));
        assert!(part(153).is_some());
        assert!(part(1018).is_some());
        assert_eq!(part(1019), None);
        assert_eq!(Place::of(&mo_sar(9, 255, 1, &"x".repeat(64_000))), None);
    }

    /// Feeds parts in an order; gives the texts that come out, and the state at the end.
    fn feed(parts: &[Mo]) -> (Vec<(String, bool)>, Option<Assembly>) {
        let mut state = None;
        let mut out = Vec::new();
        let text = |pieces: &[Piece]| join(pieces.iter().map(|piece| &piece.mo)).text.unwrap();
        for part in parts {
            state = match handle_part(state.clone(), Place::of(part).unwrap(), part, DEADLINE) {
                Joined::Waits(next, _) => Some(next),
                Joined::Whole(pieces, next) => {
                    out.push((text(&pieces), true));
                    Some(next)
                }
                Joined::Repeated => state,
                Joined::Supersedes(pieces, _, next, _) => {
                    out.push((text(&pieces), false));
                    Some(next)
                }
            };
        }
        (out, state)
    }

    #[test]
    fn parts_in_any_order_and_repeated_make_one_text() {
        let (a, b, c) = (
            mo_part(7, 3, 1, "one "),
            mo_part(7, 3, 2, "two "),
            mo_part(7, 3, 3, "three"),
        );
        for order in [
            vec![&a, &b, &c],
            vec![&c, &a, &b],
            vec![&b, &b, &c, &a],
            vec![&a, &b, &c, &c, &a],
        ] {
            let parts: Vec<Mo> = order.into_iter().cloned().collect();
            assert_eq!(feed(&parts).0, [("one two three".to_owned(), true)]);
        }
    }

    #[test]
    fn a_reference_used_again_loses_neither_message() {
        let parts = [
            mo_part(7, 2, 1, "first "),
            mo_part(7, 2, 1, "second "),
            mo_part(7, 2, 2, "end"),
            mo_part(7, 2, 2, "new"),
        ];
        let (out, state) = feed(&parts);
        assert_eq!(
            out,
            [("first ".to_owned(), false), ("second end".to_owned(), true)]
        );
        assert!(
            matches!(handle_alarm(state.unwrap(), at(1_000), MORE), Due::Over(pieces, 1) if pieces.len() == 1),
            "the fourth part has begun a message of its own"
        );
    }

    #[test]
    fn different_references_forms_totals_and_phones_do_not_mix() {
        let base = mo_part(7, 2, 1, "x");
        let key = |mo: &Mo| Place::of(mo).unwrap().key(mo);
        let mut other_phone = base.clone();
        other_phone.from = crate::fixtures::phone("491709999999");
        let keys = [
            key(&base),
            key(&mo_part(8, 2, 1, "x")),
            key(&mo_part(7, 3, 1, "x")),
            key(&mo_sar(7, 2, 1, "x")),
            key(&other_phone),
        ];
        for (n, one) in keys.iter().enumerate() {
            assert!(keys.iter().skip(n + 1).all(|other| other != one), "{one}");
            assert!(!one.as_str().contains("4917"), "no number in a key: {one}");
        }
        assert_eq!(key(&base), key(&mo_part(7, 2, 2, "y")));
    }

    #[test]
    fn what_is_whole_or_impossible_has_no_place() {
        assert_eq!(Place::of(&mo("hello")), None);
        assert_eq!(Place::of(&mo_sar(7, 1, 1, "x")), None);
        assert_eq!(Place::of(&mo_sar(7, 2, 3, "x")), None);
        assert_eq!(Place::of(&mo_sar(7, 2, 0, "x")), None);
        let mut broken = mo("x");
        broken.udh = vec![9, 0].into();
        assert_eq!(Place::of(&broken), None);
    }

    #[test]
    fn the_alarm_gives_down_what_is_there_when_its_time_has_come() {
        let (_, state) = feed(&[mo_part(7, 3, 3, "c"), mo_part(7, 3, 1, "a")]);
        let state = state.unwrap();
        assert_eq!(handle_alarm(state.clone(), at(999), MORE), Due::Nothing);
        let Due::Over(pieces, missing) = handle_alarm(state, at(1_000), MORE) else {
            panic!("its time has come");
        };
        let numbers: Vec<u8> = pieces.iter().map(|piece| piece.number).collect();
        assert_eq!((numbers, missing), (vec![1, 3], 1));
        assert_eq!(
            handle_alarm(Assembly::Done { digests: vec![1] }, at(1_000), MORE),
            Due::Nothing
        );
    }

    #[test]
    fn an_alarm_that_comes_late_gives_parts_that_were_not_read_yet_their_time() {
        let (_, state) = feed(&[mo_part(7, 3, 1, "a")]);
        let Due::Again(again, deadline) = handle_alarm(state.unwrap(), at(1_000_000), MORE) else {
            panic!("nobody was at work when its time came");
        };
        assert_eq!(deadline, at(1_000_500));
        assert!(matches!(
            handle_alarm(again, at(1_000_500), MORE),
            Due::Over(_, 2)
        ));
    }

    #[test]
    fn quirk_35_text_is_utf8_whatever_the_phone_wrote() {
        type Row<'a> = (Encoding, Option<Charset>, &'a [u8], Option<&'a str>);
        let table: [Row<'_>; 9] = [
            (Encoding::Gsm7, None, b"\x05\x00\x1B\x65", Some("é@€")),
            (Encoding::Latin1, None, b"\xE9", Some("é")),
            (Encoding::Ucs2, None, b"\x04\x16", Some("Ж")),
            (Encoding::Binary, Some(Charset::Cyrillic), b"\xB6", Some("Ж")),
            (Encoding::Binary, Some(Charset::Hebrew), b"\xE9", Some("י")),
            (Encoding::Binary, Some(Charset::Jis), b"\x83\x65", Some("テ")),
            (Encoding::Binary, Some(Charset::KsC5601), b"\xC7\xD1", Some("한")),
            (Encoding::Binary, Some(Charset::Utf8), "é€".as_bytes(), Some("é€")),
            (Encoding::Binary, None, b"\xE9", None),
        ];
        for (encoding, charset, octets, expected) in table {
            let mut one = mo("");
            (one.encoding, one.charset) = (encoding, charset);
            one.data = octets.to_vec().into();
            let joined = join([&one].into_iter());
            assert_eq!(
                (joined.text.as_deref(), joined.lossy),
                (expected, false),
                "{charset:?}"
            );
            assert_eq!((joined.data.as_slice(), joined.raw), (octets, None));
        }
    }

    #[test]
    fn quirk_36_a_mark_in_the_first_part_orders_all_parts_and_is_told() {
        let part = |number, octets: &[u8]| {
            let mut part = mo_part(7, 2, number, "");
            part.encoding = Encoding::Ucs2;
            part.data = octets.to_vec().into();
            part
        };
        let (first, second) = (part(1, b"\xFF\xFE\x16\x04"), part(2, b"\x17\x04"));
        let joined = join([&first, &second].into_iter());
        assert_eq!((joined.text.as_deref(), joined.lossy), (Some("ЖЗ"), false));
        assert_eq!(joined.byte_order, Some(ByteOrder::LittleMarked));
        let plain = join([&part(1, b"\x04\x16")].into_iter());
        assert_eq!(plain.byte_order, None, "as the standards want it");
    }

    #[test]
    fn a_character_that_two_parts_share_is_read() {
        let part = |number, octets: &[u8]| {
            let mut part = mo_part(7, 2, number, "");
            (part.encoding, part.charset) = (Encoding::Binary, Some(Charset::KsC5601));
            part.data = octets.to_vec().into();
            part
        };
        let joined = join([&part(1, b"\xC7"), &part(2, b"\xD1")].into_iter());
        assert_eq!((joined.text.as_deref(), joined.lossy), (Some("한"), false));
    }

    #[test]
    fn quirk_38_headers_of_any_form_place_a_part_and_all_are_kept() {
        let place = |udh: &[u8]| {
            let mut part = mo_sar(0x0102, 3, 2, "x");
            part.udh = udh.to_vec().into();
            Place::of(&part)
        };
        let by_header = |reference, form| {
            Some(Place {
                reference,
                form,
                total: 3,
                number: 2,
            })
        };
        assert_eq!(
            place(b"\x05\x00\x03\x09\x03\x02"),
            by_header(9, "8"),
            "before the TLVs"
        );
        assert_eq!(place(b"\x06\x08\x04\x01\x09\x03\x02"), by_header(0x0109, "16"));
        assert_eq!(
            place(b"\x0B\x05\x04\x15\x81\x00\x00\x00\x03\x09\x03\x02"),
            by_header(9, "8"),
            "ports before the concatenation"
        );
        assert_eq!(place(b"\x06\x05\x04\x15\x81\x00\x00"), by_header(0x0102, "sar"));

        let ports = |number: u8, rest: &[u8]| {
            let mut part = mo_part(9, 2, number, "x");
            part.udh = [
                &[u8::try_from(5 + rest.len()).unwrap(), 0, 3, 9, 2, number][..],
                rest,
            ]
            .concat()
            .into();
            part
        };
        let (first, second) = (ports(1, b"\x05\x04\x15\x81\x00\x00"), ports(2, b"\x24\x01\x01"));
        let (out, _) = feed(&[second.clone(), first.clone()]);
        assert_eq!(
            out,
            [("xx".to_owned(), true)],
            "different other elements do not part them"
        );
        let joined = join([&first, &second].into_iter());
        assert_eq!(joined.headers, [first.udh.to_vec(), second.udh.to_vec()]);
    }

    #[test]
    fn packed_septets_are_kept_as_they_came() {
        let part = |number, text: &str, raw: &[u8]| {
            let mut part = mo_part(7, 2, number, text);
            part.raw = Some(raw.to_vec().into());
            part
        };
        let joined = join([&part(1, "ab", b"\x61\x31"), &mo_part(7, 2, 2, "c")].into_iter());
        assert_eq!(
            (joined.text.as_deref(), joined.data.as_slice()),
            (Some("abc"), b"abc".as_slice())
        );
        assert_eq!(joined.raw.as_deref(), Some(b"\x61\x31c".as_slice()));
    }

    #[test]
    fn binary_content_has_no_text_and_mixed_encodings_are_read_part_by_part() {
        let mut binary = mo("x");
        binary.encoding = Encoding::Binary;
        let joined = join([&binary].into_iter());
        assert_eq!((joined.text, joined.data.as_slice()), (None, b"x".as_slice()));
        let mut turkish = mo("");
        turkish.udh = vec![3, 0x24, 1, 1].into();
        turkish.data = vec![0x61, 0x1B, 0x73].into();
        let joined = join([&mo("a"), &turkish].into_iter());
        assert_eq!((joined.text.as_deref(), joined.lossy), (Some("aa\u{15F}"), false));

        let mut ucs2 = mo("");
        ucs2.encoding = Encoding::Ucs2;
        ucs2.data = vec![0x04, 0x16].into();
        let joined = join([&mo("a"), &ucs2].into_iter());
        assert_eq!(joined.text.as_deref(), Some("aЖ"));
    }

    #[test]
    fn who_is_late_again_and_again_is_given_down_in_the_end() {
        let (_, state) = feed(&[mo_part(7, 2, 1, "x")]);
        let mut there = state.unwrap();
        for times in 1..=i64::from(PUT_OFF) {
            there = match handle_alarm(there, at(times * 1_000_000), MORE) {
                Due::Again(again, _) => again,
                other => panic!("{times}: {other:?}"),
            };
        }
        let over = handle_alarm(there, at(1_000_000_000), MORE);
        assert!(matches!(over, Due::Over(_, 1)), "{over:?}");
    }
}
