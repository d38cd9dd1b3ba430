//! Draws what was found of a message: what it is, its parts, its life. Plain text.

use super::schema::{Found, Message, Parked};
use crate::status::draw::printable;
use std::fmt::Write;

/// Everything an id may mean; `None` when that is nothing.
pub(crate) fn found(found: &Found) -> Option<String> {
    let mut out = String::new();
    for message in &found.messages {
        self::message(&mut out, message);
    }
    for parked in &found.parked {
        self::parked(&mut out, parked);
    }
    for gone in &found.gone {
        line(
            &mut out,
            &format!("message {gone}: a carrier's id still points at it; its record has expired"),
        );
    }
    if let Some(error) = &found.history_error {
        line(
            &mut out,
            &format!("the message history could not be asked: {error}"),
        );
    }
    (!out.is_empty()).then_some(out)
}

fn message(out: &mut String, message: &Message) {
    line(
        out,
        &format!("message {}  {}", message.message_id, outcome(message)),
    );
    let by = &message.found_by;
    if let (Some(group), Some(part), Some(id), Some(form)) = (&by.group, by.part, &by.carrier_id, &by.form) {
        let written = match form.as_str() {
            "same" => String::new(),
            other => format!(", read as {other}"),
        };
        line(
            out,
            &format!("  found by the id {id} that {group} gave to part {part}{written}"),
        );
    }
    if ["reference", "number"].contains(&by.kind.as_str()) {
        line(out, &format!("  found by its {}", by.kind));
    }
    let reference = message
        .reference
        .as_ref()
        .map_or(String::new(), |reference| format!("  reference {reference}"));
    line(
        out,
        &format!("  client {}  class {}{reference}", message.client, message.class),
    );
    let from = message.from.as_deref().unwrap_or("(the operator's default)");
    line(
        out,
        &format!("  from {from}  to {}  encoding {}", message.to, message.encoding),
    );
    line(
        out,
        &format!(
            "  accepted {}  valid until {}",
            message.accepted_at, message.valid_until
        ),
    );
    let mut parts = vec![["part", "state", "operator", "link", "carrier id", "error"].map(str::to_owned)];
    parts.extend(message.parts.iter().map(|part| {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        [
            part.part.to_string(),
            format!(
                "{}{}",
                part.state,
                if part.is_final { "" } else { " (not final)" }
            ),
            or_dash(&part.operator),
            or_dash(&part.link),
            or_dash(&part.carrier_id),
            or_dash(&part.error),
        ]
    }));
    out.push('\n');
    table(out, &parts);
    let mut events = vec![["at", "event", "part", "detail"].map(str::to_owned)];
    events.extend(message.events.iter().map(|event| {
        [
            event.at.clone(),
            event.event.clone(),
            event.part.map_or_else(|| "-".to_owned(), |part| part.to_string()),
            event.detail.clone().unwrap_or_default(),
        ]
    }));
    if let (Some(at), Some(attempts)) = (&message.told_at, message.told_attempts) {
        events.push([
            at.clone(),
            "delivered_to_client".to_owned(),
            "-".to_owned(),
            format!("after {attempts} attempts"),
        ]);
    }
    out.push('\n');
    table(out, &events);
    out.push('\n');
}

fn outcome(message: &Message) -> String {
    let error = message
        .error
        .as_ref()
        .map_or(String::new(), |error| format!(": {error}"));
    let open = if message.is_final { "" } else { " (not final)" };
    format!("{}{error}{open}", message.state)
}

fn parked(out: &mut String, parked: &Parked) {
    let Parked {
        group,
        carrier_id,
        state,
        link,
        at,
    } = parked;
    line(
        out,
        &format!(
            "receipt {state} for {carrier_id} of {group}, over {link} at {at}: it waits for the answer to its submit"
        ),
    );
}

/// Columns as wide as what stands in them; the last one as it is.
fn table<const N: usize>(out: &mut String, rows: &[[String; N]]) {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in rows {
        let mut text = String::from(" ");
        for (cell, width) in row.iter().zip(widths) {
            write!(text, " {cell:<width$} ").expect("writing to a String cannot fail");
        }
        line(out, &text);
    }
}

fn line(out: &mut String, text: &str) {
    out.push_str(printable(text).trim_end());
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::schema::{Event, FoundBy, Part};

    #[test]
    fn a_message_is_drawn_with_its_parts_and_its_life_and_cannot_steer_the_terminal() {
        let none = || None::<String>;
        let message = Message {
            message_id: "0198".to_owned(),
            found_by: FoundBy {
                kind: "carrier_id".to_owned(),
                group: Some("alpha".to_owned()),
                part: Some(2),
                carrier_id: Some("A7\u{1b}[2J".to_owned()),
                form: Some("hex-to-decimal".to_owned()),
            },
            client: "acme".to_owned(),
            reference: Some("order-7".to_owned()),
            class: "otp".to_owned(),
            from: None,
            to: "*********001".to_owned(),
            encoding: "gsm7".to_owned(),
            accepted_at: "2026-11-21T08:00:00.000Z".to_owned(),
            valid_until: "2026-11-23T08:00:00.000Z".to_owned(),
            state: "sent".to_owned(),
            is_final: false,
            error: none(),
            parts: vec![Part {
                part: 1,
                state: "delivered".to_owned(),
                is_final: true,
                operator: Some("alpha".to_owned()),
                link: Some("alpha-1".to_owned()),
                carrier_id: Some("A6".to_owned()),
                error: none(),
            }],
            events: vec![Event {
                at: "2026-11-21T08:00:00.000Z".to_owned(),
                event: "mt_accepted".to_owned(),
                part: None,
                detail: none(),
            }],
            told_at: none(),
            told_attempts: None,
        };
        let found = Found {
            id: "2687".to_owned(),
            messages: vec![message],
            parked: Vec::new(),
            gone: vec!["0199".to_owned()],
            history_error: Some("no answer".to_owned()),
        };
        let drawn = super::found(&found).unwrap();
        assert!(drawn.starts_with("message 0198  sent (not final)\n"), "{drawn}");
        assert!(drawn.contains("found by the id A7.[2J that alpha gave to part 2, read as hex-to-decimal\n"));
        assert!(
            drawn.contains("  1     delivered  alpha     alpha-1  A6          -\n"),
            "{drawn}"
        );
        assert!(
            drawn.contains("2026-11-21T08:00:00.000Z  mt_accepted  -"),
            "{drawn}"
        );
        assert!(drawn.contains("message 0199: a carrier's id"), "{drawn}");
        let nothing = Found {
            messages: Vec::new(),
            gone: Vec::new(),
            history_error: None,
            ..found
        };
        assert_eq!(super::found(&nothing), None);
    }
}
