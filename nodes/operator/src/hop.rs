//! The steps of this node: what becomes of a delivery from the queue, and of a delivery from the carrier.
//!
//! Pure. Invariant HO-1 (law 1): one step per input, and with the same input the same step id; the outcome of a part and
//! its removal from the queue are one step.

use crate::account::Account;
use crate::incoming::Arrival;
use crate::lives::Written;
use crate::tries::{Counted, Tried};
use smsgw_message::{
    Address, Class, ClientId, Dispatch, Event, EventName, InDoubt, LinkId, MessageId, Record, ReportLevel,
    RerouteReason, SubmitOutcome, SubmitResult, Timestamp, Up,
};
use smsgw_queue::{Cost, DeadReason, Delivery, Expiry, Flow, Lane, ReleaseReason, Step, StepId};
use std::time::Duration;

/// Which part it is, without its octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartRef {
    pub(crate) message: MessageId,
    pub(crate) part: u16,
    /// How many the message has.
    pub(crate) parts: u16,
    pub(crate) client: ClientId,
    pub(crate) report: ReportLevel,
    pub(crate) from: Option<Address>,
    pub(crate) to: Address,
    pub(crate) reference: Option<String>,
    pub(crate) class: Option<Class>,
    pub(crate) route: Option<u32>,
}

impl PartRef {
    pub(crate) fn of(dispatch: &Dispatch) -> Self {
        Self {
            message: dispatch.message,
            part: dispatch.part,
            parts: dispatch.parts,
            client: dispatch.client.clone(),
            report: dispatch.report,
            from: dispatch.from.clone(),
            to: dispatch.to.clone(),
            reference: dispatch.reference.clone(),
            class: dispatch.class,
            route: dispatch.route,
        }
    }

    fn event(&self, account: &Account, at: Timestamp, name: EventName) -> Event {
        Event {
            message: Some(self.message),
            client: Some(self.client.clone()),
            operator: Some(account.id.clone()),
            from: self.from.clone(),
            to: Some(self.to.clone()),
            reference: self.reference.clone(),
            class: self.class,
            route: self.route,
            part: Some(self.part),
            ..Event::new(at, name)
        }
    }
}

/// What became of a part at its operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) part: PartRef,
    pub(crate) outcome: SubmitOutcome,
    /// That of the metric.
    pub(crate) word: &'static str,
    pub(crate) receipt_asked: bool,
    /// Another operator is to be tried.
    pub(crate) reroute: Option<RerouteReason>,
}

impl Ending {
    /// The same for the router.
    pub(crate) fn result(&self, at: Timestamp, account: &Account, link: &LinkId) -> SubmitResult {
        let part = &self.part;
        SubmitResult {
            message: part.message,
            part: part.part,
            client: part.client.clone(),
            via: account.via.clone(),
            link: self.has_reached_a_link().then(|| link.clone()),
            outcome: self.outcome.clone(),
            at,
            receipt_asked: self.receipt_asked,
            report: part.report,
            reroute: self.reroute,
        }
    }

    fn has_reached_a_link(&self) -> bool {
        match self.outcome {
            SubmitOutcome::Sent { .. } | SubmitOutcome::Refused { .. } | SubmitOutcome::InDoubt => true,
            SubmitOutcome::Expired | SubmitOutcome::Cancelled => false,
        }
    }
}

/// How a part ends for this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// There is an outcome.
    Ended(Ending),
    /// Back into the queue.
    Back {
        after: Duration,
        reason: ReleaseReason,
        cost: Cost,
    },
    /// Back into the queue, and counted.
    Counted(Counted),
    /// Not to be decoded.
    Corrupt,
}

/// What is known of a part's fate when it is finished here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// All of it.
    Known(Fate),
    /// It depends on what happened to the part before, which is to be read.
    Tried(Tried),
}

/// A delivery that is finished with here. Keeps it until the engine has answered.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) delivery: Delivery,
    pub(crate) end: End,
    pub(crate) at: Timestamp,
}

/// A delivery whose fate is known, to be committed. Keeps the delivery until the engine has answered.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) delivery: Delivery,
    pub(crate) fate: Fate,
    pub(crate) at: Timestamp,
    /// What its step writes in place of telling the router the outcome.
    pub(crate) written: Option<Written>,
}

/// The step that ends `done`. `link` is the one that did it.
pub(crate) fn of_part(done: &Done, account: &Account, link: &LinkId) -> Step {
    let delivery = &done.delivery;
    let step = Step::from(delivery);
    match &done.fate {
        Fate::Back { after, reason, cost } => step.release(delivery, *after, *reason, *cost),
        Fate::Counted(counted) => of_counted(counted, delivery, account, done.at),
        Fate::Corrupt => step.dead_letter(delivery, DeadReason::Corrupt),
        Fate::Ended(ending) => {
            let step = step.settle(delivery).append(
                account.events.clone(),
                of_ending(ending, account, link, done.at).to_record(),
            );
            match &done.written {
                Some(written) => written.add_to(step, &account.events),
                None => {
                    let result = Up::SubmitResult(ending.result(done.at, account, link));
                    step.publish(account.up.clone(), lane(account), result.to_record())
                }
            }
        }
    }
}

