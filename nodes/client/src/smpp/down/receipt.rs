//! A report as a receipt: the text of SMPP 3.4 appendix B or the client's own, and the TLVs.
//!
//! Pure. Invariant RC-1: what is final for the client's message goes as a receipt, the rest as an intermediate notification
//! (SMPP 3.4 section 5.2.12).
//!
//! # Limits
//! The `text:` of appendix B is empty; `{text}` of an account's own form quotes how the message begins, as the router gave
//! it, with `?` for what is not ASCII: a receipt has no alphabet of its own. A message that is final as `sent`, because its
//! carrier gives no receipts, is told as ACCEPTD.

use crate::smpp::ident;
use smsgw_config::{Client, ClientSmpp};
use smsgw_message::{Down, MessageState, Report, Timestamp};
use smsgw_smpp::receipt::{ReceiptForm, ReceiptText};
use smsgw_smpp::time::LocalTime;
use smsgw_smpp::tlv::{TlvTooLong, tag};
use smsgw_smpp::{Address, DeliverSm, ReceiptState, Version, esm_class};

/// network_error_code: the type of a GSM network (SMPP 3.4 section 5.3.2.31).
const GSM: u8 = 3;

/// The state as SMPP names it.
pub(in crate::smpp) const fn state(state: MessageState, is_final: bool) -> ReceiptState {
    match state {
        MessageState::Scheduled => ReceiptState::Scheduled,
        MessageState::Sent if is_final => ReceiptState::Accepted,
        MessageState::Accepted | MessageState::Queued | MessageState::Sent => ReceiptState::Enroute,
        MessageState::Delivered => ReceiptState::Delivered,
        MessageState::Failed => ReceiptState::Undeliverable,
        MessageState::Expired => ReceiptState::Expired,
        MessageState::Rejected => ReceiptState::Rejected,
        MessageState::Cancelled => ReceiptState::Deleted,
    }
}

/// The error as a number: the carrier's where it gave one, else ours; listed in `ops/docs/api/smpp.md`.
pub(in crate::smpp) fn error_number(error: Option<&str>) -> u16 {
    let Some(error) = error else { return 0 };
    let hex = error
        .split_once("0x")
        .map(|(_, rest)| {
            rest.chars()
                .take_while(char::is_ascii_hexdigit)
                .collect::<String>()
        })
        .and_then(|digits| u16::from_str_radix(&digits, 16).ok());
    hex.or_else(|| error.trim().parse().ok()).unwrap_or(match error {
        "no_receipt" => 901,
        "expired" => 902,
        "no_route" => 903,
        "in_doubt" => 904,
        _ => 900,
    })
}

/// A wall clock time in the client's zone.
pub(in crate::smpp) fn local(at: Timestamp, smpp: &ClientSmpp) -> LocalTime {
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
    let local = at.to_zoned(smpp.zone()).datetime();
    // The calendar's numbers are never negative but the year before Christ.
    let small = |number: i8| u8::try_from(number).unwrap_or_default();
    LocalTime {
        year: u16::try_from(local.year()).unwrap_or_default(),
        month: small(local.month()),
        day: small(local.day()),
        hour: small(local.hour()),
        minute: small(local.minute()),
        second: small(local.second()),
    }
}

/// The receipt, from the phone to whom the message came from.
pub(super) fn render(
    down: &Down,
    report: &Report,
    account: &Client,
    version: Version,
    (phone, sender): (Address, Address),
) -> Result<DeliverSm, TlvTooLong> {
    let smpp = &account.smpp;
    let more = down.for_bind.as_ref();
    let id = more.and_then(|more| more.id).unwrap_or(report.message);
    let quoted = more.and_then(|more| more.text.as_deref()).unwrap_or_default();
    let (parts, delivered, is_final) = match more {
        Some(more) => (more.parts, more.delivered, more.is_final),
        None => (
            1,
            u16::from(report.state == MessageState::Delivered),
            report.state.is_final(),
        ),
    };
    let error = error_number(report.error.as_deref());
    let text = ReceiptText {
        id: ident::write(ident::form(smpp.message_id, version), id),
        sub: parts,
        dlvrd: delivered,
        submitted: local(report.accepted_at, smpp),
        done: local(down.at, smpp),
        state: state(report.state, is_final),
        err: format!("{:03}", error % 1000),
        text: Vec::new(),
    };
    let form = match ReceiptForm::of(version) {
        ReceiptForm::Both if !smpp.receipt_tlvs => ReceiptForm::Text,
        form => form,
    };
    let mut message = text.to_deliver_sm_as(form, phone, sender)?;
    message.esm_class = if is_final {
        esm_class::RECEIPT
    } else {
        esm_class::INTERMEDIATE
    };
    if let Some(template) = &smpp.receipt_text {
        message.short_message = filled(template, &text, quoted).into();
    }
    match form {
        ReceiptForm::Text => {}
        ReceiptForm::Both | ReceiptForm::Tlvs => {
            if error != 0 {
                let [high, low] = error.to_be_bytes();
                message.tlvs.push(tag::NETWORK_ERROR_CODE, &[GSM, high, low])?;
            }
            if let Some(reference) = report
                .reference
                .as_deref()
                .and_then(|text| text.parse::<u16>().ok())
            {
                message
                    .tlvs
                    .push(tag::USER_MESSAGE_REFERENCE, &reference.to_be_bytes())?;
            }
        }
    }
    Ok(message)
}

