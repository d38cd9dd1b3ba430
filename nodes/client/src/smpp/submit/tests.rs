//! What a submit becomes, and what it is refused with.

use super::*;
use bytes::Bytes;
use proptest::prelude::*;
use smsgw_config::Alphabet;
use smsgw_message::{Encoding, Record};

const NOW: Timestamp = Timestamp::from_millis(1_795_248_000_000);

fn config() -> Config {
    Config::parse(
        "t.toml",
        "[node]\nname = \"t\"\n[operator.alpha]\nprotocol = \"smpp\"\nhosts = [\"127.0.0.1:1\"]\nsystem_id = \"x\"\n\
         password = \"x\"\n[client.acme]\nsystem_id = \"acme\"\npassword = \"secret\"\n[[route.mt]]\noperators = [\"alpha\"]\n",
    )
    .unwrap()
}

fn try_as(message: &SubmitSm, account: &Client, command: CommandId) -> Result<MtMessage, CommandStatus> {
    let client = ClientId::try_new("acme").unwrap();
    let config = config();
    let context = Context {
        client: &client,
        account,
        config: &config,
        command,
        bind: 5,
        now: NOW,
        id: MessageId::from_parts(NOW, [7; 10]),
        reference: 9,
    };
    build(message, &context).map_err(|unfit| unfit.status)
}

fn try_build(message: &SubmitSm) -> Result<MtMessage, CommandStatus> {
    try_as(message, &Client::default(), CommandId::SubmitSm)
}

fn submit() -> SubmitSm {
    SubmitSm {
        source: WireAddress::short_code("12345").unwrap(),
        destination: WireAddress::international("491700000001").unwrap(),
        short_message: Bytes::from_static(b"Hello"),
        ..SubmitSm::default()
    }
}

fn with(change: impl FnOnce(&mut SubmitSm)) -> SubmitSm {
    let mut message = submit();
    change(&mut message);
    message
}

fn text(octets: impl AsRef<[u8]>) -> Bytes {
    Bytes::copy_from_slice(octets.as_ref())
}

fn octets(text: &str) -> COctets {
    COctets::try_from(text).unwrap()
}

#[test]
fn a_plain_submit_has_the_defaults_and_nothing_more() {
    let message = try_build(&submit()).unwrap();
    assert_eq!((message.encoding, message.parts.len()), (Encoding::Gsm7, 1));
    assert_eq!(
        (message.report, message.registered_delivery),
        (ReportLevel::None, None)
    );
    assert_eq!(
        (message.options, message.bundle, message.send_at),
        (None, None, None)
    );
    assert_eq!(message.valid_until, NOW.after(Duration::from_secs(48 * 3600)));
    assert_eq!((message.bind, message.origin), (Some(5), Origin::Smpp));
    let no_sender = with(|message| message.source = WireAddress::default());
    assert_eq!(
        try_build(&no_sender).unwrap().from,
        None,
        "admission knows the default"
    );
}

