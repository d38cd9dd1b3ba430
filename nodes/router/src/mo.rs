//! Messages from phones: joined, routed, put down to the client.
//!
//! Decides with `assemble`, the route table and `ruling`; knows no engine. Invariant MO-1: an MO becomes exactly one of: a record
//! of `down.callback` or `down.smpp`, an entry of `inbox.<client>`, a dead letter of `down.callback` (there is no such
//! account), dead letters of its parts in `up.<p>` (no route), a part that waits. A route to several clients makes one of the
//! first three for each of them, all in one step.

use crate::assemble::{self, Content, Due, Joined};
use crate::keywords;
use crate::outcome::{Note, Outcome, View};
use crate::plan::Plan;
use crate::record::Assembly;
use crate::reply::{self, Asked};
use crate::ruling::{self, Place, Written};
use smsgw_message::{
    Class, ClientId, Down, DownKind, Event, EventName, LinkGroup, Mo, MoDown, Record, Timestamp, Up, names,
};
use smsgw_queue::{DeadReason, Expiry, Lane, StateKey};
use smsgw_routing::{MoQuestion, decide_mo};

/// The lane of what belongs to no client yet.
pub(crate) fn lane_of(group: &LinkGroup) -> Lane {
    Lane::new(Class::Transactional, group.as_str())
}

/// An MO, or a part of one, has come up.
pub(crate) fn handle(outcome: Outcome, plan: &Plan, now: Timestamp, mo: &Mo, view: &View) -> Outcome {
    let Some(place) = assemble::Place::of(mo) else {
        return give_down(outcome, plan, now, &[mo], 0).0;
    };
    let key = place.key(mo);
    let seen = match view.read::<Assembly>(&key) {
        Ok(seen) => seen,
        Err(error) => return outcome.corrupt(&key, &error),
    };
    let lane = lane_of(&mo.via.group);
    let alarm = |deadline| Expiry::Alarm(deadline, names::ALARMS.into(), lane);
    let deadline = now.after(plan.limits().reassembly);
    match assemble::handle_part(seen.record, place, mo, deadline) {
        Joined::Waits(next, deadline) => {
            outcome.with(|step| step.compare_and_put(key, seen.expected, next.to_record(), alarm(deadline)))
        }
        Joined::Repeated => outcome.note(Note::MoPartDuplicate(mo.via.operator.clone(), mo.id)),
        Joined::Supersedes(pieces, missing, next, deadline) => {
            let parts: Vec<&Mo> = pieces.iter().map(|piece| &piece.mo).collect();
            give_down(outcome, plan, now, &parts, missing)
                .0
                .with(|step| step.compare_and_put(key, seen.expected, next.to_record(), alarm(deadline)))
        }
        Joined::Whole(pieces, done) => {
            let parts: Vec<&Mo> = pieces.iter().map(|piece| &piece.mo).collect();
            let (outcome, taken) = give_down(outcome, plan, now, &parts, 0);
            if taken {
                let expiry = Expiry::At(deadline);
                outcome.with(|step| step.compare_and_put(key, seen.expected, done.to_record(), expiry))
            } else {
                // The parts are dead letters now: released, they must not count as repetitions.
                outcome.with(|step| step.delete(key, seen.expected))
            }
        }
    }
}

/// The alarm of parts that wait.
pub(crate) fn handle_alarm(
    outcome: Outcome,
    plan: &Plan,
    now: Timestamp,
    key: &StateKey,
    view: &View,
) -> Outcome {
    let seen = match view.read::<Assembly>(key) {
        Ok(seen) => seen,
        Err(error) => return outcome.corrupt(key, &error),
    };
    let more = plan.limits().reassembly / 2;
    match seen
        .record
        .map_or(Due::Nothing, |there| assemble::handle_alarm(there, now, more))
    {
        Due::Nothing => outcome,
        Due::Again(again, deadline) => {
            let Some(group) = again.group().cloned() else {
                return outcome;
            };
            let alarm = Expiry::Alarm(deadline, names::ALARMS.into(), lane_of(&group));
            outcome.with(|step| step.compare_and_put(key.clone(), seen.expected, again.to_record(), alarm))
        }
        Due::Over(pieces, missing) => {
            let parts: Vec<&Mo> = pieces.iter().map(|piece| &piece.mo).collect();
            let outcome = outcome.with(|step| step.delete(key.clone(), seen.expected));
            give_down(outcome, plan, now, &parts, missing).0
        }
    }
}

