//! The JSON body of a callback (design section 9).

use serde::Serialize;
use smsgw_message::{Down, DownKind};

#[derive(Serialize)]
struct Envelope<'a> {
    r#type: &'static str,
    id: String,
    at: String,
    message: Message<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Message<'a> {
    Report {
        id: String,
        reference: Option<&'a str>,
        from: Option<&'a str>,
        to: &'a str,
        state: &'static str,
        error: Option<&'a str>,
        accepted_at: String,
    },
    Mo {
        id: String,
        from: &'a str,
        to: &'a str,
        text: Option<&'a str>,
        operator: &'a str,
        encoding: &'static str,
        data_coding: u8,
        data: String,
        raw: String,
        udh: Vec<String>,
        byte_order: Option<&'static str>,
        complete: bool,
        incomplete: bool,
    },
}

/// The body.
pub(crate) fn render(down: &Down) -> Vec<u8> {
    let (r#type, message) = match &down.what {
        DownKind::Report(report) => (
            "report",
            Message::Report {
                id: report.message.to_string(),
                reference: report.reference.as_deref(),
                from: report.from.as_ref().map(smsgw_message::Address::as_str),
                to: report.to.as_str(),
                state: report.state.as_str(),
                error: report.error.as_deref(),
                accepted_at: report.accepted_at.to_string(),
            },
        ),
        DownKind::Mo(mo) => (
            "mo",
            Message::Mo {
                id: mo.message.to_string(),
                from: mo.from.as_str(),
                to: mo.to.as_str(),
                text: mo.text.as_deref(),
                operator: mo.operator.as_str(),
                encoding: mo
                    .charset
                    .map_or_else(|| mo.encoding.as_str(), |charset| charset.as_str()),
                data_coding: mo.data_coding,
                data: hex(&mo.data),
                raw: hex(mo.raw.as_ref().unwrap_or(&mo.data)),
                udh: mo.headers.iter().flatten().map(|header| hex(header)).collect(),
                byte_order: mo.byte_order.map(smsgw_message::text::ByteOrder::as_str),
                complete: mo.missing.is_none(),
                incomplete: mo.incomplete,
            },
        ),
    };
    let envelope = Envelope {
        r#type,
        id: down.event.to_string(),
        at: down.at.to_string(),
        message,
    };
    serde_json::to_vec(&envelope).expect("a struct of strings and numbers is valid JSON")
}

fn hex(octets: &[u8]) -> String {
    use std::fmt::Write;
    octets
        .iter()
        .fold(String::with_capacity(octets.len() * 2), |mut text, octet| {
            write!(text, "{octet:02x}").expect("writing to a String cannot fail");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use smsgw_message::dcs::Charset;
    use smsgw_message::text::ByteOrder;
    use smsgw_message::{
        Address, ClientId, Encoding, MessageId, MessageState, MoDown, OperatorId, Report, Timestamp,
    };

    fn down(what: DownKind) -> Down {
        Down {
            event: MessageId::from_bytes([2; 16]),
            client: ClientId::try_new("acme").unwrap(),
            url: None,
            at: Timestamp::from_millis(1_795_248_000_007),
            what,
        }
    }

    #[test]
    fn bodies_are_those_of_the_contract() {
        let report = down(DownKind::Report(Report {
            message: MessageId::from_bytes([1; 16]),
            reference: Some("order-7".to_owned()),
            from: Some(Address::sender("12345").unwrap()),
            to: Address::msisdn("491700000001").unwrap(),
            state: MessageState::Delivered,
            error: None,
            accepted_at: Timestamp::from_millis(1_795_248_000_000),
        }));
        assert_eq!(
            String::from_utf8(render(&report)).unwrap(),
            r#"{"type":"report","id":"02020202-0202-0202-0202-020202020202","at":"2026-11-21T08:00:00.007Z","message":{"id":"01010101-0101-0101-0101-010101010101","reference":"order-7","from":"12345","to":"491700000001","state":"delivered","error":null,"accepted_at":"2026-11-21T08:00:00.000Z"}}"#
        );
        let mo = down(DownKind::Mo(MoDown {
            message: MessageId::from_bytes([1; 16]),
            from: Address::msisdn("491700000001").unwrap(),
            to: Address::sender("12345").unwrap(),
            text: Some("Ja".to_owned()),
            data: b"Ja".to_vec().into(),
            encoding: Encoding::Gsm7,
            data_coding: 0,
            operator: OperatorId::try_new("alpha").unwrap(),
            incomplete: false,
            charset: None,
            raw: None,
            headers: None,
            missing: None,
            byte_order: None,
        }));
        assert_eq!(
            String::from_utf8(render(&mo)).unwrap(),
            r#"{"type":"mo","id":"02020202-0202-0202-0202-020202020202","at":"2026-11-21T08:00:00.007Z","message":{"id":"01010101-0101-0101-0101-010101010101","from":"491700000001","to":"12345","text":"Ja","operator":"alpha","encoding":"gsm7","data_coding":0,"data":"4a61","raw":"4a61","udh":[],"byte_order":null,"complete":true,"incomplete":false}}"#
        );
        let part = down(DownKind::Mo(MoDown {
            message: MessageId::from_bytes([1; 16]),
            from: Address::msisdn("491700000001").unwrap(),
            to: Address::sender("12345").unwrap(),
            text: Some("Ж".to_owned()),
            data: vec![0xB6].into(),
            encoding: Encoding::Binary,
            data_coding: 6,
            operator: OperatorId::try_new("alpha").unwrap(),
            incomplete: true,
            charset: Some(Charset::Cyrillic),
            raw: Some(vec![0x36].into()),
            headers: Some(vec![vec![5, 0, 3, 7, 2, 1].into()]),
            missing: Some(1),
            byte_order: Some(ByteOrder::LittleMarked),
        }));
        let body = String::from_utf8(render(&part)).unwrap();
        assert!(
            body.ends_with(
                r#""text":"Ж","operator":"alpha","encoding":"iso-8859-5","data_coding":6,"data":"b6","raw":"36","udh":["050003070201"],"byte_order":"little-marked","complete":false,"incomplete":true}}"#
            ),
            "{body}"
        );
    }
}
