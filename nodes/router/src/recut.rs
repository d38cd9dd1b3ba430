//! Cuts a message anew where its operator cannot carry the parts that the client node made, and gives the parts of a long
//! message their reference.
//!
//! ```text
//! long_messages   parts in the record            on the wire
//! udh8            8-bit references               the same
//! sar             8-bit references               sar_* TLVs, by the operator node: the parts hold no less
//! udh16           16-bit references, cut anew    the same; one unit less in a part, so it may take one part more
//! payload         one part, the whole text       message_payload
//! ```
//! A message that goes to another operator after its first one did not take it is joined and cut as that one wants it, with
//! the reference it has. A text that a carrier's `latin1` or `ascii` lacks characters for is cut anew as UCS-2 when its parts would not fit so.
//!
//! References: a counter for each phone, over all senders. Within a day two long messages to one phone have the same
//! reference only when 256 others (65 536 with 16 bits) came between them. Pure; knows no engine and no clock.
//!
//! Invariant RC-1: the text of the parts is the text of the message. A message that a client cut itself is not touched.
//!
//! # Limits
//! What takes more than 255 parts when it is cut anew stays as it is; its operator refuses what it cannot carry. The
//! `max_parts` of a client counts the parts of the accept. A message that was one `payload` and is cut for its next operator
//! gets a reference that follows from its id, without a look at the counter of its phone. What was written in UCS-2 for one
//! operator stays UCS-2 for the next.

use crate::record::LastReference;
use sha2::{Digest, Sha256};
use smsgw_config::{Alphabet, ClassForm, LongMessages, Operator};
use smsgw_message::segment::{Body, Carriage, Plan as Cut, room, split_by};
use smsgw_message::text::{self, Requested};
use smsgw_message::udh::{Udh, id};
use smsgw_message::{Address, Encoding, MtMessage, Part, names};
use smsgw_queue::StateKey;
use std::fmt::Write;
use std::time::Duration;

/// How long the reference of a message must not come again for its phone.
pub(crate) const REFERENCES_KEPT: Duration = Duration::from_secs(24 * 3600);

/// What a message goes out as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recut {
    pub(crate) encoding: Encoding,
    pub(crate) parts: Vec<Part>,
    /// What it was cut as, when it was cut anew and not only given its reference.
    pub(crate) word: Option<&'static str>,
}

/// The key of the references of a phone. It stands there as a digest: keys may be logged.
pub(crate) fn key(to: &Address) -> StateKey {
    let digest = Sha256::digest(to.as_str().as_bytes());
    let mut key = String::with_capacity(32);
    for octet in digest.iter().take(16) {
        write!(key, "{octet:02x}").expect("writing to a String cannot fail");
    }
    StateKey::from(names::reference(&key))
}

/// Whether it is long, or may be once it is cut anew in UCS-2 (`may_rewrite`: some operator lacks characters of GSM 7-bit).
pub(crate) fn may_be_long(message: &MtMessage, may_rewrite: bool) -> bool {
    match message.parts.as_slice() {
        [] => false,
        [only] => {
            may_rewrite
                && message.encoding == Encoding::Gsm7
                && only.data.len() > room(Encoding::Ucs2, only.udh.len())
        }
        [..] => true,
    }
}

/// The next reference for a phone. The first one follows from the message, its low octet from the client node's counter:
/// whatever else writes to that phone begins somewhere else.
pub(crate) fn next(last: Option<LastReference>, message: &MtMessage) -> LastReference {
    let reference = match last {
        Some(LastReference { reference }) => reference.wrapping_add(1),
        None => {
            let digest = Sha256::digest(message.id.to_string().as_bytes());
            let mut octets = digest.iter().copied();
            let (high, low) = (octets.next().unwrap_or(0), octets.next().unwrap_or(0));
            let counted = message.parts.first().and_then(|part| {
                let [_, given] = Udh::parse(&part.udh).ok()?.0.concat?.reference.to_be_bytes();
                Some(given)
            });
            u16::from_be_bytes([high, counted.unwrap_or(low)])
        }
    };
    LastReference { reference }
}