#[test]
fn each_fault_has_its_own_status() {
    let cases: Vec<(&str, CommandStatus, SubmitSm)> = vec![
        (
            "transaction mode",
            CommandStatus::INVALID_ESM_CLASS,
            with(|m| m.esm_class = 2),
        ),
        (
            "a receipt from a client",
            CommandStatus::INVALID_ESM_CLASS,
            with(|m| m.esm_class = 4),
        ),
        (
            "a header that is none",
            CommandStatus::INVALID_ESM_CLASS,
            with(|m| m.esm_class = 0x40),
        ),
        (
            "source TON",
            CommandStatus::INVALID_SOURCE_TON,
            with(|m| m.source.ton = 7),
        ),
        (
            "source NPI",
            CommandStatus::INVALID_SOURCE_NPI,
            with(|m| m.source.npi = 2),
        ),
        (
            "source",
            CommandStatus::INVALID_SOURCE,
            with(|m| m.source = WireAddress::alphanumeric("a name too long").unwrap()),
        ),
        (
            "destination TON",
            CommandStatus::INVALID_DESTINATION_TON,
            with(|m| m.destination.ton = 9),
        ),
        (
            "destination NPI",
            CommandStatus::INVALID_DESTINATION_NPI,
            with(|m| m.destination.npi = 99),
        ),
        (
            "no destination",
            CommandStatus::INVALID_DESTINATION,
            with(|m| m.destination = WireAddress::default()),
        ),
        (
            "a name",
            CommandStatus::INVALID_DESTINATION,
            with(|m| m.destination = WireAddress::alphanumeric("ACME").unwrap()),
        ),
        (
            "letters",
            CommandStatus::INVALID_DESTINATION,
            with(|m| m.destination = WireAddress::international("49x").unwrap()),
        ),
        (
            "priority",
            CommandStatus::INVALID_PRIORITY,
            with(|m| m.priority_flag = 5),
        ),
        (
            "registered_delivery",
            CommandStatus::INVALID_REGISTERED_DELIVERY,
            with(|m| m.registered_delivery = 0x21),
        ),
        (
            "replace flag",
            CommandStatus::INVALID_REPLACE_FLAG,
            with(|m| m.replace_if_present = 2),
        ),
        (
            "canned message",
            CommandStatus::INVALID_DEFAULT_MESSAGE,
            with(|m| m.sm_default_msg_id = 1),
        ),
        (
            "service_type",
            CommandStatus::INVALID_SERVICE_TYPE,
            with(|m| m.service_type = octets("TOOLONG")),
        ),
        (
            "validity",
            CommandStatus::INVALID_EXPIRY,
            with(|m| m.validity_period = octets("soon")),
        ),
        (
            "validity that is past",
            CommandStatus::INVALID_EXPIRY,
            with(|m| m.validity_period = octets("200101000000000+")),
        ),
        (
            "schedule",
            CommandStatus::INVALID_SCHEDULE,
            with(|m| m.schedule_delivery_time = octets("later")),
        ),
        (
            "schedule that is past",
            CommandStatus::INVALID_SCHEDULE,
            with(|m| m.schedule_delivery_time = octets("200101000000000+")),
        ),
        (
            "schedule too far ahead",
            CommandStatus::INVALID_SCHEDULE,
            with(|m| m.schedule_delivery_time = octets("050000000000000R")),
        ),
        (
            "no septets",
            CommandStatus::INVALID_DATA_CODING,
            with(|m| m.short_message = text([0xE4])),
        ),
        (
            "half a character",
            CommandStatus::INVALID_MESSAGE_LENGTH,
            with(|m| {
                m.data_coding = 8;
                m.short_message = text([4]);
            }),
        ),
        (
            "pictograms",
            CommandStatus::INVALID_DATA_CODING,
            with(|m| m.data_coding = 9),
        ),
        (
            "compressed",
            CommandStatus::INVALID_DATA_CODING,
            with(|m| m.data_coding = 0x30),
        ),
        (
            "two texts",
            CommandStatus::TLV_NOT_ALLOWED,
            with(|m| m.tlvs.push(tag::MESSAGE_PAYLOAD, b"x").unwrap()),
        ),
        (
            "too many parts",
            CommandStatus::INVALID_MESSAGE_LENGTH,
            with(|m| {
                m.short_message = Bytes::new();
                m.tlvs.push(tag::MESSAGE_PAYLOAD, &[b'x'; 1531]).unwrap();
            }),
        ),
        (
            "sar without its number",
            CommandStatus::MISSING_TLV,
            with(|m| m.tlvs.push(tag::SAR_MSG_REF_NUM, &[0, 1]).unwrap()),
        ),
        (
            "a TLV of SMSCs",
            CommandStatus::TLV_NOT_ALLOWED,
            with(|m| m.tlvs.push(tag::MESSAGE_STATE, &[1]).unwrap()),
        ),
        (
            "a TLV of a wrong length",
            CommandStatus::INVALID_TLV_LENGTH,
            with(|m| m.tlvs.push(tag::DESTINATION_PORT, &[1]).unwrap()),
        ),
        (
            "reference",
            CommandStatus::INVALID_TLV_LENGTH,
            with(|m| m.tlvs.push(tag::USER_MESSAGE_REFERENCE, &[1]).unwrap()),
        ),
    ];
    for (what, status, message) in cases {
        assert_eq!(
            try_build(&message).map(|message| message.id).unwrap_err(),
            status,
            "{what}"
        );
    }
}

