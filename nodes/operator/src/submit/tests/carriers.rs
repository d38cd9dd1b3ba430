//! What single carriers want differently (carrier quirks, items 34, 37, 39, 40 and 42).

use super::*;
use smsgw_config::{
    Addresses, ClassForm, DataCodings, LongMessages, NumberFormat, Priorities, SenderAlphabet, TlvTag,
    TlvValue, TonNpi,
};
use smsgw_message::gsm7::{FillBits, unpack};
use smsgw_message::{Npi, Ton};
use std::time::Duration;

fn gsm7(text: &str) -> Dispatch {
    let content = Part {
        udh: Vec::new(),
        data: text::encode(text, Requested::Exactly(Encoding::Gsm7))
            .unwrap()
            .bytes,
    };
    Dispatch {
        content,
        ..dispatch(1)
    }
}

fn with(alphabet: Alphabet) -> Operator {
    Operator {
        alphabet,
        ..Operator::default()
    }
}

fn refusal(dispatch: &Dispatch, operator: &Operator) -> Unsendable {
    submit(dispatch, Class::Otp, operator, NOW).unwrap_err()
}

/// data_coding and user data.
fn body(dispatch: &Dispatch, operator: &Operator) -> (u8, Vec<u8>) {
    let message = sent(dispatch, operator);
    (message.data_coding, message.payload().to_vec())
}

#[test]
fn quirk_34_data_coding_zero_is_written_in_the_alphabet_of_the_carrier() {
    let table: [(Alphabet, &str, u8, &[u8]); 10] = [
        (Alphabet::Gsm7, "@é_€", 0, b"\x00\x05\x11\x1B\x65"),
        (Alphabet::Latin1, "@é_", 0, b"@\xE9_"),
        (Alphabet::Latin1, "€", 8, b"\x20\xAC"),
        (Alphabet::Ascii, "@_$", 0, b"@_$"),
        (Alphabet::Ascii, "é", 8, b"\x00\xE9"),
        (Alphabet::Utf8, "@é_€", 0, "@é_€".as_bytes()),
        (Alphabet::Utf8, "", 0, b""),
        // 8 septets in 7 octets; "@" is 0 and stays.
        (
            Alphabet::Gsm7Packed,
            "hellohello",
            0,
            b"\xE8\x32\x9B\xFD\x46\x97\xD9\xEC\x37",
        ),
        (Alphabet::Gsm7Packed, "@", 0, b"\x00"),
        (Alphabet::Gsm7Packed, "", 0, b""),
    ];
    for (alphabet, text, data_coding, octets) in table {
        assert_eq!(
            body(&gsm7(text), &with(alphabet)),
            (data_coding, octets.to_vec()),
            "{alphabet} {text}"
        );
    }
    assert_eq!(
        refusal(&gsm7(&"é".repeat(71)), &with(Alphabet::Ascii)),
        Unsendable::Alphabet
    );
}

#[test]
fn quirk_34_an_octet_for_gsm7_keeps_the_text_in_gsm7_whatever_zero_means() {
    for alphabet in [Alphabet::Latin1, Alphabet::Utf8, Alphabet::Ascii, Alphabet::Gsm7] {
        let operator = Operator {
            data_coding: DataCodings {
                gsm7: Some(0xF1),
                ..DataCodings::default()
            },
            ..with(alphabet)
        };
        assert_eq!(body(&gsm7("@"), &operator), (0xF1, vec![0]), "{alphabet}");
    }
}

#[test]
fn data_codings_are_those_of_the_operator() {
    let operator = Operator {
        data_coding: DataCodings {
            gsm7: Some(1),
            ucs2: Some(0x18),
            latin1: Some(0xF5),
            binary: Some(2),
        },
        ..Operator::default()
    };
    for (encoding, expected) in [
        (Encoding::Gsm7, 1),
        (Encoding::Ucs2, 0x18),
        (Encoding::Latin1, 0xF5),
        (Encoding::Binary, 2),
    ] {
        let part = Dispatch {
            encoding,
            ..dispatch(1)
        };
        assert_eq!(sent(&part, &operator).data_coding, expected, "{encoding}");
    }
}

#[test]
fn quirk_37_packed_septets_begin_on_a_septet_boundary_behind_the_header() {
    for octets in 6..=12 {
        let mut part = gsm7("hello, world");
        part.content.udh = vec![
            u8::try_from(octets - 1).unwrap(),
            0x70,
            u8::try_from(octets - 3).unwrap(),
        ];
        part.content.udh.resize(octets, 9);
        let (_, user_data) = body(&part, &with(Alphabet::Gsm7Packed));
        let (header, packed) = user_data.split_at(octets);
        assert_eq!(header, part.content.udh);
        let septets = unpack(packed, FillBits::after_header(octets), part.content.data.len());
        assert_eq!(septets, part.content.data, "header of {octets}");
    }
}