/// The message for this operator; `None` when it goes as it is.
pub(crate) fn recut(message: &MtMessage, operator: &Operator, reference: u16) -> Option<Recut> {
    let elements = own_elements(&message.parts, false)?;
    let cut = carriage(operator);
    if let Some(text) = unwritable(message, operator) {
        return in_ucs2(&text, elements, Cut::of(cut, reference));
    }
    if message.parts.len() < 2 {
        return None;
    }
    let anew = match operator.long_messages {
        LongMessages::Udh8 | LongMessages::Sar => None,
        LongMessages::Udh16 | LongMessages::Payload => joined(message, &elements, cut, reference),
    };
    anew.or_else(|| {
        Some(Recut {
            encoding: message.encoding,
            parts: referred(&message.parts, reference)?,
            word: None,
        })
    })
}

/// The whole message for an operator that it was not cut for; `None` when it goes as it is.
pub(crate) fn anew(message: &MtMessage, operator: &Operator) -> Option<Recut> {
    let elements = own_elements(&message.parts, true)?;
    let told = message
        .parts
        .first()
        .and_then(|part| Some(Udh::parse(&part.udh).ok()?.0.concat?.reference));
    let reference = told.unwrap_or_else(|| next(None, message).reference);
    let cut = carriage(operator);
    if let Some(text) = unwritable(message, operator) {
        return in_ucs2(&text, elements, Cut::of(cut, reference));
    }
    if let [only] = message.parts.as_slice()
        && only.data.len() <= segment_octets(message, only)
    {
        return None;
    }
    joined(message, &elements, cut, reference).filter(|recut| recut.parts != message.parts)
}

/// What one SMS takes of this part's text, in octets as they stand in a part.
fn segment_octets(message: &MtMessage, part: &Part) -> usize {
    room(message.encoding, part.udh.len()).saturating_mul(message.encoding.unit_octets())
}

fn carriage(operator: &Operator) -> Carriage {
    match operator.long_messages {
        LongMessages::Udh8 | LongMessages::Sar => Carriage::Udh8,
        LongMessages::Udh16 => Carriage::Udh16,
        LongMessages::Payload => Carriage::Payload,
    }
}

/// All parts as one text, cut again.
fn joined(message: &MtMessage, elements: &Udh, cut: Carriage, reference: u16) -> Option<Recut> {
    let units: Vec<u8> = message
        .parts
        .iter()
        .flat_map(|part| part.data.iter().copied())
        .collect();
    let body = Body {
        encoding: message.encoding,
        units: &units,
        shifts: smsgw_message::gsm7::Shifts::NONE,
        udh: &elements.to_octets().ok()?,
    };
    let segments = split_by(body, Cut::of(cut, reference)).ok()?;
    Some(Recut {
        encoding: message.encoding,
        parts: segments.parts,
        word: Some(cut.as_str()),
    })
}

/// The header elements that all parts share, when the gateway made these parts: one that is whole, or all of a message
/// with their places. `may_be_wide`: they were cut for an operator before, and may have 16-bit references.
fn own_elements(parts: &[Part], may_be_wide: bool) -> Option<Udh> {
    let mut elements = None;
    for (part, number) in parts.iter().zip(1_usize..) {
        let mut header = match part.udh.as_slice() {
            [] => Udh::default(),
            udh => Udh::parse(udh).ok().filter(|(_, rest)| rest.is_empty())?.0,
        };
        let place = header.concat.take().map(|concat| {
            let ours = (may_be_wide || !concat.wide) && usize::from(concat.total) == parts.len();
            ours && usize::from(concat.sequence) == number
        });
        if place != (parts.len() > 1).then_some(true) {
            return None;
        }
        elements.get_or_insert(header);
    }
    elements
}

/// The parts with this reference.
fn referred(parts: &[Part], reference: u16) -> Option<Vec<Part>> {
    let refer = |part: &Part| {
        let (mut header, _) = Udh::parse(&part.udh).ok()?;
        let concat = header.concat.as_mut()?;
        concat.reference = reference & 0xFF;
        Some(Part {
            udh: header.to_octets().ok()?,
            data: part.data.clone(),
        })
    };
    parts.iter().map(refer).collect()
}

