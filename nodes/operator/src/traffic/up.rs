//! What the carrier delivers on its way to the engine, and its answers on their way back.
//!
//! Keeps TR-3 of [`super`]: no answer before the commit.

use super::{Arrived, COMPLAINTS, Traffic, UNDECODABLE_KEPT};
use crate::hop;
use crate::incoming::{self, Arrival, Origin};
use smsgw_config::Operator;
use smsgw_message::{MessageId, Timestamp, Up};
use smsgw_queue::Step;
use smsgw_smpp::{CommandId, CommandStatus, DeliverSm, EsmeCommand, Undecodable};
use tracing::{debug, warn};

impl Traffic<'_> {
    /// The carrier delivers.
    pub(super) fn arrived(&mut self, sequence: u32, message: &DeliverSm, settings: &Operator, at: Timestamp) {
        let id = fresh_id(at);
        let origin = Origin {
            via: &self.link.account.via,
            link: &self.link.id,
            at,
        };
        let arrival = incoming::read(message, settings, origin, id);
        match &arrival {
            Arrival::Record(Up::Mo(mo)) => {
                self.meters.mo.inc();
                debug!(message_id = %mo.id, operator = %self.link.account.id, link = %self.link.id, "MO received");
            }
            Arrival::Record(Up::Receipt(receipt)) => {
                self.meters.receipts.inc();
                debug!(carrier_id = %receipt.carrier_id, operator = %self.link.account.id, link = %self.link.id, "receipt received");
            }
            Arrival::Record(Up::SubmitResult(_)) => {}
            Arrival::UnreadableReceipt(_) => {
                self.meters.arrived("unreadable_receipt");
                if self.complaint() {
                    warn!(operator = %self.link.account.id, link = %self.link.id, "receipt without an id; kept as corrupt");
                }
            }
        }
        let step = hop::of_arrival(&arrival, &self.link.account, id, at);
        self.worked = true;
        self.intend(Some(sequence), octets(message), step);
    }

    /// What cannot be decoded was answered by the session; deliveries among it are kept.
    pub(super) fn undecodable(&mut self, pdu: Undecodable, at: Timestamp) {
        self.meters.undecodable();
        if self.complaint() {
            warn!(operator = %self.link.account.id, link = %self.link.id, command_id = format_args!("{:#010x}", pdu.command_id), sequence = pdu.sequence, error = %pdu.error, "PDU of the carrier cannot be decoded");
        }
        let delivery = [CommandId::DeliverSm, CommandId::DataSm]
            .map(u32::from)
            .contains(&pdu.command_id);
        if delivery && self.kept_undecodable < UNDECODABLE_KEPT {
            self.kept_undecodable += 1;
            self.meters.arrived("undecodable");
            let octets = pdu.raw.len();
            let step = hop::of_undecodable(pdu.raw, &self.link.account, fresh_id(at));
            self.intend(None, octets, step);
        }
    }

    /// Puts a step where the next commit takes it.
    fn intend(&mut self, sequence: Option<u32>, octets: usize, step: Step) {
        self.untaken += 1;
        self.untaken_octets = self.untaken_octets.saturating_add(octets);
        self.intake.push(Arrived {
            sequence,
            octets,
            step,
        });
    }

    /// Whether one more warning about a single PDU may be written.
    fn complaint(&mut self) -> bool {
        self.complaints = self.complaints.saturating_add(1);
        self.complaints <= COMPLAINTS
    }

    /// Answers deliveries after their commit.
    pub(super) fn answer(&mut self, sequences: Vec<Option<u32>>, durable: Vec<bool>) {
        self.untaken = self.untaken.saturating_sub(sequences.len());
        for (sequence, durable) in sequences.into_iter().zip(durable) {
            let Some(sequence) = sequence else { continue };
            let status = if durable {
                CommandStatus::OK
            } else {
                CommandStatus::TEMPORARY_APP_ERROR
            };
            if !durable {
                self.meters.arrival_refused("not_durable");
            }
            // Unanswered because the session is over: the carrier sends it again, the router tells duplicates apart.
            if self.closed.is_none()
                && self
                    .commands
                    .try_send(EsmeCommand::Answer { sequence, status })
                    .is_err()
            {
                debug!(link = %self.link.id, sequence, "session over before the delivery was answered");
            }
        }
    }
}

/// What a delivery weighs: the fields that a carrier can make long.
fn octets(message: &DeliverSm) -> usize {
    [
        message.short_message.len(),
        message.tlvs.as_bytes().len(),
        message.source.value.len(),
        message.destination.value.len(),
    ]
    .into_iter()
    .fold(0, usize::saturating_add)
}

fn fresh_id(at: Timestamp) -> MessageId {
    MessageId::from_parts(at, rand::random())
}
