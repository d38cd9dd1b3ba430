//! A receipt: finds the part it belongs to, whichever way the carrier writes its id, or lets it wait.
//!
//! Input: the receipts of `up.<p>`. Brings together `carrier_id` (in which forms), `correlate` (which part) and `life` (what
//! it means). Where TLV and text of a receipt have different ids, the TLV's is tried first, in every form, then the text's.
//! Invariant RC-1: a form other than the one in the answer is believed only when the addresses of message and
//! receipt agree, or when the configuration says so.

use crate::carrier_id::Form;
use crate::correlate::{self, Fate};
use crate::life::{self, Changes, Surplus};
use crate::mo;
use crate::outcome::{Note, Outcome, View};
use crate::plan::Plan;
use crate::record::Correlation;
use crate::report;
use smsgw_config::MessageIds;
use smsgw_message::{
    Address, Event, EventName, MessageId, MessageLife, MtMessage, Receipt, Record, Timestamp, Up, names,
};
use smsgw_queue::{DeadReason, Expiry, StateKey};

/// Digits in which two numbers have to agree when one is written without its country or trunk prefix.
const LIKENESS: usize = 7;

/// Where the part of a receipt may be found.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) form: Form,
    pub(crate) key: StateKey,
    /// The id as the answer would have it; compared as it is only in the same form.
    answered: String,
    /// It is the id of the receipt's text, and its TLV has another one.
    by_text: bool,
}

impl Place {
    /// The part that is found there.
    pub(crate) fn owner(&self, view: &View) -> Option<(MessageId, u16)> {
        let there = view.read::<Correlation>(&self.key).ok()?.record?;
        correlate::owner(&there, &self.answered)
    }
}

/// The places to look at, most likely first; never empty.
pub(crate) fn places(plan: &Plan, receipt: &Receipt) -> Vec<Place> {
    let group = &receipt.via.group;
    let forms = plan
        .habits()
        .forms(group, plan.message_ids(&receipt.via.operator));
    let mut places: Vec<Place> = Vec::with_capacity(forms.len());
    let ids = [
        (Some(&receipt.carrier_id), false),
        (receipt.text_id.as_ref(), true),
    ];
    for (id, by_text) in ids {
        let Some(id) = id else { continue };
        for form in forms {
            let Some(folded) = form.answered(id) else {
                continue;
            };
            let key = correlate::key(group, &folded);
            if places.iter().all(|place| place.key != key) {
                let answered = match form {
                    Form::Same => id.clone(),
                    Form::HexToDecimal | Form::DecimalToHex => folded,
                };
                places.push(Place {
                    form: *form,
                    key,
                    answered,
                    by_text,
                });
            }
        }
    }
    places
}

/// Takes a receipt.
pub(crate) fn handle(
    outcome: Outcome,
    plan: &Plan,
    now: Timestamp,
    receipt: &Receipt,
    view: &View,
) -> Outcome {
    let operator = &receipt.via.operator;
    let places = places(plan, receipt);
    let owners = places
        .iter()
        .filter(|place| !place.by_text && place.owner(view).is_some())
        .count();
    for place in &places {
        if let Err(error) = view.read::<Correlation>(&place.key) {
            return outcome.corrupt(&place.key, &error);
        }
        let Some((message, part)) = place.owner(view) else {
            continue;
        };
        let key = report::message_key(message);
        let seen = match view.read::<MessageLife>(&key) {
            Ok(seen) => seen,
            Err(error) => return outcome.corrupt(&key, &error),
        };
        if !believed(
            plan,
            receipt,
            place.form,
            seen.record.as_ref().map(|life| &life.message),
        ) {
            continue;
        }
        // A record is kept at least until its message is final: where it is gone, this receipt comes after the end.
        let Some(mut life) = seen.record else {
            return outcome.note(Note::Late(operator.clone(), message));
        };
        let surplus = life::surplus(&life, part);
        let mut changes = Changes::default();
        let meaning = plan.meaning(operator, receipt.state);
        let rule = plan.long_receipts(operator);
        if life::handle_receipt(&mut life, part, receipt, meaning, rule, &mut changes).is_err() {
            return unknown(outcome.dead(DeadReason::UnknownReceipt), now, receipt);
        }
        // Which of two ids a carrier means says nothing about how it writes them.
        let certain = owners == 1 && !place.by_text;
        let outcome = outcome.note(matched(receipt, place.form, certain));
        match surplus {
            Some(Surplus::Duplicate) => return outcome.note(Note::Duplicate(operator.clone(), message, 1)),
            Some(Surplus::Late) => return outcome.note(Note::Late(operator.clone(), message)),
            Some(Surplus::Unrequested) => return outcome.note(Note::Unrequested(operator.clone(), message)),
            None => {}
        }
        return report::put(outcome, plan, now, &life, seen.expected, changes);
    }
    park(outcome, plan, now, receipt, places, view)
}

/// The keys that tell whether a part is there for a receipt: its places, and the messages found there.
pub(crate) fn keys(plan: &Plan, receipt: &Receipt, view: &View) -> Vec<StateKey> {
    let places = places(plan, receipt);
    let messages: Vec<_> = places
        .iter()
        .filter_map(|place| place.owner(view))
        .map(|(message, _)| report::message_key(message))
        .collect();
    places
        .into_iter()
        .map(|place| place.key)
        .chain(messages)
        .collect()
}

