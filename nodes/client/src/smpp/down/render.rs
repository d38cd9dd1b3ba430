//! A report or MO as the PDUs that one bind gets: characters, header and parts as its account wants them.
//!
//! Pure. Invariant RE-1: what a client reads is what the phone wrote; what has no place in a PDU is refused with its reason.
//!
//! # Limits
//! An MO of several parts that had headers of their own beside the concatenation (ports, say) is delivered without these,
//! unless it is one part: the record has them, the joined text has no place for them.

use super::receipt;
use crate::smpp::content::of_alphabet;
use bytes::Bytes;
use smsgw_config::{Alphabet, Client, DeliverWith, LongDeliveries};
use smsgw_message::dcs::Charset;
use smsgw_message::gsm7::{FillBits, pack};
use smsgw_message::segment::{Part, split_units};
use smsgw_message::text::{Requested, encode};
use smsgw_message::udh::{Concat, Udh};
use smsgw_message::{Address, Down, DownKind, Encoding, MoDown};
use smsgw_smpp::tlv::tag;
use smsgw_smpp::{Address as WireAddress, COctets, DeliverSm, Version, esm_class};
use thiserror::Error;

/// What one short_message holds (SMPP 3.4 section 5.2.22).
const SHORT_MESSAGE: usize = 254;

/// Why a record cannot be told to this client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(in crate::smpp) enum Misfit {
    #[error("an address that no PDU holds")]
    Address,
    #[error("longer than any PDU")]
    Length,
}

/// The PDUs, in their order; at least one.
pub(in crate::smpp) fn render(
    down: &Down,
    account: &Client,
    version: Version,
) -> Result<Vec<DeliverSm>, Misfit> {
    match &down.what {
        DownKind::Report(report) => {
            let addresses = (address(&report.to)?, sender(report.from.as_ref())?);
            let message =
                receipt::render(down, report, account, version, addresses).map_err(|_| Misfit::Length)?;
            Ok(vec![message])
        }
        DownKind::Mo(mo) => of_mo(mo, account, version),
    }
}

/// Whether this session's deliveries go as data_sm.
pub(in crate::smpp) fn as_data_sm(account: &Client, version: Version) -> bool {
    match (account.smpp.deliver_with, version) {
        (DeliverWith::DataSm, Version::V3_4 | Version::V5_0) => true,
        (DeliverWith::DataSm, Version::V3_3) | (DeliverWith::DeliverSm, _) => false,
    }
}

fn address(address: &Address) -> Result<WireAddress, Misfit> {
    let text = address.as_str();
    // ASCII nearly always; what is not goes as Latin-1 where it can.
    let octets: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(c).ok()).collect();
    let octets = octets.unwrap_or_else(|| text.as_bytes().to_vec());
    WireAddress::try_new(address.ton().0, address.npi().0, octets).map_err(|_| Misfit::Address)
}

fn sender(from: Option<&Address>) -> Result<WireAddress, Misfit> {
    from.map_or_else(|| Ok(WireAddress::default()), address)
}

/// Octets as one encoding of the client has them.
struct Body {
    encoding: Encoding,
    units: Vec<u8>,
    data_coding: u8,
    /// The header of a message that came in one part.
    header: Vec<u8>,
}

fn of_mo(mo: &MoDown, account: &Client, version: Version) -> Result<Vec<DeliverSm>, Misfit> {
    let body = body(mo);
    let whole = DeliverSm {
        source: address(&mo.from)?,
        destination: address(&mo.to)?,
        data_coding: body.data_coding,
        ..DeliverSm::default()
    };
    let form = match version {
        Version::V3_3 => LongDeliveries::Udh,
        Version::V3_4 | Version::V5_0 => account.smpp.long_deliveries,
    };
    // One number for all parts, the same at every attempt; a phone's next long message hardly has the same.
    let [.., reference] = *mo.message.as_bytes();
    let parts = match split_units(body.encoding, &body.units, &body.header, reference) {
        Ok(parts) if parts.len() == 1 || form != LongDeliveries::Payload => parts,
        Ok(_) | Err(_) => vec![Part {
            udh: body.header.clone(),
            data: body.units.clone(),
        }],
    };
    let alphabet = account.smpp.alphabet;
    parts
        .into_iter()
        .map(|part| of_part(&whole, part, body.encoding, alphabet, form))
        .collect()
}

