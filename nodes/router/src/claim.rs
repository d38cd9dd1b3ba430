//! Which of the parts that the id of a receipt may name is its own.
//!
//! Pure: weighs the parts that are found under the forms of an id against the addresses of the receipt. Knows no step.
//!
//! | what is known of the carrier | the id as in the answer | in the form that is known | in another form |
//! |---|---|---|---|
//! | configured | as it stands where it is in no base, or unless the phone is another one | believed | never tried |
//! | nothing, or the same | believed | | needs the phone (nothing known), or both addresses, and only while the part is open |
//! | another base | as it stands where it is in no base, or where the addresses agree | needs the phone | needs both addresses |
//! | doubted, or mixed | unless the phone is another one, or another part may be meant | | needs both addresses |
//!
//! Where the phone of the message is another one than that of the receipt, every form is tried, and a part whose addresses
//! agree goes first. At the end of a parked receipt's time every form is tried too.
//! Invariant RC-1: a form other than the configured one is believed only when the addresses of message and receipt agree, and
//! where two parts have the same right to a receipt neither gets it.
//!
//! # Limits
//! Until a carrier is known to mix forms, an id that stands in an answer is taken for that of its part, where the phone is the
//! same or none is told, though it may be another part's in another base; so is one of another phone whose own answer is still
//! to come. Where every form is tried, a receipt that comes before its answer, while another part to the same phone from the
//! same sender is open whose id is the same number in another base, is taken for that part's. A carrier that writes another
//! sender into its receipts and mixes forms keeps losing those of the rarer one.

use crate::carrier_id::{Form, Known};
use crate::correlate;
use crate::outcome::{Seen, View};
use crate::plan::Plan;
use crate::receipt::{self, Place};
use crate::report;
use smsgw_config::MessageIds;
use smsgw_message::{Address, Correlation, MessageId, MessageLife, Receipt, RecordError};
use smsgw_queue::StateKey;

/// Digits in which two numbers have to agree when one is written without its country or trunk prefix.
const LIKENESS: usize = 7;

/// In which forms an id is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breadth {
    /// In those of the carrier's habit; in every form where the part that is found there is of another phone.
    Usual,
    /// In every form, unless one is configured: the last look at a receipt that waits.
    Every,
}

/// A value that cannot be decoded stands in the way.
#[derive(Debug)]
pub(crate) struct Blocked {
    pub(crate) key: StateKey,
    pub(crate) error: RecordError,
}

/// The part of a receipt.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) form: Form,
    pub(crate) message: MessageId,
    pub(crate) part: u16,
    pub(crate) seen: Seen<MessageLife>,
    /// It says something about how the carrier writes ids.
    pub(crate) certain: bool,
}

/// What the addresses of a receipt say about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Addresses {
    /// The phone is that of the message, and the sender where both have one.
    Agree,
    /// The phone is that of the message, and the sender is not.
    Phone,
    /// There is nothing to compare.
    Silent,
    /// It is about another phone.
    Contradict,
}

/// A part that an id may mean.
#[derive(Debug)]
struct Claim<'a> {
    place: &'a Place,
    message: MessageId,
    part: u16,
    seen: Seen<&'a MessageLife>,
    addresses: Addresses,
}

impl Claim<'_> {
    fn agrees(&self) -> bool {
        self.addresses == Addresses::Agree
    }

    fn is_of_the_phone(&self) -> bool {
        matches!(self.addresses, Addresses::Agree | Addresses::Phone)
    }

    fn contradicts(&self) -> bool {
        self.addresses == Addresses::Contradict
    }

    fn is_open(&self) -> bool {
        let index = usize::from(self.part).checked_sub(1);
        self.seen
            .record
            .zip(index)
            .and_then(|(life, index)| life.parts.get(index))
            .is_some_and(|part| !part.is_final)
    }
}

/// How the ids of a receipt's carrier are written; true where that is configured.
fn known(plan: &Plan, receipt: &Receipt) -> (Known, bool) {
    let configured = plan.message_ids(&receipt.via.operator);
    let known = plan.habits().known(&receipt.via.group, configured);
    (known, configured != MessageIds::Auto)
}