#[test]
fn numbers_are_the_same_address_however_they_are_typed() {
    for (ton, npi, digits, expected) in [
        (1, 1, "491700000001", "491700000001"),
        (1, 1, "+491700000001", "491700000001"),
        (0, 0, "00491700000001", "491700000001"),
        (0, 1, "491700000001", "491700000001"),
        (2, 1, "01700000001", "01700000001"),
        (3, 0, "12345", "12345"),
        (0, 0, "112", "112"),
    ] {
        let message = with(|m| m.destination = WireAddress::try_new(ton, npi, digits).unwrap());
        assert_eq!(
            try_build(&message).unwrap().to.as_str(),
            expected,
            "{ton}/{npi} {digits}"
        );
    }
}

#[test]
fn registered_delivery_is_a_report_level_and_kept() {
    for (registered, account, level) in [
        (0, None, ReportLevel::None),
        (0, Some(ReportLevel::Final), ReportLevel::Final),
        (1, None, ReportLevel::Final),
        (2, None, ReportLevel::Final),
        (3, None, ReportLevel::Final),
        (0x11, None, ReportLevel::All),
    ] {
        let account = Client {
            report: account,
            ..Client::default()
        };
        let message = with(|m| m.registered_delivery = registered);
        let built = try_as(&message, &account, CommandId::SubmitSm).unwrap();
        assert_eq!(built.report, level, "{registered:#x}");
        assert_eq!(built.registered_delivery, (registered != 0).then_some(registered));
    }
}

#[test]
fn times_are_the_clients_own_and_bounded() {
    let mut account = Client::default();
    account.smpp.time_zone = "Europe/Vienna".to_owned();
    let built = |schedule: &str, validity: &str| {
        let message = with(|m| {
            m.schedule_delivery_time = octets(schedule);
            m.validity_period = octets(validity);
        });
        let built = try_as(&message, &account, CommandId::SubmitSm).unwrap();
        let seconds = |at: Timestamp| at.since(NOW).as_secs();
        (built.send_at.map(seconds), seconds(built.valid_until))
    };
    assert_eq!(built("", "000000001000000R"), (None, 600));
    assert_eq!(built("000001000000000R", ""), (Some(86_400), 86_400 + 48 * 3600));
    // NOW is 08:00 UTC: an hour later in Vienna in November.
    assert_eq!(built("", "261121100000000+"), (None, 2 * 3600));
    assert_eq!(
        built("", "2611211000"),
        (None, 3600),
        "without a zone: the account's"
    );
    assert_eq!(
        built("261121075900000+", ""),
        (None, 48 * 3600),
        "a minute ago is now"
    );
    assert_eq!(
        built("", "991231235959000+").1,
        7 * 86_400,
        "no longer than the longest"
    );
    let data = with(|m| m.tlvs.push(tag::QOS_TIME_TO_LIVE, &60_u32.to_be_bytes()).unwrap());
    assert_eq!(
        try_as(&data, &account, CommandId::DataSm).unwrap().valid_until,
        NOW.after(Duration::from_secs(60))
    );
}

#[test]
fn a_long_text_is_cut_and_parts_of_the_client_stay_as_they_are() {
    let long = with(|m| {
        m.short_message = Bytes::new();
        m.tlvs.push(tag::MESSAGE_PAYLOAD, &[b'x'; 200]).unwrap();
    });
    let message = try_build(&long).unwrap();
    assert_eq!((message.parts.len(), message.bundle), (2, None));
    assert_eq!(message.parts[0].udh, [5, 0, 3, 9, 2, 1]);

    let part = |reference: u8, number: u8, to: &str| {
        let message = with(|m| {
            m.esm_class = 0x40;
            m.destination = WireAddress::international(to).unwrap();
            m.short_message = text([&[5, 0, 3, reference, 3, number][..], &[b'x'; 153]].concat());
        });
        try_build(&message).unwrap()
    };
    let first = part(1, 1, "491700000001");
    assert_eq!(
        (first.parts.len(), first.parts[0].udh.as_slice()),
        (1, [5, 0, 3, 1, 3, 1].as_slice())
    );
    assert_eq!(
        first.bundle,
        part(1, 2, "491700000001").bundle,
        "they belong together"
    );
    assert_ne!(first.bundle, part(2, 1, "491700000001").bundle);
    assert_ne!(first.bundle, part(1, 1, "491700000002").bundle);
    let too_long = with(|m| {
        m.esm_class = 0x40;
        m.short_message = text([&[5, 0, 3, 1, 3, 1][..], &[b'x'; 154]].concat());
    });
    assert_eq!(
        try_build(&too_long).unwrap_err(),
        CommandStatus::INVALID_MESSAGE_LENGTH
    );
}

