//! replace_sm: what a message is to be instead (SMPP 3.4 section 4.10, 5.0 section 4.5.3).
//!
//! Pure. The PDU has no data_coding and no esm_class: the new text is read as that of the message was, and a message with a
//! header of the client's own keeps its content. Invariant: whom it is from and for, its class and its options stay.
//!
//! # Limits
//! A text of an HTTP message is read as GSM 7-bit by `smpp.alphabet`, or as UCS-2 where that message was. A request without
//! a text keeps the one there is, so a text cannot be replaced by none.

use super::content;
use super::refusal::Unfit;
use super::submit::{self, Context};
use smsgw_message::{MtMessage, Part, udh::Udh};
use smsgw_smpp::pdu::ReplaceSm;
use smsgw_smpp::{CommandStatus, SubmitSm, tlv::tag};

/// The new message. `context.id` and `context.command` are not used.
pub(super) fn apply(
    replace: &ReplaceSm,
    before: &MtMessage,
    context: &Context<'_>,
) -> Result<MtMessage, Unfit> {
    let coding = before
        .submitted_coding
        .unwrap_or_else(|| content::coding_of(before.encoding));
    let as_submit = SubmitSm {
        registered_delivery: replace.registered_delivery,
        sm_default_msg_id: replace.sm_default_msg_id,
        validity_period: replace.validity_period.clone(),
        schedule_delivery_time: replace.schedule_delivery_time.clone(),
        data_coding: coding,
        short_message: replace.short_message.clone(),
        tlvs: replace.tlvs.clone(),
        ..SubmitSm::default()
    };
    submit::flags(&as_submit)?;
    let mut message = before.clone();
    let has_text = !replace.short_message.is_empty() || replace.tlvs.get(tag::MESSAGE_PAYLOAD).is_some();
    if has_text {
        let is_cut_by_client = before.bundle.is_some() || before.parts.iter().any(has_own_header);
        if is_cut_by_client {
            return Err(Unfit::new(
                CommandStatus::REPLACE_FAILED,
                "the message has a header of the client's own",
            ));
        }
        let content = content::read(&as_submit, context.account.smpp.alphabet, context.reference)?;
        let most = context
            .account
            .max_parts
            .unwrap_or(context.config.limits.max_parts);
        if content.parts.len() > usize::from(most) {
            return Err(Unfit::new(
                CommandStatus::INVALID_MESSAGE_LENGTH,
                "more parts than the account may send",
            ));
        }
        message.encoding = content.encoding;
        message.parts = content.parts;
        message.submitted_coding = content.submitted_coding;
        if let Some(options) = &mut message.options {
            options.data_coding = content.data_coding;
        }
    }
    times(&as_submit, before, &mut message, context)?;
    let registered = replace.registered_delivery;
    message.registered_delivery = submit::registered(registered);
    message.report = submit::report_level(registered, context.account);
    Ok(message)
}

/// An empty time stays what it was.
fn times(
    asked: &SubmitSm,
    before: &MtMessage,
    message: &mut MtMessage,
    context: &Context<'_>,
) -> Result<(), Unfit> {
    let zone = submit::zone_offset(context);
    let limits = &context.config.limits;
    message.send_at = if asked.schedule_delivery_time.is_empty() {
        before.send_at.filter(|at| *at > context.now)
    } else {
        submit::schedule(
            &asked.schedule_delivery_time,
            zone,
            context.now,
            limits.max_schedule,
        )?
    };
    let begins = message.send_at.unwrap_or(context.now);
    if !asked.validity_period.is_empty() {
        message.valid_until = submit::validity(asked, zone, begins, context)?;
    } else if before.valid_until <= begins {
        return Err(Unfit::new(
            CommandStatus::INVALID_EXPIRY,
            "validity_period ends before the message may be sent",
        ));
    }
    Ok(())
}

/// Whether a part has a header with more in it than what joins parts.
fn has_own_header(part: &Part) -> bool {
    !part.udh.is_empty() && Udh::parse(&part.udh).map_or(true, |(header, _)| !header.others.is_empty())
}