#[test]
fn seven_free_bits_behind_packed_septets_are_filled_with_a_carriage_return() {
    let (_, octets) = body(&gsm7("1234567"), &with(Alphabet::Gsm7Packed));
    assert_eq!(octets.len(), 7);
    assert_eq!(
        octets.last().map(|last| last >> 1),
        Some(0x0D),
        "else it reads as @"
    );
}

#[test]
fn a_text_with_national_tables_loses_their_header_when_its_alphabet_changes() {
    let mut turkish = dispatch(1);
    turkish.content = Part {
        udh: vec![8, 0, 3, 9, 2, 1, 0x24, 1, 1],
        data: vec![0x61, 0x1B, 0x73],
    };
    let message = sent(&turkish, &with(Alphabet::Utf8));
    assert_eq!(message.payload(), b"\x05\x00\x03\x09\x02\x01a\xC5\x9F");
    let message = sent(&turkish, &with(Alphabet::Latin1));
    assert_eq!(
        (message.data_coding, message.payload()),
        (8, b"\x05\x00\x03\x09\x02\x01\x00\x61\x01\x5F".as_slice())
    );
}

#[test]
fn a_message_class_is_told_as_the_operator_wants_it() {
    let table = [
        (ClassForm::DataCoding, Encoding::Gsm7, 0x10, None),
        (ClassForm::DataCoding, Encoding::Ucs2, 0x18, None),
        (ClassForm::DataCodingF0, Encoding::Gsm7, 0xF0, None),
        (ClassForm::DataCodingF0, Encoding::Binary, 0xF4, None),
        (ClassForm::DataCodingF0, Encoding::Ucs2, 0x18, None),
        (ClassForm::Tlv, Encoding::Gsm7, 0x00, Some([1])),
        (ClassForm::Tlv, Encoding::Latin1, 0x03, Some([1])),
        (ClassForm::None, Encoding::Gsm7, 0x00, None),
    ];
    for (message_class, encoding, data_coding, subunit) in table {
        let operator = Operator {
            message_class,
            ..Operator::default()
        };
        let flash = Dispatch {
            encoding,
            message_class: Some(0),
            ..dispatch(1)
        };
        let message = sent(&flash, &operator);
        assert_eq!(message.data_coding, data_coding, "{message_class} {encoding}");
        assert_eq!(
            message.tlvs.get(tlv::tag::DEST_ADDR_SUBUNIT),
            subunit.as_ref().map(<[u8; 1]>::as_slice),
            "{message_class} {encoding}"
        );
    }
    let flash = Dispatch {
        message_class: Some(0),
        ..gsm7("@")
    };
    assert_eq!(
        body(&flash, &with(Alphabet::Latin1)),
        (0x10, vec![0]),
        "the octet of a class names GSM 7-bit itself"
    );
}

#[test]
fn quirk_34_letters_of_a_sender_are_written_in_its_alphabet_or_refused() {
    let table: [(SenderAlphabet, &str, Option<&[u8]>); 9] = [
        (SenderAlphabet::Latin1, "Büro", Some(b"B\xFCro")),
        (SenderAlphabet::Latin1, "ΔΩ", None),
        (SenderAlphabet::Ascii, "Shop_24@", Some(b"Shop_24@")),
        (SenderAlphabet::Ascii, "Büro", None),
        (SenderAlphabet::Gsm7, "Büro", Some(b"B\x7Ero")),
        (SenderAlphabet::Gsm7, "A_B", Some(b"A\x11B")),
        (SenderAlphabet::Gsm7, "ΔΩ", Some(b"\x10\x15")),
        // 0x00 ends an address field: the rest of the name would be lost.
        (SenderAlphabet::Gsm7, "me@home", None),
        (SenderAlphabet::Gsm7, "Ж", None),
    ];
    for (sender_alphabet, name, octets) in table {
        let operator = Operator {
            sender_alphabet,
            ..Operator::default()
        };
        let named = Dispatch {
            from: Some(Address::from_wire(Ton::ALPHANUMERIC, Npi::UNKNOWN, name)),
            ..dispatch(1)
        };
        match octets {
            Some(octets) => {
                assert_eq!(sent(&named, &operator).source.value.as_bytes(), octets, "{name}");
            }
            None => assert_eq!(refusal(&named, &operator), Unsendable::Address, "{name}"),
        }
    }
}

