//! What became of the parts of a message that costs its account something: for the event of its end. Pure.
//!
//! Knows no policy: what is due of it, the counter node works out. Invariant: no more parts were delivered than there are.
//!
//! # Limits
//! A part that went from carrier to carrier was sent when the last of them took it.

use crate::life::NO_RECEIPT;
use smsgw_message::{Charge, MessageLife, MessageState, PartLife, PartOutcome};

/// What the message costs its account, with what became of its parts.
pub(crate) fn settled(life: &MessageLife) -> Option<Charge> {
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
    use crate::fixtures::mt;
    use smsgw_message::ChargeAt;

    #[test]
    fn parts_count_by_what_became_of_them_and_not_by_how_they_ended() {
        let mut message = mt(1, 5);
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
