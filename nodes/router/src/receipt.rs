//! A receipt: finds the part it belongs to, whichever way the carrier writes its id, or lets it wait.
//!
//! Input: the receipts of `up.<p>`. Brings together `carrier_id` (in which forms), `correlate` (which part), `claim` (whose it
//! is) and `life` (what it means). Where TLV and text of a receipt have different ids, the TLV's is tried first, in every
//! form, then the text's.

use crate::carrier_id::Form;
use crate::claim::{self, Blocked, Breadth, Found};
use crate::correlate::{self, Fate};
use crate::failover;
use crate::life::{self, Changes, Surplus};
use crate::mo;
use crate::outcome::{Note, Outcome, View};
use crate::plan::Plan;
use crate::report;
use crate::reroute;
use smsgw_message::{Correlation, Event, EventName, MessageLife, Receipt, Record, Timestamp, Up, names};
use smsgw_queue::{DeadReason, Expiry, StateKey};

/// Where the part of a receipt may be found.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) form: Form,
    pub(crate) key: StateKey,
    /// The id as the answer would have it; compared as it is only in the same form.
    pub(crate) answered: String,
    /// It is the id of the receipt's text, and its TLV has another one.
    pub(crate) by_text: bool,
    /// No other form has the same key.
    pub(crate) is_plain: bool,
    /// The id is a number in the base of another form that is tried.
    pub(crate) has_other_base: bool,
}

