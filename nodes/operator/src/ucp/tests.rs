//! The adapter against frames: what goes out for a submit, what comes in for each operation of a centre.

use super::*;
use bytes::Bytes;
use smsgw_smpp::{
    Address as WireAddress, DeliverSm, Receipt, ReceiptProfile, SubmitSm, receipt::Reading, tlv,
};
use smsgw_ucp::{Body, Frame, Framer, Message, MessageKind, OperationType, Pdu, ServiceType, Services, Trn};

fn operator() -> Operator {
    Operator {
        login: Some("12345".to_owned()),
        password: Some(Secret::new("geheim")),
        ..Operator::default()
    }
}

#[expect(clippy::disallowed_methods, reason = "tests start from some instant")]
fn start() -> Instant {
    Instant::now()
}

fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

fn write(pdu: &Pdu) -> Vec<u8> {
    let mut out = Vec::new();
    pdu.write(&mut out);
    out
}

fn result(trn: u8, ot: u8, outcome: Outcome) -> Vec<u8> {
    write(&Pdu {
        trn: Trn::new(trn).unwrap(),
        body: Body::Result(OperationType(ot), outcome),
    })
}

fn asked(trn: u8, kind: MessageKind, message: Message) -> Vec<u8> {
    let body = Body::Operation(Operation::Message(kind, Box::new(message)));
    write(&Pdu {
        trn: Trn::new(trn).unwrap(),
        body,
    })
}

/// A bound link, and what it wrote is taken.
fn bound() -> (UcpLink, Instant) {
    let now = start();
    let operator = operator();
    let mut link = UcpLink::new(UcpStart::of(&operator, None).unwrap(), now);
    sent(&mut link);
    link.handle_bytes(now, &result(0, 60, Outcome::ack()));
    let told = events(&mut link);
    assert!(matches!(&told[..], [EsmeEvent::Bound { .. }]), "{told:?}");
    (link, now)
}

fn sent(link: &mut UcpLink) -> Vec<Pdu> {
    let mut out = BytesMut::new();
    link.poll_transmit(&mut out);
    let mut framer = Framer::default();
    framer.push(&out);
    std::iter::from_fn(|| Some(Pdu::read(&Frame::read(framer.next_frame()?).unwrap()).unwrap().0)).collect()
}

fn events(link: &mut UcpLink) -> Vec<EsmeEvent> {
    std::iter::from_fn(|| link.poll_event()).collect()
}

fn submit(change: impl FnOnce(&mut SubmitSm)) -> Option<Message> {
    let (mut link, now) = bound();
    let mut message = SubmitSm {
        source: WireAddress::short_code("12345").unwrap(),
        destination: WireAddress::international("491700000001").unwrap(),
        registered_delivery: 1,
        short_message: Bytes::from_static(b"Hello"),
        ..SubmitSm::default()
    };
    change(&mut message);
    link.handle_command(now, EsmeCommand::Submit { tag: 1, message });
    match sent(&mut link).pop()?.body {
        Body::Operation(Operation::Message(MessageKind::Submit, message)) => Some(*message),
        other => panic!("{other:?}"),
    }
}

fn fields(message: &Message) -> [&str; 7] {
    [
        &message.adc,
        &message.oadc,
        &message.otoa,
        &message.mt,
        &message.msg,
        &message.xser,
        &message.mcls,
    ]
    .map(Text::as_str)
}

