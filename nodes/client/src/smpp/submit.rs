//! From submit_sm, data_sm and each destination of submit_multi to a message that is ready for the router.
//!
//! Pure: time, identity and the random reference come from the caller. What is checked, in this order: esm_class,
//! addresses, flags, content, times, TLVs; a request with several faults always gets the same answer.
//!
//! Invariant SS-1: what is not refused is kept: either it has a field of [`MtMessage`] or it stands in its options.
//!
//! # Limits
//! Acknowledgements of phones (registered_delivery bits 2 and 3) are kept and not asked for: only CDMA has them. Transaction
//! mode (esm_class 2) is refused: nothing is known of the phone when the answer is due.

use super::content;
use super::refusal::Unfit;
use minicbor::bytes::ByteVec;
use smsgw_config::{Client, Config};
use smsgw_message::segment::Concat;
use smsgw_message::validity::{SmppTime, ZoneOffset};
use smsgw_message::{
    Address, CarrierOptions, ClientId, MessageId, MtMessage, Npi, Origin, RawTlv, ReportLevel, Timestamp, Ton,
};
use smsgw_smpp::tlv::{self, TagClass, tag};
use smsgw_smpp::{Address as WireAddress, COctets, CommandId, CommandStatus, SubmitSm};
use std::time::Duration;

/// Most octets of short_message (SMPP 3.4 section 5.2.22); 5.0 has one more.
const SHORT_MESSAGE: usize = 255;
/// esm_class bits 0 and 1: transaction mode.
const TRANSACTION: u8 = 0b10;
/// esm_class bits 2 to 5 that an ESME may set: a message, and the acknowledgements of CDMA.
const TYPES: [u8; 3] = [0x00, 0x08, 0x10];
/// registered_delivery bits that mean something (SMPP 3.4 section 5.2.17).
const REGISTERED: u8 = 0b1_1111;
/// registered_delivery bit 4: intermediate notifications.
const INTERMEDIATE: u8 = 0b1_0000;
/// Most digits of an address field.
const ADDRESS: usize = 20;
/// How far in the past a schedule may lie and still mean "now".
const CLOCKS_DIFFER: Duration = Duration::from_secs(300);

/// TLVs that the gateway reads or writes itself.
const OURS: [u16; 7] = [
    tag::MESSAGE_PAYLOAD,
    tag::SAR_MSG_REF_NUM,
    tag::SAR_TOTAL_SEGMENTS,
    tag::SAR_SEGMENT_SEQNUM,
    tag::USER_MESSAGE_REFERENCE,
    tag::QOS_TIME_TO_LIVE,
    tag::MORE_MESSAGES_TO_SEND,
];

/// Who submits, when, and what the message is called.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) client: &'a ClientId,
    pub(super) account: &'a Client,
    pub(super) config: &'a Config,
    pub(super) command: CommandId,
    pub(super) bind: u64,
    pub(super) now: Timestamp,
    pub(super) id: MessageId,
    /// Of the parts, where the text is cut here.
    pub(super) reference: u8,
}

/// Makes the message.
pub(super) fn build(message: &SubmitSm, context: &Context<'_>) -> Result<MtMessage, Unfit> {
    esm_class(message.esm_class)?;
    let from = source(&message.source)?;
    let to = destination(&message.destination)?;
    flags(message)?;
    let account = context.account;
    let content = content::read(message, account.smpp.alphabet, context.reference)?;
    let most = account.max_parts.unwrap_or(context.config.limits.max_parts);
    if content.parts.len() > usize::from(most) {
        return Err(Unfit::new(
            CommandStatus::INVALID_MESSAGE_LENGTH,
            "more parts than the account may send",
        ));
    }
    let zone = zone_offset(context);
    let most = context.config.limits.max_schedule;
    let send_at = schedule(&message.schedule_delivery_time, zone, context.now, most)?;
    let begins = send_at.unwrap_or(context.now);
    let valid_until = validity(message, zone, begins, context)?;
    let registered = message.registered_delivery;
    let bundle = content
        .concat
        .map(|concat| bundle(context.client, from.as_ref(), &to, concat));
    Ok(MtMessage {
        id: context.id,
        client: context.client.clone(),
        accepted_at: context.now,
        from,
        to,
        encoding: content.encoding,
        parts: content.parts,
        class: account.class,
        valid_until,
        report: report_level(registered, account),
        callback: None,
        reference: user_reference(message)?,
        origin: Origin::Smpp,
        message_class: content.message_class,
        options: options(message, content.data_coding, context.command)?,
        send_at,
        tags: None,
        registered_delivery: self::registered(registered),
        bind: Some(context.bind),
        bundle,
        batch: None,
        charge: None,
        submitted_coding: content.submitted_coding,
    })
}

