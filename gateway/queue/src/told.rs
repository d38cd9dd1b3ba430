//! The end of a report or MO, the same whichever way its client hears of it: what a step writes besides settling it.
//!
//! Pure: makes changes of a step; says nothing of when to try again. Invariant TD-1: the event of a delivery says whose
//! message it was, from whom and for whom, and never what it says.

use crate::step::{DeadReason, Expiry, Step};
use smsgw_message::{Class, Down, DownKind, Event, EventName, Record, Timestamp, Told, names};
use std::time::Duration;

/// The client knows it. Of a report the message's `told/<id>` says so too, for `retention`: a message's reports go to one
/// place, so that key has one writer, and of several reports the last one counts.
pub fn delivered(
    step: Step,
    down: &Down,
    class: Option<Class>,
    now: Timestamp,
    attempts: u32,
    retention: Duration,
) -> Step {
    let mut event = event(down, EventName::DeliveredToClient, class, now);
    let step = match &down.what {
        DownKind::Report(report) => {
            event.state = Some(report.state);
            event.age_ms = u64::try_from(now.since(report.accepted_at).as_millis()).ok();
            let told = Told {
                message: report.message,
                at: now,
                attempts,
            };
            let until = Expiry::At(now.after(retention));
            step.put(names::told(report.message), told.to_record(), until)
        }
        DownKind::Mo(_) => step,
    };
    step.append(names::EVENTS, event.to_record())
}

/// The client is not told any more: for those who count. What becomes of the record the caller says.
pub fn given_up(step: Step, down: &Down, class: Option<Class>, now: Timestamp, reason: DeadReason) -> Step {
    let mut event = event(down, EventName::ClientUnreachable, class, now);
    event.error = Some(reason.as_str().to_owned());
    step.append(names::EVENTS, event.to_record())
}

fn event(down: &Down, name: EventName, class: Option<Class>, now: Timestamp) -> Event {
    let event = Event {
        message: Some(down.message()),
        client: Some(down.client.clone()),
        class,
        ..Event::new(now, name)
    };
    match &down.what {
        DownKind::Report(report) => Event {
            from: report.from.clone(),
            to: Some(report.to.clone()),
            reference: report.reference.clone(),
            ..event
        },
        DownKind::Mo(mo) => Event {
            from: Some(mo.from.clone()),
            to: Some(mo.to.clone()),
            operator: Some(mo.operator.clone()),
            ..event
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{Op, StepId};
    use smsgw_message::{Address, ClientId, Encoding, MessageId, MessageState, MoDown, OperatorId, Report};

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn down(what: DownKind) -> Down {
        Down {
            event: MessageId::from_bytes([9; 16]),
            client: ClientId::try_new("acme").unwrap(),
            url: None,
            at: at(5),
            what,
            for_bind: None,
        }
    }

    fn report() -> Down {
        down(DownKind::Report(Report {
            message: MessageId::from_bytes([1; 16]),
            reference: Some("order-7".to_owned()),
            from: Some(Address::sender("ACME").unwrap()),
            to: Address::msisdn("491700000001").unwrap(),
            state: MessageState::Delivered,
            error: None,
            accepted_at: at(1_000),
        }))
    }

    fn step() -> Step {
        Step::new(StepId::from_bytes([7; 16]))
    }

    fn written(step: Step) -> (Option<Told>, Event) {
        let mut told = None;
        let mut event = None;
        for op in step.into_ops() {
            match op {
                Op::Put(key, value, _, expiry) => {
                    assert_eq!(key.as_str(), names::told(MessageId::from_bytes([1; 16])));
                    assert_eq!(expiry, Expiry::At(at(63_000)));
                    told = Some(Told::from_record(&value).unwrap());
                }
                Op::Append(_, record) => event = Some(Event::from_record(&record).unwrap()),
                other => panic!("{other:?}"),
            }
        }
        (told, event.unwrap())
    }

    #[test]
    fn a_report_that_was_told_is_remembered_and_counted_with_its_numbers() {
        let class = Some(Class::Otp);
        let (told, event) = written(delivered(
            step(),
            &report(),
            class,
            at(3_000),
            2,
            Duration::from_secs(60),
        ));
        assert_eq!(told.map(|told| (told.at, told.attempts)), Some((at(3_000), 2)));
        let expected = Event {
            message: Some(MessageId::from_bytes([1; 16])),
            client: Some(ClientId::try_new("acme").unwrap()),
            state: Some(MessageState::Delivered),
            age_ms: Some(2_000),
            from: Some(Address::sender("ACME").unwrap()),
            to: Some(Address::msisdn("491700000001").unwrap()),
            reference: Some("order-7".to_owned()),
            class,
            ..Event::new(at(3_000), EventName::DeliveredToClient)
        };
        assert_eq!(event, expected);
    }

    #[test]
    fn what_is_given_up_says_why_and_an_mo_leaves_no_key() {
        let (told, event) = written(given_up(step(), &report(), None, at(3_000), DeadReason::Refused));
        assert_eq!((told, event.name), (None, EventName::ClientUnreachable));
        assert_eq!((event.error.as_deref(), event.state), (Some("refused"), None));
        let mo = down(DownKind::Mo(MoDown {
            message: MessageId::from_bytes([2; 16]),
            from: Address::msisdn("491700000002").unwrap(),
            to: Address::sender("12345").unwrap(),
            text: Some("secret".to_owned()),
            data: Vec::new().into(),
            encoding: Encoding::Gsm7,
            data_coding: 0,
            operator: OperatorId::try_new("alpha").unwrap(),
            incomplete: false,
            charset: None,
            raw: None,
            headers: None,
            missing: None,
            byte_order: None,
            keyword: None,
        }));
        let (told, event) = written(delivered(
            step(),
            &mo,
            None,
            at(3_000),
            1,
            Duration::from_secs(60),
        ));
        assert_eq!(
            (told, event.operator.unwrap().as_str(), event.text),
            (None, "alpha", None)
        );
        assert_eq!(event.from.unwrap().as_str(), "491700000002");
    }
}