/// Routes and publishes; says whether a client was found. `parts` are in order and at least one; `missing` are not there.
fn give_down(
    mut outcome: Outcome,
    plan: &Plan,
    now: Timestamp,
    parts: &[&Mo],
    missing: u8,
) -> (Outcome, bool) {
    let Some(first) = parts.first() else {
        return (outcome, false);
    };
    let (operator, id) = (&first.via.operator, first.id);
    let Content {
        text,
        data,
        raw,
        headers,
        lossy,
        byte_order,
    } = assemble::join(parts.iter().copied());
    let question = MoQuestion {
        operator,
        from: &first.from,
        to: &first.to,
        text: text.as_deref(),
        at: now,
    };
    let Ok(decision) = decide_mo(plan.table(), question) else {
        let buried = parts.iter().fold(outcome, |outcome, mo| {
            let record = Up::Mo((*mo).clone()).to_record();
            let group = &mo.via.group;
            outcome.with(|step| step.bury(names::up(group), lane_of(group), record, DeadReason::NoRoute))
        });
        return (buried.note(Note::MoUnroutable(operator.clone(), id)), false);
    };
    if missing > 0 {
        outcome = outcome.note(Note::MoIncomplete(operator.clone(), id));
    }
    let what = MoDown {
        message: id,
        from: first.from.clone(),
        to: first.to.clone(),
        text,
        data: data.into(),
        encoding: first.encoding,
        data_coding: first.data_coding,
        operator: operator.clone(),
        incomplete: missing > 0 || lossy,
        charset: first.charset,
        raw: raw.map(Into::into),
        headers: (!headers.is_empty()).then(|| headers.into_iter().map(Into::into).collect()),
        missing: (missing > 0).then_some(missing),
        byte_order,
        keyword: None,
    };
    let given = Given {
        now,
        at: first.at,
        route: decision.route,
        parts: parts.len(),
    };
    let ruling = ruling::rule(
        plan,
        &decision,
        Written {
            from: &what.from,
            to: &what.to,
            text: what.text.as_deref(),
            is_whole: missing == 0,
        },
    );
    for (n, taker) in (0..).zip(ruling.takers) {
        let client = taker.client;
        if let Some(spoken) = &taker.spoken {
            outcome = keywords::keep(outcome, now, client, &what.from, &what.to, spoken).note(Note::Spoken(
                client.clone(),
                id,
                spoken.action,
            ));
        }
        let what = MoDown {
            keyword: taker.spoken.map(|spoken| spoken.action),
            ..what.clone()
        };
        outcome = give_to(outcome, plan, &given, (client, taker.place), n, what);
    }
    if let Some(reply) = ruling.reply {
        let asked = Asked {
            id,
            at: first.at,
            from: &what.from,
            to: &what.to,
        };
        outcome = reply::ask(outcome, plan, now, &reply, &asked);
    }
    (outcome, true)
}

/// What all clients of a message have in common.
struct Given {
    now: Timestamp,
    at: Timestamp,
    route: usize,
    parts: usize,
}

/// Publishes for one client; `n` is its number among those who get the message, and makes the id of its event.
fn give_to(
    outcome: Outcome,
    plan: &Plan,
    given: &Given,
    (client, place): (&ClientId, Place),
    n: u64,
    what: MoDown,
) -> Outcome {
    let id = what.message;
    let lane = Lane::new(plan.class(client), client);
    let url = match &place {
        Place::Callback(url) => Some(url.clone()),
        Place::Binds | Place::Inbox | Place::Nobody => None,
    };
    let mut event = Event::new(given.now, EventName::MoRouted);
    event.message = Some(id);
    event.client = Some(client.clone());
    event.operator = Some(what.operator.clone());
    (event.from, event.to) = (Some(what.from.clone()), Some(what.to.clone()));
    event.route = u32::try_from(given.route).ok();
    event.parts = u16::try_from(given.parts).unwrap_or(u16::MAX);
    event.text = what.text.clone().filter(|_| plan.stores_text(client));
    let down = Down {
        event: id.derive(n),
        client: client.clone(),
        url,
        at: given.at,
        what: DownKind::Mo(what),
        for_bind: None,
    };
    let record = down.to_record();
    let outcome = outcome.event(&event);
    match place {
        Place::Callback(_) => outcome.with(|step| step.publish(names::DOWN_CALLBACK, lane, record)),
        Place::Binds => outcome.with(|step| step.publish(names::DOWN_SMPP, lane, record)),
        Place::Inbox => outcome.with(|step| step.append(names::inbox(client), record)),
        Place::Nobody => outcome
            .with(|step| step.bury(names::DOWN_CALLBACK, lane, record, DeadReason::NoOwner))
            .note(Note::MoWithoutTarget(client.clone(), id)),
    }
}