/// SMPP 3.4 section 5.2.12.
fn esm_class(esm_class: u8) -> Result<(), Unfit> {
    if esm_class & 0b11 == TRANSACTION {
        return Err(Unfit::new(
            CommandStatus::INVALID_ESM_CLASS,
            "transaction mode is not served",
        ));
    }
    if TYPES.contains(&(esm_class & smsgw_smpp::esm_class::TYPE)) {
        Ok(())
    } else {
        Err(Unfit::new(
            CommandStatus::INVALID_ESM_CLASS,
            "only an SMSC sends that type of message",
        ))
    }
}

fn text(address: &WireAddress) -> String {
    let octets = address.value.as_bytes();
    match std::str::from_utf8(octets) {
        Ok(text) => text.trim().to_owned(),
        // Latin-1 loses none of them.
        Err(_) => octets.iter().copied().map(char::from).collect(),
    }
}

const fn is_known_ton(ton: u8) -> bool {
    ton <= 6
}

const fn is_known_npi(npi: u8) -> bool {
    matches!(npi, 0 | 1 | 3 | 4 | 6 | 8 | 9 | 10 | 14 | 18)
}

pub(super) fn source(address: &WireAddress) -> Result<Option<Address>, Unfit> {
    if !is_known_ton(address.ton) {
        return Err(Unfit::new(CommandStatus::INVALID_SOURCE_TON, "source_addr_ton"));
    }
    if !is_known_npi(address.npi) {
        return Err(Unfit::new(CommandStatus::INVALID_SOURCE_NPI, "source_addr_npi"));
    }
    let wrong = |_| Unfit::new(CommandStatus::INVALID_SOURCE, "source_addr");
    let text = text(address);
    if text.is_empty() {
        // Admission fills defaults in.
        return Ok(None);
    }
    let read = Address::from_wire(Ton(address.ton), Npi(address.npi), &text);
    if read.is_numeric() {
        let fits = read.as_str().len() <= ADDRESS;
        return if fits {
            Ok(Some(read))
        } else {
            Err(Unfit::new(
                CommandStatus::INVALID_SOURCE,
                "source_addr is too long",
            ))
        };
    }
    // A name: with the characters and the length that phones can show.
    Address::sender(&text).map(Some).map_err(wrong)
}

pub(super) fn destination(address: &WireAddress) -> Result<Address, Unfit> {
    if !is_known_ton(address.ton) {
        return Err(Unfit::new(
            CommandStatus::INVALID_DESTINATION_TON,
            "dest_addr_ton",
        ));
    }
    if !is_known_npi(address.npi) {
        return Err(Unfit::new(
            CommandStatus::INVALID_DESTINATION_NPI,
            "dest_addr_npi",
        ));
    }
    let wrong = |why| Unfit::new(CommandStatus::INVALID_DESTINATION, why);
    let text = text(address);
    match Ton(address.ton) {
        Ton::ALPHANUMERIC => Err(wrong("destination_addr is a name")),
        Ton::INTERNATIONAL => {
            Address::msisdn(&text).map_err(|_| wrong("destination_addr is no international number"))
        }
        ton => {
            let unknown = ton == Ton::UNKNOWN;
            if unknown && let Ok(number) = Address::msisdn(&text) {
                return Ok(number);
            }
            let read = Address::from_wire(ton, Npi(address.npi), &text);
            if read.is_numeric() && read.as_str().len() <= ADDRESS {
                Ok(read)
            } else {
                Err(wrong("destination_addr is no number"))
            }
        }
    }
}

