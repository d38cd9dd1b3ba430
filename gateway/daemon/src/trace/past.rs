//! What the message history knows: messages whose record has expired, and all of them by reference and by number.
//!
//! Invariant: what is shown holds no text of a message, and of addresses what `log.bodies` allows.

use super::schema::{Event, FoundBy, Message, Part};
use smsgw_history::{Clue, History, HistoryError, Life};
use smsgw_message::{Address, EventName, MessageId};

/// Messages shown of those that one clue leads to.
const MOST: usize = 16;

/// The words of [`FoundBy::kind`].
fn clues(id: &str) -> [(&'static str, Clue); 3] {
    [
        ("carrier_id", Clue::CarrierId(id.to_owned())),
        ("reference", Clue::Reference(id.to_owned())),
        ("number", Clue::Number(id.to_owned())),
    ]
}

/// The ids of messages that a text may lead to, each with the clue that does; newest first within a clue.
pub(super) async fn ids(history: &History, id: &str) -> Result<Vec<(MessageId, FoundBy)>, HistoryError> {
    let mut found: Vec<(MessageId, FoundBy)> = Vec::new();
    if let Ok(ours) = id.parse() {
        found.push((ours, by("message_id", None)));
    }
    for (kind, clue) in clues(id) {
        for message in history.find(clue, MOST).await? {
            if found.iter().all(|(known, _)| *known != message.id) {
                let carrier_id = (kind == "carrier_id").then(|| id.to_owned());
                found.push((message.id, by(kind, carrier_id)));
            }
        }
    }
    Ok(found)
}

fn by(kind: &str, carrier_id: Option<String>) -> FoundBy {
    FoundBy {
        kind: kind.to_owned(),
        group: None,
        part: None,
        carrier_id,
        form: None,
    }
}

/// A message as it is shown. What history does not know is a dash.
pub(super) fn shown(life: &Life, bodies: bool, found_by: FoundBy) -> Message {
    let unknown = || "-".to_owned();
    let address = |address: &String| match (
        bodies,
        Address::msisdn(address).or_else(|_| Address::sender(address)),
    ) {
        (true, _) => address.clone(),
        (false, Ok(address)) => address.redacted().to_string(),
        (false, Err(_)) => "*".repeat(address.chars().count()),
    };
    let message = &life.message;
    let text = |at: Option<smsgw_message::Timestamp>| at.map(|at| at.to_string());
    Message {
        message_id: message.id.to_string(),
        found_by,
        client: message.client.clone().unwrap_or_else(unknown),
        reference: message.reference.clone(),
        class: message.class.clone().unwrap_or_else(unknown),
        from: message.sender.as_ref().map(address),
        to: message.recipient.as_ref().map_or_else(unknown, address),
        encoding: message.encoding.clone().unwrap_or_else(unknown),
        accepted_at: text(message.accepted_at).unwrap_or_else(unknown),
        valid_until: unknown(),
        state: message.state.clone().unwrap_or_else(unknown),
        is_final: message.final_at.is_some(),
        error: message.error.clone(),
        parts: parts(life),
        events: life
            .events
            .iter()
            .map(|event| Event {
                at: event.at.to_string(),
                event: event.name.clone(),
                part: event.part,
                detail: detail(event),
            })
            .collect(),
        told_at: None,
        told_attempts: None,
    }
}

fn detail(event: &smsgw_history::Event) -> Option<String> {
    let words = [&event.link, &event.carrier_id, &event.state, &event.error];
    let words: Vec<&str> = words.into_iter().flatten().map(String::as_str).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// The parts that a carrier answered for.
fn parts(life: &Life) -> Vec<Part> {
    let answers = life.events.iter().filter(|event| {
        [EventName::MtSent.as_str(), EventName::MtRefused.as_str()].contains(&event.name.as_str())
    });
    let mut parts: Vec<Part> = answers
        .filter_map(|event| {
            let is_sent = event.name == EventName::MtSent.as_str();
            Some(Part {
                part: event.part?,
                state: if is_sent { "sent" } else { "refused" }.to_owned(),
                is_final: life.message.final_at.is_some(),
                operator: event.operator.clone(),
                link: event.link.clone(),
                carrier_id: event.carrier_id.clone(),
                error: event.error.clone(),
            })
        })
        .collect();
    // Of several answers for one part the last one counts.
    parts.reverse();
    parts.sort_by_key(|part| part.part);
    parts.dedup_by_key(|part| part.part);
    parts
}