/// The places to look at, most likely first.
pub(crate) fn places(
    plan: &Plan,
    receipt: &Receipt,
    breadth: Breadth,
    view: &View,
) -> Result<Vec<Place>, Blocked> {
    let (known, is_configured) = known(plan, receipt);
    let usual = receipt::places(receipt, known.forms());
    if is_configured {
        return Ok(usual);
    }
    let is_every = match breadth {
        Breadth::Every => true,
        Breadth::Usual => claims(&usual, receipt, view)?.iter().any(Claim::contradicts),
    };
    Ok(if is_every {
        receipt::places(receipt, known.every_form())
    } else {
        usual
    })
}

fn claims<'a>(places: &'a [Place], receipt: &Receipt, view: &'a View) -> Result<Vec<Claim<'a>>, Blocked> {
    let mut claims = Vec::with_capacity(places.len());
    for place in places {
        let there = view.read::<Correlation>(&place.key).map_err(|error| Blocked {
            key: place.key.clone(),
            error,
        })?;
        let parts = there
            .record
            .map(|there| correlate::parts(&there, &place.answered))
            .unwrap_or_default();
        let mut its: Option<Claim<'_>> = None;
        for (message, part) in parts {
            let key = report::message_key(message);
            let seen = view.life(&key).map_err(|error| Blocked { key, error })?;
            let addresses = addresses(receipt, seen.record, part);
            let claim = Claim {
                place,
                message,
                part,
                seen,
                addresses,
            };
            // Of parts that share an id the first one that waits for a receipt; when none does, the first.
            let waits = claim.is_open();
            if waits || its.is_none() {
                its = Some(claim);
            }
            if waits {
                break;
            }
        }
        claims.extend(its);
    }
    Ok(claims)
}