#[test]
fn a_submit_is_written_as_the_standard_has_it() {
    let message = submit(|_| {}).unwrap();
    assert_eq!(
        fields(&message),
        ["00491700000001", "12345", "", "3", "48656C6C6F", "", ""]
    );
    assert_eq!(
        (message.nrq.as_str(), message.nt.as_str(), message.npid.as_str()),
        ("1", "3", "0539")
    );

    let wide = |message: &mut SubmitSm| {
        (message.data_coding, message.short_message) = (8, Bytes::from_static(&[0x04, 0x1F]));
    };
    let message = submit(wide).unwrap();
    assert_eq!(
        (fields(&message)[3..6].to_vec(), message.nb.as_str()),
        (vec!["4", "041F", "020108"], "0016")
    );

    let part = |message: &mut SubmitSm| {
        message.esm_class = 0x40;
        message.short_message = Bytes::from_static(&[5, 0, 3, 7, 2, 1, 0x41]);
    };
    assert_eq!(
        fields(&submit(part).unwrap())[3..6],
        ["3", "41", "0106050003070201"]
    );

    let flash = submit(|message| message.data_coding = 0x10).unwrap();
    assert_eq!(fields(&flash)[3..], ["3", "48656C6C6F", "", "0"]);

    let binary = submit(|message| message.data_coding = 4).unwrap();
    assert_eq!(fields(&binary)[3..6], ["4", "48656C6C6F", "020104"]);

    let named = submit(|message| message.source = WireAddress::try_new(5, 0, "ALPHA@NUM").unwrap()).unwrap();
    assert_eq!(fields(&named)[1..3], ["10412614190438AB4D", "5039"]);

    let until = submit(|message| message.validity_period = COctets::until_nul(b"261121180000000+")).unwrap();
    assert_eq!(until.vp.as_str(), "2111261800");

    let quiet = submit(|message| message.registered_delivery = 0).unwrap();
    assert_eq!((quiet.nrq.as_str(), quiet.nt.as_str()), ("", ""));
}

#[test]
fn notifications_are_asked_to_the_address_that_is_configured() {
    let operator = Operator {
        notification_address: smsgw_config::Digits::from_text("12399"),
        ..operator()
    };
    let start = UcpStart::of(&operator, None).unwrap();
    let mut message = SubmitSm {
        source: WireAddress::short_code("12345").unwrap(),
        destination: WireAddress::international("491700000001").unwrap(),
        registered_delivery: 1,
        short_message: Bytes::from_static(b"Hello"),
        ..SubmitSm::default()
    };
    let nadc = |message: &SubmitSm| match send::operation(message, &start.writing) {
        Some(Operation::Message(MessageKind::Submit, fields)) => fields.nadc.as_str().to_owned(),
        other => panic!("operation 51, not {other:?}"),
    };
    assert_eq!(nadc(&message), "12399");
    message.registered_delivery = 0;
    assert_eq!(nadc(&message), "", "where none is asked for");
}

#[test]
fn latin_letters_go_as_gsm_where_they_can_and_else_as_ucs2() {
    let coded = |text: &'static [u8]| {
        let message = submit(|message| {
            (message.data_coding, message.short_message) = (3, Bytes::from_static(text));
        });
        message.map(|message| (message.mt.to_string(), message.msg.to_string()))
    };
    assert_eq!(coded(b"\xe9"), Some(("3".into(), "05".into())));
    assert_eq!(coded(b"\xb5"), Some(("4".into(), "00B5".into())));
    assert_eq!(coded(&[0xB5; 71]), None, "too long in UCS-2");
}

