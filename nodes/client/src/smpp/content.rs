//! The content of a submit: octets, characters and header as the client means them, cut where the client has not cut.
//!
//! ```text
//! esm_class UDHI ─▶ header │ octets     sar_* ─▶ a concatenation in the header
//! data_coding    ─▶ characters: 0 as `smpp.alphabet` of the account says, the others by SMPP 3.4 section 5.2.19
//! ```
//! Pure. Invariant SC-1: what is accepted goes out as the same text or octets; a part that the client cut is one part,
//! with the client's reference, total and number, and its octets unchanged wherever the encoding is one of ours.
//!
//! # Limits
//! sar_* become a header of 6 or 7 octets: a part that leaves no room for it is refused. Compressed texts, pictograms and
//! the reserved values 0x0B, 0x0C and 0x0F are refused.

use super::refusal::Unfit;
use smsgw_config::Alphabet;
use smsgw_message::dcs::{Charset, DataCoding, decode_octets};
use smsgw_message::gsm7::{FillBits, septets_in, unpack};
use smsgw_message::segment::{Concat, SegmentError, Udh, room, split_units};
use smsgw_message::text::{ByteOrder, Encoded, Requested, decode, encode};
use smsgw_message::{Encoding, Part};
use smsgw_smpp::{CommandStatus, SubmitSm, esm_class, tlv::tag};

/// Most septets that an octet stream may hold as GSM 7-bit: the highest code.
const SEPTET_MAX: u8 = 0x7F;

/// What a submit says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) encoding: Encoding,
    pub(super) parts: Vec<Part>,
    pub(super) message_class: Option<u8>,
    /// data_coding, where encoding and class do not say all of it.
    pub(super) data_coding: Option<u8>,
    /// data_coding, where `encoding` does not say how octets of the client are to be read.
    pub(super) submitted_coding: Option<u8>,
    /// The concatenation of a part that the client cut.
    pub(super) concat: Option<Concat>,
}

/// Reads the content; `reference` is that of the parts, where it has to be cut here.
pub(super) fn read(message: &SubmitSm, alphabet: Alphabet, reference: u8) -> Result<Content, Unfit> {
    let payload = payload(message)?;
    let (mut header, body) = split_header(message, payload)?;
    let sar = sar(message)?;
    let concat = match (&header, sar) {
        (Some(Udh { concat: Some(_), .. }), Some(_)) => {
            return Err(Unfit::new(
                CommandStatus::TLV_NOT_ALLOWED,
                "sar_* beside a concatenation in the header",
            ));
        }
        (Some(header), None) => header.concat,
        (_, sar) => sar,
    };
    if let Some(sar) = sar {
        header.get_or_insert_default().concat = Some(sar);
    }
    let udh = match (&header, sar) {
        (None, _) => Vec::new(),
        // As the client wrote it, octet by octet.
        (Some(_), None) => payload
            .get(..payload.len().saturating_sub(body.len()))
            .unwrap_or_default()
            .to_vec(),
        (Some(header), Some(_)) => header.to_octets().map_err(|_| {
            Unfit::new(
                CommandStatus::INVALID_MESSAGE_LENGTH,
                "the header has no room for the concatenation",
            )
        })?,
    };
    let coding = DataCoding::parse(message.data_coding);
    let encoded = encoded(body, message.data_coding, alphabet, udh.len(), concat.is_some())?;
    let encoding = encoded.encoding;
    let parts = match concat {
        Some(_) => {
            if units(&encoded) > room(encoding, udh.len()) {
                return Err(Unfit::new(
                    CommandStatus::INVALID_MESSAGE_LENGTH,
                    "the part is longer than one SMS",
                ));
            }
            vec![Part {
                udh,
                data: encoded.bytes,
            }]
        }
        None => split_units(encoding, &encoded.bytes, &udh, reference).map_err(too_long)?,
    };
    Ok(Content {
        encoding,
        parts,
        message_class: coding.class().map(|class| class.bits()),
        data_coding: says_more(coding).then_some(message.data_coding),
        submitted_coding: (coding_of(encoding) != message.data_coding).then_some(message.data_coding),
        concat,
    })
}

