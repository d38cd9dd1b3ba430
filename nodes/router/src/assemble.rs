//! Joins the parts of long messages from phones.
//!
//! Pure machine over one [`Assembly`] at a time; knows no queue, no route and no clock. Parts of one message share link
//! group, both addresses, reference, width of the reference and number of parts (3GPP TS 23.040 section 9.2.3.24).
//!
//! Invariant AS-1: every part that comes is given down exactly once: in a whole message, in an incomplete one when its
//! time is over or when another message takes its reference; only a part that repeats one already there is dropped.
//!
//! # Limits
//! A part that comes after its message was given down incomplete begins a new message. A phone that sends two long
//! texts with the same reference and the same content in some part, within `limits.reassembly`, loses that part.

use crate::record::{Assembly, Piece};
use sha2::{Digest, Sha256};
use smsgw_message::segment::Udh;
use smsgw_message::{Encoding, Mo, Timestamp, names, text};
use smsgw_queue::StateKey;
use std::fmt::Write;

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

/// What becomes of a part.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    /// Others are missing: to be written, with an alarm at the deadline.
    Waits(Assembly, Timestamp),
    /// The last one: to be given down; what stands in the key from now on.
    Whole(Vec<Piece>, Assembly),
    /// It is there already.
    Repeated,
    /// Another message with the same reference has begun: the parts of the earlier one are given down as they are.
    Supersedes(Vec<Piece>, Assembly, Timestamp),
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
        }) => match pieces.binary_search_by_key(&piece.number, |have| have.number) {
            Ok(at) if pieces.get(at).is_some_and(|have| digest(&have.mo) == digest(mo)) => Joined::Repeated,
            Ok(_) => Joined::Supersedes(pieces, begin(piece), deadline),
            Err(at) => {
                pieces.insert(at, piece);
                if pieces.len() < usize::from(total) {
                    return Joined::Waits(
                        Assembly::Open {
                            total,
                            pieces,
                            deadline: first,
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

/// The alarm of a key went off: the parts to give down as they are. Empty when there is nothing to do, or not yet.
pub(crate) fn handle_alarm(now_there: Assembly, now: Timestamp) -> Vec<Piece> {
    match now_there {
        Assembly::Open { pieces, deadline, .. } if deadline <= now => pieces,
        Assembly::Open { .. } | Assembly::Done { .. } => Vec::new(),
    }
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
    /// A character could not be read.
    pub(crate) lossy: bool,
}

/// Joins parts in their order. Parts in different encodings are read one by one.
pub(crate) fn join<'a>(parts: impl Iterator<Item = &'a Mo>) -> Content {
    let mut runs: Vec<(Encoding, Vec<u8>)> = Vec::new();
    for mo in parts {
        match runs.last_mut() {
            Some((encoding, octets)) if *encoding == mo.encoding => octets.extend_from_slice(&mo.data),
            Some(_) | None => runs.push((mo.encoding, mo.data.to_vec())),
        }
    }
    let is_text = runs.iter().all(|(encoding, _)| *encoding != Encoding::Binary);
    let mut joined = Content {
        text: is_text.then(String::new),
        data: Vec::new(),
        lossy: false,
    };
    for (encoding, octets) in runs {
        if let Some(whole) = &mut joined.text {
            let decoded = text::decode(encoding, &octets);
            joined.lossy |= decoded.lossy;
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
                Joined::Supersedes(pieces, next, _) => {
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
        assert_eq!(
            handle_alarm(state.unwrap(), at(1_000)).len(),
            1,
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
        assert_eq!(handle_alarm(state.clone(), at(999)), vec![]);
        let numbers: Vec<u8> = handle_alarm(state, at(1_000))
            .iter()
            .map(|piece| piece.number)
            .collect();
        assert_eq!(numbers, [1, 3]);
        assert_eq!(
            handle_alarm(Assembly::Done { digests: vec![1] }, at(1_000)),
            vec![]
        );
    }

    #[test]
    fn binary_content_has_no_text_and_mixed_encodings_are_read_part_by_part() {
        let mut binary = mo("x");
        binary.encoding = Encoding::Binary;
        let joined = join([&binary].into_iter());
        assert_eq!((joined.text, joined.data.as_slice()), (None, b"x".as_slice()));
        let mut ucs2 = mo("");
        ucs2.encoding = Encoding::Ucs2;
        ucs2.data = vec![0x04, 0x16].into();
        let joined = join([&mo("a"), &ucs2].into_iter());
        assert_eq!(joined.text.as_deref(), Some("aЖ"));
    }
}
