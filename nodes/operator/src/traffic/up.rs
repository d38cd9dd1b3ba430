//! What the carrier delivers on its way to the engine, and its answers on their way back.
//!
//! Keeps TR-3 of [`super`]: no answer before the commit.

use super::{Arrived, Awaiting, COMPLAINTS, Traffic, UNDECODABLE_KEPT};
use crate::again::Digest;
use crate::commit::Kept;
use crate::hop;
use crate::incoming::{self, Arrival, Origin};
use smsgw_config::Operator;
use smsgw_message::{MessageId, Timestamp, Up};
use smsgw_queue::Step;
use smsgw_smpp::receipt::ReceiptProfile;
use smsgw_smpp::{CommandId, CommandStatus, DeliverSm, EsmeCommand, Undecodable};
use std::time::Instant;
use tracing::{debug, info, warn};

impl Traffic<'_> {
    /// The carrier delivers.
    pub(super) fn arrived(
        &mut self,
        sequence: u32,
        message: &DeliverSm,
        settings: &Operator,
        receipts: &ReceiptProfile,
        now: Instant,
        at: Timestamp,
    ) {
        if !self.link.account.takes_delivery(now) {
            // The ESME's own temporary failure (SMPP 3.4 section 5.1.3): ESME_RTHROTTLED is what an SMSC says of an ESME.
            self.meters.arrival_refused("rate");
            self.tell(sequence, CommandStatus::TEMPORARY_APP_ERROR);
            return;
        }
        let id = fresh_id(at);
        let origin = Origin {
            via: &self.link.account.via,
            link: &self.link.id,
            at,
        };
        let (arrival, tolerated) = incoming::read(message, settings, receipts, origin, id);
        tolerated.iter().for_each(|quirk| self.meters.tolerated(quirk));
        let mut digest = None;
        match &arrival {
            Arrival::Record(Up::Mo(mo)) => {
                let said = Digest::of(message);
                if self.link.account.is_again(said, now) {
                    self.meters.arrived("mo_again");
                    info!(operator = %self.link.account.id, link = %self.link.id, "MO delivered again after its answer was lost; answered and not taken twice");
                    self.tell(sequence, CommandStatus::OK);
                    return;
                }
                digest = Some(said);
                self.meters.mo.inc();
                debug!(message_id = %mo.id, operator = %self.link.account.id, link = %self.link.id, "MO received");
            }
            Arrival::Record(Up::Receipt(receipt)) => {
                self.meters.receipts.inc();
                debug!(carrier_id = %receipt.carrier_id, operator = %self.link.account.id, link = %self.link.id, "receipt received");
            }
            Arrival::Record(Up::SubmitResult(_) | Up::InDoubt(_)) => {}
            Arrival::UnreadableReceipt(_) => {
                self.meters.arrived("unreadable_receipt");
                if self.complaint() {
                    warn!(operator = %self.link.account.id, link = %self.link.id, "receipt without an id; kept as corrupt");
                }
            }
        }
        let step = hop::of_arrival(&arrival, &self.link.account, id, at);
        self.worked = true;
        let delivery = Awaiting {
            sequence: Some(sequence),
            digest,
        };
        self.intend(delivery, octets(message), step);
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
            let delivery = Awaiting {
                sequence: None,
                digest: None,
            };
            self.intend(delivery, octets, step);
        }
    }

    /// Puts a step where the next commit takes it.
    fn intend(&mut self, delivery: Awaiting, octets: usize, step: Step) {
        self.untaken += 1;
        self.untaken_octets = self.untaken_octets.saturating_add(octets);
        self.intake.push(Arrived {
            delivery,
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
    pub(super) fn answer(&mut self, deliveries: Vec<Awaiting>, kept: Vec<Kept>) {
        let now = self.link.clock.instant();
        let window = self.link.account.settings().redelivery_window;
        self.untaken = self.untaken.saturating_sub(deliveries.len());
        for (Awaiting { sequence, digest }, kept) in deliveries.into_iter().zip(kept) {
            let Some(sequence) = sequence else { continue };
            // Both are for deliver_sm_resp of SMPP 3.4 (section 5.1.3): the carrier tries again later.
            let (status, why) = match kept {
                Kept::Durable => (CommandStatus::OK, None),
                Kept::Full => (CommandStatus::MESSAGE_QUEUE_FULL, Some("full")),
                Kept::Refused => (CommandStatus::TEMPORARY_APP_ERROR, Some("not_durable")),
            };
            if let Some(why) = why {
                self.meters.arrival_refused(why);
            }
            let is_told = self.closed.is_none() && self.tell(sequence, status);
            let Some(digest) = digest.filter(|_| kept == Kept::Durable) else {
                continue;
            };
            if is_told {
                self.answered.push(digest, window, now);
            } else if !window.is_zero() {
                self.link.account.expect_again(std::iter::once(digest), now);
            }
        }
    }

    /// Hands the answer of a delivery to the session; false when it is over, and the carrier delivers again.
    fn tell(&self, sequence: u32, status: CommandStatus) -> bool {
        let told = self
            .commands
            .try_send(EsmeCommand::Answer { sequence, status })
            .is_ok();
        if !told {
            debug!(link = %self.link.id, sequence, "session over before the delivery was answered");
        }
        told
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