/// What the events log is told of an outcome.
fn of_ending(ending: &Ending, account: &Account, link: &LinkId, at: Timestamp) -> Event {
    let (name, error, carrier_id) = match &ending.outcome {
        SubmitOutcome::Sent { carrier_id } => (EventName::MtSent, None, Some(carrier_id.clone())),
        SubmitOutcome::Refused { error, .. } => (EventName::MtRefused, Some(error.clone()), None),
        SubmitOutcome::Expired => (EventName::MtRefused, Some("expired".to_owned()), None),
        SubmitOutcome::Cancelled => (EventName::MtRefused, Some("cancelled".to_owned()), None),
        SubmitOutcome::InDoubt => (EventName::MtRefused, Some("in_doubt".to_owned()), None),
    };
    Event {
        error,
        age_ms: age_ms(ending.part.message, at),
        link: ending.has_reached_a_link().then(|| link.clone()),
        carrier_id,
        ..ending.part.event(account, at, name)
    }
}

/// The part goes back, with what was counted; after a doubt its message's life tells of it.
fn of_counted(counted: &Counted, delivery: &Delivery, account: &Account, at: Timestamp) -> Step {
    let part = &counted.part;
    let step = Step::new(counted.step(StepId::of(delivery)))
        .release(delivery, counted.after, counted.reason, Cost::Free)
        .put(
            counted.key(&account.id),
            counted.tries.to_record(),
            Expiry::At(counted.expires),
        );
    let Some(told) = &counted.told else {
        return step;
    };
    let doubt = InDoubt {
        message: part.message,
        part: part.part,
        via: account.via.clone(),
        detail: told.clone(),
        at,
    };
    let event = Event {
        error: Some(told.clone()),
        ..part.event(account, at, EventName::MtInDoubt)
    };
    step.publish(account.up.clone(), lane(account), Up::InDoubt(doubt).to_record())
        .append(account.events.clone(), event.to_record())
}

/// Time since the accept: our ids begin with it (RFC 9562 section 5.7).
fn age_ms(message: MessageId, at: Timestamp) -> Option<u64> {
    let millis = message
        .as_bytes()
        .iter()
        .take(6)
        .fold(0_i64, |sum, octet| (sum << 8) | i64::from(*octet));
    u64::try_from(at.since(Timestamp::from_millis(millis)).as_millis()).ok()
}

/// The step that takes over what the carrier delivered. Its input is not ours, so `id` must be fresh.
pub(crate) fn of_arrival(arrival: &Arrival, account: &Account, id: MessageId, at: Timestamp) -> Step {
    let step = Step::new(StepId::from_bytes(*id.as_bytes()));
    let event = |name, error| Event {
        operator: Some(account.id.clone()),
        error,
        ..Event::new(at, name)
    };
    let (step, event) = match arrival {
        Arrival::Record(record) => {
            let event = match record {
                Up::Mo(mo) => Event {
                    message: Some(mo.id),
                    from: Some(mo.from.clone()),
                    to: Some(mo.to.clone()),
                    link: Some(mo.link.clone()),
                    ..event(EventName::MoReceived, None)
                },
                Up::Receipt(receipt) => Event {
                    from: receipt.from.clone(),
                    to: receipt.to.clone(),
                    link: Some(receipt.link.clone()),
                    carrier_id: Some(receipt.carrier_id.clone()),
                    ..event(EventName::DrReceived, receipt.error.clone())
                },
                Up::SubmitResult(_) | Up::InDoubt(_) => event(EventName::DrReceived, None),
            };
            (
                step.publish(account.up.clone(), lane(account), record.to_record()),
                event,
            )
        }
        Arrival::UnreadableReceipt(kept) => (
            step.bury(
                account.up.clone(),
                lane(account),
                Up::Mo(kept.clone()).to_record(),
                DeadReason::Corrupt,
            ),
            event(EventName::DrReceived, Some("unreadable_receipt".to_owned())),
        ),
    };
    step.append(account.events.clone(), event.to_record())
}

/// The step that keeps a PDU nobody could decode, for people.
pub(crate) fn of_undecodable(raw: bytes::Bytes, account: &Account, id: MessageId) -> Step {
    Step::new(StepId::from_bytes(*id.as_bytes())).bury(
        account.up.clone(),
        lane(account),
        raw,
        DeadReason::Corrupt,
    )
}

/// All that comes up from an operator is one flow, answers to submits too: whatever order they became durable in is the
/// order in which the router sees them, so a receipt does not overtake the answer that gave its id.
fn lane(account: &Account) -> Lane {
    Lane::new(Class::Transactional, Flow::new(&account.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_a_message_counts_from_its_id() {
        let accepted = Timestamp::from_millis(1_795_248_000_000);
        let id = MessageId::from_parts(accepted, [9; 10]);
        assert_eq!(
            age_ms(id, accepted.after(Duration::from_millis(1234))),
            Some(1234)
        );
        assert_eq!(age_ms(id.derive(3), accepted), Some(0));
        assert_eq!(
            age_ms(id, accepted.before(Duration::from_secs(5))),
            Some(0),
            "clocks step back"
        );
    }
}
