//! The user data header of a part, or the TLVs that stand for its concatenation.
//!
//! With `long_messages = "sar"` the concatenation of any part, also of one that a client cut itself, moves from the
//! header into sar_* (SMPP 3.4 sections 5.3.2.22 to 5.3.2.24): the same reference, total and number, and the parts hold no
//! less. 16-bit references and message_payload change what fits in a part; the router has done that.
//!
//! Invariant: every other element stays, octet by octet and in its order.

use smsgw_config::LongMessages;
use smsgw_message::udh::Udh;
use smsgw_smpp::submit::Part;

/// What stands before the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// With the length octet; empty for none.
    pub(super) octets: Vec<u8>,
    /// For the TLVs.
    pub(super) sar: Option<Part>,
}

/// The header for this carrier. One that cannot be read goes as it is: the client wrote it.
pub(super) fn of(udh: &[u8], long: LongMessages) -> Header {
    let as_it_is = || Header {
        octets: udh.to_vec(),
        sar: None,
    };
    match long {
        LongMessages::Udh8 | LongMessages::Udh16 | LongMessages::Payload => as_it_is(),
        LongMessages::Sar => without_concat(udh).unwrap_or_else(as_it_is),
    }
}

fn without_concat(udh: &[u8]) -> Option<Header> {
    let (mut header, rest) = Udh::parse(udh).ok()?;
    let concat = header.concat.take().filter(|_| rest.is_empty())?;
    Some(Header {
        octets: header.to_octets().ok()?,
        sar: Some(Part {
            reference: concat.reference,
            total: concat.total,
            number: concat.sequence,
        }),
    })
}
