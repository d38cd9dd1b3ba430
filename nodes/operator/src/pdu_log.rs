//! `pdu_log`: one line for each PDU of an operator's links, both ways, to be searched.
//!
//! ```text
//! target smsgw::pdu, level info, message "pdu", fields
//!   operator link bind direction(in|out) command status sequence length        always; over UCP `O/51`, `A` or `UCP_04`, TRN
//!   carrier_id system_id from to esm_class data_coding registered_delivery octets stat err part parts   where the PDU has it
//! ```
//! Reads copies of what has passed and changes nothing. Invariant PL-1: no password and no text stands in a line, and of an
//! address no more than its last three characters unless `log.bodies` is on. Invariant PL-2: at most [`LINES_PER_SECOND`] of one bind;
//! how many were left out is said.
//!
//! # Limits
//! The line of a submit has no id of ours: `smsgw trace` finds the message by the `carrier_id` of its answer, which has the
//! same link and sequence.

mod ucp;

use crate::trace::{Direction, LinkTap, Wire};
use smsgw_message::{Npi, Ton, udh::Udh};
use smsgw_smpp::decode::decode;
use smsgw_smpp::framer::Framer;
use smsgw_smpp::pdu::deprecated;
use smsgw_smpp::{
    Address, Body, COctets, CommandId, CommandStatus, Receipt, ShortMessage, esm_class, message_id, receipt,
    tlv,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// Lines of one bind in a second; further PDUs are counted.
const LINES_PER_SECOND: u32 = 5000;
const SECOND: Duration = Duration::from_secs(1);
/// Octets of a text that a carrier chose, at most.
const LONGEST: usize = 80;

/// Whether an operator's PDUs are logged; one for all its links, changed while they run.
#[derive(Debug, Default)]
pub(crate) struct PduLog {
    on: AtomicBool,
    bodies: AtomicBool,
}

impl PduLog {
    /// What the configuration says now: `pdu_log` of the operator, `log.bodies`.
    pub(crate) fn set(&self, on: bool, bodies: bool) {
        self.on.store(on, Ordering::Relaxed);
        self.bodies.store(bodies, Ordering::Relaxed);
    }

    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }
}

/// The lines of one session.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    second: Option<Instant>,
    written: u32,
    left_out: u64,
}

impl Lines {
    /// Writes the line of a PDU, if there is room for it in this second.
    pub(crate) fn write(
        &mut self,
        tap: &LinkTap,
        wire: Wire,
        direction: Direction,
        pdu: &[u8],
        now: Instant,
    ) {
        if self.has_room(tap, now) {
            let bodies = tap.pdu_log.bodies.load(Ordering::Relaxed);
            let line = match wire {
                Wire::Smpp => Line::of(pdu, bodies),
                Wire::Ucp => ucp::line(pdu, bodies),
            };
            line.log(tap, direction);
        }
    }

    /// The session is over.
    pub(crate) fn end(&mut self, tap: &LinkTap) {
        if self.left_out > 0 {
            warn!(target: "smsgw::pdu", operator = %tap.operator, link = %tap.watch.link(), bind = tap.bind.as_str(), left_out = self.left_out, "pdu lines left out");
            self.left_out = 0;
        }
    }

    fn has_room(&mut self, tap: &LinkTap, now: Instant) -> bool {
        if self
            .second
            .is_none_or(|began| now.saturating_duration_since(began) >= SECOND)
        {
            self.end(tap);
            self.second = Some(now);
            self.written = 0;
        }
        if self.written >= LINES_PER_SECOND {
            self.left_out = self.left_out.saturating_add(1);
            return false;
        }
        self.written += 1;
        true
    }
}

/// What is said of a PDU.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Line {
    command: String,
    /// Of answers; requests have none.
    status: Option<String>,
    sequence: u32,
    length: usize,
    carrier_id: Option<String>,
    system_id: Option<String>,
    from: Option<String>,
    to: Option<String>,
    esm_class: Option<u8>,
    data_coding: Option<u8>,
    registered_delivery: Option<u8>,
    /// Of the user data, its header included.
    octets: Option<usize>,
    stat: Option<String>,
    err: Option<String>,
    part: Option<u8>,
    parts: Option<u8>,
    /// Why it could not be read.
    undecodable: Option<String>,
}

