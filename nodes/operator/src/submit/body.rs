//! data_coding and the octets behind the header, as the carrier reads data_coding 0 (carrier quirks, items 34 and 37).
//!
//! GSM 7-bit text goes with data_coding 0 as what the carrier means by it, unless another octet names GSM 7-bit: one
//! configured for it, or the one of a message class. Invariant: the text that the phone shows is the text that was
//! accepted; where the carrier's alphabet lacks a character the part goes as UCS-2 if it fits, else it is refused.

use super::Unsendable;
use smsgw_config::{Alphabet, ClassForm, Operator};
use smsgw_message::dcs::{DataCoding, GsmClass};
use smsgw_message::gsm7::{FillBits, pack};
use smsgw_message::text::{self, Requested};
use smsgw_message::udh::{Udh, id};
use smsgw_message::{Dispatch, Encoding, segment};

/// Fills up the last octet where seven bits are free: a reader would take them for `@` (3GPP 23.038 section 6.1.2.3.1).
const CARRIAGE_RETURN: u8 = 0x0D;

/// What a part consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) header: Vec<u8>,
    pub(super) data_coding: u8,
    pub(super) octets: Vec<u8>,
    /// dest_addr_subunit, where the class is told by TLV (SMPP 3.4 section 5.3.2.1).
    pub(super) subunit: Option<u8>,
}

/// Writes the part behind this header.
pub(super) fn write(dispatch: &Dispatch, header: Vec<u8>, operator: &Operator) -> Result<Body, Unsendable> {
    let class = dispatch.message_class.and_then(GsmClass::new);
    let (class, subunit) = match operator.message_class {
        ClassForm::DataCoding | ClassForm::DataCodingF0 => (class, None),
        ClassForm::Tlv => (None, class.map(subunit)),
        ClassForm::None => (None, None),
    };
    let data = dispatch.content.data.as_slice();
    let encoding = dispatch.encoding;
    let data_coding = coding(encoding, class, operator);
    let body = |header, data_coding, octets| Body {
        header,
        data_coding,
        octets,
        subunit,
    };
    let stays = match (encoding, operator.alphabet) {
        (Encoding::Latin1 | Encoding::Ucs2 | Encoding::Binary, _) | (Encoding::Gsm7, Alphabet::Gsm7) => true,
        (Encoding::Gsm7, Alphabet::Gsm7Packed) => {
            let octets = packed(data, header.len()).ok_or(Unsendable::Alphabet)?;
            return Ok(body(header, data_coding, octets));
        }
        // Any other octet says itself that this is GSM 7-bit.
        (Encoding::Gsm7, Alphabet::Latin1 | Alphabet::Ascii | Alphabet::Utf8) => data_coding != 0,
    };
    if stays {
        return Ok(body(header, data_coding, data.to_vec()));
    }
    let decoded = text::decode_shifted(Encoding::Gsm7, dispatch.content.shifts(), data);
    if decoded.lossy {
        return Err(Unsendable::Alphabet);
    }
    // The tables that it names are those of GSM 7-bit.
    let header = without_shifts(header);
    let text = decoded.text;
    let in_default = match operator.alphabet {
        Alphabet::Latin1 => text::encode(&text, Requested::Exactly(Encoding::Latin1))
            .ok()
            .map(|encoded| encoded.bytes),
        Alphabet::Ascii => text.is_ascii().then(|| text.as_bytes().to_vec()),
        Alphabet::Utf8 => Some(text.as_bytes().to_vec()),
        Alphabet::Gsm7 | Alphabet::Gsm7Packed => Some(data.to_vec()),
    };
    if let Some(octets) = in_default {
        return Ok(body(header, 0, octets));
    }
    let ucs2 = text::encode(&text, Requested::Exactly(Encoding::Ucs2))
        .map_err(|_| Unsendable::Alphabet)?
        .bytes;
    if header.len().saturating_add(ucs2.len()) > segment::PART_OCTETS {
        return Err(Unsendable::Alphabet);
    }
    Ok(body(header, coding(Encoding::Ucs2, class, operator), ucs2))
}

/// The octet of an encoding: with the class where there is one for both, else the operator's, else the standard's.
fn coding(encoding: Encoding, class: Option<GsmClass>, operator: &Operator) -> u8 {
    let with_class = |class| match (operator.message_class, encoding) {
        (ClassForm::DataCodingF0, Encoding::Gsm7 | Encoding::Binary) => Some(DataCoding::Class {
            octets: encoding == Encoding::Binary,
            class,
        }),
        (ClassForm::DataCodingF0, Encoding::Ucs2 | Encoding::Latin1)
        | (ClassForm::DataCoding | ClassForm::Tlv | ClassForm::None, _) => {
            DataCoding::with_class(encoding, class)
        }
    };
    if let Some(coding) = class.and_then(with_class) {
        return coding.octet();
    }
    let own = &operator.data_coding;
    match encoding {
        Encoding::Gsm7 => own.gsm7,
        Encoding::Ucs2 => own.ucs2,
        Encoding::Latin1 => own.latin1,
        Encoding::Binary => own.binary,
    }
    .unwrap_or_else(|| encoding.data_coding())
}

/// Where in the phone the message belongs: what the classes of 23.038 mean.
const fn subunit(class: GsmClass) -> u8 {
    match class {
        GsmClass::Class0 => 1,
        GsmClass::Class1 => 2,
        GsmClass::Class2 => 3,
        GsmClass::Class3 => 4,
    }
}

fn packed(septets: &[u8], header: usize) -> Option<Vec<u8>> {
    let fill = FillBits::after_header(header);
    let bits = septets
        .len()
        .checked_mul(7)?
        .checked_add(usize::from(fill.bits()))?;
    let mut septets = septets.to_vec();
    if bits % 8 == 1 {
        septets.push(CARRIAGE_RETURN);
    }
    pack(&septets, fill).ok()
}

fn without_shifts(header: Vec<u8>) -> Vec<u8> {
    match Udh::parse(&header) {
        Ok((mut udh, [])) if !udh.shifts().is_none() => {
            udh.others
                .retain(|element| !matches!(element.id, id::SINGLE_SHIFT | id::LOCKING_SHIFT));
            udh.to_octets().unwrap_or(header)
        }
        Ok(_) | Err(_) => header,
    }
}