#[test]
fn an_answer_gives_the_key_of_its_notifications_and_an_error_code_its_status() {
    let (mut link, now) = bound();
    for tag in [1, 2] {
        let message = SubmitSm {
            destination: WireAddress::international("491700000001").unwrap(),
            ..SubmitSm::default()
        };
        link.handle_command(now, EsmeCommand::Submit { tag, message });
    }
    let sm = Outcome::Ack {
        mvp: Text::default(),
        sm: text("00491700000001:211126120000"),
    };
    link.handle_bytes(now, &result(1, 51, sm));
    link.handle_bytes(now, &result(2, 51, Outcome::nack(ErrorCode::NOT_ALLOWED)));
    let told = events(&mut link);
    let [
        EsmeEvent::Answered {
            tag: 1,
            status: CommandStatus::OK,
            message_id,
            ..
        },
        EsmeEvent::Answered { tag: 2, status, .. },
    ] = &told[..]
    else {
        panic!("{told:?}")
    };
    assert_eq!(
        (message_id.as_bytes(), *status),
        (&b"491700000001:211126120000"[..], CommandStatus(BASE + 4))
    );

    // However the centre writes the number.
    for number in ["491700000001", "00491700000001", "+491700000001"] {
        let notification = Message {
            adc: text("12345"),
            oadc: text(number),
            scts: text("211126120000"),
            dst: text("2"),
            rsn: text("107"),
            dscts: text("211126120500"),
            mt: text("3"),
            msg: Text::hex(b"absent"),
            ..Message::default()
        };
        link.handle_bytes(now, &asked(9, MessageKind::Notification, notification));
        let told = events(&mut link);
        let [
            EsmeEvent::Delivered {
                sequence, message, ..
            },
        ] = &told[..]
        else {
            panic!("{told:?}")
        };
        let Reading::Receipt(receipt) = Receipt::read(message, &ReceiptProfile::default()) else {
            panic!()
        };
        assert_eq!(
            (receipt.id.as_bytes(), receipt.err.as_deref()),
            (message_id.as_bytes(), Some("107"))
        );
        assert_eq!(receipt.state, smsgw_smpp::ReceiptState::Undeliverable);
        sent(&mut link);
        link.handle_command(
            now,
            EsmeCommand::Answer {
                sequence: *sequence,
                status: CommandStatus::OK,
            },
        );
        let body = Body::Result(OperationType(53), Outcome::ack());
        assert_eq!(
            sent(&mut link),
            [Pdu {
                trn: Trn::new(9).unwrap(),
                body
            }]
        );
    }
}