impl Line {
    fn of(octets: &[u8], bodies: bool) -> Self {
        let mut framer = Framer::new(u32::MAX);
        framer.push(octets);
        let frame = match framer.next_frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => {
                return Self {
                    command: "garbage".to_owned(),
                    length: octets.len(),
                    undecodable: Some("command_length is more than was taken".to_owned()),
                    ..Self::default()
                };
            }
            Err(bad) => {
                return Self {
                    command: "garbage".to_owned(),
                    sequence: bad.sequence,
                    length: octets.len(),
                    undecodable: Some(bad.to_string()),
                    ..Self::default()
                };
            }
        };
        let status = CommandStatus(frame.status);
        let mut line = Self {
            command: command(frame.command_id),
            status: (frame.command_id & 0x8000_0000 != 0 || !status.is_ok()).then(|| status_name(status)),
            sequence: frame.sequence,
            length: octets.len(),
            ..Self::default()
        };
        match decode(&frame) {
            Ok((pdu, _)) => {
                line.body(&pdu.body, bodies);
                // A name without an end may have the password behind it.
                if !frame.body.contains(&0) {
                    line.system_id = None;
                }
            }
            Err(error) => line.undecodable = Some(error.to_string()),
        }
        line
    }

    fn body(&mut self, body: &Body, bodies: bool) {
        match body {
            Body::Bind(_, bind) => self.system_id = text(&bind.system_id),
            Body::BindResp(_, bind) => self.system_id = text(&bind.system_id),
            Body::Outbind { system_id, .. } => self.system_id = text(system_id),
            Body::SubmitSm(message) | Body::DataSm(message) => self.message(message, bodies),
            Body::DeliverSm(message) => self.message(message, bodies),
            Body::SubmitSmResp(answer)
            | Body::DeliverSmResp(answer)
            | Body::DataSmResp(answer)
            | Body::BroadcastSmResp(answer)
            | Body::QueryBroadcastSmResp(answer) => self.carrier_id = id(&answer.message_id),
            Body::QuerySm(query) => {
                self.carrier_id = id(&query.message_id);
                self.from = address(&query.source, bodies);
            }
            Body::QuerySmResp(answer) => self.carrier_id = id(&answer.message_id),
            Body::CancelSm(cancel) => self.carrier_id = id(&cancel.message_id),
            Body::ReplaceSm(replace) => self.carrier_id = id(&replace.message_id),
            Body::SubmitMultiResp(answer) => self.carrier_id = id(&answer.message_id),
            Body::Unbind
            | Body::UnbindResp
            | Body::EnquireLink
            | Body::EnquireLinkResp(_)
            | Body::GenericNack
            | Body::CancelSmResp(_)
            | Body::ReplaceSmResp(_)
            | Body::AlertNotification(_)
            | Body::SubmitMulti(_)
            | Body::BroadcastSm(_)
            | Body::QueryBroadcastSm(_)
            | Body::CancelBroadcastSm(_)
            | Body::CancelBroadcastSmResp(_)
            | Body::Raw(_) => {}
        }
    }

    fn message(&mut self, message: &ShortMessage, bodies: bool) {
        self.from = address(&message.source, bodies);
        self.to = address(&message.destination, bodies);
        self.esm_class = Some(message.esm_class);
        self.data_coding = Some(message.data_coding);
        self.registered_delivery = Some(message.registered_delivery);
        self.octets = Some(message.payload().len());
        let by_tlv = message.tlvs.get(tlv::tag::RECEIPTED_MESSAGE_ID).is_some();
        if (receipt::is_receipt(message.esm_class) || by_tlv)
            && let Some(receipt) = Receipt::parse(message)
        {
            self.carrier_id = Some(bounded(receipt.id));
            self.stat = receipt.state_text.map(bounded);
            self.err = receipt.err.map(bounded);
            return;
        }
        let octet = |tag| message.tlvs.get(tag).and_then(|value| value.first().copied());
        (self.part, self.parts) = (
            octet(tlv::tag::SAR_SEGMENT_SEQNUM),
            octet(tlv::tag::SAR_TOTAL_SEGMENTS),
        );
        if esm_class::has_udh(message.esm_class)
            && let Ok((header, _)) = Udh::parse(message.payload())
            && let Some(concat) = header.concat
        {
            (self.part, self.parts) = (Some(concat.sequence), Some(concat.total));
        }
    }

    fn log(&self, tap: &LinkTap, direction: Direction) {
        info!(
            target: "smsgw::pdu",
            operator = tap.operator.as_str(),
            link = tap.watch.link().as_str(),
            bind = tap.bind.as_str(),
            direction = direction.as_str(),
            command = self.command,
            status = self.status,
            sequence = self.sequence,
            length = self.length,
            carrier_id = self.carrier_id,
            system_id = self.system_id,
            from = self.from,
            to = self.to,
            esm_class = self.esm_class,
            data_coding = self.data_coding,
            registered_delivery = self.registered_delivery,
            octets = self.octets,
            stat = self.stat,
            err = self.err,
            part = self.part,
            parts = self.parts,
            undecodable = self.undecodable,
            "pdu"
        );
    }
}

