//! Parts whose answer came after they had been given back: ended by it, or asked after (query_sm, SMPP 3.4 section 4.8).
//!
//! ```text
//! timeout, grace ─▶ given back ─┬─ late answer ─▶ kept for the part ─┬─ comes round ─▶ sent, by that answer
//!                               │                                    └─ `query` ─▶ query_sm ─┬─ known ─▶ sent
//!                               │                                                            └─ not known ─▶ in doubt
//!                               └─ comes round first ─▶ submitted again
//! ```
//! Keeps TR-1 of [`super`]. A query takes a slot of the window like a submit. When it is not answered, the answer that
//! gave the id is believed.

use super::{InFlight, Traffic};
use crate::doubt::Cause;
use crate::hop::PartRef;
use crate::late::LateAnswer;
use crate::submit;
use rustc_hash::FxHashMap;
use smsgw_config::{InDoubt, Operator};
use smsgw_message::{Dispatch, SubmitOutcome, Timestamp};
use smsgw_queue::{Delivery, RecordId};
use smsgw_smpp::pdu::QuerySm;
use smsgw_smpp::{COctets, CommandStatus, EsmeCommand, Request};
use std::collections::VecDeque;
use std::time::Duration;
use tracing::debug;

/// As many as the session remembers itself.
const TOMBS: usize = 10_000;

/// What is remembered of a part that was given back unanswered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tomb {
    pub(super) record: RecordId,
    pub(super) receipt_asked: bool,
}

/// Parts given back unanswered, by the tag of their submit; the oldest give way.
#[derive(Debug, Default)]
pub(super) struct Tombs {
    known: FxHashMap<u64, Tomb>,
    order: VecDeque<u64>,
}

impl Tombs {
    pub(super) fn put(&mut self, tag: u64, tomb: Tomb) {
        if self.order.len() >= TOMBS
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.known.insert(tag, tomb);
        self.order.push_back(tag);
    }

    pub(super) fn take(&mut self, tag: u64) -> Option<Tomb> {
        self.known.remove(&tag)
    }
}

impl Traffic<'_> {
    /// A part came round whose late answer is known.
    pub(super) fn known_late(
        &mut self,
        delivery: Delivery,
        dispatch: &Dispatch,
        late: LateAnswer,
        settings: &Operator,
        at: Timestamp,
    ) {
        let flight = InFlight {
            part: PartRef::of(dispatch),
            valid_until: dispatch.valid_until,
            receipt_asked: late.receipt_asked,
            sent_at: self.link.clock.instant(),
            timed_out: false,
            asked: Some(late.carrier_id),
            delivery,
        };
        match settings.in_doubt {
            InDoubt::Query => self.query(flight, dispatch, settings, at),
            InDoubt::Resubmit | InDoubt::Wait(_) | InDoubt::Reject => {
                self.meters.late_answer("settled");
                self.believed(flight, at);
            }
        }
    }

    /// Asks the carrier what became of a part under the id that it gave too late.
    fn query(&mut self, flight: InFlight, dispatch: &Dispatch, settings: &Operator, at: Timestamp) {
        let class = flight.delivery.lane().class;
        let asked = flight.asked.as_deref().unwrap_or_default();
        let query = submit::submit(dispatch, class, settings, at)
            .ok()
            .zip(COctets::try_from(asked).ok())
            .filter(|_| self.bound && !asked.is_empty() && self.outstanding < self.window)
            .map(|(submit, message_id)| QuerySm {
                message_id,
                source: submit.message.source,
            });
        let Some(query) = query else {
            self.meters.queried("not_asked");
            self.believed(flight, at);
            return;
        };
        let tag = self.next_tag;
        self.next_tag = self.next_tag.wrapping_add(1);
        let request = Request::QuerySm(query);
        if self
            .commands
            .try_send(EsmeCommand::Request { tag, request })
            .is_err()
        {
            self.meters.queried("not_asked");
            self.believed(flight, at);
            return;
        }
        debug!(message_id = %flight.part.message, part = flight.part.part, operator = %self.link.account.id, link = %self.link.id, tag, "part in doubt: the carrier is asked");
        self.outstanding += 1;
        self.in_flight.insert(tag, flight);
    }

    /// The carrier has answered a query.
    pub(super) fn queried(&mut self, flight: InFlight, status: CommandStatus, at: Timestamp) {
        debug!(message_id = %flight.part.message, part = flight.part.part, operator = %self.link.account.id, link = %self.link.id, %status, "query answered");
        match status {
            CommandStatus::OK => self.meters.queried("known"),
            CommandStatus::INVALID_MESSAGE_ID | CommandStatus::QUERY_FAILED => {
                self.meters.queried("unknown");
                self.doubt(flight, Cause::NotKnown, Duration::ZERO, at);
                return;
            }
            CommandStatus(_) => self.meters.queried("refused"),
        }
        self.believed(flight, at);
    }

    /// The late answer counts: the carrier has the part under the id it gave.
    pub(super) fn believed(&mut self, flight: InFlight, at: Timestamp) {
        let InFlight {
            delivery,
            part,
            receipt_asked,
            asked,
            ..
        } = flight;
        let outcome = SubmitOutcome::Sent {
            carrier_id: asked.unwrap_or_default(),
        };
        self.end(delivery, part, outcome, "sent", receipt_asked, at);
    }
}
