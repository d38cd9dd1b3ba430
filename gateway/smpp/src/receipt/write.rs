//! Receipts as we write them, for clients bound to us and for the simulated carrier: the text of Appendix B, the TLVs,
//! or both.
//!
//! Invariant: what is written is read back by [`super::Receipt::read`] as the same id, state, counts, dates and error,
//! as long as id and error are words without blanks.

use super::ReceiptState;
use crate::{
    address::Address,
    esm_class,
    pdu::DeliverSm,
    time::LocalTime,
    tlv::{TlvTooLong, Tlvs, tag},
    version::Version,
};
use bytes::Bytes;

/// Where a receipt says what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReceiptForm {
    /// In text and TLVs: every client finds what it looks for.
    #[default]
    Both,
    /// In the text only, as SMPP 3.3 has it.
    Text,
    /// In the TLVs only, with an empty text.
    Tlvs,
}

impl ReceiptForm {
    /// What a client of that version can read.
    #[must_use]
    pub const fn of(version: Version) -> Self {
        match version {
            Version::V3_3 => Self::Text,
            Version::V3_4 | Version::V5_0 => Self::Both,
        }
    }
}

/// A receipt to be written, for clients bound to us and for the simulated carrier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptText {
    /// Our id of the message.
    pub id: String,
    /// Parts submitted, 999 at most.
    pub sub: u16,
    /// Parts delivered, 999 at most.
    pub dlvrd: u16,
    /// When it was submitted.
    pub submitted: LocalTime,
    /// When it came to this state.
    pub done: LocalTime,
    /// What became of it.
    pub state: ReceiptState,
    /// Error, three digits by custom.
    pub err: String,
    /// The beginning of the message; 20 octets are written.
    pub text: Vec<u8>,
}

impl ReceiptText {
    /// The text of Appendix B:
    /// `id:… sub:001 dlvrd:001 submit date:YYMMDDhhmm done date:YYMMDDhhmm stat:DELIVRD err:000 text:…`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = format!(
            "id:{} sub:{:03} dlvrd:{:03} submit date:{} done date:{} stat:{} err:{} text:",
            self.id,
            self.sub.min(999),
            self.dlvrd.min(999),
            self.submitted.to_minutes(),
            self.done.to_minutes(),
            self.state.word(),
            self.err,
        )
        .into_bytes();
        out.extend(self.text.iter().take(20));
        out
    }

    /// A deliver_sm with text and TLVs, from the destination of the message to its source.
    ///
    /// # Errors
    /// When the id is too long for a TLV.
    pub fn to_deliver_sm(&self, from: Address, to: Address) -> Result<DeliverSm, TlvTooLong> {
        self.to_deliver_sm_as(ReceiptForm::Both, from, to)
    }

    /// A deliver_sm in that form, from the destination of the message to its source. A receipt of a state that is not
    /// final is an intermediate notification (SMPP 3.4 §5.2.12).
    ///
    /// # Errors
    /// When the id is too long for a TLV.
    pub fn to_deliver_sm_as(
        &self,
        form: ReceiptForm,
        from: Address,
        to: Address,
    ) -> Result<DeliverSm, TlvTooLong> {
        let (text, tlvs) = match form {
            ReceiptForm::Both => (self.to_bytes(), self.to_tlvs()?),
            ReceiptForm::Text => (self.to_bytes(), Tlvs::new()),
            ReceiptForm::Tlvs => (Vec::new(), self.to_tlvs()?),
        };
        let esm_class = if self.state.is_final() {
            esm_class::RECEIPT
        } else {
            esm_class::INTERMEDIATE
        };
        Ok(DeliverSm {
            source: from,
            destination: to,
            esm_class,
            short_message: Bytes::from(text),
            tlvs,
            ..DeliverSm::default()
        })
    }

    /// receipted_message_id and message_state.
    fn to_tlvs(&self) -> Result<Tlvs, TlvTooLong> {
        let mut tlvs = Tlvs::new();
        let mut id = self.id.as_bytes().to_vec();
        id.push(0);
        tlvs.push(tag::RECEIPTED_MESSAGE_ID, &id)?;
        tlvs.push(tag::MESSAGE_STATE, &[self.state.number()])?;
        Ok(tlvs)
    }
}