/// The part of a receipt, as far as it can be told.
pub(crate) fn find(
    plan: &Plan,
    receipt: &Receipt,
    breadth: Breadth,
    view: &View,
) -> Result<Option<Found>, Blocked> {
    let (known, is_configured) = known(plan, receipt);
    let places = places(plan, receipt, breadth, view)?;
    let mut claims = claims(&places, receipt, view)?;
    for by_text in [false, true] {
        let of_id: Vec<(usize, &Claim<'_>)> = claims
            .iter()
            .enumerate()
            .filter(|(_, claim)| claim.place.by_text == by_text)
            .collect();
        let Some(chosen) = choose(known, is_configured, breadth, &of_id) else {
            continue;
        };
        // Which of two ids a carrier means says nothing about how it writes them.
        let alone = || {
            claims
                .iter()
                .enumerate()
                .all(|(index, claim)| index == chosen || claim.contradicts() || claim.place.by_text)
        };
        let certain = !by_text && alone();
        let claim = claims.swap_remove(chosen);
        return Ok(Some(Found {
            form: claim.place.form,
            message: claim.message,
            part: claim.part,
            seen: Seen {
                record: claim.seen.record.cloned(),
                expected: claim.seen.expected,
            },
            certain: certain && claim.place.is_plain,
        }));
    }
    Ok(None)
}

fn choose(
    known: Known,
    is_configured: bool,
    breadth: Breadth,
    claims: &[(usize, &Claim<'_>)],
) -> Option<usize> {
    let may_be_open = |claim: &Claim<'_>| breadth == Breadth::Every || claim.is_open();
    let usual = match known {
        Known::Nothing => Form::Same,
        Known::Is(form) => form,
        Known::Doubted(_) | Known::Mixed => {
            let mut agree = claims.iter().filter(|(_, claim)| claim.agrees());
            return match (agree.next(), agree.next()) {
                (Some((index, claim)), None) => {
                    (claim.place.form == Form::Same || may_be_open(claim)).then_some(*index)
                }
                (Some(_), Some(_)) => None,
                (None, _) => only(claims, |claim| !claim.contradicts())
                    .filter(|(_, claim)| claim.place.form == Form::Same)
                    .map(|(index, _)| index),
            };
        }
    };
    let is_believed = |claim: &Claim<'_>| match claim.place.form {
        form if form == usual => is_configured || form == Form::Same || claim.is_believed_of_a_habit(),
        // Known to write another base, and this is no number in it.
        Form::Same => {
            !claim.place.has_other_base || claim.agrees() || (is_configured && !claim.contradicts())
        }
        Form::HexToDecimal | Form::DecimalToHex => false,
    };
    let first = claims.iter().find(|(_, claim)| is_believed(claim));
    if let Some((index, claim)) = first
        && (is_configured || !claim.contradicts())
    {
        return Some(*index);
    }
    // Another form, or another phone than the message of the id has: the addresses have to speak for one part alone.
    let is_proven = |claim: &Claim<'_>| match known {
        Known::Nothing => claim.is_of_the_phone(),
        Known::Is(_) | Known::Doubted(_) | Known::Mixed => claim.agrees(),
    };
    let other = only(claims, |claim| is_proven(claim) && may_be_open(claim));
    other
        .map(|(index, _)| index)
        .or_else(|| first.map(|(index, _)| *index))
}

/// The one of which this holds, if there is one only.
fn only<'a, 'b>(
    claims: &'a [(usize, &'b Claim<'b>)],
    holds: impl Fn(&Claim<'_>) -> bool,
) -> Option<(usize, &'a Claim<'b>)> {
    let mut those = claims.iter().filter(|(_, claim)| holds(claim));
    match (those.next(), those.next()) {
        (Some((index, claim)), None) => Some((*index, claim)),
        (None | Some(_), _) => None,
    }
}

impl Claim<'_> {
    /// In the other base that is the carrier's habit: the phone has to be the same, unless its message has ended and gone.
    fn is_believed_of_a_habit(&self) -> bool {
        self.is_of_the_phone() || self.seen.record.is_none()
    }
}

/// Whether a receipt that waited for the answer to its submit belongs to that part without more ado. If not, it is looked at
/// anew, with all that its id may mean.
pub(crate) fn is_settled(plan: &Plan, receipt: &Receipt, form: Form, life: &MessageLife, part: u16) -> bool {
    let (known, is_configured) = known(plan, receipt);
    let addresses = addresses(receipt, Some(life), part);
    match known {
        _ if is_configured => known.forms().first() == Some(&form) || form == Form::Same,
        Known::Nothing | Known::Is(Form::Same) => form == Form::Same && addresses != Addresses::Contradict,
        Known::Is(habit) => form == habit && matches!(addresses, Addresses::Agree | Addresses::Phone),
        Known::Doubted(_) | Known::Mixed => false,
    }
}

/// By what the client wrote, and by what the carrier was given where the route of the part changed it.
fn addresses(receipt: &Receipt, life: Option<&MessageLife>, part: u16) -> Addresses {
    let Some(life) = life else {
        return Addresses::Silent;
    };
    let index = usize::from(part).checked_sub(1);
    let sent_as = index
        .and_then(|index| life.parts.get(index)?.sent_as.as_ref())
        .map(|sent| (sent.from.as_ref(), sent.to.as_ref()));
    let (from, to) = sent_as.unwrap_or_default();
    let message = &life.message;
    let there = |address: &&Address| !address.as_str().is_empty();
    let their_from = receipt.from.as_ref().filter(there);
    let their_to = receipt.to.as_ref().filter(there);
    let is_phone = |address: Option<&Address>| {
        address.is_some_and(|address| {
            is_alike(address, &message.to) || to.is_some_and(|phone| is_alike(address, phone))
        })
    };
    // Some carriers write them the other way round.
    let sender = match (is_phone(their_from), is_phone(their_to)) {
        (true, _) => their_to,
        (false, true) => their_from,
        (false, false) => {
            let is_number = their_from.is_some_and(is_whole_number);
            return if is_number {
                Addresses::Contradict
            } else {
                Addresses::Silent
            };
        }
    };
    let mut ours = message.from.iter().chain(from).peekable();
    match sender {
        Some(theirs) if ours.peek().is_some() && !ours.any(|ours| is_same_sender(ours, theirs)) => {
            Addresses::Phone
        }
        Some(_) | None => Addresses::Agree,
    }
}

/// A number that is neither cut nor masked.
fn is_whole_number(address: &Address) -> bool {
    let text = address.as_str();
    let text = text.strip_prefix('+').unwrap_or(text);
    text.len() >= LIKENESS && text.bytes().all(|octet| octet.is_ascii_digit())
}

/// The same phone, however its number is written.
fn is_alike(one: &Address, other: &Address) -> bool {
    let digits = |address: &'_ Address| -> (usize, [u8; LIKENESS]) {
        let (mut count, mut last) = (0, [0; LIKENESS]);
        let all = address.as_str().bytes().rev().filter(u8::is_ascii_digit);
        for digit in all {
            if let Some(place) = last.get_mut(count) {
                *place = digit;
            }
            count += 1;
        }
        (count, last)
    };
    let ((count, last), (others, others_last)) = (digits(one), digits(other));
    let is_short = count < LIKENESS || others < LIKENESS;
    count > 0 && last == others_last && (!is_short || count == others)
}

