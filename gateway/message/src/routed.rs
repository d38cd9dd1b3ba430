//! What a decision makes of a message: its parts on their way to an operator.
//!
//! The client node decides when it accepts and the router for all else; both say it with a [`Routed`]. Pure. Invariant: what is
//! published for an operator and what the life of the message tells of it are made from the same decision.

use crate::event::Event;
use crate::id::LinkGroup;
use crate::life::{EventName, LifeEvent, MessageLife, MessageState, SentAs};
use crate::mt::{ClientNumbers, Dispatch, Via};
use crate::{OperatorId, Timestamp};

/// Where a route sends a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routed {
    /// Who is to carry it.
    pub operator: OperatorId,
    /// The route, counted from 1 as in the file.
    pub route: Option<u32>,
    /// Addresses as they go out, where they are others than the client gave.
    pub sent_as: Option<SentAs>,
}

impl MessageLife {
    /// Every part is on its way to an operator. The state of the whole follows from the parts and is left to the caller.
    pub fn give(&mut self, routed: &Routed, at: Timestamp) -> Event {
        let Routed {
            operator,
            route,
            sent_as,
        } = routed;
        self.route = *route;
        for part in &mut self.parts {
            part.state = MessageState::Queued;
            part.via = Some(Via {
                operator: operator.clone(),
                group: LinkGroup::of(operator),
            });
            part.sent_as.clone_from(sent_as);
        }
        self.note(LifeEvent {
            at,
            event: EventName::MtRouted,
            part: None,
            detail: Some(operator.as_str().to_owned()),
        });
        Event {
            operator: Some(operator.clone()),
            ..self.event(at, EventName::MtRouted)
        }
    }

    /// The record for a part (from 1), with the addresses that its route gives it.
    pub fn dispatch(&self, number: u16, operator: &OperatorId) -> Option<Dispatch> {
        let index = usize::from(number).checked_sub(1)?;
        let dispatch = Dispatch {
            route: self.route,
            ..self.message.dispatch(number, operator)?
        };
        let Some(SentAs { from, to }) = self.parts.get(index)?.sent_as.clone() else {
            return Some(dispatch);
        };
        Some(Dispatch {
            own: Some(ClientNumbers {
                from: dispatch.from.clone(),
                to: dispatch.to.clone(),
            }),
            from: from.or(dispatch.from),
            to: to.unwrap_or(dispatch.to),
            ..dispatch
        })
    }

    /// Something that happens to the message, for the events log.
    pub fn event(&self, at: Timestamp, name: EventName) -> Event {
        let message = &self.message;
        let age = at.since(message.accepted_at).as_millis();
        Event {
            message: Some(message.id),
            client: Some(message.client.clone()),
            parts: message.part_count(),
            age_ms: Some(u64::try_from(age).unwrap_or(u64::MAX)),
            from: message.from.clone(),
            to: Some(message.to.clone()),
            reference: message.reference.clone(),
            class: Some(message.class),
            route: self.route,
            ..Event::new(at, name)
        }
    }
}
