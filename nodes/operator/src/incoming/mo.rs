//! Reads messages from phones: header, characters, addresses (SMPP 3.4 section 4.6, 3GPP 23.038 and 23.040).
//!
//! Says in which characters the octets are; the router reads them, once the parts are joined: a character may lie across
//! two parts. Invariant MO-1: the octets that came are in the record, in `data` or, where these are unpacked septets, in
//! `raw`.
//!
//! # Limits
//! A header that no bit announces is taken for one when it is exactly a concatenation of several parts with something
//! behind it: a text that begins with `é@¥` in GSM 7-bit and goes on with fitting characters is misread, its octets are
//! in the record all the same. Packed septets come without their number: seven bits that are left, when they are 0 or
//! a carriage return, count as filling, so that a text of eight, sixteen, … septets loses an `@` at its end.

use super::{Origin, address, sar};
use minicbor::bytes::ByteVec;
use smsgw_config::{Alphabet, Operator, SenderAlphabet};
use smsgw_message::dcs::{Charset, DataCoding};
use smsgw_message::gsm7::{self, FillBits, septets_in, unpack};
use smsgw_message::segment::Udh;
use smsgw_message::{Address, Encoding, MessageId, Mo, Npi, Ton};
use smsgw_smpp::{Address as WireAddress, DeliverSm, esm_class};

/// What may fill up the last octet of packed septets.
const FILLING: [u8; 2] = [0, 0x0D];

/// The message; `id` names it.
pub(super) fn read(message: &DeliverSm, operator: &Operator, origin: Origin<'_>, id: MessageId) -> Mo {
    let (udh, octets) = split_header(message);
    let charset = charset(message.data_coding, operator);
    let packed = charset == Charset::Gsm7 && operator.alphabet == Alphabet::Gsm7Packed;
    let raw = || ByteVec::from(octets.to_vec());
    let (data, raw) = if packed {
        (ByteVec::from(unpacked(octets, udh.len())), Some(raw()))
    } else {
        (raw(), None)
    };
    let encoding = charset.encoding();
    Mo {
        id,
        via: origin.via.clone(),
        link: origin.link.clone(),
        from: sender(&message.source, operator),
        to: address(&message.destination),
        data_coding: message.data_coding,
        encoding,
        udh: ByteVec::from(udh.to_vec()),
        data,
        at: origin.at,
        sar: sar(message),
        charset: (encoding == Encoding::Binary && charset.is_text()).then_some(charset),
        raw,
    }
}

/// What an octet means at this carrier: 0 what it says, those it has for our encodings these, the others the standard's.
fn charset(octet: u8, operator: &Operator) -> Charset {
    let own = &operator.data_coding;
    if octet == 0 {
        return match operator.alphabet {
            Alphabet::Gsm7 | Alphabet::Gsm7Packed => Charset::Gsm7,
            Alphabet::Latin1 => Charset::Latin1,
            Alphabet::Ascii => Charset::Ia5,
            Alphabet::Utf8 => Charset::Utf8,
        };
    }
    let known = [
        (own.gsm7, Charset::Gsm7),
        (own.ucs2, Charset::Ucs2),
        (own.latin1, Charset::Latin1),
        (own.binary, Charset::Octet),
    ];
    known
        .into_iter()
        .find(|(configured, _)| *configured == Some(octet))
        .map_or_else(|| DataCoding::parse(octet).charset(), |(_, charset)| charset)
}

/// Header and the rest. A header that is announced and cannot be read is left where it is: in the data.
fn split_header(message: &DeliverSm) -> (&[u8], &[u8]) {
    let payload = message.payload();
    let announced = esm_class::has_udh(message.esm_class);
    if let Ok((header, data)) = Udh::parse(payload)
        && (announced || (is_concat_alone(&header) && !data.is_empty()))
        && let Some(split) = payload.split_at_checked(payload.len().saturating_sub(data.len()))
    {
        return split;
    }
    (&[], payload)
}

fn is_concat_alone(header: &Udh) -> bool {
    header.others.is_empty()
        && header.tolerated.is_none()
        && header.concat.is_some_and(|concat| concat.total > 1)
}

fn unpacked(octets: &[u8], header: usize) -> Vec<u8> {
    let fill = FillBits::after_header(header);
    let count = septets_in(octets.len(), fill);
    let mut septets = unpack(octets, fill, count);
    let bits = octets
        .len()
        .saturating_mul(8)
        .saturating_sub(usize::from(fill.bits()));
    if bits == count.saturating_mul(7) {
        septets.pop_if(|last| FILLING.contains(last));
    }
    septets
}