/// The text, when a part of it has to be written in UCS-2 for this operator and does not fit so.
fn unwritable(message: &MtMessage, operator: &Operator) -> Option<String> {
    let lacks = |text: &str| match operator.alphabet {
        Alphabet::Latin1 => text.chars().any(|character| u8::try_from(character).is_err()),
        Alphabet::Ascii => !text.is_ascii(),
        Alphabet::Gsm7 | Alphabet::Gsm7Packed | Alphabet::Utf8 => false,
    };
    let names_gsm7 = match operator.message_class {
        ClassForm::DataCoding | ClassForm::DataCodingF0 => message.message_class.is_some(),
        ClassForm::Tlv | ClassForm::None => false,
    } || operator.data_coding.gsm7.is_some_and(|octet| octet != 0);
    if message.encoding != Encoding::Gsm7 || names_gsm7 {
        return None;
    }
    let mut whole = String::new();
    let mut fits = true;
    for part in &message.parts {
        let decoded = text::decode_shifted(Encoding::Gsm7, part.shifts(), &part.data);
        if decoded.lossy {
            return None;
        }
        let units = decoded.text.encode_utf16().count();
        fits &= !lacks(&decoded.text) || units <= room(Encoding::Ucs2, part.udh.len());
        whole.push_str(&decoded.text);
    }
    (!fits).then_some(whole)
}

