//! Lines of the PDU log, and what must not stand in them.

use super::*;

/// A PDU as it goes over the wire.
fn pdu(id: u32, status: u32, sequence: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + body.len()).unwrap();
    let mut pdu = Vec::new();
    for word in [length, id, status, sequence] {
        pdu.extend(word.to_be_bytes());
    }
    pdu.extend(body);
    pdu
}

fn message(from: &str, to: &str, esm_class: u8, text: &[u8]) -> Vec<u8> {
    let mut body = vec![0, 5, 0];
    body.extend(from.as_bytes());
    body.extend([0, 1, 1]);
    body.extend(to.as_bytes());
    body.extend([
        0,
        esm_class,
        0,
        0,
        0,
        0,
        1,
        0,
        8,
        0,
        u8::try_from(text.len()).unwrap(),
    ]);
    body.extend(text);
    body
}

#[test]
fn a_submit_is_named_with_its_fields_and_without_text_and_number() {
    let octets = pdu(4, 0, 77, &message("ACME", "491700000001", 0, b"my secret"));
    let line = Line::of(&octets, false);
    assert_eq!(
        line,
        Line {
            command: "submit_sm".to_owned(),
            sequence: 77,
            length: octets.len(),
            from: Some("*CME".to_owned()),
            to: Some("*********001".to_owned()),
            esm_class: Some(0),
            data_coding: Some(8),
            registered_delivery: Some(1),
            octets: Some(9),
            ..Line::default()
        }
    );
    assert!(!format!("{line:?}").contains("secret"));
    assert_eq!(
        Line::of(&octets, true).to.as_deref(),
        Some("491700000001"),
        "as log.bodies says"
    );
}

#[test]
fn an_answer_has_its_status_by_name_and_the_carriers_id() {
    let answer = Line::of(&pdu(0x8000_0004, 0, 77, b"A7f\0"), false);
    assert_eq!(
        (answer.command.as_str(), answer.status.as_deref()),
        ("submit_sm_resp", Some("ESME_ROK"))
    );
    assert_eq!(answer.carrier_id.as_deref(), Some("A7f"));
    let throttled = Line::of(&pdu(0x8000_0004, 0x58, 78, b""), false);
    assert_eq!(throttled.status.as_deref(), Some("ESME_RTHROTTLED"));
    let vendor = Line::of(&pdu(0x8000_0004, 0x0405, 78, b""), false);
    assert_eq!(vendor.status.as_deref(), Some("0x00000405"));
}

#[test]
fn a_receipt_is_found_by_the_id_that_it_is_about() {
    let text = b"id:0A7 sub:001 dlvrd:001 submit date:2611210800 done date:2611210801 stat:DELIVRD err:000 text:my secret";
    let line = Line::of(&pdu(5, 0, 3, &message("491700000001", "12345", 4, text)), false);
    assert_eq!(
        (
            line.carrier_id.as_deref(),
            line.stat.as_deref(),
            line.err.as_deref()
        ),
        (Some("0A7"), Some("DELIVRD"), Some("000"))
    );
    assert_eq!(line.from.as_deref(), Some("*********001"));
    assert_eq!(line.to.as_deref(), Some("**345"));
    assert!(!format!("{line:?}").contains("secret"));
}

#[test]
fn a_part_of_a_long_message_says_which() {
    let text = b"\x05\x00\x03\x09\x03\x02hello";
    let line = Line::of(&pdu(4, 0, 1, &message("1", "491700000001", 0x40, text)), false);
    assert_eq!((line.part, line.parts), (Some(2), Some(3)));
}

#[test]
fn no_line_has_a_password() {
    for id in [1, 2, 9, 0x0B] {
        for body in [
            &b"test\0geheim\0\0\x34\0\0\0"[..],
            b"test\0geheim",
            b"testgeheim",
            b"test\0geheim\0",
        ] {
            let line = format!("{:?}", Line::of(&pdu(id, 0, 1, body), true));
            assert!(!line.contains("geheim"), "{line}");
        }
    }
    let line = Line::of(&pdu(9, 0, 1, b"test\0geheim\0\0\x34\0\0\0"), false);
    assert_eq!(
        (line.command.as_str(), line.system_id.as_deref()),
        ("bind_transceiver", Some("test"))
    );
}

#[test]
fn what_cannot_be_read_has_a_line_too() {
    let line = Line::of(&pdu(5, 0, 9, b"\0\x01"), false);
    assert_eq!((line.command.as_str(), line.sequence), ("deliver_sm", 9));
    assert!(line.undecodable.is_some());
    let unknown = Line::of(&pdu(0x777, 0, 9, b""), false);
    assert_eq!(unknown.command, "0x00000777");
    let garbage = Line::of(b"HTTP/1.1 400 Bad", false);
    assert_eq!(
        (garbage.command.as_str(), garbage.undecodable.is_some()),
        ("garbage", true)
    );
    assert_eq!(Line::of(b"\0\0\0\x0f\0\0\0\x04", false).command, "garbage");
}

#[test]
fn a_carriers_text_stays_on_its_line() {
    let long = "9".repeat(200);
    let answer = pdu(0x8000_0004, 0, 1, format!("{long}\0").as_bytes());
    assert!(Line::of(&answer, false).carrier_id.unwrap().len() <= LONGEST);
    let steering = Line::of(&pdu(0x8000_0009, 0, 1, b"a\x1b[2J\nb\0"), false);
    assert_eq!(steering.system_id.as_deref(), Some("a.[2J.b"));
}