#[test]
fn quirk_39_each_kind_of_address_has_its_type_plan_and_form() {
    let defaults = Addresses::default();
    let own = Addresses {
        international: TonNpi::new(0, 1),
        national: TonNpi::new(0, 8),
        short_code: TonNpi::new(6, 9),
        alphanumeric: TonNpi::new(5, 1),
        number_format: NumberFormat::Plus,
    };
    let zeros = Addresses {
        number_format: NumberFormat::DoubleZero,
        ..defaults.clone()
    };
    let sender = |ton: u8, npi: u8, text: &str| Address::from_wire(Ton(ton), Npi(npi), text);
    let table = [
        (&defaults, sender(1, 1, "491700000001"), (1, 1, "491700000001")),
        (&defaults, sender(0, 0, "+491700000001"), (1, 1, "491700000001")),
        (&defaults, sender(5, 0, "491700000001"), (1, 1, "491700000001")),
        (&defaults, sender(5, 0, "12345"), (3, 0, "12345")),
        (&defaults, sender(6, 0, "12345"), (3, 0, "12345")),
        (&defaults, sender(2, 8, "01701234567"), (2, 1, "01701234567")),
        (&defaults, sender(0, 1, "01701234567"), (0, 1, "01701234567")),
        (&defaults, sender(4, 9, "1234567"), (4, 9, "1234567")),
        (&defaults, sender(1, 1, "Shop"), (5, 0, "Shop")),
        (&own, sender(1, 1, "491700000001"), (0, 1, "+491700000001")),
        (&own, sender(2, 1, "0170"), (0, 8, "0170")),
        (&own, sender(3, 0, "12345"), (6, 9, "12345")),
        (&own, sender(5, 0, "Shop"), (5, 1, "Shop")),
        (&zeros, sender(1, 1, "491700000001"), (1, 1, "00491700000001")),
        (&zeros, sender(3, 0, "12345"), (3, 0, "12345")),
    ];
    for (addresses, from, (ton, npi, text)) in table {
        let operator = Operator {
            addresses: addresses.clone(),
            ..Operator::default()
        };
        let part = Dispatch {
            from: Some(from),
            ..dispatch(1)
        };
        let source = sent(&part, &operator).source;
        assert_eq!(
            (source.ton, source.npi, source.value.as_bytes()),
            (ton, npi, text.as_bytes())
        );
    }
    let operator = Operator {
        addresses: own,
        ..Operator::default()
    };
    let destination = sent(&dispatch(1), &operator).destination;
    assert_eq!(destination.value.as_bytes(), b"+491700000001");
    let long = Dispatch {
        from: Some(sender(5, 0, "a name of 21 letters.")),
        ..dispatch(1)
    };
    assert_eq!(refusal(&long, &operator), Unsendable::Address);
}

#[test]
fn quirk_40_validity_is_told_in_the_form_and_up_to_the_length_that_the_carrier_takes() {
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    let told = |validity, validity_max, valid_for| {
        let operator = Operator {
            validity,
            validity_max,
            ..Operator::default()
        };
        let part = Dispatch {
            valid_until: NOW.after(valid_for),
            ..dispatch(1)
        };
        sent(&part, &operator).validity_period.to_string_lossy()
    };
    let (absolute, relative) = (ValidityFormat::Absolute, ValidityFormat::Relative);
    assert_eq!(told(absolute, None, hours(1)), "261121090000000+");
    assert_eq!(told(absolute, Some(hours(48)), hours(1)), "261121090000000+");
    assert_eq!(told(absolute, Some(hours(48)), hours(72)), "261123080000000+");
    assert_eq!(told(relative, None, hours(72)), "000003000000000R");
    assert_eq!(told(relative, Some(hours(48)), hours(72)), "000002000000000R");
    assert_eq!(told(ValidityFormat::None, Some(hours(48)), hours(72)), "");
    let half = Duration::from_millis(1500);
    assert_eq!(told(relative, None, half), "000000000002000R", "never too early");
}

#[test]
fn delivery_is_never_scheduled_at_the_carrier() {
    assert!(
        sent(&dispatch(1), &Operator::default())
            .schedule_delivery_time
            .is_empty()
    );
}