fn in_ucs2(text: &str, mut elements: Udh, cut: Cut) -> Option<Recut> {
    // The tables are those of GSM 7-bit.
    elements
        .others
        .retain(|element| !matches!(element.id, id::SINGLE_SHIFT | id::LOCKING_SHIFT));
    let encoded = text::encode(text, Requested::Exactly(Encoding::Ucs2)).ok()?;
    let udh = elements.to_octets().ok()?;
    let body = Body {
        udh: &udh,
        ..Body::from(&encoded)
    };
    Some(Recut {
        encoding: Encoding::Ucs2,
        parts: split_by(body, cut).ok()?.parts,
        word: Some("ucs2"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::mt;
    use smsgw_message::segment::split;
    use smsgw_message::text::Encoded;
    use std::collections::BTreeSet;

    fn message(text: &str, requested: Requested) -> MtMessage {
        let encoded = text::encode(text, requested).unwrap();
        of(&encoded)
    }

    fn of(encoded: &Encoded) -> MtMessage {
        MtMessage {
            encoding: encoded.encoding,
            parts: split(encoded, 9).unwrap(),
            ..mt(1, 1)
        }
    }

    fn with(long_messages: LongMessages) -> Operator {
        Operator {
            long_messages,
            ..Operator::default()
        }
    }

    fn text_of(recut: &Recut) -> String {
        let octets: Vec<u8> = recut.parts.iter().flat_map(|part| part.data.clone()).collect();
        text::decode(recut.encoding, &octets).text
    }

    fn concat(part: &Part) -> (u16, bool, u8, u8) {
        let concat = Udh::parse(&part.udh).unwrap().0.concat.unwrap();
        (concat.reference, concat.wide, concat.total, concat.sequence)
    }

    #[test]
    fn short_messages_and_those_that_a_client_cut_itself_go_as_they_are() {
        let own = MtMessage {
            parts: vec![Part {
                udh: vec![5, 0, 3, 1, 2, 1],
                data: b"x".to_vec(),
            }],
            ..mt(1, 1)
        };
        for carriage in LongMessages::ALL {
            assert_eq!(
                recut(&message("short", Requested::Auto), &with(*carriage), 7),
                None
            );
            assert_eq!(recut(&own, &with(*carriage), 7), None);
        }
    }

    #[test]
    fn parts_of_8_bit_references_keep_all_but_their_reference() {
        let long = message(&"x".repeat(306), Requested::Auto);
        for carriage in [LongMessages::Udh8, LongMessages::Sar] {
            let recut = recut(&long, &with(carriage), 0x1234).unwrap();
            assert_eq!(recut.word, None);
            let places: Vec<_> = recut.parts.iter().map(concat).collect();
            assert_eq!(places, [(0x34, false, 2, 1), (0x34, false, 2, 2)]);
            assert!(
                recut
                    .parts
                    .iter()
                    .zip(&long.parts)
                    .all(|(new, old)| new.data == old.data)
            );
        }
    }

    #[test]
    fn sixteen_bit_references_take_a_part_more_only_where_it_does_not_fit() {
        for (septets, before, after) in [(304, 2, 2), (306, 2, 3), (459, 3, 4), (400, 3, 3)] {
            let text = "x".repeat(septets);
            let long = message(&text, Requested::Auto);
            let recut = recut(&long, &with(LongMessages::Udh16), 0x1234).unwrap();
            assert_eq!(
                (long.parts.len(), recut.parts.len()),
                (before, after),
                "{septets}"
            );
            assert_eq!(concat(recut.parts.first().unwrap()).0, 0x1234);
            assert!(
                recut
                    .parts
                    .iter()
                    .all(|part| concat(part).1 && part.udh.len() == 7)
            );
            assert_eq!((text_of(&recut), recut.word), (text, Some("udh16")));
        }
    }

    #[test]
    fn a_payload_is_the_whole_text_and_no_concatenation() {
        let text = "Ж".repeat(200);
        let recut = recut(&message(&text, Requested::Auto), &with(LongMessages::Payload), 7).unwrap();
        assert_eq!(recut.parts.len(), 1);
        assert!(recut.parts.iter().all(|part| part.udh.is_empty()));
        assert_eq!((text_of(&recut), recut.encoding), (text, Encoding::Ucs2));
    }

    #[test]
    fn the_other_elements_of_a_header_stay_in_every_part() {
        let encoded = text::encode(&"x".repeat(300), Requested::Auto).unwrap();
        let body = Body {
            udh: &[6, 5, 4, 0x15, 0x81, 0, 0],
            ..Body::from(&encoded)
        };
        let long = MtMessage {
            parts: split_by(body, Cut::of(Carriage::Udh8, 9)).unwrap().parts,
            ..of(&encoded)
        };
        for carriage in LongMessages::ALL {
            let recut = recut(&long, &with(*carriage), 7).unwrap();
            for part in &recut.parts {
                assert!(part.udh.ends_with(&[5, 4, 0x15, 0x81, 0, 0]), "{carriage}");
            }
        }
    }

    #[test]
    fn what_the_alphabet_of_the_carrier_lacks_is_cut_anew_as_ucs2() {
        let latin1 = Operator {
            alphabet: Alphabet::Latin1,
            ..Operator::default()
        };
        let text = format!("{}€", "x".repeat(100));
        let one_part = message(&text, Requested::Auto);
        assert!(may_be_long(&one_part, true) && !may_be_long(&one_part, false));
        let cut = recut(&one_part, &latin1, 7).unwrap();
        assert_eq!(
            (cut.parts.len(), cut.encoding, cut.word),
            (2, Encoding::Ucs2, Some("ucs2"))
        );
        assert_eq!(text_of(&cut), text);
        let goes = [
            ("x".repeat(150), latin1.clone()),
            ("€".repeat(60), latin1.clone()),
            (text.clone(), Operator::default()),
            (
                text,
                Operator {
                    data_coding: smsgw_config::DataCodings {
                        gsm7: Some(0xF1),
                        ..Default::default()
                    },
                    ..latin1
                },
            ),
        ];
        for (text, operator) in goes {
            assert_eq!(
                recut(&message(&text, Requested::Auto), &operator, 7),
                None,
                "{text}"
            );
        }
    }

    #[test]
    fn what_would_take_too_many_parts_stays() {
        let long = message(&"x".repeat(255 * 153), Requested::Auto);
        let recut = recut(&long, &with(LongMessages::Udh16), 7).unwrap();
        assert_eq!((recut.parts.len(), recut.word), (255, None));
    }

    #[test]
    fn references_of_a_phone_come_again_after_all_others_only() {
        let long = mt(1, 2);
        let mut last = None;
        let mut eight = BTreeSet::new();
        for n in 0..256 {
            let next = next(last, &long);
            assert!(eight.insert(next.reference & 0xFF), "{n}");
            last = Some(next);
        }
        let begins: BTreeSet<u16> = (0..100).map(|n| next(None, &mt(n, 2)).reference).collect();
        assert!(begins.len() > 90, "{}", begins.len());
        let counted = next(None, &message(&"x".repeat(200), Requested::Auto));
        assert_eq!(counted.reference & 0xFF, 9, "the client node's");
    }

    #[test]
    fn a_key_shows_no_number_and_is_one_for_a_phone() {
        let key_of = |digits| key(&Address::msisdn(digits).unwrap());
        assert_eq!(key_of("491700000001"), key_of("+491700000001"));
        assert_ne!(key_of("491700000001"), key_of("491700000002"));
        assert!(!key_of("491700000001").as_str().contains("4917"));
    }
}