/// The client's own text.
fn filled(template: &str, text: &ReceiptText, quoted: &str) -> String {
    let plain = |character: char| match character {
        ' '..='~' => character,
        '\r' | '\n' => ' ',
        _ => '?',
    };
    let quoted: String = quoted.chars().map(plain).collect();
    template
        .replace("{id}", &text.id)
        .replace("{sub}", &format!("{:03}", text.sub.min(999)))
        .replace("{dlvrd}", &format!("{:03}", text.dlvrd.min(999)))
        .replace("{submit_date}", &text.submitted.to_minutes())
        .replace("{done_date}", &text.done.to_minutes())
        .replace("{stat}", text.state.word())
        .replace("{err}", &text.err)
        // Last: nothing is looked for in what a client wrote.
        .replace("{text}", &quoted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use smsgw_message::{ClientId, DownKind, ForBind, MessageId};
    use smsgw_smpp::receipt::Receipt;

    fn report(state: MessageState, error: Option<&str>) -> Report {
        Report {
            message: MessageId::from_parts(Timestamp::from_millis(1_795_248_000_000), [7; 10]),
            reference: Some("4711".to_owned()),
            from: None,
            to: smsgw_message::Address::msisdn("491700000001").unwrap(),
            state,
            error: error.map(str::to_owned),
            accepted_at: Timestamp::from_millis(1_795_248_000_000),
        }
    }

    fn rendered(report: &Report, is_final: bool, account: &Client, version: Version) -> DeliverSm {
        let down = Down {
            event: report.message,
            client: ClientId::try_new("acme").unwrap(),
            url: None,
            at: Timestamp::from_millis(1_795_248_060_000),
            what: DownKind::Report(report.clone()),
            for_bind: Some(ForBind {
                id: None,
                bind: None,
                parts: 3,
                delivered: 2,
                is_final,
                text: Some("Grüße\r\n{id} [€]".to_owned()),
            }),
        };
        let phone = Address::international("491700000001").unwrap();
        render(
            &down,
            report,
            account,
            version,
            (phone, Address::short_code("12345").unwrap()),
        )
        .unwrap()
    }

    #[test]
    fn a_receipt_has_the_form_of_appendix_b_in_the_clients_zone() {
        let mut account = Client::default();
        account.smpp.time_zone = "Asia/Kolkata".to_owned();
        let report = report(MessageState::Failed, Some("027"));
        let message = rendered(&report, true, &account, Version::V3_4);
        assert_eq!(
            String::from_utf8_lossy(&message.short_message),
            format!(
                "id:{} sub:003 dlvrd:002 submit date:2611211330 done date:2611211331 stat:UNDELIV err:027 text:",
                report.message
            )
        );
        assert_eq!(
            (message.esm_class, message.source.value.to_string_lossy().as_str()),
            (0x04, "491700000001")
        );
        let read = Receipt::parse(&message).unwrap();
        assert_eq!(
            (read.id, read.state),
            (report.message.to_string(), ReceiptState::Undeliverable)
        );
        assert_eq!(read.network_error, Some((GSM, 27)));
        assert_eq!(message.tlvs.integer(tag::USER_MESSAGE_REFERENCE), Some(4711));
    }

    #[test]
    fn what_is_not_final_is_an_intermediate_notification_and_an_end_without_receipt_is_accepted() {
        let account = Client::default();
        let on_its_way = rendered(&report(MessageState::Sent, None), false, &account, Version::V3_4);
        assert_eq!(on_its_way.esm_class, 0x20);
        assert!(String::from_utf8_lossy(&on_its_way.short_message).contains("stat:ENROUTE err:000"));
        let end = rendered(&report(MessageState::Sent, None), true, &account, Version::V3_4);
        assert_eq!(end.esm_class, 0x04);
        assert!(String::from_utf8_lossy(&end.short_message).contains("stat:ACCEPTD"));
    }

    #[test]
    fn an_old_client_gets_a_short_id_and_no_tlvs_and_a_template_is_filled() {
        let mut account = Client::default();
        account.smpp.receipt_text =
            Some("{id}/{stat}/{err}/{sub}/{dlvrd}/{submit_date}/{done_date}".to_owned());
        let message = rendered(
            &report(MessageState::Delivered, None),
            true,
            &account,
            Version::V3_3,
        );
        assert!(message.tlvs.is_empty());
        assert_eq!(
            &message.short_message[..],
            b"07070707/DELIVRD/000/003/002/2611210800/2611210801".as_slice()
        );
        account.smpp.receipt_text = Some("{id} text:{text}".to_owned());
        let quoting = rendered(&report(MessageState::Failed, None), true, &account, Version::V3_3);
        assert_eq!(
            &quoting.short_message[..],
            b"07070707 text:Gr??e  {id} [?]".as_slice()
        );
        account.smpp.receipt_tlvs = false;
        assert!(
            rendered(
                &report(MessageState::Failed, Some("5")),
                true,
                &account,
                Version::V5_0
            )
            .tlvs
            .is_empty()
        );
    }

    #[test]
    fn errors_are_numbers() {
        for (error, number) in [
            (None, 0),
            (Some("000"), 0),
            (Some("027"), 27),
            (Some("ESME_RINVDSTADR (0x0b)"), 11),
            (Some("status 0x400"), 1024),
            (Some("no_receipt"), 901),
            (Some("UNDELIV"), 900),
        ] {
            assert_eq!(error_number(error), number, "{error:?}");
        }
    }
}