#[test]
fn sar_becomes_a_header_with_the_same_numbers() {
    for (reference, header) in [
        (7_u16, vec![5, 0, 3, 7, 2, 1]),
        (0x1234, vec![6, 8, 4, 0x12, 0x34, 2, 1]),
    ] {
        let message = with(|m| {
            m.tlvs
                .push(tag::SAR_MSG_REF_NUM, &reference.to_be_bytes())
                .unwrap();
            m.tlvs.push(tag::SAR_TOTAL_SEGMENTS, &[2]).unwrap();
            m.tlvs.push(tag::SAR_SEGMENT_SEQNUM, &[1]).unwrap();
        });
        let built = try_build(&message).unwrap();
        assert_eq!((built.parts[0].udh.clone(), built.options), (header, None));
        assert!(built.bundle.is_some());
    }
}

#[test]
fn octets_are_read_as_the_client_means_them() {
    let utf16 = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_be_bytes).collect() };
    let little: Vec<u8> = [0xFF, 0xFE]
        .into_iter()
        .chain("Hi".encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    for (alphabet, coding, octets, encoding, data) in [
        (
            Alphabet::Gsm7,
            0,
            b"\x00\x1b\x65".to_vec(),
            Encoding::Gsm7,
            b"\x00\x1b\x65".to_vec(),
        ),
        (
            Alphabet::Gsm7Packed,
            0,
            vec![0xC8, 0x32, 0x9B, 0xFD, 0x06],
            Encoding::Gsm7,
            b"Hello".to_vec(),
        ),
        (
            Alphabet::Latin1,
            0,
            b"\xE4@".to_vec(),
            Encoding::Gsm7,
            b"\x7b\x00".to_vec(),
        ),
        (
            Alphabet::Ascii,
            0,
            b"a@b".to_vec(),
            Encoding::Gsm7,
            b"a\x00b".to_vec(),
        ),
        (
            Alphabet::Utf8,
            0,
            "\u{20ac}".as_bytes().to_vec(),
            Encoding::Gsm7,
            b"\x1b\x65".to_vec(),
        ),
        (
            Alphabet::Utf8,
            0,
            "Привет".as_bytes().to_vec(),
            Encoding::Ucs2,
            utf16("Привет"),
        ),
        (
            Alphabet::Gsm7,
            1,
            b"a@b".to_vec(),
            Encoding::Gsm7,
            b"a\x00b".to_vec(),
        ),
        (
            Alphabet::Gsm7,
            3,
            b"\xE4@".to_vec(),
            Encoding::Latin1,
            b"\xE4@".to_vec(),
        ),
        (Alphabet::Gsm7, 8, utf16("Hi"), Encoding::Ucs2, utf16("Hi")),
        (Alphabet::Gsm7, 8, little, Encoding::Ucs2, utf16("Hi")),
        (Alphabet::Gsm7, 6, b"\xBF".to_vec(), Encoding::Ucs2, utf16("П")),
        (Alphabet::Gsm7, 4, vec![0, 255], Encoding::Binary, vec![0, 255]),
        (Alphabet::Gsm7, 2, vec![0, 255], Encoding::Binary, vec![0, 255]),
        (
            Alphabet::Latin1,
            0xF0,
            b"Hi".to_vec(),
            Encoding::Gsm7,
            b"Hi".to_vec(),
        ),
    ] {
        let mut account = Client::default();
        account.smpp.alphabet = alphabet;
        let message = with(|m| {
            m.data_coding = coding;
            m.short_message = text(&octets);
        });
        let built = try_as(&message, &account, CommandId::SubmitSm).unwrap();
        assert_eq!(
            (built.encoding, built.parts[0].data.clone()),
            (encoding, data),
            "{alphabet} {coding:#x}"
        );
    }
}