/// Small fields with ranges of their own.
pub(super) fn flags(message: &SubmitSm) -> Result<(), Unfit> {
    if message.short_message.len() > SHORT_MESSAGE {
        return Err(Unfit::new(CommandStatus::INVALID_MESSAGE_LENGTH, "short_message"));
    }
    if message.priority_flag > 4 {
        return Err(Unfit::new(CommandStatus::INVALID_PRIORITY, "priority_flag"));
    }
    if message.registered_delivery & !REGISTERED != 0 {
        return Err(Unfit::new(
            CommandStatus::INVALID_REGISTERED_DELIVERY,
            "registered_delivery",
        ));
    }
    if message.replace_if_present > 1 {
        return Err(Unfit::new(
            CommandStatus::INVALID_REPLACE_FLAG,
            "replace_if_present_flag",
        ));
    }
    if message.service_type.len() > 5 {
        return Err(Unfit::new(CommandStatus::INVALID_SERVICE_TYPE, "service_type"));
    }
    if message.sm_default_msg_id != 0 {
        return Err(Unfit::new(
            CommandStatus::INVALID_DEFAULT_MESSAGE,
            "there are no canned messages",
        ));
    }
    Ok(())
}

/// Where the client's own times that name no zone lie.
pub(super) fn zone_offset(context: &Context<'_>) -> ZoneOffset {
    let at = jiff::Timestamp::from_millisecond(context.now.as_millis()).unwrap_or_default();
    let minutes = context.account.smpp.zone().to_offset(at).seconds() / 60;
    i16::try_from(minutes)
        .ok()
        .and_then(ZoneOffset::from_minutes)
        .unwrap_or_default()
}

/// SMPP 3.4 section 4.4.1: empty is at once.
pub(super) fn schedule(
    field: &COctets,
    zone: ZoneOffset,
    now: Timestamp,
    most: Duration,
) -> Result<Option<Timestamp>, Unfit> {
    let wrong = |why| Unfit::new(CommandStatus::INVALID_SCHEDULE, why);
    let Some(read) =
        SmppTime::read(field.as_bytes(), zone).map_err(|_| wrong("schedule_delivery_time is no time"))?
    else {
        return Ok(None);
    };
    let due = read.time.due(now);
    if due.after(CLOCKS_DIFFER) < now {
        return Err(wrong("schedule_delivery_time is past"));
    }
    if due > now.after(most) {
        return Err(wrong("schedule_delivery_time is too far ahead"));
    }
    Ok((due > now).then_some(due))
}

/// Until when the message may be sent. Beyond the longest validity it is the longest: clients write 99 years for "as long
/// as you can".
pub(super) fn validity(
    message: &SubmitSm,
    zone: ZoneOffset,
    begins: Timestamp,
    context: &Context<'_>,
) -> Result<Timestamp, Unfit> {
    let wrong = |why| Unfit::new(CommandStatus::INVALID_EXPIRY, why);
    let limits = &context.config.limits;
    let read = SmppTime::read(message.validity_period.as_bytes(), zone)
        .map_err(|_| wrong("validity_period is no time"))?
        .map(|read| read.time.due(context.now));
    // data_sm has no validity_period; it says so many seconds (SMPP 3.4 section 5.3.2.5).
    let to_live = match message.tlvs.get(tag::QOS_TIME_TO_LIVE) {
        None => None,
        Some(&[a, b, c, d]) => Some(
            context
                .now
                .after(Duration::from_secs(u64::from(u32::from_be_bytes([a, b, c, d])))),
        ),
        Some(_) => return Err(Unfit::new(CommandStatus::INVALID_TLV_LENGTH, "qos_time_to_live")),
    };
    let until = read.or(to_live).unwrap_or_else(|| begins.after(limits.validity));
    if until <= begins {
        return Err(wrong("validity_period ends before the message may be sent"));
    }
    Ok(until.min(begins.after(limits.max_validity)))
}

