//! What the parts of a message make of the whole: its state, its end, and what follows from that. Pure.
//!
//! The router changes parts by what happens and then [`conclude`]s; where a carrier has taken the only part of a message and
//! nothing else is to be decided, the operator node does ([`MessageLife::taken`]). Both so tell the same of the same.
//!
//! The state of the whole follows from its parts. While a part is open: `queued` until every part was taken by a
//! carrier, then `sent`. When all are final: `delivered` if all were delivered, `sent` if nothing failed but a part has
//! no receipt to wait for, otherwise the worst, in the order failed, rejected, expired, cancelled; its error is that of
//! the first part in that state.
//!
//! Invariant WH-1: whoever concludes, the same parts make the same state, the same end and the same report.

use crate::{
    Charge, Event, EventName, LifeEvent, MessageLife, MessageState, Part, PartLife, PartOutcome, Report,
    ReportLevel, SubmitOutcome, SubmitResult, Timestamp,
};

/// Error word of a part whose receipt never came.
pub const NO_RECEIPT: &str = "no_receipt";

/// A report that is due, if the client wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Tells this report from the others of its message; the same when the step is done again.
    pub counter: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What the client is told.
    pub report: Report,
    /// The first part of a message that has let go of its parts: a receipt may quote how it begins.
    pub opening: Option<Part>,
}

/// What follows from what happened.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The record must be written.
    pub changed: bool,
    /// What came after the end of its part.
    pub duplicates: u32,
    /// For the events log, in order.
    pub events: Vec<Event>,
    /// Reports the client wants, in order.
    pub reports: Vec<Due>,
}

impl PartLife {
    /// A carrier took it under this id. Nothing more will come where no receipt can: none was asked for, or there is no id.
    pub fn sent(&mut self, carrier_id: &str, receipt_asked: bool) {
        self.state = MessageState::Sent;
        self.error = None;
        self.carrier_id = Some(carrier_id.to_owned()).filter(|id| !id.is_empty());
        self.is_final = !receipt_asked || carrier_id.is_empty();
    }
}

impl MessageLife {
    /// A carrier has taken the only part of the message, which waited for nobody else: the life as it is then, and what the
    /// events log is told. `None` where more follows than that, a report above all: that is for the router.
    pub fn taken(mut self, result: &SubmitResult) -> Option<(Self, Vec<Event>)> {
        let SubmitOutcome::Sent { carrier_id } = &result.outcome else {
            return None;
        };
        let ([part], 1) = (self.parts.as_mut_slice(), result.part) else {
            return None;
        };
        let is_its_first = part.tried.as_ref().is_none_or(Vec::is_empty) && part.fallback.is_none();
        let has_it = part.via.as_ref() == Some(&result.via);
        let waits = part.state == MessageState::Queued && !part.is_final;
        if !(is_its_first && has_it && waits) {
            return None;
        }
        part.link.clone_from(&result.link);
        part.sent(carrier_id, result.receipt_asked);
        self.note(LifeEvent {
            at: result.at,
            event: EventName::MtSent,
            part: Some(1),
            detail: Some(result.via.operator.as_str().to_owned()),
        });
        let mut changes = Changes::default();
        conclude(&mut self, result.at, &mut changes);
        changes.reports.is_empty().then_some((self, changes.events))
    }
}