/// data_coding that reads octets as this encoding (SMPP 3.4 section 5.2.19); GSM 7-bit by `smpp.alphabet`.
pub(super) const fn coding_of(encoding: Encoding) -> u8 {
    match encoding {
        Encoding::Gsm7 => 0,
        Encoding::Latin1 => 3,
        Encoding::Binary => 4,
        Encoding::Ucs2 => 8,
    }
}

fn units(encoded: &Encoded) -> usize {
    encoded.bytes.len().div_ceil(encoded.encoding.unit_octets())
}

fn too_long(error: SegmentError) -> Unfit {
    match error {
        SegmentError::TextTooLong { .. }
        | SegmentError::PayloadTooLong { .. }
        | SegmentError::NoRoom { .. } => Unfit::new(
            CommandStatus::INVALID_MESSAGE_LENGTH,
            "the text takes more parts than a message can have",
        ),
        SegmentError::HalfUnit { .. } => {
            Unfit::new(CommandStatus::INVALID_MESSAGE_LENGTH, "half a UCS-2 character")
        }
        SegmentError::BrokenUdh(_)
        | SegmentError::UdhTrailing { .. }
        | SegmentError::ShiftsTwice
        | SegmentError::AlreadyConcatenated { .. } => Unfit::new(
            CommandStatus::INVALID_ESM_CLASS,
            "the user data header cannot be used",
        ),
    }
}

/// Indications of waiting messages and the mark for deletion stand in data_coding alone.
fn says_more(coding: DataCoding) -> bool {
    match coding {
        DataCoding::Waiting { .. } => true,
        DataCoding::General { auto_delete, .. } => auto_delete,
        DataCoding::Smpp(_) | DataCoding::Class { .. } | DataCoding::Reserved(_) => false,
    }
}

/// short_message, or message_payload where that is empty (SMPP 3.4 section 4.4.1: one of them).
fn payload(message: &SubmitSm) -> Result<&[u8], Unfit> {
    match message.tlvs.get(tag::MESSAGE_PAYLOAD) {
        Some(_) if !message.short_message.is_empty() => Err(Unfit::new(
            CommandStatus::TLV_NOT_ALLOWED,
            "short_message and message_payload exclude each other",
        )),
        Some(_) | None => Ok(message.payload()),
    }
}

fn split_header<'a>(message: &SubmitSm, payload: &'a [u8]) -> Result<(Option<Udh>, &'a [u8]), Unfit> {
    if !esm_class::has_udh(message.esm_class) {
        return Ok((None, payload));
    }
    let broken = |_| {
        Unfit::new(
            CommandStatus::INVALID_ESM_CLASS,
            "esm_class says that there is a header, and there is none",
        )
    };
    let (header, body) = Udh::parse(payload).map_err(broken)?;
    Ok((Some(header), body))
}

/// SMPP 3.4 sections 5.3.2.22 to 5.3.2.24: all three or none.
fn sar(message: &SubmitSm) -> Result<Option<Concat>, Unfit> {
    let all = [
        tag::SAR_MSG_REF_NUM,
        tag::SAR_TOTAL_SEGMENTS,
        tag::SAR_SEGMENT_SEQNUM,
    ]
    .map(|tag| message.tlvs.get(tag));
    match all {
        [None, None, None] => Ok(None),
        [Some(&[high, low]), Some(&[total]), Some(&[sequence])] => {
            if total == 0 || sequence == 0 || sequence > total {
                return Err(Unfit::new(
                    CommandStatus::INVALID_TLV_VALUE,
                    "sar_segment_seqnum does not lie within sar_total_segments",
                ));
            }
            let reference = u16::from_be_bytes([high, low]);
            Ok((total > 1).then_some(Concat {
                reference,
                wide: high != 0,
                total,
                sequence,
            }))
        }
        [Some(_), Some(_), Some(_)] => Err(Unfit::new(CommandStatus::INVALID_TLV_LENGTH, "sar_*")),
        [_, _, _] => Err(Unfit::new(CommandStatus::MISSING_TLV, "sar_* are three")),
    }
}