fn phone(message: Message) -> DeliverSm {
    let (mut link, now) = bound();
    link.handle_bytes(now, &asked(3, MessageKind::Deliver, message));
    match events(&mut link).pop() {
        Some(EsmeEvent::Delivered { message, .. }) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn messages_from_phones_keep_text_header_and_coding() {
    let plain = || Message {
        adc: text("12345"),
        oadc: text("00491700000001"),
        mt: text("3"),
        msg: Text::hex(b"Hello"),
        ..Message::default()
    };
    let message = phone(plain());
    assert_eq!(
        (message.source.value.as_bytes(), message.source.ton),
        (&b"491700000001"[..], 1)
    );
    assert_eq!(
        (
            message.destination.value.as_bytes(),
            message.data_coding,
            message.esm_class
        ),
        (&b"12345"[..], 0, 0)
    );
    assert_eq!(&message.short_message[..], b"Hello");

    let services = Services(vec![
        (ServiceType::UDH, vec![5, 0, 3, 7, 2, 1]),
        (ServiceType::DCS, vec![8]),
    ]);
    let wide = Message {
        mt: text("4"),
        msg: text("041F"),
        nb: text("0016"),
        xser: services.to_field().unwrap(),
        ..plain()
    };
    let message = phone(wide);
    assert_eq!((message.data_coding, message.esm_class), (8, 0x40));
    assert_eq!(&message.short_message[..], [5, 0, 3, 7, 2, 1, 0x04, 0x1F]);

    // Packed septets, ten of them in seventy bits.
    let dcs = Services(vec![(ServiceType::DCS, vec![0])]);
    let packed = Message {
        mt: text("4"),
        msg: text("E8329BFD4697D9EC37"),
        nb: text("0070"),
        xser: dcs.to_field().unwrap(),
        ..plain()
    };
    assert_eq!(&phone(packed).short_message[..], b"hellohello");

    let broken = Message {
        msg: text("4"),
        ..plain()
    };
    assert_eq!((phone(broken).data_coding, &b"4"[..]), (4, &b"4"[..]));
    let named = Message {
        oadc: text("10412614190438AB4D"),
        otoa: text("5039"),
        ..plain()
    };
    assert_eq!(phone(named).source.value.as_bytes(), b"ALPHA@NUM");
}

#[test]
fn what_cannot_be_stored_is_refused_for_now_and_what_makes_no_sense_for_good() {
    let (mut link, now) = bound();
    link.handle_bytes(
        now,
        &asked(
            3,
            MessageKind::Deliver,
            Message {
                mt: text("3"),
                ..Message::default()
            },
        ),
    );
    let told = events(&mut link);
    let [
        EsmeEvent::Delivered {
            sequence, message, ..
        },
    ] = &told[..]
    else {
        panic!("{told:?}")
    };
    assert!(message.tlvs.get(tlv::tag::RECEIPTED_MESSAGE_ID).is_none());
    link.handle_command(
        now,
        EsmeCommand::Answer {
            sequence: *sequence,
            status: CommandStatus::TEMPORARY_APP_ERROR,
        },
    );
    link.handle_bytes(now, &asked(4, MessageKind::Inquiry, Message::default()));
    let codes: Vec<_> = sent(&mut link)
        .into_iter()
        .map(|pdu| match pdu.body {
            Body::Result(ot, Outcome::Nack { code, .. }) => (pdu.trn.number(), ot.0, code.0),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(codes, [(3, 52, 4), (4, 55, 3)]);
    assert_eq!(events(&mut link), []);
}

#[test]
fn a_refused_login_says_how_long_to_wait() {
    for (code, status) in [
        (ErrorCode::AUTHENTICATION, CommandStatus::INVALID_PASSWORD),
        (ErrorCode::NOT_ALLOWED, CommandStatus::ALREADY_BOUND),
        (ErrorCode(20), CommandStatus::BIND_FAILED),
    ] {
        let now = start();
        let mut link = UcpLink::new(UcpStart::of(&operator(), None).unwrap(), now);
        link.handle_bytes(now, &result(0, 60, Outcome::nack(code)));
        let told = events(&mut link);
        assert!(
            matches!(told[0], EsmeEvent::BindRefused { status: found } if found == status),
            "{told:?}"
        );
        assert!(
            matches!(told[1], EsmeEvent::Closed { cause: CloseCause::BindRefused(found), .. } if found == status),
            "{told:?}"
        );
    }
    let nothing = |operator: Operator| UcpStart::of(&operator, None).unwrap_err();
    assert_eq!(
        nothing(Operator {
            login: None,
            ..operator()
        }),
        LoginError::NoLogin
    );
    assert_eq!(
        nothing(Operator {
            password: None,
            ..operator()
        }),
        LoginError::NoPassword
    );
    let slash = Operator {
        login: Some("12/345".to_owned()),
        ..operator()
    };
    assert_eq!(nothing(slash), LoginError::Login);
    assert!(!format!("{:?}", UcpStart::of(&operator(), None).unwrap()).contains("heim"));
}

#[test]
fn a_delivery_that_cannot_be_read_is_kept_and_other_frames_are_only_counted() {
    let (mut link, now) = bound();
    let delivery = asked(5, MessageKind::Deliver, Message::default());
    let spoil = |frame: &[u8]| {
        let mut frame = frame.to_vec();
        // The last digit of the sum, before ETX.
        let at = frame.len() - 2;
        frame[at] = if frame[at] == b'0' { b'1' } else { b'0' };
        frame
    };
    let answer = result(6, 51, Outcome::ack());
    for (frame, kept) in [
        (spoil(&delivery), u32::from(CommandId::DeliverSm)),
        (spoil(&answer), 0),
    ] {
        link.handle_bytes(now, &frame);
        let told = events(&mut link);
        let [EsmeEvent::Undecodable(undecodable)] = &told[..] else {
            panic!("{told:?}")
        };
        assert_eq!(undecodable.command_id, kept);
    }
}
