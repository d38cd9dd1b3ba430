//! An event for a client as JSON (design section 9): the body of a callback, and an entry of an inbox.
//!
//! One shape for every way to the client, so that whoever changes the way reads the same. Written by hand, octet by octet:
//! this crate needs no JSON for anything else. Knows no target. Invariant: what is written is one JSON object in UTF-8
//! without a line end, whatever the texts hold.

use crate::{Address, Class, Down, DownKind, MoDown, Report, text::ByteOrder};
use std::fmt::Write;

/// A JSON object that is being written.
struct Object(String);

impl Object {
    fn new() -> Self {
        Self("{".to_owned())
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        text(&mut self.0, name);
        self.0.push(':');
    }

    /// What is JSON already, or a number or truth value.
    fn raw(mut self, name: &str, json: &str) -> Self {
        self.name(name);
        self.0.push_str(json);
        self
    }

    fn text(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        text(&mut self.0, value);
        self
    }

    fn maybe(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.text(name, value),
            None => self.raw(name, "null"),
        }
    }

    fn is(self, name: &str, value: bool) -> Self {
        self.raw(name, if value { "true" } else { "false" })
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// A text in quotes (RFC 8259 section 7).
fn text(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => {
                write!(out, "\\u{:04x}", u32::from(control)).expect("writing to a String cannot fail");
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// The document.
pub fn render(down: &Down) -> Vec<u8> {
    let (kind, message) = match &down.what {
        DownKind::Report(report) => ("report", of_report(report)),
        DownKind::Mo(mo) => ("mo", of_mo(mo)),
    };
    let envelope = Object::new()
        .text("type", kind)
        .text("id", &down.event.to_string())
        .text("at", &down.at.to_string())
        .raw("message", &message);
    envelope.end().into_bytes()
}

fn of_report(report: &Report) -> String {
    Object::new()
        .text("id", &report.message.to_string())
        .maybe("reference", report.reference.as_deref())
        .maybe("from", report.from.as_ref().map(Address::as_str))
        .text("to", report.to.as_str())
        .text("state", report.state.as_str())
        .maybe("error", report.error.as_deref())
        .text("accepted_at", &report.accepted_at.to_string())
        .end()
}

fn of_mo(mo: &MoDown) -> String {
    let encoding = mo
        .charset
        .map_or_else(|| mo.encoding.as_str(), |charset| charset.as_str());
    let headers: Vec<String> = mo
        .headers
        .iter()
        .flatten()
        .map(|header| format!("\"{}\"", hex(header)))
        .collect();
    let object = Object::new()
        .text("id", &mo.message.to_string())
        .text("from", mo.from.as_str())
        .text("to", mo.to.as_str())
        .maybe("text", mo.text.as_deref())
        .text("operator", mo.operator.as_str())
        .text("encoding", encoding)
        .raw("data_coding", &mo.data_coding.to_string())
        .text("data", &hex(&mo.data))
        .text("raw", &hex(mo.raw.as_ref().unwrap_or(&mo.data)))
        .raw("udh", &format!("[{}]", headers.join(",")))
        .maybe("byte_order", mo.byte_order.map(ByteOrder::as_str))
        .is("complete", mo.missing.is_none())
        .is("incomplete", mo.incomplete);
    match mo.keyword {
        Some(keyword) => object.text("keyword", keyword.as_str()).end(),
        None => object.end(),
    }
}

/// The body of a [`ClientRequest`](crate::ClientRequest) for a text that the gateway itself answers a phone with; nobody waits
/// for a report of it.
pub fn reply_body(text: &str, from: Option<&str>, class: Option<Class>) -> String {
    let mut object = Object::new().text("text", text).text("report", "none");
    if let Some(from) = from {
        object = object.text("from", from);
    }
    if let Some(class) = class {
        object = object.text("class", class.as_str());
    }
    object.end()
}

fn hex(octets: &[u8]) -> String {
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
    use crate::dcs::Charset;
    use crate::{ClientId, Encoding, MessageId, MessageState, MoDown, OperatorId, Report, Timestamp};

    fn down(what: DownKind) -> Down {
        Down {
            event: MessageId::from_bytes([2; 16]),
            client: ClientId::try_new("acme").unwrap(),
            url: None,
            at: Timestamp::from_millis(1_795_248_000_007),
            what,
            for_bind: None,
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
            keyword: None,
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
            keyword: Some(crate::KeywordAction::OptOut),
        }));
        let body = String::from_utf8(render(&part)).unwrap();
        assert!(
            body.ends_with(
                r#""text":"Ж","operator":"alpha","encoding":"iso-8859-5","data_coding":6,"data":"b6","raw":"36","udh":["050003070201"],"byte_order":"little-marked","complete":false,"incomplete":true,"keyword":"stop"}}"#
            ),
            "{body}"
        );
    }

    #[test]
    fn every_character_is_written_so_that_it_is_read_back() {
        let mut out = String::new();
        text(&mut out, "a\"b\\c\n\r\t\u{0}\u{1f}\u{7f}\u{2028}😀/");
        assert_eq!(out, "\"a\\\"b\\\\c\\n\\r\\t\\u0000\\u001f\u{7f}\u{2028}😀/\"");
    }
}