/// The name of an operation, its number when it has none.
fn command(number: u32) -> String {
    let name = match CommandId::from(number) {
        CommandId::BindReceiver => "bind_receiver",
        CommandId::BindTransmitter => "bind_transmitter",
        CommandId::QuerySm => "query_sm",
        CommandId::SubmitSm => "submit_sm",
        CommandId::DeliverSm => "deliver_sm",
        CommandId::Unbind => "unbind",
        CommandId::ReplaceSm => "replace_sm",
        CommandId::CancelSm => "cancel_sm",
        CommandId::BindTransceiver => "bind_transceiver",
        CommandId::Outbind => "outbind",
        CommandId::EnquireLink => "enquire_link",
        CommandId::SubmitMulti => "submit_multi",
        CommandId::AlertNotification => "alert_notification",
        CommandId::DataSm => "data_sm",
        CommandId::BroadcastSm => "broadcast_sm",
        CommandId::QueryBroadcastSm => "query_broadcast_sm",
        CommandId::CancelBroadcastSm => "cancel_broadcast_sm",
        CommandId::GenericNack => "generic_nack",
        CommandId::BindReceiverResp => "bind_receiver_resp",
        CommandId::BindTransmitterResp => "bind_transmitter_resp",
        CommandId::QuerySmResp => "query_sm_resp",
        CommandId::SubmitSmResp => "submit_sm_resp",
        CommandId::DeliverSmResp => "deliver_sm_resp",
        CommandId::UnbindResp => "unbind_resp",
        CommandId::ReplaceSmResp => "replace_sm_resp",
        CommandId::CancelSmResp => "cancel_sm_resp",
        CommandId::BindTransceiverResp => "bind_transceiver_resp",
        CommandId::EnquireLinkResp => "enquire_link_resp",
        CommandId::SubmitMultiResp => "submit_multi_resp",
        CommandId::DataSmResp => "data_sm_resp",
        CommandId::BroadcastSmResp => "broadcast_sm_resp",
        CommandId::QueryBroadcastSmResp => "query_broadcast_sm_resp",
        CommandId::CancelBroadcastSmResp => "cancel_broadcast_sm_resp",
        CommandId::Other(other) => match deprecated::name(other) {
            Some(name) => name,
            None => return format!("{other:#010x}"),
        },
    };
    name.to_owned()
}

fn status_name(status: CommandStatus) -> String {
    status
        .name()
        .map_or_else(|| format!("{:#010x}", status.0), str::to_owned)
}

fn id(octets: &COctets) -> Option<String> {
    (!octets.is_empty()).then(|| bounded(message_id::canonical(octets.as_bytes())))
}

fn text(octets: &COctets) -> Option<String> {
    (!octets.is_empty()).then(|| bounded(octets.to_string_lossy()))
}

/// A carrier's text, on one line and not longer than anybody needs.
fn bounded(text: String) -> String {
    let plain = text.len() <= LONGEST && !text.chars().any(char::is_control);
    if plain {
        return text;
    }
    text.chars()
        .take(LONGEST)
        .map(|character| if character.is_control() { '.' } else { character })
        .collect()
}

/// An address as it stands on the wire, or what may be shown of it.
fn address(address: &Address, bodies: bool) -> Option<String> {
    let said = text(&address.value)?;
    if bodies {
        return Some(said);
    }
    let known = smsgw_message::Address::from_wire(Ton(address.ton), Npi(address.npi), &said);
    Some(known.redacted().to_string())
}

#[cfg(test)]
mod tests;