/// Whether [`handle`] would find a part for a receipt that waits under `key`, or let it wait under another one.
pub(crate) fn is_misplaced(plan: &Plan, receipt: &Receipt, key: &StateKey, view: &View) -> bool {
    let places = places(plan, receipt);
    let claims = |place: &Place| {
        let Some((message, _)) = place.owner(view) else {
            return false;
        };
        let life = view.read::<MessageLife>(&report::message_key(message));
        // What cannot be read is told where it is handled.
        life.map_or(true, |seen| {
            let message = seen.record.as_ref().map(|life| &life.message);
            believed(plan, receipt, place.form, message)
        })
    };
    places.first().is_some_and(|place| place.key != *key) || places.iter().any(claims)
}

/// Whether the form of an id is enough to take the message for that of the receipt.
fn believed(plan: &Plan, receipt: &Receipt, form: Form, message: Option<&MtMessage>) -> bool {
    let configured = plan.message_ids(&receipt.via.operator);
    if form == Form::Same || configured != MessageIds::Auto {
        return true;
    }
    match message {
        Some(message) => [&receipt.from, &receipt.to]
            .into_iter()
            .flatten()
            .any(|address| is_alike(address, &message.to)),
        // Its message has ended and gone; that is believed of a habit only.
        None => plan.habits().known(&receipt.via.group, configured) == Some(form),
    }
}

/// The same phone, however its number is written.
fn is_alike(one: &Address, other: &Address) -> bool {
    let digits =
        |address: &Address| -> String { address.as_str().chars().filter(char::is_ascii_digit).collect() };
    let (one, other) = (digits(one), digits(other));
    let tail = |digits: &str| {
        digits
            .len()
            .checked_sub(LIKENESS)
            .and_then(|at| digits.get(at..).map(str::to_owned))
    };
    match (tail(&one), tail(&other)) {
        (Some(one), Some(other)) => one == other,
        (None, _) | (_, None) => !one.is_empty() && one == other,
    }
}

/// Nobody knows it yet: it waits under its most likely key.
fn park(
    outcome: Outcome,
    plan: &Plan,
    now: Timestamp,
    receipt: &Receipt,
    places: Vec<Place>,
    view: &View,
) -> Outcome {
    let group = &receipt.via.group;
    let dead = |outcome: Outcome| unknown(outcome.dead(DeadReason::UnknownReceipt), now, receipt);
    let Some(place) = places.into_iter().next() else {
        return dead(outcome);
    };
    let there = match view.read::<Correlation>(&place.key) {
        Ok(there) => there,
        Err(error) => return outcome.corrupt(&place.key, &error),
    };
    match correlate::park(there.record, receipt) {
        Fate::Parked(correlation) => {
            let alarm = now.after(correlate::half(plan.limits().parked_receipts));
            let expiry = Expiry::Alarm(alarm, names::ALARMS.into(), mo::lane_of(group));
            outcome
                .with(|step| step.compare_and_put(place.key, there.expected, correlation.to_record(), expiry))
                .note(Note::Parked(receipt.via.operator.clone()))
        }
        Fate::Unknown => dead(outcome),
    }
}

/// Says which form of the id it was.
pub(crate) fn matched(receipt: &Receipt, form: Form, certain: bool) -> Note {
    Note::Matched {
        operator: receipt.via.operator.clone(),
        group: receipt.via.group.clone(),
        form,
        certain,
    }
}

/// What the id in the TLV of a receipt names did not come in time: the one in its text gets its turn. `None` when it had it.
pub(crate) fn by_text(receipt: &Receipt) -> Option<Receipt> {
    let id = receipt.text_id.clone()?;
    Some(Receipt {
        carrier_id: id,
        text_id: None,
        ..receipt.clone()
    })
}

/// Keeps a receipt that stood in state as a dead letter.
pub(crate) fn bury(outcome: Outcome, now: Timestamp, receipt: &Receipt) -> Outcome {
    let group = &receipt.via.group;
    let record = Up::Receipt(receipt.clone()).to_record();
    let buried = outcome.with(|step| {
        step.bury(
            names::up(group),
            mo::lane_of(group),
            record,
            DeadReason::UnknownReceipt,
        )
    });
    unknown(buried, now, receipt)
}

/// Says that a receipt belongs to nothing we sent.
fn unknown(outcome: Outcome, now: Timestamp, receipt: &Receipt) -> Outcome {
    let mut event = Event::new(now, EventName::DrUnknown);
    event.operator = Some(receipt.via.operator.clone());
    outcome.event(&event).note(Note::Unknown(
        receipt.via.operator.clone(),
        receipt.via.group.clone(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_alike_with_and_without_their_prefixes() {
        let address =
            |text| Address::from_wire(smsgw_message::Ton::UNKNOWN, smsgw_message::Npi::UNKNOWN, text);
        let phone = Address::msisdn("491700000001").unwrap();
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
}