/// Works out the state of the whole, says what changed, and takes leave of a message that is final.
pub fn conclude(life: &mut MessageLife, at: Timestamp, out: &mut Changes) {
    out.changed = true;
    let whole = Whole::of(&life.parts);
    if whole.state == life.state && !whole.is_final {
        return;
    }
    life.state = whole.state;
    life.error = whole.error;
    life.is_final = whole.is_final;
    let mut opening = None;
    if life.is_final {
        for part in &mut life.message.parts {
            let part = Part {
                udh: std::mem::take(&mut part.udh),
                data: std::mem::take(&mut part.data),
            };
            opening.get_or_insert(part);
        }
        let detail = life.error.as_ref().map_or_else(
            || life.state.as_str().to_owned(),
            // Where the error is the state's own word it says nothing more.
            |error| match life.state.as_str() {
                state if state == error => state.to_owned(),
                state => format!("{state} {error}"),
            },
        );
        life.note(LifeEvent {
            at,
            event: EventName::MtFinal,
            part: None,
            detail: Some(detail),
        });
        let mut event = life.event(at, EventName::MtFinal);
        event.state = Some(life.state);
        event.error.clone_from(&life.error);
        event.after_sent_ms = after_sent_ms(life, at);
        event.charge = settled(life);
        event.operator = life
            .parts
            .first()
            .and_then(|part| Some(part.via.as_ref()?.operator.clone()));
        out.events.push(event);
    }
    let was_told = !life.is_final && life.was_sent == Some(true);
    if life.state == MessageState::Sent {
        life.was_sent = Some(true);
    }
    let wanted = match life.message.report {
        ReportLevel::None => false,
        ReportLevel::Final => life.is_final,
        ReportLevel::All => !was_told,
    };
    if wanted {
        let message = &life.message;
        out.reports.push(Due {
            counter: report_counter(life.state, life.is_final),
            at,
            report: Report {
                message: message.id,
                reference: message.reference.clone(),
                from: message.from.clone(),
                to: message.to.clone(),
                state: life.state,
                error: life.error.clone(),
                accepted_at: message.accepted_at,
            },
            opening,
        });
    }
}

/// A message passes each state once, except `sent`, which may be reached as a stage and again as the end.
fn report_counter(state: MessageState, is_final: bool) -> u64 {
    let place = MessageState::ALL
        .iter()
        .zip(1u64..)
        .find(|(one, _)| **one == state)
        .map_or(0, |(_, n)| n);
    place + if is_final { 16 } else { 0 }
}

struct Whole {
    state: MessageState,
    error: Option<String>,
    is_final: bool,
}

impl Whole {
    fn of(parts: &[PartLife]) -> Self {
        if parts.iter().all(|part| part.is_final) {
            // `max_by_key` keeps the last of equals: backwards, that is the first part in the worst state.
            let worst = parts.iter().rev().max_by_key(|part| badness(part.state));
            return Self {
                state: worst.map_or(MessageState::Failed, |part| part.state),
                error: worst.and_then(|part| part.error.clone()),
                is_final: true,
            };
        }
        let waiting = |part: &PartLife| match part.state {
            MessageState::Accepted | MessageState::Scheduled | MessageState::Queued => true,
            MessageState::Sent
            | MessageState::Delivered
            | MessageState::Failed
            | MessageState::Expired
            | MessageState::Rejected
            | MessageState::Cancelled => false,
        };
        let state = if parts.iter().any(waiting) {
            MessageState::Queued
        } else {
            MessageState::Sent
        };
        Self {
            state,
            error: None,
            is_final: false,
        }
    }
}

/// Which final state of a part speaks for the whole: the greatest.
fn badness(state: MessageState) -> u8 {
    match state {
        MessageState::Delivered => 0,
        MessageState::Accepted | MessageState::Scheduled | MessageState::Queued | MessageState::Sent => 1,
        MessageState::Cancelled => 2,
        MessageState::Expired => 3,
        MessageState::Rejected => 4,
        MessageState::Failed => 5,
    }
}

/// Time since a carrier took the last part of it.
fn after_sent_ms(life: &MessageLife, at: Timestamp) -> Option<u64> {
    let sent = life.events.iter().rfind(|line| line.event == EventName::MtSent)?;
    u64::try_from(at.since(sent.at).as_millis()).ok()
}

