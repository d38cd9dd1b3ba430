//! Values that the tests of this crate begin with.

use smsgw_message::{
    Address, Class, ClientId, Encoding, LinkGroup, LinkId, MessageId, Mo, MtMessage, Npi, OperatorId, Origin,
    Part, Receipt, ReceiptState, ReportLevel, Sar, SubmitOutcome, SubmitResult, Timestamp, Ton, Via,
};

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(crate) fn message_id(n: u8) -> MessageId {
    MessageId::from_parts(at(1), [n; 10])
}

pub(crate) fn operator(name: &str) -> OperatorId {
    OperatorId::try_new(name).unwrap()
}

pub(crate) fn via(name: &str) -> Via {
    Via {
        operator: operator(name),
        group: LinkGroup::of(&operator(name)),
    }
}

pub(crate) fn phone(digits: &str) -> Address {
    Address::msisdn(digits).unwrap()
}

pub(crate) fn receipt(carrier_id: &str, state: ReceiptState, millis: i64) -> Receipt {
    Receipt {
        via: via("alpha"),
        link: LinkId::new(&operator("alpha"), 1),
        carrier_id: carrier_id.to_owned(),
        state,
        error: Some("001".to_owned()),
        text: String::new(),
        at: at(millis),
        done_date: None,
        from: None,
        to: None,
        text_id: None,
    }
}

pub(crate) fn sent(message: MessageId, part: u16, carrier_id: &str, millis: i64) -> SubmitResult {
    SubmitResult {
        message,
        part,
        client: ClientId::try_new("acme").unwrap(),
        via: via("alpha"),
        link: Some(LinkId::new(&operator("alpha"), 1)),
        outcome: SubmitOutcome::Sent {
            carrier_id: carrier_id.to_owned(),
        },
        at: at(millis),
        receipt_asked: true,
        report: ReportLevel::Final,
        reroute: None,
    }
}

/// A message of acme to Germany, accepted at 0, valid for 10 seconds.
pub(crate) fn mt(n: u8, parts: usize) -> MtMessage {
    MtMessage {
        id: message_id(n),
        client: ClientId::try_new("acme").unwrap(),
        accepted_at: at(0),
        from: None,
        to: phone("491700000001"),
        encoding: Encoding::Gsm7,
        parts: vec![
            Part {
                udh: Vec::new(),
                data: b"hello".to_vec()
            };
            parts
        ],
        class: Class::Otp,
        valid_until: at(10_000),
        report: ReportLevel::Final,
        callback: Some("http://127.0.0.1:9/events".to_owned()),
        reference: Some("order-7".to_owned()),
        origin: Origin::Http,
        message_class: None,
        options: None,
        send_at: None,
        tags: None,
        registered_delivery: None,
        bind: None,
        bundle: None,
        batch: None,
        charge: None,
        submitted_coding: None,
    }
}

pub(crate) fn mo(text: &str) -> Mo {
    Mo {
        id: MessageId::from_parts(at(2), *b"0123456789"),
        via: via("alpha"),
        link: LinkId::new(&operator("alpha"), 1),
        from: phone("491700000002"),
        to: Address::from_wire(Ton::NETWORK_SPECIFIC, Npi::UNKNOWN, "12345"),
        data_coding: 0,
        encoding: Encoding::Gsm7,
        udh: Vec::new().into(),
        data: text.as_bytes().to_vec().into(),
        at: at(3),
        sar: None,
        charset: None,
        raw: None,
    }
}

pub(crate) fn mo_part(reference: u8, total: u8, number: u8, text: &str) -> Mo {
    Mo {
        id: MessageId::from_parts(at(2), [number; 10]),
        udh: vec![5, 0, 3, reference, total, number].into(),
        ..mo(text)
    }
}

pub(crate) fn mo_sar(reference: u16, total: u8, number: u8, text: &str) -> Mo {
    Mo {
        id: MessageId::from_parts(at(2), [number; 10]),
        sar: Some(Sar {
            reference,
            total,
            number,
        }),
        ..mo(text)
    }
}