/// Names by their letters, numbers by their digits.
fn is_same_sender(one: &Address, other: &Address) -> bool {
    let is_name = |address: &Address| address.as_str().chars().any(char::is_alphabetic);
    one.as_str().eq_ignore_ascii_case(other.as_str())
        || (!is_name(one) && !is_name(other) && is_alike(one, other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{mt, phone};
    use smsgw_message::{MtMessage, Npi, ReceiptState, SentAs, Ton};

    fn address(text: &str) -> Address {
        Address::from_wire(Ton::UNKNOWN, Npi::UNKNOWN, text)
    }

    #[test]
    fn numbers_are_alike_with_and_without_their_prefixes() {
        let phone = phone("491700000001");
        for same in [
            "491700000001",
            "+491700000001",
            "00491700000001",
            "01700000001",
            "1700000001",
        ] {
            assert!(is_alike(&address(same), &phone), "{same}");
        }
        for other in ["491700000002", "00001", "", "Acme"] {
            assert!(!is_alike(&address(other), &phone), "{other}");
        }
    }

    #[test]
    fn the_addresses_of_a_receipt_agree_contradict_or_say_nothing() {
        use Addresses::{Agree, Contradict, Phone, Silent};
        let mut life = MessageLife::accepted(MtMessage {
            from: Some(address("Acme")),
            ..mt(1, 1)
        });
        let table = [
            (Some("491700000001"), Some("ACME"), Agree),
            (Some("Acme"), Some("01700000001"), Agree),
            (Some("491700000001"), None, Agree),
            (Some("491700000001"), Some(""), Agree),
            (Some("491700000001"), Some("12345"), Phone),
            (Some("491700000099"), Some("Acme"), Contradict),
            (Some("4917000***99"), Some("Acme"), Silent),
            (Some("12345"), None, Silent),
            (None, None, Silent),
        ];
        for (from, to, expected) in table {
            let receipt = Receipt {
                from: from.map(address),
                to: to.map(address),
                ..crate::fixtures::receipt("1", ReceiptState::Delivered, 5)
            };
            assert_eq!(addresses(&receipt, Some(&life), 1), expected, "{from:?} {to:?}");
            assert_eq!(addresses(&receipt, None, 1), Silent);
        }
        // A carrier speaks of the addresses that it was given, or of those before another route changed them.
        life.parts[0].sent_as = Some(SentAs {
            from: Some(address("77001")),
            to: Some(address("491799999999")),
        });
        let table = [
            ("491799999999", "77001", Agree),
            ("491799999999", "Acme", Agree),
            ("491799999999", "77002", Phone),
            ("491700000001", "Acme", Agree),
            ("491700000099", "77001", Contradict),
        ];
        for (from, to, expected) in table {
            let receipt = Receipt {
                from: Some(address(from)),
                to: Some(address(to)),
                ..crate::fixtures::receipt("1", ReceiptState::Delivered, 5)
            };
            assert_eq!(addresses(&receipt, Some(&life), 1), expected, "{from} {to}");
        }
    }
}