/// The places of a receipt's ids in these forms, in their order.
pub(crate) fn places(receipt: &Receipt, forms: &[Form]) -> Vec<Place> {
    let group = &receipt.via.group;
    let mut places: Vec<Place> = Vec::with_capacity(forms.len());
    let ids = [
        (Some(&receipt.carrier_id), false),
        (receipt.text_id.as_ref(), true),
    ];
    for (id, by_text) in ids {
        let Some(id) = id else { continue };
        let answers = Form::ALL.map(|form| (form, form.answered(id)));
        for form in forms {
            let its = answers.iter().find(|(other, _)| other == form);
            let Some(folded) = its.and_then(|(_, answered)| answered.as_ref()) else {
                continue;
            };
            let key = correlate::key(group, folded);
            if places.iter().any(|place| place.key == key) {
                continue;
            }
            let mut others = answers.iter().filter(|(other, _)| other != form);
            let is_plain = others
                .clone()
                .all(|(_, answered)| answered.as_ref() != Some(folded));
            let has_other_base = others.any(|(other, answered)| answered.is_some() && forms.contains(other));
            let answered = match form {
                Form::Same => id.clone(),
                Form::HexToDecimal | Form::DecimalToHex => folded.clone().into_owned(),
            };
            places.push(Place {
                form: *form,
                key,
                answered,
                by_text,
                is_plain,
                has_other_base,
            });
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
    match claim::find(plan, receipt, Breadth::Usual, view) {
        Ok(Some(found)) => apply(outcome, plan, now, receipt, found, view)
            .unwrap_or_else(|outcome| unknown(outcome.dead(DeadReason::UnknownReceipt), now, receipt)),
        Ok(None) => park(outcome, plan, now, receipt, view),
        Err(Blocked { key, error }) => outcome.corrupt(&key, &error),
    }
}

/// A receipt's part was found. Gives the outcome back as it was when its message has no such part.
pub(crate) fn apply(
    outcome: Outcome,
    plan: &Plan,
    now: Timestamp,
    receipt: &Receipt,
    found: Found,
    view: &View,
) -> Result<Outcome, Outcome> {
    let operator = &receipt.via.operator;
    let Found {
        form,
        message,
        part,
        seen,
        certain,
    } = found;
    // A record is kept at least until its message is final: where it is gone, this receipt comes after the end.
    let Some(mut life) = seen.record else {
        return Ok(outcome.note(Note::Late(operator.clone(), message)));
    };
    let meaning = plan.meaning(operator, receipt.state);
    let surplus = life::surplus(&life, part, operator, meaning);
    if surplus == Some(Surplus::Duplicate) && plan.shares_ids(operator) {
        return Ok(wait_beside(outcome, plan, now, receipt, &life, view));
    }
    let mut changes = Changes::default();
    let rule = plan.long_receipts(operator);
    let retry = failover::after_receipt(plan, &life, receipt, meaning, now);
    let open = failover::is_on_its_way(&life);
    if life::handle_receipt(&mut life, part, receipt, meaning, rule, retry, &mut changes).is_err() {
        return Err(outcome);
    }
    let outcome = outcome.note(matched(receipt, form, certain));
    let outcome = reroute::handle(outcome, plan, now, &receipt.via, &mut life, &mut changes);
    let outcome = failover::withdraw(outcome, open, now, &life, view);
    let surplus = match surplus {
        None => {
            let key = report::message_key(message);
            return Ok(report::put(
                outcome,
                plan,
                now,
                &key,
                &life,
                seen.expected,
                changes,
            ));
        }
        Some(Surplus::Duplicate) => Note::Duplicate(operator.clone(), message, 1),
        Some(Surplus::Late) => Note::Late(operator.clone(), message),
        Some(Surplus::Unrequested) => Note::Unrequested(operator.clone(), message),
        Some(Surplus::Elsewhere) => Note::Elsewhere(operator.clone(), message),
    };
    Ok(outcome.note(surplus))
}

/// How long a part's id is known.
pub(crate) fn owned_until(plan: &Plan, now: Timestamp, life: &MessageLife) -> Timestamp {
    plan.limits().id_known_until(&life.message, now)
}

/// Each part of a shared id has had its receipt: another part may be about to be answered with that id.
fn wait_beside(
    outcome: Outcome,
    plan: &Plan,
    now: Timestamp,
    receipt: &Receipt,
    life: &MessageLife,
    view: &View,
) -> Outcome {
    let (operator, group) = (&receipt.via.operator, &receipt.via.group);
    let key = correlate::key_of(group, &receipt.carrier_id);
    let there = match view.read::<Correlation>(&key) {
        Ok(there) => there,
        Err(error) => return outcome.corrupt(&key, &error),
    };
    let until = owned_until(plan, now, life);
    match there
        .record
        .and_then(|there| correlate::keep_early(there, receipt, until))
    {
        Some(waits) => {
            let half = now.after(correlate::half(plan.limits().parked_receipts));
            let expiry = Expiry::Alarm(half, names::ALARMS.into(), mo::lane_of(group));
            outcome
                .with(|step| step.compare_and_put(key, there.expected, waits.to_record(), expiry))
                .note(Note::Parked(operator.clone()))
        }
        None => outcome.note(Note::Duplicate(operator.clone(), life.message.id, 1)),
    }
}

/// The keys that tell whether a part is there for a receipt: its places, and the messages found there.
pub(crate) fn keys(plan: &Plan, receipt: &Receipt, breadth: Breadth, view: &View) -> Vec<StateKey> {
    // What cannot be read is told where it is handled.
    let usual = |_| places(receipt, Form::ALL.as_slice());
    let places = claim::places(plan, receipt, breadth, view).unwrap_or_else(usual);
    let messages: Vec<_> = places
        .iter()
        .flat_map(|place| {
            let there = view
                .read::<Correlation>(&place.key)
                .ok()
                .and_then(|seen| seen.record);
            there
                .map(|there| correlate::parts(&there, &place.answered))
                .unwrap_or_default()
        })
        .map(|(message, _)| report::message_key(message))
        .collect();
    let withdrawn: Vec<_> = messages
        .iter()
        .flat_map(|key| failover::keys(key, view))
        .collect();
    places
        .into_iter()
        .map(|place| place.key)
        .chain(messages)
        .chain(withdrawn)
        .collect()
}

/// Whether [`handle`] would find a part for a receipt that waits under `key`, or let it wait under another one.
pub(crate) fn is_misplaced(plan: &Plan, receipt: &Receipt, key: &StateKey, view: &View) -> bool {
    match claim::find(plan, receipt, Breadth::Usual, view) {
        // What cannot be read is told where it is handled.
        Ok(Some(_)) | Err(_) => true,
        Ok(None) => waiting_place(plan, receipt, view)
            .ok()
            .flatten()
            .is_some_and(|place| place.key != *key),
    }
}

/// Where a receipt is to wait: under the likeliest form of its id that no part has.
fn waiting_place(plan: &Plan, receipt: &Receipt, view: &View) -> Result<Option<Place>, Blocked> {
    let configured = plan.message_ids(&receipt.via.operator);
    let known = plan.habits().known(&receipt.via.group, configured);
    for place in places(receipt, known.forms())
        .into_iter()
        .filter(|place| !place.by_text)
    {
        match view.read::<Correlation>(&place.key) {
            Ok(there) => match there.record {
                None | Some(Correlation::Parked { .. }) => return Ok(Some(place)),
                Some(Correlation::Sent { .. } | Correlation::Owned { .. }) => {}
            },
            Err(error) => {
                let key = place.key;
                return Err(Blocked { key, error });
            }
        }
    }
    Ok(None)
}

/// Nobody knows it yet: it waits.
fn park(outcome: Outcome, plan: &Plan, now: Timestamp, receipt: &Receipt, view: &View) -> Outcome {
    let group = &receipt.via.group;
    let dead = |outcome: Outcome| unknown(outcome.dead(DeadReason::UnknownReceipt), now, receipt);
    let place = match waiting_place(plan, receipt, view) {
        Ok(Some(place)) => place,
        // Each form of its id belongs to a part that it is not about.
        Ok(None) => return dead(outcome),
        Err(Blocked { key, error }) => return outcome.corrupt(&key, &error),
    };
    let there = match view.read::<Correlation>(&place.key) {
        Ok(there) => there,
        Err(error) => return outcome.corrupt(&place.key, &error),
    };
    match correlate::park(there.record, receipt) {
        Fate::Parked(correlation) => {
            let configured = plan.message_ids(&receipt.via.operator);
            let known = plan.habits().known(group, configured).is_sure();
            let alarm = now.after(correlate::first_look(plan.limits().parked_receipts, known));
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

/// A receipt that waited goes through `up` once more.
pub(crate) fn again(outcome: Outcome, receipt: &Receipt) -> Outcome {
    let group = &receipt.via.group;
    let record = Up::Receipt(receipt.clone()).to_record();
    outcome.with(|step| step.publish(names::up(group), mo::lane_of(group), record))
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
    (event.from, event.to) = (receipt.from.clone(), receipt.to.clone());
    event.carrier_id = Some(receipt.carrier_id.clone());
    outcome.event(&event).note(Note::Unknown(
        receipt.via.operator.clone(),
        receipt.via.group.clone(),
    ))
}