/// The client's alphabet where it can write the text, the carrier's coding else.
fn body(mo: &MoDown) -> Body {
    let header = match mo.headers.as_deref() {
        Some([one]) => one.to_vec(),
        Some(_) | None => Vec::new(),
    };
    let as_it_came = |encoding: Encoding| Body {
        encoding,
        units: mo.data.to_vec(),
        data_coding: encoding.data_coding(),
        header: header.clone(),
    };
    let text = match (mo.encoding, mo.charset, &mo.text) {
        (Encoding::Gsm7 | Encoding::Latin1, _, _) => return as_it_came(mo.encoding),
        (Encoding::Ucs2, _, None) => return as_it_came(Encoding::Ucs2),
        // In our own byte order, whatever the carrier's was.
        (Encoding::Ucs2, _, Some(text)) => {
            return written(text, Requested::Exactly(Encoding::Ucs2), header.clone())
                .unwrap_or_else(|| as_it_came(Encoding::Ucs2));
        }
        (Encoding::Binary, Some(charset), Some(text)) if charset.is_text() => text,
        (Encoding::Binary, _, _) => {
            return Body {
                // Classes and the like: as the carrier said, where it says octets.
                data_coding: mo.data_coding,
                ..as_it_came(Encoding::Binary)
            };
        }
    };
    written(text, Requested::Auto, header.clone()).unwrap_or_else(|| as_it_came(Encoding::Binary))
}

fn written(text: &str, requested: Requested, header: Vec<u8>) -> Option<Body> {
    let encoded = encode(text, requested).ok()?;
    Some(Body {
        encoding: encoded.encoding,
        data_coding: encoded.encoding.data_coding(),
        units: encoded.bytes,
        header,
    })
}

fn of_part(
    whole: &DeliverSm,
    part: Part,
    encoding: Encoding,
    alphabet: Alphabet,
    form: LongDeliveries,
) -> Result<DeliverSm, Misfit> {
    let mut message = whole.clone();
    let mut udh = part.udh;
    if form == LongDeliveries::Sar
        && let Ok((mut header, [])) = Udh::parse(&udh)
        && let Some(concat) = header.concat.take()
    {
        sar(&mut message, concat)?;
        udh = header.to_octets().map_err(|_| Misfit::Length)?;
    }
    let (octets, data_coding) = in_alphabet(part.data, encoding, alphabet, udh.len());
    message.data_coding = data_coding.unwrap_or(message.data_coding);
    if !udh.is_empty() {
        message.esm_class = esm_class::UDHI;
    }
    let user_data = [udh, octets].concat();
    if user_data.len() > SHORT_MESSAGE {
        message
            .tlvs
            .push(tag::MESSAGE_PAYLOAD, &user_data)
            .map_err(|_| Misfit::Length)?;
    } else {
        message.short_message = Bytes::from(user_data);
    }
    Ok(message)
}

fn sar(message: &mut DeliverSm, concat: Concat) -> Result<(), Misfit> {
    let push = |message: &mut DeliverSm, tag, value: &[u8]| {
        message.tlvs.push(tag, value).map_err(|_| Misfit::Length)
    };
    push(message, tag::SAR_MSG_REF_NUM, &concat.reference.to_be_bytes())?;
    push(message, tag::SAR_TOTAL_SEGMENTS, &[concat.total])?;
    push(message, tag::SAR_SEGMENT_SEQNUM, &[concat.sequence])
}

/// GSM 7-bit as what the client means by data_coding 0; the data_coding where it had to be another.
fn in_alphabet(
    septets: Vec<u8>,
    encoding: Encoding,
    alphabet: Alphabet,
    header: usize,
) -> (Vec<u8>, Option<u8>) {
    if encoding != Encoding::Gsm7 {
        return (septets, None);
    }
    let text = || {
        let decoded = smsgw_message::text::decode(Encoding::Gsm7, &septets);
        (!decoded.lossy).then_some(decoded.text)
    };
    let in_charset = match (alphabet, of_alphabet(alphabet)) {
        (Alphabet::Gsm7Packed, _) => pack(&septets, FillBits::after_header(header)).ok(),
        (_, Charset::Latin1) => {
            text().and_then(|text| Some(encode(&text, Requested::Exactly(Encoding::Latin1)).ok()?.bytes))
        }
        (_, Charset::Ia5) => text().filter(|text| text.is_ascii()).map(String::into_bytes),
        (_, Charset::Utf8) => text().map(String::into_bytes),
        (_, _) => return (septets, None),
    };
    match in_charset {
        Some(octets) => (octets, None),
        // What the client's alphabet lacks goes as UCS-2, which every client reads.
        None => match text().and_then(|text| encode(&text, Requested::Exactly(Encoding::Ucs2)).ok()) {
            Some(ucs2) => (ucs2.bytes, Some(Encoding::Ucs2.data_coding())),
            // No text either way: the class group says GSM 7-bit whatever 0 means.
            None => (septets, Some(0xF1)),
        },
    }
}

/// As in a bind answer, for outbind.
pub(in crate::smpp) fn name(text: &str) -> COctets {
    COctets::until_nul(text.as_bytes())
}

#[cfg(test)]
mod tests;