#[test]
fn priority_follows_the_class_of_the_lane() {
    let operator = Operator {
        priority: Priorities {
            otp: 3,
            transactional: 1,
            bulk: 0,
        },
        protocol_id: 0x40,
        ..Operator::default()
    };
    let flags = Class::ALL.map(|class| {
        let message = submit(&dispatch(1), class, &operator, NOW).unwrap().message;
        assert_eq!(message.protocol_id, 0x40);
        message.priority_flag
    });
    assert_eq!(flags, [3, 1, 0]);
}

#[test]
fn constant_tlvs_go_with_every_message() {
    let tlv = |tag, value| {
        (
            TlvTag::from_text(tag).unwrap(),
            TlvValue::from_text(value).unwrap(),
        )
    };
    let operator = Operator {
        tlvs: [tlv("0x1400", "text:abc"), tlv("0x1401", "hex:0102")].into(),
        ..Operator::default()
    };
    let message = sent(&dispatch(1), &operator);
    assert_eq!(message.tlvs.get(0x1400), Some(b"abc".as_slice()));
    assert_eq!(message.tlvs.get(0x1401), Some(b"\x01\x02".as_slice()));
}

#[test]
fn quirk_42_a_service_type_with_a_nul_or_too_long_is_refused() {
    for service_type in ["A\0B", "TOOLONG"] {
        let operator = Operator {
            service_type: service_type.to_owned(),
            ..Operator::default()
        };
        assert_eq!(refusal(&dispatch(1), &operator), Unsendable::ServiceType);
    }
}

/// Part 2 of 3, with application ports behind the concatenation.
fn part_of_three(part: u16) -> Dispatch {
    let number = u8::try_from(part).unwrap();
    let mut of_three = Dispatch {
        part,
        parts: 3,
        ..gsm7("part")
    };
    of_three.content.udh = vec![11, 0, 3, 0xAB, 3, number, 5, 4, 0x15, 0x81, 0, 0];
    of_three
}

#[test]
fn sar_takes_the_concatenation_out_of_the_header_and_leaves_the_rest() {
    let operator = Operator {
        long_messages: LongMessages::Sar,
        ..Operator::default()
    };
    let sar = |message: &SubmitSm| {
        [
            tlv::tag::SAR_MSG_REF_NUM,
            tlv::tag::SAR_TOTAL_SEGMENTS,
            tlv::tag::SAR_SEGMENT_SEQNUM,
        ]
        .map(|tag| message.tlvs.get(tag).map(<[u8]>::to_vec))
    };
    let message = sent(&part_of_three(2), &operator);
    assert_eq!(sar(&message), [Some(vec![0, 0xAB]), Some(vec![3]), Some(vec![2])]);
    assert_eq!(message.payload(), b"\x06\x05\x04\x15\x81\x00\x00part");
    assert_eq!(message.esm_class, 0x40);

    let mut plain = part_of_three(1);
    plain.content.udh = vec![6, 8, 4, 0x01, 0x02, 3, 1];
    let message = sent(&plain, &operator);
    assert_eq!(sar(&message), [Some(vec![1, 2]), Some(vec![3]), Some(vec![1])]);
    assert_eq!((message.payload(), message.esm_class), (b"part".as_slice(), 0));

    let mut ports = dispatch(1);
    ports.content.udh = vec![6, 5, 4, 0x15, 0x81, 0, 0];
    let message = sent(&ports, &operator);
    assert_eq!(sar(&message), [None, None, None]);
    assert_eq!(message.payload(), b"\x06\x05\x04\x15\x81\x00\x00Hello");
}

#[test]
fn more_messages_to_send_stands_in_all_parts_but_the_last() {
    let told = |more_messages| {
        let operator = Operator {
            more_messages,
            ..Operator::default()
        };
        [1, 2, 3].map(|part| {
            let message = sent(&part_of_three(part), &operator);
            message
                .tlvs
                .get(tlv::tag::MORE_MESSAGES_TO_SEND)
                .map(<[u8]>::to_vec)
        })
    };
    assert_eq!(told(true), [Some(vec![1]), Some(vec![1]), None]);
    assert_eq!(told(false), [None, None, None]);
}

#[test]
fn what_is_longer_than_one_sms_goes_into_message_payload_where_the_carrier_cuts() {
    let operator = Operator {
        long_messages: LongMessages::Payload,
        ..Operator::default()
    };
    let message = sent(&gsm7(&"x".repeat(200)), &operator);
    assert!(message.short_message.is_empty());
    assert_eq!(message.payload().len(), 200);
    let one_sms = sent(&gsm7(&"x".repeat(160)), &operator);
    assert_eq!(one_sms.short_message.len(), 160);
}
