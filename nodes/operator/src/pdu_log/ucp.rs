//! The line of a UCP frame (EMI-UCP 4.0 section 3).
//!
//! Pure. Keeps PL-1 of [`super`]: of operation 60 it takes the account alone.

use super::{Line, bounded, id};
use crate::ucp;
use smsgw_smpp::COctets;
use smsgw_ucp::{Body, Frame, Operation, Outcome, Pdu, Text};

pub(super) fn line(octets: &[u8], bodies: bool) -> Line {
    let inner = octets.strip_prefix(&[2]).and_then(|rest| rest.strip_suffix(&[3]));
    let length = octets.len();
    let garbage = |undecodable: String| Line {
        command: "garbage".to_owned(),
        length,
        undecodable: Some(undecodable),
        ..Line::default()
    };
    let Some(inner) = inner else {
        return garbage("no frame".to_owned());
    };
    let (head, read) = match Frame::read(inner) {
        Ok(frame) => (frame.head, Pdu::read(&frame).map_err(|error| error.to_string())),
        Err((error, Some(head))) => (head, Err(error.to_string())),
        Err((error, None)) => return garbage(error.to_string()),
    };
    let way = if head.is_operation { 'O' } else { 'R' };
    let mut line = Line {
        command: format!("{way}/{}", head.ot),
        sequence: u32::from(head.trn.number()),
        length,
        ..Line::default()
    };
    match read {
        Err(undecodable) => line.undecodable = Some(undecodable),
        Ok((pdu, _)) => match &pdu.body {
            Body::Operation(operation) => asked(&mut line, operation, bodies),
            Body::Result(_, outcome) => answered(&mut line, outcome),
        },
    }
    line
}

fn asked(line: &mut Line, operation: &Operation, bodies: bool) {
    if let Operation::Session(session) | Operation::List(session) = operation {
        line.system_id = text(&session.oadc);
    } else if let Some(message) = ucp::shown(operation) {
        line.message(&message, bodies);
    }
}

fn answered(line: &mut Line, outcome: &Outcome) {
    line.status = Some(match outcome {
        Outcome::Ack { .. } => "A".to_owned(),
        Outcome::Nack { code, .. } => format!("UCP_{:02}", code.0),
    });
    if let Some((adc, scts)) = outcome.key() {
        line.carrier_id = id(&COctets::until_nul(ucp::key(adc, scts).as_bytes()));
    }
}

fn text(field: &Text) -> Option<String> {
    (!field.is_empty()).then(|| bounded(field.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use smsgw_ucp::{ErrorCode, Login, Message, MessageKind, OperationType, Trn};

    fn of(body: Body) -> Line {
        let mut octets = Vec::new();
        let trn = Trn::new(7).unwrap();
        Pdu { trn, body }.write(&mut octets);
        let line = line(&octets, false);
        assert_eq!((line.sequence, line.length), (7, octets.len()));
        line
    }

    fn field(text: &str) -> Text {
        Text::new(text).unwrap()
    }

    fn message(kind: MessageKind, message: Message) -> Line {
        of(Body::Operation(Operation::Message(kind, Box::new(message))))
    }

    #[test]
    fn a_submit_is_named_with_its_fields_and_without_text_and_number() {
        let line = message(
            MessageKind::Submit,
            Message {
                adc: field("00491700000001"),
                oadc: field("12345"),
                nrq: field("1"),
                mt: field("4"),
                nb: field("0016"),
                msg: field("0041"),
                xser: field("01060500030702010201".to_owned().as_str()),
                ..Message::default()
            },
        );
        assert_eq!((line.command.as_str(), line.status.as_deref()), ("O/51", None));
        assert_eq!(line.to.as_deref(), Some("*********001"));
        assert_eq!(line.registered_delivery, Some(1));
        assert!(line.undecodable.is_none());
    }

    #[test]
    fn an_answer_has_the_key_or_the_error_and_a_notification_its_state() {
        let ack = Outcome::Ack {
            mvp: Text::default(),
            sm: field("00491700000001:211126120000"),
        };
        let ack = of(Body::Result(OperationType(51), ack));
        assert_eq!((ack.command.as_str(), ack.status.as_deref()), ("R/51", Some("A")));
        assert_eq!(ack.carrier_id.as_deref(), Some("491700000001:211126120000"));
        let nack = of(Body::Result(
            OperationType(51),
            Outcome::nack(ErrorCode::NOT_ALLOWED),
        ));
        assert_eq!((nack.status.as_deref(), nack.carrier_id), (Some("UCP_04"), None));
        let told = message(
            MessageKind::Notification,
            Message {
                adc: field("12345"),
                oadc: field("00491700000001"),
                scts: field("211126120000"),
                dst: field("2"),
                rsn: field("107"),
                mt: field("3"),
                msg: Text::hex(b"secret text"),
                ..Message::default()
            },
        );
        assert_eq!(told.carrier_id.as_deref(), Some("491700000001:211126120000"));
        assert_eq!(
            (told.stat.as_deref(), told.err.as_deref()),
            (Some("UNDELIV"), Some("107"))
        );
        assert!(!format!("{told:?}").contains("secret") && !format!("{told:?}").contains("0000001,"));
    }

    #[test]
    fn a_login_shows_its_account_alone_and_garbage_what_is_wrong() {
        let login = Login::new(field("12345"), b"geheim".to_vec()).operation();
        let line_of = of(Body::Operation(login));
        assert_eq!(line_of.system_id.as_deref(), Some("12345"));
        assert!(!format!("{line_of:?}").contains("676568"));
        let bad = line(b"\x0200/00070/O/01/x/D9\x03", false);
        assert_eq!(bad.command, "O/01");
        assert!(bad.undecodable.unwrap().contains("LEN"));
        assert_eq!(line(b"\x02nothing\x03", false).command, "garbage");
        assert_eq!(
            line(b"GET / HTTP", false).undecodable.as_deref(),
            Some("no frame")
        );
    }
}