/// What the message costs its account, with what became of its parts.
fn settled(life: &MessageLife) -> Option<Charge> {
    let charge = life.message.charge.clone()?;
    let count = |is: fn(&PartLife) -> bool| {
        let parts = life.parts.iter().filter(|part| is(part)).count();
        u16::try_from(parts).unwrap_or(u16::MAX)
    };
    let outcome = PartOutcome {
        parts: count(|_| true),
        sent: count(was_sent),
        delivered: count(|part| part.state == MessageState::Delivered),
    };
    Some(Charge {
        outcome: Some(outcome),
        ..charge
    })
}

/// Whether the carrier that has the part took it, whatever became of it there.
fn was_sent(part: &PartLife) -> bool {
    part.carrier_id.is_some()
        || part.error.as_deref() == Some(NO_RECEIPT)
        || match part.state {
            MessageState::Sent | MessageState::Delivered => true,
            MessageState::Accepted
            | MessageState::Scheduled
            | MessageState::Queued
            | MessageState::Failed
            | MessageState::Expired
            | MessageState::Rejected
            | MessageState::Cancelled => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Address, ChargeAt, Class, ClientId, Encoding, LinkGroup, LinkId, MessageId, MtMessage, OperatorId,
        Origin, Routed, Via,
    };

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn operator(name: &str) -> OperatorId {
        OperatorId::try_new(name).unwrap()
    }

    fn message(parts: usize, report: ReportLevel) -> MtMessage {
        let part = Part {
            udh: Vec::new(),
            data: b"hi".to_vec(),
        };
        MtMessage {
            id: MessageId::from_parts(at(1), [1; 10]),
            client: ClientId::try_new("acme").unwrap(),
            accepted_at: at(1),
            from: None,
            to: Address::msisdn("491700000001").unwrap(),
            encoding: Encoding::Gsm7,
            parts: vec![part; parts],
            class: Class::Transactional,
            valid_until: at(90_000),
            report,
            callback: None,
            reference: None,
            origin: Origin::Http,
            message_class: None,
            options: None,
            send_at: None,
            tags: None,
            registered_delivery: None,
            bind: None,
            bundle: None,
            batch: None,
            charge: None,
            submitted_coding: None,
        }
    }

    fn routed(message: MtMessage) -> MessageLife {
        let mut life = MessageLife::accepted(message);
        let routed = Routed {
            operator: operator("alpha"),
            route: Some(1),
            sent_as: None,
        };
        life.give(&routed, at(1));
        life.state = MessageState::Queued;
        life
    }

    fn result(life: &MessageLife, carrier_id: &str, receipt_asked: bool) -> SubmitResult {
        let alpha = operator("alpha");
        SubmitResult {
            message: life.message.id,
            part: 1,
            client: life.message.client.clone(),
            link: Some(LinkId::new(&alpha, 1)),
            via: Via {
                group: LinkGroup::of(&alpha),
                operator: alpha,
            },
            outcome: SubmitOutcome::Sent {
                carrier_id: carrier_id.to_owned(),
            },
            at: at(500),
            receipt_asked,
            report: life.message.report,
            reroute: None,
        }
    }

    #[test]
    fn a_message_that_wants_nothing_more_ends_when_its_carrier_takes_it() {
        let life = routed(message(1, ReportLevel::None));
        let (ended, events) = life.clone().taken(&result(&life, "A7", false)).unwrap();
        assert!(ended.is_final && ended.parts[0].is_final);
        assert_eq!(
            (ended.state, ended.parts[0].state),
            (MessageState::Sent, MessageState::Sent)
        );
        assert_eq!(ended.parts[0].carrier_id.as_deref(), Some("A7"));
        assert_eq!(ended.parts[0].link, result(&life, "A7", false).link);
        assert_eq!(ended.message.parts[0].data, b"", "the content goes with the end");
        let names: Vec<EventName> = ended.events.iter().map(|line| line.event).collect();
        assert_eq!(
            names,
            [
                EventName::MtAccepted,
                EventName::MtRouted,
                EventName::MtSent,
                EventName::MtFinal
            ]
        );
        let [event] = events.as_slice() else {
            panic!("{events:?}")
        };
        assert_eq!(
            (event.name, event.state, event.after_sent_ms, event.age_ms),
            (EventName::MtFinal, Some(MessageState::Sent), Some(0), Some(499))
        );
    }

    #[test]
    fn a_message_that_waits_for_its_receipt_is_sent_and_tells_nothing() {
        for report in [ReportLevel::None, ReportLevel::Final] {
            let life = routed(message(1, report));
            let (sent, events) = life.clone().taken(&result(&life, "A7", true)).unwrap();
            assert_eq!((sent.state, sent.is_final), (MessageState::Sent, false));
            assert_eq!(sent.message, life.message, "a failover may want its content");
            assert_eq!(events, []);
        }
    }

    #[test]
    fn what_more_follows_from_is_for_the_router() {
        let plain = routed(message(1, ReportLevel::Final));
        assert!(plain.clone().taken(&result(&plain, "A7", true)).is_some());
        type Change = fn(&mut MessageLife, &mut SubmitResult);
        let changes: [(&str, Change); 12] = [
            ("a report is due, as no receipt was asked for", |_, result| {
                result.receipt_asked = false
            }),
            ("a report is due, as no receipt can be matched", |_, result| {
                result.outcome = SubmitOutcome::Sent {
                    carrier_id: String::new(),
                };
            }),
            ("a report of the stage is due", |life, _| {
                life.message.report = ReportLevel::All
            }),
            ("it was refused", |_, result| {
                result.outcome = SubmitOutcome::Refused {
                    error: "ESME_RINVDSTADR".to_owned(),
                    status: 11,
                };
            }),
            ("it expired", |_, result| result.outcome = SubmitOutcome::Expired),
            ("no such part", |_, result| result.part = 2),
            ("more parts", |life, _| {
                *life = routed(message(2, ReportLevel::Final));
            }),
            ("another operator has it", |_, result| {
                result.via.operator = operator("beta")
            }),
            ("another operator was tried", |life, _| {
                life.parts[0].tried = Some(vec![operator("beta")])
            }),
            ("a failure waits for another operator", |life, _| {
                life.parts[0].fallback = Some(MessageState::Failed);
            }),
            ("it was sent before", |life, _| {
                life.parts[0].state = MessageState::Sent
            }),
            ("it has ended", |life, _| life.parts[0].is_final = true),
        ];
        for (why, change) in changes {
            let mut life = plain.clone();
            let mut result = result(&plain, "A7", true);
            change(&mut life, &mut result);
            assert_eq!(life.taken(&result), None, "{why}");
        }
    }

    #[test]
    fn parts_count_by_what_became_of_them_and_not_by_how_they_ended() {
        let mut message = message(5, ReportLevel::None);
        let charge = Charge {
            per_part: 1,
            currency: "EUR".to_owned(),
            parts: 5,
            at: ChargeAt::Sent,
            outcome: None,
        };
        message.charge = Some(charge.clone());
        let mut life = MessageLife::accepted(message);
        let ends = [
            (MessageState::Delivered, Some("A1"), None),
            (MessageState::Failed, Some("A2"), Some("UNDELIV")),
            (MessageState::Rejected, None, Some("ESME_RINVDSTADR")),
            (MessageState::Expired, None, Some(NO_RECEIPT)),
            (MessageState::Sent, None, None),
        ];
        for (part, (state, carrier_id, error)) in life.parts.iter_mut().zip(ends) {
            part.state = state;
            part.carrier_id = carrier_id.map(str::to_owned);
            part.error = error.map(str::to_owned);
        }
        let outcome = PartOutcome {
            parts: 5,
            sent: 4,
            delivered: 1,
        };
        let expected = Charge {
            outcome: Some(outcome),
            ..charge
        };
        assert_eq!(settled(&life), Some(expected));
        life.message.charge = None;
        assert_eq!(settled(&life), None);
    }
}
