//! Receipts as carriers write them.
//!
//! Reads no clock: the time of submit and of the final state come with the message. Invariant: a receipt names the
//! message by the id in its receipt form, and goes from the recipient to the sender.

use super::options::ReceiptForm;
use bytes::Bytes;
use smsgw_message::Timestamp;
use smsgw_smpp::receipt::ReceiptText;
use smsgw_smpp::time::LocalTime;
use smsgw_smpp::tlv::tag;
use smsgw_smpp::{Address, COctets, DeliverSm, ReceiptState, Tlvs, esm_class};

/// What a receipt is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReceiptDue {
    pub(super) id: COctets,
    pub(super) source: Address,
    pub(super) destination: Address,
    pub(super) state: ReceiptState,
    pub(super) submitted: Timestamp,
    pub(super) done: Timestamp,
    /// The first 20 octets of the text.
    pub(super) text: Bytes,
}

impl ReceiptDue {
    pub(super) fn to_deliver_sm(&self, form: ReceiptForm) -> DeliverSm {
        let mut message = DeliverSm {
            source: self.destination.clone(),
            destination: self.source.clone(),
            esm_class: esm_class::RECEIPT,
            ..DeliverSm::default()
        };
        let (text, tlvs) = match form {
            ReceiptForm::Both => (true, true),
            ReceiptForm::Text | ReceiptForm::Payload => (true, false),
            ReceiptForm::Tlv => (false, true),
        };
        let text = if text { self.text() } else { Vec::new() };
        let mut area = Tlvs::new();
        let mut push = |tag, value: &[u8]| {
            area.push(tag, value)
                .expect("ids and texts of receipts are short")
        };
        if form == ReceiptForm::Payload {
            push(tag::MESSAGE_PAYLOAD, &text);
        } else {
            message.short_message = text.into();
        }
        if tlvs {
            push(tag::RECEIPTED_MESSAGE_ID, self.id.as_bytes_with_nul());
            push(tag::MESSAGE_STATE, &[self.state.number()]);
        }
        message.tlvs = area;
        message
    }

    fn text(&self) -> Vec<u8> {
        let delivered = self.state == ReceiptState::Delivered;
        ReceiptText {
            id: self.id.to_string_lossy(),
            sub: 1,
            dlvrd: u16::from(delivered),
            submitted: local(self.submitted),
            done: local(self.done),
            state: self.state,
            err: if delivered { "000" } else { "001" }.into(),
            text: self.text.to_vec(),
        }
        .to_bytes()
    }
}

fn local(at: Timestamp) -> LocalTime {
    let seconds = u64::try_from(at.as_millis()).unwrap_or(0) / 1000;
    const EPOCH: LocalTime = LocalTime {
        year: 1970,
        month: 1,
        day: 1,
        hour: 0,
        minute: 0,
        second: 0,
    };
    LocalTime::from_unix(seconds).unwrap_or(EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use smsgw_smpp::Receipt;

    #[test]
    fn every_form_says_the_same_to_the_parser() {
        let due = ReceiptDue {
            id: COctets::try_from("beef").unwrap(),
            source: Address::alphanumeric("Shop").unwrap(),
            destination: Address::international("491700000001").unwrap(),
            state: ReceiptState::Expired,
            submitted: Timestamp::from_millis(1_795_248_000_000),
            done: Timestamp::from_millis(1_795_248_061_000),
            text: Bytes::from_static(b"hello"),
        };
        for form in [
            ReceiptForm::Both,
            ReceiptForm::Text,
            ReceiptForm::Tlv,
            ReceiptForm::Payload,
        ] {
            let message = due.to_deliver_sm(form);
            assert_eq!(
                (&message.source, &message.destination),
                (&due.destination, &due.source)
            );
            let receipt = Receipt::parse(&message).unwrap();
            assert_eq!(
                (receipt.id.as_str(), receipt.state),
                ("beef", ReceiptState::Expired),
                "{form:?}"
            );
            assert_eq!(
                message.short_message.is_empty(),
                matches!(form, ReceiptForm::Tlv | ReceiptForm::Payload)
            );
            assert_eq!(message.tlvs.is_empty(), form == ReceiptForm::Text);
        }
        let text = due.to_deliver_sm(ReceiptForm::Text);
        assert_eq!(
            Receipt::parse(&text).unwrap().done_date.as_deref(),
            Some("2611210801")
        );
    }
}