/// The phone, or what wrote in its place: letters in the alphabet in which the carrier takes them.
fn sender(source: &WireAddress, operator: &Operator) -> Address {
    let letters = Ton(source.ton) == Ton::ALPHANUMERIC;
    match operator.sender_alphabet {
        SenderAlphabet::Gsm7 if letters => {
            let (name, lossy) = gsm7::DEFAULT.decode(source.value.as_bytes());
            if lossy {
                address(source)
            } else {
                Address::from_wire(Ton(source.ton), Npi(source.npi), &name)
            }
        }
        SenderAlphabet::Ascii | SenderAlphabet::Latin1 | SenderAlphabet::Gsm7 => address(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use smsgw_config::DataCodings;
    use smsgw_message::{LinkGroup, LinkId, OperatorId, Timestamp, Via};
    use smsgw_smpp::tlv;

    const AT: Timestamp = Timestamp::from_millis(1_795_248_000_000);

    fn mo(message: &DeliverSm, operator: &Operator) -> Mo {
        let id = OperatorId::try_new("alpha").unwrap();
        let via = Via {
            group: LinkGroup::of(&id),
            operator: id.clone(),
        };
        let link = LinkId::new(&id, 1);
        let origin = Origin {
            via: &via,
            link: &link,
            at: AT,
        };
        read(message, operator, origin, MessageId::from_parts(AT, [7; 10]))
    }

    fn deliver(esm_class: u8, data_coding: u8, text: &[u8]) -> DeliverSm {
        DeliverSm {
            source: WireAddress::international("491700000001").unwrap(),
            destination: WireAddress::short_code("12345").unwrap(),
            esm_class,
            data_coding,
            short_message: Bytes::copy_from_slice(text),
            ..DeliverSm::default()
        }
    }

    #[test]
    fn quirk_34_zero_means_what_the_carrier_says_and_other_octets_what_the_standard_says() {
        let table = [
            (Alphabet::Gsm7, 0, Encoding::Gsm7, None),
            (Alphabet::Latin1, 0, Encoding::Latin1, None),
            (Alphabet::Ascii, 0, Encoding::Latin1, None),
            (Alphabet::Utf8, 0, Encoding::Binary, Some(Charset::Utf8)),
            (Alphabet::Utf8, 0x10, Encoding::Gsm7, None),
            (Alphabet::Latin1, 1, Encoding::Latin1, None),
            (Alphabet::Gsm7, 4, Encoding::Binary, None),
            (Alphabet::Gsm7, 5, Encoding::Binary, Some(Charset::Jis)),
            (Alphabet::Gsm7, 6, Encoding::Binary, Some(Charset::Cyrillic)),
            (Alphabet::Gsm7, 7, Encoding::Binary, Some(Charset::Hebrew)),
            (Alphabet::Gsm7, 8, Encoding::Ucs2, None),
            (Alphabet::Gsm7, 10, Encoding::Binary, Some(Charset::Iso2022Jp)),
            (Alphabet::Gsm7, 13, Encoding::Binary, Some(Charset::ExtendedKanji)),
            (Alphabet::Gsm7, 14, Encoding::Binary, Some(Charset::KsC5601)),
            (Alphabet::Gsm7, 0xF1, Encoding::Gsm7, None),
            (Alphabet::Gsm7, 0xF5, Encoding::Binary, None),
        ];
        for (alphabet, octet, encoding, charset) in table {
            let operator = Operator {
                alphabet,
                ..Operator::default()
            };
            let read = mo(&deliver(0, octet, b"x"), &operator);
            assert_eq!(
                (read.encoding, read.charset),
                (encoding, charset),
                "{alphabet} {octet}"
            );
            assert_eq!((read.data.as_slice(), read.raw), (b"x".as_slice(), None));
        }
    }

    #[test]
    fn octets_that_the_carrier_has_for_our_encodings_mean_these() {
        let operator = Operator {
            data_coding: DataCodings {
                latin1: Some(0xF5),
                ucs2: Some(2),
                ..DataCodings::default()
            },
            ..Operator::default()
        };
        assert_eq!(mo(&deliver(0, 0xF5, b"x"), &operator).encoding, Encoding::Latin1);
        assert_eq!(mo(&deliver(0, 2, b"\0x"), &operator).encoding, Encoding::Ucs2);
    }

    #[test]
    fn quirk_37_packed_septets_are_unpacked_behind_any_header_and_kept_as_they_came() {
        let operator = Operator {
            alphabet: Alphabet::Gsm7Packed,
            ..Operator::default()
        };
        for (header, text) in [
            (&b""[..], &b"hellohello"[..]),
            (b"", b"1234567"),
            (b"", b"12345678"),
            (b"\x05\x00\x03\x09\x02\x01", b"hello"),
            (b"\x06\x08\x04\x01\x09\x02\x01", b"hello, world"),
        ] {
            let fill = FillBits::after_header(header.len());
            let packed = gsm7::pack(text, fill).unwrap();
            let user_data = [header, packed.as_slice()].concat();
            let esm_class = if header.is_empty() { 0 } else { 0x40 };
            let read = mo(&deliver(esm_class, 0, &user_data), &operator);
            assert_eq!((read.data.as_slice(), read.udh.as_slice()), (text, header));
            assert_eq!(read.raw.as_deref(), Some(&packed));
        }
        let ucs2 = mo(&deliver(0, 8, b"\0x"), &operator);
        assert_eq!((ucs2.data.as_slice(), ucs2.raw), (b"\0x".as_slice(), None));
    }

    #[test]
    fn quirk_38_a_concatenation_that_no_bit_announces_is_recognised_and_nothing_else_is() {
        let header = |text: &[u8]| mo(&deliver(0, 0, text), &Operator::default()).udh.len();
        assert_eq!(header(b"\x05\x00\x03\x09\x02\x01Hello"), 6);
        assert_eq!(header(b"\x06\x08\x04\x01\x09\x02\x02Hello"), 7);
        for plain in [
            &b"\x05\x00\x03\x09\x01\x01one part"[..],
            b"\x05\x00\x03\x09\x02\x03third of two",
            b"\x05\x00\x03\x09\x02\x00none of two",
            b"\x05\x00\x03\x09\x02\x01",
            b"\x06\x05\x04\x15\x81\x00\x00ports",
            b"\x05\x00",
            b"Hello",
            b"",
        ] {
            let read = mo(&deliver(0, 0, plain), &Operator::default());
            assert_eq!((read.udh.len(), read.data.as_slice()), (0, plain));
        }
    }

    #[test]
    fn quirk_38_header_and_sar_tlvs_both_stay() {
        let mut both = deliver(0x40, 0, b"\x06\x05\x04\x15\x81\x00\x00x");
        both.tlvs.push(tlv::tag::SAR_MSG_REF_NUM, &[1, 2]).unwrap();
        both.tlvs.push(tlv::tag::SAR_TOTAL_SEGMENTS, &[3]).unwrap();
        both.tlvs.push(tlv::tag::SAR_SEGMENT_SEQNUM, &[2]).unwrap();
        let read = mo(&both, &Operator::default());
        assert_eq!(read.udh.len(), 7);
        assert_eq!(read.sar.map(|sar| (sar.reference, sar.number)), Some((0x0102, 2)));
    }

    #[test]
    fn quirks_39_and_41_addresses_from_carriers_are_what_their_text_shows() {
        type Row<'a> = (u8, u8, &'a [u8], (u8, &'a str));
        let table: [Row<'_>; 13] = [
            (1, 1, b"491700000001", (1, "491700000001")),
            (1, 1, b"+491700000001", (1, "491700000001")),
            (1, 1, b"00491700000001", (1, "491700000001")),
            (0, 0, b"00491700000001", (1, "491700000001")),
            (0, 1, b"+491700000001", (1, "491700000001")),
            (1, 1, b"12345", (3, "12345")),
            (5, 0, b"12345", (3, "12345")),
            (5, 0, b"491700000001", (1, "491700000001")),
            (1, 1, b"Shop", (5, "Shop")),
            (0, 0, b"Shop 24", (5, "Shop 24")),
            (2, 1, b"01701234567", (2, "01701234567")),
            (0, 1, b"01701234567", (0, "01701234567")),
            (1, 1, b" 491700000001 ", (1, "491700000001")),
        ];
        for (ton, npi, text, (expected_ton, expected)) in table {
            let mut message = deliver(0, 0, b"x");
            message.source = WireAddress::try_new(ton, npi, text).unwrap();
            let from = mo(&message, &Operator::default()).from;
            assert_eq!((from.ton(), from.as_str()), (Ton(expected_ton), expected));
        }
    }

    #[test]
    fn quirk_34_letters_of_a_sender_are_read_in_the_alphabet_of_the_carrier() {
        let operator = Operator {
            sender_alphabet: SenderAlphabet::Gsm7,
            ..Operator::default()
        };
        let from = |ton, octets: &[u8], operator: &Operator| {
            let mut message = deliver(0, 0, b"x");
            message.source = WireAddress::try_new(ton, 0, octets).unwrap();
            mo(&message, operator).from.as_str().to_owned()
        };
        assert_eq!(from(5, b"B\x7Ero_1", &operator), "Büro§1");
        assert_eq!(from(5, b"B\xFCro", &operator), "Büro", "no septets: Latin-1");
        assert_eq!(from(5, b"B\xFCro", &Operator::default()), "Büro");
        assert_eq!(from(3, b"12345", &operator), "12345");
    }
}