/// registered_delivery where it asks for something.
pub(super) fn registered(asked: u8) -> Option<u8> {
    (asked & REGISTERED != 0).then_some(asked)
}

/// registered_delivery as a report level; where it asks for nothing, the account may.
pub(super) fn report_level(registered: u8, account: &Client) -> ReportLevel {
    match (registered & 0b11, registered & INTERMEDIATE != 0) {
        (_, true) => ReportLevel::All,
        (0, false) => account.report.unwrap_or(ReportLevel::None),
        (_, false) => ReportLevel::Final,
    }
}

/// user_message_reference comes back with the receipt (SMPP 3.4 section 5.3.2.17).
fn user_reference(message: &SubmitSm) -> Result<Option<String>, Unfit> {
    match message.tlvs.get(tag::USER_MESSAGE_REFERENCE) {
        None => Ok(None),
        Some(&[high, low]) => Ok(Some(u16::from_be_bytes([high, low]).to_string())),
        Some(_) => Err(Unfit::new(
            CommandStatus::INVALID_TLV_LENGTH,
            "user_message_reference",
        )),
    }
}

fn options(
    message: &SubmitSm,
    data_coding: Option<u8>,
    command: CommandId,
) -> Result<Option<CarrierOptions>, Unfit> {
    let service_type = message.service_type.to_string_lossy();
    let options = CarrierOptions {
        priority: (message.priority_flag != 0).then_some(message.priority_flag),
        protocol_id: (message.protocol_id != 0).then_some(message.protocol_id),
        service_type: (!service_type.is_empty()).then_some(service_type),
        replace_if_present: (message.replace_if_present == 1).then_some(true),
        data_coding,
        tlvs: tlvs(message, command)?,
    };
    Ok((!options.is_empty()).then_some(options))
}

/// Those that we do not write ourselves, as they are.
fn tlvs(message: &SubmitSm, command: CommandId) -> Result<Option<Vec<RawTlv>>, Unfit> {
    let mut kept = Vec::new();
    for tlv in &message.tlvs {
        if OURS.contains(&tlv.tag) {
            continue;
        }
        match tlv::class(tlv.tag) {
            TagClass::Known(known) if !known.stands_in(command) => {
                return Err(Unfit::new(CommandStatus::TLV_NOT_ALLOWED, known.name));
            }
            TagClass::Known(known) if !known.fits(tlv.value.len()) => {
                return Err(Unfit::new(CommandStatus::INVALID_TLV_LENGTH, known.name));
            }
            TagClass::Known(_) | TagClass::Vendor | TagClass::Reserved => kept.push(RawTlv {
                tag: tlv.tag,
                value: ByteVec::from(tlv.value.to_vec()),
            }),
        }
    }
    Ok((!kept.is_empty()).then_some(kept))
}

/// The same for the parts of one message, and hardly for those of another.
fn bundle(client: &ClientId, from: Option<&Address>, to: &Address, concat: Concat) -> u64 {
    let [high, low] = concat.reference.to_be_bytes();
    let tail = [high, low, u8::from(concat.wide), concat.total];
    let from = from.map_or("", Address::as_str);
    // FNV-1a, with an octet that no name holds between the fields.
    [
        client.as_str().as_bytes(),
        from.as_bytes(),
        to.as_str().as_bytes(),
        &tail,
    ]
    .into_iter()
    .flat_map(|field| field.iter().copied().chain([0xFF]))
    .fold(0xcbf2_9ce4_8422_2325, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests;