/// The body in one of our encodings. Behind a header of `udh` octets; `is_part`: it must stay one part.
fn encoded(body: &[u8], octet: u8, alphabet: Alphabet, udh: usize, is_part: bool) -> Result<Encoded, Unfit> {
    let charset = if octet == 0 {
        of_alphabet(alphabet)
    } else {
        DataCoding::parse(octet).charset()
    };
    let as_it_is = |encoding| {
        Ok(Encoded {
            encoding,
            ..Encoded::binary(body.to_vec())
        })
    };
    match charset {
        Charset::SmscDefault | Charset::Gsm7 => {
            if octet == 0 && alphabet == Alphabet::Gsm7Packed {
                let fill = FillBits::after_header(udh);
                let septets = unpack(body, fill, septets_in(body.len(), fill));
                return Ok(Encoded {
                    encoding: Encoding::Gsm7,
                    ..Encoded::binary(septets)
                });
            }
            if body.iter().any(|octet| *octet > SEPTET_MAX) {
                return Err(Unfit::new(
                    CommandStatus::INVALID_DATA_CODING,
                    "octets above 0x7F are no GSM 7-bit",
                ));
            }
            as_it_is(Encoding::Gsm7)
        }
        // data_coding 3 says it all; what data_coding 0 means here no carrier can know.
        Charset::Latin1 if octet != 0 => as_it_is(Encoding::Latin1),
        Charset::Ucs2 => {
            if !body.len().is_multiple_of(2) {
                return Err(Unfit::new(
                    CommandStatus::INVALID_MESSAGE_LENGTH,
                    "half a UCS-2 character",
                ));
            }
            let decoded = decode(Encoding::Ucs2, body);
            match decoded.byte_order {
                None | Some(ByteOrder::Big) => as_it_is(Encoding::Ucs2),
                Some(ByteOrder::BigMarked | ByteOrder::LittleMarked | ByteOrder::LittleGuessed) => {
                    encode(&decoded.text, Requested::Exactly(Encoding::Ucs2)).map_err(|_| unreadable())
                }
            }
        }
        Charset::Octet => as_it_is(Encoding::Binary),
        Charset::Latin1
        | Charset::Ia5
        | Charset::Jis
        | Charset::Cyrillic
        | Charset::Hebrew
        | Charset::Iso2022Jp
        | Charset::ExtendedKanji
        | Charset::KsC5601
        | Charset::Utf8 => {
            let (text, lossy) = decode_octets(charset, body);
            // Clients that send more than ASCII as ASCII mean Latin-1.
            if lossy && charset != Charset::Ia5 {
                return Err(unreadable());
            }
            let fits = |encoded: &Encoded| !is_part || units(encoded) <= room(encoded.encoding, udh);
            let auto = encode(&text, Requested::Auto).map_err(|_| unreadable())?;
            if fits(&auto) {
                return Ok(auto);
            }
            // Septets of the extension table count twice: what was one part as octets may not be one then.
            encode(&text, Requested::Exactly(Encoding::Latin1))
                .ok()
                .filter(fits)
                .ok_or_else(|| {
                    Unfit::new(
                        CommandStatus::INVALID_MESSAGE_LENGTH,
                        "the part is longer than one SMS",
                    )
                })
        }
        Charset::Unknown => Err(Unfit::new(
            CommandStatus::INVALID_DATA_CODING,
            "data_coding is reserved or compressed",
        )),
    }
}

fn unreadable() -> Unfit {
    Unfit::new(
        CommandStatus::INVALID_DATA_CODING,
        "the octets are no text in data_coding",
    )
}

pub(super) const fn of_alphabet(alphabet: Alphabet) -> Charset {
    match alphabet {
        Alphabet::Gsm7 | Alphabet::Gsm7Packed => Charset::Gsm7,
        Alphabet::Latin1 => Charset::Latin1,
        Alphabet::Ascii => Charset::Ia5,
        Alphabet::Utf8 => Charset::Utf8,
    }
}