#[test]
fn classes_indications_and_options_are_kept() {
    let built = |coding| try_build(&with(|m| m.data_coding = coding)).unwrap();
    assert_eq!((built(0xF0).message_class, built(0xF0).options), (Some(0), None));
    assert_eq!(built(0x10).message_class, Some(0));
    let waiting = built(0xC8);
    assert_eq!(
        (waiting.encoding, waiting.options.unwrap().data_coding),
        (Encoding::Gsm7, Some(0xC8))
    );
    let all = with(|m| {
        m.priority_flag = 2;
        m.protocol_id = 64;
        m.service_type = octets("VMA");
        m.replace_if_present = 1;
        m.tlvs.push(tag::DESTINATION_PORT, &[0x0B, 0x84]).unwrap();
        m.tlvs.push(0x1401, b"vendor").unwrap();
        m.tlvs.push(tag::USER_MESSAGE_REFERENCE, &[0x12, 0x67]).unwrap();
    });
    let built = try_build(&all).unwrap();
    assert_eq!(built.reference.as_deref(), Some("4711"));
    let options = built.options.unwrap();
    assert_eq!(
        (options.priority, options.protocol_id, options.replace_if_present),
        (Some(2), Some(64), Some(true))
    );
    assert_eq!(options.service_type.as_deref(), Some("VMA"));
    let tags: Vec<u16> = options.tlvs.unwrap().iter().map(|tlv| tlv.tag).collect();
    assert_eq!(tags, [tag::DESTINATION_PORT, 0x1401]);
}

proptest! {
    #[test]
    fn whatever_is_submitted_becomes_a_message_that_can_be_stored_or_a_status(
        numbers in any::<[u8; 9]>(),
        source in prop::collection::vec(1_u8.., 0..21),
        destination in "[0-9+]{0,20}",
        times in any::<(String, String)>(),
        body in prop::collection::vec(any::<u8>(), 0..255),
        tlvs in prop::collection::vec((prop::sample::select(vec![
            tag::MESSAGE_PAYLOAD, tag::SAR_MSG_REF_NUM, tag::SAR_TOTAL_SEGMENTS, tag::SAR_SEGMENT_SEQNUM,
            tag::QOS_TIME_TO_LIVE, tag::USER_MESSAGE_REFERENCE, 0x1400, 0x0005,
        ]), prop::collection::vec(any::<u8>(), 0..5)), 0..4),
        small in any::<bool>(),
    ) {
        let [ton, npi, to_ton, esm, protocol, priority, registered, replace, coding] = numbers;
        let within = |octet: u8, most: u8| if small { octet % most } else { octet };
        let mut message = SubmitSm {
            source: WireAddress::try_new(within(ton, 7), within(npi, 2), &source).unwrap(),
            destination: WireAddress::try_new(within(to_ton, 5), 1, destination).unwrap(),
            esm_class: if small { esm & 0xC1 } else { esm },
            protocol_id: protocol,
            priority_flag: within(priority, 5),
            registered_delivery: within(registered, 32),
            replace_if_present: within(replace, 2),
            data_coding: coding,
            schedule_delivery_time: if small { COctets::new() } else { COctets::until_nul(times.0.as_bytes()) },
            validity_period: if small { COctets::new() } else { COctets::until_nul(times.1.as_bytes()) },
            short_message: body.into(),
            ..SubmitSm::default()
        };
        for (tag, value) in tlvs {
            message.tlvs.push(tag, &value).unwrap();
        }
        match try_build(&message) {
            Ok(message) => {
                prop_assert!((1..=10).contains(&message.parts.len()));
                prop_assert!(message.valid_until > message.accepted_at);
                prop_assert_eq!(MtMessage::from_record(&message.to_record()).unwrap(), message);
            }
            Err(status) => prop_assert!(!status.is_ok()),
        }
    }
}
