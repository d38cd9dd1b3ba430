//! What a client reads from a delivery: a receipt or a message, as a line of its ledger.
//!
//! Pure, and by its own reading. Invariant: whatever a delivery holds, there is a line.

use crate::ledger::{Sum, sum};
use crate::line::Line;
use crate::smsc::gsm;
use crate::smsc::wire::{Operation, Part, Submission, tag};
use crate::token::Token;

/// Kinds of deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivered {
    Receipt,
    Mo,
    /// It cannot be read.
    Unreadable,
}

/// Writes the line of a delivery.
pub(super) fn note(
    operation: Operation,
    body: &[u8],
    at: i64,
    status: u32,
    lines: &mut Vec<u8>,
) -> Delivered {
    // deliver_sm has the fields of submit_sm.
    let Ok((message, _)) = Submission::read(operation, body) else {
        return Delivered::Unreadable;
    };
    // Settled deliveries have the status of a callback that was taken, others that of one that was not.
    let answered = if status == 0 { 200_u16 } else { 503 };
    if matches!(message.esm_class & 0x3C, 0x04 | 0x20) {
        let text = message.user_data();
        let id = match message.tlv(tag::RECEIPTED_MESSAGE_ID) {
            Some(id) => id.split(|octet| *octet == 0).next().unwrap_or(id),
            None => field(text, b"id:"),
        };
        let state = state_of(&message, text);
        Line::new(lines)
            .number("at", at)
            .text("kind", b"report")
            .text("event", &[id, b":", state].concat())
            .text("message", id)
            .text("state", state)
            .optional("token", None)
            .number("answered", answered)
            .end();
        return Delivered::Receipt;
    }
    let has_udh = message.has_udh();
    let found = Token::find(message.user_data(), has_udh, message.data_coding);
    let mut token = [0; crate::token::LENGTH];
    let token = found.map(|found| {
        found.write(&mut token);
        &token[..]
    });
    let mut line = Line::new(lines);
    line.number("at", at)
        .text("kind", b"mo")
        .text("event", token.unwrap_or(b"mo"))
        .text("message", token.unwrap_or(b"mo"))
        .optional("state", None)
        .optional("token", token)
        .text("from", message.source.value)
        .text("to", message.destination.value);
    if message.part().is_none()
        && let Some(text) = text_sum(message.data_coding, message.user_data())
    {
        line.sum("text", text);
    }
    line.number("answered", answered).end();
    Delivered::Mo
}

/// The word after a label, up to the next blank.
fn field<'a>(text: &'a [u8], label: &[u8]) -> &'a [u8] {
    let at = text
        .windows(label.len())
        .position(|window| window.eq_ignore_ascii_case(label));
    let rest = at.and_then(|at| text.get(at.checked_add(label.len())?..));
    rest.and_then(|rest| rest.split(|octet| *octet == b' ').next())
        .unwrap_or(&[])
}

fn state_of(message: &Submission<'_>, text: &[u8]) -> &'static [u8] {
    let number = match message.tlv(tag::MESSAGE_STATE) {
        Some([number]) => Some(*number),
        _ => None,
    };
    let word = field(text, b"stat:").to_ascii_uppercase();
    match (number, word.as_slice()) {
        (Some(2), _) | (None, b"DELIVRD") => b"delivered",
        (Some(3), _) | (None, b"EXPIRED") => b"expired",
        (Some(4), _) | (None, b"DELETED") => b"cancelled",
        (Some(8), _) | (None, b"REJECTD") => b"rejected",
        (Some(5 | 7 | 9), _) | (None, b"UNDELIV" | b"UNKNOWN") => b"failed",
        _ => b"accepted",
    }
}

/// The sum of a whole text; `None` where the octets have no certain text.
pub(crate) fn text_sum(data_coding: u8, user_data: &[u8]) -> Option<Sum> {
    text_of(data_coding, user_data).map(|text| sum(&text))
}

/// A whole text in UTF-8 (binary: as it is), by its data_coding (SMPP 3.4 §5.2.19, 3GPP 23.038 §4).
pub(crate) fn text_of(data_coding: u8, user_data: &[u8]) -> Option<Vec<u8>> {
    match data_coding {
        0x00 | 0x01 | 0xF0..=0xF3 | 0x10..=0x13 => Some(gsm::decode(user_data).into_bytes()),
        0x03 => Some(
            user_data
                .iter()
                .copied()
                .map(char::from)
                .collect::<String>()
                .into_bytes(),
        ),
        0x02 | 0x04 | 0x14..=0x17 | 0xF4..=0xF7 => Some(user_data.to_vec()),
        0x08 | 0x18..=0x1B => {
            let (pairs, rest) = user_data.as_chunks::<2>();
            let (pairs, order): (_, fn([u8; 2]) -> u16) = match pairs {
                [[0xFF, 0xFE], pairs @ ..] => (pairs, u16::from_le_bytes),
                [[0xFE, 0xFF], pairs @ ..] => (pairs, u16::from_be_bytes),
                pairs => (pairs, u16::from_be_bytes),
            };
            let units = pairs.iter().map(|pair| order(*pair));
            let text: String = char::decode_utf16(units)
                .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect();
            rest.is_empty().then(|| text.into_bytes())
        }
        _ => None,
    }
}

/// User data without its header, and which part it is.
pub(crate) fn split_header(user_data: &[u8], has_udh: bool) -> (Option<Part>, &[u8]) {
    if !has_udh {
        return (None, user_data);
    }
    let header = user_data
        .first()
        .map_or(0, |length| usize::from(*length).saturating_add(1));
    (
        Part::in_user_data(user_data),
        user_data.get(header..).unwrap_or(&[]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_by_their_coding() {
        assert_eq!(text_of(0, &[0x61, 0x05, 0x1b, 0x65]).unwrap(), "aé€".as_bytes());
        assert_eq!(text_of(3, b"\xe9").unwrap(), "é".as_bytes());
        assert_eq!(text_of(8, b"\x00a\x04\x16").unwrap(), "aЖ".as_bytes());
        assert_eq!(text_of(8, b"\xff\xfea\x00").unwrap(), b"a");
        assert_eq!((text_of(8, b"\x00"), text_of(0x55, b"a")), (None, None));
        assert_eq!(split_header(&[2, 1, 0, b'x'], true), (None, &b"x"[..]));
    }
}
